import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import shared
from shared.errors import RunError
from shared.record.run_folder import METRIC_COLUMNS, SCORE_COLUMNS, RunFolder, versions
from shared.record.table_log import TableLog

ROOT = Path(shared.__file__).parents[1]  # where a child process finds the package
CONFIG = {"algorithm": "cnf", "hyperparameters": {"hidden": (64, 64), "rate": 3e-5, "clip": None}}
METRIC = {"phase": "flow", "step": 10, "seed": 0, "seconds": 0.5, "updates_per_second": 20.0}
SCORE = {
    "phase": "policy", "step": 10, "seed": 0, "mode": "deterministic", "episode": 0,
    "return": np.float32(0.1), "score": 1.5, "length": 1000, "source": "collected, ours",
}  # fmt: skip


def create(path: Path) -> RunFolder:
    names = ["flow/loss", "loss", "flow/loss"]
    return RunFolder.create(
        path, config=CONFIG, record={"label": "é", "seeds": (0, 1)}, metric_names=names
    )


@pytest.fixture
def run(tmp_path):
    with create(tmp_path / "run") as run:
        yield run


def test_a_new_run_is_complete_and_reads_back(run):
    files = {path.name for path in run.path.iterdir()}
    assert files == {
        "config.yaml", "run.json", "metrics.csv", "metrics.jsonl", "scores.csv", ".lock",
    }  # fmt: skip
    reader = RunFolder.open(run.path, write=False)
    assert reader.config == run.config == yaml.safe_load((run.path / "config.yaml").read_text())
    assert reader.config["hyperparameters"] == {"hidden": [64, 64], "rate": 3e-5, "clip": None}
    assert reader.record["label"] == "é" and reader.record["seeds"] == [0, 1]
    header = (run.path / "metrics.csv").read_text().strip().split(",")
    assert header == [*METRIC_COLUMNS, "flow/loss", "loss"]
    assert (run.path / "scores.csv").read_text() == ",".join(SCORE_COLUMNS) + "\n"
    assert run.checkpoints.folder == run.path / "checkpoints"


def test_a_reader_changes_nothing_and_cannot_write(run):
    run.scores.append(SCORE)
    run.close()
    torn = (run.path / "scores.csv").read_bytes() + b"policy,20,0"
    (run.path / "scores.csv").write_bytes(torn)
    before = {path: path.stat().st_mtime_ns for path in run.path.iterdir()}
    reader = RunFolder.open(run.path, write=False)
    for write in (
        lambda: reader.metrics,
        lambda: reader.scores,
        lambda: reader.update_record(status="x"),
        lambda: reader.save({"w": np.ones(1)}, {}),
    ):
        with pytest.raises(RuntimeError, match="not open for writing"):
            write()
    reader.close()
    assert {path: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_a_folder_with_files_is_not_taken(tmp_path, run):
    run.close()
    before = (run.path / "config.yaml").read_bytes()
    with pytest.raises(RunError, match=r"is not empty; go on .* --resume \S+run, .* another --out"):
        create(run.path)
    assert (run.path / "config.yaml").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(RunError, match="is not empty"):
        create(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match="is a file; choose another folder with --out"):
        create(tmp_path / "mine" / "thesis.txt")
    with pytest.raises(RunError, match="could not be created: Not a directory; choose another"):
        create(tmp_path / "mine" / "thesis.txt" / "run")
    (tmp_path / "empty").mkdir()
    create(tmp_path / "empty").close()


@pytest.mark.parametrize("missing", ["config.yaml", "run.json"])
def test_what_is_no_run_folder_is_one_sentence(run, missing):
    run.close()
    (run.path / missing).unlink()
    for write in (False, True):
        with pytest.raises(RunError, match=f"is no run folder, it has no {missing}; check"):
            RunFolder.open(run.path, write=write)
    with pytest.raises(RunError, match=r"is no run folder, it has no config.yaml"):
        RunFolder.open(run.path / "absent", write=True)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.yaml", "a: [1, 2", r"config.yaml cannot be read \(while parsing"),
        ("config.yaml", "- 1\n- 2\n", r"config.yaml holds no mapping"),
        ("config.yaml", "", r"config.yaml holds no mapping"),
        ("config.yaml", "a: !!python/object/apply:os.getcwd []", r"cannot be read \(could not det"),
        ("config.yaml", "a: 2020-13-45", r"config.yaml cannot be read \(month must be in 1\.\.12"),
        ("config.yaml", "[" * 5000, r"config.yaml cannot be read \(maximum recursion depth"),
        ("config.yaml", b"\xff\xfe\x00", r"config.yaml cannot be read \('utf-8' codec"),
        ("run.json", '{"a": 1', r"run.json cannot be read \(Expecting"),
        ("run.json", "[]", r"run.json holds no mapping"),
    ],
)
def test_a_broken_settings_file_is_one_sentence(run, file, text, message):
    run.close()
    (run.path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RunError, match=message) as caught:
        RunFolder.open(run.path, write=False)
    assert "\n" not in str(caught.value) and str(caught.value).endswith("; restore the file.")


def test_the_record_changes_all_at_once(run):
    run.update_record(status="finished", steps=np.int64(3), where=Path("a"))
    assert run.record["status"] == "finished"
    on_disk = RunFolder.open(run.path, write=False).record
    assert on_disk == run.record and on_disk["steps"] == 3 and on_disk["where"] == "a"


def test_keeps_as_many_checkpoints_as_the_settings_say(tmp_path):
    config = {"run": {"keep_checkpoints": 1}}
    with RunFolder.create(tmp_path / "run", config=config, record={}) as run:
        for step in (1, 2):
            progress = {"phase": "p", "phase_index": 0, "step": step, "global_step": step}
            run.save({"w": np.ones(2)}, progress)
        assert run.checkpoints.names() == ["p-000000002"]


def test_versions_name_what_shapes_a_result():
    found = versions()
    assert found["jax"] and found["numpy"] == np.__version__ and found["mujoco"]
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"latent-policies", "jaxlib", "equinox", "optax", "distrax", "gymnasium"} <= set(found)
    assert found["dm-control"] and found["platform"] and found["device_kind"]
    json.dumps(found)


HOLDER = """
import sys, time
from pathlib import Path
from shared.record.run_folder import RunFolder
run = RunFolder.open(Path(sys.argv[1]), write=True)
run.scores.append({"phase": "policy", "source": "child"})
print("holding", flush=True)
time.sleep(600)
"""


def test_a_second_writer_is_told_who_holds_the_folder(run):
    with pytest.raises(RunError, match=f"is being written by process {os.getpid()}; wait"):
        RunFolder.open(run.path, write=True)
    run.close()
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == b"holding\n"
        with pytest.raises(RunError, match=f"is being written by process {child.pid}; wait"):
            RunFolder.open(run.path, write=True)
        RunFolder.open(run.path, write=False)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    with RunFolder.open(run.path, write=True) as again:  # the kernel gave the lock back
        assert again.scores.rows == 1
        assert (run.path / ".lock").read_text() == f"{os.getpid()}\n"


def test_two_who_create_at_once_do_not_share(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()  # as if another one had just begun
    with create(tmp_path / "run") as run, pytest.raises(RunError, match="is not empty"):
        create(run.path)


def test_rows_have_the_fewest_digits_and_blanks_where_absent(run):
    run.metrics.append({**METRIC, "loss": jnp.float32(0.1), "seconds": np.float64(0.1)})
    run.metrics.append([{**METRIC, "flow/loss": 1e-30, "seed": np.int64(1), "loss": None}] * 2)
    run.scores.append({**SCORE, "score": None, "return": float("nan")})
    lines = (run.path / "metrics.csv").read_text().splitlines()
    assert lines[1:] == ["flow,10,0,0.1,20.0,,0.1", *["flow,10,1,0.5,20.0,1e-30,"] * 2]
    twin = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert twin[0] == {**METRIC, "seconds": 0.1, "loss": 0.1}
    assert twin[1] == twin[2] == {**METRIC, "seed": 1, "flow/loss": 1e-30}
    with open(run.path / "scores.csv", newline="") as opened:
        row = list(csv.DictReader(opened))[0]
    assert row["source"] == "collected, ours" and row["score"] == "" and row["return"] == "nan"


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_numbers_come_back_bit_for_bit(tmp_path, kind):
    values = np.random.default_rng(0).normal(size=200).astype(kind) * kind(1e3)
    table = TableLog(tmp_path / "t.csv", ["x"], twin=tmp_path / "t.jsonl")
    table.append([{"x": value} for value in values])
    table.close()
    texts = (tmp_path / "t.csv").read_text().split()[1:]
    assert (np.array([kind(text) for text in texts]) == values).all()
    twin = [json.loads(line)["x"] for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert (np.array(twin).astype(kind) == values).all()


def test_rows_that_do_not_fit_are_refused(run):
    with pytest.raises(ValueError, match=r"metrics.csv has no column 'lss'"):
        run.metrics.append({**METRIC, "lss": 1.0})
    for text in ("a\nb", "a\n", "a\u2028b", "a\rb"):
        with pytest.raises(ValueError, match="'source' of a row of .* has a line break"):
            run.scores.append([SCORE, {**SCORE, "source": text}])
    assert run.scores.rows == run.metrics.rows == 0


@pytest.mark.parametrize("torn_csv", [0, 1, 7])
@pytest.mark.parametrize("torn_jsonl", [0, 3])
def test_resuming_cuts_back_to_the_very_bytes(run, torn_csv, torn_jsonl):
    files = [run.path / name for name in ("metrics.csv", "metrics.jsonl", "scores.csv")]
    prefixes = []
    for count in range(6):
        prefixes.append([file.read_bytes() for file in files])
        run.metrics.append({**METRIC, "step": count, "loss": count / 3})
        run.scores.append({**SCORE, "step": count})
    run.close()
    for file, torn in zip(files, (torn_csv, torn_jsonl, torn_csv), strict=True):
        file.write_bytes(file.read_bytes()[: -torn or None])
    with RunFolder.open(run.path, write=True) as run:
        assert run.scores.rows == 6 - (torn_csv > 0)
        assert run.metrics.rows == 6 - (torn_csv > 0 or torn_jsonl > 0)
        for rows in (4, 4, 2, 0):
            run.metrics.truncate_to(rows)
            run.scores.truncate_to(rows)
            assert [file.read_bytes() for file in files] == prefixes[rows]
        with pytest.raises(RunError, match=r"metrics.csv has 0 rows where .* remembers 3"):
            run.metrics.truncate_to(3)
        run.metrics.append({**METRIC, "step": 0, "loss": 0.0})
        run.scores.append({**SCORE, "step": 0})
        assert [file.read_bytes() for file in files] == prefixes[1]


def test_a_table_of_other_columns_is_not_continued(run):
    run.close()
    table = run.path / "metrics.csv"
    table.write_text(table.read_text().replace("flow/loss", "flow/nll"))
    with pytest.raises(RunError, match=r"metrics.csv has the columns '.*nll.* instead of '.*loss"):
        RunFolder.open(run.path, write=True)
    table.write_text(table.read_text().replace("flow/nll", "flow/loss")[:-4])  # torn header
    with RunFolder.open(run.path, write=True) as again:
        assert again.metrics.rows == 0 and table.read_text().endswith("loss,loss\n")


TRAINER = """
import sys
from pathlib import Path
import numpy as np
from shared.record.run_folder import RunFolder
run, step = RunFolder.open(Path(sys.argv[1]), write=True), 0
if run.checkpoints.latest:
    state, progress = run.checkpoints.restore({"w": np.zeros(1000)})
    step = progress["step"]
    assert state["w"][0] == step
    run.metrics.truncate_to(progress["metrics_rows"])
    run.scores.truncate_to(progress["scores_rows"])
while step < int(sys.argv[2]):
    step += 1
    run.metrics.append([{"phase": "p", "step": step, "seed": i, "loss": step / 7} for i in (0, 1)])
    if step % 3 == 0:
        run.scores.append({"phase": "p", "step": step, "return": np.float32(step) / 3})
    progress = {"phase": "p", "phase_index": 0, "step": step, "global_step": step}
    if step % 2 == 0:
        run.save({"w": np.full(1000, float(step))}, progress)
    print(step, flush=True)
run.close()
"""


def trainer(path: Path, steps: int) -> subprocess.Popen:
    command = [sys.executable, "-c", TRAINER, str(path), str(steps)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def test_kills_and_resumes_give_the_tables_of_an_undisturbed_run(tmp_path):
    tables = []
    for name, kills in (("calm", ()), ("killed", (3, 10, 17))):
        create(tmp_path / name).close()
        for kill in kills:
            child = trainer(tmp_path / name, 30)
            assert child.stdout is not None
            while int(child.stdout.readline()) < kill:
                pass
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            child.stdout.close()
        child = trainer(tmp_path / name, 30)
        assert child.communicate()[0].endswith(b"30\n") and child.returncode == 0
        tables.append(
            [
                (tmp_path / name / f).read_bytes()
                for f in ("metrics.csv", "metrics.jsonl", "scores.csv")
            ]
        )
    assert tables[0] == tables[1] and len(tables[0][1].splitlines()) == 60


FULL = """
import resource, sys
from pathlib import Path
from shared.errors import RunError
from shared.record.table_log import TableLog
folder = Path(sys.argv[1])
table = TableLog(folder / "t.csv", ["x"], twin=folder / "t.jsonl")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    for number in range(10_000):
        table.append({"x": number})
except RunError as error:
    print(error)
print(table.rows)
table.close()
"""


def test_a_full_disk_leaves_whole_rows(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert child.returncode == 0 and child.stderr == "", child.stderr
    sentence, rows = child.stdout.splitlines()
    assert sentence.endswith("t.csv could not be extended: File too large; make room and resume.")
    expected = [str(number) for number in range(int(rows))]
    assert (tmp_path / "t.csv").read_text().split() == ["x", *expected]
    assert len((tmp_path / "t.jsonl").read_text().splitlines()) == int(rows) > 100
