"""One request, from wherever it comes; sweeps of anything; longer runs; what is told at the end."""

import json
from dataclasses import replace

import h5py
import jax
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from tiny import tiny_plan

import shared
from cnf.cli import main as cnf
from shared.cli.words import request_of
from shared.comparison.outcome import cloned, evaluations, sentences
from shared.comparison.read import read_run
from shared.errors import ConfigError, NonFiniteError
from shared.loading.request import DataRequest
from shared.runs import members, sweep_plan
from shared.runs.plan import Plan
from shared.runs.request import Request
from shared.runs.resume import resume
from shared.runs.start import start, train_plan, unused_rows
from shared.runs.trained import load_state
from shared.training.progress import Progress

BC = {"steps": 8, "batch_size": 16, "hidden_sizes": [8], "evaluate_every": 4, "episodes": 1}
BC |= {"save_every": 4, "steps_per_call": 4}


@pytest.fixture(scope="module")
def file(hopper_random):
    return hopper_random.path


class Told(Progress):
    """Keeps the sentences."""

    def __init__(self):
        self.sentences = []

    def tell(self, sentence):
        self.sentences.append(sentence)


def words(*line):
    """The words of a `train` command line, as click reads them."""
    return cnf.commands["train"].make_context("train", list(line)).params


def arrays(run):
    return [np.asarray(x) for x in jax.tree.leaves(load_state(run)[3])]


def test_the_command_line_and_python_ask_for_the_same(file, tmp_path):
    line = ["--algo", "bc", "--env", "hopper-random", "--data", str(file), "--seeds", "2"]
    for key, value in BC.items():
        line += ["--set", f"{key}={value}"]
    asked = request_of("cnf", words(*line))
    spoken = Request("cnf", "bc", DataRequest("hopper-random", file), seeds=(0, 1), overrides=BC)
    assert asked.plan() == spoken.plan()
    options = {"env": "hopper-random", "data": file, "overrides": BC, "seeds": 2}
    (ours,) = shared.train("cnf", "bc", out=tmp_path / "python", **options)
    result = CliRunner().invoke(cnf, ["train", *line, "--out", str(tmp_path / "line")])
    assert result.exit_code == 0, result.output
    for x, y in zip(arrays(ours), arrays(tmp_path / "line"), strict=True):
        np.testing.assert_array_equal(x, y)
    assert (ours / "scores.csv").read_bytes() == (tmp_path / "line" / "scores.csv").read_bytes()


def test_longer_later_is_the_same_as_long_from_the_start(file, tmp_path):
    data = DataRequest("hopper-random", file)
    short = Request("cnf", "bc", data, overrides=BC, out=tmp_path / "short")
    (whole,) = start(Request("cnf", "bc", data, overrides=BC | {"steps": 16}, out=tmp_path / "all"))
    (run,) = start(short)
    (run,) = resume(run, steps=16)
    for x, y in zip(arrays(run), arrays(whole), strict=True):
        np.testing.assert_array_equal(x, y)
    assert (run / "scores.csv").read_bytes() == (whole / "scores.csv").read_bytes()
    record = json.loads((run / "run.json").read_text())
    assert [(x["from"], x["to"]) for x in record["extensions"]] == [(8, 16)]
    assert record["phases"] == [{"name": "policy", "steps": 16}]
    assert yaml.safe_load((run / "config.yaml").read_text())["hyperparameters"]["steps"] == 16
    assert read_run(run).phases == (("policy", 16),)
    (cost,) = read_run(run).origins
    assert cost.parameters == (11 + 1) * 8 + (8 + 1) * 3
    assert cost.cores > 0 and cost.peak_memory > 0 and cost.command
    with pytest.raises(ConfigError, match="planned for 16; give a larger number"):
        resume(run, steps=16)


def test_a_schedule_that_ends_with_the_steps_is_told(hopper_random, tmp_path):
    settings = {"steps": 4, "steps_per_call": 4, "save_every": 4, "evaluate_every": 100}
    run = train_plan(tiny_plan("iql", **settings), hopper_random, tmp_path / "run")
    told = Told()
    resume(run, steps=8, load=lambda _: hopper_random, progress=told)
    assert any("cosine_decay ended at update 4" in sentence for sentence in told.sentences)
    assert any(
        "continuing at update 4 of 8 of phase 'policy'" in sentence for sentence in told.sentences
    )


@pytest.mark.long
def test_floats_share_a_program_without_a_model(hopper_random, tmp_path):
    """Each member ends where a run of its own value alone ends."""
    options = {"steps": 6, "evaluate_every": 100}
    swept = members.combinations({"alpha": [1.0, 3.0]})
    plans = [tiny_plan("td3bc", **options, **values) for values in swept]
    assert sweep_plan.why_apart(plans, swept, hopper_random.spec, hopper_random.to_device()) is None
    paths = members.start(plans, swept, hopper_random, tmp_path / "sweep")
    assert [path.name for path in paths] == ["alpha=1", "alpha=3"]
    alone = train_plan(plans[1], hopper_random, tmp_path / "alone")
    for x, y in zip(arrays(paths[1]), arrays(alone), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=1e-5)
    assert Plan.from_dict(yaml.safe_load((paths[0] / "config.yaml").read_text())) == plans[0]
    sizes = [read_run(path).origins[0].parameters for path in (*paths, alone)]
    assert len(set(sizes)) == 1 and sizes[0]


def test_sizes_are_swept_one_after_another_and_resumed(file, tmp_path):
    data = DataRequest("hopper-random", file)
    sweep = {"hidden_sizes": [[8], [8, 8]]}
    out = tmp_path / "sweep"
    paths = start(Request("cnf", "bc", data, overrides=BC, sweep=sweep, out=out, label="BC"))
    assert [path.name for path in paths] == ["hidden_sizes=8", "hidden_sizes=8-8"]
    assert [read_run(path).label for path in paths] == [f"BC, {path.name}" for path in paths]
    (alone,) = start(Request("cnf", "bc", data, overrides=BC, out=tmp_path / "alone"))
    for x, y in zip(arrays(paths[0]), arrays(alone), strict=True):
        np.testing.assert_array_equal(x, y)
    record = paths[1] / "run.json"  # as a kill leaves it
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "running"}))
    before = (paths[0] / "run.json").stat().st_mtime_ns
    assert read_run(paths[1]).status == "stopped"
    assert resume(out) == paths
    assert [read_run(path).status for path in paths] == ["finished"] * 2
    assert (paths[0] / "run.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        ("tau", "is not of the form"),
        ("tau=0.1,0.1", "each value once"),
        ("episodes=1,2", "is a setting of the run"),
        ("tua=1,2", "the nearest valid name is 'tau'"),
    ],
)
def test_wrong_sweeps_are_one_sentence(file, tmp_path, sweep, sentence):
    line = ["train", "--algo", "td3bc", "--env", "hopper-random", "--data", str(file)]
    result = CliRunner().invoke(cnf, [*line, "--sweep", sweep, "--out", str(tmp_path / "run")])
    assert result.exit_code == 2 and sentence in result.output, result.output


def test_the_last_screen_warns_of_a_policy_below_its_data(file, tmp_path):
    data, out = DataRequest("hopper-random", file), tmp_path / "runs"
    (cloned,) = start(Request("cnf", "bc", data, overrides=BC, out=out / "bc-paper"))
    told = " ".join(sentences(read_run(cloned)))
    assert "data: mean" in told and "90 % of the episodes below" in told
    assert "last of 2 evaluations" in told
    run = read_run(cloned)
    low = [e._replace(return_=-1e3) for e in run.episodes]
    poor = " ".join(sentences(run.__class__(**{**run.__dict__, "episodes": tuple(low)})))
    assert "warning: the policy returns less than its data do on average" in poor


def test_without_a_simulator_the_losses_are_told(file, tmp_path):
    anonymous = tmp_path / "arm.hdf5"
    anonymous.write_bytes(file.read_bytes())
    with h5py.File(anonymous, "r+") as opened:
        for name in list(opened.attrs):
            del opened.attrs[name]
    line = ["train", "--algo", "bc", "--data", str(anonymous), "--out", str(tmp_path / "run")]
    for key, value in BC.items():
        line += ["--set", f"{key}={value}"]
    result = CliRunner().invoke(cnf, line)
    assert result.exit_code == 0, result.output
    assert "note: rows=" not in result.output
    assert "no simulator scored this policy; phase 'policy' went: " in result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"seeds": [1, 1]}, r"\[1, 1\] has a number twice"),
        ({"seeds": True}, "seeds is True; write how many"),
        ({"steps": 2}, "no argument 'steps'; values of --set go into overrides={'steps': ...}"),
        ({"sweep": "alpha=1,2"}, "sweep is 'alpha=1,2'; write a dictionary"),
    ],
    ids=str,
)
def test_wrong_arguments_from_python_are_one_sentence(file, tmp_path, words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        shared.train("cnf", "bc", **{"data": file, "out": tmp_path / "run"} | words)


@pytest.mark.parametrize("seeds", [np.int64(2), np.arange(2), range(2), (np.int32(0), 1)], ids=str)
def test_whole_numbers_of_numpy_are_seeds(file, tmp_path, seeds):
    run = shared.train("cnf", "bc", data=file, out=tmp_path / "run", seeds=seeds, overrides=BC)
    assert [*read_run(run[0]).seeds] == [0, 1]


def test_rows_of_a_file_that_is_read_whole_are_told_as_unused(hopper_random, file):
    asked = Request("cnf", "bc", DataRequest("hopper-random", file), overrides={"rows": 7})
    told = unused_rows(asked, hopper_random)
    assert told is not None and f"all {hopper_random.rows:,} are used" in told
    recorded = replace(asked, data=DataRequest("hopper-random"))
    assert unused_rows(recorded, replace(hopper_random, source="collected")) is None
    assert unused_rows(replace(asked, overrides={}), hopper_random) is None


def test_a_member_that_fails_does_not_keep_the_others_from_training(file, tmp_path):
    data, out = DataRequest("hopper-random", file), tmp_path / "sweep"
    sweep, told = {"learning_rate": [1e30, 1e-3], "hidden_sizes": [[8]]}, Told()
    with pytest.raises(NonFiniteError, match="1 of the 2 members of the sweep failed .lea"):
        start(Request("cnf", "bc", data, overrides=BC, sweep=sweep, out=out), progress=told)
    assert any("one after another, because 'hidden_sizes' is no float" in x for x in told.sentences)
    statuses = [
        read_run(out / f"learning_rate={x},hidden_sizes=8").status for x in ("1e+30", "0.001")
    ]
    assert statuses == ["failed", "finished"]


def test_values_of_one_name_are_refused_before_a_folder_is_made(file, tmp_path):
    data, out = DataRequest("hopper-random", file), tmp_path / "sweep"
    sweep = {"learning_rate": [0.1234567891, 0.1234567892]}
    with pytest.raises(ConfigError, match="two values have one name"):
        start(Request("cnf", "bc", data, overrides=BC, sweep=sweep, out=out))
    assert not out.exists()


@pytest.mark.long
def test_cloning_beside_a_run_or_a_sweep_is_found_and_damage_there_is_no_fault(file, tmp_path):
    data, out = DataRequest("hopper-random", file), tmp_path / "runs"
    (cloned_run,) = start(Request("cnf", "bc", data, overrides=BC, out=out / "bc"))
    (out / "a-broken-one").mkdir()
    (out / "a-broken-one" / "run.json").write_text("{")
    small = {k: v for k, v in BC.items() if k != "hidden_sizes"}
    small |= {"actor_hidden_sizes": [8], "critic_hidden_sizes": [8]}
    asked = Request("cnf", "td3bc", data, overrides=small, out=out / "td3bc")
    (run,) = start(asked)
    (member,) = start(replace(asked, sweep={"alpha": [1.0]}, out=out / "sweep"))
    mean = evaluations(read_run(cloned_run))[-1]
    assert cloned(read_run(run)) == cloned(read_run(member)) == mean
    assert cloned(read_run(cloned_run)) is None
