"""Every environment of the table exists and has the table's sizes."""

import numpy as np
import pytest

from shared.data.catalog import CATALOG
from shared.environments.simulators import make_environment
from shared.environments.tasks import ENVIRONMENTS
from shared.errors import ConfigError

NAMES = [name for name, task in ENVIRONMENTS.items() if task.simulator != "OGBench"]
"""OGBench's are in test_ogbench.py."""


@pytest.mark.parametrize("name", NAMES)
def test_sizes_types_and_the_methods_that_scoring_uses(name):
    expected, environment = ENVIRONMENTS[name], make_environment(name)
    observation, _ = environment.reset(seed=0)
    assert observation.shape == (expected.observation_size,)
    action = np.zeros(expected.action_size, np.float32)
    following, reward, terminal, timeout, _ = environment.step(action)
    assert following.shape == observation.shape and np.isfinite(following).all()
    assert isinstance(float(reward), float) and not terminal and not timeout
    assert environment.metadata["render_fps"] > 0
    environment.close()


def test_every_data_set_has_its_environment():
    assert {entry.environment.name for entry in CATALOG.values()} == set(ENVIRONMENTS)
    tasks = {n: CATALOG[f"kitchen-{n}"].environment.name for n in ("complete", "partial", "mixed")}
    assert tasks == {"complete": "kitchen", "partial": "kitchen", "mixed": "kitchen-mixed"}


def test_an_unknown_environment_names_those_that_exist():
    with pytest.raises(ConfigError, match="no simulator scores 'hoper'.*hopper.*kitchen"):
        make_environment("hoper")
