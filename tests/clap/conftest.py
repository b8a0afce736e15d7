"""A trained world model, tiny, for everything that takes one over."""

import pytest
from dreams import TINY

from shared.runs import experiment


@pytest.fixture(scope="session")
def model(hopper_random, tmp_path_factory):
    """A run of one seed (3) that trained the model alone."""
    overrides = TINY | {"policy": "prior", "save_every": 4}
    plan = experiment.plan("clap", "clap", "hopper-random", seeds=(3,), overrides=overrides)
    return experiment.start(plan, hopper_random, tmp_path_factory.mktemp("model") / "run")
