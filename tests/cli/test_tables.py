"""The tables of `data list` and `algorithms` on a narrow terminal, and lines in place of bars."""

import json
import re

import pytest
from click.testing import CliRunner
from tiny import tiny_plan

from clap.cli import main as clap
from cnf.cli import main as cnf
from shared.cli.algorithms import settable
from shared.data.catalog import datasets
from shared.runs import registry
from shared.runs.start import train_plan
from shared.training.progress import loading_bar


@pytest.fixture(params=["80", "120"])
def shown(request, monkeypatch):
    """`shown(main, *arguments)`: the lines of a command on a terminal of that width."""
    monkeypatch.setenv("COLUMNS", request.param)

    def run(main, *arguments):
        result = CliRunner().invoke(main, [str(x) for x in arguments])
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert max(map(len, lines)) <= int(request.param)
        return lines

    return run


def test_data_sets_are_listed_whole(shown, tmp_path):
    names = ("hopper-medium-200000-seed0.hdf5", "walker_walk-medium_expert-64px-100000-fast-seed0")
    (tmp_path / "collected").mkdir()
    (tmp_path / "collected" / names[0]).write_bytes(bytes(3 << 20))
    (tmp_path / "collected" / names[1]).mkdir()
    rows = [
        re.split(r" {2,}", line.strip())
        for line in shown(cnf, "data", "list", "--data-dir", tmp_path)
    ]
    assert ["hopper-medium", "collected 200000-seed0", "3.0 MiB"] in rows
    assert ["walker_walk-medium_expert", "collected 64px-100000-fast-seed0", "0.0 MiB"] in rows
    assert ["scored by dm_control/humanoid-walk"] in rows
    assert set(datasets()) <= {row[0] for row in rows}


@pytest.mark.parametrize(("family", "main"), [("cnf", cnf), ("clap", clap)])
def test_algorithms_are_listed_without_a_broken_word(shown, family, main):
    text = " ".join(" ".join(shown(main, "algorithms")).split())
    for name, algorithm in registry.algorithms(family).items():
        assert f"{name} {algorithm.title} {algorithm.paper} " in text


def test_an_algorithm_shows_values_as_set_takes_them(shown):
    text = "\n".join(shown(cnf, "algorithms", "cnf", "--env", "hopper-medium"))
    assert re.search(r"actor_hidden_sizes +│ \[256,256\] ", text)
    assert "phases and their updates: pretrain 100k, policy 1M" in text
    assert re.search(r"latent_clip +│ null ", text) and re.search(r"layer_norm +│ false ", text)


def test_returns_of_an_evaluation_say_what_they_are_of(shown, hopper_random, tmp_path):
    plan = tiny_plan("bc", seeds=(0, 1), steps=4)
    run = train_plan(plan, hopper_random, tmp_path / "run")
    lines = shown(cnf, "evaluate", run, "--episodes", "2")
    rows = [match for line in lines if (match := re.match(r"  (\d) (\w+) +(.*)", line))]
    heads = [(seed, mode) for seed in "01" for mode in ("deterministic", "sampled")]
    assert [row.groups()[:2] for row in rows] == heads
    cells = [row[3].split() for row in rows]  # episodes, return, std, score, length
    assert {(len(row), row[0]) for row in cells} == {(5, "2")}
    assert all(float(row[1].replace(",", "")) > 0 for row in cells)
    text = " ".join(" ".join(lines).split())
    assert (
        "bc on hopper-random (data: collected), policy after 4 updates. Return: raw sum of rewards"
        in text
    )
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    lines = shown(cnf, "evaluate", run, "--episodes", "1")
    assert "updates of a run that is interrupted." in " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), ((64, 32), "[64,32]"), (3e-4, "0.0003"), ("raw", "raw")],
)
def test_settable(value, text):
    assert settable(value) == text


def test_a_data_set_that_does_not_exist_has_no_values():
    result = CliRunner().invoke(cnf, ["algorithms", "cnf", "--env", "hoper-medium"])
    assert result.exit_code == 3 and "did you mean 'hopper-medium'" in result.output


def test_without_a_terminal_a_line_says_what_begins(capsys):
    with loading_bar("hopper-medium") as update:
        update("collect", 0, 1_000_000)
        update("collect", 500_000, 1_000_000)
    assert capsys.readouterr().err == "recording hopper-medium: 1,000,000 rows\n"
    with loading_bar("hopper-medium"):
        pass
    assert capsys.readouterr().err == ""
