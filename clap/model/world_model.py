"""The recurrent latent-action state-space model and its evidence lower bound.

The loss of one window (equations 4 and 5), summed over its time steps and
divided by their number, i.e. in nats a step:

    observation_nll     -log p(o_t | h_t, s_t)
    reward_nll          -log p(r_{t-1} | h_t, s_t)
    continue_nll        -log p(not terminal_{t-1} | h_t, s_t)
    state_kl            KL(q(s_t | h_t, o_t) ‖ p(s_t | h_t))
    action_nll          -log p(a_t | h_t, s_t, u_t)
    latent_action_kl    KL(q(u_t | h_t, s_t, a_t) ‖ p(u_t | h_t, s_t))

Reward and end of the episode are read off the state that the action led to.
Other latent actions have other terms in the place of the last two; with none (`DirectActions`)
this is a plain recurrent state-space model.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from clap.model.latent_actions import AbstractModelActions
from clap.model.prior_ensemble import draw_members
from clap.model.rssm import RSSM, Latent, over_time
from clap.model.states import log_normal, regularizer
from shared.datasets.windows import EpisodeWindow
from shared.models.learner import Metrics
from shared.models.networks import MLP, Normalizer, selu

LOG_STD_RANGE = (-4.0, 1.0)
"""Of the learned standard deviations of observations and rewards."""


class Noise(NamedTuple):
    """Noise of one window: that of `AbstractStates`, and standard normal; leading axis = time."""

    state: Float[Array, "*batch time stochastic"]
    action: Float[Array, "*batch time noise"]


class WorldModel(eqx.Module):
    """Core, action heads, and the decoders of observation, reward and continuation.

    Arguments:
        rssm: the recurrent core.
        actions: the latent action space.
        observation_size: length of a (normalised) observation vector.
        hidden_sizes: of the three decoders.
        learned_std: learn one standard deviation for every observation dimension and
            for the reward; otherwise they are 1.
        decoder: maps [h, s] to the mean of an observation; an MLP if None.
        observation_std: fixed standard deviation of every number of an observation;
            None leaves it to `learned_std`.
    """

    rssm: RSSM
    actions: AbstractModelActions
    observation_decoder: Callable
    reward_head: MLP
    continue_head: MLP
    log_std: Float[Array, "outputs"]
    learned_std: bool = eqx.field(static=True)
    observation_std: float | None = eqx.field(static=True)

    def __init__(
        self,
        rssm: RSSM,
        actions: AbstractModelActions,
        observation_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        learned_std: bool,
        decoder: Callable | None = None,
        observation_std: float | None = None,
        key: PRNGKeyArray,
    ):
        self.rssm, self.actions = rssm, actions
        visible, everything = rssm.visible_size, rssm.initial().feature.size

        def head(n_in, n_out, key):
            return MLP(n_in, n_out, hidden_sizes, activation=selu, key=key)

        k_observation, k_reward, k_continue = jax.random.split(key, 3)
        self.observation_decoder = decoder or head(visible, observation_size, k_observation)
        self.reward_head = head(everything, 1, k_reward)
        self.continue_head = head(everything, 1, k_continue)
        self.log_std = jnp.zeros(1 if observation_std else observation_size + 1)
        self.learned_std, self.observation_std = learned_std, observation_std

    def log_stds(self) -> tuple[Float[Array, "observation"], Float[Array, "1"]]:
        """Log standard deviations of the observation and of the reward."""
        log_std = self.log_std if self.learned_std else jnp.zeros_like(self.log_std)
        log_std = jnp.clip(log_std, *LOG_STD_RANGE)
        if self.observation_std:
            return jnp.full(1, math.log(self.observation_std)), log_std
        return log_std[:-1], log_std[-1:]

    def reward(self, feature: Float[Array, "feature"]) -> Float[Array, ""]:
        """Mean reward of the action that led here."""
        return self.reward_head(feature)[0]

    def continuation(self, feature: Float[Array, "feature"]) -> Float[Array, ""]:
        """Probability that the episode goes on from here."""
        return jax.nn.sigmoid(self.continue_head(feature)[0])

    def decoder_terms(
        self,
        latent: Latent,
        observation: Float[Array, "*observation"],
        reward: Float[Array, ""],
        goes_on: Float[Array, ""],
    ) -> dict[str, Float[Array, ""]]:
        """Negative log-likelihoods of what is seen at one state."""
        std_observation, std_reward = self.log_stds()
        feature, logit = latent.feature, self.continue_head(latent.feature)[0]
        seen = self.observation_decoder(self.rssm.visible(latent))
        return {
            "observation_nll": -log_normal(
                jnp.ravel(observation), jnp.ravel(seen), std_observation
            ),
            "reward_nll": -log_normal(reward[None], self.reward_head(feature), std_reward),
            "continue_nll": jax.nn.softplus(logit) - goes_on * logit,
        }

    def elbo_terms(
        self,
        data: EpisodeWindow,
        noise: Noise,
        members: Int[Array, "time"] | None = None,
        *,
        balance: float | None,
        free_nats: float,
        rematerialise: bool = False,
    ) -> tuple[dict[str, Float[Array, "time"]], Float[Array, "time"]]:
        """Every term at every step of one window (padding zeroed), and the loss of each step.

        `members` of an ensemble of priors are those that each step's divergence is taken from.
        With `rematerialise` the gradient keeps nothing of encoder and decoders, see `over_time`.
        """
        window, observed, acted = data
        again = {"rematerialise": rematerialise}
        latents, posterior, prior = self.rssm.observe(
            window.observation, window.action, noise.state, members, **again
        )
        # What the action before led to; a window's first state has no such action.
        reward = jnp.concatenate([jnp.zeros(1), window.reward[:-1]])
        goes_on = jnp.concatenate([jnp.ones(1), jnp.where(window.terminal[:-1], 0.0, 1.0)])
        arrived = observed & jnp.concatenate([jnp.zeros(1, bool), acted[:-1]])

        seen = latents, window.observation, reward, goes_on
        decoded = over_time(self.decoder_terms, *seen, **again)
        acts = jax.vmap(self.actions.terms)(self.rssm.visible(latents), window.action, noise.action)
        masks = {"observation_nll": observed, "reward_nll": arrived, "continue_nll": arrived}
        terms = {name: jnp.where(masks[name], decoded[name], 0.0) for name in decoded}
        terms["state_kl"] = jnp.where(observed, posterior.kl_divergence(prior), 0.0)
        terms |= {name: jnp.where(acted, value, 0.0) for name, (value, _) in acts.items()}
        state_loss = regularizer(posterior, prior, balance=balance, free_nats=free_nats)
        loss = jnp.where(observed, state_loss, 0.0) + sum(terms[name] for name in masks)
        for _, value in acts.values():
            loss = loss + jnp.where(acted, value, 0.0)
        return terms, loss

    def noise(self, batch_size: int, length: int, *, key: PRNGKeyArray) -> Noise:
        """Fresh noise for a batch of windows."""
        k_state, k_action = jax.random.split(key)
        shape = (batch_size, length)
        return Noise(
            self.rssm.states.noise(*shape, key=k_state),
            jax.random.normal(k_action, (*shape, self.actions.noise_size)),
        )

    def loss(
        self, batch: EpisodeWindow, *, key: PRNGKeyArray, **options
    ) -> tuple[Float[Array, ""], Metrics]:
        """The negative ELBO in nats a step, and each of its terms; `options` as `elbo_terms`.

        Of an ensemble of priors one is drawn a time step, for all windows.
        """
        noise = self.noise(*batch.observed.shape, key=key)
        k_members, length = jax.random.fold_in(key, 1), batch.observed.shape[1]
        members = draw_members(self.rssm.prior_members, length, key=k_members)
        terms, loss = jax.vmap(lambda b, n: self.elbo_terms(b, n, members, **options))(batch, noise)
        count = jnp.sum(batch.observed, dtype=jnp.float32)
        loss = jnp.sum(loss) / count
        return loss, {name: jnp.sum(value) / count for name, value in terms.items()} | {
            "model_loss": loss
        }

    def states(self, batch: EpisodeWindow, *, key: PRNGKeyArray | None) -> Latent:
        """Posterior states of a batch of windows, the likeliest without a key; (batch, time)."""
        shape = batch.observed.shape
        if key is None:
            noise = jnp.zeros((*shape, self.rssm.states.size))
        else:
            noise = self.noise(*shape, key=key).state

        def observe(window, noise):
            return self.rssm.observe(window.observation, window.action, noise)[0]

        return jax.vmap(observe)(batch.window, noise)


def normalized(normalizer: Normalizer, batch: EpisodeWindow) -> EpisodeWindow:
    """The batch of windows with standardised observations."""
    observation = jax.vmap(jax.vmap(normalizer))(batch.window.observation)
    return batch._replace(window=batch.window._replace(observation=observation))
