"""What a run wants, said once: from a name, a path, or a run's own record."""

from dataclasses import replace
from pathlib import Path

import pytest

from shared.datasets.dataset import PERCENTILES, Dataset
from shared.errors import ConfigError, DataError
from shared.loading.places import collected_path
from shared.loading.request import DataRequest
from shared.runs.plan import make_plan
from shared.runs.run_record import make_record

ROWS = 120


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A request for a small stand-in, and what it gave."""
    request = DataRequest(
        "hopper-random", data_dir=tmp_path_factory.mktemp("cache"), source="collected", rows=ROWS
    )
    return request, request.load()


def record_of(data):
    return make_record(make_plan("cnf", "bc", data.name), data)


def test_a_runs_own_data_are_found_again(recorded):
    request, data = recorded
    again = DataRequest.of_record(record_of(data), data_dir=request.data_dir)
    assert (again.name, again.path, again.known_source) == ("hopper-random", data.path, "collected")
    found = again.load()
    assert isinstance(found, Dataset) and found.sha256 == data.sha256


def test_a_recording_that_is_there_is_taken_before_one_is_made(recorded):
    """The largest, where nobody asks for a number of rows; never more than the official set has."""
    request, data = recorded
    folder = data.path.parent
    for name in (
        "hopper-random-9000000-seed0.hdf5",
        "hopper-random-7-seed1.hdf5",
        "x-9-seed0.hdf5",
    ):
        (folder / name).write_bytes(b"of another seed, too large, or another set")
    found = replace(request, rows=None).load()
    assert found.sha256 == data.sha256 and f"({ROWS:,} rows)" in found.note


def test_a_stand_in_that_is_gone_is_recorded_again(recorded, tmp_path):
    _, data = recorded
    record = record_of(data)
    record["data"]["path"] = str(tmp_path / "gone.hdf5")
    again = DataRequest.of_record(record, data_dir=tmp_path)
    assert (again.path, again.source, again.rows) == (None, "collected", ROWS)
    found = again.load()
    assert found.path == collected_path("hopper-random", ROWS, 0, tmp_path)
    assert found.sha256 == data.sha256


def test_a_file_of_ones_own_that_is_gone_is_asked_for(recorded, tmp_path):
    _, data = recorded
    record = record_of(data) | {"source": "yours"}
    record["data"]["path"] = str(tmp_path / "gone.hdf5")
    with pytest.raises(DataError, match="the run's data file is gone; give it with --data FILE"):
        DataRequest.of_record(record)
    assert DataRequest.of_record(record, path=data.path).path == data.path


def test_a_file_without_a_name_has_none_again(recorded, tmp_path):
    _, data = recorded
    mine = tmp_path / "arm.hdf5"
    mine.write_bytes(Path(data.path).read_bytes())
    record = record_of(data) | {"dataset": "arm", "source": "yours"}
    record["data"]["path"] = str(mine)
    assert DataRequest.of_record(record).name is None


def test_states_are_what_is_seen_unless_frames_lie_there(recorded):
    request, data = recorded
    assert request.default_observation() == "state"
    assert DataRequest(path=data.path).default_observation() == "state"
    assert DataRequest("walker_walk-medium", data_dir=request.data_dir).default_observation() == (
        "state"
    )
    with pytest.raises(ConfigError, match="name a data set with --env"):
        DataRequest().load()


def test_what_a_dataset_tells_of_its_returns(recorded):
    _, data = recorded
    found = data.percentiles
    assert tuple(found) == PERCENTILES and sorted(found.values()) == list(found.values())
    assert found[0] <= data.mean_return <= found[100]
    assert data.finished_returns.size == data.episode_finished.sum()
    assert "kept on the device" in data.estimate()
