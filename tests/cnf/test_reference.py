"""Likelihoods against what they should be: a flow library's, and a known density's."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnf.moons import fit, log_prob, two_moons
from shared.models.flow import ConditionalFlow
from shared.models.learner import Learner, descend

pytestmark = pytest.mark.long

LAYERS, HIDDEN, STEPS, BATCH = 6, 48, 600, 512


@pytest.fixture(scope="module")
def moons():
    return jnp.asarray(two_moons(20_000, seed=0)), jnp.asarray(two_moons(4_000, seed=1))


@pytest.fixture(scope="module")
def reference_nll(moons):
    """Of flowjax's affine coupling flow, trained by flowjax, on atanh of the points."""
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow
    from flowjax.train import fit_to_data

    points, fresh = moons
    schedule = optax.cosine_decay_schedule(2e-3, STEPS)
    share = 0.05
    epochs = STEPS * BATCH // int(len(points) * (1 - share)) + 1
    # The library relies on JAX's usual promotions.
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        flow = coupling_flow(
            jax.random.key(0),
            base_dist=Normal(jnp.zeros(2)),
            flow_layers=LAYERS,
            nn_width=HIDDEN,
            nn_depth=2,
        )
        flow, _ = fit_to_data(
            jax.random.key(1),
            flow,
            jnp.arctanh(points),
            optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule)),
            max_epochs=epochs,
            max_patience=epochs,
            batch_size=BATCH,
            val_prop=share,
            show_progress=False,
        )
        return -jnp.mean(flow.log_prob(jnp.arctanh(fresh)) - jnp.sum(jnp.log(1 - fresh**2), 1))


@pytest.mark.parametrize("base", ("uniform", "normal"))
def test_moons_are_as_likely_as_under_a_reference_library(base, moons, reference_nll):
    points, fresh = moons
    flow = ConditionalFlow(
        0, 2, layers=LAYERS, hidden_size=HIDDEN, base=base, key=jax.random.key(0)
    )
    flow = fit(flow, points, steps=STEPS, key=jax.random.key(1))
    nll = -jnp.mean(jax.jit(log_prob)(flow, fresh))
    print(f"{base}: {nll:.3f} nats, reference {reference_nll:.3f}")
    assert abs(nll - reference_nll) < 0.1


def test_a_known_conditional_density_is_learned():
    """a = tanh(m(s) + L(s) ε): its entropy given s is known, and no model can beat it."""
    generator = np.random.default_rng(0)
    s = generator.standard_normal((42_000, 2))
    noise = generator.standard_normal((42_000, 2))
    scale = np.exp(0.4 * np.sin(2 * s))
    x = 0.5 * s[:, ::-1] + scale * (noise @ np.array([[0.5, 0.3], [0.0, 0.2]]))
    surprise = (
        np.sum(0.5 * np.log(2 * np.pi) + 0.5 * noise**2 + np.log(scale), 1)
        + np.log(0.5 * 0.2)
        # The density of tanh(x), without the difference of two large terms.
        + np.sum(2 * (np.log(2) - x - np.logaddexp(0, -2 * x)), 1)
    )
    conditions, actions = jnp.asarray(s, jnp.float32), jnp.asarray(np.tanh(x), jnp.float32)
    flow = ConditionalFlow(2, 2, layers=2, hidden_size=32, key=jax.random.key(0))
    flow = flow.start(conditions[:512], actions[:512])
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, 800))
    arrays, static = eqx.partition(Learner.create(flow, optimizer), eqx.is_array)

    def nll(flow, s, a):
        return -jnp.mean(jax.vmap(flow.log_prob)(s, a))

    @jax.jit
    def run(arrays, keys):
        def step(arrays, key):
            rows = jax.random.randint(key, (512,), 0, 40_000)
            learner, metrics = descend(
                eqx.combine(arrays, static),
                optimizer,
                lambda flow: (nll(flow, conditions[rows], actions[rows]), {}),
            )
            return eqx.filter(learner, eqx.is_array), metrics

        return jax.lax.scan(step, arrays, keys)[0]

    flow = eqx.combine(run(arrays, jax.random.split(jax.random.key(1), 800)), static).model
    excess = nll(flow, conditions[40_000:], actions[40_000:]) - np.mean(surprise[40_000:])
    print(f"{excess:.3f} nats above the entropy")
    assert -0.02 < excess < 0.1
