"""Model-free methods from pixels: the contract, what trains the encoder, and a whole run."""

import json
import shutil

import equinox as eqx
import imageio.v3 as imageio
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from click.testing import CliRunner
from tiny import tiny_plan

import shared
from cnf.cli import main
from shared.data.vd4rl.writer import write_archive
from shared.datasets.frame_rows import FrameRows
from shared.datasets.frame_store import to_device
from shared.datasets.frames import Frames
from shared.environments import control
from shared.environments.rendering import FAST
from shared.errors import ConfigError
from shared.models.frame_encoder import random_shift, stacked
from shared.models.losses import td_loss
from shared.record.run_folder import RunFolder
from shared.runs import trained
from shared.testing import contract
from shared.testing.contract import SEEDS, Material, leaves
from shared.training import program
from shared.training.seeds import copied, of_seed
from shared.types import Spec

SIDE, ACTIONS = 8, 2
SMALL = {"observation": "pixels", "cnn_depth": 2, "cnn_patch": 1, "shift": 1, "frame_stack": 2}
NARROW = {"feature_size": 6, "encoder_learning_rate": 1e-3, "steps": 6, "pretrain_steps": 6}
CHECKS = [
    contract.check_shapes_and_types_are_stable,
    contract.check_chunk_size_does_not_change_a_bit,
    contract.check_a_seed_ends_alike_in_any_company,
    contract.check_seeds_differ,
    contract.check_training_moves_the_policy,
    contract.check_what_is_declared,
]


def pixel_plan(name, **more):
    fields = tiny_plan(name).hyperparameters
    values = {k: v for k, v in NARROW.items() if k in fields or k not in ("pretrain_steps",)}
    return tiny_plan(name, seeds=SEEDS, **SMALL | values | {"batch_size": 4} | more)


@pytest.fixture(scope="module")
def material():
    generator = np.random.default_rng(0)
    episode = np.repeat(np.arange(4), 9).astype(np.int32)
    image = generator.integers(0, 256, (len(episode), SIDE, SIDE, 3), np.uint8)
    acted = np.append(episode[1:] == episode[:-1], False)
    action = generator.uniform(-1, 1, (len(episode), ACTIONS)).astype(np.float32)
    reward = generator.uniform(size=len(episode)).astype(np.float32) * acted
    frames = Frames(
        image, None, action * acted[:, None], reward, np.zeros(len(reward), bool), episode
    )
    spec = Spec.of_pixels(image.shape[1:], ACTIONS, np.array([0, 9], np.float32))
    return Material(to_device(frames, where="device"), spec)


@pytest.fixture(scope="module", params=["drq-bc", "cnf"])
def subject(request, material):
    return contract.trained(pixel_plan(request.param).build(), material)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
def test_the_contract(subject, check):
    check(subject)


def test_a_loss_that_is_declared_trains_the_encoder_and_nothing_else_does(subject, material):
    """DrQ+BC's encoder takes the step of the critics' own gradient; CNF's rests behind its flow."""
    algorithm = subject.algorithm
    state = program.init_state(algorithm, material.spec, SEEDS)
    keys, index = program.seed_keys(SEEDS), len(algorithm.phases()) - 1
    one, data = of_seed(state, 0), material.dataset
    view = None
    if algorithm.phases()[index].view is not None:
        windows = data.windows_at(jnp.array([0, 9, 18, 27]), jnp.arange(4), 9)
        data, view = data.places, jax.vmap(lambda s: algorithm.encode(s, windows))(state)
        view = view.reshape(len(SEEDS), 36, -1)
    after, _ = program.run_updates(
        algorithm,
        index,
        contract.CAPACITY,
        copied(state),
        data,
        keys,
        0,
        1,
        view=view,
    )
    found = of_seed(after, 0).encoder.model
    if view is not None:
        for x, y in zip(leaves(found), leaves(one.encoder.model), strict=True):
            np.testing.assert_array_equal(x, y)
        return

    @jax.jit
    def step(one):
        k_draw, k_update = program.update_keys(keys[0], index, 0)
        batch = algorithm.phases()[index].draw(data, key=k_draw)
        k_now, k_next, key = jax.random.split(k_update, 3)
        shifted = [
            random_shift(x, 1, key=k)
            for x, k in ((batch.observation, k_now), (batch.next_observation, k_next))
        ]
        inner, encoder = algorithm.algorithm, one.encoder.model
        noise = jax.random.normal(key, (2, *batch.action.shape))[1]
        y = jax.vmap(inner.target, (None, 0, 0, 0, 0, None))(
            one.member,
            batch.reward,
            batch.discount,
            jax.vmap(encoder)(shifted[1]),
            noise,
            inner.std(0),
        )

        def loss(encoder):
            return td_loss(one.member.critic.model, jax.vmap(encoder)(shifted[0]), batch.action, y)[
                0
            ]

        gradient = eqx.filter_grad(loss)(encoder)
        with jax.numpy_dtype_promotion("standard"):
            change, _ = algorithm.optimizer.update(gradient, one.encoder.opt_state)
        return optax.apply_updates(eqx.filter(encoder, eqx.is_inexact_array), change)

    for x, y in zip(leaves(found), leaves(step(one)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=2e-5)


def test_an_encoder_learns_nothing_through_what_its_update_did_before(material):
    """IQL's critics follow a value that the same update has moved."""
    algorithm, key = pixel_plan("iql").build(), jax.random.key(0)
    state = eqx.filter_eval_shape(algorithm.init, material.spec, key=key)
    phase = algorithm.phases()[0]

    def update(state):
        return phase.update(state, phase.draw(material.dataset, key=key), key=key)[0]

    assert jax.tree.structure(eqx.filter_eval_shape(update, state)) == jax.tree.structure(state)


def test_shifted_frames_keep_their_pixels_and_repeat_their_edges():
    frames = np.random.default_rng(0).integers(0, 256, (40, 5, 5, 6), np.uint8)
    moved = np.asarray(random_shift(jnp.asarray(frames), 2, key=jax.random.key(0)))
    padded = np.pad(frames, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    corners = set()
    for i, found in enumerate(moved):
        fits = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if (padded[i, y : y + 5, x : x + 5] == found).all()
        ]
        assert fits
        corners |= set(fits)
    assert len(corners) > 15 and {y for y, _ in corners} == set(range(5))


def test_stacks_along_an_episode_are_those_of_its_rows(material):
    numbers = jnp.arange(8)
    rows = FrameRows(material.dataset, 3).rows(numbers)
    found = stacked(material.dataset.observation[:9], 3)
    np.testing.assert_array_equal(found[:8], rows.observation)
    np.testing.assert_array_equal(found[1:], rows.next_observation)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two short episodes of noise at 64 px, the record of which says that frames are drawn fast."""
    path, generator = tmp_path_factory.mktemp("vd4rl") / "walker_walk", np.random.default_rng(0)
    path.mkdir()
    for i, count in enumerate((9, 6)):
        place = np.arange(count)
        action = generator.uniform(-1, 1, (count, 6)).astype(np.float32) * (place > 0)[:, None]
        rows = {"image": generator.integers(0, 256, (count, 64, 64, 3), np.uint8)}
        rows |= {"action": action, "reward": (place > 0).astype(np.float32)}
        rows |= {"is_first": place == 0, "is_last": place == count - 1, "is_terminal": place < 0}
        write_archive(path / f"{i}.npz", [rows], "")
    told = {"source": "collected", "render": json.dumps(FAST._asdict())}
    (path / "collected.json").write_text(json.dumps(told))
    return path


@pytest.fixture
def short(monkeypatch):
    """Episodes of the simulator end after a few steps."""
    find, steps = control.control_task, 5 * control.ACTION_REPEAT
    monkeypatch.setattr(
        control, "control_task", lambda name: find(name)._replace(control_steps=steps)
    )


def test_a_run_is_scored_resumed_and_filmed(folder, short, tmp_path):
    out, again = tmp_path / "run", tmp_path / "again"
    values = {"steps": 6, "batch_size": 3, "hidden_sizes": [8], "cnn_depth": 1, "cnn_patch": 8}
    values |= {"save_every": 3, "episodes": 1, "steps_per_call": 3, "frames": "mapped"}
    pairs = [x for key, value in values.items() for x in ("--set", f"{key}={value}")]
    place = ["--data", str(folder), "--data-dir", str(tmp_path), "--out", str(out)]
    command = ["train", "--env", "walker_walk-medium", "--algo", "bc", *place, *pairs]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    shutil.copytree(out, again)
    last = RunFolder.open(again, write=False).checkpoints.names()[-1]
    shutil.rmtree(again / "checkpoints" / last)
    result = CliRunner().invoke(
        main, ["train", "--resume", str(again), "--data-dir", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    states = (leaves(trained.load_state(run)[3]) for run in (out, again))
    for x, y in zip(*states, strict=True):
        np.testing.assert_array_equal(x, y)
    scores = (out / "scores.csv").read_text()
    assert scores == (again / "scores.csv").read_text() and scores.count(",5,collected") == 2
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    policy = shared.load_policy(out)
    first = policy.act(frames[0])
    assert not np.array_equal(
        policy.act(frames[1]), policy.act(frames[1])
    )  # it sees the last three
    policy.reset()
    np.testing.assert_array_equal(policy.act(frames[0]), first)
    film = tmp_path / "film.gif"
    result = CliRunner().invoke(
        main, ["evaluate", str(out), "--episodes", "1", "--video", str(film)]
    )
    assert result.exit_code == 0, result.output
    assert len(imageio.imread(film)) == 3


def test_what_cannot_be_is_refused_in_one_sentence():
    with pytest.raises(ConfigError, match="bcq' learns from states"):
        tiny_plan("bcq", observation="pixels")
    with pytest.raises(ConfigError, match="cannot be drawn as features"):
        pixel_plan("td3bc", online_steps=100)
    with pytest.raises(ConfigError, match="unknown key 'cnn_depth'"):
        tiny_plan("bc", cnn_depth=3)
