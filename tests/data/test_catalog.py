"""The table of data sets and D4RL's normalised score."""

import numpy as np
import pytest

from shared.data.catalog import CATALOG, QUALITIES, lookup, official_entry
from shared.environments.scores import normalized_score
from shared.environments.tasks import ENVIRONMENTS
from shared.errors import DataError


def test_locomotion_is_complete():
    for environment, simulator in {
        "hopper": "Hopper-v4",
        "halfcheetah": "HalfCheetah-v4",
        "walker2d": "Walker2d-v4",
    }.items():
        for quality in QUALITIES:
            entry = lookup(f"{environment}-{quality}")
            assert lookup(f"{environment}-{quality}-v2") is entry
            assert entry.environment.simulator == simulator
            assert entry.environment.horizon == 1000
    file = CATALOG["walker2d-medium-replay"].file
    assert file == "gym_mujoco_v2/walker2d_medium_replay-v2.hdf5"


def test_files_and_digests_are_unique():
    assert len({entry.file for entry in CATALOG.values()}) == len(CATALOG) == 77
    digests = [entry.sha256 for entry in CATALOG.values() if entry.sha256]
    assert len(set(digests)) == len(digests) and all(len(d) == 64 for d in digests)
    assert official_entry("hopper_medium-v2.hdf5") is CATALOG["hopper-medium"]
    assert official_entry("other.hdf5") is None


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("hoper-medium", "hopper-medium"),
        ("Hopper_Medium", "hopper-medium"),
        ("halfcheeta-expert-v2", "halfcheetah-expert"),
        ("walker-medium-replay", "walker2d-medium-replay"),
        ("antmaze-large", "antmaze-large-play"),
    ],
)
def test_unknown_names_suggest_the_nearest(name, nearest):
    with pytest.raises(DataError, match=f"did you mean '{nearest}'"):
        lookup(name)


def test_another_version_is_other_data():
    with pytest.raises(DataError, match="hopper-medium-v2"):
        lookup("hopper-medium-v0")


def test_normalized_score():
    for name, environment in ENVIRONMENTS.items():
        if environment.by_success:  # there a return is no score
            assert np.isnan(normalized_score(name, environment.maximum))
            continue
        assert normalized_score(name, environment.minimum) == pytest.approx(0, abs=1e-9)
        assert normalized_score(name, environment.maximum) == pytest.approx(100)
    assert isinstance(normalized_score("hopper", 1), float)
    assert normalized_score("hopper-medium", 1607.0138475) == pytest.approx(50)
    np.testing.assert_allclose(normalized_score("hopper", [-20.272305, 3234.3]), [0, 100])
    with pytest.raises(DataError, match="did you mean 'hopper'"):
        normalized_score("Hoper", 1.0)
