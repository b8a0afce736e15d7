"""The folder of a study.

study.yaml     what the study was when it was last run, with the files it was given
runs/          an ordinary run folder (or that of a sweep) a job
logs/          what the workers printed
report/        tables and plots, once `study report` made them
.lock          held while the study is run
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from shared.errors import ConfigError, RunError
from shared.storage.durable import disk_errors, plain, write_atomically
from shared.studies.reading import committed, find_study, make_study
from shared.studies.study import Study

FILE = "study.yaml"
LOGS, REPORT = "logs", "report"


def default_folder(name: str) -> Path:
    """Where the study of a name or file is run unless told."""
    return Path("runs") / "studies" / Path(name).stem


def freeze(study: Study, out: Path) -> None:
    """Write a copy of the study into its folder.

    Raises:
        RunError: the folder cannot be written.
    """
    note = f"# Study '{study.name}' as it was last run here; `study status` and `report` read it."
    with disk_errors(f"{out / FILE} could not be written", "choose another --out"):
        out.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(plain(study.document), sort_keys=False, allow_unicode=True)
        write_atomically(out / FILE, f"{note}\nname: {study.name}\n{text}")


def open_study(
    place: str | Path, out: Path | None = None, files: Mapping[str, Path] | None = None
) -> tuple[Study, Path]:
    """The study in a folder: of `out`, of `place` itself, or where `place` names a study.

    To run it: of its data, `files` are elsewhere by now, label -> file, and the others must be
    there.  To look at it (None) nobody needs the data.

    Raises:
        ConfigError: there is no such study, or its copy is damaged.
        RunError: it was not run yet.
    """
    own = Path(place) if (Path(place) / FILE).exists() else None
    folder = out or own or default_folder(str(place))
    file = (own or folder) / FILE
    if not file.exists():
        if str(place) not in committed():
            find_study(str(place), None)  # tells the nearest name
        raise RunError(f"{folder}: the study was not run there yet; run it, or name another --out.")
    try:
        document = yaml.safe_load(file.read_text("utf-8"))
        name = document.pop("name")
    except (ValueError, yaml.YAMLError, AttributeError, KeyError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{file}: is damaged ({reason}); run the study again.") from None
    recorded = files is None
    return make_study(document, str(name), str(file), files or {}, recorded=recorded), folder


@contextlib.contextmanager
def running(out: Path) -> Iterator[None]:
    """Hold the lock of a study.

    Raises:
        RunError: another process is running it.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = os.open(out / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise RunError(f"{out}: another process is running this study; wait for it.") from None
    try:
        yield
    finally:
        os.close(lock)
