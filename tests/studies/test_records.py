"""An archive of a study's runs makes the study's tables again, and lets nothing else in."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cnf.cli import main as cnf
from shared.errors import ConfigError, RunError
from shared.studies import records
from shared.studies.folder import freeze, open_study, running
from shared.studies.jobs import make_jobs, to_plain
from shared.studies.reading import committed, make_study
from shared.studies.records import unpack
from shared.studies.run import unfinished
from shared.studies.work import work
from shared.training.progress import Progress


@pytest.fixture(scope="module")
def study(hopper_random, tmp_path_factory):
    """Jobs and folder of a study: a sweep of two and two rows are finished, two have not begun."""
    out = tmp_path_factory.mktemp("studies") / "smoke"
    data = [{"name": "hopper-random", "file": str(hopper_random.path)}]
    document = yaml.safe_load(committed()["smoke"].read_text()) | {"data": data, "source": None}
    size = document["set"].pop("hidden_sizes")
    document["rows"] = {
        "BC": {"algorithm": "bc", "set": {"hidden_sizes": size}},
        "wide": {"algorithm": "bc", "sweep": {"hidden_sizes": [[8], [16]]}},
        "PLAS": {"algorithm": "plas", "set": {"pretrain_steps": 10, "vae_hidden_sizes": size}},
        "on its VAE": {"algorithm": "plas", "model_from": "PLAS", "set": {"latent_clip": 1.0}},
    }
    document["seeds"] = 1
    study = make_study(document, "smoke", "smoke.yaml", {})
    freeze(study, out)
    jobs = make_jobs(study, out)
    for job in jobs:
        if job.row.label not in ("BC, a tenth", "on its VAE"):
            assert work(to_plain(job.request), Progress()).error is None
    return jobs, out


@pytest.fixture(scope="module")
def archive(study, tmp_path_factory):
    """Packed by its command."""
    file = tmp_path_factory.mktemp("archives") / "smoke.zip"
    told = call("pack", study[1], "--to", file)
    assert "3 of 5 runs are finished and in it" in told
    return file


def call(*words):
    """The output of a study command that must work."""
    result = CliRunner().invoke(cnf, ["study", *map(str, words)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_what_is_unpacked_is_finished_and_makes_the_same_tables(study, archive, tmp_path):
    jobs, out = study
    copy = tmp_path / "smoke"
    told = call("unpack", archive, "--out", copy)
    assert f"{copy}: 4 run folders came, 0 were finished there" in told
    assert not list(copy.rglob("checkpoints"))
    assert "3 finished, 2 new" in call("status", copy)
    for folder in (out, copy):
        call("report", folder, "--to", folder / "report")
    told = [(x / "report" / "smoke-episodes.csv").read_bytes() for x in (out, copy)]
    assert told[0] == told[1] and told[0].count(b"\n") > 6
    call("pack", copy, "--to", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_what_is_finished_here_stays(study, archive, tmp_path):
    """The parts of two machines come together, and no run is replaced."""
    copy = tmp_path / "smoke"
    shutil.copytree(study[1], copy)
    kept = next(copy.glob("runs/*/plas-*/scores.csv"))
    before = kept.stat().st_mtime_ns
    shutil.rmtree(next(x.parent for x in copy.rglob("sweep.json")))
    assert "2 run folders came, 2 were finished there" in call("unpack", archive, "--out", copy)
    assert kept.stat().st_mtime_ns == before and kept.parent.joinpath("checkpoints").exists()
    jobs = make_jobs(open_study(copy)[0], copy)
    assert [job.row.label for job in unfinished(jobs)] == ["on its VAE", "BC, a tenth"]
    shutil.rmtree(jobs[2].folder / "checkpoints")
    left = [job.row.label for job in unfinished(jobs)]
    assert left == ["PLAS", "on its VAE", "BC, a tenth"], "a model that is needed is made again"


def test_a_half_trained_run_goes_with_its_weights(study, archive, tmp_path):
    """Else its records would tell of one policy, and its checkpoints hold another."""
    copy = tmp_path / "smoke"
    shutil.copytree(study[1], copy)
    half = next(copy.glob("runs/*/plas-*"))
    record = json.loads((half / "run.json").read_text()) | {"status": "interrupted"}
    (half / "run.json").write_text(json.dumps(record))
    assert (half / "checkpoints").exists()
    with running(copy), pytest.raises(RunError, match="another process is running this study"):
        unpack(archive, copy)
    assert unpack(archive, copy)[1:] == (1, 3)
    assert not (half / "checkpoints").exists() and not (half / "metrics.jsonl").exists()


def test_a_judgement_comes_to_a_run_that_lacks_it(study, tmp_path):
    copy, judged = tmp_path / "smoke", tmp_path / "judged.zip"
    shutil.copytree(study[1], copy)
    call("report", copy)
    assert len(list(copy.rglob("judged.csv"))) > 1
    call("pack", copy, "--to", judged)
    for file in (names := [x.relative_to(copy) for x in copy.rglob("judged.csv")]):
        (copy / file).unlink()
    assert unpack(judged, copy)[1:] == (0, 4)
    assert all((copy / name).exists() for name in names)
    for folder in copy.rglob("checkpoints"):
        shutil.rmtree(folder)
    for name in names:
        (copy / name).unlink()
    assert "came without weights; judge it where it was trained" in call("report", copy)


def test_a_study_on_data_that_are_gone_is_shown_and_packed(study, hopper_random, tmp_path):
    data = Path(shutil.copy(hopper_random.path, tmp_path / "mine.hdf5"))
    document = yaml.safe_load(committed()["smoke"].read_text())
    document |= {"source": None, "controls": {}, "report": {}, "seeds": 1}
    document["data"] = [{"label": "mine", "name": "hopper-random", "file": str(data)}]
    own = make_study(document, "own", "own.yaml", {})
    out = tmp_path / "own"
    freeze(own, out)
    for job in make_jobs(own, out):
        assert work(to_plain(job.request), Progress()).error is None
    data.unlink()
    call("pack", out, "--to", tmp_path / "own.zip")
    copy = tmp_path / "copy"
    call("unpack", tmp_path / "own.zip", "--out", copy)
    assert "1 finished" in call("status", copy)
    assert "own.md" in call("report", copy)
    assert str(tmp_path) not in (copy / "study.yaml").read_text()


def test_an_archive_writes_over_nothing_else(study, tmp_path):
    keep = tmp_path / "keep.zip"
    keep.write_text("a text")
    for file, why in ((keep, "is no archive of a study"), (tmp_path / "x.tar.gz", "ends in .zip")):
        result = CliRunner().invoke(cnf, ["study", "pack", str(study[1]), "--to", str(file)])
        assert result.exit_code == 4 and why in result.output, result.output
    assert keep.read_text() == "a text"


def test_the_folder_is_that_of_the_study_whatever_the_archive_is_called(
    archive, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    renamed = Path(shutil.copy(archive, tmp_path / "gpu.v2.zip"))
    assert "runs/studies/smoke: 4 run folders came" in call("unpack", renamed)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is the folder of no study, and not empty"):
        unpack(archive, tmp_path / "other")


def test_an_archive_names_no_folder_of_its_machine(study, archive):
    with zipfile.ZipFile(archive) as opened:
        text = b"".join(opened.read(name) for name in opened.namelist()).decode()
        run = next(name for name in opened.namelist() if name.endswith("run.json"))
        record = json.loads(opened.read(run))
    assert str(study[1].parent.parent) not in text
    assert record["data"]["path"] == "hopper-random.hdf5" and record["data"]["sha256"]
    assert "cnf train" in record["command"] and record["versions"]["platform"] == "Linux"


@pytest.mark.parametrize(
    "name", ["../x/run.json", "/runs/a/b/run.json", "runs/a/../run.json", "runs/a/b/policy.pkl"]
)
def test_a_hostile_archive_writes_nothing(name, tmp_path):
    file, out = tmp_path / "bad.zip", tmp_path / "out" / "smoke"
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("study.yaml", "name: smoke\n")
        opened.writestr(name, "{}")
    with pytest.raises(ConfigError, match=r"bad.zip: holds '.*', which is no table of a run"):
        unpack(file, out)
    assert not out.parent.exists()


def test_a_damaged_or_foreign_archive_is_refused_by_a_sentence(archive, tmp_path, monkeypatch):
    cut = tmp_path / "cut.zip"
    cut.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(ConfigError, match="cut.zip: is damaged .*; pack the study again"):
        unpack(cut, tmp_path / "smoke")
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("runs/a/b/scores.csv", b"0" * (65 << 20))
    with pytest.raises(ConfigError, match="68,157,440 bytes, more than 67,108,864"):
        unpack(bomb, tmp_path / "smoke")
    monkeypatch.setattr(records, "IN_ALL", 1000)
    with pytest.raises(ConfigError, match="unpacks to more than 1,000 bytes"):
        unpack(archive, tmp_path / "smoke")
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="nothing.zip: there is no such file"):
        unpack(tmp_path / "nothing.zip", tmp_path / "smoke")
    other = tmp_path / "other"
    other.mkdir()
    (other / "study.yaml").write_text("name: another\n")
    with pytest.raises(RunError, match="is of the study 'smoke', .*other of 'another'"):
        unpack(archive, other)
