"""Rows, notes and exports."""

import csv
import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from shared.comparison.across import make_aggregates, make_pairs
from shared.comparison.exports import cells, markdown, write_csv, write_json
from shared.comparison.read import read_run
from shared.comparison.record import pool
from shared.comparison.rows import make_notes, make_rows
from shared.comparison.statistics import bootstrap_interval, mean
from shared.comparison.summary import summarize, summary_markdown
from shared.comparison.table import print_averages, print_table


def read(*made):
    return pool([read_run(m.path) for m in made])


def printed(runs, width: int = 180, **options) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(runs, console=console, **options)
    return console.file.getvalue()


def test_a_row_has_both_units_and_both_modes(make_run):
    final = {0: 40.0, 1: 50.0, 2: 60.0, 3: 10.0}
    deterministic, sampled = make_rows(read(make_run("a", final=final)))
    assert (deterministic.mode, sampled.mode) == ("deterministic", "sampled")
    assert deterministic.score_mean == pytest.approx(40.0)
    assert deterministic.score_iqm == pytest.approx(45.0)
    assert deterministic.return_mean == pytest.approx(-20.272305 + 0.4 * 3254.572305)
    expected = bootstrap_interval(mean, [np.array([40.0, 50.0, 60.0, 10.0])])
    assert deterministic.score_interval == pytest.approx(expected)
    assert sampled.score_mean == pytest.approx(35.0)
    assert (sampled.seeds, sampled.step, sampled.episodes) == ((0, 1, 2, 3), 6000, 12)
    # Of the 4^4 resamples, 5 (2.0 %) have means up to 17.5 and 9 (3.5 %) up to 20.
    assert cells(deterministic) == [
        "hopper-medium", "cnf", "cnf", "collected 1234abcd", "deterministic", "4", "6,000",
        "1,281.6", "40.0", "[20.0, 55.0]", "45.0", "35.0",
    ]  # fmt: skip


def test_a_single_seed_has_no_interval(make_run, tmp_path):
    rows = make_rows(read(make_run("a", final={7: 40.0})), "deterministic")
    assert rows[0].score_interval is None
    assert "n/a (1 seed)" in markdown(rows)
    write_csv(rows, tmp_path / "t.csv")
    (line,) = csv.DictReader((tmp_path / "t.csv").read_text().splitlines())
    assert (line["score_low"], line["seeds"]) == ("", "7")
    assert float(line["score_mean"]) == pytest.approx(40.0)


def test_sources_are_shown_and_mixing_them_is_noted(make_run):
    same = read(make_run("a"), make_run("b", label="other"))
    assert not any("different" in note for note in make_notes(same))
    assert "collected 1234abcd" in printed(same)
    files = read(make_run("a"), make_run("b", label="other", sha256="ff" * 32))
    assert "hopper-medium: rows come from different data files" in printed(files)
    sources = read(make_run("a"), make_run("b", label="other", source="official"))
    text = printed(sources)
    assert "rows come from data of different sources (collected 1234abcd, official" in text
    assert "not the benchmark's file" in text
    apart = read(make_run("a"), make_run("b", environment="walker2d-medium", source="official"))
    assert not any("rows come" in note for note in make_notes(apart))


def test_unfinished_and_uneven_runs_are_noted(make_run):
    made = make_run("a", final={0: 1.0, 1: 2.0, 2: 3.0})
    made.record["status"] = "failed"
    made.scores = [
        line
        for line in made.scores
        if ",2,deter" not in line and ",2,samp" not in line and "6000,1," not in line
    ]
    made.write()
    other = make_run("b", label="other")
    other.config["preset"] = "paper"
    other.write()
    notes = "\n".join(make_notes(read(made, other)))
    assert "the run is failed" in notes
    assert "no evaluation of seed 2" in notes
    assert "deterministic seeds were last scored at different updates [4000, 6000]" in notes
    assert "presets differ (quick, paper)" in notes


def test_labels_are_shown_as_they_are(make_run):
    runs = read(make_run("a", label="[red]a|b](x) $1$"))
    assert "[red]a|b](x) $1$" in printed(runs)
    assert "[red]a\\|b]\\(x) $1$" in markdown(make_rows(runs))


def test_json_is_strict_and_csv_is_unrounded(make_run, tmp_path):
    made = make_run("a")
    runs = read(made, make_run("b", label="plas", final={0: 30.0, 1: 20.0}))
    summary = summarize(runs)
    write_json(summary, tmp_path / "t.json")

    def refuse(name):
        raise ValueError(name)

    content = json.loads((tmp_path / "t.json").read_text(), parse_constant=refuse)
    assert [row["label"] for row in content["rows"]] == ["cnf", "cnf", "plas", "plas"]
    assert content["pairs"][0]["difference"] == pytest.approx(20.0)
    write_csv(summary["rows"], tmp_path / "t.csv")
    lines = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert float(lines[0]["return_mean"]) == summary["rows"][0].return_mean
    assert {line["source"] for line in lines} == {"collected"}


def without_scores(made):
    """The same run in a task that has no reference returns."""
    rows = [line.split(",") for line in made.scores]
    made.scores = [",".join(rows[0])] + [",".join([*r[:6], "", *r[7:]]) for r in rows[1:]]
    made.record["data"]["mean_score"] = None
    made.write()
    return made


def test_scores_that_do_not_exist_are_not_invented(make_run, tmp_path):
    made = without_scores(make_run("a"))
    (row,) = make_rows(read(made), "sampled")
    low, high = (-20.272305 + share * 3254.572305 for share in (0.35, 0.45))
    assert row.return_interval == pytest.approx((low, high))
    assert cells(row)[7:] == ["1,281.6", "n/a", "[1,118.8, 1,444.3]", "1,281.6", "n/a"]
    write_csv([row], tmp_path / "t.csv")
    write_json([row], tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text())[0]["score_mean"] is None
    assert not make_pairs(read(made))


def test_returns_and_their_intervals_stand_in_for_scores(make_run):
    scores = np.array([10.0, 20.0, 30.0, 90.0])
    text = printed(read(without_scores(make_run("a", final=dict(enumerate(scores.tolist()))))))
    low, high = bootstrap_interval(mean, [-20.272305 + 32.54572305 * scores])
    assert line_of(text, "environment") == ["environment", "return", "95 % interval", "IQM"]
    # The IQM drops the lowest and the highest: 25 points.
    assert line_of(text, "cnf") == ["cnf", "1,200 (1,037)", f"[{low:,.0f}, {high:,.0f}]", "793"]
    assert line_of(text, "data,") == ["data, collected 1234abcd", "1,119"]
    assert "interval and IQM of the return" in text and "n/a" not in text


NAMES = ("walker_walk-medium_expert", "halfcheetah-medium-replay")
LABELS = ("C-LAP-flow, prior as policy", "offline-dv2", "CNF (normal base)")


def line_of(text: str, start: str) -> list[str]:
    """The cells of the one line that begins so."""
    (line,) = [line.strip() for line in text.splitlines() if line.strip().startswith(start)]
    return re.split(r" {2,}", line)


@pytest.mark.parametrize("width", [80, 120])
def test_six_runs_of_long_names_fit_the_terminal(make_run, monkeypatch, width):
    reference = {"halfcheetah": (-280.0, 12135.0), "walker_walk": (0.0, 1000.0)}
    monkeypatch.setattr("tests.comparison.conftest.REFERENCE", reference)
    made = []
    for name in NAMES:
        for k, label in enumerate(LABELS):
            final = dict.fromkeys(range(k + 1), 100.0)
            steps = (1000, 2000, 1_000_000 * (k + 1))
            folder = f"{name} {k}"
            made.append(make_run(folder, environment=name, label=label, final=final, steps=steps))
    text = printed(read(*made), width=width)
    assert max(map(len, text.splitlines())) <= width
    table = text.split("Policy mode:")[0].splitlines()
    assert len(table) == 2 + len(NAMES) * (2 + len(LABELS))  # no row takes two lines
    for name in NAMES:
        assert line_of(text, name) == [name]
    for k, label in enumerate(LABELS):
        rows = [re.split(r" {2,}", x.strip()) for x in table if x.strip().startswith(label)]
        assert len(rows) == len(NAMES)
        for row in rows:
            assert row[:2] == [label, "100.0 (95.0)"]
            assert row[-2:] == [str(k + 1), f"{k + 1}M"]
    assert "Preset: quick." in text
    shown = line_of(text, "environment")[3:-2]
    assert shown == ([] if width == 80 else ["IQM", "return"])
    assert ("No room for IQM and return" in " ".join(text.split())) == (width == 80)


def test_a_phone_shows_scores_alone(make_run):
    made = [
        make_run(x, label=x, final=dict.fromkeys(range(k + 1), 1.0)) for k, x in enumerate("ab")
    ]
    text = printed(read(*made), width=40)
    assert max(map(len, text.splitlines())) <= 40
    assert line_of(text, "environment") == ["environment", "score"]
    table = text.split("Policy mode:")[0].splitlines()
    assert len(table) == 6  # no row takes two lines
    assert "No room for 95 % interval, IQM, return and seeds" in " ".join(text.split())


def test_averages_fit_the_terminal(make_run):
    made = [
        make_run(f"{label} {name}", label=label, environment=name)
        for label in LABELS
        for name in ("hopper-medium", "walker2d-medium")
    ]
    console = Console(file=io.StringIO(), width=80)
    print_averages(make_aggregates(read(*made)), console=console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    row = line_of(text, LABELS[0])
    assert row == [LABELS[0], "45.0 (40.0)", "[40.0, 50.0]", "45.0 (40.0)"]


def test_aggregates_are_over_shared_environments_only(make_run):
    runs = read(
        make_run("a", final={0: 40.0, 1: 50.0}),
        make_run("b", final={0: 60.0, 1: 80.0}, environment="walker2d-medium"),
        make_run("c", final={0: 99.0, 1: 99.0}, environment="hopper-expert"),
        make_run("d", final={0: 30.0, 1: 20.0}, label="plas"),
        make_run("e", final={0: 10.0, 1: 20.0}, label="plas", environment="walker2d-medium"),
    )
    cnf, plas = (a for a in make_aggregates(runs) if a.mode == "deterministic")
    assert cnf.environments == ("hopper-medium", "walker2d-medium")
    assert (cnf.score_mean, plas.score_mean) == pytest.approx((57.5, 20.0))
    assert cnf.score_interval == pytest.approx((50.0, 65.0))
    pair = make_pairs(runs)[0]
    assert (pair.first, pair.second) == ("cnf", "plas")
    assert pair.improvement == pytest.approx(1.0)
    assert pair.difference == pytest.approx(37.5)
    text = summary_markdown(summarize(runs))
    assert "## All environments" in text and "## Pairs" in text


def test_pairs_of_other_seeds_have_no_paired_difference(make_run):
    runs = read(make_run("a"), make_run("b", label="plas", final={0: 30.0, 2: 20.0}))
    pair = make_pairs(runs)[0]
    assert pair.difference is None and pair.improvement == pytest.approx(1.0)
    assert "n/a (other seeds)" in summary_markdown(summarize(runs))
