"""The models that MOPO and MOBILE imagine with, against NumPy and on a known system."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from contract.test_contract import leaves
from slow import ensemble_member

from clap.imagination import aleatoric_doubt
from clap.model.ensemble import Dynamics, Ensemble, ensemble_loss, predict
from shared.models.learner import Learner, descend
from shared.models.networks import Normalizer


@pytest.fixture(scope="module")
def ensemble():
    return Ensemble(3, 5, 2, (7, 6), key=jax.random.key(0))


def test_the_loss_of_the_ensemble_against_numpy(ensemble):
    rng = np.random.default_rng(0)
    x, target = (rng.normal(size=(3, 4, n)).astype(np.float32) for n in (5, 2))
    decay = (0.1, 0.2, 0.3)
    expected = 0.0
    for k in range(3):
        terms = []
        for row in range(4):
            mean, log_variance = ensemble_member(ensemble, k, x[k, row])
            assert (log_variance < 0.5).all() and (log_variance > -10).all()
            terms.append((target[k, row] - mean) ** 2 / np.exp(log_variance) + log_variance)
        expected += np.mean(terms) + 0.01 * 2 * 10.5 / 3
    for rate, layer in zip(decay, ensemble.layers, strict=True):
        expected += 0.5 * rate * np.sum(np.asarray(layer.weight, np.float64) ** 2)
    loss, _ = jax.jit(ensemble_loss, static_argnums=3)(ensemble, x, target, decay)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_doubt_is_the_largest_spread_of_all_members(ensemble):
    x = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    expected = [
        max(np.sqrt(np.sum(np.exp(ensemble_member(ensemble, k, row)[1]))) for k in range(3))
        for row in x
    ]
    doubt = aleatoric_doubt(predict(ensemble, jnp.asarray(x)))
    np.testing.assert_allclose(doubt, expected, rtol=1e-5)


def test_members_keep_their_best_and_the_best_are_elites(ensemble, hopper_random):
    x = jnp.asarray(np.random.default_rng(2).normal(size=(6, 5)).astype(np.float32))
    normalizer = Normalizer.of(hopper_random.spec)
    dynamics = Dynamics.create(normalizer, ensemble, optax.adam(1e-3), 2)
    target = predict(ensemble, x).mean[1]  # member 1 is perfect
    first = dynamics.look(x, target)
    errors = np.asarray(first.error)
    assert errors[1] == 0 and list(first.elites) == [1, 2 * int(errors[2] < errors[0])]
    # Now the last member becomes what the second one was, and the second one forgets.
    moved = jax.tree.map(lambda w: w.at[2].set(w[1]).at[1].set(0.0), ensemble)
    learner = Learner(moved, first.learner.opt_state)
    second = first._replace(learner=learner).look(x, target)
    np.testing.assert_array_equal(second.error, [errors[0], 0, 0])
    assert set(np.asarray(second.elites)) == {1, 2}
    for old, new in zip(leaves(ensemble), leaves(second.best), strict=True):
        np.testing.assert_array_equal(new, old[[0, 1, 1]])


def test_models_find_the_means_and_the_spread_of_a_known_system():
    """A target a·x with noise of 0.3: every member tells both."""
    member_count, batch = 2, 64

    @jax.jit
    def train(model, key):
        optimizer = optax.adam(1e-2)

        def step(learner, key):
            k_x, k_noise = jax.random.split(key)
            x = jax.random.normal(k_x, (member_count, batch, 2))
            noise = 0.3 * jax.random.normal(k_noise, (member_count, batch, 1))
            loss = partial(ensemble_loss, x=x, target=x[..., :1] - noise, weight_decay=(0.0, 0.0))
            return descend(learner, optimizer, loss)

        keys = jax.random.split(key, 600)
        return jax.lax.scan(step, Learner.create(model, optimizer), keys)[0].model

    fresh = Ensemble(member_count, 2, 1, (16,), key=jax.random.key(0))
    model = train(fresh, jax.random.key(1))
    x = jnp.asarray([[0.5, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    found = predict(model, x)
    np.testing.assert_allclose(found.mean[..., 0], np.tile(x[:, 0], (2, 1)), atol=0.12)
    np.testing.assert_allclose(found.std, 0.3, rtol=0.25)
