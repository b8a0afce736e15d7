"""Mutated files are read or refused, and nothing else: a few of what `scripts/fuzz` runs."""

import os
import signal
from collections import Counter

import fuzzing
import numpy as np
import pytest
from fuzzing import BAD, Reader, fuzz
from mutations import mutate, samples


@pytest.fixture(scope="module")
def reader():
    """One process for all tests: its imports take longer than a hundred files."""
    reader = Reader()
    yield reader
    reader.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["hdf5", "npz"])
def test_mutated_files(tmp_path, reader, kind):
    found = [case for _, case in fuzz(tmp_path, kind, reader, count=100, seed=1)]
    assert not [case for case in found if case.outcome in BAD]
    counts = Counter(case.outcome for case in found)
    assert counts["refused"] > 40
    assert kind == "hdf5" or not counts["other numbers"]  # zip's own checksums tell


def test_same_seed_same_mutations(tmp_path):
    content = samples(tmp_path, "npz")[0].content
    one, two = (mutate(content, content, np.random.default_rng([3, 7])) for _ in range(2))
    assert one == two and one[1] != content


def test_crashes_and_hangs_are_told(tmp_path, reader, monkeypatch):
    path = tmp_path / "x.npz"
    path.write_bytes(b"no zip")

    def read(kind="arrays"):
        return reader.read(path, kind, None)["outcome"]

    assert read() == "refused"
    assert read("no such reader") == "other exception"
    os.kill(reader._process.pid, signal.SIGKILL)
    assert read() == "crash"
    assert read() == "refused"  # by another process
    monkeypatch.setattr(fuzzing, "WATCHDOG_SECONDS", 0.05)
    os.kill(reader._process.pid, signal.SIGSTOP)
    assert read() == "hang"
