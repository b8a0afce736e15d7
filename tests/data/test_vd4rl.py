"""V-D4RL's layouts: the convention of its rows, both episode lengths, both image sizes."""

from operator import attrgetter

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.data.catalog import lookup
from shared.data.vd4rl.reader import read_vd4rl
from shared.data.vd4rl.states import states_of
from shared.datasets.frames import from_leading, from_transitions, to_transitions
from shared.datasets.rows import make_dataset
from shared.datasets.sequences import SequenceDataset, make_places
from shared.environments.control import ControlSimulator
from shared.environments.rendering import FAITHFUL
from shared.errors import DataError
from shared.loading.fetch import Unreachable, fetch
from shared.loading.request import DataRequest, load_data
from shared.types import Transition

DRAWS = [attrgetter(f"draw_{x}windows") for x in ("", "training_", "validation_")]


def play(steps, seed):
    """States, actions and rewards of a real simulator: steps + 1 states, `steps` actions."""
    simulator = ControlSimulator("walker_walk")
    states = [simulator.reset(np.random.SeedSequence(seed))]
    actions = np.random.default_rng(seed).uniform(-1, 1, (steps, 6)).astype(np.float32)
    outcomes = [simulator.step(action) for action in actions]
    states += [x.observation for x in outcomes]
    rewards = np.array([x.reward for x in outcomes], np.float32)
    return np.array(states, np.float32), actions, rewards


def archive(states, actions, rewards, seed=0):
    """The same as V-D4RL stores it: action and reward lie with the frame they led to."""
    n = len(states)
    image = np.random.default_rng(seed).integers(0, 255, (n, 8, 8, 3), np.uint8)
    return {
        "image": image,
        "action": np.concatenate([np.zeros((1, 6), np.float32), actions]),
        "reward": np.concatenate([np.zeros(1, np.float32), rewards]),
        "discount": np.ones(n, np.float32),
        "is_first": np.arange(n) == 0,
        "is_last": np.arange(n) == n - 1,
        "is_terminal": np.zeros(n, bool),
        "orientations": states[:, :14],
        "height": states[:, 14],
        "velocity": states[:, 15:],
    }


@pytest.fixture(scope="module")
def played():
    return [play(steps, seed) for seed, steps in enumerate((20, 19, 7))]


@pytest.fixture
def folder(played, tmp_path):
    path = tmp_path / "vd4rl" / "main" / "walker_walk" / "medium" / "64px"
    path.mkdir(parents=True)
    for i, episode in enumerate(played):
        np.savez_compressed(path / f"{i}-{len(episode[0])}.npz", **archive(*episode, seed=i))
    return path


def test_both_conventions_give_one_window(played):
    """D4RL's rows and V-D4RL's rows of the same episodes draw the same windows, bit for bit."""
    columns = [archive(*episode) for episode in played]
    keys = ("action", "reward", "is_terminal", "is_first")
    leading = from_leading(
        None,
        np.concatenate([states for states, _, _ in played]),
        *(np.concatenate([c[key] for c in columns]) for key in keys),
    )
    rows = [
        (s[:-1], a, r, np.zeros(len(r), bool), s[1:])  # D4RL: taken at
        for s, a, r in played
    ]
    transitions = Transition(*(np.concatenate(x) for x in zip(*rows, strict=True)))
    episode = np.repeat(np.arange(3), [len(r) for _, _, r in played])
    for a, b in zip(leading[1:], from_transitions(transitions, episode)[1:], strict=True):
        assert np.array_equal(a, b)
    back, numbers = to_transitions(leading)
    assert all(np.array_equal(a, b) for a, b in zip(back, transitions, strict=True))
    assert np.array_equal(numbers, episode)

    at = make_dataset(transitions, episode, validation_fraction=0.34)
    to = SequenceDataset(jnp.asarray(leading.state), make_places(leading, validation_fraction=0.34))
    draw = jax.jit(lambda data, key: [f(data)(64, 9, key=key) for f in DRAWS])
    for one, two in zip(draw(at, jax.random.key(3)), draw(to, jax.random.key(3)), strict=True):
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
            assert np.array_equal(a, b) and a.dtype == b.dtype
    window, observed, acted = jax.tree.map(np.asarray, one)
    assert (~acted & observed).any() and (~observed).any()  # last frames, and padding


def test_the_action_is_the_one_taken_at_the_frame(folder, played):
    """Restored states and read actions lead, in the simulator, to the read next states."""
    found = read_vd4rl(folder, name="walker_walk-medium")
    states, actions, rewards = played[1]
    start = len(played[0][0])
    frames = found.frames
    assert frames.image is not None and frames.state is not None
    assert np.array_equal(frames.action[start : start + 19], actions)
    assert np.array_equal(frames.reward[start : start + 19], rewards)
    assert not frames.action[start + 19].any() and not frames.acted[start + 19]
    assert np.array_equal(frames.state[start : start + 20], states)
    assert np.array_equal(frames.image[:21], archive(*played[0], seed=0)["image"])
    assert found.frames.episode_lengths.tolist() == [20, 19, 7]  # 21, 20 and 8 rows: all load
    np.testing.assert_allclose(frames.episode_returns, [r.sum() for _, _, r in played], rtol=1e-5)
    assert (found.name, found.source, found.environment, found.warnings) == (
        "walker_walk-medium",
        "yours",
        "walker_walk",
        (),
    )
    assert found.pixels.settings == FAITHFUL  # nothing says how they were drawn


def test_state_variant_is_a_data_set_like_any_other(folder, played):
    data = states_of(read_vd4rl(folder, name="walker_walk-medium", images=False))
    assert data.rows == 20 + 19 + 7 and data.spec.observation_size == 24
    assert data.mean_score == pytest.approx(np.mean([r.sum() for _, _, r in played]) / 10)
    dataset = data.to_device()
    assert dataset.transitions.next_observation.shape == (46, 24)


def test_states_are_found_where_nobody_names_the_task(folder, played, tmp_path):
    """A folder of one's own, without a benchmark's path or this project's marks."""
    mine = folder.rename(tmp_path / "mine")
    data = read_vd4rl(mine, images=False)
    assert data.environment is None and data.source == "yours"
    np.testing.assert_array_equal(data.frames.state[:21], played[0][0])
    states = states_of(data)
    assert (states.rows, states.spec.observation_shape) == (46, (24,))


def test_shards_and_archives_of_the_same_rows_are_the_same(folder, played, tmp_path):
    """84 px: channels first, several episodes in a shard, cut at step_type 0."""
    columns = [archive(*episode, seed=i) for i, episode in enumerate(played)]
    shards = tmp_path / "84px"
    shards.mkdir()
    for name, part in (("0.hdf5", columns[:2]), ("1.hdf5", columns[2:])):
        rows = {key: np.concatenate([c[key] for c in part]) for key in part[0]}
        with h5py.File(shards / name, "w") as file:
            file["observation"] = rows.pop("image").transpose(0, 3, 1, 2)
            file["step_type"] = 1.0 - rows.pop("is_first") + rows.pop("is_last")
            for key in set(rows) - {"is_terminal"}:
                file[key] = rows[key][:, None] if key in ("reward", "discount") else rows[key]
    one = read_vd4rl(folder, name="walker_walk-medium").frames
    two = read_vd4rl(shards, name="walker_walk-medium").frames
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a, b)


def change(folder, **arrays):
    path = folder / "1-20.npz"
    with np.load(path) as file:
        found = dict(file)
    for key, value in arrays.items():
        if value is None:
            del found[key]
        else:
            found[key] = value
    np.savez(path, **found)


FAULTS = {
    r"1-20\.npz: key 'reward' is missing": {"reward": None},
    r"1-20\.npz: key 'image' is missing": {"image": None},
    r"1-20\.npz: arrays have different lengths": {"reward": np.zeros(12)},
    r"1-20\.npz: key 'image' has 12 rows": {"image": np.zeros((12, 8, 8, 3), np.uint8)},
    r"1-20\.npz: key 'image' is float32": {"image": np.zeros((20, 8, 8, 3), np.float32)},
    r"1-20\.npz: frames are \(9, 9, 3\)": {"image": np.zeros((20, 9, 9, 3), np.uint8)},
    r"1-20\.npz: key 'action' is not finite in row 0": {"action": np.full((20, 6), np.nan)},
    r"1-20\.npz: key 'is_first' must be": {"is_first": np.full(20, 3)},
    r"1-20\.npz: key 'velocity' has shape": {"velocity": np.zeros((20, 4))},
    r"1-20\.npz: 'state' is None a row": {"height": None},
    r"1-20\.npz: 'action' is \(5,\) a row": {"action": np.zeros((20, 5))},
}


@pytest.mark.parametrize("reason", FAULTS)
def test_faults_name_file_and_key(folder, reason):
    change(folder, **FAULTS[reason])
    with pytest.raises(DataError, match=reason):
        read_vd4rl(folder, name="walker_walk-medium")


def test_the_other_convention_is_refused(folder, played):
    for i, (states, actions, rewards) in enumerate(played):
        rows = archive(states, actions, rewards)
        rows["action"] = np.concatenate([actions, np.zeros((1, 6), np.float32)])
        np.savez(folder / f"{i}-{len(states)}.npz", **rows)
    with pytest.raises(DataError, match="the action taken at a frame, not the one that led to it"):
        read_vd4rl(folder)


def test_folders_that_are_none(folder, tmp_path):
    with pytest.raises(DataError, match="has 6 values a row, but humanoid_walk has 21"):
        read_vd4rl(folder, name="humanoid_walk-random")
    outside = tmp_path / "outside.npz"
    (folder / "0-21.npz").rename(outside)
    (folder / "0-21.npz").symlink_to(outside)
    with pytest.raises(DataError, match="is a link out of the data set"):
        read_vd4rl(folder)
    (folder / "x.hdf5").touch()
    (folder / "0-21.npz").unlink()
    with pytest.raises(DataError, match=r"mixes \.npz and \.hdf5"):
        read_vd4rl(folder)
    with pytest.raises(DataError, match="holds no"):
        read_vd4rl(tmp_path / "vd4rl")
    with pytest.raises(DataError, match="does not exist"):
        read_vd4rl(tmp_path / "nowhere")


def test_official_folders_come_first(folder, tmp_path):
    """What lies at the catalog's place is official; D4RL's download is not attempted."""
    cache = tmp_path / "cache"
    with pytest.raises(DataError, match="huggingface.co/datasets/conglu/vd4rl and put it there"):
        DataRequest(
            "walker_walk-medium", source="d4rl", data_dir=cache, observation="pixels"
        ).load()
    with pytest.raises(Unreachable, match="huggingface.co/datasets/conglu/vd4rl and put it there"):
        fetch(lookup("walker_walk-medium"), cache)
    place = cache / "official" / "vd4rl" / "main" / "walker_walk" / "medium" / "64px"
    place.parent.mkdir(parents=True)
    folder.rename(place)
    assert (
        DataRequest("walker_walk-medium", data_dir=cache, observation="pixels").load().source
        == "official"
    )
    assert fetch(lookup("walker_walk-medium"), cache) == place
    states = load_data("walker_walk-medium", data_dir=cache)
    assert (states.source, states.rows, states.environment) == ("official", 46, "walker_walk")
    own = load_data("walker_walk-medium", data=place, data_dir=cache)
    assert (own.source, own.rows) == ("yours", 46)
    with pytest.raises(DataError, match="has no frames"):
        DataRequest("hopper-medium", data_dir=cache, observation="pixels").load()
