"""Faults of real recordings in D4RL's form: found before the first step, each by its own case.

One table: what is wrong, how it comes about, the fault's name and severity, words of its
sentence.  The recording is without a fault otherwise, so nothing else is told.
"""

from pathlib import Path

import h5py
import numpy as np
import pytest
from recording import LENGTHS, record

from shared.data.catalog import CATALOG
from shared.data.checks.table import CHECKS
from shared.data.reader import examine, read_states
from shared.data.recording.columns import to_columns
from shared.errors import DataError

GOOD = record()
ROWS = len(GOOD["rewards"])
LAST = GOOD["terminals"] | GOOD["timeouts"]
FIRST = np.append(True, LAST[:-1])
EPISODE = np.cumsum(FIRST) - 1
EVERY = np.arange(ROWS)
HOPPER = "hopper-medium"


def drop(*keys):
    return {key: x for key, x in GOOD.items() if key not in keys}


def put(key, index, value):
    x = GOOD[key].copy()
    x[index] = value
    return GOOD | {key: x}


def each(key, change):
    return GOOD | {key: change(GOOD[key])}


def both(change):
    """Observations and next observations changed alike."""
    return GOOD | {key: change(GOOD[key]) for key in ("observations", "next_observations")}


def column(values):
    """A column of observations replaced by one value a row (and the value of the next row)."""
    x, following = GOOD["observations"].copy(), GOOD["next_observations"].copy()
    x[:, 4], following[:, 4] = values, np.append(values[1:], values[-1])
    return GOOD | {"observations": x, "next_observations": following}


def rename(old, new):
    return {new if key == old else key: x for key, x in GOOD.items()}


def late(x):
    """Stored one row too late within each episode; zeros come first."""
    moved = np.roll(x, 1, axis=0)
    moved[FIRST] = 0
    return moved


def early(x):
    moved = np.roll(x, -1, axis=0)
    moved[LAST] = x[LAST]
    return moved


def again(rows):
    """These rows once more behind the others."""
    return {key: np.concatenate([x, x[rows]]) for key, x in GOOD.items()}


def flags(terminal, timeout):
    return GOOD | {"terminals": terminal, "timeouts": timeout}


def running_sum(reward):
    total = np.cumsum(np.abs(reward))
    return total - np.append(0, total[LAST])[EPISODE]


def frozen():
    held = EVERY - EVERY % 2
    held = np.where(EPISODE[held] == EPISODE, held, EVERY)
    return drop("next_observations") | {"observations": GOOD["observations"][held]}


def stopped():
    x = GOOD["observations"].copy()
    x[110:146, 4] = x[110, 4]
    return x


def servo():
    """Column 0 is where action 0 sends it, with an error that changes by a fifth of its spread."""
    x = GOOD["observations"].copy()
    noise = np.random.default_rng(1).normal(0, 0.02, ROWS)
    x[:, 0] = GOOD["actions"][:, 0] + noise + 0.1 * (EPISODE >= 6)
    return x


def padded():
    behind = EVERY > ROWS - 20
    return {key: np.where(behind.reshape(-1, *[1] * (x.ndim - 1)), 0, x) for key, x in GOOD.items()}


def shuffled():
    order = np.random.default_rng(0).permutation(ROWS)
    found = {key: x[order] for key, x in drop("next_observations").items()}
    return found | {"terminals": GOOD["terminals"], "timeouts": GOOD["timeouts"]}


def standard(x):
    return ((x - GOOD["observations"].mean(0)) / GOOD["observations"].std(0)).astype(np.float32)


def nan(key, index):
    return put(key, index, np.nan)


NONE = np.zeros(ROWS, bool)
OBS = GOOD["observations"]
FAR = np.where(np.arange(11) == 4, 5e7, 0.0) + OBS
END = np.flatnonzero(LAST)

# what is wrong: (columns, fault, words of the sentence, data set that it is used as)
ERRORS = {
    "nan observation": (nan("observations", (7, 2)), "non-finite", "'observations'", "row 7"),
    "nan action": (nan("actions", 9), "non-finite", "'actions'", "row 9"),
    "nan reward": (nan("rewards", 3), "non-finite", "'rewards'", "row 3"),
    "infinite reward": (put("rewards", 5, -np.inf), "non-finite", "'rewards'", "row 5"),
    "nan successor": (nan("next_observations", 2), "non-finite", "'next_observations'", "row 2"),
    "nan terminal": (
        GOOD | {"terminals": np.where(EVERY == 4, np.nan, LAST)},
        "flag",
        "'terminals' holds nan in row 4",
    ),
    "float16 overflow": (
        put("rewards", 6, 1e5) | {"rewards": np.where(EVERY == 6, np.inf, 0).astype("f2")},
        "non-finite",
        "'rewards'",
        "row 6",
    ),
    "fill value 1e30": (put("rewards", 8, 1e30), "overflow", "'rewards' reaches 1e+30 in row 8"),
    "obs for observations": (rename("observations", "obs"), "missing-key", "rename 'obs'"),
    "acts for actions": (rename("actions", "acts"), "missing-key", "rename 'acts'"),
    "dones for terminals": (rename("terminals", "dones"), "missing-key", "rename 'dones'"),
    "reward for rewards": (rename("rewards", "reward"), "missing-key", "rename 'reward'"),
    "keys in a group": (
        rename("observations", "data/observations"),
        "missing-key",
        "rename 'data/observations'",
    ),
    "no actions": (drop("actions"), "missing-key", "'actions' is missing", "add it"),
    "one key shorter": (each("rewards", lambda x: x[1:]), "length", f"rewards {ROWS - 1}"),
    "observations transposed": (
        GOOD | {k: np.ascontiguousarray(GOOD[k].T) for k in ("observations", "next_observations")},
        "length",
        "transpose observations and next_observations",
    ),
    "actions transposed": (each("actions", lambda x: x.T.copy()), "length", "transpose actions"),
    "no row": ({key: x[:0] for key, x in GOOD.items()}, "empty", "is empty"),
    "one row": ({key: x[:1] for key, x in GOOD.items()}, "empty", "only one row"),
    "episodes in an axis": (
        each("observations", lambda x: x[:800].reshape(16, 50, 11)),
        "shape",
        "'observations' has shape (16, 50, 11)",
        "one episode behind the other",
    ),
    "frames in D4RL's form": (
        GOOD | {"observations": np.zeros((ROWS, 4, 4, 3), np.uint8)},
        "shape",
        "V-D4RL's layout",
    ),
    "a flat action": (each("actions", lambda x: x[:, 0]), "shape", "store it as (rows, size)"),
    "rewards of two columns": (
        each("rewards", lambda x: np.stack([x, x], axis=1)),
        "shape",
        "store it as (rows,)",
    ),
    "successor with a goal": (
        each("next_observations", lambda x: np.concatenate([x, x[:, :2]], axis=1)),
        "width",
        "observations 11 and next_observations 13",
    ),
    "whole-numbered actions": (each("actions", lambda x: x.astype(int)), "dtype", "'actions'"),
    "whole-numbered observations": (
        each("observations", lambda x: x.astype("i4")),
        "dtype",
        "'observations' holds int32",
    ),
    "terminals of 2": (put("terminals", 3, 1) | {"terminals": 2 * LAST}, "flag", "holds 2 in row"),
    "actions beyond 1": (each("actions", lambda x: 3 * x), "action-range", "'actions'", "scale"),
    "swapped keys": (
        drop("next_observations")
        | {"observations": GOOD["actions"], "actions": 2 * GOOD["observations"]},
        "action-range",
        "the two keys swapped",
    ),
    "swapped keys of a known task": (
        drop("next_observations")
        | {"observations": GOOD["actions"], "actions": np.tanh(GOOD["observations"])},
        "sizes",
        "rename 'observations' to 'actions' and the reverse",
        HOPPER,
    ),
    "walker used as hopper": (
        drop("next_observations")
        | {
            "observations": np.concatenate([OBS, OBS[:, :6] ** 2], axis=1),
            "actions": np.concatenate([GOOD["actions"], GOOD["actions"] ** 2], axis=1),
        },
        "sizes",
        "such sizes has halfcheetah or walker2d",
        HOPPER,
    ),
    "constant observations": (
        drop("next_observations") | {"observations": np.ones((ROWS, 3), "f4")},
        "constant-observations",
        "same in every row",
    ),
    "no terminal and no timeout": (flags(NONE, NONE), "no-ends", "each episode's last row"),
    "no terminal and no key": (
        {k: x for k, x in flags(NONE, NONE).items() if k != "timeouts"},
        "no-ends",
        "'timeouts' is missing",
    ),
    "a mask for terminals": (each("terminals", lambda x: ~x), "inverted-flags", "invert it"),
    "a mask for timeouts": (each("timeouts", lambda x: ~x), "inverted-flags", "'timeouts'"),
    "successor is the row itself": (
        GOOD | {"next_observations": OBS},
        "misaligned",
        "it is the row's own",
    ),
    "successor one row too far": (
        each("next_observations", early),
        "misaligned",
        "it is the one two rows on",
    ),
    "successor of other units": (
        each("next_observations", standard),
        "misaligned",
        "'next_observations' is not the next row's",
    ),
    "actions with the frame they lead to": (
        each("actions", late),
        "shifted-actions",
        "'actions' is zero in the first row of every episode",
        "move actions one row up",
    ),
}

WARNINGS = {
    "float64": (each("observations", lambda x: x.astype("f8")), "dtype", "holds float64"),
    "float16": (each("actions", lambda x: x.astype("f2")), "dtype", "float16, three digits"),
    "big-endian": (each("rewards", lambda x: x.astype(">f4")), "dtype", "big-endian"),
    "whole-numbered rewards": (
        each("rewards", lambda x: np.round(3 * x).astype(int)),
        "dtype",
        "'rewards' holds int64",
    ),
    "true and false as rewards": (each("rewards", lambda x: x > 1), "dtype", "'rewards'"),
    "flags as float": (each("terminals", lambda x: x.astype("f4")), "dtype", "0 and 1"),
    "rewards N x 1": (each("rewards", lambda x: x[:, None]), "column-shape", "'rewards'"),
    "terminals N x 1": (each("terminals", lambda x: x[:, None]), "column-shape", "'terminals'"),
    "timeouts N x 1": (each("timeouts", lambda x: x[:, None]), "column-shape", "'timeouts'"),
    "truncations for timeouts": (
        rename("timeouts", "truncations"),
        "other-name",
        "'truncations' is read as 'timeouts'",
    ),
    "one flag too many": (
        each("timeouts", lambda x: np.append(x, False)),
        "extra-flag",
        "'timeouts' has one entry more",
        "the last is left out",
    ),
    "next_obs for next_observations": (
        rename("next_observations", "next_obs"),
        "ignored-key",
        "'next_obs' is not read",
    ),
    "no timeouts": (drop("timeouts"), "no-timeouts", "only terminal rows"),
    "no timeouts of a known task": (drop("timeouts"), "no-timeouts", "every 1000 rows", HOPPER),
    "both flags": (put("timeouts", END[0], True), "both-flags", f"first row {END[0]}"),
    "terminal at the time limit": (
        flags(EVERY % 50 == 49, NONE),
        "terminal-at-limit",
        "exactly 50 rows",
        "first in row 49",
    ),
    "terminal everywhere": (flags(~NONE, NONE), "all-ends", "'terminals' is true in every row"),
    "longer than the horizon": (
        {
            "observations": np.concatenate([OBS, OBS + 0.01]),
            "actions": np.concatenate([GOOD["actions"]] * 2),
            "rewards": np.concatenate([GOOD["rewards"]] * 2),
            "terminals": np.arange(2 * ROWS) == 2 * ROWS - 1,
            "timeouts": np.zeros(2 * ROWS, bool),
        },
        "too-long",
        "from row 0",
        HOPPER,
    ),
    "flags at both ends": (
        flags(GOOD["terminals"], GOOD["timeouts"] | FIRST),
        "one-row-episodes",
        "first row 0",
    ),
    "flags a row late": (
        drop("next_observations")
        | {"terminals": np.roll(GOOD["terminals"], 1), "timeouts": np.roll(GOOD["timeouts"], 1)},
        "shifted-flags",
        "one row late",
    ),
    "flags a row early": (
        drop("next_observations")
        | {"terminals": np.roll(GOOD["terminals"], -1), "timeouts": np.roll(GOOD["timeouts"], -1)},
        "shifted-flags",
        "one row early",
    ),
    "flags some rows late": (
        drop("next_observations")
        | {"terminals": np.roll(GOOD["terminals"], 7), "timeouts": np.roll(GOOD["timeouts"], 7)},
        "shifted-flags",
        "7 rows late",
    ),
    "a reset without a flag": (
        drop("next_observations") | {"timeouts": GOOD["timeouts"] & (EVERY != END[3])},
        "jumps",
        f"1 of {ROWS - len(END) + 1} rows",
        f"first {END[3]}",
        "--set cut_jumps=true",
    ),
    "rows lost": (
        {k: np.delete(x, np.s_[100:110], axis=0) for k, x in GOOD.items()},
        "seams",
        "first 99",
    ),
    "the reset as successor": (
        put("next_observations", END[:-1], OBS[END[:-1] + 1]),
        "leaked-resets",
        f"first in row {END[1]}",
    ),
    "shuffled rows": (shuffled(), "shuffled", "as if the rows were shuffled"),
    "zero rewards": (each("rewards", lambda x: 0 * x), "zero-rewards", "'rewards' is zero"),
    "the same reward": (each("rewards", lambda x: 0 * x + 1), "constant-rewards", "is 1 in every"),
    "normalised rewards": (
        each("rewards", lambda x: ((x - x.mean()) / x.std()).astype("f4")),
        "normalised-rewards",
        "mean 0 and deviation 1",
    ),
    "rewards in other units": (
        each("rewards", lambda x: 1e3 * x),
        "returns-range",
        "far above an expert's",
        HOPPER,
    ),
    "costs for rewards": (
        each("rewards", lambda x: -100 * np.abs(x)),
        "returns-range",
        "far below a random policy's",
        HOPPER,
    ),
    "returns so far": (
        each("rewards", lambda x: running_sum(x).astype("f4")),
        "cumulative-rewards",
        "running sum",
    ),
    "scores in the last rows": (
        each("rewards", lambda x: np.where(LAST, 70, 0).astype("f4")),
        "rewards-at-ends",
        "is it a return or a score",
        HOPPER,
    ),
    "rewards a row late": (each("rewards", late), "shifted-rewards", "reward of the row before"),
    "rewards a row early": (each("rewards", early), "shifted-rewards", "reward of the row after"),
    "actions a row early": (
        each("actions", early),
        "maybe-shifted-actions",
        "one row too early",
    ),
    "actions a row late, no zero": (
        each("actions", lambda x: np.roll(x, 1, axis=0)),
        "maybe-shifted-actions",
        "one row too late",
    ),
    "zero actions at the start": (
        put("actions", FIRST, 0),
        "maybe-shifted-actions",
        "hardly elsewhere",
    ),
    "fill value -9999999": (put("rewards", 11, -9999999), "huge", "in row 11", "fill value"),
    "a glitch": (
        put("observations", (300, 2), 5e5),
        "outliers",
        "in row 300, column 2",
    ),
    "normalised observations": (
        both(standard),
        "normalised-observations",
        "store them as the simulator gave them",
        HOPPER,
    ),
    "a constant column": (column(np.full(ROWS, 5.0)), "constant-columns", "in column 4"),
    "lost digits": (
        column((5e5 + OBS[:, 4]).astype("f4")),
        "coarse-columns",
        "in column 4",
        "near 500,000",
    ),
    "digits that float32 loses": (
        each("rewards", lambda x: 1e9 + x.astype("f8")),
        "precision",
        "'rewards' keeps 1 of 805 different values",
    ),
    "far from zero in float64": (
        drop("next_observations") | {"observations": FAR},
        "far-from-zero",
        "in column 4 is subtracted",
    ),
    "a tiny unit": (column(1e-6 * OBS[:, 4]), "tiny-columns", "in column 4"),
    "a clock": (
        column((EVERY - EVERY[FIRST][EPISODE]) * 0.02),
        "clock",
        "by about 0.02 in every row in column 4",
    ),
    "a row number": (column(EVERY), "clock", "by about 1 in every row"),
    "rounding beyond 1": (put("actions", (4, 0), 1.0005), "action-rounding", "first in row 4"),
    "actions from 0 to 1": (each("actions", lambda x: (x + 1) / 2), "action-scale", "0..1"),
    "actions scaled twice": (each("actions", lambda x: x / 50), "action-scale", "scaled twice"),
    "saturated actions": (each("actions", np.sign), "saturated-actions", "in 100.0% of"),
    "one action only": (each("actions", lambda x: 0 * x), "constant-actions", "every row"),
    "a motor that rests": (put("actions", (EVERY, 1), 0), "constant-motors", "column 1"),
    "joined twice": (again(EVERY), "duplicates", f"first row {ROWS}"),
    "an episode twice": (
        again(EVERY[: LENGTHS[0]]),
        "duplicated-episodes",
        f"from row {ROWS}",
    ),
    "padded episodes": (padded(), "padding", f"first row {ROWS - 19}"),
    "a slow sensor": (frozen(), "frozen", "first in row 0"),
    "states in the place of actions": (
        drop("next_observations") | {"actions": early(OBS[:, :3]) / 3},
        "copied-actions",
        "observation of the next row (column of the action, of the observation: 0 is 0, 1 is 1",
    ),
    "the state itself as action": (
        each("actions", lambda x: OBS[:, 2::-1] / 3),
        "copied-actions",
        "its own row",
        "0 is 2",
    ),
    "the last state as action": (
        each("actions", lambda x: late(OBS[:, :3]) / 3 + 0.1),
        "copied-actions",
        "the row before",
    ),
    "a sensor that stopped": (
        drop("next_observations") | {"observations": stopped()},
        "stuck-sensors",
        "for 36 rows from row 110 on in column 4",
    ),
    "a joint that is zeroed anew": (
        both(lambda x: x + (40 * (EPISODE >= 6)[:, None] * (np.arange(11) == 4)).astype("f4")),
        "calibration",
        "by about 40",
        "in column 4 from episode 6 (row 321) on",
    ),
    "a servo that is zeroed anew": (
        drop("next_observations") | {"observations": servo()},
        "calibration",
        "in column 0 from episode 6",
    ),
}


def write(path, columns):
    with h5py.File(path, "w") as file:
        for key, x in columns.items():
            file[key] = x
    return path


def check(tmp_path, case, severity):
    columns, name, *words = case
    used_as = words.pop() if words[-1] in CATALOG else None
    path = write(tmp_path / "data.hdf5", columns)
    faults = examine(path, name=used_as).faults
    found = [x for x in faults if x.name == name]
    assert found and {x.severity for x in found} == {severity}, faults
    sentences = " ".join(x.sentence for x in found)
    assert all(word in sentences for word in words), sentences
    return path, used_as, found


def test_the_recording_has_no_fault(tmp_path):
    path = write(tmp_path / "data.hdf5", GOOD)
    assert examine(path, name=HOPPER).faults == []
    assert examine(write(path, drop("next_observations"))).faults == []


def test_a_thing_that_lies_still_is_no_sensor_that_stopped(tmp_path):
    """It goes on from where it lay, as a cube does that is taken up again and again."""
    times, still = 6, np.zeros((6, ROWS), bool)
    still[:, 110:146] = True
    step = np.random.default_rng(0).uniform(0.5, 1, times * ROWS) / ROWS
    columns = {key: np.tile(x, (times, *[1] * (x.ndim - 1))) for key, x in GOOD.items()}
    columns["timeouts"].reshape(times, ROWS)[:, -1] = ~GOOD["terminals"][-1:]
    del columns["next_observations"]
    found = []
    for lies in (True, False):
        moved = np.cumsum(np.where(still.ravel() & lies, 0, step)).astype("f4")
        if not lies:
            moved.reshape(times, ROWS)[:, 110:146] = moved.reshape(times, ROWS)[:, 110:111]
        columns["observations"][:, 4] = moved
        found.append(examine(write(tmp_path / "data.hdf5", columns)).faults)
    assert [[x.name for x in faults if x.name == "stuck-sensors"] for faults in found] == [
        [],
        ["stuck-sensors"],
    ]


@pytest.mark.parametrize("fault", ERRORS)
def test_refused(tmp_path, fault):
    path, used_as, _ = check(tmp_path, ERRORS[fault], "error")
    with pytest.raises(DataError) as caught:
        read_states(path, name=used_as)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", WARNINGS)
def test_told(tmp_path, fault):
    path, used_as, found = check(tmp_path, WARNINGS[fault], "warning")
    if fault != "terminal everywhere":  # which leaves nothing to learn from without successors
        told = read_states(path, name=used_as).warnings
        assert all(f"data.hdf5: {x.sentence}" in told for x in found)


def test_every_check_has_a_case():
    assert {x.name for x in CHECKS} <= {case[1] for case in (ERRORS | WARNINGS).values()}
    assert len(ERRORS) + len(WARNINGS) >= 60


def test_the_page_names_every_check():
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text()
    told = {case[1] for case in (ERRORS | WARNINGS).values()} | {x.name for x in CHECKS}
    assert not [name for name in told if f"`{name}`" not in page]


def test_several_errors_are_counted(tmp_path):
    path = write(tmp_path / "data.hdf5", flags(NONE, NONE) | {"actions": 3 * GOOD["actions"]})
    with pytest.raises(DataError, match="1 more: see 'data inspect'"):
        read_states(path)


def test_columns_report_all_faults_of_form_at_once():
    columns, faults = to_columns({"actions": np.zeros((5, 2), int)}, ("actions",))
    assert columns is None
    assert [x.name for x in faults] == ["missing-key"] * 3 + ["dtype"]
