"""Checkpoints of a training run: all of one, or nothing of it.

Orbax stores the arrays; around it stand an atomic rename, so that a kill or a
full disk costs at most the newest checkpoint, and a manifest of hashes, so
that damaged bits are found before they are trained on.

    checkpoints/
      policy-000005000/        phase and global step
        arrays/                the array leaves, written by Orbax
        manifest.json          progress, leaf table, hash and size of every file
        manifest.sha256        hash of the manifest
      best.json                which one to keep beyond the newest few
      .tmp-*, .trash-*         what a kill left; the next save removes it
"""

import itertools
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from shared.errors import ConfigError, RunError
from shared.record.leaves import (
    arrays_of,
    put_together,
    read_arrays,
    require_same,
    table_of,
    write_arrays,
)
from shared.record.manifest import read_manifest, verify, write_manifest
from shared.storage.durable import disk_errors, plain, sync_folder, sync_tree, write_atomically

# phase, global step of nine or more digits, and a count where a step was saved again
_NAME = re.compile(r"(?P<phase>[^.].*?)-(?P<step>\d{9,})(?:-(?P<again>\d+))?")


class Checkpoints:
    """Orbax behind one small class plus a SHA-256 manifest.

    One process may write at a time (`RunFolder` sees to it with a lock);
    reading changes nothing in the folder and needs no lock.

    Args:
        folder: where the checkpoints lie; made by the first save.
        keep: how many of the newest stay; the best one stays besides.

    Raises:
        ConfigError: `keep` is less than one.
    """

    def __init__(self, folder: Path, *, keep: int = 3):
        if keep < 1:
            raise ConfigError(f"keep = {keep} would delete every checkpoint; set it to 1 or more.")
        self.folder = Path(folder)
        self.keep = keep

    def names(self) -> list[str]:
        """All complete checkpoints, oldest progress first."""
        if not self.folder.is_dir():
            return []
        found = [path.name for path in self.folder.iterdir() if path.is_dir()]
        return sorted((name for name in found if _NAME.fullmatch(name)), key=self._order)

    @property
    def latest(self) -> str | None:
        """The checkpoint with the most progress, or None."""
        return next(reversed(self.names()), None)

    @property
    def best(self) -> str | None:
        """The checkpoint that `mark_best` named, or None."""
        marked = self._marked()
        return None if marked is None else marked[0]

    def _marked(self) -> tuple[str, float] | None:
        """Name and score of the best checkpoint, if it is there."""
        path = self.folder / "best.json"
        if not path.is_file():
            return None
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            name, score = entry["name"], float(entry["score"])
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{path} is damaged; delete it, no result depends on it.") from None
        return (name, score) if name in self.names() else None

    def save(self, state: PyTree, progress: dict[str, Any]) -> str:
        """Store a state; returns once it would survive a power cut.

        A checkpoint is never overwritten.  When a run that went back to an
        older checkpoint saves again, those of the abandoned future go, but
        only once the new one is safe on the disk.

        Args:
            state: pytree of JAX or NumPy arrays, random keys included.
            progress: plain numbers and strings, with `phase`, `phase_index`, `step`
                (of the phase) and `global_step` among them.

        Returns:
            The name of the checkpoint, such as "policy-000005000".

        Raises:
            RunError: the disk is full or not writable; older checkpoints are untouched.
        """
        place = (progress["global_step"], progress["phase_index"])
        notes = {"progress": plain(progress), "leaves": table_of(state)}
        arrays = arrays_of(state)
        base = f"{progress['phase']}-{progress['global_step']:09d}"
        failure = f"Checkpoint {base} could not be written to {self.folder}"
        with disk_errors(failure, "make room and resume, earlier checkpoints are intact"):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            name = self._free_name(base)
            self._write(name, arrays, notes)
            self._forget([n for n in self.names() if n != name and self._order(n)[:2] >= place])
            self._forget(n for n in self.names()[: -self.keep] if n != self.best)
        return name

    def restore(self, template: PyTree, name: str | None = None) -> tuple[PyTree, dict[str, Any]]:
        """A stored state and its progress; the latest unless named.

        Every file is compared with its hash first.  A damaged checkpoint is
        an error and never quietly replaced by an older one.

        Args:
            template: a state of the same structure, shapes and dtypes (values are
                ignored; `jax.ShapeDtypeStruct` leaves will do); gives the static parts.
            name: one of `names()`.

        Raises:
            RunError: nothing to restore; a damaged file (the message names it and the
                newest intact checkpoint); or a leaf that differs from the template.
        """
        name = self._existing(name)
        folder = self.folder / name
        try:
            manifest = verify(folder)
        except RunError as error:
            raise RunError(f"{error}; {self._advice(name)}.") from None
        require_same(manifest["leaves"], table_of(template), str(folder))
        arrays = read_arrays(folder / "arrays", manifest["leaves"])
        return put_together(template, arrays, manifest["leaves"]), manifest["progress"]

    def read_progress(self, name: str | None = None) -> dict[str, Any]:
        """The progress of a checkpoint, without reading its arrays.

        Raises:
            RunError: there is no such checkpoint, or its manifest is damaged.
        """
        name = self._existing(name)
        try:
            return read_manifest(self.folder / name)["progress"]
        except RunError as error:
            raise RunError(f"{error}; {self._advice(name)}.") from None

    def mark_best(self, name: str, score: float, details: dict[str, Any]) -> None:
        """Keep a checkpoint beyond the newest few, unless one that scored as much is kept.

        This only keeps a file.  A best-of-run score is chosen by looking at
        evaluations, so it is never reported as the result of a run.

        Raises:
            RunError: there is no such checkpoint, or the disk is full.
        """
        entry = {"name": self._existing(name), "score": score, "details": details}
        marked = self._marked()
        if marked is not None and marked[1] >= score:
            return
        path = self.folder / "best.json"
        with disk_errors(f"{path} could not be written", "make room and resume"):
            write_atomically(path, json.dumps(plain(entry), indent=1) + "\n")

    def _order(self, name: str) -> tuple[int, int, int]:
        """Global step, phase index, count: the order of progress."""
        parts = _NAME.fullmatch(name)
        assert parts is not None
        try:
            phase_index = read_manifest(self.folder / name)["progress"]["phase_index"]
        except (RunError, OSError):
            phase_index = 1_000_000  # damaged: never hide it behind an intact one of its step
        return int(parts["step"]), phase_index, int(parts["again"] or 1)

    def _existing(self, name: str | None) -> str:
        names = self.names()
        if not names:
            raise RunError(f"There is no checkpoint in {self.folder}; start the run anew.")
        if name is not None and name not in names:
            raise RunError(
                f"There is no checkpoint {name!r} in {self.folder}; choose from {', '.join(names)}."
            )
        return name or names[-1]

    def _advice(self, damaged: str) -> str:
        names = self.names()
        older = names[: names.index(damaged)] if damaged in names else []
        for name in reversed(older):
            try:
                verify(self.folder / name)
            except (RunError, OSError):
                continue
            return f"the newest intact checkpoint before it is {name!r}, restore it by that name"
        return "no earlier checkpoint is intact, start the run anew"

    def _free_name(self, base: str) -> str:
        names = itertools.chain([base], (f"{base}-{count}" for count in itertools.count(2)))
        return next(name for name in names if not (self.folder / name).exists())

    def _write(self, name: str, arrays: dict, notes: dict[str, Any]) -> None:
        temporary = self.folder / f".tmp-{name}-{os.getpid()}"
        try:
            temporary.mkdir()
            write_arrays(temporary / "arrays", arrays)
            write_manifest(temporary, notes)
            sync_tree(temporary)
            os.rename(temporary, self.folder / name)
            sync_folder(self.folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _forget(self, names: Any) -> None:
        for name in list(names):
            if name == self.best:
                (self.folder / "best.json").unlink()
            # Renamed first: a kill within rmtree must not leave half a checkpoint by its name.
            trash = self.folder / f".trash-{name}"
            os.rename(self.folder / name, trash)
            shutil.rmtree(trash)

    def _sweep(self) -> None:
        for path in self.folder.iterdir():
            if path.name.startswith((".tmp-", ".trash-", ".best.json.tmp-")):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
