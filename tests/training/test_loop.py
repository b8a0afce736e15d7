"""The training loop as a whole: tables, resume, NaN, other writers."""

import csv
import dataclasses
import json

import jax
import numpy as np
import pytest
from tiny import tiny_plan

from shared.algorithm import Phase
from shared.datasets.suspects import suspicion
from shared.errors import NonFiniteError, RunError
from shared.runs import trained
from shared.runs.resume import resume
from shared.runs.start import train_plan
from shared.training import loop

CASE = "cnf-vae"
"""Two phases with all that a phase can have, and soon compiled."""
MORE = {"pretrain_steps": 8, "steps": 12, "save_every": 4}
MORE |= {"evaluate_every": 6, "evaluate_first": True}


def bytes_of(run):
    """What two equal runs must share: scores, and metrics without times."""
    with open(run / "metrics.csv") as file:
        rows = [
            {k: v for k, v in row.items() if k not in ("seconds", "updates_per_second")}
            for row in csv.DictReader(file)
        ]
    return (run / "scores.csv").read_bytes(), rows


def arrays(run):
    _, _, _, state, _ = trained.load_state(run)
    import jax

    return [np.asarray(x) for x in jax.tree.leaves(state)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, hopper_random):
    """An uninterrupted run of both phases, two seeds."""
    return train_plan(
        tiny_plan(CASE, seeds=(0, 1), **MORE), hopper_random, tmp_path_factory.mktemp("a") / "run"
    )


def test_two_equal_runs_share_every_bit(finished, hopper_random, tmp_path):
    plan = tiny_plan(CASE, seeds=(0, 1), **MORE)
    again = train_plan(plan, hopper_random, tmp_path / "run")
    assert bytes_of(again) == bytes_of(finished)
    for x, y in zip(arrays(again), arrays(finished), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("stop_at", [4, 8, 12, 16])
def test_a_resumed_run_equals_an_uninterrupted_one(
    finished, hopper_random, tmp_path, stop_at, monkeypatch
):
    """Stopped in either phase and at their border, right after a checkpoint."""
    from shared.record import run_folder

    class Stop(BaseException):
        pass

    save = run_folder.RunFolder.save

    def save_and_stop(self, state, progress):
        name = save(self, state, progress)
        if progress["global_step"] == stop_at:
            raise Stop
        return name

    monkeypatch.setattr(run_folder.RunFolder, "save", save_and_stop)
    out = tmp_path / "run"
    with pytest.raises(Stop):
        train_plan(tiny_plan(CASE, seeds=(0, 1), **MORE), hopper_random, out)
    monkeypatch.undo()
    resume(out, load=lambda record: hopper_random)
    assert bytes_of(out) == bytes_of(finished)
    for x, y in zip(arrays(out), arrays(finished), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_tables(finished):
    with open(finished / "scores.csv") as file:
        scores = list(csv.DictReader(file))
    assert set(scores[0]) == {
        "phase", "step", "seed", "mode", "episode", "return", "score", "length", "source",
    }  # fmt: skip
    curve = [("pretrain", 0), ("pretrain", 6), ("pretrain", 8), ("policy", 14), ("policy", 20)]
    places = [(row["phase"], int(row["step"])) for row in scores]
    assert list(dict.fromkeys(places)) == curve and len(places) == len(curve) * 2 * 2
    best = json.loads((finished / "checkpoints" / "best.json").read_text())
    assert best["name"].startswith("policy")  # a clone that scores higher is no policy
    assert {row["mode"] for row in scores} == {"deterministic", "sampled"}
    assert {row["source"] for row in scores} == {"collected"}
    with open(finished / "metrics.csv") as file:
        metrics = list(csv.DictReader(file))
    assert {row["phase"] for row in metrics} == {"pretrain", "policy"}
    assert any(row["validation_nll"] for row in metrics)
    record = json.loads((finished / "run.json").read_text())
    assert record["status"] == "finished"
    assert (
        record["data"]["sha256"] and record["versions"]["jax"] and record["source"] == "collected"
    )


def test_a_new_run_never_overwrites(finished, hopper_random):
    before = bytes_of(finished)
    with pytest.raises(RunError):
        train_plan(tiny_plan(CASE), hopper_random, finished)
    assert bytes_of(finished) == before


def test_nan_stops_with_phase_and_step_and_keeps_the_last_checkpoint(hopper_random, tmp_path):
    plan = tiny_plan("bc", learning_rate=1e30, steps=40, save_every=1, steps_per_call=1)
    with pytest.raises(NonFiniteError) as caught:
        train_plan(plan, hopper_random, tmp_path / "run")
    assert "phase 'policy', step" in str(caught.value)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_numbers_of_the_data_are_blamed_where_they_are_too_large(hopper_random, tmp_path):
    rows = hopper_random.transitions
    large = dataclasses.replace(
        hopper_random, transitions=rows._replace(reward=rows.reward * np.float32(1e25))
    )
    with pytest.raises(
        NonFiniteError, match="the data's 'reward' reaches .*e\\+25 in row .*; scale or repair it"
    ):
        train_plan(tiny_plan("td3bc", steps=4), large, tmp_path / "run")


def test_a_simulator_is_blamed_for_its_own_numbers(hopper_random):
    shown = jax.tree.map(lambda x: x[None, :3], hopper_random.transitions)
    dataset = hopper_random.to_device()
    assert suspicion(dataset, shown) is None and suspicion(dataset) is None
    shown = shown._replace(reward=np.float32([[0, np.nan, 0]]))
    assert suspicion(dataset, shown).startswith("the simulator gave a reward that is not finite")


def test_a_phase_without_updates_does_not_start():
    """Its part of the state comes from elsewhere, a frozen model for example."""

    def start(state, dataset, *, key):
        raise AssertionError

    phase = Phase("model", 0, start, start, start=start)
    context = loop.Context(*[None] * 4, tiny_plan("bc").settings, None, None)
    assert loop.run_updates(context, "state", phase, loop.Position(), None) == "state"


def test_a_clone_is_scored_once_where_the_policy_begins():
    with_encoder, without = (tiny_plan(CASE, pretrain_steps=n).build() for n in (8, 0))
    assert loop.shown_before(with_encoder, 1)
    assert not loop.shown_before(without, 1)  # its encoder was taken over: nobody has scored it
    assert not loop.shown_before(with_encoder, 0)


def test_a_loaded_policy_acts(finished, hopper_random):
    observation = hopper_random.transitions.observation[0]
    policy = trained.load_policy(finished, seed=1)
    np.testing.assert_array_equal(policy.act(observation), policy.act(observation))
    sampler = trained.load_policy(finished, deterministic=False)
    assert not np.array_equal(sampler.act(observation), sampler.act(observation))
    with pytest.raises(RunError, match="has no seed 7"):
        trained.load_policy(finished, seed=7)


def test_an_evaluation_repeats(finished):
    first, second = (trained.evaluate_run(finished, episodes=1) for _ in range(2))
    assert first == second


def test_resuming_with_other_data_is_refused(finished, hopper_random):
    import dataclasses

    other = dataclasses.replace(hopper_random, sha256="0" * 64)
    with pytest.raises(RunError, match="SHA-256"):
        resume(finished, load=lambda record: other)
