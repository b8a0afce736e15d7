"""Which file a name leads to, what is said about it, and what is forbidden."""

import os
import time
import warnings

import h5py
import numpy as np
import pytest

from shared.data.catalog import lookup
from shared.errors import Advice, ConfigError, DataError
from shared.loading import fetch as fetching
from shared.loading.fetch import Unreachable
from shared.loading.places import collected_path, default_data_dir, official_path
from shared.loading.request import load_data
from shared.loading.stand_ins import collect
from shared.storage.checksum import read_note, sha256_of

ROWS = 120


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A cache with one real, small collected set."""
    cache = tmp_path_factory.mktemp("cache")
    collect("hopper-random", ROWS, data_dir=cache)
    return cache


@pytest.fixture
def downloads(monkeypatch):
    """Counts the attempts to download; every one fails."""
    attempts = []

    def fail(entry, data_dir, *, progress=None):
        path = official_path(entry, data_dir)
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        attempts.append(entry.name)
        raise Unreachable(f"{path.name} is out of reach; try again later.")

    monkeypatch.setattr(fetching, "fetch", fail)
    monkeypatch.setenv("LATENT_POLICIES_OFFLINE", "0")
    return attempts


def place_official(cache, recorded, name="hopper-random"):
    """An 'official' file: the right place, and no word of being collected."""
    path = official_path(lookup(name), cache)
    path.parent.mkdir(parents=True)
    path.write_bytes(collected_path("hopper-random", ROWS, 0, recorded).read_bytes())
    with h5py.File(path, "a") as file:
        for key in list(file.attrs):
            del file.attrs[key]
    return path


def test_data_file_comes_first_and_alone(recorded, downloads, tmp_path):
    official = place_official(tmp_path, recorded)
    mine = official.rename(tmp_path / "mine.hdf5")
    data = load_data("hopper-random", data=mine, data_dir=tmp_path)
    assert (data.source, data.path, data.notes, downloads) == ("yours", mine, (), [])
    assert data.environment == "hopper" and data.name == "hopper-random"


def test_a_folder_of_your_own(recorded, downloads, tmp_path):
    official = place_official(tmp_path, recorded)
    plain = official.rename(tmp_path / official.name)
    assert load_data("hopper-random", data=tmp_path).path == plain
    with pytest.raises(DataError, match="holds no hopper_medium-v2.hdf5"):
        load_data("hopper-medium", data=tmp_path)


def test_official_before_collected(recorded, downloads, tmp_path):
    path = place_official(tmp_path, recorded)
    data = load_data("hopper-random", data_dir=tmp_path, rows=ROWS)
    assert (data.source, data.path, data.note, downloads) == ("official", path, "", [])


def test_stand_in_is_announced(recorded, downloads):
    data = load_data("hopper-random", data_dir=recorded, rows=ROWS)
    assert data.source == "collected" and data.rows == ROWS and downloads == ["hopper-random"]
    assert data.notes[0].startswith("official file out of reach; using the collected stand-in")
    assert "not D4RL" in data.note and "\n" not in data.note
    # The failure is remembered: the next command does not wait for the server again.
    load_data("hopper-random", data_dir=recorded, rows=ROWS)
    assert len(downloads) == 1
    (stamp,) = recorded.rglob("*.unreachable")
    old = time.time() - fetching.RETRY_SECONDS - 1
    os.utime(stamp, (old, old))
    load_data("hopper-random", data_dir=recorded, rows=ROWS)
    assert len(downloads) == 2


def test_being_offline_is_not_remembered(recorded, monkeypatch, tmp_path):
    load_data("hopper-random", data_dir=tmp_path, rows=5)
    assert list(tmp_path.rglob("*.unreachable")) == []


def test_sources_forbid_each_other(recorded, downloads, tmp_path):
    place_official(tmp_path, recorded)
    data = load_data("hopper-random", data_dir=tmp_path, rows=ROWS, source="collected")
    assert data.source == "collected" and downloads == []
    assert "out of reach" not in data.note
    with pytest.raises(Unreachable):
        load_data("hopper-random", data_dir=recorded, rows=ROWS, source="d4rl")
    collected = collected_path("hopper-random", ROWS, 0, recorded)
    with pytest.raises(DataError, match="collected set, not D4RL"):
        load_data("hopper-random", data=collected, source="d4rl")
    mine = official_path(lookup("hopper-random"), tmp_path)
    with pytest.raises(DataError, match="not a collected set"):
        load_data("hopper-random", data=mine, source="collected")
    with pytest.raises(ConfigError, match="'d4rl' or 'collected'"):
        load_data("hopper-random", source="official")


def test_a_file_of_states_shows_no_pixels(recorded):
    path = collected_path("hopper-random", ROWS, 0, recorded)
    with pytest.raises(ConfigError, match="holds states alone .d4rl.; leave out --observation"):
        load_data(None, data=path, observation="pixels")


def test_d4rl_is_tried_again_when_demanded(recorded, downloads, tmp_path):
    load_data("hopper-random", data_dir=tmp_path, rows=5)
    with pytest.raises(Unreachable):
        load_data("hopper-random", data_dir=tmp_path, source="d4rl")
    assert len(downloads) == 2


def test_resumed_run_keeps_the_label(recorded, tmp_path):
    path = place_official(tmp_path, recorded)
    assert load_data("hopper-random", data=path, known_source="official").source == "official"
    assert load_data("hopper-random", data=path, known_source="yours").source == "yours"


def test_names_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match="did you mean 'hopper-random'"):
        load_data("hoper-random", data_dir=tmp_path)
    with pytest.raises(DataError, match="No collected data set 'pen-human'; choose one of"):
        load_data("pen-human", data_dir=tmp_path, source="collected")
    assert list(tmp_path.glob("[!c]*")) == []


def test_nothing_within_reach(downloads, tmp_path, monkeypatch):
    def record(*arguments, **keywords):
        raise DataError("no behaviour weights for walker2d.")

    monkeypatch.setattr("shared.behavior.record.record", record)
    with pytest.raises(DataError, match="out of reach.*no stand-in can be recorded") as caught:
        load_data("walker2d-medium", data_dir=tmp_path, rows=50)
    assert "\n" not in str(caught.value)


def test_collected_file_is_noted_and_reproducible(recorded, tmp_path):
    path = collected_path("hopper-random", ROWS, 0, recorded)
    assert path.name == "hopper-random-120-seed0.hdf5"
    assert read_note(path) == sha256_of(path)
    again = collect("hopper-random", ROWS, data_dir=tmp_path)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(p.name for p in again.parent.iterdir()) == [again.name, again.name + ".sha256"]
    other = collect("hopper-random", ROWS, seed=1, data_dir=tmp_path)
    assert other.read_bytes() != path.read_bytes()


def test_a_smaller_recording_is_told_of_before_a_larger_one_is_made(tmp_path):
    collect("hopper-random", 40, data_dir=tmp_path)
    where = {"data_dir": tmp_path, "source": "collected"}
    told = "50 rows are recorded now, though 40 were before; --set rows=40 takes those"
    with pytest.warns(Advice, match=told):
        load_data("hopper-random", rows=50, **where)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_data("hopper-random", rows=50, **where)
        load_data("hopper-random", rows=40, **where)


def test_recorded_rows_continue_each_other(recorded):
    """The recorder and the reader agree on what a row is."""
    data = load_data("hopper-random", data=collected_path("hopper-random", ROWS, 0, recorded))
    t, same = data.transitions, data.episode[1:] == data.episode[:-1]
    np.testing.assert_array_equal(t.next_observation[:-1][same], t.observation[1:][same])
    assert not t.terminal[:-1][same].any() and data.episode_lengths.sum() == ROWS
    assert data.spec.observation_size == 11 and 0 < data.mean_score < 5


def test_flipped_bit_in_the_cache_is_found(tmp_path):
    path = collect("hopper-random", 40, data_dir=tmp_path)
    content = bytearray(path.read_bytes())
    content[-200] ^= 16
    path.write_bytes(content)
    with pytest.raises(DataError, match="SHA-256"):
        load_data("hopper-random", data_dir=tmp_path, rows=40, source="collected")


def test_default_data_dir(monkeypatch, tmp_path):
    assert default_data_dir() == tmp_path / "cache"
    monkeypatch.delenv("LATENT_POLICIES_DATA")
    assert default_data_dir().parts[-2:] == (".cache", "latent-policies")
