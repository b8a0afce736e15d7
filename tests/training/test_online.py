"""Online fine-tuning: what is met in the simulator is replayed, and a stop changes no bit."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import slow
from tiny import tiny_plan

from shared.comparison.csv_tables import read_metrics
from shared.datasets.replay import MixedDataset, RingBuffer
from shared.environments.simulators import make_environment
from shared.errors import ConfigError, Interrupted
from shared.record import run_folder
from shared.runs import registry, trained
from shared.runs.plan import Plan
from shared.runs.resume import resume
from shared.runs.start import train_plan
from shared.training import online, program
from shared.types import Transition

ABLE = [n for n, c in registry.algorithms("cnf").items() if "online" in vars(c)]
STEPS, ONLINE = 4, 70
SETTINGS = {
    **{"steps": STEPS, "online_steps": ONLINE, "online_block": 20, "online_simulators": 2},
    **{"save_every": 15, "steps_per_call": 10, "keep_checkpoints": 9, "cosine_decay": True},
}


@pytest.fixture(scope="module")
def finished(hopper_random, tmp_path_factory):
    out = tmp_path_factory.mktemp("online") / "run"
    return train_plan(tiny_plan("iql", seeds=(0, 3), **SETTINGS), hopper_random, out)


def contents(path, spec):
    """State and simulators of the last checkpoint."""
    run = run_folder.RunFolder.open(path, write=False)
    plan = Plan.from_dict(run.config)
    state = program.state_shapes(plan.build(), spec, plan.seeds)
    shown = online.nothing_shown("hopper", spec, plan.settings, plan.seeds)
    return run.checkpoints.restore((state, shown))[0]


@pytest.mark.parametrize("stop_at", [STEPS + 15, STEPS + 60], ids=["within a block", "between"])
def test_a_stopped_run_ends_with_the_same_bits(
    finished, hopper_random, tmp_path, monkeypatch, stop_at
):
    class Stop(BaseException):
        pass

    save = run_folder.RunFolder.save

    def save_and_stop(self, state, progress):
        save(self, state, progress)
        if progress["global_step"] == stop_at:
            raise Stop

    monkeypatch.setattr(run_folder.RunFolder, "save", save_and_stop)
    out = tmp_path / "run"
    with pytest.raises(Stop):
        train_plan(tiny_plan("iql", seeds=(0, 3), **SETTINGS), hopper_random, out)
    monkeypatch.undo()
    resume(out, load=lambda record: hopper_random)
    ends = (contents(path, hopper_random.spec) for path in (out, finished))
    for x, y in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_array_equal(x, y)
    assert (out / "scores.csv").read_bytes() == (finished / "scores.csv").read_bytes()


@pytest.mark.long
def test_a_box_that_widens_goes_on_from_where_it_was(hopper_random, tmp_path, monkeypatch):
    """What it has grown by is in the checkpoint: a run stopped within the phase ends alike."""
    case = "dsrl (frozen decoder, edit)"
    short = {"online_steps": 20, "online_block": 10, "save_every": 5, "steps_per_call": 5}
    plan = tiny_plan(case, **short, steps=5, decoder_steps=5, online_decoder=False, edit_scale=0.0)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train_plan(plan, hopper_random, whole)
    save = run_folder.RunFolder.save

    def save_and_stop(self, state, progress):
        save(self, state, progress)
        if progress["global_step"] == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(run_folder.RunFolder, "save", save_and_stop)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        train_plan(plan, hopper_random, cut)
    monkeypatch.undo()
    resume(cut, load=lambda record: hopper_random)
    ends = [contents(path, hopper_random.spec) for path in (cut, whole)]
    for x, y in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_array_equal(x, y)
    widths = read_metrics(whole / "metrics.csv").values["half_width"]
    widths = widths[np.isfinite(widths)]
    assert np.all(np.diff(widths) >= 0) and float(ends[0][0].widening[0]) >= 0


def test_the_replay_is_what_the_simulator_does(finished, hopper_random):
    """Every row again in a fresh simulator, from the first start on, over several episodes."""
    _, shown = contents(finished, hopper_random.spec)
    simulator, ends = make_environment("hopper"), 0
    for seed, number in enumerate((0, 3)):
        assert shown.replay.size[seed] == ONLINE
        for place in range(2):
            rows = jax.tree.map(lambda x, s=seed, p=place: x[s][p::2], shown.replay.rows)
            episode, elapsed, fresh = 0, 0, True
            for i in range(ONLINE // 2):
                if fresh:
                    numbers = (number, online.EXPLORATION, place, episode)
                    start = np.random.SeedSequence(numbers).generate_state(1)[0]
                    observation, elapsed = simulator.reset(seed=int(start))[0], 0
                np.testing.assert_array_equal(rows.observation[i], observation.astype(np.float32))
                observation, reward, terminal, timeout, _ = simulator.step(rows.action[i])
                assert rows.reward[i] == np.float32(reward) and rows.terminal[i] == terminal
                after = observation.astype(np.float32)
                np.testing.assert_array_equal(rows.next_observation[i], after)
                fresh, elapsed = terminal or timeout, elapsed + 1
                episode += fresh
            running = 0 if fresh else elapsed
            assert (shown.episode[seed, place], shown.elapsed[seed, place]) == (episode, running)
            ends += episode
    assert ends > 2
    simulator.close()


def test_optimizers_go_on_and_the_policy_is_scored(finished, hopper_random):
    state, _ = contents(finished, hopper_random.spec)
    for learner in (state.actor, state.critic, state.value):
        counts = optax.tree_utils.tree_get_all_with_path(learner.opt_state, "count")
        assert {int(x) for _, count in counts for x in count} == {STEPS + ONLINE}
    with open(finished / "scores.csv") as file:
        steps = {(row["phase"], int(row["step"])) for row in csv.DictReader(file)}
    assert steps == {("policy", STEPS), ("online", STEPS + ONLINE)}
    policy = trained.load_policy(finished, seed=3)
    assert np.abs(policy.act(np.zeros(11))).max() <= 1
    offline = trained.load_policy(finished, checkpoint=f"policy-{STEPS:09d}")
    assert not np.array_equal(policy.act(np.ones(11)), offline.act(np.ones(11)))


def make_rows(values):
    values = jnp.asarray(values, jnp.float32)
    wide = values[:, None]
    return Transition(wide, wide, values, values > 1e6, wide)


def test_draws_come_from_both_and_old_rows_give_way(hopper_random):
    replay = RingBuffer.empty(1000, 11, 3)
    blank = replay._replace(rows=make_rows(np.zeros(1000)))
    for first in range(0, 2500, 500):
        blank = blank.append(make_rows(np.arange(first, first + 500)))
    assert set(np.asarray(blank.rows.reward)) == set(range(1500, 2500))
    data = hopper_random.to_device()
    full = jax.tree.map(lambda x: jnp.full_like(x, 7), replay.rows)
    draw = jax.jit(lambda r, key: MixedDataset(data, r).draw(4000, key=key).observation[:, 0])
    for size, share in ((0, 0.0), (600, 600 / 3600), (1000, 1000 / 4000)):
        held = replay._replace(rows=full, size=jnp.asarray(size, jnp.int32))
        drawn = draw(held, jax.random.key(size))
        assert np.mean(np.asarray(drawn) == 7) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("name", [*ABLE, "dsrl (frozen decoder, edit)"])
def test_every_online_phase_fits_its_algorithm(name, hopper_random):
    """State, metrics and actions, without compiling anything."""
    plan = tiny_plan(name, online_steps=20)
    algorithm, data, keys = plan.build(), hopper_random.to_device(), program.seed_keys((0,))
    state = program.state_shapes(algorithm, hopper_random.spec, (0,))
    replay = online.nothing_shown("hopper", hopper_random.spec, plan.settings, (0,)).replay
    index = len(algorithm.phases())
    after, metrics = jax.eval_shape(
        lambda s: program.run_updates(algorithm, index, 4, s, data, keys, 0, 4, replay), state
    )
    assert jax.tree.leaves(after) == jax.tree.leaves(state)
    assert set(metrics) <= set(program.metric_names(algorithm, hopper_random.spec, data))
    action = jax.eval_shape(
        lambda s: online._explore(algorithm, s, jnp.zeros((1, 2, 11)), keys, 0), state
    )
    assert action.shape == (1, 2, 3) and action.dtype == jnp.float32


def test_spot_lets_go_of_its_penalty():
    """At step t the weight is lambda_ · max(0.2, 1 - t / 1e6)."""
    algorithm, state, batch = slow.setup("spot", lambda_=0.7)
    update = jax.jit(
        lambda step: algorithm.fine_tune(state, batch, key=jax.random.key(0), step=step)
    )
    losses = {}
    for step in (0, 500_000, 2_000_000):
        metrics = update(step)[1]
        losses[step], penalty = metrics["actor_loss"], metrics["density_penalty"]
    np.testing.assert_allclose(losses[0] - losses[500_000], 0.7 * 0.5 * penalty, rtol=1e-3)
    np.testing.assert_allclose(losses[0] - losses[2_000_000], 0.7 * 0.8 * penalty, rtol=1e-3)


def test_what_cannot_be_fine_tuned_is_refused():
    with pytest.raises(ConfigError, match="'bc' cannot be fine-tuned .* cnf, cnf-vae, plas, spot"):
        tiny_plan("bc", online_steps=10)
    with pytest.raises(ConfigError, match="online_block is 100; it must be a multiple"):
        tiny_plan("iql", online_steps=10, online_simulators=3)
    with pytest.raises(ConfigError, match="replay_rows is 10; it must hold a block"):
        tiny_plan("iql", online_steps=10, replay_rows=10)
