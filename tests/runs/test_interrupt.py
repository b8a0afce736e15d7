"""Ctrl-C: an honest status, the right exit code, and how to go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import shared
from shared.record.checkpoints import Checkpoints

ROOT = Path(shared.__file__).parents[1]
# Tests that run in the background of a shell ignore Ctrl-C, and so would what they start.
LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
MAIN = LISTEN + "import sys; from cnf.cli import main; main(sys.argv[1:])"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Where the processes find what others of them compiled."""
    place = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("programs"))}
    return place | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


@pytest.fixture
def begin(programs):
    """`begin(*words)`: a `cnf train` of its own, in a group of its own; ended with the test."""
    processes = []

    def begin(*words):
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "train", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", **programs},
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def words(hopper_random):
    """Of cloning that would not end by itself, without evaluations; `words(key=value)` adds."""

    def words(**more):
        values = {"steps": 10**7, "batch_size": 16, "steps_per_call": 50, "save_every": 1000}
        values |= {"evaluate_every": 10**7, "episodes": 1} | more
        pairs = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        return ["--algo", "bc", "--env", "hopper-random", "--data", hopper_random.path, *pairs]

    return words


def interrupt(process):
    """Ctrl-C as a terminal sends it, to all processes of the group; what was printed since."""
    os.killpg(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=100)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    return told.rstrip()


def wait_for(condition, process, seconds=150):
    """Until the condition holds, the process ends or time is up."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def wait_for_checkpoint(run, process):
    wait_for(lambda: Checkpoints(run / "checkpoints").latest is not None, process)


def test_an_interrupted_run_says_where_it_stopped_and_goes_on(begin, words, tmp_path):
    out = tmp_path / "run"
    process = begin(*words(hidden_sizes="[8]"), "--out", out, "--logger", "tensorboard")
    wait_for_checkpoint(out, process)
    told = interrupt(process)
    assert "interrupted at update " in told and "error" not in told
    assert told.endswith(f"continue with: cnf train --resume {out}")
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "interrupted" and record["loggers"] == ["tensorboard"]

    def events():
        return sum(1 for file in (out / "tensorboard").rglob("*") if file.is_file())

    before = events()
    process = begin("--resume", out)
    assert any("continuing at update " in line for line in process.stdout)
    wait_for(lambda: events() > before, process)
    step = Checkpoints(out / "checkpoints").read_progress()["global_step"]
    reached = interrupt(process).rpartition("interrupted at update ")[2]
    assert int(reached.split()[0].strip(";").replace(",", "")) >= step > 0


def test_an_interrupted_member_is_carried_on_by_its_sweep(begin, words, tmp_path):
    out = tmp_path / "sweep"
    process = begin(*words(), "--sweep", "hidden_sizes=[8],[8,8]", "--out", out)
    members = [out / "hidden_sizes=8", out / "hidden_sizes=8-8"]
    wait_for_checkpoint(members[0], process)
    assert interrupt(process).endswith(f"continue with: cnf train --resume {out}")
    records = [json.loads((member / "run.json").read_text()) for member in members]
    assert [record["status"] for record in records] == ["interrupted", "waiting"]


def test_while_data_are_recorded_it_shows_no_traceback_of_any_process(begin, tmp_path):
    cache, out = tmp_path / "cache", tmp_path / "run"
    process = begin(
        *("--algo", "bc", "--env", "hopper-medium", "--source", "collected"),
        *("--data-dir", cache, "--out", out),
    )
    assert "recording hopper-medium" in process.stdout.readline()
    time.sleep(3)  # the recorders begin
    assert interrupt(process).endswith("interrupted") and not out.exists()
