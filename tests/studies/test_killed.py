"""A study whose workers are killed ends as one that was left alone, wherever it is carried on."""

import contextlib
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from clap.cli import main as clap
from cnf.cli import main as cnf
from shared.studies.folder import freeze
from shared.studies.jobs import make_jobs, to_plain
from shared.studies.launchers.choice import make_workers
from shared.studies.reading import committed, make_study
from shared.studies.run import carry_out, unfinished
from shared.studies.states import state_of
from shared.studies.tables import tables_of
from shared.studies.work import work
from shared.training.progress import Progress


@pytest.fixture(scope="module")
def begin(hopper_random, tmp_path_factory):
    """`begin(**changes)`: jobs and folder of a new study of two tiny rows."""
    data = [{"name": "hopper-random", "file": str(hopper_random.path)}]
    tiny = yaml.safe_load(committed()["smoke"].read_text()) | {"data": data, "source": None}

    def begin(**changes):
        out = tmp_path_factory.mktemp("studies") / "smoke"
        study = make_study(tiny | changes, "smoke", "smoke.yaml", {})
        freeze(study, out)
        return make_jobs(study, out), out

    return begin


def report(out):
    """The study's own report, by its command."""
    result = CliRunner().invoke(cnf, ["study", "report", str(out)])
    assert result.exit_code == 0, result.output
    return out / "report"


@pytest.fixture(scope="module")
def whole(begin):
    """The tables of the study that nobody touched, trained in this process."""
    jobs, out = begin()
    assert [work(to_plain(job.request), Progress()).error for job in jobs] == [None, None]
    return tables_of(jobs, report(out))


@contextlib.contextmanager
def kill_at_rows(job, rows):
    """SIGKILL for the process that writes a job's run, once that has so many rows of metrics."""
    file, killed = job.folder / "metrics.csv", []

    def watch():
        while not killed:
            if file.exists() and file.read_bytes().count(b"\n") > rows:
                killed.append(int((job.folder / ".lock").read_text()))
                os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.001)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield killed
    thread.join(1.0)
    assert killed, "the run ended before its time"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the workers keep compiled programs."""
    folder = tmp_path_factory.mktemp("programs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield folder


@pytest.mark.long
@pytest.mark.timeout(900)  # on a busy machine Ray alone takes minutes to start
def test_a_killed_study_ends_in_the_same_tables(begin, whole, kept, monkeypatch):
    """A local worker is killed, then one of a real Ray cluster, at rows that chance names."""
    jobs, out = begin()
    chance, told = random.Random(time.time_ns()), []
    place = make_workers("local", 1, out, {})
    with kill_at_rows(jobs[0], chance.randint(0, 4)):
        assert carry_out(jobs[:1], out, place, tell=told.append) == {}
    assert any(
        "signal SIGKILL (see worker-0.log); it goes on from its checkpoint" in line for line in told
    )
    assert list(kept.glob("*-cache")), "no compiled program was kept"
    assert unfinished(jobs) == jobs[1:]

    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else it writes into the home folder
    place = make_workers("ray", 2, out, {})
    with kill_at_rows(jobs[1], chance.randint(0, 4)):
        assert carry_out(jobs, out, place, tell=told.append) == {}
    assert any("its Ray worker died; it goes on" in line for line in told)
    assert tables_of(jobs, report(out)) == whole


@pytest.mark.timeout(900)
def test_a_failed_run_is_named_and_the_rest_goes_on(begin, kept):
    """By submitit's local executor, in the place of Slurm."""
    pytest.importorskip("submitit")
    claims = {"claims": [["BC", "diverges"], ["BC", "the data"]]}
    diverges = {"algorithm": "bc", "set": {"learning_rate": 1e30}}
    jobs, out = begin(controls={"diverges": diverges}, report=claims)
    place = make_workers("slurm", 2, out, {"cluster": "local"})
    failed = carry_out(jobs, out, place, tell=lambda sentence: None)
    assert [*failed] == [jobs[1].folder] and "became" in failed[jobs[1].folder]
    result = CliRunner().invoke(clap, ["study", "status", str(out)], env={"COLUMNS": "300"})
    assert result.exit_code == 0 and "failed: phase 'policy'" in result.output, result.output
    assert "1 finished, 1 failed" in result.output
    page = (report(out) / "smoke.md").read_text()
    assert "Not run: hopper-random: diverges (failed)." in page and "- BC: " in page
    assert "diverges" not in page.partition("## Readings")[2].partition("## Scores")[0]


def test_a_run_that_lacks_memory_beside_others_comes_again(begin, kept):
    """Once fewer share it; alone, what it lacks is nobody else's, so that it fails."""
    tiny = yaml.safe_load(committed()["smoke"].read_text())["set"]
    sizes = tiny.pop("hidden_sizes")
    large = {"pretrain_steps": 10, "vae_hidden_sizes": [10**8, 10**8]}
    rows = {
        "large": {"algorithm": "plas", "set": large},
        "on its VAE": {"algorithm": "plas", "model_from": "large", "set": {"latent_clip": 1.0}},
        "BC": {"algorithm": "bc", "set": {"hidden_sizes": sizes}},
    }
    wide = {"BC, wide": {"algorithm": "bc", "set": {"hidden_sizes": [10**8, 10**8]}}}
    jobs, out = begin(rows=rows, controls=wide, set=tiny, report={})
    told = []
    failed = carry_out(jobs, out, make_workers("local", 3, out, {}), tell=told.append)
    assert len(failed) == 3 and "left out" in failed[jobs[1].folder]
    assert all("there is too little memory" in failed[jobs[i].folder] for i in (0, 3))
    again = [line for line in told if line.startswith("again")]
    assert again and all("too little memory for" in line for line in again), told
    assert state_of(jobs[2]).status == "finished"


def test_a_job_that_fails_before_its_run_begins_says_so(begin, hopper_random, tmp_path):
    """Its data are gone: no run can say so, the study does, until it goes on with them."""
    data = Path(shutil.copy(hopper_random.path, tmp_path / "mine.hdf5"))
    jobs, out = begin(data=[{"label": "mine", "name": "hopper-random", "file": str(data)}])
    moved = data.rename(tmp_path / "moved.hdf5")
    failed = carry_out(jobs, out, make_workers("local", 1, out, {}), tell=lambda sentence: None)
    assert len(failed) == len(jobs)
    for job in jobs:
        assert state_of(job).status == "failed" and str(data) in str(state_of(job).error)
    words = ["study", "run", str(out), "--data", f"mine={moved}", "--dry-run"]
    result = CliRunner().invoke(cnf, words, env={"COLUMNS": "160"})
    assert result.exit_code == 0 and "2 of 2 runs are left" in result.output, result.output
    moved.rename(data)
    assert work(to_plain(jobs[0].request), Progress()).error is None
    assert state_of(jobs[0]).status == "finished" and not (jobs[0].folder / "error.txt").exists()
