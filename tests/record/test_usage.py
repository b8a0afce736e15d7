"""What a run costs adds up over its parts, and its code has a commit."""

import subprocess
import time
from importlib import metadata

from shared.record import usage


def test_parts_of_a_run_add_up():
    first = usage.Meter({})
    end = time.process_time() + 0.15
    while time.process_time() < end:
        pass
    spent = first.read()
    assert spent["seconds"] >= 0.1 and spent["cpu_seconds"] >= 0.1
    assert spent["peak_memory"] > 10_000_000 and spent["peak_device_memory"] is None
    before = {"seconds": 10.0, "cpu_seconds": 20.0, "peak_memory": 1 << 50, "peak_device_memory": 7}
    second = usage.Meter(before).read()
    assert 10.0 <= second["seconds"] < 20.0 <= second["cpu_seconds"]
    assert second["peak_memory"] == 1 << 50 and second["peak_device_memory"] == 7


def test_a_folder_that_pip_has_not_seen_has_no_version(monkeypatch):
    assert usage.version() == metadata.version("latent-policies")

    def unknown(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", unknown)
    assert usage.version() == "not installed"


def test_the_commit_is_that_of_this_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(usage, "ROOT", tmp_path)
    usage.commit.cache_clear()
    assert usage.commit() is None  # no checkout
    (tmp_path / "pyproject.toml").write_text("")

    def git(*words):
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        done = subprocess.run(
            ["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    usage.commit.cache_clear()
    assert usage.commit() == git("rev-parse", "HEAD")
    (tmp_path / "pyproject.toml").write_text("changed")
    usage.commit.cache_clear()
    assert usage.commit() == git("rev-parse", "HEAD") + "-dirty"
    usage.commit.cache_clear()
