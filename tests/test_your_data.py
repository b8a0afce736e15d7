"""The page on data of one's own does what it says: its scripts and commands, in their order."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cnf.cli import main
from shared import load_policy
from shared.errors import ConfigError
from shared.loading.request import load_data
from shared.runs.trained import evaluate_run

PAGE = (Path(__file__).parents[1] / "docs" / "your-data.md").read_text()
SCRIPTS = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = re.findall(r"^cnf (.*)$", PAGE, re.MULTILINE)
TINY = "--preset paper --algo bc --steps 8 --set steps_per_call=4 --set hidden_sizes=[8] "
TINY += "--set batch_size=16"


def run(command, code=0):
    more = f" {TINY}" if command.startswith("train --data") else ""
    result = CliRunner().invoke(main, (command + more).split())
    assert result.exit_code == code, result.output + repr(result.exception)
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder in which the page was followed, and what its commands said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("workshop"))
        patch.setenv("COLUMNS", "150")
        for name in ("make_logs.py", "to_hdf5.py"):
            exec(compile(SCRIPTS[name], name, "exec"), {})
        for name in ("logs.yaml", "rewards.py"):
            Path(name).write_text(SCRIPTS[name])
        yield Path.cwd(), {command: run(command) for command in COMMANDS}


def test_the_page_is_followed_from_logs_to_a_policy(workshop):
    folder, said = workshop
    assert [words.split()[0] for words in said] == ["data"] * 4 + ["train"]
    data = load_data(None, data=folder / "robot.hdf5")
    assert data.warnings == () and len(data.episode_returns) == 20
    assert 0 < data.transitions.terminal.sum() < 20  # some fall, some are stopped
    named, inspected, converted, again, trained = said.values()
    assert "report: health.html" in named and (folder / "health.html").exists()
    logs = load_data(None, data=folder / "logs.yaml")
    assert len(logs.episode_returns) == 20 and logs.attributes["control_rate"] == 10
    assert set(logs.transitions.observation[:, 0]) >= set(data.transitions.observation[:, 0])
    assert np.array_equal(logs.action_range, [[-2], [2]])
    assert "no faults found" in inspected and "20 episodes (0 unfinished)" in inspected
    assert "note:" not in converted + again
    for name in ("robot-v0", "robot.npz"):
        same = load_data(None, data=folder / name).transitions
        for a, b in zip(data.transitions, same, strict=True):
            assert np.array_equal(a, b)
    assert "the task is not named, so policies are trained but not scored" in trained
    assert "run folder: runs/robot" in trained and "score " not in trained


def test_the_policy_runs_without_a_simulator(workshop):
    found = {}
    exec(compile(SCRIPTS["deploy.py"], "deploy.py", "exec"), found)
    assert -2 <= found["torque"] <= 2
    exec(compile(SCRIPTS["my_package/robots.py"], "robots.py", "exec"), {})


def test_a_run_that_nothing_scores(workshop):
    """Its tables exist, it can be resumed, and what needs a simulator says so."""
    folder, _ = workshop
    with open(folder / "runs" / "robot" / "scores.csv") as file:
        assert list(csv.DictReader(file)) == []
    before = load_policy(folder / "runs" / "robot").act(np.zeros(2))
    run("train --resume runs/robot")
    assert np.array_equal(load_policy(folder / "runs" / "robot").act(np.zeros(2)), before)
    with pytest.raises(ConfigError, match="no simulator scores this data, whose task is not nam"):
        evaluate_run(folder / "runs" / "robot")
    run("compare runs/robot", code=4)
    command = "train --data robot.hdf5 --algo spot --online-steps 1000 --out runs/online"
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 2
    assert "no simulator is known for 'robot'; leave it out" in result.output
