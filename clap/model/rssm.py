"""The recurrent core of every world model here: one transition, three ways to run it.

    h_t = GRU(h_{t-1}, [s_{t-1}, a_{t-1}])          deterministic path
    s_t ~ p(s_t | h_t)                              prior, in dreams
    s_t ~ q(s_t | h_t, e(o_t))                      posterior, where there is an observation
    s_t ~ q(s_t | e(o_t))                           the same of Markov states

`observe` runs over a recorded window, `filter` over one new observation at a time, `imagine`
without observations; all three call `advance`.  Only what truly depends on the step before is
in the scan: embeddings, the action's part of the GRU's input and the prior of recorded windows
are computed over all time at once.  The posterior's first layer is a sum of a part of h_t and a
part of o_t; the latter is the last layer of the encoder and needs no h_t.

Markov states are inferred from the observation alone (of pixels, from a stack of the last frames),
and the policy sees nothing else of the past: h_t only predicts.  A policy that clones actions from
their own history takes the history for their cause, and fails where its own actions make the
history; observations that tell the whole state have no need of it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from clap.model.prior_ensemble import make_members, member_of
from clap.model.states import AbstractStates, Distribution, Latent
from shared.models.frame_encoder import stacked
from shared.models.networks import MLP, affine, selu


def over_time(function: Callable, *along: Any, rematerialise: bool) -> Any:
    """`jax.vmap`; or one step at a time, computed again in the gradient."""
    if not rematerialise:
        return jax.vmap(function)(*along)
    again = jax.checkpoint(lambda step: function(*step))
    return jax.lax.map(again, along)


class RSSM(eqx.Module):
    """Recurrent state-space model, for one sequence.

    Arguments:
        observation_size, action_size: of the data; the first is for the MLP alone.
        deterministic: length of h.
        states: what s is.
        hidden_sizes: of the encoder and the prior.
        posterior_size: width of the posterior's hidden layer; None = the last of `hidden_sizes`.
        markov: infer s from the observation alone.
        encoder: maps an observation to a vector of that width; an MLP if None.
        frame_stack: last frames that the encoder is shown, oldest first along the channels.  The
            first one of a window or an episode stands for those before it.
        prior_members: priors in an ensemble (`clap/model/prior_ensemble.py`); 1 = a plain prior.
    """

    markov: bool = eqx.field(static=True)
    prior_members: int = eqx.field(static=True)
    frame_stack: int = eqx.field(static=True)
    states: AbstractStates
    encoder: Callable
    from_action: eqx.nn.Linear
    from_stochastic: eqx.nn.Linear
    recurrent: eqx.nn.Linear
    posterior_hidden: eqx.nn.Linear | None
    posterior_output: eqx.nn.Linear
    prior_network: MLP

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        deterministic: int,
        states: AbstractStates,
        hidden_sizes: tuple[int, ...],
        *,
        posterior_size: int | None = None,
        markov: bool = False,
        encoder: Callable | None = None,
        frame_stack: int = 1,
        prior_members: int = 1,
        key: PRNGKeyArray,
    ):
        keys = iter(jax.random.split(key, 7))
        width = posterior_size or hidden_sizes[-1]
        linear, gates = eqx.nn.Linear, 3 * deterministic
        self.markov, self.states, self.prior_members = markov, states, prior_members
        self.frame_stack = frame_stack
        self.encoder = encoder or MLP(
            observation_size, width, hidden_sizes[:-1], activation=selu, key=next(keys)
        )
        self.from_action = linear(action_size, gates, key=next(keys))
        self.from_stochastic = linear(states.size, gates, use_bias=False, key=next(keys))
        self.recurrent = linear(deterministic, gates, key=next(keys))
        k_hidden = next(keys)
        self.posterior_hidden = (
            None if markov else linear(deterministic, width, use_bias=False, key=k_hidden)
        )
        self.posterior_output = linear(width, states.output_size, key=next(keys))
        prior = partial(MLP, deterministic, states.output_size, hidden_sizes, activation=selu)
        self.prior_network = make_members(prior, prior_members, key=next(keys))

    def initial(self) -> Latent:
        """The state before the first observation: nothing is known."""
        return Latent(jnp.zeros(self.recurrent.in_features), jnp.zeros(self.states.size))

    @property
    def visible_size(self) -> int:
        """Length of `visible`."""
        return self.states.size + (0 if self.markov else int(self.recurrent.in_features))

    def visible(self, latent: Latent) -> Float[Array, "*batch visible"]:
        """What the decoder, the latent actions, the policy and its values see: [h, s], or s."""
        return latent.stochastic if self.markov else latent.feature

    def split(self, feature: Float[Array, "*batch feature"]) -> Latent:
        """The state whose `feature` this is."""
        n = int(self.recurrent.in_features)
        return Latent(feature[..., :n], feature[..., n:])

    def advance(
        self, latent: Latent, action_input: Float[Array, "gates"]
    ) -> Float[Array, "deterministic"]:
        """h_t from the state before and `from_action(a_{t-1})`: a GRU cell."""
        inputs = affine(self.from_stochastic, latent.stochastic, hidden=True) + action_input
        return self.cell(latent.deterministic, inputs)

    def cell(
        self, deterministic: Float[Array, "deterministic"], inputs: Float[Array, "gates"]
    ) -> Float[Array, "deterministic"]:
        """The GRU cell, given its gates' part of s_{t-1} and a_{t-1}."""
        x, y = inputs, affine(self.recurrent, deterministic, hidden=True)
        (x_reset, x_update, x_new), (y_reset, y_update, y_new) = jnp.split(x, 3), jnp.split(y, 3)
        update = jax.nn.sigmoid(x_update + y_update)
        new = jnp.tanh(x_new + jax.nn.sigmoid(x_reset + y_reset) * y_new)
        return new + update * (deterministic - new)

    def prior(
        self, deterministic: Float[Array, "deterministic"], member: Int[Array, ""] | None = None
    ) -> Distribution:
        """p(s_t | h_t); of an ensemble that of one `member`, the first one if None."""
        network = self.prior_network
        if self.prior_members > 1:
            network = member_of(network, 0 if member is None else member)
        return self.states.distribution(network(deterministic))

    def priors(self, deterministic: Float[Array, "deterministic"]) -> Distribution:
        """Those of all members of an ensemble; leading axis = member."""
        if self.prior_members == 1:
            return jax.tree.map(lambda x: x[None], self.prior(deterministic))
        each = eqx.filter_vmap(lambda network: self.states.distribution(network(deterministic)))
        return each(self.prior_network)

    def posterior(
        self, deterministic: Float[Array, "deterministic"], embedding: Float[Array, "embedding"]
    ) -> Distribution:
        """q(s_t | h_t, o_t) for an embedded observation; of Markov states, q(s_t | o_t)."""
        if self.posterior_hidden is not None:
            embedding = embedding + affine(self.posterior_hidden, deterministic, hidden=True)
        return self.states.distribution(affine(self.posterior_output, selu(embedding), hidden=True))

    def observe(
        self,
        observation: Float[Array, "time *observation"],
        action: Float[Array, "time action"],
        noise: Float[Array, "time stochastic"],
        members: Int[Array, "time"] | None = None,
        *,
        rematerialise: bool = False,
    ) -> tuple[Latent, Distribution, Distribution]:
        """States, posteriors and priors along a window; leading axis = time.

        `action[t]` is taken at `observation[t]` and leads to the state at t + 1.  `noise` (of
        `states.noise`) draws the states, zero noise gives the likeliest ones; `members` names
        each step's prior, see `prior`.  With `rematerialise` the gradient computes the encoder's
        activations again, one step at a time, and keeps none of them.
        """
        if self.frame_stack > 1:
            observation = stacked(observation, self.frame_stack)
        embedding = over_time(self.encoder, observation, rematerialise=rematerialise)
        # Before the window nothing is known: no action, and the initial state.
        before = jnp.concatenate([jnp.zeros_like(action[:1]), action[:-1]])
        action_input = jax.vmap(partial(affine, self.from_action))(before)
        if self.markov:
            return self._observe_markov(embedding, action_input, noise, members)

        def step(latent, inputs):
            action_input, embedding, noise = inputs
            deterministic = self.advance(latent, action_input)
            posterior = self.posterior(deterministic, embedding)
            latent = Latent(deterministic, posterior.sample(noise))
            return latent, (latent, posterior)

        inputs = (action_input, embedding, noise)
        _, (latents, posteriors) = jax.lax.scan(step, self.initial(), inputs)
        return latents, posteriors, jax.vmap(self.prior)(latents.deterministic, members)

    def _observe_markov(self, embedding, action_input, noise, members):
        """The same where no posterior waits for h: the cell alone is in the scan."""
        start = self.initial()
        posteriors = jax.vmap(lambda e: self.posterior(start.deterministic, e))(embedding)
        stochastic = posteriors.sample(noise)
        before = jnp.concatenate([start.stochastic[None], stochastic[:-1]])
        inputs = jax.vmap(partial(affine, self.from_stochastic, hidden=True))(before) + action_input

        def step(deterministic, inputs):
            deterministic = self.cell(deterministic, inputs)
            return deterministic, deterministic

        _, deterministic = jax.lax.scan(step, start.deterministic, inputs)
        priors = jax.vmap(self.prior)(deterministic, members)
        return Latent(deterministic, stochastic), posteriors, priors

    def filter(
        self,
        latent: Latent,
        action: Float[Array, "action"],
        observation: Float[Array, "*observation"],
        noise: Float[Array, "stochastic"],
    ) -> Latent:
        """The state at a new observation (or stack), from that before and the action between."""
        deterministic = self.advance(latent, affine(self.from_action, action))
        posterior = self.posterior(deterministic, self.encoder(observation))
        return Latent(deterministic, posterior.sample(noise))

    def imagine(
        self,
        latent: Latent,
        choose: Callable[[Float[Array, "visible"], Any], tuple[Float[Array, "action"], Any]],
        inputs: Any,
        noise: Float[Array, "horizon stochastic"],
        members: Int[Array, "horizon"] | None = None,
    ) -> tuple[Latent, Any]:
        """A dream of `horizon` actions from one state.

        Arguments:
            latent: where it begins.
            choose: `(visible, input) -> (action, extras)`, the policy.
            inputs: what `choose` is given at every step, e.g. keys; leading axis = horizon.
            noise: of `states.noise`; draws the states from the prior.
            members: each step's prior, see `prior`.

        Returns:
            The states behind the actions (without the first one) and the policy's extras.
        """

        def step(latent, step_inputs):
            policy_input, noise, member = step_inputs
            action, extras = choose(self.visible(latent), policy_input)
            deterministic = self.advance(latent, affine(self.from_action, action))
            latent = Latent(deterministic, self.prior(deterministic, member).sample(noise))
            return latent, (latent, extras)

        _, (latents, extras) = jax.lax.scan(step, latent, (inputs, noise, members))
        return latents, extras
