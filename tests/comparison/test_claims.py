"""Readings: what they say of returns, and that every committed page says what its table says."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import shared
from shared.comparison.claims import DATA, refreshed, relate, returns_of
from shared.comparison.read import read_run
from shared.comparison.results import write_results
from shared.errors import RunError
from shared.studies.reading import committed, find_study
from shared.studies.reporting import NOT_RUN, claims_of, page_again

ROOT = Path(shared.__file__).parents[1]
RESULTS = ROOT / "docs" / "results"


def refreshed_by(name, page):
    """The page as its study's notes and claims would have it."""
    study = find_study(name, None)
    assert study.report.claims, f"{name} has no computed reading"
    return page_again(study, page)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([10.0, 12.0], [5.0, 9.0], ("above", "11.0 [10.0, 12.0]; 7.00 [5.00, 9.00]; every seed")),
        ([5.0, 9.0], [10.0, 12.0], ("below", "7.00 [5.00, 9.00]; 11.0 [10.0, 12.0]; every seed")),
        ([10.0, 20.0], [15.0, 30.0], ("level with", "15.0 [10.0, 20.0]; 22.5 [15.0, 30.0]")),
        ([1500.0], [15.0, 30.0], ("above", "1,500, 1 seed; 22.5 [15.0, 30.0]")),
        # Of 6^6 resamples few have a mean near 0: apart by their means, but not every seed.
        ([0.0, *[100.0] * 5], [10.0] * 2, ("above", "83.3 [50.0, 100.0]; 10.0 [10.0, 10.0]")),
    ],
)
def test_intervals_that_lie_apart_are_above_or_below(first, second, expected):
    assert relate(np.array(first), np.array(second)) == expected


def test_the_data_have_a_mean_and_no_seeds():
    expected = ("above", "11.0 [10.0, 12.0]; 9.50; every seed")
    assert relate(np.array([10.0, 12.0]), np.array([9.5]), points=True) == expected


def test_a_page_gets_its_readings(make_run, tmp_path):
    make = {"spread": 0.0, "environment": "hopper-medium"}
    runs = [
        read_run(make_run("a", label="CNF", final={0: 38.0, 1: 50.0}, **make).path),
        read_run(make_run("b", label="BC", final={0: 30.0, 1: 32.0}, **make).path),
    ]
    claims = [("CNF", "BC"), ("BC", DATA), ("CNF, sampled", DATA)]
    page = write_results(
        runs, tmp_path / "page.md", title="T", commands=[], notes=["A note."], claims=claims
    )
    text = page.read_text()
    assert text.startswith("# T\n\nA note.\n\n## Readings\n")
    assert [line for line in text.splitlines() if line.startswith("- ")] == [
        "- CNF: above BC on hopper-medium (1,412 [1,216, 1,607]; 988.6 [956.1, 1,021.2]; "
        "every seed).",
        "- BC: below the data on hopper-medium (988.6 [956.1, 1,021.2]; 1,119; every seed).",
        "- CNF, sampled: level with the data on hopper-medium (1,249 [1,054, 1,444]; 1,119).",
    ]
    assert refreshed(page, ["A note."], claims) == text
    assert "## Readings" not in refreshed(page, [], []) and "## Scores" in refreshed(page, [], [])
    with pytest.raises(RunError, match="'PLAS' and 'BC' share no data"):
        refreshed(page, [], [("PLAS", "BC")])


def test_two_recordings_of_one_set_are_compared_and_said_to_be_two(make_run, tmp_path):
    make = {"spread": 0.0, "environment": "hopper-medium"}
    runs = [
        read_run(make_run("a", label="CNF", final={0: 38.0, 1: 50.0}, **make).path),
        read_run(make_run("b", label="BC", final={0: 30.0, 1: 32.0}, sha256="9" * 64, **make).path),
    ]
    page, claims = tmp_path / "page.md", [("CNF", "BC")]
    write_results(runs, page, title="T", commands=[], notes=[], claims=claims)
    assert "- CNF: above BC on hopper-medium, recorded twice (1,412 [" in page.read_text()
    # A page of its own may have other data of that name.
    shutil.copy(page, tmp_path / "other.md")
    shutil.copy(tmp_path / "page-episodes.csv", tmp_path / "other-episodes.csv")
    with pytest.raises(RunError, match="share no data"):
        refreshed(page, [], [("CNF", "other.md: BC")])


def test_what_was_not_run_is_not_read():
    """Of a study that was run in part, the claims that its table can bear out."""
    study = find_study("mazes", None)
    scored = [("CNF", "maze2d-medium"), ("PLAS", "maze2d-medium"), ("BC", "maze2d-umaze")]
    assert claims_of(study, scored) == (("CNF", DATA),)
    assert ("CNF", "BC") in claims_of(study, [*scored, ("BC", "maze2d-medium")])
    wrong = replace(study, report=replace(study.report, claims=(("CFN", "CNF"),)))
    assert claims_of(wrong, scored) == (("CFN", "CNF"),)  # a mistake is not what was not run


def test_a_page_of_rows_that_were_all_run_keeps_every_claim(tmp_path):
    """Without a word of what was not run, a claim about a row that is not there is an error."""
    for name in ("mazes.md", "mazes-episodes.csv"):
        shutil.copy(RESULTS / name, tmp_path / name)
    page, study = tmp_path / "mazes.md", find_study("mazes", None)
    more = (*study.report.claims, ("CNF", "PLAS, sampled"))
    assert "- CNF: " in page_again(replace(study, report=replace(study.report, claims=more)), page)
    text = page.read_text().replace(NOT_RUN, "All was run: ")
    page.write_text(text)
    lost = (("CNF", "BC, a tenth"),)
    with pytest.raises(RunError, match="share no data"):
        page_again(replace(study, report=replace(study.report, claims=lost)), page)


PAGES = [name for name in committed() if (RESULTS / f"{name}-episodes.csv").exists()]
"""Made by a study; others are written by hand."""


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_says_what_its_table_says(name):
    page = RESULTS / f"{name}.md"
    assert page.read_text(encoding="utf-8") == refreshed_by(name, page)


@pytest.mark.parametrize("fault", ["sentence", "table"])
def test_a_claim_that_is_not_borne_out_is_found(tmp_path, fault):
    for file in ("quick.md", "quick-episodes.csv"):
        shutil.copy(RESULTS / file, tmp_path)
    page = tmp_path / "quick.md"
    text = page.read_text(encoding="utf-8")
    assert "- C-LAP: above BC on" in text
    if fault == "sentence":
        text = text.replace("- C-LAP: above BC on", "- C-LAP: below BC on")
        page.write_text(text, encoding="utf-8")
    else:
        table = tmp_path / "quick-episodes.csv"
        rows = list(csv.DictReader(table.read_text().splitlines()))
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            for row in rows:
                low = {"return": "5.0"} if row["label"] == "C-LAP" else {}
                writer.writerow(row | low)
    assert refreshed_by("quick", page) != text


def test_what_the_page_on_pixels_says_of_episodes():
    with (RESULTS / "pixels-episodes.csv").open() as file:
        returns = [float(row["return"]) for row in csv.DictReader(file)]
    assert len(returns) == 36 and round(max(returns)) == 792
    page, pair = RESULTS / "pixels.md", "C-LAP, two agents on that model"
    modes, sampled = (
        [round(x) for label in labels for x in next(iter(returns_of(page, label).values()))]
        for labels in (("C-LAP", pair), ("C-LAP, sampled", f"{pair}, sampled"))
    )
    assert (modes, sampled) == ([556, 279, 513], [383, 554, 517])
