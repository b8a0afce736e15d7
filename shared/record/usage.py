"""What a run costs: time, CPU time and memory of its process, and where its code came from."""

import functools
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Meter:
    """What this process spends from now on, added to what earlier parts of a run spent.

    Arguments:
        before: entries of an earlier `read`, or nothing.
    """

    def __init__(self, before: dict[str, Any]):
        self.before, self._wall, self._cpu = before, time.time(), time.process_time()

    def read(self) -> dict[str, Any]:
        """`seconds` and `cpu_seconds` of all parts, and peaks of memory in bytes.

        CPU time is that of the whole process, evaluation included.  `peak_memory` is the most
        that the process ever had in memory, None where the system does not tell;
        `peak_device_memory` that of the first accelerator, None on a CPU.
        """
        spent = {
            "seconds": time.time() - self._wall,
            "cpu_seconds": time.process_time() - self._cpu,
        }
        peaks = {"peak_memory": peak_memory(), "peak_device_memory": peak_device_memory()}
        return {
            **{k: round(self.before.get(k, 0.0) + v, 1) for k, v in spent.items()},
            **{
                k: max(filter(None, (self.before.get(k), v)), default=None)
                for k, v in peaks.items()
            },
        }


def peak_memory() -> int | None:
    """The most bytes that this process had in memory."""
    try:
        import resource
    except ImportError:  # no Unix
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_device_memory() -> int | None:
    """The most bytes that were in use on the first accelerator."""
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use")


def version() -> str:
    """Of this package; `not installed` where it runs from a folder that pip has not seen."""
    try:
        return metadata.version("latent-policies")
    except metadata.PackageNotFoundError:
        return "not installed"


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that this package runs from, `…-dirty` if files were changed.

    None where it was installed without one.
    """
    if not ((ROOT / ".git").exists() and (ROOT / "pyproject.toml").is_file()):
        return None
    words = [
        "git",
        "-C",
        str(ROOT),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
