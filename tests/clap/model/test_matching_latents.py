"""Flow matching's noise inside a world model: its loss, its gradient, its inverse and its box."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow
from dreams import ACTION, FEATURE, events_of_actions

from clap.model.latent_actions import MarkovActions
from clap.model.matching_latents import MatchingLatentActions
from shared.models.policies import BoundedLatentPolicy


@pytest.fixture(scope="module")
def events():
    return events_of_actions()


@pytest.fixture(scope="module")
def space():
    return MatchingLatentActions(FEATURE, ACTION, (12, 11), flow_steps=3, key=jax.random.key(0))


def test_the_term_is_the_matching_loss_at_a_point_that_the_noise_tells(space, events):
    """Its last number, standard normal like the rest, is a uniform time."""
    feature, action = (np.asarray(x[0]) for x in events)
    noise = np.array([0.4, -1.1, 0.2, 0.6744898], np.float32)  # the upper quartile
    x = 0.25 * noise[:-1] + 0.75 * action
    v = slow.mlp(space.flow.network, np.concatenate([feature, x, [0.75]]), slow.gelu)
    terms = eqx.filter_jit(lambda space, *x: space.terms(*x))
    (value, loss), *others = terms(space, *map(jnp.asarray, (feature, action, noise))).values()
    np.testing.assert_allclose(value, np.mean((v - (action - noise[:-1])) ** 2), rtol=1e-4)
    assert loss == value and not others
    assert space.noise_size == ACTION + 1 == MarkovActions(space, 2).noise_size


def test_the_decoder_learns_and_the_model_does_not(space, events):
    feature, action = (x[0] for x in events)

    @eqx.filter_jit
    @eqx.filter_grad
    def slopes(both):
        space, feature = both
        return space.terms(feature, action, jnp.full(ACTION + 1, 0.3))["action_matching"][1]

    of_weights, of_feature = slopes((space, feature))
    assert all(np.any(x != 0) for x in jax.tree.leaves(eqx.filter(of_weights, eqx.is_array)))
    np.testing.assert_array_equal(of_feature, np.zeros(FEATURE))


def test_a_recorded_action_comes_back_from_its_noise(space, events):
    """To float32, actions at ±1 among them."""

    @eqx.filter_jit
    def there_and_back(space, features, actions):
        noise = jax.vmap(space.encode)(features, actions)
        return jax.vmap(space.decode)(features, noise)

    again = there_and_back(space, *events)
    np.testing.assert_allclose(again, events[1], atol=2e-6)


def test_the_prior_is_standard_normal_and_its_center_zero(space, events):
    feature = events[0][0]
    draw = jax.jit(jax.vmap(lambda k: space.sample_prior(feature, key=k)))
    noise = np.asarray(draw(jax.random.split(jax.random.key(1), 4000)))
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.06)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(ACTION), atol=0.1)
    np.testing.assert_array_equal(space.sample_prior(feature, key=None), np.zeros(ACTION))


def test_the_box_ends_at_support_deviations_however_wild_the_policy(space, events):
    wild = jax.tree.map(
        lambda x: 1e4 * x, BoundedLatentPolicy(FEATURE, ACTION, (8,), key=jax.random.key(1))
    )

    @eqx.filter_jit
    def place(space, features, support):
        def one(feature, key):
            box = space.box(feature, support)
            u = jnp.stack([wild.mode(feature, box), wild.sample(feature, box, key=key)])
            return u, jax.vmap(space.decode, (None, 0))(feature, u)

        return jax.vmap(one)(features, jax.random.split(jax.random.key(2), len(features)))

    latents, actions = place(space, events[0], jnp.float32(0.75))
    assert 0.749 < np.abs(latents).max() <= 0.75 and np.abs(actions).max() <= 1
    assert space.box(events[0][0], None) is None
