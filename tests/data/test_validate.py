"""Every fault of form and meaning, its severity, and one sentence with key and mend."""

import numpy as np
import pytest

from shared.data.columns import to_columns
from shared.data.d4rl import examine, read_d4rl
from shared.data.validate import CHECKS
from shared.errors import DataError


def without(arrays, key):
    return {k: x for k, x in arrays.items() if k != key}


def put(arrays, key, index, value):
    x = arrays[key].copy()
    x[index] = value
    return arrays | {key: x}


def rename(arrays, old, new):
    return {new if k == old else k: x for k, x in arrays.items()}


FORM_ERRORS = {
    "missing": (lambda a: without(a, "rewards"), "missing-key", "'rewards' is missing"),
    "nearly": (lambda a: rename(a, "terminals", "terminal"), "missing-key", "rename 'terminal'"),
    "integers": (lambda a: a | {"actions": np.zeros((60, 2), int)}, "dtype", "int64"),
    "vector": (lambda a: a | {"actions": a["actions"][:, 0]}, "shape", "(rows, size)"),
    "images": (lambda a: a | {"observations": np.zeros((60, 2, 2), "f4")}, "shape", "(60, 2, 2)"),
    "wide rewards": (lambda a: a | {"rewards": np.zeros((60, 2), "f4")}, "shape", "(rows,)"),
    "shorter": (lambda a: a | {"rewards": a["rewards"][:-1]}, "length", "rewards 59"),
    "no rows": (lambda a: {k: x[:0] for k, x in a.items()}, "empty", "is empty"),
    "one row": (lambda a: {k: x[:1] for k, x in a.items()}, "empty", "only one row"),
    "flag of 2": (lambda a: a | {"terminals": np.full(60, 2)}, "flag", "holds 2 in row 0"),
    "flag of nan": (lambda a: a | {"timeouts": np.full(60, np.nan)}, "flag", "holds nan"),
    "width": (lambda a: a | {"next_observations": np.zeros((60, 4), "f4")}, "width", "4"),
}
MEANING_ERRORS = {
    "nan": (lambda a: put(a, "rewards", 7, np.nan), "non-finite", "'rewards'", "row 7"),
    "inf": (lambda a: put(a, "observations", (3, 1), np.inf), "non-finite", "row 3"),
    "overflow": (
        lambda a: put(a | {"rewards": a["rewards"].astype("f8")}, "rewards", 2, 1e300),
        "non-finite",
        "row 2",
    ),
    "next nan": (lambda a: put(a, "next_observations", 1, np.nan), "non-finite", "next_obs"),
    "actions": (lambda a: put(a, "actions", slice(0, 6), 1.5), "action-range", "10.0%", "clip"),
    "no ends": (
        lambda a: a | {"terminals": np.zeros(60, bool), "timeouts": np.zeros(60, bool)},
        "no-ends",
        "'timeouts'",
    ),
    "no keys of ends": (
        lambda a: without(a, "timeouts") | {"terminals": np.zeros(60, bool)},
        "no-ends",
        "'timeouts' is missing",
    ),
    "shifted": (
        lambda a: a | {"next_observations": a["observations"]},
        "misaligned",
        "'next_observations'",
    ),
    "constant": (
        lambda a: without(a, "next_observations") | {"observations": np.ones((60, 3), "f4")},
        "constant-observations",
        "same in every row",
    ),
}
WARNINGS = {
    "float64": (lambda a: a | {"rewards": a["rewards"].astype("f8")}, "dtype", "float64"),
    "column": (lambda a: a | {"rewards": a["rewards"][:, None]}, "column-shape", "(60, 1)"),
    "numbers as flags": (
        lambda a: a | {"terminals": a["terminals"].astype(int)},
        "dtype",
        "0 and 1",
    ),
    "rounding": (lambda a: put(a, "actions", 4, 1.0005), "action-rounding", "clipped"),
    "no timeouts": (lambda a: without(a, "timeouts"), "no-timeouts", "only terminal"),
    "both": (lambda a: put(a, "timeouts", 19, True), "both-flags", "1 rows"),
    "limit": (
        lambda a: a | {"terminals": a["terminals"] | a["timeouts"], "timeouts": np.zeros(60, bool)},
        "terminal-at-limit",
        "3 of 3 terminals",
    ),
    "zero": (lambda a: a | {"rewards": np.zeros(60, "f4")}, "zero-rewards", "'rewards'"),
    "column 1": (
        lambda a: put(
            put(a, "observations", (slice(None), 1), 5), "next_observations", (slice(None), 1), 5
        ),
        "constant-columns",
        "column 1",
    ),
    "still": (lambda a: a | {"actions": np.zeros((60, 2), "f4")}, "constant-actions", "'actions'"),
    "joined": (
        lambda a: {k: np.concatenate([x, x]) for k, x in a.items()},
        "duplicates",
        "60 of 120",
    ),
}


def test_a_good_file_has_no_faults(write, arrays):
    assert examine(write(arrays)).faults == []
    assert examine(write(without(arrays, "next_observations"))).faults == []


@pytest.mark.parametrize("case", FORM_ERRORS | MEANING_ERRORS)
def test_errors(write, arrays, case):
    change, name, *words = (FORM_ERRORS | MEANING_ERRORS)[case]
    path = write(change(arrays))
    faults = {f.name: f for f in examine(path).faults if f.severity == "error"}
    assert name in faults, faults
    for word in words:
        assert word in faults[name].sentence
    with pytest.raises(DataError) as caught:
        read_d4rl(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("case", WARNINGS)
def test_warnings(write, arrays, case):
    change, name, *words = WARNINGS[case]
    path = write(change(arrays))
    faults = [f for f in examine(path).faults if f.name == name]
    assert [f.severity for f in faults] == ["warning"]
    for word in words:
        assert word in faults[0].sentence
    data = read_d4rl(path)
    assert np.abs(data.transitions.action).max() <= 1
    assert any(faults[0].sentence in warning for warning in data.warnings)


def test_long_episodes_of_a_known_environment(write):
    generator = np.random.default_rng(0)
    rows = 250
    arrays = {
        "observations": generator.normal(size=(rows, 45)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (rows, 24)).astype(np.float32),
        "rewards": np.ones(rows, np.float32),
        "terminals": np.zeros(rows, bool),
        "timeouts": np.arange(rows) == rows - 1,
    }
    faults = examine(write(arrays), name="pen-human").faults
    assert [f.name for f in faults] == ["too-long"]


def test_every_check_is_exercised():
    cases = {**FORM_ERRORS, **MEANING_ERRORS, **WARNINGS}.values()
    elsewhere = {"sizes", "too-long", "seams", "leaked-resets"}  # test_reader
    assert {check.name for check in CHECKS} <= {case[1] for case in cases} | elsewhere


def test_several_errors_are_counted(write, arrays):
    path = write(
        put(put(arrays, "actions", 0, 3.0), "timeouts", slice(None), False)
        | {"terminals": np.zeros(60, bool)}
    )
    with pytest.raises(DataError, match="1 more: see 'data inspect'"):
        read_d4rl(path)


def test_columns_report_all_form_faults_at_once():
    columns, faults = to_columns({"actions": np.zeros((5, 2), int)}, ("actions",))
    assert columns is None
    assert [f.name for f in faults] == ["missing-key"] * 3 + ["dtype"]
