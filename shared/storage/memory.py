"""How much memory there is, of the machine, of its container, and of this process."""

import contextlib
import os
import re
from pathlib import Path

_UNKNOWN = 16 << 30


def memory_limit() -> int:
    """Bytes of arrays that may be read: half of this machine's (container's, process's) memory."""
    return min(_totals() or [_UNKNOWN]) // 2


def free_memory() -> int:
    """Bytes that this process could still take: of the machine, its container and its limits."""
    free = []
    with contextlib.suppress(OSError, TypeError):
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        free.append(int(found[1]) * 1024)  # pyright: ignore[reportOptionalSubscript]
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        used = int((group / "memory.current").read_text())
        free.append(int((group / "memory.max").read_text()) - used)
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        free += [x - pages * os.sysconf("SC_PAGE_SIZE") for x in _process_limits()]
    return max(min(free), 0) if free else memory_limit()


def _totals() -> list[int]:
    totals = _process_limits()
    with contextlib.suppress(ValueError, OSError, AttributeError):
        totals.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(ValueError, OSError):
        totals.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return totals


def _process_limits() -> list[int]:
    """What `ulimit -v` allows, if it is limited."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        return [] if soft == resource.RLIM_INFINITY else [soft]
    return []
