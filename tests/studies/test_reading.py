"""What a study's file says, and which runs it amounts to."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cnf.cli import main as cnf
from shared.comparison.claims import DATA
from shared.errors import ConfigError
from shared.studies.jobs import from_plain, make_jobs, to_plain
from shared.studies.reading import committed, find_study, make_study

SMOKE = yaml.safe_load(committed()["smoke"].read_text())
del SMOKE["report"]  # its claims are about rows that are changed here


@pytest.mark.wheel
@pytest.mark.parametrize("name", committed())
def test_every_committed_study_has_a_plan(name, tmp_path):
    """Every value resolves, and every claim is about rows that there are."""
    study = find_study(name, None)
    jobs = make_jobs(study, tmp_path)
    assert len(jobs) == len(study.data) * len(study.rows)
    assert all(from_plain(to_plain(job.request)) == job.request for job in jobs)
    for job in jobs:
        assert job.after is None or job.after in {other.folder for other in jobs}
    labels = {row.label for row in study.rows if not row.sweep}
    for job in jobs:
        labels |= {f"{job.row.label}, {run.name}" for run in job.members if job.row.sweep}
    for pair in study.report.claims:
        for label in pair:
            plain = label.removesuffix(", sampled")
            assert plain in labels | {DATA} or ".md: " in plain, label
    assert not list(tmp_path.iterdir())


def folders(tmp_path, **changes):
    """Label -> folder, of the smallest study with these changes."""
    jobs = make_jobs(make_study(SMOKE | changes, "smoke", "smoke.yaml", {}), tmp_path)
    return {job.row.label: job.folder.name for job in jobs}


def test_a_changed_value_is_a_new_run_and_a_changed_label_is_not(tmp_path):
    before = folders(tmp_path)
    assert folders(tmp_path, rows={"Cloning": "bc"})["Cloning"] == before["BC"]
    changed = folders(tmp_path, rows={"BC": {"algorithm": "bc", "set": {"steps": 41}}})
    assert changed["BC, a tenth"] == before["BC, a tenth"] and changed["BC"] != before["BC"]
    for change in ({"seeds": 3}, {"source": None}, {"data": ["walker2d-random"]}):
        assert not set(folders(tmp_path, **change).values()) & set(before.values())
    found = []
    for steps in (8, 9):  # of the encoder: another model, another run
        plas = {"algorithm": "plas", "set": {"pretrain_steps": steps}}
        rows = {"PLAS": plas, "PLAS+P": {"algorithm": "plas", "model_from": "PLAS"}}
        found.append(folders(tmp_path, rows=rows, controls={}, set={}))
    assert all(found[0][label] != found[1][label] for label in ("PLAS", "PLAS+P"))


def test_rows_of_several_presets_and_a_choice_of_them(tmp_path):
    rows = {"PLAS": "plas", "PLAS+P": {"algorithm": "plas", "model_from": "PLAS"}, "CNF": "cnf"}
    document = {"title": "T", "data": ["hopper-medium", "maze2d-*"], "rows": rows}
    study = make_study(document | {"preset": ["quick", "paper"]}, "t", "t.yaml", {})
    labels = [f"{row}, {preset}" for row in rows for preset in ("quick", "paper")]
    assert [row.label for row in study.rows] == labels
    chosen = make_jobs(study, tmp_path, only=["PLAS+P, paper"])
    assert {job.row.label for job in chosen} == {"PLAS+P, paper", "PLAS, paper"}
    assert len(chosen) == 2 * len(study.data)
    (job,) = make_jobs(study, tmp_path, only=["CNF, quick", "hopper-*"])
    assert (job.row.label, job.data.label) == ("CNF, quick", "hopper-medium")
    with pytest.raises(ConfigError, match="--only CFN: matches no row"):
        make_jobs(study, tmp_path, only=["CFN", "hopper-*"])


def test_a_row_learns_on_the_states_of_another_rows_model(tmp_path):
    """Before that model is trained its plan says what is seen, and the request where it will be."""
    rows = {
        "C-LAP": {"algorithm": "clap", "preset": "quick"},
        "on its states": {"algorithm": "td3bc", "preset": "quick", "features_from": "C-LAP"},
    }
    document = {"title": "T", "data": ["walker_walk-medium"], "observation": "pixels"}
    jobs = make_jobs(make_study(document | {"rows": rows}, "t", "t.yaml", {}), tmp_path)
    model, states = jobs
    assert states.plan.features == model.plan.to_dict() and states.after == model.folder
    assert from_plain(to_plain(states.request)) == states.request
    assert states.request.words()[-6:-4] == ["--features", str(model.folder)]
    assert states.plan.settings.rows == model.plan.settings.rows
    rows["C-LAP"] |= {"set": {"model_steps": 7}}
    changed = make_jobs(make_study(document | {"rows": rows}, "t", "t.yaml", {}), tmp_path)
    assert changed[1].folder != states.folder  # another model, another run


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"row": {}}, "smoke.yaml: unknown key 'row'; the nearest valid name is 'rows'"),
        ({"rows": {"A": "bcc"}}, "rows: 'A': algorithm: unknown key 'bcc'; the nearest"),
        ({"data": ["hoper-random"]}, "smoke.yaml: data: "),
        ({"data": ["nothing-*"]}, "no data set is called 'nothing-*'"),
        ({"data": [{"name": "hopper", "file": None}]}, "give it with --data 'hopper=FILE'"),
        ({"controls": {"BC": "bc"}}, "controls: 'BC': two rows have the label"),
        ({"rows": {"A": {"algorithm": "plas", "model_from": "B"}}}, "'B' is no row"),
        (
            {"rows": {"A": {"algorithm": "bc", "features_from": "B"}}},
            "features_from: 'B' is no row",
        ),
        (
            {"rows": {"B": "bc", "A": {"algorithm": "bc", "features_from": "B"}}},
            "'A' on hopper-random: features_from: 'B': 'bc' has no model of the world",
        ),
        (
            {
                "rows": {
                    "B": "plas",
                    "A": {"algorithm": "plas", "features_from": "B", "model_from": "B"},
                }
            },
            "leave out model_from or features_from",
        ),
        ({"rows": {"A": {"algorithm": "bc", "set": {"stps": 1}}}}, "'A' on hopper-random: --set"),
        ({"source": "mine"}, "data: the source is 'mine'; choose one of d4rl, collected"),
        (
            {"rows": {"A": {"algorithm": "plas", "sweep": {"latent_clip": []}}}},
            "sweep: 'latent_clip' has no values",
        ),
        (
            {"rows": {"A": {"algorithm": "plas", "sweep": {"latent_clip": [1, 1.0]}}}},
            "sweep: 'latent_clip' has a value twice",
        ),
        (
            {
                "rows": {
                    "A": {
                        "algorithm": "plas",
                        "set": {"latent_clip": 1},
                        "sweep": {"latent_clip": [1, 2]},
                    }
                }
            },
            "'latent_clip' is in set and in sweep",
        ),
        ({"report": {"claims": [["BC", "BC"]]}}, "claims: 'BC' is compared with itself"),
        ({"report": {"claims": [["BC", "CB"]]}}, "claims: 'CB' is no row; the nearest"),
        ({"report": {"claims": ["BC"]}}, "claims: 'BC' is no pair of labels"),
        ({"report": {"notes": "hello"}}, "report: notes is 'hello'; write a list"),
        (
            {
                "rows": {"A": {"algorithm": "plas", "sweep": {"latent_clip": [1, 2]}}},
                "report": {"claims": [["A, latent_clip=[1]", "the data"]]},
            },
            "'A, latent_clip=[1]' is no row; the nearest valid name is 'A, latent_clip=1'",
        ),
        ({"report": {"mode": "best"}}, "'mode' is 'best'; choose one of deterministic, sampled"),
        ({"report": {"axis": "weeks"}}, "'axis' is 'weeks'; choose one of updates, hours"),
        ({"rows": {"": "bc"}}, "'': is no label; write a name"),
        ({"seeds": [1, 3]}, "'seeds' is [1, 3]; write a number, or neighbours"),
        ({"seeds": 0}, "'seeds' is 0; write a number, or neighbours"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_its_place(changes, expected, tmp_path):
    with pytest.raises(ConfigError) as found:
        make_jobs(make_study(SMOKE | changes, "smoke", "smoke.yaml", {}), tmp_path)
    assert expected in str(found.value) and "\n" not in str(found.value)


def test_a_plan_is_printed_and_nothing_is_made(tmp_path):
    """The plan of a study of both families, with a file that the user gives."""
    path = tmp_path / "robot.hdf5"
    path.write_bytes(b"not read yet")
    rows = {"C-LAP": {"algorithm": "clap", "preset": "quick", "sweep": {"support": [1, 2]}}}
    data = [{"label": "mine", "name": "hopper", "file": None}]
    document = {"title": "T", "data": data, "rows": rows, "controls": {"BC": "bc"}}
    document["observation"] = "state"  # else the file would say it
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    out = tmp_path / "out"
    words = ["study", "run", str(tmp_path / "mine.yaml"), "--dry-run", "--out", str(out)]
    result = CliRunner().invoke(cnf, [*words, "--data", f"mine={path}"], env={"COLUMNS": "160"})
    assert result.exit_code == 0 and "2 of 2 runs are left" in result.output, result.output
    assert not out.exists()
    document["data"] = [{"label": "mine", "file": str(path)}]
    document["rows"]["C-LAP"]["set"] = {"window": 10}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    result = CliRunner().invoke(cnf, words, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert result.output.count("unknown") == 4 and "2 runs are left: 2 whose" in result.output
    result = CliRunner().invoke(cnf, ["study", "status", str(out)])
    assert result.exit_code == 2 and result.output.startswith("error: study '"), result.output
    assert not Path("study.yaml").exists()
