"""`cnf choose` on runs of real algorithms, and the last screen of a run without a simulator."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from micro_plans import micro_plan
from tiny import tiny_plan

from cnf.cli import cli as cnf
from shared.choice.outcome import sentences
from shared.runs.start import train_plan
from shared.testing import micro
from shared.training import program


@pytest.fixture(scope="module")
def runs(hopper_random, tmp_path_factory):
    """A clone that never saw the judged episodes, and a decision transformer that saw all."""
    folder = tmp_path_factory.mktemp("runs")
    for name, more in {"bc": {"held_out_episodes": 0.2}, "dt": {}}.items():
        train_plan(tiny_plan(name, episodes=1, **more), hopper_random, folder / name)
    return folder


def test_candidates_are_ranked_from_data_alone(runs, tmp_path):
    line = ["choose", str(runs), "--updates", "4", "--members", "2", "--out", str(tmp_path)]
    result = CliRunner().invoke(cnf, line)
    assert result.exit_code == 0, result.output
    assert "Choice without a simulator" in result.output and "warning: dt learned" in result.output
    with (tmp_path / "choice.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert {row["rank"] for row in rows.values()} == {"1", "2"}
    assert (rows["bc"]["unseen"], rows["dt"]["unseen"]) == ("True", "False")
    for row in rows.values():
        assert float(row["value_low"]) <= float(row["value"]) <= float(row["value_high"])
        assert 0 < float(row["action_error"]) < 2 and 0 <= float(row["states_beyond"]) <= 1
        assert row["q"] == "" == row["log_prob"]  # neither has critics or a density
    told = json.loads((tmp_path / "choice.json").read_text())
    assert told["ranked_by"] == "FQE, lower end" and len(told["candidates"]) == 2


def test_the_last_screen_says_what_the_data_say(runs):
    (told, *_) = sentences(runs / "bc")
    assert "rows of held-out episodes, a clone's that never saw them" in told
    assert "episodes that it learned from" in sentences(runs / "dt")[0]


@pytest.mark.parametrize("name", ["cnf", "cql"])
def test_a_density_of_actions_sums_up_to_one(name):
    algorithm, (_, spec) = micro_plan(name).build(), micro.material()
    state = jax.tree.map(lambda x: x[0], program.init_state(algorithm, spec, (0,)))
    edges = np.linspace(-1, 1, 4001, dtype=np.float32)
    middle = jnp.asarray((edges[1:] + edges[:-1]) / 2)[:, None]
    density = jax.jit(jax.vmap(lambda a: algorithm.log_prob(state, jnp.eye(5)[0], a)))(middle)
    assert float(jnp.sum(jnp.exp(density)) * (2 / 4000)) == pytest.approx(1.0, abs=0.02)
