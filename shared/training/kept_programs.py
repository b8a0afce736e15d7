"""Compiled programs, kept from one process to the next by JAX's own cache in the user's folder.

A compiled program takes longer than a short training: kept on the disk, only the first process
pays.  The machine code is the same, hence every bit of a result.  JAX's variables decide otherwise:
`JAX_ENABLE_COMPILATION_CACHE=false` switches it off, `JAX_COMPILATION_CACHE_DIR` moves it.
"""

import os
import sys
from pathlib import Path

PLACE = "JAX_COMPILATION_CACHE_DIR"
LEAST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
MOST = "JAX_COMPILATION_CACHE_MAX_SIZE"
LIMIT = 2 << 30
"""Bytes on the disk, after which the program goes that was not used for longest."""


def keep_programs() -> None:
    """Have the compiled programs of this process and its children kept, unless JAX is told how."""
    if PLACE in os.environ:
        return
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(caches).expanduser() / "latent-policies" / "programs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written to: programs are compiled each time
        return
    # By the environment, because JAX must not be imported for `--help`.
    os.environ[PLACE] = str(folder)
    for name, value in ((LEAST, "0"), (MOST, str(LIMIT))):
        os.environ.setdefault(name, value)
    if "jax" in sys.modules:
        _tell_jax(folder)


def _tell_jax(folder: Path) -> None:
    """JAX reads the variables once, when it is imported."""
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", float(os.environ[LEAST]))
        jax.config.update("jax_compilation_cache_max_size", int(os.environ[MOST]))
