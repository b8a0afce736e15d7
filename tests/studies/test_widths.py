"""Swept widths of boxes from training to figure: judged once, in one unit, with the clone at 0."""

import math

import numpy as np
import pytest
from tiny import SMALL, TINY, tiny_plan

from shared.algorithm import LearnedReward
from shared.choice.judged import earned, judge_all
from shared.comparison.judged import read_judged
from shared.comparison.results import write_results
from shared.comparison.sweeps import BOX, find_lines
from shared.runs import registry
from shared.runs.q_errors import Rollout
from shared.studies.folder import freeze
from shared.studies.jobs import make_jobs, to_plain
from shared.studies.reading import make_study
from shared.studies.reporting import runs_of
from shared.studies.work import work
from shared.training.progress import Progress

ROWS = {
    "PLAS alone": {"algorithm": "plas", "set": {"steps": 1}},
    "PLAS": {
        "algorithm": "plas",
        "model_from": "PLAS alone",
        "sweep": {"latent_clip": [0.2, 1.0, 2.0]},
    },
}


@pytest.fixture(scope="module")
def study(hopper_random, tmp_path_factory):
    """A finished study: its jobs, its report, and what the command said of it."""
    rows = {}
    for label, row in ROWS.items():
        known = registry.find("cnf", row["algorithm"]).__dataclass_fields__
        small = {key: value for key, value in SMALL.items() if key in known}
        if "model_from" in row:  # the encoder's own values come with it
            small = {key: small[key] for key in ("actor_hidden_sizes", "critic_hidden_sizes")}
        rows[label] = row | {"set": TINY | {"steps": 2} | small | row.get("set", {})}
    document = {
        "title": "T",
        "data": [{"name": "hopper-random", "file": str(hopper_random.path)}],
        "rows": rows,
        "controls": {"BC": {"algorithm": "bc", "set": TINY | {"hidden_sizes": [8], "steps": 2}}},
    }
    out = tmp_path_factory.mktemp("studies") / "widths"
    made = make_study(document, "widths", "widths.yaml", {})
    freeze(made, out)
    jobs = make_jobs(made, out)
    ordered = sorted(jobs, key=lambda job: job.after is not None)
    assert [work(to_plain(job.request), Progress()).error for job in ordered] == [None] * len(jobs)
    told = []
    judge_all((folder for job in jobs for folder in job.members), told.append)
    return jobs, told


@pytest.mark.long
def test_every_run_is_judged_once(study):
    jobs, told = study
    assert len([sentence for sentence in told if sentence.startswith("judging ")]) == 5
    again = []
    judge_all((folder for job in jobs for folder in job.members), again.append)
    assert not again
    runs = {run.label: read_judged(run)[0] for run in runs_of(jobs)}
    for width in (0.2, 1, 2):
        one = runs[f"PLAS, latent_clip={width:g}"]
        assert one.width == pytest.approx(width) and 0 <= one.beyond <= 1
        assert one.value_error is not None and math.isfinite(one.value_error)
    cloned = runs["BC"]
    assert cloned.width is None and cloned.value_error is None and cloned.distance > 0


@pytest.mark.long
def test_the_figure_and_its_points_are_on_the_page(study, tmp_path):
    jobs, _ = study
    (line,) = find_lines(runs_of(jobs), "deterministic")
    assert (line.sweep.label, line.axis, line.places) == ("PLAS", BOX, (0.2, 1.0, 2.0))
    assert line.clone is not None and line.clone.label == "PLAS alone"
    page = write_results(runs_of(jobs), tmp_path / "widths.md", title="T", commands=["true"])
    for name in ("widths-sensitivity-box-width.png", "widths-sensitivity.csv"):
        assert (tmp_path / name).stat().st_size > 300
    page = page.read_text()
    assert "Sensitivity to the width of the box" in page
    assert "(widths-sensitivity-box-width.png)" in page and "(widths-sensitivity.csv)" in page


@pytest.mark.parametrize(
    "case,values,width",
    [
        ("plas", {"latent_clip": 0.5}, 0.5),
        ("lapo", {"latent_clip": 0.5}, 0.5),
        ("dsrl", {"noise_scale": 0.5}, 0.5),
        ("dsrl", {"noise_scale": 0.5, "chunk": 2}, 0.5),
        ("cnf", {"base": "normal", "latent_clip": 0.5}, 0.5),
        ("cnf", {"base": "normal"}, None),
        # Of a uniform latent in (-1, 1) the standard deviation is 1 / √3.
        ("cnf", {"latent_clip": 0.5}, 0.5 * math.sqrt(3)),
        ("cnf", {}, math.sqrt(3)),
        ("cnf-vae", {"latent_clip": 0.5}, 0.5),
        ("bc", {}, None),
    ],
)
def test_widths_are_in_standard_deviations_of_the_latent(case, values, width):
    found = tiny_plan(case, **values).build().box_width()
    assert found == (width if width is None else pytest.approx(width))


def test_what_is_earned_from_the_starts():
    """Two falls by hand: 2·(1 + 0.5·1) + shifts, and 2·3."""
    falls = [
        Rollout(np.zeros((n, 2)), np.zeros((n, 1)), np.array(reward), True)
        for n, reward in ((2, [1.0, 1.0]), (1, [3.0]))
    ]
    assert earned(falls, LearnedReward(0.5, 2.0, -1.0)) == pytest.approx((1.5 + 5.0) / 2)
