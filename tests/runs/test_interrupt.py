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

ROOT = Path(shared.__file__).parents[1]
MAIN = "import sys; from cnf.cli import main; main(sys.argv[1:])"


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", MAIN, "train", *words]


@pytest.fixture
def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}


def test_an_interrupted_run_says_where_it_stopped_and_goes_on(hopper_random, tmp_path, environment):
    out = tmp_path / "run"
    words = ["--algo", "bc", "--env", "hopper-random", "--data", str(hopper_random.path)]
    settings = {"steps": 10**7, "batch_size": 16, "hidden_sizes": "[8]", "steps_per_call": 50}
    settings |= {"evaluate_every": 10**7, "save_every": 1000, "episodes": 1}
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    process = subprocess.Popen(
        command(*words, "--out", str(out), "--logger", "tensorboard"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        wait_for((out / "checkpoints" / "policy-000002000").exists, process)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert "interrupted at update " in told and "Traceback" not in told
    assert told.rstrip().endswith(f"continue with: cnf train --resume {out}")
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "interrupted" and record["loggers"] == ["tensorboard"]

    def events():
        return sum(1 for file in (out / "tensorboard").rglob("*") if file.is_file())

    before = events()
    process = subprocess.Popen(
        command("--resume", str(out)), stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        wait_for(lambda: events() > before, process)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "of phase 'policy'" in told, told
    assert "continuing at update " in told


@pytest.fixture
def begin(environment):
    """`begin(*words)`: a `cnf train` of its own, in a group of its own; ended with the test."""
    processes = []

    def begin(*words):
        process = subprocess.Popen(
            command(*map(str, words)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()


def settings(**values):
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def test_ctrl_c_while_the_data_are_recorded_is_no_traceback_of_any_process(begin, tmp_path):
    """A terminal sends it to all processes of the group, those that record as well."""
    process = begin(
        *("--algo", "bc", "--env", "hopper-medium", "--source", "collected"),
        *("--data-dir", tmp_path / "cache", "--out", tmp_path / "run"),
    )
    wait_for(lambda: any((tmp_path / "cache" / "collected").glob("*")), process)
    time.sleep(4)  # until the recorders have begun
    os.killpg(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and told.rstrip().endswith("interrupted"), told
    assert "Traceback" not in told and not (tmp_path / "run").exists()


def test_ctrl_c_does_not_wait_for_an_evaluation(begin, hopper_random, tmp_path):
    """The evaluation of the first update would play for minutes."""
    small = settings(batch_size=16, hidden_sizes="[8]", steps_per_call=1, save_every=1)
    small += settings(evaluate_every=1, episodes=60, steps=10**6)
    out = tmp_path / "run"
    process = begin(
        *("--algo", "bc", "--env", "hopper-random", "--data", hopper_random.path, "--out", out),
        *small,
    )
    wait_for(lambda: any((out / "checkpoints").glob("*/")), process)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "continue with: cnf train --resume" in told, told


def test_an_interrupted_member_is_carried_on_by_its_sweep(begin, hopper_random, tmp_path):
    out = tmp_path / "sweep"
    small = settings(batch_size=16, steps_per_call=50, save_every=1000, episodes=1, steps=10**7)
    process = begin(
        *("--algo", "bc", "--env", "hopper-random", "--data", hopper_random.path, "--out", out),
        *("--sweep", "hidden_sizes=[8],[8,8]", *small, *settings(evaluate_every=10**7)),
    )
    first = out / "hidden_sizes=8"
    wait_for(lambda: any((first / "checkpoints").glob("*/")), process)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert told.rstrip().endswith(f"continue with: cnf train --resume {out}")
    statuses = [json.loads(x.read_text())["status"] for x in sorted(out.glob("*/run.json"))]
    assert statuses == ["waiting", "interrupted"]


def wait_for(condition, process, seconds=100):
    """Until the condition holds, the process ends or time is up."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, (process.stderr or process.stdout).read()
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
