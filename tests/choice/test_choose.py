"""`cnf choose` on runs of real algorithms, and the last screen of a run without a simulator."""

import csv
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from micro_plans import micro_plan
from tiny import tiny_plan

from cnf.cli import main as cnf
from shared.choice.distance import AHEAD, Distances
from shared.choice.outcome import sentences
from shared.datasets.frames import from_transitions
from shared.runs.start import train_plan
from shared.testing import micro
from shared.training import program
from shared.training.seeds import of_seed


@pytest.fixture(scope="module")
def run(hopper_random, tmp_path_factory):
    """Two seeds of a clone that no simulator scored, and that never saw the judged episodes."""
    data = dataclasses.replace(hopper_random, environment=None)
    plan = tiny_plan("bc", seeds=(0, 1), held_out_episodes=0.2)
    return train_plan(plan, data, tmp_path_factory.mktemp("runs") / "bc")


def test_candidates_are_ranked_from_data_alone(run, tmp_path):
    line = ["choose", str(run), "--updates", "4", "--members", "2", "--out", str(tmp_path)]
    result = CliRunner().invoke(cnf, line)
    assert result.exit_code == 0, result.output
    assert "Choice without a simulator" in result.output
    with (tmp_path / "choice.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert {rows[label]["rank"] for label in ("bc, seed 0", "bc, seed 1")} == {"1", "2"}
    for row in rows.values():
        assert float(row["value_low"]) <= float(row["value"]) <= float(row["value_high"])
        assert 0 < float(row["action_error"]) < 2 and 0 <= float(row["states_beyond"]) <= 1
        assert row["q"] == "" == row["log_prob"]  # a clone has neither critics nor a density
        assert row["unseen"] == "True"
    told = json.loads((tmp_path / "choice.json").read_text())
    assert told["ranked_by"] == "FQE, lower end" and len(told["candidates"]) == 2


def test_the_last_screen_says_what_the_data_say(run):
    told = sentences(run)
    assert told[0].startswith("bc, seed 0: action error ")
    assert "rows of held-out episodes, a clone's that never saw them" in told[0]
    assert any(line.startswith("bc, seed 1: action error ") for line in told)


def test_held_out_states_ahead_stay_in_their_episode(hopper_random):
    """The last episode of the data is held out, too: nothing comes after it."""
    frames = from_transitions(hopper_random.transitions, hopper_random.episode)
    held = frames.episode >= frames.episode[-1] - 1
    found = Distances(frames, held, steps=1, hidden_sizes=(4,))
    assert len(found.starts) and (found.starts + AHEAD < len(frames.episode)).all()
    assert (frames.episode[found.starts + AHEAD] == frames.episode[found.starts]).all()


def test_the_density_of_a_policy_in_a_flow_sums_up_to_one():
    algorithm, (_, spec) = micro_plan("cnf").build(), micro.material()
    state = of_seed(program.init_state(algorithm, spec, (0,)), 0)
    edges = np.linspace(-1, 1, 4001, dtype=np.float32)
    middle = jnp.asarray((edges[1:] + edges[:-1]) / 2)[:, None]
    density = jax.jit(jax.vmap(lambda a: algorithm.log_prob(state, jnp.eye(5)[0], a)))(middle)
    assert float(jnp.sum(jnp.exp(density)) * (2 / 4000)) == pytest.approx(1.0, abs=0.02)
