"""The page of results and the compare command."""

import csv
import json
import math
import re
from dataclasses import replace
from functools import partial

import pytest
from click.testing import CliRunner

from shared.cli.compare import compare
from shared.comparison.exports import glance_markdown
from shared.comparison.lasting import lasting_markdown, lasting_of
from shared.comparison.read import read_run
from shared.comparison.results import MANY, write_results
from shared.comparison.summary import summarize
from shared.errors import RunError
from shared.studies.reporting import require_scores


def test_the_page_holds_all_that_is_needed_to_check_it(make_run, tmp_path):
    runs = [
        read_run(make_run("a").path),
        read_run(make_run("b", label="plas", source="official", sha256="ee" * 32).path),
    ]
    page = write_results(
        runs,
        tmp_path / "docs" / "results" / "hopper.md",
        title="Hopper",
        commands=["cnf train --env hopper-medium --seeds 2", "cnf compare runs"],
        notes=["A small run."],
    )
    text = page.read_text()
    assert text.startswith("# Hopper\n\nA small run.\n\n## Scores\n")
    for needed in (
        "cnf train --env hopper-medium --seeds 2\ncnf compare runs",
        "ee" * 32,
        "1234abcd" * 8,
        "official: the benchmark's own file",
        "pretrain 1,000, policy 5,000",
        "| jax | 0.10.2 |",
        "different sources",
        "![Learning curves](hopper.png)",
        "[hopper-episodes.csv](hopper-episodes.csv)",
    ):
        assert needed in text
    assert "private" not in text and str(tmp_path) not in text
    assert (page.parent / "hopper.png").stat().st_size > 5000


def test_several_environments_are_seen_at_a_glance(make_run, tmp_path):
    make = partial(make_run, spread=0.0)
    runs = [
        make("a", environment="walker2d-medium", label="BC", final={0: 10.0}),
        make("b", environment="hopper-medium", label="BC", final={0: 0.0, 1: 100.0}),
        make("c", environment="hopper-medium", label="CNF", final={0: 100.0}),
    ]
    page = write_results(
        [read_run(run.path) for run in runs], tmp_path / "page.md", title="T", commands=[]
    )
    glance = page.read_text().split("## At a glance")[1].split("##")[0]
    lines = [[cell.strip() for cell in x.split("|")] for x in glance.splitlines() if x[:1] == "|"]
    first = [line[1] for line in lines]
    assert first == ["mean score", ":--", "(data)", "BC", "CNF"]
    assert lines[0][2:4] == ["hopper-medium", "walker2d-medium"]
    assert lines[2][2:4] == ["35.0", "35.0"]
    assert lines[3][2:4] == ["50.0 (45.0)", "10.0 (5.0)"]
    assert lines[4][2:4] == ["100.0 (95.0)", "n/a"]
    rows = summarize([read_run(run.path) for run in runs])["rows"]
    own = [row._replace(score_mean=math.nan) for row in rows]
    lines = [[cell.strip() for cell in x.split("|")] for x in glance_markdown(own).splitlines()]
    assert lines[0][1] == "mean return"
    assert lines[2][2:4] == ["1,119", "1,608"]  # 35 points of each
    assert lines[3][2:4] == ["1,607 (1,444)", "461 (231)"]  # sampled: 5 points less
    assert lines[4][2:4] == ["3,234 (3,072)", "n/a"]


def test_a_column_that_lacks_methods_does_not_put_others_first(make_run):
    runs = [
        make_run("a", environment="hopper-medium", label="CNF", final={0: 10.0}),
        make_run("b", environment="walker2d-medium", label="BC", final={0: 0.0}),
        make_run("c", environment="walker2d-medium", label="CNF", final={0: 100.0}),
    ]
    rows = summarize([read_run(run.path) for run in runs])["rows"]
    lines = glance_markdown(rows).splitlines()
    assert [line.split("|")[1].strip() for line in lines[3:]] == ["BC", "CNF"]


def test_a_study_without_scores_has_no_report(make_run):
    """It says so before any run is judged, and what ranks runs without a simulator."""
    run = read_run(make_run("a").path)
    require_scores([replace(run, episodes=()), run])
    with pytest.raises(RunError, match="no simulator .* rank the runs by 'cnf choose"):
        require_scores([replace(run, episodes=())])


def test_a_page_says_whether_last_policies_hold(make_run, tmp_path):
    run = read_run(make_run("a", label="BC").path)
    keep = [e for e in run.episodes if e.mode == "deterministic"]
    shown = {0: 40.0, 1000: 80.0, 2000: 50.0, 3000: 60.0}
    episodes = tuple(
        keep[0]._replace(seed=seed, step=step, episode=0, score=score * (1 + seed))
        for seed in (0, 1)
        for step, score in shown.items()
    )
    found = lasting_of(replace(run, episodes=episodes))
    assert found == (60 / 80, (30 + 60) / 2 / 3, 4)
    assert lasting_of(replace(run, episodes=episodes[:2])) is None
    few = replace(run, label="few", episodes=episodes[:2])
    poor = tuple(e._replace(score=-1.0) for e in episodes)
    below = replace(run, label="below", episodes=poor)
    table = lasting_markdown([replace(run, episodes=episodes), few, below]).splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["BC", "below"]
    assert "0.75, 15.0" in table[2] and "n/a, 0.0" in table[3]
    assert lasting_markdown([few]) is None


def test_many_algorithms_are_paired_with_the_first_alone(make_run, tmp_path):
    labels = [f"algorithm {k}" for k in range(MANY + 1)]
    runs = [read_run(make_run(label, label=label).path) for label in labels]
    page = write_results(runs, tmp_path / "page.md", title="T", commands=[])
    pairs = page.read_text().split("## Pairs")[1].split("Raw returns")[0]
    rows = [line for line in pairs.splitlines() if line.startswith("| algorithm")]
    assert len(rows) == 2 * MANY and all("algorithm 0" in row for row in rows)


def test_the_page_has_every_raw_return(make_run, tmp_path):
    run = read_run(make_run("a").path)
    write_results([run], tmp_path / "page.md", title="T", commands=[])
    lines = list(csv.DictReader((tmp_path / "page-episodes.csv").read_text().splitlines()))
    assert len(lines) == 2 * 2 * 3
    expected = [e.return_ for e in run.episodes if e.step == 6000 and e.mode == "sampled"]
    assert [float(e["return"]) for e in lines if e["mode"] == "sampled"] == expected


def test_a_page_needs_an_evaluation(make_run, tmp_path):
    run = read_run(make_run("a", steps=()).path)
    with pytest.raises(RunError, match="no.* evaluation yet"):
        write_results([run], tmp_path / "page.md", title="T", commands=[])


def test_compare_prints_and_writes(make_run, tmp_path):
    make_run("a")
    make_run("b", label="plas")
    make_run("c", environment="walker2d-medium")
    make_run("d", environment="walker2d-medium", label="plas")
    out = tmp_path / "out"
    result = CliRunner().invoke(compare, [str(tmp_path / "runs"), "--out", str(out)])
    assert result.exception is None, result.output
    assert "walker2d-medium" in result.output and "collected 1234abcd" in result.output
    names = {"report.html", "curves.png", "profiles.png"}
    tables = {"comparison.csv", "comparison.json", "comparison.md"}
    assert {file.name for file in out.iterdir()} == names | tables
    assert len(json.loads((out / "comparison.json").read_text())["rows"]) == 8


def test_compare_shows_one_mode(make_run, tmp_path):
    path = make_run("a").path
    out = tmp_path / "out"
    result = CliRunner().invoke(compare, [str(path), "--out", str(out), "--mode", "sampled"])
    assert result.exception is None, result.output
    assert "sampled" in result.output and "deterministic" not in result.output
    assert not re.search(r"\| deterministic", (out / "comparison.md").read_text())


def test_compare_refuses_with_one_sentence(make_run, tmp_path):
    result = CliRunner().invoke(compare, [str(tmp_path), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, RunError)
    assert not (tmp_path / "out").exists()
    path = make_run("a", steps=()).path
    result = CliRunner().invoke(compare, [str(path), "--out", str(tmp_path / "out")])
    assert "no evaluation yet" in str(result.exception)
    assert not (tmp_path / "out").exists()
