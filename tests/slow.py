"""Slow NumPy twins of networks and losses: one row at a time, one number at a time."""

import jax
import numpy as np
from tiny import tiny_plan

from shared.types import Spec, Transition

ROWS, OBSERVATION, ACTION = 6, 4, 2


def setup(name: str, **overrides):
    """(algorithm, state, batch) at toy size; the batch holds terminal and ordinary rows.

    Every `target_*` of the state differs from its online network, so that a loss
    that takes the wrong one of the two shows.
    """
    algorithm = tiny_plan(name, **overrides).build()
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    spec = Spec(
        (OBSERVATION,),
        ACTION,
        normal(OBSERVATION),
        np.exp(normal(OBSERVATION)),
        np.array([-3.0, 47.0], np.float32),
    )
    batch = Transition(
        normal(ROWS, OBSERVATION),
        np.tanh(normal(ROWS, ACTION)),
        normal(ROWS),
        np.array([False, True] * (ROWS // 2)),
        normal(ROWS, OBSERVATION),
    )
    # As it stands: its few small programs are those of other algorithms, a whole one is not.
    statistics = map(jax.numpy.asarray, spec[2:])
    spec = Spec(*spec[:2], *statistics)
    state, other = (algorithm.init(spec, key=jax.random.key(seed)) for seed in (0, 1))
    targets = {x: getattr(other, x) for x in state._fields if x.startswith("target_")}
    return algorithm, state._replace(**targets), jax.tree.map(jax.numpy.asarray, batch)


def gelu(x):
    """The tanh form, as JAX has it."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def mlp(model, x, activation=lambda x: np.maximum(x, 0)):
    """A network on one input, in float64, without dropout."""
    x = np.asarray(x, np.float64)
    for i, layer in enumerate(model.layers):
        x = np.asarray(layer.weight, np.float64) @ x + np.asarray(layer.bias, np.float64)
        if i < len(model.layers) - 1:
            x = activation(x)
            if model.norms:
                norm = model.norms[i]
                x = (x - x.mean()) / np.sqrt(x.var() + norm.eps)
                x = x * np.asarray(norm.weight) + np.asarray(norm.bias)
    return x


def critics(model, s, a, activation=lambda x: np.maximum(x, 0)):
    """Every Q_i(s, a) of an ensemble, on one pair."""
    count = model.members.layers[0].weight.shape[0]
    members = [jax.tree.map(lambda x, i=i: x[i], model.members) for i in range(count)]
    x = np.concatenate([np.asarray(s), np.asarray(a)])
    return np.array([mlp(member, x, activation)[0] for member in members])


def decoded(flow, s, noise):
    """The end of a flow-matching decoder's Euler steps."""
    x = np.asarray(noise, np.float64)
    for step in range(flow.flow_steps):
        inputs = np.concatenate([np.asarray(s), x, [step / flow.flow_steps]])
        x = x + mlp(flow.network, inputs, gelu) / flow.flow_steps
    return np.clip(x, -1, 1)


def normalized(state, observations):
    """Standardised observations of a batch, as a device array."""
    normalizer = state.normalizer
    observations = np.asarray(observations, np.float64) - np.asarray(normalizer.mean)
    scaled = observations / (np.asarray(normalizer.std) + normalizer.epsilon)
    return jax.numpy.asarray(scaled, jax.numpy.float32)


def td_target(reward, terminal, next_value, discount):
    """One number."""
    return float(reward) + (0.0 if terminal else discount * float(next_value))


def td_loss(model, s, a, y):
    """Mean over rows of the members' summed squared errors."""
    errors = [np.sum((critics(model, s[i], a[i]) - y[i]) ** 2) for i in range(len(y))]
    return np.mean(errors)


def normal_log_prob(x, mean, std):
    """Of a diagonal Gaussian, in nats."""
    x, mean, std = (np.asarray(v, np.float64) for v in (x, mean, std))
    z = (x - mean) / std
    return np.sum(-0.5 * z**2 - np.log(std) - 0.5 * np.log(2 * np.pi))


def smoothed(action, noise, scale, limit):
    """TD3's target policy smoothing of one action."""
    return np.clip(action + np.clip(scale * np.asarray(noise), -limit, limit), -1, 1)


def softplus(x):
    """log(1 + exp(x)) without overflow."""
    return np.logaddexp(0.0, x)


def ensemble_member(ensemble, k, x):
    """Mean and log variance of member k of `clap.model.ensemble.Ensemble` for one input."""
    x = np.asarray(x, np.float64)
    for i, layer in enumerate(ensemble.layers):
        x = x @ np.asarray(layer.weight[k], np.float64) + np.asarray(layer.bias[k])
        x = x / (1 + np.exp(-x)) if i + 1 < len(ensemble.layers) else x
    mean, free = np.split(x, 2)
    lowest, highest = np.asarray(ensemble.lowest[k]), np.asarray(ensemble.highest[k])
    below = highest - softplus(highest - free)
    return mean, lowest + softplus(below - lowest)
