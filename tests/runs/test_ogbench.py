"""A run on OGBench: the task of its name, success as score, and published figures beside it."""

import json

import numpy as np
from rich.console import Console

import shared
from shared.behavior.oracles import Player
from shared.comparison.outcome import sentences
from shared.comparison.read import read_run
from shared.comparison.reported import figures_for
from shared.comparison.rows import make_notes
from shared.data.files.ogbench import write_ogbench
from shared.data.reader import examine
from shared.data.report.tables import print_report
from shared.loading.request import DataRequest

TASK = "pointmaze-medium-navigate-singletask-task4"


def test_a_run_is_scored_by_success(tmp_path):
    rows = Player("pointmaze-medium-navigate", 60).play(np.random.SeedSequence(1))
    del rows["terminals"]
    told = {"source": "collected", "dataset": "pointmaze-medium-navigate"}
    write_ogbench(tmp_path / "point.npz", rows, told)
    values = {"steps": 4, "batch_size": 16, "hidden_sizes": [8], "episodes": 1}
    values |= {"evaluate_every": 4, "save_every": 4, "steps_per_call": 4}
    (folder,) = shared.train(
        "cnf", "bc", env=f"{TASK}-v0", data=tmp_path / "point.npz", overrides=values,
        out=tmp_path / "run",
    )  # fmt: skip
    run = read_run(folder)
    assert (run.environment, run.source) == (TASK, "collected")
    # Its data, if they were gone, would be recorded as long again: the last row is no transition.
    record = json.loads((folder / "run.json").read_text())
    record["data"]["path"] = str(tmp_path / "gone.npz")
    assert record["data"]["rows"] == 59 and DataRequest.of_record(record).rows == 60
    assert {episode.score for episode in run.episodes} <= {0.0, 100.0}
    assert all(e.return_ == -1000 for e in run.episodes if e.score == 0)
    assert "success in the last evaluation" in sentences(run)[0]
    assert f"score of {TASK}: the share of episodes that succeed" in make_notes([run])[-2]
    console = Console(record=True, width=150)
    print_report(examine(tmp_path / "point.npz", name=TASK), console)
    shown = console.export_text()
    assert "collected by this project, not OGBench" in shown and TASK in shown
    assert "score" not in shown.split("per episode")[1].split("\n")[0]


def test_published_figures_stand_beside_the_default_tasks():
    (found,) = figures_for(["scene-play"], ["dsrl"])
    assert found.value == 99.4 and "mean of the five tasks" in found.source.title
