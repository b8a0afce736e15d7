"""Mutated data files, read by the public readers in a process that may crash or hang.

`scripts/fuzz` runs thousands, `tests/data/test_fuzz.py` a few of the same.
"""

import contextlib
import hashlib
import json
import os
import resource
import select
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mutations import SELDOM, Sample, mutate, samples

WATCHDOG_SECONDS, WALL_FACTOR = 5.0, 60.0
"""Of processor time; by the clock it may be more, for other processes want cores too."""
MEMORY_BYTES = 3 << 30
BAD = ("crash", "hang", "other exception", "badly told", "loaded against its hash")
GOOD = ("refused", "same numbers", "other numbers")


class Case(NamedTuple):
    """What became of one mutated file."""

    outcome: str
    kind: str
    detail: str
    seconds: float


class Reader:
    """A process that reads files, watched; a new one takes the place of a dead one."""

    def __init__(self):
        self._process: Any = None
        self.peak_bytes = 0

    def read(self, path: Path, reader: str, digest: str | None) -> dict:
        """What reading led to; `digest` is noted beside the file first, as for a known file."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._ask({"path": "", "reader": "", "digest": None}, 120)  # until it has imported
        return self._ask({"path": str(path), "reader": reader, "digest": digest}, WATCHDOG_SECONDS)

    def _ask(self, request: dict, seconds: float) -> dict:
        process = self._process
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it is dead, and has nothing more to say
        ready, spent = False, _cpu_seconds(process.pid)
        deadline = time.monotonic() + WALL_FACTOR * seconds
        while not ready and time.monotonic() < deadline:
            ready = bool(select.select([process.stdout], [], [], 0.2)[0])
            if not ready and _cpu_seconds(process.pid) - spent > seconds:
                break
        line = process.stdout.readline() if ready else b""
        if line:
            answer = json.loads(line)
            self.peak_bytes = max(self.peak_bytes, answer["peak"])
            return answer
        outcome = "crash" if ready else "hang"
        self.close()
        return {"outcome": outcome, "detail": f"exit code {process.returncode}", "hash": ""}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process = None


def _cpu_seconds(process: int) -> float:
    """Processor time of a process; zero when it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fuzz(
    folder: Path, kind: str, reader: Reader, *, count: int, seed: int, keep: Path | None = None
) -> Iterator[tuple[Sample, Case]]:
    """Every sample and `Case` of `count` mutated files; bad ones are copied to `keep`."""
    files = samples(folder, kind)
    path = folder / f"mutated.{kind}"
    often = [x for x in files if x.name != SELDOM]
    seldom = [x for x in files if x.name == SELDOM] or often
    turns = [often[i % len(often)] for i in range(24)] + seldom[:1]
    sound = {}
    for sample in files:
        path.write_bytes(sample.content)
        sound[sample.name] = reader.read(path, sample.reader, None)
        assert sound[sample.name]["outcome"] == "loaded", sound[sample.name]
    for i in range(count):
        generator = np.random.default_rng([seed, i])
        sample, other = turns[i % 25], files[int(generator.integers(len(files)))]
        mutation, content = mutate(sample.content, other.content, generator)
        path.write_bytes(content)
        started = time.perf_counter()
        answer = reader.read(path, sample.reader, None)
        case = Case(_outcome(answer, sound[sample.name]), mutation, answer["detail"], 0.0)
        if sample.reader != "arrays" and content != sample.content:
            known = hashlib.sha256(sample.content).hexdigest()
            if reader.read(path, sample.reader, known)["outcome"] != "refused":
                case = case._replace(outcome="loaded against its hash")
        if keep is not None and case.outcome in BAD:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{seed}-{i}.{kind}").write_bytes(content)
        yield sample, case._replace(seconds=time.perf_counter() - started)


def _outcome(answer: dict, sound: dict) -> str:
    if answer["outcome"] == "loaded":
        return "same numbers" if answer["hash"] == sound["hash"] else "other numbers"
    return answer["outcome"]


def table(counts: dict[str, Counter]) -> list[str]:
    """A Markdown table: a row a sample, a column an outcome."""
    columns = (*GOOD, *BAD)
    lines = ["| file | mutated | " + " | ".join(columns) + " |"]
    lines += ["| :-- |" + " --: |" * (len(columns) + 1)]
    for name, found in counts.items():
        cells = [sum(found.values()), *(found[c] for c in columns)]
        lines.append(f"| {name} | " + " | ".join(f"{n:,}" for n in cells) + " |")
    return lines


def _serve() -> None:
    """Read what is asked for on standard input and tell what it led to."""
    root = Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(root))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import shared.data.reader
    import shared.data.vd4rl.reader  # noqa: F401  (imported before the clock runs)

    limit = MEMORY_BYTES + _virtual_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    warnings.simplefilter("error", RuntimeWarning)  # of NumPy: an overflow that nobody meant
    for line in sys.stdin:
        answer = _answer(**json.loads(line))
        answer["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(answer), flush=True)


def _virtual_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _answer(path: str, reader: str, digest: str | None) -> dict:
    from shared.errors import UserError
    from shared.storage.checksum import note_path, write_note

    if not path:
        return {"outcome": "ready", "detail": "", "hash": ""}
    note_path(Path(path)).unlink(missing_ok=True)
    if digest is not None:
        write_note(Path(path), digest)
    try:
        found = _READERS[reader](Path(path))
    except UserError as error:
        text = str(error)
        told = path in text and "\n" not in text and len(text) > len(path) + 20
        return {"outcome": "refused" if told else "badly told", "detail": text, "hash": ""}
    except BaseException as error:
        detail = f"{type(error).__name__}: {error}"
        return {"outcome": "other exception", "detail": detail[:300], "hash": ""}
    total = hashlib.sha256()
    for x in found:
        total.update(str(x.dtype).encode() + str(x.shape).encode() + np.ascontiguousarray(x).data)
    return {"outcome": "loaded", "detail": "", "hash": total.hexdigest()}


def _read_d4rl(path: Path):
    from shared.data.reader import read_states

    data = read_states(path)
    assert np.isfinite(data.transitions.observation).all()
    return data.transitions


def _read_frames(path: Path):
    from shared.data.vd4rl.reader import read_vd4rl

    frames = read_vd4rl(path, name="walker_walk-medium").frames
    return [x for x in frames if x is not None]


def _read_arrays(path: Path):
    from shared.data.files.hdf5 import read_hdf5
    from shared.data.files.npz import read_npz

    wanted = ("image", "action", "reward", "observations", "actions", "rewards", "terminals")
    arrays = (read_npz if path.suffix == ".npz" else read_hdf5)(path, wanted).arrays
    return [arrays[key] for key in sorted(arrays)]


_READERS = {"d4rl": _read_d4rl, "frames": _read_frames, "arrays": _read_arrays}

if __name__ == "__main__":
    _serve()
