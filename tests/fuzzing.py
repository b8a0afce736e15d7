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

import h5py
import numpy as np

WATCHDOG_SECONDS, WALL_FACTOR = 5.0, 12.0
"""Of processor time; by the clock it may be more, for other processes want cores too."""
MEMORY_BYTES = 3 << 30
BAD = ("crash", "hang", "other exception", "badly told", "loaded against its hash")
GOOD = ("refused", "same numbers", "other numbers")
SELDOM = "D4RL, attributes in a heap"
"""Read by a second process each time (`attributes`), so only every 25th file is one."""
_SIZES = (60, 30, 11, 64, 5, 3)  # lengths and widths of the samples, to be found in headers


class Sample(NamedTuple):
    """A sound file: its name tells the format, `reader` what reads it."""

    name: str
    reader: str
    content: bytes


class Case(NamedTuple):
    """What became of one mutated file."""

    outcome: str
    kind: str
    detail: str
    seconds: float


def samples(folder: Path, kind: str) -> list[Sample]:
    """Small sound files of one format ("hdf5" or "npz"), for every reader of it."""
    makers = {"hdf5": _hdf5_files, "npz": _npz_files}[kind](folder)
    return [Sample(name, reader, path.read_bytes()) for name, reader, path in makers]


def _hdf5_files(folder: Path):
    from recording import record

    rows = record((20, 20, 20))
    storage = {
        "plain": {},
        "gzip": {"compression": "gzip", "shuffle": True, "chunks": True},
        "checksummed": {"fletcher32": True, "chunks": True},
    }
    for name, options in storage.items():
        path = folder / f"{name}.hdf5"
        with h5py.File(path, "w") as file:
            file.attrs["source"] = np.bytes_(b"collected")
            for key, x in rows.items():
                file.create_dataset(key, data=x, **options)
        yield f"D4RL, {name}", "d4rl", path
    yield "arrays, gzip", "arrays", folder / "gzip.hdf5"
    path = folder / "strings.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"source": "collected", "dataset": "hopper-random", "note": "x" * 50})
        for key, x in rows.items():
            file.create_dataset(key, data=x, **storage["checksummed"])
    yield SELDOM, "d4rl", path
    path = folder / "shard.hdf5"
    with h5py.File(path, "w") as file:
        for key, x in _frames(8).items():
            if key == "image":
                file.create_dataset("observation", data=x.transpose(0, 3, 1, 2), compression="gzip")
            elif not key.startswith("is_"):
                file.create_dataset(key, data=x)
    yield "V-D4RL shard", "frames", path


def _npz_files(folder: Path):
    np.savez_compressed(folder / "archive.npz", **_frames(64))
    yield "V-D4RL archive, 64 px", "frames", folder / "archive.npz"
    np.savez(folder / "stored.npz", **_frames(8))
    yield "V-D4RL archive, stored", "frames", folder / "stored.npz"
    yield "arrays, deflated", "arrays", folder / "archive.npz"


def _frames(size: int) -> dict[str, np.ndarray]:
    generator, rows = np.random.default_rng(0), 5
    action = generator.uniform(-1, 1, (rows, 6)).astype(np.float32)
    action[0] = 0
    reward = np.append(0, generator.uniform(0, 1, rows - 1)).astype(np.float32)
    place = np.arange(rows)
    ramp = np.linspace(0, 200, size, dtype=np.uint8)
    image = (ramp[:, None, None] + 10 * place[:, None, None, None].astype(np.uint8)).astype(
        np.uint8
    )
    return {
        "image": np.broadcast_to(image, (rows, size, size, 3))
        + generator.integers(0, 9, (rows, size, size, 3), np.uint8),
        "action": action,
        "reward": reward,
        "discount": np.ones(rows, np.float32),
        "is_first": place == 0,
        "is_last": place == rows - 1,
        "is_terminal": np.zeros(rows, bool),
        "step_type": np.where(place == 0, 0, np.where(place == rows - 1, 2, 1)).astype(np.float32),
    }


def mutate(sample: bytes, other: bytes, generator: np.random.Generator) -> tuple[str, bytes]:
    """The kind of a mutation, and a mutated copy; places lie mostly near headers."""
    data, size = bytearray(sample), len(sample)
    edge = min(size, 4000)
    place = int(generator.integers(size))
    if generator.random() < 0.6:  # HDF5's headers are in front, zip's directory is behind
        place = int(
            generator.choice([generator.integers(edge), size - 1 - generator.integers(edge)])
        )
    length = int(generator.integers(1, 200))
    kind = str(generator.choice(list(_MUTATIONS)))
    _MUTATIONS[kind](data, other, place, length, generator)
    return kind, bytes(data)


def _flip(data, other, place, length, generator):
    for _ in range(int(generator.integers(1, 20))):
        near = min(len(data) - 1, place + int(generator.integers(64)))
        data[near] ^= 1 << int(generator.integers(8))


def _truncate(data, other, place, length, generator):
    del data[place:]


def _remove(data, other, place, length, generator):
    del data[place : place + length]


def _zero(data, other, place, length, generator):
    data[place : place + length] = bytes(len(data[place : place + length]))


def _overwrite(data, other, place, length, generator):
    stretch = len(data[place : place + 1 + length % 9])
    data[place : place + stretch] = generator.integers(0, 256, stretch, np.uint8).tobytes()


def _splice(data, other, place, length, generator):
    start = int(generator.integers(len(other)))
    data[place : place + length] = other[start : start + length]


def _swap(data, other, place, length, generator):
    there = int(generator.integers(len(data)))
    first, second = sorted((place, there))
    length = min(length, second - first, len(data) - second)
    one, two = bytes(data[first : first + length]), bytes(data[second : second + length])
    data[first : first + length], data[second : second + length] = two, one


def _grow(data, other, place, length, generator):
    """A declared length or width becomes a large one."""
    width = int(generator.choice([2, 4, 8]))
    old = int(generator.choice(_SIZES)).to_bytes(width, "little")
    new = int(generator.integers(61, 1 << (8 * width - 1))).to_bytes(width, "little")
    found = data.find(old, place)
    found = data.find(old) if found < 0 else found
    place = place if found < 0 else found
    data[place : place + width] = new


_MUTATIONS = {
    "flipped bits": _flip,
    "cut off": _truncate,
    "bytes removed": _remove,
    "zeroed": _zero,
    "overwritten": _overwrite,
    "spliced": _splice,
    "swapped": _swap,
    "grown sizes": _grow,
}


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
    import shared.data.d4rl
    import shared.data.vd4rl  # noqa: F401  (imported before the clock runs)

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
    from shared.data.checksum import note_path, write_note
    from shared.errors import UserError

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
    from shared.data.d4rl import read_d4rl

    data = read_d4rl(path)
    assert np.isfinite(data.transitions.observation).all()
    return data.transitions


def _read_frames(path: Path):
    from shared.data.vd4rl import read_vd4rl

    frames = read_vd4rl(path, name="walker_walk-medium").frames
    return [x for x in frames if x is not None]


def _read_arrays(path: Path):
    from shared.data.hdf5 import read_hdf5
    from shared.data.npz import read_npz

    wanted = ("image", "action", "reward", "observations", "actions", "rewards", "terminals")
    arrays = (read_npz if path.suffix == ".npz" else read_hdf5)(path, wanted).arrays
    return [arrays[key] for key in sorted(arrays)]


_READERS = {"d4rl": _read_d4rl, "frames": _read_frames, "arrays": _read_arrays}

if __name__ == "__main__":
    _serve()
