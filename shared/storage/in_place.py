"""Files and folders that appear when they are complete, and replace nothing by accident."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from shared.errors import DataError
from shared.storage.locks import exclusive

CONVERTED = "converted.json"
"""In a folder that was converted from other data: from what.  Only such a one is replaced."""


def require_free(out: Path, *, source: Path, force: bool) -> None:
    """Refuse to lose anything that the user did not say may go.

    Raises:
        DataError: `out` exists, is a folder that nobody converted, or lies in `source`.
    """
    # realpath, as `Path.resolve` raises where links lead in a circle
    target, origin = (Path(os.path.realpath(path)) for path in (out, source))
    if target == origin or origin in target.parents:
        raise DataError(f"{out}: lies in the source; name another place.")
    if not out.exists():
        return
    if not force:
        raise DataError(f"{out}: exists already; use --force to replace it, or another name.")
    if out.is_dir() and not (out / CONVERTED).is_file():
        raise DataError(f"{out}: is a folder that was not converted from data; name another.")


@contextlib.contextmanager
def finished(out: Path) -> Iterator[Path]:
    """A place to write to; what is there in the end becomes `out`, if nothing was raised.

    Raises:
        DataError: the disk refuses.
    """
    part = out.with_name(f".{out.name}.part")
    try:
        with exclusive(out):
            _remove(part)  # of a process that was killed
            try:
                yield part
                _replace(part, out)
            finally:
                _remove(part)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{out}: cannot be written ({reason}); free some space or name another place."
        ) from error


def _replace(part: Path, out: Path) -> None:
    """Put the finished part in the place of `out`; what was there goes last."""
    if not out.is_dir():
        os.replace(part, out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    os.rename(out, old)
    os.rename(part, out)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
