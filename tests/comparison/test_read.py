"""Run folders are read whole or refused with one sentence that names file and mend."""

import math

import numpy as np
import pytest

from shared.comparison.cost import cost_of
from shared.comparison.read import find_runs, read_run
from shared.comparison.record import pool
from shared.comparison.rows import final_means
from shared.errors import RunError


def test_a_run_is_read(make_run):
    run = read_run(make_run("a").path)
    assert (run.algorithm, run.environment, run.label) == ("cnf", "hopper-medium", "cnf")
    assert (run.source, run.status, run.preset) == ("collected", "finished", "quick")
    assert run.seeds == (0, 1)
    assert run.phases == (("pretrain", 1000), ("policy", 5000))
    assert run.data.mean_score == 35.0 and run.data.rows == 100_000
    assert run.versions["jax"] == "0.10.2" and "dm-control" not in run.versions
    assert len(run.episodes) == 3 * 2 * 2 * 3
    assert "/somewhere" not in repr(run)


def test_final_scores_are_the_last_and_not_the_best(make_run):
    run = read_run(make_run("a", final={0: 40.0, 1: 50.0}).path)
    assert final_means(run, "deterministic") == pytest.approx({0: 40.0, 1: 50.0})
    assert final_means(run, "sampled") == pytest.approx({0: 35.0, 1: 45.0})
    steps, values = run.curve("deterministic")
    assert steps.tolist() == [2000, 4000, 6000]
    assert values == pytest.approx(np.array([[40, 50], [52, 65], [40, 50]]))


def test_each_seed_has_its_own_last_evaluation(make_run):
    made = make_run("a")
    made.scores = [line for line in made.scores if not line.startswith("policy,6000,1,")]
    run = read_run(made.write())
    last = {seed: episodes[0].step for seed, episodes in run.final_episodes("sampled").items()}
    assert last == {0: 6000, 1: 4000}
    # The curve goes as far as both seeds do.
    assert run.curve("sampled")[0].tolist() == [2000, 4000]


def test_environment_stands_in_for_a_missing_data_set_name(make_run):
    made = make_run("a")
    del made.record["dataset"], made.config["dataset"]
    made.record["environment"] = made.config["environment"] = "hopper-medium"
    assert read_run(made.write()).environment == "hopper-medium"


def test_blank_scores_are_allowed_for_a_whole_run(make_run):
    made = make_run("a")
    cells = [line.split(",") for line in made.scores]
    made.scores = [cells[0], *([*c[:6], "", *c[7:]] for c in cells[1:])]
    made.scores = [",".join(c) for c in made.scores]
    run = read_run(made.write())
    assert all(math.isnan(episode.score) for episode in run.episodes)
    made.scores[3] = made.scores[3].replace(",,", ",12.0,")
    with pytest.raises(RunError, match="some episodes blank"):
        read_run(made.write())


def test_the_unfinished_line_of_a_running_run_is_left_out(make_run):
    made = make_run("a")
    made.record["status"] = "running"
    path = made.write()
    whole = len(read_run(path).episodes)
    with (path / "scores.csv").open("a") as file:
        file.write("policy,8000,0,determ")
    assert len(read_run(path).episodes) == whole
    made.record["status"] = "finished"
    scores = (path / "scores.csv").read_text()
    made.write()
    (path / "scores.csv").write_text(scores)
    with pytest.raises(RunError, match="line 38 has 4 fields where its header has 9"):
        read_run(path)


def test_repeated_rows_count_once_and_contradictions_are_refused(make_run):
    made = make_run("a")
    count = len(read_run(made.path).episodes)
    made.scores.append(made.scores[-1])
    assert len(read_run(made.write()).episodes) == count
    made.scores[-1] = made.scores[-1].replace(",500,", ",499,")
    with pytest.raises(RunError, match="second time with another return"):
        read_run(made.write())


@pytest.mark.parametrize("name", ["run.json", "config.yaml", "scores.csv"])
def test_a_missing_file_is_named(make_run, name):
    path = make_run("a").path
    (path / name).unlink()
    with pytest.raises(RunError, match=f"{name} is missing"):
        read_run(path)


@pytest.mark.parametrize("name, content", [("run.json", "{"), ("config.yaml", "a: [")])
def test_a_broken_file_is_named(make_run, name, content):
    path = make_run("a").path
    (path / name).write_text(content)
    with pytest.raises(RunError, match=f"{name} is damaged"):
        read_run(path)
    (path / name).write_text("[1]")
    with pytest.raises(RunError, match="no mapping at its top"):
        read_run(path)
    (path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match=f"{name} is damaged"):
        read_run(path)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("algorithm", None, "no text under 'algorithm'"),
        ("source", "d4rl", "'d4rl' under 'source', which is none of official"),
        ("status", "done", "none of waiting"),
        ("seeds", [], "no list under 'seeds'"),
        ("seeds", [0, 0], "different whole numbers"),
        ("seeds", [0, "1"], "different whole numbers"),
        ("seeds", [0], "scores seed 1, which run.json does not list"),
        ("phases", [{"name": "policy"}], "name and a number of steps"),
        ("data", {"name": "x"}, "no text under 'sha256'"),
        ("data", {"name": "x", "sha256": "0", "mean_score": "3"}, "data: mean_score"),
        ("dataset", "hopper-expert", "contradicts itself: config.yaml gives the dataset"),
        ("source", "official", "names the data source 'collected' where run.json says"),
    ],
)
def test_a_wrong_record_is_refused(make_run, key, value, message):
    made = make_run("a")
    made.record[key] = value
    with pytest.raises(RunError, match=message):
        read_run(made.write())


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("sampled,0", "best,0", "line 8 has mode 'best'"),
        ("policy,2000,0", "policy,two,0", "line 2 has 'two' in column 'step'"),
        (",500,", ",,", "in column 'length'"),
        ("return,score", "result,score", "no column 'return' in line 1"),
    ],
)
def test_a_wrong_score_table_is_refused(make_run, old, new, message):
    made = make_run("a")
    made.scores = [line.replace(old, new) for line in made.scores]
    with pytest.raises(RunError, match=message):
        read_run(made.write())


def test_a_return_that_is_not_finite_is_refused(make_run):
    made = make_run("a")
    cells = made.scores[5].split(",")
    cells[5] = "nan"
    made.scores[5] = ",".join(cells)
    with pytest.raises(RunError, match="line 6 has 'nan' in column 'return'"):
        read_run(made.write())


def test_metrics_keep_blanks_as_nan(make_run):
    table = read_run(make_run("a", nll=True).path).metrics()
    assert {"train_nll", "validation_nll", "q", "seconds"} < set(table.values)
    pretrain = table.phase == "pretrain"
    assert np.isfinite(table.values["train_nll"][pretrain]).all()
    assert np.isnan(table.values["train_nll"][~pretrain]).all()
    assert np.isfinite(table.values["validation_nll"]).sum() == 10
    assert table.values["q"][~pretrain] == pytest.approx(1.5)


def test_runs_are_found_in_folders_and_each_once(make_run, tmp_path):
    a, b = make_run("a"), make_run("deep/b", algorithm="plas")
    root = tmp_path / "runs"
    assert [run.algorithm for run in find_runs([root])] == ["cnf", "plas"]
    assert [run.algorithm for run in find_runs([b.path, root, a.path])] == ["plas", "cnf"]
    with pytest.raises(RunError, match="is not a folder"):
        find_runs([root / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="holds no run folder"):
        find_runs([root, tmp_path / "empty"])


def test_runs_that_differ_in_seeds_alone_are_pooled(make_run):
    first = make_run("a", final={0: 40.0, 1: 50.0}, nll=True)
    second = make_run("b", final={3: 60.0, 2: 70.0}, nll=True)
    (run,) = pool([read_run(second.path), read_run(first.path)])
    assert run.seeds == (0, 1, 2, 3)
    assert list(final_means(run, "deterministic").values()) == pytest.approx([40, 50, 70, 60])
    assert run.curve("deterministic")[1].shape == (3, 4)
    assert set(run.metrics().seed.tolist()) == {0, 1, 2, 3}


def test_runs_of_one_label_that_differ_are_told_apart(make_run):
    first = make_run("x/a")
    second = make_run("x/b", final={2: 60.0})
    second.config["hyperparameters"]["discount"] = 0.9
    second.write()
    third = make_run("y/a", final={0: 1.0})
    labels = [run.label for run in pool([read_run(m.path) for m in (first, second, third)])]
    assert labels == ["cnf (x/a)", "cnf (x/b)", "cnf (y/a)"]
    other = make_run("z", environment="walker2d-medium")
    labels = [run.label for run in pool([read_run(m.path) for m in (first, second, other)])]
    assert labels == ["cnf (a)", "cnf (b)", "cnf"]


def test_control_characters_do_not_reach_a_terminal(make_run):
    label = "evil\x1b[2J\nname"
    assert read_run(make_run("a", label=label).path).label == "evil[2Jname"


def test_what_training_writes_is_read(make_run, tmp_path):
    from shared.record.run_folder import RunFolder

    made = make_run("a")
    path = tmp_path / "written"
    names = ["train_nll"]
    with RunFolder.create(
        path, config=made.config, record=made.record, metric_names=names
    ) as folder:
        row = {"phase": "policy", "step": 10, "seed": 0}
        folder.metrics.append({**row, "seconds": 0.5, "updates_per_second": 20, "train_nll": 1.5})
        folder.metrics.append({**row, "seed": 1, "seconds": 0.5, "updates_per_second": 20})
        episode = {"mode": "sampled", "episode": 0, "return": 1000.25, "score": 31.4, "length": 9}
        folder.scores.append({**row, **episode, "source": "collected"})
    run = read_run(path)
    assert final_means(run, "sampled", "return_") == {0: 1000.25}
    assert run.metrics().values["train_nll"][0] == 1.5
    assert np.isnan(run.metrics().values["train_nll"][1])


def test_a_run_without_an_update_has_cost_nothing(make_run):
    """The prior of a model that was taken over is scored as it is."""
    run = make_run("a").path
    metrics = run / "metrics.csv"
    metrics.write_text(metrics.read_text().splitlines(keepends=True)[0])
    cost = cost_of(read_run(run))
    assert (cost.updates, cost.hours) == (0, 0.0)
