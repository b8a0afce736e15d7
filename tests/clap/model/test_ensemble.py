"""What MOPO and MOBILE imagine with: models, the ring of imagined rows, rules of termination."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from contract.test_contract import leaves
from slow import ensemble_member

from clap.imagination import aleatoric_doubt
from clap.model.ensemble import Dynamics, Ensemble, ensemble_loss, look, predict
from clap.model.terminations import ended
from shared.environments.simulators import make_environment
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
    first = look(dynamics, x, target)
    errors = np.asarray(first.error)
    assert errors[1] == 0 and list(first.elites) == [1, 2 * int(errors[2] < errors[0])]
    # Now the last member becomes what the second one was, and the second one forgets.
    moved = jax.tree.map(lambda w: w.at[2].set(w[1]).at[1].set(0.0), ensemble)
    learner = Learner(moved, first.learner.opt_state)
    second = look(first._replace(learner=learner), x, target)
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


@pytest.mark.parametrize(
    ("task", "rule"), [("hopper", "hopper"), ("walker2d", "walker2d"), ("halfcheetah", "none")]
)
def test_rules_of_termination_are_the_simulators(task, rule):
    """On what a random policy meets, falls included."""
    environment, rng = make_environment(task), np.random.default_rng(0)
    observations, falls = [], []
    environment.reset(seed=0)
    for _ in range(400):
        action = rng.uniform(-1, 1, environment.action_space.shape).astype(np.float32)
        observation, _, terminal, timeout, _ = environment.step(action)
        observations.append(observation)
        falls.append(terminal)
        if terminal or timeout:
            environment.reset()
    environment.close()
    found = jax.vmap(partial(ended, rule))(jnp.asarray(np.array(observations), jnp.float32))
    np.testing.assert_array_equal(found, falls)
    assert (sum(falls) > 5) == (task != "halfcheetah")


def test_rules_of_termination_are_those_of_recorded_rows(hopper_random):
    rows = hopper_random.transitions
    found = jax.vmap(partial(ended, "hopper"))(jnp.asarray(rows.next_observation))
    np.testing.assert_array_equal(found, rows.terminal)
    assert rows.terminal.sum() > 50


@pytest.mark.parametrize(
    ("rule", "change", "expected"),
    [
        ("hopper", {0: 0.69}, True),
        ("hopper", {1: -0.21}, True),
        ("hopper", {7: 120.0}, True),
        ("hopper", {0: np.nan}, True),
        ("hopper", {0: 150.0}, False),
        ("walker2d", {0: 2.1}, True),
        ("walker2d", {0: 0.79}, True),
        ("walker2d", {1: 1.01}, True),
        ("walker2d", {7: 120.0}, False),
    ],
)
def test_each_limit_of_the_rules(rule, change, expected):
    observation = np.zeros(11, np.float32)
    observation[0] = 1.2
    assert not ended(rule, jnp.asarray(observation))
    for i, value in change.items():
        observation[i] = value
    assert bool(ended(rule, jnp.asarray(observation))) == expected
