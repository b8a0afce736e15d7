"""What every test runs under: strict JAX, checked shapes, one thread, no display.

Shapes and types of `cnf`, `clap` and `shared` are checked at run time by the
jaxtyping import hook (`--jaxtyping-packages` in pyproject.toml), and every
warning is an error but the few named below.
"""

import ctypes
import gc
import math
import mmap
import os
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

# Before JAX, MuJoCo and matplotlib are imported.  Test processes run side by side, so one
# thread each; results must not depend on the number of cores either.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling is most of the suite's work, and LLVM's optimisation nearly half of that; of the
# rest, code from the MLIR fusion emitters takes three times as long as that from the older
# ones.  An unknown flag ends the process, and from jaxlib 0.11 on there are no older ones.
XLA_FLAGS = ["--xla_cpu_multi_thread_eigen=false", "--xla_backend_optimization_level=0"]
if version("jaxlib").startswith("0.10."):
    XLA_FLAGS.append("--xla_cpu_use_fusion_emitters=false")
    # A program is one module of LLVM: up to 32 of them are for as many threads.
    XLA_FLAGS.append("--xla_cpu_parallel_codegen_split_count=1")
os.environ.setdefault("XLA_FLAGS", " ".join(XLA_FLAGS))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LP_NUM_THREADS", "1")
# Not the cache of compiled programs of the user: child processes compile anew (some are killed
# while they write), and this one keeps what one file compiled for the next.
os.environ["JAX_COMPILATION_CACHE_DIR"] = ""
PROGRAMS = TemporaryDirectory(prefix="programs-")
os.environ.setdefault("MPLBACKEND", "Agg")
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_compilation_cache_dir", PROGRAMS.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

PROGRAMS_PER_CONTEXT = 64
"""Not more, for what a context has interned stays as long as it does."""


def share_contexts():
    """MLIR's context serves many programs of a thread: it took a quarter of what a small one costs.

    JAX makes one a program, with all its dialects.
    """
    from jax._src.interpreters import mlir

    make, own = mlir.make_ir_context, threading.local()

    def context():
        own.left = getattr(own, "left", 0) - 1
        if own.left < 0:
            own.context, own.left = make(), PROGRAMS_PER_CONTEXT - 1
        return own.context

    mlir.make_ir_context = context


if version("jax").startswith("0.10."):
    share_contexts()

THIRD_PARTY_WARNINGS = (
    # distrax 0.1.9 reads a name that JAX 0.10 deprecated.
    "ignore:jax.core.pytype_aval_mappings is deprecated:DeprecationWarning",
    # dm-control 1.0.43 does what NumPy 2.5 deprecated.
    r"ignore:Setting the shape on a NumPy array:DeprecationWarning:dm_control\..*",
)


def pytest_configure(config):
    for line in THIRD_PARTY_WARNINGS:
        config.addinivalue_line("filterwarnings", line)


def pytest_unconfigure():
    PROGRAMS.cleanup()


HEAVIEST = (
    "contract/test_contract.py", "clap/test_contract.py", "test_docs.py", "clap/test_pixels.py",
    "clap/test_mopo.py", "clap/test_dreamers.py", "studies/test_killed.py",
    "runs/test_suites.py", "training/test_online.py", "training/test_loop.py",
    "clap/test_reuse.py", "cnf/test_pixels.py", "clap/test_features.py", "runs/test_longer.py",
    "runs/test_q_errors.py", "export/test_export.py", "choice/test_choose.py",
    "cnf/test_cnf.py", "cnf/test_reference.py", "models/test_flow.py", "runs/test_interrupt.py",
    "environments/test_video.py", "clap/model/test_world_model.py", "behavior/test_pixels.py",
    "runs/test_values.py", "runs/test_config.py",
)  # fmt: skip
"""Files that take longest, the longest first."""


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="also the tests that are marked as long")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leave long tests out unless asked for, or named by themselves.

    Begin with the heaviest files, so that processes side by side end at about one time.
    """
    named = any("::" in word for word in config.args)
    if not (config.getoption("--all") or named):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    rank = {Path(__file__).parent / name: i for i, name in enumerate(HEAVIEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish():
    """What is imported stays: the collector need not look through it, nor come so often.

    It took an eighth of the suite's time, for tracing makes many objects that live on.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


MUCH_MEMORY = 3 << 29
"""Bytes of this process; all compiled programs together would take several times as much."""


@pytest.fixture(scope="module", autouse=True)
def forget_programs(request):
    """Compiled programs go when they fill the memory, or may hold what a file has patched."""
    yield
    if "patch.setattr(" in request.path.read_text("utf-8") or memory() > MUCH_MEMORY:
        jax.clear_caches()
        gc.collect()
        if sys.platform == "linux":  # what was freed goes back to the system, or it would count on
            ctypes.CDLL(None).malloc_trim(0)


def memory() -> float:
    """Bytes that this process holds; where they cannot be known, too many."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * mmap.PAGESIZE if pages.exists() else math.inf


@pytest.fixture(scope="session")
def hopper_random(tmp_path_factory):
    """A small real data set: 3,000 rows of a random hopper, recorded here and now."""
    from shared.behavior.record import record
    from shared.data.reader import read_states

    path = tmp_path_factory.mktemp("data") / "hopper-random.hdf5"
    record("hopper-random", 3000, seed=0, path=path, workers=1)
    return read_states(path, name="hopper-random")


@pytest.fixture
def arrays():
    """Columns of a small data set, see `small_files`."""
    from small_files import make_arrays

    return make_arrays()


@pytest.fixture
def write(tmp_path):
    """`write(arrays, name="data.hdf5", attributes={}, **options)` gives the file's path."""
    import h5py

    def write(arrays, name="data.hdf5", attributes=None, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file.attrs.update(attributes or {})
            for key, value in arrays.items():
                file.create_dataset(key, data=value, **options)
        return path

    return write


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Never touch the user's cache, and never leave this machine."""
    monkeypatch.setenv("LATENT_POLICIES_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("LATENT_POLICIES_OFFLINE", "1")
    monkeypatch.delenv("LATENT_POLICIES_MIRROR", raising=False)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were written, still open to look at."""
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig

    def keep(self, *args, **options):
        figures.append(self)
        return save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


MANY_MAPS = 30_000
"""Of the 65,530 memory maps that Linux grants a process; every compiled program takes several."""


def pytest_runtest_teardown(item, nextitem):
    """Drop compiled programs before the kernel refuses to map more (a crash inside of LLVM)."""
    same_module = nextitem is not None and nextitem.path == item.path
    same_case = same_module and str(_case(item)) == str(_case(nextitem))
    maps = Path("/proc/self/maps")
    if not same_case and maps.exists() and maps.read_bytes().count(b"\n") > MANY_MAPS:
        jax.clear_caches()


def _case(item):
    """The parameters of a test; those of one case share programs."""
    return getattr(item, "callspec", None) and item.callspec.params
