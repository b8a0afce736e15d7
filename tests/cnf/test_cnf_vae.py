"""CNF-VAE: PLAS's encoder, trained as PLAS trains it or taken over from a run of PLAS."""

import jax
import numpy as np
import pytest
from tiny import tiny_plan

from shared.data.catalog import CATALOG
from shared.errors import ConfigError
from shared.runs import frozen_model
from shared.runs.plan import make_plan
from shared.runs.start import train_plan
from shared.runs.trained import load_state

ENCODER = (
    *("vae_hidden_sizes", "pretrain_steps", "pretrain_batch_size", "pretrain_learning_rate"),
    *("validate_every", "validation_rows", "latent_clip", "return_weighting"),
)


def test_the_encoder_is_trained_by_the_values_of_plas():
    for dataset in CATALOG:
        for preset in ("paper", "quick"):
            ours, theirs = (
                make_plan("cnf", name, dataset, preset=preset).hyperparameters
                for name in ("cnf-vae", "plas")
            )
            assert [ours[key] for key in ENCODER] == [theirs[key] for key in ENCODER], dataset
            assert (ours["pretrain_weight_decay"], ours["pretrain_clip"]) == (0.0, None)


def test_the_settings_of_a_flow_are_refused():
    with pytest.raises(ConfigError, match="are a flow's; choose the algorithm cnf-vae"):
        tiny_plan("cnf", encoder="vae")


@pytest.mark.long
def test_it_takes_over_the_encoder_of_a_run_of_plas(hopper_random, tmp_path):
    plas = train_plan(tiny_plan("plas", steps=1), hopper_random, tmp_path / "plas")
    rest = {"steps": 2, "batch_size": 16, "actor_hidden_sizes": [16], "critic_hidden_sizes": [16]}
    plan = make_plan(
        "cnf", "cnf-vae", "hopper-random", overrides=frozen_model.model_overrides(plas, rest)
    )
    model = frozen_model.load_model(plas, plan, hopper_random)
    path = train_plan(plan, hopper_random, tmp_path / "ours", model=model)
    ours, theirs = (load_state(x)[3] for x in (path, plas))
    for name in ("normalizer", "latent_space"):
        pairs = zip(*(jax.tree.leaves(x._asdict()[name]) for x in (ours, theirs)), strict=True)
        assert all(np.array_equal(x, y) for x, y in pairs)
    flow = make_plan("cnf", "cnf", "hopper-random")
    with pytest.raises(ConfigError, match="cnf cannot take over the model of plas"):
        frozen_model.load_model(plas, flow, hopper_random)
