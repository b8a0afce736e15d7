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
        wait_for(lambda: any((out / "checkpoints").glob("*/")), process)
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


def wait_for(condition, process, seconds=100):
    """Until the condition holds, the process ends or time is up."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
