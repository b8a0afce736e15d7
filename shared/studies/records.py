"""A study's finished runs without their weights: one small archive, for tables made elsewhere.

What comparison reads of a run is a few kilobytes; its checkpoints are megabytes.  So the parts of a
study that several machines trained come together, and published tables come with what they were
made of.  An archive names no folder of the machine that made it (but that of a folder of data that
the study was given), and equal runs are equal bytes.
"""

import io
import json
import os
import re
import shlex
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import yaml

from shared.errors import ConfigError, RunError, printable
from shared.record.schema import JUDGED_FILE, SWEEP_FILE
from shared.storage.durable import disk_errors, write_atomically
from shared.storage.locks import is_held
from shared.studies import states
from shared.studies.folder import FILE, default_folder, running
from shared.studies.jobs import RUNS, Job

TABLES = ("config.yaml", "run.json", "scores.csv", "metrics.csv", JUDGED_FILE)
"""Of a run; the last one where a policy was judged."""
LARGEST = 64 << 20
"""Bytes of a file in an archive, unpacked."""
IN_ALL = 1 << 30
"""Bytes of all of them, which are read before one is written."""
_NAME = re.compile(r"[\w.,= +-]{1,200}", re.ASCII)


def pack(jobs: Sequence[Job], out: Path, file: Path) -> int:
    """Write the finished runs of a study into an archive.

    Arguments:
        jobs: of the study.
        out: its folder.
        file: the archive, `.zip`.

    Returns:
        The number of runs in it, a sweep counting as one.

    Raises:
        RunError: nothing is finished yet, or the disk refuses.
    """
    _require_archive(file)
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
        aside = file.with_name(f".{file.name}.part")
        aside.write_bytes(content.getvalue())
        os.replace(aside, file)
    return len(done)


def unpack(file: Path, out: Path | None) -> tuple[Path, int, int]:
    """Write the runs of an archive into a study's folder; what is finished there stays.

    A run that is finished in the archive takes the place of one that is not finished in the folder,
    its weights included, and brings the judgement that a finished one lacks.

    Arguments:
        file: of `pack`.
        out: the study's folder, new or begun; None is that of its name.

    Returns:
        The folder, the number of runs (and members of sweeps) that came, and of those that were
        there.

    Raises:
        ConfigError: damaged, or no such archive.
        RunError: the folder is another study's, the study is being run there, or the disk refuses.
    """
    found = _read(file)
    study = found.pop(PurePosixPath(FILE), None)
    if study is None:
        raise ConfigError(f"{file}: has no {FILE}, so it is no archive of a study; pack it again.")
    name = _name_in(study, f"{file}: its {FILE}")
    out = out or default_folder(name)
    if (out / FILE).exists():
        ours = _name_in((out / FILE).read_text("utf-8"), f"{out / FILE}")
        if name != ours:
            raise RunError(
                f"{file} is of the study '{name}', {out} of '{ours}'; name another --out."
            )
    elif out.is_dir() and any(out.iterdir()):
        raise RunError(f"{out}: is the folder of no study, and not empty; name another --out.")
    runs = [path.parent for path in found if path.name == "run.json"]
    with disk_errors(f"{out} could not be written", "choose another --out"), running(out):
        come = [run for run in runs if not _is_finished(out / run)]
        for run in come:
            if is_held(out / run / ".lock"):
                raise RunError(f"{out / run}: is being trained; wait for it.")
        for run in come:
            shutil.rmtree(out / run, ignore_errors=True)
        for path, text in found.items():
            if path.parent in come or path.name == SWEEP_FILE or _lacks(out, path, found):
                (out / path).parent.mkdir(parents=True, exist_ok=True)
                write_atomically(out / path, text)
        if not (out / FILE).exists():
            write_atomically(out / FILE, study)
    return out, len(come), len(runs) - len(come)


def _lacks(out: Path, path: PurePosixPath, found: dict[PurePosixPath, str]) -> bool:
    """A judgement of the very run that is finished there, which nobody has judged there."""
    if path.name != JUDGED_FILE or (out / path).exists():
        return False
    own = out / path.parent / "scores.csv"
    return own.exists() and own.read_text("utf-8") == found.get(path.parent / "scores.csv")


def _require_archive(file: Path) -> None:
    """Nothing else is written over.

    Raises:
        RunError: another ending, or a file that is no archive of a study.
    """
    if file.suffix != ".zip":
        raise RunError(f"{file}: an archive's name ends in .zip; name another --to.")
    if file.exists():
        try:
            with zipfile.ZipFile(file) as archive:
                is_ours = FILE in archive.namelist()
        except (OSError, zipfile.BadZipFile):
            is_ours = False
        if not is_ours:
            raise RunError(f"{file}: exists and is no archive of a study; name another --to.")


def _read(file: Path) -> dict[PurePosixPath, str]:
    """The files of an archive, run by run with its record last, so that a kill leaves no half."""
    found: dict[PurePosixPath, str] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(info.file_size for info in archive.infolist()) > IN_ALL:
                raise ConfigError(
                    f"{file}: unpacks to more than {IN_ALL:,} bytes; take an archive of 'study "
                    "pack'."
                )
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


def _name_in(text: str, where: str) -> str:
    """The study's name in a `study.yaml`; whose folder it may name.

    Raises:
        ConfigError: damaged.
    """
    try:
        name = str(yaml.safe_load(text)["name"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is damaged; pack the study again.") from error
    if not _NAME.fullmatch(name) or set(name) == {"."}:
        raise ConfigError(f"{where} names no study ('{printable(name)}'); pack it again.")
    return name


def _portable(path: Path, out: Path) -> str:
    """The text of a file, without folders of this machine, its user or kernel."""
    text = path.read_text("utf-8")
    if path.name == "run.json":
        record = _without_folders(json.loads(text), out)
        record["command"] = shlex.join(
            _without_folders(word, out) for word in shlex.split(record.get("command", ""))
        )
        versions = record.get("versions", {})
        versions["platform"] = versions.get("platform", "").partition("-")[0]
        return json.dumps(record, indent=1) + "\n"
    if path.name == FILE:
        study = yaml.safe_load(text)
        for data in study["data"]:
            if isinstance(data, dict) and "sha256" in data:  # which tells it, whatever its place
                data["file"] = Path(data["file"]).name
        return yaml.safe_dump(study, sort_keys=False, allow_unicode=True)
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
