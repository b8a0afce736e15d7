"""Every form of a data set into every other: the same bits, or a sentence on what is lost."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from shared.cli.data import data_group
from shared.data.convert import convert
from shared.data.files.minari_reader import read_minari
from shared.data.files.source import form_of, read_source
from shared.data.files.writers import arrays_of
from shared.data.reader import read_states
from shared.data.vd4rl.reader import read_vd4rl
from shared.errors import ConfigError, DataError
from shared.loading.request import load_data

FULL = """
import resource, sys
from cnf.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
main(sys.argv[1:])
"""

ENDINGS = {"d4rl": "out.hdf5", "npz": "out.npz", "minari": "out-v0", "vd4rl": "out"}


@pytest.fixture
def sources(write, arrays, tmp_path):
    """The same rows in all four forms."""
    paths = {"d4rl": write(arrays)}
    for form, ending in ENDINGS.items():
        if form != "d4rl":
            paths[form] = convert(paths["d4rl"], tmp_path / "from" / ending, form=form).path
    return paths


def test_links_that_lead_in_a_circle_are_no_file(write, arrays, tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    source = write(arrays)
    for words in (["convert", loop, tmp_path / "x.npz"], ["inspect", loop]):
        result = CliRunner().invoke(data_group, [*map(str, words)])
        assert isinstance(result.exception, DataError), result.exception
    result = CliRunner().invoke(data_group, ["convert", str(source), str(loop / "x.npz")])
    assert isinstance(result.exception, DataError), result.exception


@pytest.mark.parametrize("target", ENDINGS)
@pytest.mark.parametrize("source", ENDINGS)
def test_every_form_into_every_other(sources, arrays, tmp_path, source, target):
    out = tmp_path / "to" / ENDINGS[target]
    done = convert(sources[source], out, form=target)
    assert (done.steps, done.episodes, done.notes) == (60, 3, [])
    assert form_of(out) == target
    back = convert(out, tmp_path / "back.hdf5").path
    found = arrays_of(read_source(back).columns)
    assert found.keys() == arrays.keys()
    for key, x in arrays.items():
        assert found[key].tobytes() == x.tobytes() and found[key].dtype == x.dtype, key
    data = load_data(None, data=out)
    for a, b in zip(data.transitions, read_states(sources["d4rl"]).transitions, strict=True):
        assert np.array_equal(a, b)
    assert data.source == "yours" and "not scored" in data.note


def test_equal_data_give_equal_bytes(sources, tmp_path):
    for form, ending in ENDINGS.items():
        places = [tmp_path / name / ending for name in "ab"]
        for place in places:
            convert(sources["d4rl"], place, form=form)
        one, two = ([x.read_bytes() for x in sorted(p.rglob("*")) if x.is_file()] for p in places)
        assert one == two


@pytest.mark.parametrize("form", ["minari", "vd4rl"])
def test_rows_without_a_next_observation_train_the_same(write, arrays, tmp_path, form):
    """What whole episodes cannot hold is what training leaves out; both are told."""
    del arrays["next_observations"]
    path = write(arrays)
    done = convert(path, tmp_path / "out", form=form)
    assert (done.steps, done.episodes) == (58, 3)
    assert "2 episodes end without a next observation" in done.notes[0]
    assert "1 terminal rows have no next observation" in done.notes[1]
    one, two = load_data(None, data=path), load_data(None, data=tmp_path / "out")
    for a, b in zip(one.transitions, two.transitions, strict=True):
        assert np.array_equal(a, b)


def test_ends_that_no_flag_marks(write, arrays, tmp_path):
    """Minari keeps them as they are; in rows and in V-D4RL they become timeouts, and it is told."""
    arrays["timeouts"][39] = False
    arrays["terminals"][59] = True  # and this row is both
    path = write(arrays)
    done = convert(path, tmp_path / "m-v0", form="minari")
    assert not read_minari(done.path).episodes[1].timeout.any()
    assert "'timeouts'" in " ".join(done.notes) and "both terminal and timeout" in done.notes[0]
    back = convert(done.path, tmp_path / "back.hdf5")
    assert any("1 episodes end without a flag" in note for note in back.notes)
    columns = read_source(back.path).columns
    assert np.flatnonzero(columns.timeout).tolist() == [39, 59]
    frames = convert(path, tmp_path / "v", form="vd4rl")
    assert "every end that is not terminal is one; 2 rows differ" in frames.notes[-1]


def test_rounding_and_not_a_number_survive(write, arrays, tmp_path):
    """Negative zero, NaN and what lies beyond ±1 are data too; training will say its own."""
    arrays["observations"][3, 0] = arrays["next_observations"][2, 0] = -0.0
    arrays["rewards"][7] = np.nan
    arrays["actions"][5] = 1.5
    path = write(arrays)
    for form in ("npz", "minari"):
        done = convert(path, tmp_path / ENDINGS[form], form=form)
        assert any("training would refuse this: key 'rewards'" in note for note in done.notes)
        back = read_source(convert(done.path, tmp_path / f"{form}.hdf5").path).columns
        assert back.reward.tobytes() == arrays["rewards"].tobytes()
        assert back.observation.tobytes() == arrays["observations"].tobytes()
        assert back.action.tobytes() == arrays["actions"].tobytes()
    with pytest.raises(DataError, match="key 'reward' is not finite"):
        convert(path, tmp_path / "v", form="vd4rl")
    left = sorted(x.name for x in tmp_path.iterdir())
    assert left == ["data.hdf5", "minari.hdf5", "npz.hdf5", "out-v0", "out.npz"]
    arrays["rewards"][7] = 0
    done = convert(write(arrays), tmp_path / "v", form="vd4rl")
    assert "actions beyond ±1 are stored as they are, and clipped when read." in done.notes


def write_pictures(folder, states):
    """Two V-D4RL episodes of 64 px, with or without states."""
    folder.mkdir()
    for seed, frames in enumerate((9, 7)):
        generator, first = np.random.default_rng(seed), np.arange(frames) == 0
        parts = {
            "image": generator.integers(0, 255, (frames, 64, 64, 3), np.uint8),
            "action": np.where(first[:, None], 0, generator.uniform(-1, 1, (frames, 2))),
            "reward": generator.uniform(size=frames),
            "is_first": first,
        }
        if states:
            parts["state"] = generator.normal(size=(frames, 5)).astype(np.float32)
        np.savez_compressed(folder / f"{seed}.npz", **parts)
    return folder


@pytest.mark.parametrize("states", [True, False])
def test_pictures_pass_through_minari_without_loss(tmp_path, states):
    folder = write_pictures(tmp_path / "frames", states)
    convert(folder, tmp_path / "m-v0", form="minari")
    convert(tmp_path / "m-v0", tmp_path / "again", form="vd4rl")
    one, two = read_vd4rl(folder).frames, read_vd4rl(tmp_path / "again").frames
    for key, a, b in zip(one._fields, one, two, strict=True):
        assert (a is None and b is None) or np.array_equal(a, b), key
    assert (one.state is not None) == states and one.image is not None
    if states:
        assert "the pictures are left out" in convert(folder, tmp_path / "x.npz").notes[-1]
        assert read_states(tmp_path / "m-v0").rows == 14
    else:
        with pytest.raises(DataError, match="holds no states, only pictures; use --to minari"):
            convert(folder, tmp_path / "x.npz")
        with pytest.raises(DataError, match="holds no states, only pictures"):
            read_states(tmp_path / "m-v0")


@pytest.mark.parametrize("form", ENDINGS)
def test_a_collected_set_stays_one_and_names_its_source(write, arrays, tmp_path, form):
    # Of fixed length, as `convert` writes them: read in this process.
    texts = {"source": np.bytes_(b"collected"), "policy": np.bytes_(b"medium")}
    path = write(arrays, attributes={**texts, "seed": 4})
    out = convert(path, tmp_path / ENDINGS[form], form=form).path
    data = load_data(None, data=out)
    assert data.source == "collected"
    told = data.attributes
    assert told["converted_from_sha256"] == read_source(path).sha256
    assert (told["converted_from"], told["converted_from_source"]) == ("data.hdf5", "collected")
    assert (told["seed"], told["policy"]) == (4, "medium")


def test_nothing_is_lost_by_accident(sources, arrays, tmp_path, write):
    other = write(arrays | {"rewards": arrays["rewards"] + 1}, name="other.hdf5")
    for form, path in sources.items():
        if form != "d4rl":
            with pytest.raises(DataError, match="exists already; use --force"):
                convert(other, path, form=form)
            convert(other, path, form=form, force=True)
            assert np.array_equal(
                load_data(None, data=path).transitions.reward, arrays["rewards"] + 1
            )
            assert not list(path.parent.glob(".*")) and not list(path.parent.glob("*.lock"))
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "data" / "metadata.json").write_text("{}")
    with pytest.raises(DataError, match="is a folder that was not converted"):
        convert(other, home, form="minari", force=True)
    with pytest.raises(DataError, match="lies in the source"):
        convert(sources["vd4rl"], sources["vd4rl"] / "x", form="minari")
    with pytest.raises(DataError, match="lies in the source"):
        convert(other, other, force=True)


@pytest.mark.parametrize(
    ("name", "form", "words"),
    [
        ("x", None, "say which form to write with --to"),
        ("x.hdf5", "minari", "--to minari writes a folder"),
        ("x", "npz", "--to npz writes a file ending in .npz"),
        ("x.npz", "d4rl", "--to d4rl writes a file ending in .hdf5"),
    ],
)
def test_unclear_targets(write, arrays, tmp_path, name, form, words):
    with pytest.raises(ConfigError, match=words):
        convert(write(arrays), tmp_path / name, form=form)


def test_refused_sources_leave_nothing(write, arrays, tmp_path):
    del arrays["actions"]
    with pytest.raises(DataError, match="key 'actions' is missing"):
        convert(write(arrays), tmp_path / "x.npz")
    with pytest.raises(DataError, match="does not exist"):
        convert(tmp_path / "none", tmp_path / "x.npz")
    assert [x.name for x in tmp_path.iterdir()] == ["data.hdf5"]


@pytest.mark.parametrize("words", [["out.hdf5"], ["out", "--to", "minari"]])
def test_a_disk_that_is_full_is_one_sentence(write, arrays, tmp_path, words):
    """In a process of its own, which HDF5 must not end while it writes what it could not."""
    write(arrays)
    command = [sys.executable, "-c", FULL, "data", "convert", "data.hdf5", *words]
    # No byte code: Python would leave files of it that end at the limit.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    how = {"capture_output": True, "text": True, "timeout": 100, "env": environment}
    done = subprocess.run(command, cwd=tmp_path, **how)
    assert done.returncode == 3, done
    assert done.stderr.count("\n") == 1 and "cannot be written (File too large)" in done.stderr
    assert [x.name for x in tmp_path.iterdir()] == ["data.hdf5"]


def test_the_command(write, arrays, tmp_path):
    arrays["observations"] = arrays["observations"].astype(np.float64)
    command = ["convert", str(write(arrays)), str(tmp_path / "m-v0"), "--to", "minari"]
    result = CliRunner().invoke(data_group, command)
    assert result.exit_code == 0, result.output
    assert "60 steps of 3 episodes as minari, read back and compared" in result.output
    assert "note: key 'observations' holds float64; it is read as float32." in result.stderr
    about = json.loads((tmp_path / "m-v0" / "converted.json").read_text())
    assert about["converted_from_form"] == "d4rl"
    with h5py.File(tmp_path / "m-v0" / "data" / "main_data.hdf5") as file:
        assert list(file) == ["episode_0", "episode_1", "episode_2"]
    assert isinstance(CliRunner().invoke(data_group, command).exception, DataError)
    assert CliRunner().invoke(data_group, [*command, "--force"]).exit_code == 0
