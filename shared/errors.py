"""Errors that a user can mend, and the exit codes of the commands.

A `UserError` carries one sentence that names what is wrong, where, and what
to do.  The command line prints that sentence alone and exits with the code of
the error's class; everything else is a fault of ours and shows its traceback.
"""

import re

# Beside the plain words, what NVIDIA's libraries and OpenGL say when they find no room.
_SHORT = re.compile(
    "RESOURCE_EXHAUSTED|[Oo]ut of memory"
    "|(CUBLAS|CUDNN|CUSOLVER)_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)"
    "|gpusolver[A-Za-z]*Create|Failed to initialize BLAS|[Ff]ramebuffer is not complete"
)


class UserError(Exception):
    """Something the user can mend; the message is one full sentence."""

    exit_code = 1


class ConfigError(UserError):
    """An unknown, missing or wrongly typed setting."""

    exit_code = 2


class DataError(UserError):
    """A data file that is absent, broken, hostile or of the wrong form."""

    exit_code = 3


class RunError(UserError):
    """A run folder that is locked, damaged or does not fit the request."""

    exit_code = 4


class MemoryShortage(RunError):
    """Memory of the machine or its GPU was too small; where others share it, for the moment."""


class NonFiniteError(UserError):
    """A loss or metric became NaN or infinite during training."""

    exit_code = 5


class SystemPackageError(UserError):
    """A system package that pip cannot install is missing; names the package."""

    exit_code = 6


class SimulatorError(UserError):
    """A simulator failed, or gave what no policy can be scored by."""

    exit_code = 7


class ObservationError(UserError):
    """A policy was asked to act on what is no observation of its robot."""

    exit_code = 8


class ExportError(UserError):
    """A policy that a format cannot hold, or a policy file that is damaged or does not fit."""

    exit_code = 9


class Interrupted(UserError):
    """Ctrl-C; the message says where the run stopped and how it goes on."""

    exit_code = 130


class Advice(UserWarning):
    """Something that the user should know; the message is one full sentence."""


def shortage(error: Exception) -> str | None:
    """The sentence for an error that says that memory is too small; None for any other."""
    text = str(error)
    if not isinstance(error, MemoryError) and not _SHORT.search(text):
        return None
    found = re.search(r"allocating (\d+) bytes", text)
    asked = f" ({int(found[1]) / 2**30:,.0f} GiB were asked for at once)" if found else ""
    return (
        f"there is too little memory{asked}; choose smaller batches or networks, fewer seeds at a "
        "time (seeds_together) or fewer rows."
    )


def printable(name: str, limit: int = 60) -> str:
    """A name from a file, safe to print: no control characters, bounded length."""
    text = ascii(name)[1:-1]
    return text if len(text) <= limit else text[: limit - 3] + "..."
