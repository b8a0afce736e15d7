"""Where imagined episodes end: known rules, a package's own, and what the data teach."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from click.testing import CliRunner
from falls import LIMIT, make_falls

from clap.cli import main
from clap.model.terminations import ends_and_others, make_termination, rules
from shared.environments.simulators import make_environment
from shared.errors import ConfigError
from shared.loading.request import load_data
from shared.models.networks import Normalizer
from shared.runs.plan import make_plan
from shared.training import program
from shared.types import Transition

SMALL = {
    **{"members": 2, "elites": 1, "model_hidden_sizes": [32, 32], "weight_decay": [1e-5] * 3},
    **{"model_steps": 1800, "model_batch_size": 64, "validate_every": 1800, "rollouts": 256},
    **{"rollout_length": 5, "rollouts_kept": 1, "steps": 1, "batch_size": 16},
    **{"actor_hidden_sizes": [8], "critic_hidden_sizes": [8], "model_learning_rate": 3e-3},
}


@pytest.mark.parametrize(
    ("task", "rule"), [("hopper", "hopper"), ("walker2d", "walker2d"), ("halfcheetah", "none")]
)
def test_rules_of_termination_are_the_simulators(task, rule):
    """On what a random policy meets, falls included."""
    environment, rng = make_environment(task), np.random.default_rng(0)
    observations, falls = [], []
    environment.reset(seed=0)
    for _ in range(400):
        action = rng.uniform(-1, 1, environment.action_space.shape).astype(np.float32)
        observation, _, terminal, timeout, _ = environment.step(action)
        observations.append(observation)
        falls.append(terminal)
        if terminal or timeout:
            environment.reset()
    environment.close()
    found = jax.vmap(rules()[rule])(jnp.asarray(np.array(observations), jnp.float32))
    np.testing.assert_array_equal(found, falls)
    assert (sum(falls) > 5) == (task != "halfcheetah")


def test_rules_of_termination_are_those_of_recorded_rows(hopper_random):
    rows = hopper_random.transitions
    found = jax.vmap(rules()["hopper"])(jnp.asarray(rows.next_observation))
    np.testing.assert_array_equal(found, rows.terminal)
    assert rows.terminal.sum() > 50


@pytest.mark.parametrize(
    ("rule", "change", "expected"),
    [
        ("hopper", {0: 0.69}, True),
        ("hopper", {1: -0.21}, True),
        ("hopper", {7: 120.0}, True),
        ("hopper", {0: np.nan}, True),
        ("hopper", {0: 150.0}, False),
        ("walker2d", {0: 2.1}, True),
        ("walker2d", {0: 0.79}, True),
        ("walker2d", {1: 1.01}, True),
        ("walker2d", {7: 120.0}, False),
    ],
)
def test_each_limit_of_the_rules(rule, change, expected):
    observation = np.zeros(11, np.float32)
    observation[0] = 1.2
    assert not rules()[rule](jnp.asarray(observation))
    for i, value in change.items():
        observation[i] = value
    assert bool(rules()[rule](jnp.asarray(observation))) == expected


def rows_of(columns):
    """As a batch on the device."""
    keys = "observations", "actions", "rewards", "terminals", "next_observations"
    return Transition(*(jnp.asarray(columns[key]) for key in keys))


def test_a_classifier_learns_the_limit_from_few_ends():
    rows = rows_of(make_falls())
    assert 0.005 < np.mean(rows.terminal) < 0.05
    normalizer = Normalizer(jnp.mean(rows.observation, 0), jnp.std(rows.observation, 0))
    optimizer = optax.adam(3e-3)
    form = normalizer, (32, 32), optimizer
    ended = make_termination("learned", *form, key=jax.random.key(0))

    @jax.jit
    def learn(ended):
        return jax.lax.scan(lambda e, _: e.improve(optimizer, rows), ended, length=300)

    ended, metrics = learn(ended)
    assert metrics["termination_nll"][-1] < 0.1 * metrics["termination_nll"][0]
    others = rows_of(make_falls(seed=1))
    told = np.asarray(jax.vmap(ended)(others.next_observation))
    distance = np.abs(np.asarray(others.next_observation)[:, 0])
    clear = np.abs(distance - LIMIT) > 0.15
    np.testing.assert_array_equal(told[clear], distance[clear] > LIMIT)
    found = ended.look(others)
    missed = 1 - told[np.asarray(others.terminal)].mean()
    np.testing.assert_allclose(found["ends_missed"], missed, atol=1e-6)
    np.testing.assert_allclose(found["ends_invented"], told[~others.terminal].mean(), atol=1e-6)


def test_looks_see_ends_although_they_are_few():
    terminal = jnp.zeros(100, bool).at[jnp.asarray([7, 60])].set(True)
    chosen = np.asarray(ends_and_others(jnp.arange(100, 200), terminal, 20))
    assert {107, 160} <= set(chosen) and len(chosen) == 20


def test_imagined_rows_end_where_the_datas_falls_are(write, tmp_path):
    """Of a robot in no table, and the user is told before training starts."""
    data = load_data(None, data=write(make_falls(100), "falls.hdf5"))
    plan = make_plan("clap", "mopo", data.name, overrides=SMALL)
    assert plan.hyperparameters["termination"] == "learned"
    algorithm, keys = plan.build(), program.seed_keys((0,))
    (told,) = algorithm.remarks(data)
    assert f"'{data.name}'" in told and "classifier" in told and "hopper, walker2d" in told
    dataset, state = data.to_device(), program.init_state(algorithm, data.spec, (0,))
    state, _ = program.run_updates(algorithm, 0, 1800, state, dataset, keys, 0, 1800)
    state, metrics = program.run_event(
        algorithm, 0, program.REFRESH, state, dataset, keys, 1800, None
    )
    assert metrics["ends_missed"][0] < 0.2 and metrics["ends_invented"][0] < 0.02
    state, _ = program.run_event(algorithm, 1, program.START, state, dataset, keys, 0, None)
    size = int(state.imagined.size[0])
    rows = jax.tree.map(lambda x: np.asarray(x[0])[:size], state.imagined.rows)
    fallen = np.abs(rows.next_observation[:, 0]) > LIMIT
    assert fallen.sum() > 5 and np.mean(rows.terminal == fallen) > 0.97
    assert rows.terminal[fallen].mean() > 0.8
    assert size < 256 * 5  # nothing follows an end


@pytest.mark.long
def test_the_command_tells_what_ends_imagined_episodes(write, tmp_path):
    falls = make_falls(8)
    sets = [
        x
        for key, value in (SMALL | {"model_steps": 2}).items()
        for x in ("--set", f"{key}={value}")
    ]
    file, out = write(falls, "falls.hdf5"), tmp_path / "run"
    command = ["train", "--algo", "mopo", "--data", str(file), "--out", str(out), *sets]
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 0 and "end where a classifier" in answer.output, answer.output
    endless = write(falls | {"terminals": np.zeros_like(falls["terminals"])}, "endless.hdf5")
    data = load_data(None, data=endless)
    (told,) = make_plan("clap", "mopo", data.name, overrides=SMALL).build().remarks(data)
    assert "never end, because" in told


def test_a_rule_of_ones_own(tmp_path, monkeypatch):
    """Registered by an installed package; a name that nobody knows is refused."""
    information = tmp_path / "robots-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: robots\nVersion: 1.0\n")
    group = "[latent_policies.terminations]\nmy-robot = falling_robots:has_fallen\n"
    (information / "entry_points.txt").write_text(group)
    (tmp_path / "falling_robots.py").write_text("def has_fallen(s):\n    return s[0] > 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not rules()["my-robot"](jnp.zeros(3)) and rules()["my-robot"](3 + jnp.zeros(3))
    plan = make_plan("clap", "mopo", "falls", overrides=SMALL | {"termination": "my-robot"})
    assert plan.build().remarks(None) == ()
    with pytest.raises(ConfigError, match="termination is 'my-robt'; choose one of learned, none"):
        make_plan("clap", "mopo", "falls", overrides=SMALL | {"termination": "my-robt"})
