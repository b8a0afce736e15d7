import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import shared
from shared.errors import ConfigError, RunError
from shared.record.checkpoints import Checkpoints
from shared.storage.durable import write_atomically

ROOT = Path(shared.__file__).parents[1]  # where a child process finds the package


class Model(eqx.Module):
    layers: list
    log_std: jax.Array
    empty: jax.Array
    key: jax.Array
    dropout: float
    activation: object
    note: str = eqx.field(static=True)


def make_state(seed: int, width: int = 8) -> dict:
    keys = jax.random.split(jax.random.key(seed), 3)
    model = Model(
        layers=[eqx.nn.Linear(3, width, key=keys[0]), eqx.nn.Linear(width, 2, key=keys[1])],
        log_std=jnp.array([jnp.nan, -0.0, jnp.inf, 1e-42], jnp.float32) * (seed + 1),
        empty=jnp.zeros((0, 4)),
        key=jax.random.split(keys[2], 5),
        dropout=0.1,
        activation=jax.nn.relu,
        note="static",
    )
    return {
        "model": model,
        "half": jnp.arange(5, dtype=jnp.bfloat16),
        "weak": jnp.asarray(0.5) * seed,
        "a/b.c 'é'": np.arange(6, dtype=np.int64).reshape(2, 3) + seed,
        "buffer": np.random.default_rng(seed).integers(0, 255, (64, 64), np.uint8),
        "scalar": np.float32(seed),
        "flag": np.array(True),
        "none": None,
    }


def progress(step: int, phase: str = "policy", phase_index: int = 1) -> dict:
    return {"phase": phase, "phase_index": phase_index, "step": step, "global_step": step}


def assert_same_bits(restored, original) -> None:
    assert jax.tree.structure(restored) == jax.tree.structure(original)
    for new, old in zip(jax.tree.leaves(restored), jax.tree.leaves(original), strict=True):
        assert type(new) is type(old)
        if not eqx.is_array_like(old) or isinstance(old, float):
            assert new == old
            continue
        assert new.dtype == old.dtype and new.shape == old.shape
        assert not getattr(new, "weak_type", False)
        if jnp.issubdtype(old.dtype, jax.dtypes.prng_key):
            assert jax.random.key_impl(new) == jax.random.key_impl(old)
            new, old = jax.random.key_data(new), jax.random.key_data(old)
        assert np.asarray(new).tobytes() == np.asarray(old).tobytes()


def files_of(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


def flip_bit(path: Path, generator: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    path.write_bytes(data)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def test_restores_every_bit(checkpoints):
    state = make_state(3)
    name = checkpoints.save(state, {**progress(5000), "scores_rows": np.int64(7)})
    assert name == "policy-000005000"
    restored, where = checkpoints.restore(make_state(4))
    assert_same_bits(restored, state)
    assert where == {**progress(5000), "scores_rows": 7}
    assert checkpoints.read_progress() == where
    draws = [jax.random.normal(s["model"].key[0], (3,)) for s in (restored, state)]
    assert (draws[0] == draws[1]).all()


def test_another_random_generator_keeps_its_kind(checkpoints):
    state = {"key": jax.random.key(1, impl="rbg")}
    checkpoints.save(state, progress(1))
    assert_same_bits(checkpoints.restore(state)[0], state)
    with pytest.raises(RunError, match=r"key<rbg>.* but key<fry>"):
        checkpoints.restore({"key": jax.random.key(1)})


def test_an_abstract_template_is_enough(checkpoints):
    state = jax.jit(lambda: {"w": jnp.ones((2, 3)), "key": jax.random.key(1)})()
    checkpoints.save(state, progress(1))
    assert_same_bits(checkpoints.restore(jax.eval_shape(lambda: state))[0], state)


def test_a_state_without_arrays(checkpoints):
    checkpoints.save({"empty": np.zeros((0, 2)), "f": jax.nn.relu}, progress(1))
    restored, _ = checkpoints.restore({"empty": np.zeros((0, 2)), "f": jax.nn.tanh})
    assert restored["empty"].shape == (0, 2) and restored["f"] is jax.nn.tanh


def test_python_objects_are_refused_without_pickle(checkpoints):
    with pytest.raises(TypeError, match=r"\['x'\] holds Python objects"):
        checkpoints.save({"x": np.array([{}], object)}, progress(1))
    assert checkpoints.names() == []


def test_names_are_in_order_of_progress(checkpoints):
    state = {"w": np.ones(2)}
    checkpoints.save(state, progress(900, "flow", 0))
    checkpoints.save(state, progress(1000, "flow", 0))
    checkpoints.save(state, progress(1000, "a-policy", 1))
    assert checkpoints.names() == ["flow-000000900", "flow-000001000", "a-policy-000001000"]
    assert checkpoints.latest == "a-policy-000001000"
    (checkpoints.folder / "notes").mkdir()
    (checkpoints.folder / "notes.txt").touch()
    assert len(checkpoints.names()) == 3


def test_keeps_the_newest_and_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3, 4):
        name = checkpoints.save({"w": np.full(3, step)}, progress(step))
        if step == 2:
            checkpoints.mark_best(name, 71.5, {"mode": "deterministic"})
    kept = [f"policy-{step:09d}" for step in (2, 3, 4)]
    assert checkpoints.names() == kept and checkpoints.best == kept[0]
    assert json.loads((tmp_path / "best.json").read_text())["score"] == 71.5
    assert checkpoints.restore({"w": np.zeros(3, int)}, kept[0])[0]["w"][0] == 2
    checkpoints.mark_best(kept[1], 70.0, {})
    assert checkpoints.best == kept[0]
    checkpoints.mark_best(kept[2], 80.0, {})
    checkpoints.save({"w": np.full(3, 5)}, progress(5))
    assert checkpoints.names() == [kept[2], "policy-000000005"]
    (tmp_path / "best.json").write_text("{")
    with pytest.raises(RunError, match="best.json is damaged"):
        _ = checkpoints.best


def test_going_back_drops_the_abandoned_future_and_its_best(checkpoints):
    template = {"w": np.zeros(2)}
    for step in (1, 2, 3):
        name = checkpoints.save({"w": np.full(2, float(step))}, progress(step))
    checkpoints.mark_best(name, 1.0, {})
    again = checkpoints.save({"w": np.full(2, 22.0)}, progress(2))
    assert checkpoints.names() == ["policy-000000001", again]
    assert again != "policy-000000002"  # the intact one was not written over
    assert checkpoints.best is None and not (checkpoints.folder / "best.json").exists()
    assert checkpoints.restore(template)[0]["w"][0] == 22.0
    assert checkpoints.save({"w": np.full(2, 3.0)}, progress(3)) == "policy-000000003"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s | {"new": np.zeros(2)}, r"Leaf \['new'\] is absent in checkpoint \S*policy-"),
        (lambda s: {k: s[k] for k in s if k != "flag"}, r"\['flag'\] is bool\[\].* but absent in"),
        (lambda s: s | {"buffer": np.zeros((64, 65), np.uint8)}, r"\['buffer'\] is uint8\[64, 64"),
        (lambda s: s | {"half": jnp.zeros(5, jnp.float16)}, r"bfloat16\[5\] .* but float16\[5\]"),
        (lambda s: s | {"scalar": 1.0}, r"\['scalar'\] is float32\[\] .* but the value 1\.0"),
        (
            lambda s: eqx.tree_at(lambda t: t["model"].dropout, s, 0.2),
            r"\['model'\]\.dropout is the value 0\.1 .* but the value 0\.2",
        ),
        (
            lambda s: make_state(3, width=9),
            r"\['model'\]\.layers\[0\]\.weight is float32\[8, 3\] .* but float32\[9, 3\]",
        ),
    ],
)
def test_a_template_that_differs_is_refused(checkpoints, change, message):
    state = make_state(3)
    checkpoints.save(state, progress(1))
    with pytest.raises(RunError, match=message):
        checkpoints.restore(change(state))


def test_a_flipped_bit_in_any_file_is_caught(checkpoints):
    state = make_state(3)
    older = checkpoints.save(state, progress(1))
    folder = checkpoints.folder / checkpoints.save(state, progress(2))
    generator = random.Random(0)
    assert len(files_of(folder)) > 5
    for file in files_of(folder):
        intact = file.read_bytes()
        for _ in range(5 if intact else 0):
            flip_bit(file, generator)
            with pytest.raises(RunError) as caught:
                checkpoints.restore(state)
            assert file.name.split(".")[0] in str(caught.value) and older in str(caught.value)
            assert checkpoints.latest == folder.name
            file.write_bytes(intact)
    assert_same_bits(checkpoints.restore(state)[0], state)


def test_a_file_cut_short_or_missing_is_caught(checkpoints):
    state = make_state(3)
    folder = checkpoints.folder / checkpoints.save(state, progress(1))
    for file in files_of(folder):
        intact = file.read_bytes()
        file.write_bytes(intact[: len(intact) // 2])
        with pytest.raises(RunError, match=r"no earlier checkpoint is intact.*anew"):
            checkpoints.restore(state)
        file.unlink()
        with pytest.raises(RunError, match=f"{file.name} is missing"):
            checkpoints.restore(state)
        file.write_bytes(intact)
    assert_same_bits(checkpoints.restore(state)[0], state)


def test_past_damage_one_goes_on_from_the_intact_checkpoint_by_name(checkpoints):
    for step in (1, 2, 3):
        checkpoints.save({"w": np.full(4, step)}, progress(step))
    for name in checkpoints.names()[1:]:
        flip_bit(checkpoints.folder / name / "manifest.json", random.Random(1))
    for read in (lambda: checkpoints.restore({"w": np.zeros(4, int)}), checkpoints.read_progress):
        with pytest.raises(RunError, match="before it is 'policy-000000001'"):
            read()
    restored, where = checkpoints.restore({"w": np.zeros(4, int)}, "policy-000000001")
    assert restored["w"][0] == 1 and where["step"] == 1
    checkpoints.save({"w": np.full(4, 2)}, progress(2))
    assert checkpoints.restore({"w": np.zeros(4, int)})[0]["w"][0] == 2


def test_requests_that_make_no_sense(checkpoints):
    with pytest.raises(RunError, match="no checkpoint in .*start the run anew"):
        checkpoints.restore({})
    assert checkpoints.latest is None and checkpoints.best is None
    assert not checkpoints.folder.exists()  # looking leaves no trace
    checkpoints.save({"w": np.ones(1)}, progress(1))
    for ask in (lambda: checkpoints.restore({}, "x"), lambda: checkpoints.mark_best("x", 1.0, {})):
        with pytest.raises(RunError, match="no checkpoint 'x' in .*choose from policy-000000001"):
            ask()
    with pytest.raises(ConfigError, match="keep = 0"):
        Checkpoints(checkpoints.folder, keep=0)


def test_reading_leaves_the_writers_temporary_files_alone(checkpoints):
    state = {"w": np.ones(2)}
    checkpoints.save(state, progress(1))
    left = checkpoints.folder / ".tmp-policy-000000002-1"
    left.mkdir()
    Checkpoints(checkpoints.folder).restore(state)
    assert left.exists()
    checkpoints.save(state, progress(2))
    assert not left.exists()


def test_saving_a_few_megabytes_is_quick_and_silent(checkpoints, capfd):
    state = {f"layer{i}": jnp.ones((256, 64)) * i for i in range(60)}
    checkpoints.save(state, progress(1))
    seconds = []
    for step in range(2, 7):
        started = time.process_time()  # all threads, whatever else the machine is doing
        checkpoints.save(state, progress(step))
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.3, seconds
    assert capfd.readouterr() == ("", "")


TRAINERS = """
import os, sys, warnings
from pathlib import Path
import numpy as np
import orbax.checkpoint
from shared.record.checkpoints import Checkpoints

def state(step):
    generator = np.random.default_rng(step)
    return {f"w{i}": generator.normal(size=(64, 64)).astype(np.float32) for i in range(8)}

def train():
    checkpoints, step = Checkpoints(Path(sys.argv[1]), keep=2), 0
    if checkpoints.latest:
        restored, progress = checkpoints.restore(state(0))
        step = progress["step"]
        assert all((restored[name] == value).all() for name, value in state(step).items())
    while True:
        step += 1
        progress = {"phase": "policy", "phase_index": 0, "step": step, "global_step": step}
        checkpoints.save(state(step), progress)
        print("saved", os.getpid(), flush=True)
        if step % 5 == 0:
            checkpoints.mark_best(checkpoints.latest, 1.0, {})

warnings.filterwarnings("ignore", message=".*fork")  # JAX has no threads before its first array
for _ in sys.stdin:
    if child := os.fork():
        os.waitpid(child, 0)
        print("ended", flush=True)
    else:
        train()
"""
"""A process for every line it is told; what takes long to import is imported once."""


def child_state(step: int) -> dict:
    generator = np.random.default_rng(step)
    return {f"w{i}": generator.normal(size=(64, 64)).astype(np.float32) for i in range(8)}


def test_kill_nine_at_any_moment_leaves_an_intact_checkpoint(tmp_path):
    generator, interrupted, last = random.Random(0), 0, 0
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    command = [sys.executable, "-c", TRAINERS, str(tmp_path)]
    trainers = subprocess.Popen(command, cwd=ROOT, **pipes)
    assert trainers.stdin is not None and trainers.stdout is not None
    for _ in range(10):
        print("train", file=trainers.stdin)
        told = trainers.stdout.readline().split()
        assert told[:1] == ["saved"]
        time.sleep(generator.uniform(0.0, 0.3))
        os.kill(int(told[1]), signal.SIGKILL)
        while trainers.stdout.readline() != "ended\n":
            assert trainers.poll() is None
        interrupted += any(
            path.name.startswith((".tmp-", ".trash-")) for path in tmp_path.iterdir()
        )
        checkpoints = Checkpoints(tmp_path, keep=2)
        for name in checkpoints.names():
            restored, where = checkpoints.restore(child_state(0), name)
            assert_same_bits(restored, child_state(where["step"]))
        assert checkpoints.names()
        assert checkpoints.read_progress()["step"] >= last
        last = checkpoints.read_progress()["step"]
    assert interrupted > 0 and last > 10
    trainers.communicate()
    assert trainers.returncode == 0


def fill_disk(folder: Path) -> None:
    with pytest.raises(OSError, match="No space left"), open(folder / "filler", "wb") as filler:
        while True:
            filler.write(b"x" * 4096)
            filler.flush()


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 2 MB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_costs_nothing_but_the_new_checkpoint(small_disk, capfd):
    checkpoints = Checkpoints(small_disk / "checkpoints")
    small, large = ({"w": np.random.default_rng(0).normal(size=n)} for n in (1000, 1_000_000))
    checkpoints.save(small, progress(1))
    before = [(path, path.read_bytes()) for path in files_of(checkpoints.folder)]
    with pytest.raises(RunError) as caught:
        checkpoints.save(large, progress(2))
    assert str(caught.value) == (
        f"Checkpoint policy-000000002 could not be written to {checkpoints.folder}: No space left "
        "on device; make room and resume, earlier checkpoints are intact."
    )
    assert [(path, path.read_bytes()) for path in files_of(checkpoints.folder)] == before
    assert [path.name for path in checkpoints.folder.iterdir()] == ["policy-000000001"]

    fill_disk(small_disk)
    with pytest.raises(RunError, match="No space left on device; make room"):
        checkpoints.save(small, progress(2))
    with pytest.raises(RunError, match="best.json could not be written: No space left"):
        checkpoints.mark_best("policy-000000001", 1.0, {})
    (small_disk / "note").symlink_to("checkpoints")
    assert [path.name for path in checkpoints.folder.iterdir()] == ["policy-000000001"]
    assert capfd.readouterr() == ("", "")

    (small_disk / "filler").unlink()
    checkpoints.save(small, progress(2))
    assert_same_bits(checkpoints.restore(small)[0], small)


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from shared.errors import RunError
from shared.record.checkpoints import Checkpoints

checkpoints = Checkpoints(Path(sys.argv[1]))
progress = {"phase": "policy", "phase_index": 0, "step": 1, "global_step": 1}
checkpoints.save({"w": np.ones(1000)}, progress)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    large = {"w": np.random.default_rng(0).normal(size=1_000_000)}
    checkpoints.save(large, progress | {"step": 2, "global_step": 2})
except RunError as error:
    print(error)
checkpoints.restore({"w": np.zeros(1000)})
print(sorted(path.name for path in checkpoints.folder.iterdir()))
"""


def test_a_file_size_limit_is_one_clear_sentence(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert child.returncode == 0 and child.stderr == "", child.stderr
    first, second = child.stdout.splitlines()
    assert (
        first.startswith("Checkpoint policy-000000002 could not be") and "File too large" in first
    )
    assert second == "['policy-000000001']"


def test_an_atomic_write_keeps_the_old_file_until_the_new_one_is_whole(small_disk):
    path = small_disk / "run.json"
    write_atomically(path, "old")
    with pytest.raises(OSError):
        write_atomically(path, "x" * 3_000_000)
    assert path.read_text() == "old" and list(small_disk.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="policy-000000001 could not be written.*Not a directory"):
        Checkpoints(tmp_path / "file" / "checkpoints").save({"w": np.ones(1)}, progress(1))


INTERRUPTED = """
import gc, os, signal, sys, threading, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
gc.disable()  # what is raised within JAX's callback of the collector is lost
from test_checkpoints import Checkpoints, make_state, progress
checkpoints, state = Checkpoints(Path(sys.argv[1])), make_state(0)
checkpoints.save(state, progress(0))
for step, delay in enumerate((0.001, 0.01, 0.03)):
    try:
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
        checkpoints.save(state, progress(step + 1))
        time.sleep(10)  # the save was quicker
    except KeyboardInterrupt:
        print("interrupted")
for name in checkpoints.names():
    checkpoints.restore(state, name)
"""


def test_ctrl_c_waits_for_what_orbax_has_begun(tmp_path):
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    told = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "interrupted\n" * 3, "")
