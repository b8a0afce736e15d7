"""A trained world model, tiny, for everything that takes one over."""

import pytest
from dreams import TINY

from shared.runs.plan import make_plan
from shared.runs.start import train_plan


@pytest.fixture(scope="session")
def model(hopper_random, tmp_path_factory):
    """A run of one seed (3) that trained the model alone."""
    overrides = TINY | {"policy": "prior", "save_every": 4}
    plan = make_plan("clap", "clap", "hopper-random", seeds=(3,), overrides=overrides)
    return train_plan(plan, hopper_random, tmp_path_factory.mktemp("model") / "run")
