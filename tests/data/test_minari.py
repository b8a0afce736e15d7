"""Minari's data sets against the package itself, and what hostile ones meet."""

import json
import warnings

import h5py
import numpy as np
import pytest

from shared.data.convert import convert
from shared.data.files.minari_reader import read_minari
from shared.data.reader import read_states
from shared.errors import DataError

with warnings.catch_warnings():  # whatever its dependencies deprecate
    warnings.simplefilter("ignore")
    import minari
    from gymnasium.spaces import Box, Dict, Discrete
    from minari.data_collector import EpisodeBuffer


FLAT, TWO = Box(-np.inf, np.inf, (3,)), Box(-1, 1, (2,))


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """`theirs(space, observe, action)`: two episodes of 5 and 7 steps, written by Minari."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))

    def write(space, observe, action=TWO, act=None, **options):
        generator, buffers = np.random.default_rng(0), []
        for steps in (5, 7):
            last = np.arange(steps) == steps - 1
            actions = generator.uniform(-1, 1, (steps, 2)).astype(np.float32)
            buffers.append(
                EpisodeBuffer(
                    observations=observe(generator, steps + 1),
                    actions=actions if act is None else act(steps),
                    rewards=list(generator.normal(size=steps)),
                    terminations=list(last & (steps == 5)),
                    truncations=list(last & (steps == 7)),
                    infos={"name": ["a"] * (steps + 1), "goal": {"x": np.zeros(steps + 1)}},
                )
            )
        with warnings.catch_warnings():  # it misses an author, a licence, ...
            warnings.simplefilter("ignore")
            return minari.create_dataset_from_buffers(
                "robots/arm-v0", buffers, observation_space=space, action_space=action, **options
            )

    return write


def normal(generator, rows):
    return generator.normal(size=(rows, 3))


def test_what_minari_writes_is_read(theirs, tmp_path):
    data = theirs(FLAT, normal)
    found = read_states(tmp_path / "robots" / "arm-v0")
    for k, episode in enumerate(data.iterate_episodes()):
        rows, t = found.episode == k, found.transitions
        seen = episode.observations.astype(np.float32)
        assert np.array_equal(t.observation[rows], seen[:-1])
        assert np.array_equal(t.next_observation[rows], seen[1:])
        assert np.array_equal(t.action[rows], episode.actions)
        assert np.array_equal(t.reward[rows], episode.rewards.astype(np.float32))
        assert np.array_equal(t.terminal[rows], episode.terminations)
    assert found.episode_finished.all() and found.rows == 12 and found.source == "yours"
    assert any("'observations' holds float64; it is read as float32" in w for w in found.warnings)


def test_what_we_write_minari_reads(write, arrays, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    convert(write(arrays), tmp_path / "arm-v3", form="minari")
    data = minari.load_dataset("arm-v3")
    assert (data.total_episodes, data.total_steps, data.spec.version) == (3, 60, 3)
    assert data.spec.observation_space.shape == (3,)
    for k, episode in enumerate(data.iterate_episodes()):
        rows = slice(20 * k, 20 * k + 20)
        assert np.array_equal(episode.observations[:-1], arrays["observations"][rows])
        assert np.array_equal(episode.observations[1:], arrays["next_observations"][rows])
        assert np.array_equal(episode.actions, arrays["actions"][rows])
        assert np.array_equal(episode.rewards, arrays["rewards"][rows])
        assert np.array_equal(episode.terminations, arrays["terminals"][rows])
        assert np.array_equal(episode.truncations, arrays["timeouts"][rows])
        assert data.spec.action_space.contains(episode.actions[0]) and str(episode)
    assert list(minari.list_local_datasets()) == ["arm-v3"]


def test_a_dictionary_is_joined_in_the_order_of_its_space(theirs, tmp_path):
    """And pictures in it survive, unless Minari made JPEGs of them."""
    parts = {"b": Box(-9, 9, (2,)), "a": Box(-9, 9, ())}
    parts["pixels"] = Box(0, 255, (32, 32, 3), np.uint8)

    def observe(generator, rows):
        shapes = {"b": (rows, 2), "a": (rows,)}
        seen = {k: generator.normal(size=s).astype(np.float32) for k, s in shapes.items()}
        return seen | {"pixels": generator.integers(0, 255, (rows, 32, 32, 3), np.uint8)}

    data = theirs(Dict(parts), observe, jpeg_encoding=False)
    found = read_minari(tmp_path / "robots" / "arm-v0")
    assert "the observation joins a, b, in this order." in found.notes
    for mine, their in zip(found.episodes, data.iterate_episodes(), strict=True):
        seen = their.observations
        assert np.array_equal(mine.state, np.column_stack([seen["a"], seen["b"]]))
        assert np.array_equal(mine.image, seen["pixels"])
    about = tmp_path / "robots" / "arm-v0" / "data" / "metadata.json"
    about.write_text(about.read_text().replace('"jpeg_encoding": false', '"jpeg_encoding": true'))
    with pytest.raises(DataError, match="'observations/pixels' holds JPEG files.*jpeg_encoding=F"):
        read_minari(tmp_path / "robots" / "arm-v0")


def test_spaces_that_no_policy_here_acts_in(theirs, tmp_path):
    theirs(FLAT, normal, Discrete(3), lambda steps: np.zeros(steps, np.int64))
    with pytest.raises(DataError, match="'episode_0': 'actions' holds int64; store real numbers"):
        read_states(tmp_path / "robots" / "arm-v0")


def test_actions_are_scaled_from_the_range_of_their_space(theirs, tmp_path):
    """As of a pendulum: torques of ±2; and a motor of 0..1 beside it."""
    low, high = np.float32([-2, 0]), np.float32([2, 1])

    def act(steps):
        return np.random.default_rng(steps).uniform(low, high, (steps, 2)).astype(np.float32)

    data = theirs(FLAT, normal, Box(low, high), act)
    found = read_states(tmp_path / "robots" / "arm-v0")
    stored = np.concatenate([episode.actions for episode in data.iterate_episodes()])
    back = low + (found.transitions.action + 1) / 2 * (high - low)
    np.testing.assert_allclose(back, stored, atol=1e-6)
    assert np.abs(found.transitions.action).max() <= 1
    assert all("is read as float32" in words for words in found.warnings)
    assert [x.tolist() for x in found.action_range] == [[-2, 0], [2, 1]]
    copy = convert(tmp_path / "robots" / "arm-v0", tmp_path / "copy.hdf5").path
    assert np.array_equal(read_states(copy).transitions.action, found.transitions.action)


def test_states_far_from_zero_keep_their_values(theirs, tmp_path):
    theirs(FLAT, lambda generator, rows: 1e7 + 1e-3 * normal(generator, rows))
    found = read_states(tmp_path / "robots" / "arm-v0")
    assert found.observation_offset is not None
    assert np.unique(found.transitions.observation).size == 36
    assert any("is too far from zero for float32" in words for words in found.warnings)


@pytest.fixture
def ours(write, arrays, tmp_path):
    """The folder `data` of a small set, to be broken."""
    return convert(write(arrays), tmp_path / "arm-v0", form="minari").path / "data"


def test_one_flag_more_than_steps_is_dropped(ours):
    with h5py.File(ours / "main_data.hdf5", "a") as file:
        flag = file["episode_1/terminations"][()]
        del file["episode_1/terminations"]
        file["episode_1/terminations"] = np.append(flag, False)
    found = read_states(ours.parent)
    assert found.episode_lengths.tolist() == [20, 20, 20]
    assert any("'terminations' has one entry more than its rows" in x for x in found.warnings)


def external(file):
    del file["episode_1/actions"]
    file["episode_1/actions"] = h5py.ExternalLink("/etc/passwd", "actions")


def soft(file):
    del file["episode_1"]
    file["episode_1"] = h5py.SoftLink("/episode_0")


def objects(file):
    file["episode_0/infos/text"] = ["never", "read"]
    del file["episode_1/rewards"]
    file["episode_1/rewards"] = ["a"] * 20


def shorter(file):
    rewards = file["episode_1/rewards"][:19]
    del file["episode_1/rewards"]
    file["episode_1/rewards"] = rewards


def other_width(file):
    del file["episode_1/observations"]
    file["episode_1/observations"] = np.zeros((21, 4), np.float32)


def many_names_for_one(file):
    for number in range(400):
        file[f"episode_{number + 3}"] = file["episode_0"]


BROKEN = {
    "key 'episode_1/actions' is an external link": external,
    "key 'episode_1' is a soft link": soft,
    "key 'episode_1/rewards' holds object, not numbers": objects,
    "'observations' has shape .21, 3., but the episode has 20": shorter,
    "'state' of episode 1 is .4,. a row, but .3,. in the first": other_width,
    "'episode_2' has no array 'terminations'": lambda file: file.pop("episode_2/terminations"),
    "holds 2 episodes, but metadata.json says 3": lambda file: file.pop("episode_1"),
    "holds more than 2000 objects": many_names_for_one,
}


@pytest.mark.parametrize("words", BROKEN)
def test_broken_and_hostile_files(ours, words):
    with h5py.File(ours / "main_data.hdf5", "a") as file:
        BROKEN[words](file)
    with pytest.raises(DataError, match=words) as caught:
        read_states(ours.parent)
    assert "\n" not in str(caught.value) and str(ours) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[1]", "no mapping"),
        ("[" * 100_000, "cannot be read"),
        (json.dumps({"data_format": "arrow"}), "stored as 'arrow'"),
        (json.dumps({"total_episodes": {"a": 1}}), "metadata.json says"),
    ],
)
def test_hostile_metadata(ours, text, words):
    (ours / "metadata.json").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_minari(ours.parent)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("space", ["{", "3", '{"subspaces": {"a": 4, "b": [1]}}', "[" * 100_000])
def test_a_space_that_says_nothing_is_not_needed(ours, space):
    about = json.loads((ours / "metadata.json").read_text())
    (ours / "metadata.json").write_text(json.dumps(about | {"observation_space": space}))
    assert len(read_minari(ours.parent).episodes) == 3


def test_no_file_outside_the_folder_is_opened(ours, tmp_path):
    (ours / "main_data.hdf5").rename(tmp_path / "outside.hdf5")
    (ours / "main_data.hdf5").symlink_to(tmp_path / "outside.hdf5")
    with pytest.raises(DataError, match="is a link out of the data set"):
        read_minari(ours.parent)
    with pytest.raises(DataError, match="holds no main_data.hdf5; name the folder"):
        read_minari(tmp_path)
