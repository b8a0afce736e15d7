"""Suites: what they hold, their plan, and training them through failures and resumption."""

import json

import pytest
from click.testing import CliRunner
from long import long_but

from clap.cli import main as clap
from cnf.cli import main as cnf
from shared.behavior.record import record as record_file
from shared.data import suites
from shared.data.catalog import CATALOG
from shared.environments.tasks import ENVIRONMENTS
from shared.errors import ConfigError
from shared.loading.places import collected_path
from shared.runs import estimates
from shared.runs.plan import make_plan as plan

FAMILY_SETS = {"vd4rl": 8, "vd4rl-humanoid": 4, "clap-d4rl": 16, "d4rl": 12, "d4rl-locomotion": 9}


@pytest.mark.wheel
def test_every_suite_holds_known_data_sets():
    for name, patterns in suites.suites().items():
        found = suites.data_sets(name)
        assert found and set(found) <= set(CATALOG)
        assert all(any(suites.fnmatch.fnmatch(x, p) for x in found) for p in patterns)
        assert len(found) == FAMILY_SETS.get(name, len(found))
    with pytest.raises(ConfigError, match="nearest name is 'vd4rl'"):
        suites.data_sets("vd4r")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--benchmark", "v4rl"], "suite 'v4rl' does not exist; the nearest name is"),
        (["--benchmark", "d4rl", "--env", "hopper-medium"], "leave out --env"),
        (["--benchmark", "d4rl", "--resume", "run"], "leave out --resume"),
        (["--benchmark", "d4rl", "--data", "file"], "leave out --data"),
        (["--env", "hopper-medium", "--dry-run"], "--dry-run needs --benchmark"),
    ],
)
def test_contradictions_are_one_sentence(options, expected):
    result = CliRunner().invoke(clap, ["train", *options])
    assert result.exit_code == 2 and expected in result.output and result.output.count("\n") == 1


def test_a_plan_is_printed_and_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    options = [
        "--benchmark",
        "vd4rl",
        "--algo",
        "bc",
        "--dry-run",
        "--data-dir",
        str(tmp_path / "data"),
    ]
    result = CliRunner().invoke(cnf, ["train", *options, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    for text in ("walker_walk-medium_replay", "to record", "policy 100,000", "left to do"):
        assert text in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("seen", "unit"), [((), "frames"), (("--observation", "state"), "rows")])
def test_vd4rl_is_seen_in_pixels_unless_states_are_asked_for(tmp_path, seen, unit):
    """`clap train --benchmark vd4rl`, and what its plan says of data, updates and memory."""
    line = ["train", "--benchmark", "vd4rl", "--preset", "quick", "--dry-run", *seen]
    result = CliRunner().invoke(clap, [*line, "--data-dir", str(tmp_path)], env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert unit in result.output.splitlines()[2], result.output
    assert ("agent 3,000" in result.output) == (unit == "frames")


@pytest.mark.parametrize(("family", "algorithm"), [("clap", "clap"), ("cnf", "bc")])
@pytest.mark.parametrize("suite", long_but(suites.suites(), "d4rl-locomotion", "vd4rl", "maze2d"))
def test_every_suite_has_a_plan(tmp_path, family, algorithm, suite):
    line = ["train", "--benchmark", suite, "--algo", algorithm, "--preset", "quick", "--dry-run"]
    cli = {"clap": clap, "cnf": cnf}[family]
    result = CliRunner().invoke(cli, [*line, "--data-dir", str(tmp_path)])
    assert result.exit_code == 0 and "left to do" in result.output, result.output


def test_estimates_count_every_product():
    """Behaviour cloning: one network, forwards and twice backwards but to its input."""
    overrides = {"steps": 10, "batch_size": 32, "hidden_sizes": [16]}
    found = plan("cnf", "bc", "hopper-medium", seeds=3, overrides=overrides)
    costs = estimates.costs(found, ENVIRONMENTS["hopper"])
    assert costs.operations == 3 * 10 * 2 * 32 * (2 * 11 * 16 + 3 * 16 * 3)
    assert costs.seconds(1e3) == estimates.OVERHEAD * costs.operations / 1e3
    device, host = costs.memory(1000)
    assert device > host == 1000 * (4 * (11 + 3 + 1 + 11) + 1)
    slower = plan("cnf", "bc", "hopper-expert", seeds=3, overrides=overrides | {"steps": 20})
    other = plan("cnf", "bc", "hopper-expert", seeds=3, overrides=overrides)
    keys = [estimates.shapes_of(p, ENVIRONMENTS["hopper"]) for p in (found, other, slower)]
    assert keys[0] == keys[1] != keys[2]


def test_training_says_how_long_it_will_take(hopper_random):
    found = plan("cnf", "plas", "hopper-medium", overrides={"pretrain_steps": 20, "steps": 0})
    once = estimates.forecast([found], hopper_random.spec)
    assert once.startswith("training takes about ") and "20 of pretrain" in once
    assert " for 2 runs: " in estimates.forecast([found, found], hopper_random.spec)


def test_a_suite_goes_on_after_failures_and_kills(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    names = ["hopper-random", "walker2d-random"]
    monkeypatch.setattr(suites, "suites", lambda: {"two": names})
    for name in names:
        path = collected_path(name, 2000, 0, tmp_path / "data")
        path.parent.mkdir(parents=True, exist_ok=True)
        record_file(name, 2000, seed=0, path=path, workers=1)
    out = tmp_path / "out"
    settings = {"rows": 2000, "episodes": 1, "evaluate_every": 4, "hidden_sizes": "[8]"}
    options = ["train", "--benchmark", "two", "--algo", "bc", "--steps", "4", "--out", str(out)]
    options += ["--source", "collected", "--data-dir", str(tmp_path / "data")]
    for key, value in settings.items():
        options += ["--set", f"{key}={value}"]

    (out / names[0]).mkdir(parents=True)
    stray = out / names[0] / "notes.txt"
    stray.write_text("mine")
    result = CliRunner().invoke(cnf, options)
    assert result.exit_code == 1, result.output
    assert "1 of 2 data sets failed (hopper-random: " in result.output
    assert stray.exists() and (out / "comparison" / "curves.png").exists()

    stray.unlink()
    record = out / names[1] / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "running"}))
    result = CliRunner().invoke(cnf, options)
    assert result.exit_code == 0, result.output
    assert "unfinished" in result.output and "2 shared environments" in result.output
    runs = {name: json.loads((out / name / "run.json").read_text()) for name in names}
    assert [run["status"] for run in runs.values()] == ["finished"] * 2
    table = (out / "comparison" / "comparison.csv").read_text()
    assert all(name in table for name in names)

    before = record.stat().st_mtime_ns
    result = CliRunner().invoke(cnf, options)
    assert result.exit_code == 0 and record.stat().st_mtime_ns == before
    result = CliRunner().invoke(cnf, [*options, "--seeds", "2"])
    assert result.exit_code == 4 and "was begun with seeds [0], not [0, 1]" in result.output
