"""A flow-matching policy's noise as a latent action space (DSRL, IFQL, FQL).

"Flow Matching for Generative Modeling" (Lipman et al., 2023) along straight lines: a velocity
field v carries noise x_0 ~ N(0, I) at time 0 to an action at time 1,

    x_t = (1 - t) x_0 + t a,   t ~ U(0, 1)
    min  |v(s, x_t, t) - (a - x_0)|²                                    (matching)

and decodes by `flow_steps` Euler steps, x ← x + v(s, x, i/K) / K for i = 0 ... K - 1, clipped
to [-1, 1] at the end.  The noise x_0 is the latent: a policy that moves in the box 0 ± noise_scale
of it steers a frozen decoder (Wagenmaker et al., 2025).

Encoding runs the same K steps backwards, each solved by Newton's method; so it inverts this very
decoder, not the differential equation behind it, and `log_prob` is the exact density of the decoded
actions before they are clipped.
"""

from functools import partial

import distrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from shared.errors import ConfigError
from shared.models.latent_actions import AbstractLatentActionSpace, centered_box
from shared.models.networks import MLP
from shared.types import Box, Scalar

NEWTON_STEPS = 8
"""Of one Euler step backwards: the error squares at every one, and starts at about 1/K."""
NEWTON_LIMIT = 2.0
"""Ceiling of a step's size in every dimension: where a field folds, Newton's steps have no end."""


class FlowMatching(AbstractLatentActionSpace):
    """The noise of a flow-matching policy, as long as the action.

    Arguments:
        condition_size: length of the condition.
        action_size: n, of the action (or of a chunk of actions, one after another).
        hidden_sizes: of the velocity field, a GELU network.
        flow_steps: K, Euler steps from noise to action.
        key: initialises the weights.

    Raises:
        ConfigError: less than one step.
    """

    network: MLP
    latent_size: int = eqx.field(static=True)
    flow_steps: int = eqx.field(static=True)

    def __init__(
        self,
        condition_size: int,
        action_size: int,
        *,
        hidden_sizes: tuple[int, ...] = (512, 512, 512, 512),
        flow_steps: int = 10,
        key: PRNGKeyArray,
    ):
        if flow_steps < 1:
            raise ConfigError(f"flow_steps is {flow_steps}, but it must be at least 1.")
        sizes = condition_size + action_size + 1, action_size
        self.network = MLP(*sizes, hidden_sizes, activation=jax.nn.gelu, key=key)
        self.latent_size = action_size
        self.flow_steps = flow_steps

    def velocity(
        self,
        condition: Float[Array, "condition"],
        x: Float[Array, "action"],
        time: Float[Array, ""],
    ) -> Float[Array, "action"]:
        """v(s, x, t): where the flow carries x at time t in [0, 1]."""
        return self.network(jnp.concatenate([condition, x, time[None]]))

    def matching(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        noise: Float[Array, "action"],
        time: Float[Array, ""],
    ) -> Float[Array, ""]:
        """Mean squared error of the velocity at one point of the line from noise to action."""
        x = (1 - time) * noise + time * action
        return jnp.mean((self.velocity(condition, x, time) - (action - noise)) ** 2)

    def decode(
        self, condition: Float[Array, "condition"], latent: Float[Array, "latent"]
    ) -> Float[Array, "action"]:
        """The end of the flow that begins at the noise, clipped to [-1, 1]."""
        x = latent
        for i in range(self.flow_steps):
            x = self._forward(condition, x, jnp.asarray(i / self.flow_steps))
        return jnp.clip(x, -1.0, 1.0)

    def encode(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "latent"]:
        """The noise that the decoder carries to this action; there is nothing to sample."""
        del key
        return self._inverse(condition, action)[0]

    def log_prob(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, ""]:
        """Log-density of the decoded action before it is clipped, in nats; exact, at any K."""
        del key
        noise, log_det = self._inverse(condition, action)
        return jnp.sum(distrax.Normal(0.0, 1.0).log_prob(noise)) - log_det

    def loss(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, ""]:
        """The matching loss at one random point of one random line; `key` is needed.

        Raises:
            ValueError: no key.
        """
        if key is None:
            raise ValueError("the loss of a FlowMatching needs a key.")
        noise, time = draw_matching(action[None], key=key)
        return self.matching(condition, action, noise[0], time[0])

    def box(
        self, condition: Float[Array, "condition"], half_width: Scalar | None = None
    ) -> Box | None:
        """0 ± `half_width` (DSRL's noise_scale), or None."""
        del condition
        return centered_box(self.latent_size, half_width)

    def _forward(self, condition, x, time):
        """The Euler step that begins at this time."""
        return x + self.velocity(condition, x, time) / self.flow_steps

    def _inverse(self, condition, action):
        """All steps backwards: the noise, and log|det| of the steps forwards from it."""
        times = jnp.arange(self.flow_steps, dtype=jnp.float32) / self.flow_steps
        backward = partial(self._backward, condition)
        noise, log_dets = jax.lax.scan(backward, action, times, reverse=True)
        return noise, jnp.sum(log_dets)

    def _backward(self, condition, end, time):
        """Where the Euler step began that ends at `end`, by Newton's method; and its log|det|."""
        forward = partial(self._forward, condition, time=time)
        slope = jax.jacfwd(forward)

        def newton(_, x):
            step = jnp.linalg.solve(slope(x), forward(x) - end)
            return x - jnp.clip(step, -NEWTON_LIMIT, NEWTON_LIMIT)

        x = jax.lax.fori_loop(0, NEWTON_STEPS, newton, end)
        return x, jnp.linalg.slogdet(slope(x))[1]


def draw_matching(
    actions: Float[Array, "batch action"], *, key: PRNGKeyArray
) -> tuple[Float[Array, "batch action"], Float[Array, "batch"]]:
    """Noise and times of a batch's matching loss."""
    k_noise, k_time = jax.random.split(key)
    noise = jax.random.normal(k_noise, actions.shape)
    return noise, jax.random.uniform(k_time, actions.shape[:1])


def matching_loss(
    flow: FlowMatching,
    conditions: Float[Array, "batch condition"],
    actions: Float[Array, "batch action"],
    noise: Float[Array, "batch action"],
    time: Float[Array, "batch"],
    weight: Float[Array, "batch"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The matching loss over a batch, weighted where there are weights; with its metric."""
    losses = jax.vmap(flow.matching)(conditions, actions, noise, time)
    loss = jnp.mean(losses if weight is None else weight * losses)
    return loss, {"flow_loss": loss}
