"""What all algorithms with a recurrent world model share: its training, and acting with memory."""

import abc
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from clap.convolution import PixelDecoder, PixelEncoder
from clap.diagnostics import judge_model
from clap.initialise import initialise
from clap.latent_actions import AbstractModelActions, DirectActions
from clap.optimizers import clipped_adam
from clap.rssm import RSSM, Latent
from clap.states import AbstractStates, DiscreteStates, GaussianStates
from clap.world_model import WorldModel
from shared.algorithm import AbstractAlgorithm, Phase, Reusable, hyperparameter
from shared.datasets.windows import EpisodeWindow
from shared.models.learner import descend
from shared.models.networks import Normalizer
from shared.ranges import Amount, Count, Positive, Share, Size, Sizes
from shared.types import Spec

PLAIN = Reusable(
    phase="model",
    steps="model_steps",
    fields=("normalizer", "world_model"),
    keys=(
        *("deterministic", "stochastic_kind", "stochastic", "classes", "state_from"),
        *("hidden_sizes", "learned_std", "kl_balance", "free_nats"),
        *("model_batch_size", "model_learning_rate", "model_cosine_decay", "model_clip"),
        *("cnn_depth", "cnn_patch", "pixel_std"),
    ),
)
"""The world model, and what describes it; an `ENSEMBLE` has several priors."""
ENSEMBLE = PLAIN._replace(keys=(*PLAIN.keys, "prior_members"))


class Memory(NamedTuple):
    """The recurrent carry of an episode: the state before, and the action taken there."""

    latent: Latent
    action: Float[Array, "*batch action"]


class AbstractDreamer(AbstractAlgorithm):
    """An algorithm whose state has the fields `normalizer` and `world_model`.

    It trains the model, then in the frozen model what acts; how, the concrete class says.
    The model is a plain recurrent state-space model; `clap/latent_dreamer.py` gives it
    latent actions.
    """

    observations = ("state", "pixels")
    reusable = PLAIN

    deterministic: Size = hyperparameter("length of the deterministic state h")
    stochastic_kind: Literal["gaussian", "discrete"] = hyperparameter("what the state s is")
    stochastic: Size = hyperparameter("length of s; of a discrete one, the number of its variables")
    classes: Size = hyperparameter("classes of each variable of a discrete s")
    state_from: Literal["history", "observation"] = hyperparameter(
        "what s is inferred from; 'observation' where one tells the whole state"
    )
    hidden_sizes: Sizes = hyperparameter("hidden layers of every part of the model")
    window: Size = hyperparameter("observations in a training window")
    model_steps: Count = hyperparameter("updates of the world model")
    model_batch_size: Size = hyperparameter("windows a model update")
    model_learning_rate: Positive = hyperparameter("Adam step size of the model")
    model_cosine_decay: bool = hyperparameter("the model's step size falls to 0 along a cosine")
    model_clip: Positive = hyperparameter("ceiling of the model's gradient norm")
    learned_std: bool = hyperparameter("learn the spread of observations and rewards; false = 1")
    kl_balance: Share | None = hyperparameter(
        "share of the state's KL's gradient to its prior; null = off"
    )
    free_nats: Amount = hyperparameter("nats of the state's KL that are free")
    cnn_depth: Size = hyperparameter("channels of the first convolution; pixels alone")
    cnn_patch: Size = hyperparameter("pixels a side of the patches before it; 1 = none")
    pixel_std: Positive = hyperparameter("standard deviation of every decoded pixel value")
    steps: Count = hyperparameter("updates of what acts, in the frozen model")
    validate_every: Count = hyperparameter("updates between two looks at held-out episodes")
    validation_windows: Size = hyperparameter("held-out windows looked at")

    def make_model(self, spec: Spec, *, prior_members: int = 1, key: PRNGKeyArray) -> WorldModel:
        """A fresh world model for data of this `spec`."""
        n_observation, n_action = spec.observation_size, spec.action_size
        h, states, sizes = self.deterministic, self.states, self.hidden_sizes
        markov = self.state_from == "observation"

        def make(*, key):
            k_core, k_actions, k_heads, k_pair = jax.random.split(key, 4)
            encoder, more = None, {}
            if spec.is_pixels:
                visible = states.size + (0 if markov else h)
                encoder, decoder = self.make_pair(spec, visible, key=k_pair)
                more = {"decoder": decoder, "observation_std": self.pixel_std}
            form = {"markov": markov, "encoder": encoder, "prior_members": prior_members}
            core = RSSM(n_observation, n_action, h, states, sizes, **form, key=k_core)
            actions = self.make_actions(core.visible_size, n_action, key=k_actions)
            more |= {"learned_std": self.learned_std}
            return WorldModel(core, actions, n_observation, sizes, **more, key=k_heads)

        return initialise(make, key=key)

    @property
    def states(self) -> AbstractStates:
        """What the stochastic state is."""
        if self.stochastic_kind == "discrete":
            return DiscreteStates(self.stochastic, self.classes)
        return GaussianStates(self.stochastic)

    def make_actions(
        self, feature_size: int, action_size: int, *, key: PRNGKeyArray
    ) -> AbstractModelActions:
        """The latent action space; here none, actions are what they are."""
        del feature_size, key
        return DirectActions(action_size)

    def make_pair(
        self, spec: Spec, visible_size: int, *, key: PRNGKeyArray
    ) -> tuple[PixelEncoder, PixelDecoder]:
        """Encoder and decoder of pictures."""
        k_encoder, k_decoder = jax.random.split(key)
        shape, form = spec.observation_shape, {"depth": self.cnn_depth, "patch": self.cnn_patch}
        encoder = PixelEncoder(shape, self.hidden_sizes[-1], **form, key=k_encoder)
        return encoder, PixelDecoder(visible_size, shape, **form, key=k_decoder)

    @property
    def model_optimizer(self) -> optax.GradientTransformation:
        """Adam behind a ceiling of the gradient's norm."""
        steps = self.model_steps if self.model_cosine_decay else None
        return clipped_adam(self.model_clip, self.model_learning_rate, steps)

    @property
    def elbo_options(self) -> dict[str, Any]:
        """Of `WorldModel.elbo_terms`."""
        return {"balance": self.kl_balance, "free_nats": self.free_nats, "action_free_nats": 0.0}

    def phases(self):
        return (self.model_phase(evaluates=False), self.agent_phase())

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

    def agent_phase(self, **more: Any) -> Phase:
        """The training of what acts, in the frozen model; `more` of the fields of `Phase`."""
        return Phase(
            "agent",
            self.steps,
            self.draw_agent,
            self.update_agent,
            refresh=self.look_at_values,
            refresh_every=self.validate_every,
            **more,
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

    @abc.abstractmethod
    def draw_agent(self, dataset, *, key):
        """What one update of the agent sees."""

    @abc.abstractmethod
    def update_agent(self, state, batch, *, key):
        """One update of what acts: `(state, metrics)`."""

    @abc.abstractmethod
    def look_at_values(self, state, dataset, *, key):
        """What the agent believes, and where its dreams end: `(state, metrics)`."""

    def initial_memory(self, state):
        model = state.world_model.model
        return Memory(model.rssm.initial(), jnp.zeros(model.rssm.from_action.in_features))

    def act(self, state, memory, observation, *, key):
        core, k_policy = state.world_model.model.rssm, None
        noise = jnp.zeros_like(memory.latent.stochastic)
        if key is not None:
            k_state, k_policy = jax.random.split(key)
            noise = core.states.noise(key=k_state)
        s = state.normalizer(observation)
        latent = core.filter(memory.latent, memory.action, s, noise)
        action = self.choose(state, core.visible(latent), key=k_policy)
        return action, Memory(latent, action)

    @abc.abstractmethod
    def choose(self, state, feature, *, key):
        """The policy's action in a state of the model; its mode without a key."""


def normalized(normalizer: Normalizer, batch: EpisodeWindow) -> EpisodeWindow:
    """The batch of windows with standardised observations."""
    observation = jax.vmap(jax.vmap(normalizer))(batch.window.observation)
    return batch._replace(window=batch.window._replace(observation=observation))
