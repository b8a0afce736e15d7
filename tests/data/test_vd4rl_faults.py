"""Faults of recorded pictures in V-D4RL's layouts: one table, as in `test_faults`."""

import h5py
import numpy as np
import pytest

from shared.data.vd4rl.reader import read_vd4rl
from shared.data.vd4rl.states import states_of
from shared.errors import DataError

ROWS, EPISODES = 30, 4


def archive(seed):
    """An episode without a fault: row 0 holds no action, every other what led to its frame."""
    generator = np.random.default_rng(seed)
    action = np.clip(generator.normal(0, 0.5, (ROWS, 6)), -1, 1).astype(np.float32)
    reward = generator.uniform(0, 2, ROWS).astype(np.float32)
    action[0], reward[0] = 0, 0
    state = np.cumsum(generator.normal(0, 0.1, (ROWS, 24)), axis=0)
    return {
        "image": generator.integers(0, 255, (ROWS, 8, 8, 3), np.uint8),
        "action": action,
        "reward": reward,
        "discount": np.ones(ROWS, np.float32),
        "is_first": np.arange(ROWS) == 0,
        "is_last": np.arange(ROWS) == ROWS - 1,
        "is_terminal": np.zeros(ROWS, bool),
        "orientations": state[:, :14],
        "height": state[:, 14],
        "velocity": state[:, 15:],
    }


def put(key, row, value):
    """A change of one row of one key of every episode."""

    def change(episode):
        x = episode[key].copy()
        x[row] = value
        return episode | {key: x}

    return change


def each(key, change):
    return lambda episode: episode | {key: change(episode[key])}


def longer(times):
    """Episodes behind one another, of which only the first start is flagged."""

    def change(episode):
        rows = {key: np.concatenate([x] * times) for key, x in episode.items()}
        flags = np.arange(ROWS * times)
        return rows | {"is_first": flags == 0, "is_last": flags == len(flags) - 1}

    return change


def grey(image):
    return np.repeat(image[..., :1], 3, axis=-1)


ERRORS = {
    "nan action": (put("action", 3, np.nan), "'action' is not finite in row 3"),
    "nan reward": (put("reward", 4, np.inf), "'reward' is not finite in row 4"),
    "nan state": (put("velocity", 5, np.nan), "'velocity' is not finite in row 5"),
    "nan discount": (put("discount", 6, np.nan), "'discount' is not finite in row 6"),
    "discount of 99 %": (put("discount", 7, 1.5), "'discount' is 1.5 in row 7"),
    "terminal inside": (put("is_terminal", 8, True), "row 8 is terminal, but its episode goes on"),
    "a start in every row": (put("is_first", slice(None), True), "row 0 is an episode of its own"),
    "a start in the last row": (put("is_first", ROWS - 1, True), "an episode of its own"),
    "flags of 3": (each("is_first", lambda x: 3 * x), "'is_first' must be one true or false"),
    "action taken at the frame": (
        each("action", lambda x: np.roll(x, -1, axis=0)),
        "the action taken at a frame",
    ),
    "frames of 0..1": (each("image", lambda x: (x / 255).astype("f4")), "multiplied by 255"),
    "frames of 0 and 1": (each("image", lambda x: x // 128), "multiply pictures of 0..1 by 255"),
    "grey frames of one channel": (each("image", lambda x: x[..., :1]), "store uint8 images as"),
    "black frames": (each("image", lambda x: 0 * x), "frames never change"),
    "frames of 16 bits": (each("image", lambda x: x.astype("u2")), "'image' is uint16"),
    "fewer frames than rows": (each("image", lambda x: x[1:]), "'image' has 29 rows"),
    "a flat action": (each("action", lambda x: x[:, 0]), "'action' has shape (30,)"),
    "one row": (lambda x: {key: y[:1] for key, y in x.items()}, "1 row(s)"),
}
WARNINGS = {
    "rewards N x 1": (each("reward", lambda x: x[:, None]), None),
    "channels first": (each("image", lambda x: x.transpose(0, 3, 1, 2)), None),
    "float64": (each("action", lambda x: x.astype("f8")), None),
    "500 rows": (lambda x: {k: y[:-1] for k, y in x.items() if k != "is_last"}, None),
    "no start": (put("is_first", 0, False), "'is_first' is false in row 0"),
    "no last": (put("is_last", ROWS - 1, False), "'is_last' is not true in row 29"),
    "a last inside": (put("is_last", 12, True), "'is_last' is true in row 12"),
    "discount 0 alone": (put("discount", ROWS - 1, 0), "disagree in row 29"),
    "a reward at the start": (put("reward", 0, 1), "'reward' is not zero in row 0"),
    "zero rewards": (each("reward", lambda x: 0 * x), "'reward' is zero everywhere"),
    "scaled rewards": (each("reward", lambda x: 100 * x), "more than 1,000"),
    "actions beyond 1": (each("action", lambda x: 2 * x), "actions reach 2"),
    "a motor that rests": (put("action", (slice(None), 2), 0), "never changes in column 2"),
    "missing starts": (longer(20), "has 600 rows, but walker_walk stops after 500"),
    "grey frames": (each("image", grey), "all three channels are equal"),
    "a slow camera": (
        each("image", lambda x: np.repeat(x[::3], 3, axis=0)),
        "frames looked at equal the next",
    ),
}


def write(folder, change, episodes=EPISODES):
    folder.mkdir()
    for seed in range(episodes):
        np.savez(folder / f"{seed}.npz", **change(archive(seed)))
    return folder


def test_the_recording_has_no_fault(tmp_path):
    data = read_vd4rl(write(tmp_path / "x", dict), name="walker_walk-medium")
    assert data.warnings == () and states_of(data).warnings == ()


@pytest.mark.parametrize("fault", ERRORS)
def test_refused(tmp_path, fault):
    change, words = ERRORS[fault]
    with pytest.raises(DataError) as caught:
        read_vd4rl(write(tmp_path / "x", change), name="walker_walk-medium")
    sentence = str(caught.value)
    assert words in sentence and sentence.startswith(str(tmp_path / "x")) and "\n" not in sentence


@pytest.mark.parametrize("fault", WARNINGS)
def test_told_or_read(tmp_path, fault):
    change, words = WARNINGS[fault]
    told = read_vd4rl(write(tmp_path / "x", change), name="walker_walk-medium").warnings
    assert (words is None and not told) or any(words in sentence for sentence in told), told
    assert all(sentence[-1] in ".?" and "\n" not in sentence for sentence in told)


def test_an_episode_twice(tmp_path):
    folder = write(tmp_path / "x", dict)
    (folder / "9.npz").write_bytes((folder / "1.npz").read_bytes())
    told = read_vd4rl(folder).warnings
    assert told == ("9.npz: repeats the rows of 1.npz; drop one, or it counts twice.",)


def test_states_are_checked_as_any_others(tmp_path):
    folder = write(tmp_path / "x", put("height", slice(None), 1.0))
    told = states_of(read_vd4rl(folder, name="walker_walk-medium")).warnings
    assert any("in the states, key 'observations' never changes in column 14" in x for x in told)
    still = write(tmp_path / "y", lambda x: x | {k: 0 * x[k] for k in list(x)[-3:]})
    with pytest.raises(DataError, match="in the states, key 'observations' is the same in every"):
        states_of(read_vd4rl(still, name="walker_walk-medium"))


STEP_TYPES = {  # of two episodes of 30 rows: (changed rows, refused?, words)
    "never 0": ({0: 1, 30: 1}, True, "but not 0 in the row behind it"),
    "one 0 missing": ({30: 1}, True, "is 2 in row 29, but not 0 in the row behind it"),
    "no 0 in row 0": ({0: 1}, False, "'step_type' is not 0 in row 0"),
    "no 2": ({29: 1}, False, "'step_type' is not 2 in row 29"),
    "a 2 inside": ({10: 2}, False, "'step_type' is 2 in row 10"),
    "a 3": ({10: 3}, True, "must be 0, 1 or 2"),
}


@pytest.mark.parametrize("fault", STEP_TYPES)
def test_step_types_of_shards(tmp_path, fault):
    changes, refused, words = STEP_TYPES[fault]
    both = [archive(0), archive(1)]
    rows = {key: np.concatenate([x[key] for x in both]) for key in both[0]}
    kind = 1.0 - rows["is_first"] + rows["is_last"]
    kind[list(changes)] = list(changes.values())
    path = tmp_path / "0.hdf5"
    with h5py.File(path, "w") as file:
        file["observation"] = rows["image"].transpose(0, 3, 1, 2)
        file["step_type"] = kind
        for key in ("action", "reward", "discount"):
            file[key] = rows[key]
    if refused:
        with pytest.raises(DataError) as caught:
            read_vd4rl(path)
        assert words in str(caught.value)
    else:
        assert any(words in sentence for sentence in read_vd4rl(path).warnings)
