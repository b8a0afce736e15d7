"""Hyperparameters of policies on a frozen encoder, swept: in a state, and in a command."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow
from tiny import tiny_plan

from shared.errors import ConfigError
from shared.runs import frozen_model, members, sweep_plan
from shared.runs.members import combinations
from shared.training.sweep import Sweep, SweptState

NO_MODEL = frozen_model.FrozenModel({}, (0,), {})
"""For what is refused before a model is asked for."""


def updates(algorithm, state, batch):
    """The state after two updates of the policy."""
    update = jax.jit(algorithm.phases()[1].update)
    for seed in range(2):
        state, _ = update(state, batch, key=jax.random.key(seed))
    return state


def test_a_member_equals_the_single_run():
    """Of PLAS+P: the values of its state count, those of its configuration do not."""
    alone, state, batch = slow.setup("plas", latent_clip=2.0, max_perturbation=0.05)
    other = tiny_plan("plas", latent_clip=0.5, max_perturbation=0.3).build()
    sweep = Sweep(algorithm=other, names=("latent_clip", "max_perturbation"))
    ours = updates(sweep, SweptState(jnp.array([2.0, 0.05]), state), batch)
    single = updates(alone, state, batch)
    assert jax.tree.structure(ours.member) == jax.tree.structure(single)
    for x, y in zip(*map(jax.tree.leaves, (ours.member, single)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    observation = batch.observation[0]
    action, _ = sweep.act(ours, (), observation, key=None)
    np.testing.assert_allclose(action, alone.act(single, (), observation, key=None)[0], rtol=1e-4)
    far = sweep.act(ours._replace(values=jnp.array([0.5, 0.05])), (), observation, key=None)[0]
    assert not np.allclose(action, far)


@pytest.mark.parametrize(
    "case,name,values,reason",
    [
        ("plas", "max_perturbation", [0.0, 0.1], "max_perturbation=0 has other networks"),
        ("plas", "pretrain_learning_rate", [0.1, 0.2], None),
        ("spot", "dropout", [0.1, 0.2], "dropout shapes the program"),
        ("spot", "batch_size", [8, 16], "'batch_size' is no float"),
        ("bc", "best_fraction", [0.1, 1.0], "what is drawn depends on best_fraction"),
        ("awac", "return_weighting", [0.1, 1.0], "what is drawn depends on return_weighting"),
    ],
)
def test_what_cannot_share_a_program_is_trained_apart(hopper_random, case, name, values, reason):
    swept = combinations({name: values})
    plans = [tiny_plan(case, **{name: value}) for value in values]
    data = hopper_random.to_device()
    found = sweep_plan.why_apart(plans, swept, hopper_random.spec, data)
    assert found is None if reason is None else found is not None and reason in found


def test_what_belongs_to_the_model_is_not_swept_on_one(hopper_random, tmp_path):
    plans = [tiny_plan("plas", pretrain_learning_rate=rate) for rate in (0.1, 0.2)]
    swept = combinations({"pretrain_learning_rate": [0.1, 0.2]})
    with pytest.raises(ConfigError, match="pretrain_learning_rate: .* belongs to the model"):
        members.start(plans, swept, hopper_random, tmp_path / "no", model=NO_MODEL)
    assert not (tmp_path / "no").exists()


def test_a_sweep_is_not_fine_tuned(hopper_random, tmp_path):
    plans = [tiny_plan("plas", tau=tau, online_steps=2) for tau in (0.1, 0.2)]
    swept = combinations({"tau": [0.1, 0.2]})
    with pytest.raises(ConfigError, match="leave out --online-steps"):
        members.start(plans, swept, hopper_random, tmp_path / "no", model=NO_MODEL)


@pytest.mark.parametrize("name", ["bcq", "bear", "cnf", "cnf-vae", "plas", "spot"])
def test_reusable_parts_name_what_there_is(name):
    plan = tiny_plan(name)
    part, algorithm = frozen_model.reusable_part(plan), plan.build()
    assert {*part.keys, part.steps} <= set(plan.hyperparameters)
    assert part.phase == algorithm.phases()[0].name
    state = importlib.import_module(type(algorithm).__module__).State
    assert set(part.fields) <= set(state._fields)


@pytest.mark.parametrize(
    "case,clip", [("plas", 0.0), ("lapo", -1.0), ("cnf", 1.5), ("cnf (normal base, clip 2)", -1.0)]
)
def test_a_box_must_lie_inside_the_latent_space(case, clip):
    with pytest.raises(ConfigError, match=f"latent_clip'? is {clip}"):
        tiny_plan(case, latent_clip=clip)
