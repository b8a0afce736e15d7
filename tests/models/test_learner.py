"""One step down a loss, and what steadies a policy along many of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import slow

from shared.models.learner import Learner, annealed_adam, clipped_adam, descend
from shared.models.losses import standardized


def test_the_average_follows_the_model_at_its_rate():
    optimizer = optax.sgd(0.5)
    learner = Learner.create(jnp.array(4.0), optimizer, average=0.25)
    for _ in range(2):
        learner, _ = descend(learner, optimizer, lambda x: (x, {}), average=0.25)
    # Models 4, 3.5, 3; averages 4, 0.75 · 4 + 0.25 · 3.5, 0.75 · 3.875 + 0.25 · 3.
    np.testing.assert_allclose(learner.model, 3.0)
    np.testing.assert_allclose(learner.steady, 3.65625)


def test_without_an_average_the_model_itself_acts():
    learner = Learner.create(jnp.array(4.0), optax.sgd(0.5))
    assert learner.average is None and learner.steady is learner.model


@pytest.mark.parametrize(("cosine", "expected"), [(True, [1, 0.5, 0, 1]), (False, [1, 1, 1, 1])])
def test_the_step_size_falls_to_zero_and_is_back_online(cosine, expected):
    """At the first, the middle, the last and the first online update of 100."""
    optimizer, sizes = annealed_adam(0.01, 100, cosine=cosine), []
    state = optimizer.init(jnp.array(0.0))
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(101):
            step, state = optimizer.update(jnp.array(-1.0), state)
            sizes.append(float(step) / 0.01)
    np.testing.assert_allclose([sizes[i] for i in (0, 50, 99, 100)], expected, atol=1e-3)


def test_without_updates_offline_the_step_size_is_the_online_one():
    """Where an encoder alone is trained, with a preset whose actor is annealed."""
    optimizer = annealed_adam(0.01, 0, cosine=True)
    with jax.numpy_dtype_promotion("standard"):
        step, _ = optimizer.update(jnp.array(-1.0), optimizer.init(jnp.array(0.0)))
    np.testing.assert_allclose(step, 0.01, rtol=1e-3)


def test_standardized_advantages_have_no_unit():
    advantage = np.array([3.0, -1.0, 4.0, 1.0], np.float32)
    expected = (advantage - 1.75) / np.std(advantage)
    np.testing.assert_allclose(standardized(jnp.asarray(advantage)), expected, rtol=1e-5)
    np.testing.assert_allclose(standardized(100 * jnp.asarray(advantage)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["cnf", "plas", "spot", "td3bc", "iql"])
def test_the_average_acts_and_the_last_actor_learns(name):
    algorithm, state, batch = slow.setup(name, actor_average=0.125)
    step = {"step": jnp.array(0)} if algorithm.phases()[-1].takes_step else {}
    trained, _ = jax.jit(algorithm.update)(state, batch, key=jax.random.key(0), **step)
    mixed = jax.tree.map(
        lambda old, new: 0.875 * old + 0.125 * new, state.actor.model, trained.actor.model
    )
    acts = jax.jit(lambda state: algorithm.act(state, (), batch.observation[0], key=None)[0])
    last = trained._replace(actor=Learner(trained.actor.model, trained.actor.opt_state))
    asked = trained._replace(actor=Learner(mixed, trained.actor.opt_state))
    np.testing.assert_allclose(acts(trained), acts(asked), rtol=1e-5)
    assert np.abs(acts(trained) - acts(last)).max() > 1e-5


def test_rewards_of_another_unit_leave_cnf_where_it_is():
    algorithm, state, batch = slow.setup("cnf", normalize_advantages=True)
    s, key = slow.normalized(state, batch.observation), jax.random.key(0)

    @jax.jit
    def loss(unit):
        critic = eqx.tree_at(
            lambda c: c.members.layers[-1],
            state.critic.model,
            replace_fn=lambda layer: jax.tree.map(lambda x: unit * x, layer),
        )
        space = state.latent_space
        return algorithm.actor_loss(state.actor.model, critic, space, s, batch.action, key=key)[0]

    # To the epsilon beside a deviation that is small in fresh critics.
    np.testing.assert_allclose(loss(1.0), loss(100.0), rtol=1e-3)


def test_rewards_of_another_unit_leave_iql_where_it_is():
    algorithm, state, batch = slow.setup("iql", normalize_advantages=True)
    advantage = jnp.linspace(-1.0, 2.0, slow.ROWS)

    @jax.jit
    def loss(advantage):
        arguments = batch.observation, batch.action, advantage
        return algorithm.actor_loss(state.actor.model, *arguments, key=jax.random.key(0))[0]

    np.testing.assert_allclose(loss(advantage), loss(100 * advantage), rtol=1e-5)


@pytest.mark.parametrize("steps", [None, 4])
def test_step_sizes_fall_to_zero_along_a_cosine(steps):
    optimizer = clipped_adam(100.0, 0.1, steps)
    learner, reached = Learner.create(jnp.zeros(()), optimizer), [0.0]
    for _ in range(5):
        learner, _ = descend(learner, optimizer, lambda parameter: (-parameter, {}))
        reached.append(float(learner.model))
    share = 0.5 * (1 + np.cos(np.pi * np.arange(5) / 4)) if steps else np.ones(5)
    np.testing.assert_allclose(np.diff(reached), 0.1 * share, atol=1e-5)


def test_what_a_step_did_is_held_in_the_losses_after_it():
    """The metrics can be differentiated by what is below; the model that was moved is a number."""
    optimizer = optax.sgd(0.5)
    learner = Learner.create(jnp.array(1.0), optimizer)

    def by_value(x):
        moved, loss = descend(learner, optimizer, lambda m: ((m * x) ** 2, (m * x) ** 2))
        return loss, moved.model * x

    assert jax.grad(lambda x: by_value(x)[0])(3.0) == 6.0
    assert jax.grad(lambda x: by_value(x)[1])(3.0) == 1.0 - 0.5 * 2 * 9.0  # by x, not by its step
