"""What all algorithms with a recurrent world model share: its training, and acting with memory."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from clap.diagnostics import judge_model
from clap.initialise import initialise
from clap.latent_actions import DirectActions, GaussianLatentActions
from clap.rssm import RSSM, Latent
from clap.world_model import WorldModel
from shared.algorithm import AbstractAlgorithm, Phase, Reusable, hyperparameter
from shared.data.windows import EpisodeWindow
from shared.learner import descend
from shared.networks import Normalizer
from shared.types import Scalar, Spec


class Memory(NamedTuple):
    """The recurrent carry of an episode: the state before, and the action taken there."""

    latent: Latent
    action: Float[Array, "*batch action"]


class AbstractDreamer(AbstractAlgorithm):
    """An algorithm whose state has the fields `normalizer` and `world_model`.

    It trains the model in a phase of its own; the rest is up to the concrete class.
    """

    reusable = Reusable(
        phase="model",
        steps="model_steps",
        fields=("normalizer", "world_model"),
        keys=(
            *("deterministic", "stochastic", "latent_action", "hidden_sizes", "latent_actions"),
            *("learned_std", "action_std", "kl_balance", "free_nats", "latent_action_free_nats"),
            *("model_batch_size", "model_learning_rate", "model_clip"),
        ),
    )

    deterministic: int = hyperparameter("length of the deterministic state h")
    stochastic: int = hyperparameter("length of the stochastic state s")
    latent_action: int = hyperparameter("length of the latent action u")
    hidden_sizes: tuple[int, ...] = hyperparameter("hidden layers of every part of the model")
    window: int = hyperparameter("observations in a training window")
    model_steps: int = hyperparameter("updates of the world model")
    model_batch_size: int = hyperparameter("windows a model update")
    model_learning_rate: float = hyperparameter("Adam step size of the model")
    model_clip: float = hyperparameter("ceiling of the model's gradient norm")
    learned_std: bool = hyperparameter("learn the spread of observations and rewards; false = 1")
    action_std: float = hyperparameter("standard deviation of the action decoder")
    kl_balance: float | None = hyperparameter("share of the KLs' gradient to the prior; null = off")
    free_nats: float = hyperparameter("nats of the state's KL that are free")
    latent_action_free_nats: float = hyperparameter("nats of the latent action's KL that are free")
    latent_actions: Literal["gaussian", "none"] = hyperparameter("latent action space")
    validate_every: int = hyperparameter("updates between two looks at held-out episodes")
    validation_windows: int = hyperparameter("held-out windows looked at")

    def make_model(self, spec: Spec, *, key: PRNGKeyArray) -> WorldModel:
        """A fresh world model for data of this `spec`."""
        n_observation, n_action = spec.observation_size, spec.action_size
        h, s, sizes = self.deterministic, self.stochastic, self.hidden_sizes

        def make(*, key):
            k_core, k_actions, k_heads = jax.random.split(key, 3)
            core = RSSM(n_observation, n_action, h, s, sizes, key=k_core)
            if self.latent_actions == "none":
                actions = DirectActions(n_action)
            else:
                spread = {"action_std": self.action_std}
                actions = GaussianLatentActions(
                    h + s, n_action, self.latent_action, sizes, **spread, key=k_actions
                )
            spread = {"learned_std": self.learned_std}
            return WorldModel(core, actions, n_observation, sizes, **spread, key=k_heads)

        return initialise(make, key=key)

    @property
    def model_optimizer(self) -> optax.GradientTransformation:
        """Adam behind a ceiling of the gradient's norm."""
        return clipped_adam(self.model_clip, self.model_learning_rate)

    @property
    def elbo_options(self) -> dict[str, Any]:
        """Of `WorldModel.elbo_terms`."""
        return {
            "balance": self.kl_balance,
            "free_nats": self.free_nats,
            "action_free_nats": self.latent_action_free_nats,
        }

    def model_phase(self, *, evaluates: bool) -> Phase:
        """The training of the world model."""
        return Phase(
            "model",
            self.model_steps,
            self.draw_model,
            self.update_model,
            refresh=self.look_at_model,
            refresh_every=self.validate_every,
            evaluates=evaluates,
        )

    def draw_model(self, dataset, *, key):
        """Windows of the training episodes."""
        return dataset.draw_training_windows(self.model_batch_size, self.window, key=key)

    def update_model(self, state, batch, *, key):
        """One step up the evidence lower bound."""
        batch = normalized(state.normalizer, batch)
        learner, metrics = descend(
            state.world_model,
            self.model_optimizer,
            lambda model: model.loss(batch, key=key, **self.elbo_options),
        )
        return state._replace(world_model=learner), metrics

    def look_at_model(self, state, dataset, *, key):
        """The model on held-out episodes."""
        k_draw, k_judge = jax.random.split(key)
        batch = dataset.draw_validation_windows(self.validation_windows, self.window, key=k_draw)
        model, batch = state.world_model.model, normalized(state.normalizer, batch)
        return state, judge_model(model, batch, key=k_judge, **self.elbo_options)

    def initial_memory(self, state):
        model = state.world_model.model
        return Memory(model.rssm.initial(), jnp.zeros(model.rssm.from_action.in_features))

    def act(self, state, memory, observation, *, key):
        k_policy = None
        noise = jnp.zeros_like(memory.latent.stochastic)
        if key is not None:
            k_state, k_policy = jax.random.split(key)
            noise = jax.random.normal(k_state, noise.shape)
        s = state.normalizer(observation)
        core = state.world_model.model.rssm
        latent = core.filter(memory.latent, memory.action, s, noise)
        action = self.choose(state, latent.feature, key=k_policy)
        return action, Memory(latent, action)

    def choose(self, state, feature, *, key):
        """The policy's action in a state of the model; its mode without a key."""
        raise NotImplementedError


def clipped_adam(clip: Scalar, learning_rate: Scalar) -> optax.GradientTransformation:
    """Adam on gradients whose global norm is at most `clip`."""
    return optax.chain(optax.clip_by_global_norm(clip), optax.adam(learning_rate))


def normalized(normalizer: Normalizer, batch: EpisodeWindow) -> EpisodeWindow:
    """The batch of windows with standardised observations."""
    observation = jax.vmap(jax.vmap(normalizer))(batch.window.observation)
    return batch._replace(window=batch.window._replace(observation=observation))
