"""Agents on the frozen model of another run: alone, swept, killed and carried on."""

import csv
import dataclasses
import json

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from dreams import TINY
from long import long_but
from tiny import tiny_plan

from clap.algorithms.clap import CLAP
from clap.cli import main as clap
from cnf.cli import main as cnf
from shared.comparison.read import find_runs
from shared.errors import ConfigError, DataError, RunError
from shared.record.run_folder import RunFolder
from shared.runs import frozen_model, members, trained
from shared.runs.members import combinations
from shared.runs.plan import make_plan
from shared.runs.resume import resume
from shared.runs.start import train_plan

PART = CLAP.reusable
assert PART is not None
MODEL_KEYS = (*PART.keys, PART.steps)
MORE = {name: value for name, value in TINY.items() if name not in MODEL_KEYS} | {
    **{"evaluate_every": 4, "save_every": 2, "steps": 4, "support": 1.0},
    **{"recorded_states": "remembered"},
}
SWEPT = combinations({"support": [0.5, 2.0]})


def agent_plan(model, seeds=(0, 1), **more):
    overrides = frozen_model.model_overrides(model, MORE | more)
    return make_plan("clap", "clap", "hopper-random", seeds=seeds, overrides=overrides)


@pytest.fixture(scope="module")
def sweep(model, hopper_random, tmp_path_factory):
    """Two supports, two seeds, on that model."""
    plans = [agent_plan(model, **values) for values in SWEPT]
    frozen = frozen_model.load_model(model, plans[0], hopper_random)
    out = tmp_path_factory.mktemp("sweep") / "run"
    return members.start(plans, SWEPT, hopper_random, out, model=frozen, label="C-LAP")


def arrays(run):
    state = trained.load_state(run)[3]
    return [np.asarray(x) for x in jax.tree.leaves(state)]


def test_all_members_keep_the_frozen_model(model, sweep):
    source = trained.load_state(model)[3]
    for run in sweep:
        state = trained.load_state(run)[3]
        for name in ("normalizer", "world_model"):
            pairs = zip(*(jax.tree.leaves(getattr(s, name)) for s in (state, source)), strict=True)
            for ours, theirs in pairs:
                np.testing.assert_array_equal(ours, np.repeat(theirs, 2, axis=0))
        record = RunFolder.open(run, write=False).record
        assert record["model"]["run"] == str(model.resolve())
        assert len(record["model"]["sha256"]) == 64
        assert [p["steps"] for p in record["phases"]] == [0, 4]


def test_members_are_ordinary_runs_with_a_label_each(sweep):
    runs = find_runs([sweep[0].parent])
    assert [run.label for run in runs] == ["C-LAP, support=0.5", "C-LAP, support=2"]
    assert [run.hyperparameters["support"] for run in runs] == [0.5, 2.0]
    for run in runs:
        assert run.status == "finished" and set(run.final_episodes("sampled")) == {0, 1}
    returns = [[e.return_ for e in run.episodes] for run in runs]
    assert returns[0] != returns[1]
    actions = [trained.load_policy(run, seed=1).act(np.zeros(11, np.float32)) for run in sweep]
    assert not np.array_equal(*actions)


@pytest.mark.parametrize("saves", long_but([1, 2, 4], 2))
def test_a_killed_sweep_goes_on_to_the_same_bits(
    model, sweep, hopper_random, tmp_path, monkeypatch, saves
):
    """Killed before, between and behind the members' checkpoints of one step."""

    class Kill(BaseException):
        pass

    save, count = RunFolder.save, iter(range(10))

    def stop(run, *arguments):
        if next(count) == saves - 1:
            raise Kill
        return save(run, *arguments)

    plans = [agent_plan(model, **values) for values in SWEPT]
    frozen, out = frozen_model.load_model(model, plans[0], hopper_random), tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Kill):
        patch.setattr(RunFolder, "save", stop)
        members.start(plans, SWEPT, hopper_random, out, model=frozen, label="C-LAP")
    with pytest.raises(RunError, match="belongs to a sweep"):
        resume(out / "support=2", load=lambda _: hopper_random)
    resumed = members.resume(out, load=lambda _: hopper_random)
    for ours, theirs in zip(resumed, sweep, strict=True):
        assert (ours / "scores.csv").read_bytes() == (theirs / "scores.csv").read_bytes()
        for x, y in zip(arrays(ours), arrays(theirs), strict=True):
            np.testing.assert_array_equal(x, y)


def test_both_families_share_a_table_and_a_plot(sweep, hopper_random, tmp_path):
    cloned = tiny_plan("bc", seeds=(0, 1), evaluate_every=4, steps=8)
    other = train_plan(cloned, hopper_random, tmp_path / "bc")
    for cli, axis in ((clap, "updates"), (cnf, "hours")):
        out = tmp_path / axis
        arguments = ["compare", str(sweep[0]), str(other), "--out", str(out), "--axis", axis]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        with open(out / "comparison.csv") as file:
            rows = list(csv.DictReader(file))
        assert {row["family"] for row in rows} == {"clap", "cnf"} and len(rows) == 4
        assert (out / "curves.png").stat().st_size > 10_000
    first, second = find_runs([sweep[0], other])
    hours = second.hours(np.array([0, 4, 8]))
    assert first.family == "clap" and second.family == "cnf"
    assert hours[0] == 0 and (np.diff(hours) > 0).all()


def test_the_prior_of_a_model_is_scored_without_an_update(model, hopper_random, tmp_path):
    """A row beside its agents; a kill before the scores are written loses nothing."""
    plan = agent_plan(model, policy="prior", evaluate_first=True)
    frozen = frozen_model.load_model(model, plan, hopper_random)
    out = train_plan(plan, hopper_random, tmp_path / "run", model=frozen)
    run = RunFolder.open(out, write=False)
    assert run.record["status"] == "finished"
    with open(out / "scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * plan.settings.episodes and {row["step"] for row in rows} == {"0"}
    ours, theirs = (trained.load_state(path)[3].world_model for path in (out, model))
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(x, np.repeat(y, 2, axis=0))
    whole = (out / "scores.csv").read_bytes()
    (out / "scores.csv").write_bytes(whole.splitlines(keepends=True)[0])
    record = json.loads((out / "run.json").read_text()) | {"status": "interrupted"}
    (out / "run.json").write_text(json.dumps(record))
    resume(out, load=lambda _: hopper_random)
    assert (out / "scores.csv").read_bytes() == whole


def test_what_does_not_fit_is_refused(model, hopper_random, tmp_path):
    with pytest.raises(ConfigError, match="hidden_sizes"):
        agent_plan(model, hidden_sizes=[3])
    with pytest.raises(ConfigError, match="bc has no model"):
        frozen_model.load_model(model, make_plan("cnf", "bc", "hopper-random"), hopper_random)
    fits = agent_plan(model)
    frozen = frozen_model.load_model(model, fits, hopper_random)
    with pytest.raises(ConfigError, match="nothing is left to train"):
        train_plan(agent_plan(model, steps=0), hopper_random, tmp_path / "run", model=frozen)
    swept = combinations({"action_std": [1.0, 2.0]})
    with pytest.raises(ConfigError, match="action_std: .* belongs to the model"):
        members.start([fits] * 2, swept, hopper_random, tmp_path / "run", model=frozen)
    other = dataclasses.replace(hopper_random, sha256="0" * 64)
    with pytest.raises(DataError, match="other data"):
        frozen_model.load_model(model, fits, other)
    record = json.loads((model / "run.json").read_text())
    assert "model" not in record


@pytest.mark.parametrize("preset", ["paper", "stable", "quick", "quick-paper"])
def test_every_preset_builds(preset):
    found = make_plan("clap", "clap", "walker2d-medium", preset=preset)
    assert hash(found.build()) == hash(found.build())
    plain = (found.hyperparameters["value_members"], found.hyperparameters["data_bounds"])
    assert (plain == (1, False)) == (preset in ("paper", "quick-paper"))


def test_q_errors_of_a_world_model_are_refused_in_one_sentence(model):
    answer = CliRunner().invoke(clap, ["evaluate", str(model), "--episodes", "1", "--q-error"])
    assert answer.exit_code == RunError.exit_code
    assert "'clap' has no critic of actions to be judged." in answer.output
