"""A study's finished runs without their weights: one small archive, for tables made elsewhere.

What comparison reads of a run is a few kilobytes; its checkpoints are megabytes.  So the parts of a
study that several machines trained come together, and published tables come with what they were
made of.  An archive names no folder of the machine that made it, but those of data files that the
study was given, and equal runs are equal bytes.
"""

import io
import json
import re
import shlex
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import yaml

from shared.errors import ConfigError, RunError, printable
from shared.record.schema import JUDGED_FILE, SWEEP_FILE
from shared.storage.durable import disk_errors, write_atomically
from shared.studies import states
from shared.studies.folder import FILE
from shared.studies.jobs import RUNS, Job

TABLES = ("config.yaml", "run.json", "scores.csv", "metrics.csv", JUDGED_FILE)
"""Of a run; the last one where a policy was judged."""
LARGEST = 64 << 20
"""Bytes of a file in an archive, unpacked."""
_NAME = re.compile(r"[\w.,= +-]{1,200}", re.ASCII)


def pack(jobs: Sequence[Job], out: Path, file: Path) -> int:
    """Write the finished runs of a study into an archive.

    Arguments:
        jobs: of the study.
        out: its folder.
        file: the archive, `.zip`.

    Returns:
        The number of runs in it.

    Raises:
        RunError: nothing is finished yet, or the disk refuses.
    """
    done = [job for job in jobs if states.state_of(job).status == states.FINISHED]
    if not done:
        raise RunError(f"{out}: none of the study's runs is finished yet; run it first.")
    members = dict.fromkeys(member for job in done for member in job.members)
    files = [out / FILE, *(job.folder / SWEEP_FILE for job in done if job.row.sweep)]
    files += [member / name for member in members for name in TABLES]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted({x.resolve() for x in files if x.exists()}):
            info = zipfile.ZipInfo(path.relative_to(out.resolve()).as_posix())
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, _portable(path, out.resolve()))
    with disk_errors(f"{file} could not be written", "name another --to"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.getvalue())
    return len(members)


def unpack(file: Path, out: Path) -> int:
    """Write the runs of an archive into a study's folder; what is finished there stays.

    Arguments:
        file: of `pack`.
        out: the study's folder, new or begun.

    Returns:
        The number of runs that came.

    Raises:
        ConfigError: damaged, or no such archive.
        RunError: the folder is another study's, or the disk refuses.
    """
    found = _read(file)
    study = found.pop(PurePosixPath(FILE), None)
    if study is None:
        raise ConfigError(f"{file}: has no {FILE}, so it is no archive of a study; pack it again.")
    _require_same(file, study, out / FILE)
    runs = [path.parent for path in found if path.name == "run.json"]
    come = [run for run in runs if not _is_finished(out / run)]
    with disk_errors(f"{out} could not be written", "choose another --out"):
        for path, text in found.items():
            if path.parent in come or path.name == SWEEP_FILE:
                (out / path).parent.mkdir(parents=True, exist_ok=True)
                write_atomically(out / path, text)
        if not (out / FILE).exists():
            out.mkdir(parents=True, exist_ok=True)
            write_atomically(out / FILE, study)
    return len(come)


def _read(file: Path) -> dict[PurePosixPath, str]:
    """The files of an archive, run by run with its record last, so that a kill leaves no half."""
    found: dict[PurePosixPath, str] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                path = PurePosixPath(info.filename)
                if not _is_ours(path):
                    raise ConfigError(
                        f"{file}: holds '{printable(info.filename)}', which is no table of a run; "
                        "take an archive of 'study pack'."
                    )
                if info.file_size > LARGEST:
                    raise ConfigError(
                        f"{file}: {printable(info.filename)} has {info.file_size:,} bytes, more "
                        f"than {LARGEST:,}; take an archive of 'study pack'."
                    )
                found[path] = archive.read(info).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file.") from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{file}: is damaged ({error}); pack the study again.") from error
    return dict(sorted(found.items(), key=lambda item: (item[0].name == "run.json", item[0])))


def _is_ours(path: PurePosixPath) -> bool:
    """`study.yaml`, or a table of `runs/DATA/RUN` or of a sweep's `runs/DATA/RUN/VALUE`."""
    if path == PurePosixPath(FILE):
        return True
    folders = path.parts[:-1]
    return (
        path.name in (*TABLES, SWEEP_FILE)
        and len(folders) in (3, 4)
        and folders[0] == RUNS
        and all(_NAME.fullmatch(part) and set(part) != {"."} for part in folders)
    )


def _is_finished(run: Path) -> bool:
    try:
        return json.loads((run / "run.json").read_text("utf-8"))["status"] == states.FINISHED
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _require_same(file: Path, text: str, own: Path) -> None:
    """The archive is of the study in the folder: of the same name."""
    if not own.exists():
        return
    try:
        theirs, ours = (yaml.safe_load(x)["name"] for x in (text, own.read_text("utf-8")))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: its {FILE} is damaged; pack the study again.") from error
    if theirs != ours:
        raise RunError(
            f"{file} is of the study '{theirs}', {own.parent} of '{ours}'; name another --out."
        )


def _portable(path: Path, out: Path) -> str:
    """The text of a file, where it could name folders of this machine, its user or kernel."""
    text = path.read_text("utf-8")
    if path.name == "run.json":
        record = _without_folders(json.loads(text), out)
        record["command"] = shlex.join(
            _without_folders(word, out) for word in shlex.split(record.get("command", ""))
        )
        versions = record.get("versions", {})
        versions["platform"] = versions.get("platform", "").partition("-")[0]
        return json.dumps(record, indent=1) + "\n"
    return text


def _without_folders(value: Any, out: Path) -> Any:
    """Absolute paths as seen from the study's folder, or as bare names."""
    if isinstance(value, dict):
        return {key: _without_folders(x, out) for key, x in value.items()}
    if isinstance(value, list):
        return [_without_folders(x, out) for x in value]
    if isinstance(value, str) and PurePath(value).is_absolute():
        path = Path(value)
        return (path.relative_to(out) if path.is_relative_to(out) else Path(path.name)).as_posix()
    return value
