"""Flows for tests: weights as after training, not the identity of a fresh flow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shared.models.flow import ConditionalFlow

CONDITION_SIZE = 4


def make_flow(size, base="uniform", *, layers=4, hidden=16, seed=0, **more):
    """A flow with noise for weights, its ActNorm set from random actions.

    The numbers come from NumPy: compiling JAX's generator for every shape would
    take longer than the tests.
    """
    settings = {"layers": layers, "hidden_size": hidden, "base": base, **more}
    shapes = eqx.filter_eval_shape(
        lambda: ConditionalFlow(CONDITION_SIZE, size, **settings, key=jax.random.key(0))
    )
    flow = noisy(shapes, seed=seed)
    return eqx.filter_jit(ConditionalFlow.start)(flow, *make_batch(size, 256, seed=seed))


def noisy(shapes, *, seed=0):
    """A flow of these shapes with noise for weights, its linear maps far from singular."""
    generator = np.random.default_rng(seed)

    def noise(leaf):
        values = generator.standard_normal(leaf.shape) / np.sqrt(max(4, leaf.shape[-1]))
        return jnp.asarray(values, jnp.float32)

    flow = jax.tree.map(noise, shapes)
    rotations = np.linalg.qr(generator.standard_normal(flow.stack.linear.shape))[0]
    return eqx.tree_at(
        lambda f: (f.stack.linear, f.stack.coupling.gain),
        flow,
        (0.3 * flow.stack.linear + rotations.astype(np.float32), 1 + flow.stack.coupling.gain),
    )


def make_batch(size, count, *, seed, limit=0.95):
    """Conditions (count, 4), standard normal, and actions (count, size), uniform in ±limit."""
    generator = np.random.default_rng(seed + 1000)
    conditions = generator.standard_normal((count, CONDITION_SIZE))
    actions = generator.uniform(-limit, limit, (count, size))
    return jnp.asarray(conditions, jnp.float32), jnp.asarray(actions, jnp.float32)


def batched(method):
    """Compiled, over a leading axis of every argument."""
    return jax.jit(jax.vmap(method))
