"""The conditional normalizing flow over actions (CNF, section 3.1).

    a ∈ [-1, 1]^n → x₀ = atanh(a) → K layers → x_K → z

with z = tanh(x_K) ~ U(-1, 1)^n (the paper's method) or z = x_K ~ N(0, I) (its
ablation).  Eq. 4, with everything kept in the unbounded x so that it is exact:

    log p(a|s) = log p(x_K) + Σ log|det layer| − Σ log(1 − tanh² x₀)
    log p(x_K) = −n log 2 + Σ log(1 − tanh² x_K)       uniform base
               = −n/2 log 2π − ½ ‖x_K‖²                normal base

With a `margin` m > 0 the flow sees (1 - m)·a in the place of a.  Motors are often driven at their
limits, and these many equal values, far out at atanh(1 - EDGE), would be all that the density is
about; so they are ordinary points.  Latents that would lead beyond ±1 decode to ±1.

Differences from the paper: the margin; odd action sizes are split unevenly instead of padded
(padding makes the likelihood unbounded); and the two tanh terms are written with softplus so
that their gradients survive at the edge.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from shared.errors import ConfigError
from shared.models.bijections import (
    FlowLayer,
    FrozenLayer,
    constant_log_det,
    kept_entries,
    prepared,
)
from shared.models.distributions import EDGE, bounded, clipped, log_one_minus_tanh_squared
from shared.models.latent_actions import AbstractLatentActionSpace, centered_box
from shared.types import Box, Scalar

DEVIATION = {"uniform": 1 / math.sqrt(3), "normal": 1.0}
"""Standard deviation of a latent under each base: the unit in which widths of boxes compare."""
SMALLEST_STD = 1e-2
"""ActNorm treats a batch that varies less than this as if it varied this much."""


class ConditionalFlow(AbstractLatentActionSpace):
    """An invertible map between actions and latents, given a condition.

    Arguments:
        condition_size: length of the condition (normalised observation or feature).
        action_size: n, which is also the latent size; 1 is allowed.
        layers: K, the number of layers.
        hidden_size: width of the two hidden layers of every conditioner.
        base: density of the latent, `"uniform"` on (-1, 1)^n or `"normal"`.
        margin: m, the share of (-1, 1) that is kept free beyond the largest actions, below 1.
        key: initialises the weights.

    Raises:
        ConfigError: for an unknown base or no layer.
    """

    stack: FlowLayer
    latent_size: int = eqx.field(static=True)
    base: str = eqx.field(static=True)
    margin: float = eqx.field(static=True)

    def __init__(
        self,
        condition_size: int,
        action_size: int,
        *,
        layers: int,
        hidden_size: int,
        base: str = "uniform",
        margin: float = 0.0,
        key: PRNGKeyArray,
    ):
        _check(layers, base)

        def make(k):
            return FlowLayer(action_size, condition_size, hidden_size, key=k)

        self.stack = eqx.filter_vmap(make)(jax.random.split(key, layers))
        self.latent_size = action_size
        self.base = base
        self.margin = margin

    def encode(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "action"]:
        """The latent f(a|s) of an action; deterministic, `key` is not used."""
        _, x, _ = self._forward(condition, action)
        return jnp.tanh(x) if self.base == "uniform" else x

    def decode(
        self, condition: Float[Array, "condition"], latent: Float[Array, "action"]
    ) -> Float[Array, "action"]:
        """The action f⁻¹(z|s) in [-1, 1].

        It inverts the linear maps first; `frozen` does that once and for all.
        """
        return self.frozen().decode(condition, latent)

    def log_prob(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, ""]:
        """Exact log-density of an action in nats (eq. 4); `key` is not used.

        Actions beyond ±(1 - EDGE) have the density of the clipped action.
        """
        x_data, x_base, log_det = self._forward(condition, action)
        if self.base == "uniform":
            base = jnp.sum(log_one_minus_tanh_squared(x_base) - jnp.log(2.0))
        else:
            base = jnp.sum(-0.5 * (x_base**2 + jnp.log(2 * jnp.pi)))
        scale = self.latent_size * math.log1p(-self.margin)
        return base + log_det - jnp.sum(log_one_minus_tanh_squared(x_data)) + scale

    def box(
        self, condition: Float[Array, "condition"], half_width: Scalar | None = None
    ) -> Box | None:
        """Where a policy may place its latents: 0 ± `half_width`.

        None is the whole cube for the uniform base and no box for the normal base.
        """
        del condition
        if half_width is None and self.base == "uniform":
            half_width = 1.0
        return centered_box(self.latent_size, half_width)

    def start(
        self, conditions: Float[Array, "batch condition"], actions: Float[Array, "batch action"]
    ) -> "ConditionalFlow":
        """The flow with ActNorm set from a first batch.

        Layer after layer, what this batch becomes has mean 0 and standard
        deviation 1 after every ActNorm.
        """

        def step(x, layer):
            std = jnp.maximum(jnp.std(x, axis=0), SMALLEST_STD)
            shift, log_scale = -jnp.mean(x, axis=0), -jnp.log(std)
            layer = eqx.tree_at(lambda m: (m.shift, m.log_scale), layer, (shift, log_scale))
            x, _ = jax.vmap(layer)(x, conditions)
            return x, (shift, log_scale)

        x = self._unbounded(actions)
        _, statistics = jax.lax.scan(step, x, prepared(self._masked()))
        return eqx.tree_at(lambda f: (f.stack.shift, f.stack.log_scale), self, statistics)

    def frozen(self) -> "FrozenFlow":
        """The flow with everything that decoding needs computed in advance."""
        return FrozenFlow(self, eqx.filter_vmap(FrozenLayer)(self._masked()))

    def _masked(self) -> FlowLayer:
        layers, size = self.stack.shift.shape
        masked = self.stack.coupling.masked(kept_entries(layers, size))
        return eqx.tree_at(lambda stack: stack.coupling, self.stack, masked)

    def _unbounded(self, action):
        return jnp.arctanh(bounded((1 - self.margin) * action))

    def _forward(self, condition, action):
        """x₀, x_K and log|det dx_K/dx₀|."""

        def step(carry, layer):
            x, log_det = carry
            x, change = layer(x, condition)
            return (x, log_det + change), None

        start = self._unbounded(action)
        carry = (start, constant_log_det(self.stack))
        (end, log_det), _ = jax.lax.scan(step, carry, prepared(self._masked()))
        return start, end, log_det


class FrozenFlow(AbstractLatentActionSpace):
    """A trained flow made ready for fast decoding; made by `ConditionalFlow.frozen`.

    Every linear map is inverted and merged with its ActNorm once, so that
    decoding is K conditioners and K small affine maps and nothing else.
    `encode` and `log_prob` are those of the flow.  Do not differentiate with
    respect to its weights: they are copies.
    """

    flow: ConditionalFlow
    stack: FrozenLayer
    latent_size: int = eqx.field(static=True)

    def __init__(self, flow: ConditionalFlow, stack: FrozenLayer):
        self.flow = flow
        self.stack = stack
        self.latent_size = flow.latent_size

    def encode(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "action"]:
        """The latent of an action; see `ConditionalFlow.encode`."""
        return self.flow.encode(condition, action, key=key)

    def decode(
        self, condition: Float[Array, "condition"], latent: Float[Array, "action"]
    ) -> Float[Array, "action"]:
        """The action f⁻¹(z|s) in [-1, 1].  A uniform latent is clipped to ±(1 - EDGE)."""
        x = jnp.arctanh(bounded(latent)) if self.flow.base == "uniform" else latent
        x, _ = jax.lax.scan(
            lambda x, layer: (layer(x, condition), None), x, prepared(self.stack), reverse=True
        )
        action = jnp.tanh(x) / (1 - self.flow.margin)
        return clipped(action) if self.flow.margin else action

    def log_prob(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, ""]:
        """Exact log-density in nats; see `ConditionalFlow.log_prob`."""
        return self.flow.log_prob(condition, action, key=key)

    def box(
        self, condition: Float[Array, "condition"], half_width: Scalar | None = None
    ) -> Box | None:
        """See `ConditionalFlow.box`."""
        return self.flow.box(condition, half_width)


def saturated(action: Float[Array, "*n"]) -> Bool[Array, "*n"]:
    """Which entries lie beyond ±(1 - EDGE), where the flow sees only the clipped action."""
    return jnp.abs(action) > 1 - EDGE


def saturated_fraction(action: Float[Array, "*n"]) -> Float[Array, ""]:
    """The fraction of saturated entries of a batch, for the metrics."""
    return jnp.mean(saturated(action).astype(jnp.float32))


def _check(layers, base):
    if layers < 1:
        raise ConfigError(f"layers is {layers}, but a flow needs at least one layer.")
    if base not in ("uniform", "normal"):
        raise ConfigError(f"base is {base!r}, but only 'uniform' and 'normal' are known.")
