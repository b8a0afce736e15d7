"""A run folder: everything that is known of one training run, in plain files.

    config.yaml      the resolved settings
    run.json         versions, devices, data hash and source, status
    metrics.csv      one row a compiled call and seed, and the same as metrics.jsonl
    scores.csv       one row an evaluation episode, raw returns
    checkpoints/     see `shared.record.checkpoints`
    .lock            held by the writer, with its process number

`run.json` is written last, so a folder that has one is complete.
"""

import fcntl
import json
import os
import platform
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from jaxtyping import PyTree

from shared.errors import RunError
from shared.record.checkpoints import Checkpoints
from shared.record.schema import METRIC_COLUMNS, SCORE_COLUMNS
from shared.record.table_log import TableLog
from shared.storage.durable import disk_errors, plain, write_atomically

_PACKAGES = (
    "latent-policies", "jax", "jaxlib", "equinox", "optax", "distrax", "orbax-checkpoint",
    "numpy", "gymnasium", "mujoco", "dm-control",
)  # fmt: skip


class RunFolder:
    """One run on the disk; made by `create` or `open`, ended by `close`.

    Attributes:
        path: the folder.
        config: what `config.yaml` holds.
        record: what `run.json` holds; change it with `update_record`.
        checkpoints: the saved states; keeps as many as the setting
            `run.keep_checkpoints` of the config says (3 without one).
    """

    def __init__(self, path: Path, config: dict, record: dict, lock: int | None):
        self.path, self.config, self.record, self._lock = path, config, record, lock
        keep = (config.get("run") or {}).get("keep_checkpoints", 3)
        self.checkpoints = Checkpoints(path / "checkpoints", keep=keep)
        self._tables: tuple[TableLog, ...] = ()
        if lock is not None:
            columns = dict.fromkeys([*METRIC_COLUMNS, *record["metric_names"]])
            metrics = TableLog(path / "metrics.csv", [*columns], twin=path / "metrics.jsonl")
            self._tables = (metrics, TableLog(path / "scores.csv", SCORE_COLUMNS))

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        config: dict[str, Any],
        record: dict[str, Any],
        metric_names: Sequence[str] = (),
    ) -> "RunFolder":
        """A new run, open for writing.

        Args:
            path: a folder that does not exist yet or is empty.
            config: the resolved settings, plain values.
            record: what `run.json` shall hold, plain values.
            metric_names: the metrics of all phases, columns of `metrics.csv`.

        Raises:
            RunError: the folder has files already, or cannot be written.
        """
        path = Path(path)
        record = plain({**record, "metric_names": list(metric_names)})
        require_empty(path)
        with disk_errors(f"{path} could not be created", "choose another --out"):
            path.mkdir(parents=True, exist_ok=True)
            lock = _acquire_lock(path)
            require_empty(path)  # another writer may have been faster to the lock
        try:
            with disk_errors(f"{path} could not be created", "make room or choose another --out"):
                text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
                write_atomically(path / "config.yaml", text)
                run = cls(path, plain(config), record, lock)
                run.update_record()
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
            raise
        return run

    @classmethod
    def open(cls, path: Path, *, write: bool) -> "RunFolder":
        """An existing run; a writer holds its lock, a reader needs none.

        Raises:
            RunError: no run folder, unreadable files, or another writer is at work.
        """
        path = Path(path)
        missing = [name for name in ("config.yaml", "run.json") if not (path / name).is_file()]
        if missing:
            raise RunError(f"{path} is no run folder, it has no {missing[0]}; check the path.")
        config = _read_mapping(path / "config.yaml", yaml.safe_load)
        record = _read_mapping(path / "run.json", json.loads)
        if not write:
            return cls(path, config, record, None)
        record.setdefault("metric_names", [])
        lock = _acquire_lock(path)
        try:
            return cls(path, config, record, lock)
        except BaseException:
            os.close(lock)
            raise

    @property
    def resumed_as(self) -> Path:
        """What `--resume` takes: this folder, or that of the sweep that it belongs to."""
        return self.path.parent if self.record.get("sweep") else self.path

    @property
    def metrics(self) -> TableLog:
        """The table `metrics.csv`, of a run open for writing."""
        return self._writable()[0]

    @property
    def scores(self) -> TableLog:
        """The table `scores.csv`, of a run open for writing."""
        return self._writable()[1]

    def update_record(self, **entries: Any) -> None:
        """Set entries of `run.json`; the file changes all at once.

        Raises:
            RunError: the disk is full; the file stays as it was.
        """
        self._writable()
        record = {**self.record, **plain(entries)}
        file = self.path / "run.json"
        with disk_errors(f"{file} could not be written", "make room and resume"):
            write_atomically(file, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        self.record = record

    def update_config(self, config: dict[str, Any], *, note: str) -> None:
        """Replace the resolved settings in `config.yaml`; the file changes all at once.

        Args:
            config: plain values.
            note: one line, a comment at the top of the file.

        Raises:
            RunError: the disk is full; the file stays as it was.
        """
        self._writable()
        file = self.path / "config.yaml"
        with disk_errors(f"{file} could not be written", "make room and resume"):
            text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
            write_atomically(file, f"# {note}\n{text}")
        self.config = plain(config)

    def save(self, state: PyTree, progress: dict[str, Any]) -> str:
        """Save a checkpoint that remembers how many rows the tables have.

        The rows reach the disk first: after a power cut the tables hold at
        least what the checkpoint remembers.
        """
        for table in self._writable():
            table.sync()
        rows = {"metrics_rows": self.metrics.rows, "scores_rows": self.scores.rows}
        return self.checkpoints.save(state, {**progress, **rows})

    def close(self) -> None:
        """Close the tables and give the lock back."""
        for table in self._tables:
            table.close()
        self._tables = ()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _writable(self) -> tuple[TableLog, ...]:
        if not self._tables:
            raise RuntimeError(f"{self.path} is not open for writing")
        return self._tables


def versions() -> dict[str, str | None]:
    """Versions of Python, of the packages that shape a result, and the machine's kind."""
    import jax

    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    devices = sorted({device.device_kind for device in jax.devices()})
    return {**found, "platform": platform.platform(), "device_kind": ", ".join(devices)}


def require_empty(path: Path) -> None:
    """Refuse, with a RunError, a folder that holds anything but an old lock."""
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; choose another folder with --out.")
    if path.is_dir() and any(entry.name != ".lock" for entry in path.iterdir()):
        raise RunError(
            f"{path} is not empty; go on with its run by --resume {path}, or choose another --out."
        )


def _acquire_lock(path: Path) -> int:
    """An open file descriptor; the kernel frees the lock when its process ends in any way."""
    file = path / ".lock"
    with disk_errors(f"{file} could not be opened", "make the folder writable"):
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise RunError(
            f"{path} is being written by process {holder}; wait for it or stop it first."
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _read_mapping(file: Path, parse: Any) -> dict[str, Any]:
    try:
        content = parse(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{file} cannot be read ({reason}); restore the file.") from None
    if not isinstance(content, dict):
        raise RunError(f"{file} holds no mapping of names to values; restore the file.")
    return content
