"""What all algorithms with a recurrent world model share: its training, and acting with memory.

What is trained in the model's dreams, each algorithm's own file says.
"""

import abc
from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, UInt8

from clap.diagnostics import judge_model, look_at_agent
from clap.model.latent_actions import AbstractModelActions
from clap.model.rssm import RSSM
from clap.model.states import Latent, states_of
from clap.model.world_model import WorldModel, normalized
from clap.recorded import Recorded
from shared.algorithm import AbstractAlgorithm, Phase, Reusable, hyperparameter
from shared.models.convolution import pixel_pair
from shared.models.learner import clipped_adam, descend, initialise
from shared.ranges import Amount, Count, Positive, Share, Size, Sizes
from shared.types import Spec

MODEL_KEYS = (
    *("deterministic", "stochastic_kind", "stochastic", "classes", "state_from"),
    *("hidden_sizes", "posterior_size", "learned_std", "kl_balance", "free_nats"),
    *("model_batch_size", "model_learning_rate", "model_cosine_decay", "model_clip"),
    *("cnn_depth", "cnn_patch", "cnn_dtype", "frame_stack", "pixel_std"),
)
"""The hyperparameters that describe a world model."""


def reusable_model(*more: str) -> Reusable:
    """The world model with whatever describes it, `more` hyperparameters among that."""
    fields = ("normalizer", "world_model")
    return Reusable("model", "model_steps", fields, (*MODEL_KEYS, *more))


class LastFrames(NamedTuple):
    """The last frames of an episode, oldest first along the channels; has there been any?"""

    frames: UInt8[Array, "*batch height width colors"]
    begun: Bool[Array, "*batch"]

    def then(self, frame: UInt8[Array, "height width 3"]) -> "LastFrames":
        """With one more; the first one fills the stack."""
        later = jnp.concatenate([self.frames[..., frame.shape[-1] :], frame], axis=-1)
        first = jnp.tile(frame, (1, 1, self.frames.shape[-1] // frame.shape[-1]))
        return LastFrames(jnp.where(self.begun, later, first), jnp.ones((), bool))


class Memory(NamedTuple):
    """The recurrent carry of an episode: the state before, and the action taken there.

    `seen` is kept where the encoder is shown a stack of frames, else None.
    """

    latent: Latent
    action: Float[Array, "*batch action"]
    seen: LastFrames | None = None


class AbstractDreamer(AbstractAlgorithm):
    """An algorithm whose state has the fields `normalizer` and `world_model`.

    It trains the model, then in the frozen model what acts; how, the concrete class says.
    """

    observations = ("state", "pixels")
    of_rows, perceives = False, True

    deterministic: Size = hyperparameter("length of the deterministic state h")
    stochastic_kind: Literal["gaussian", "discrete"] = hyperparameter("what the state s is")
    stochastic: Size = hyperparameter("length of s; of a discrete one, the number of its variables")
    classes: Size = hyperparameter("classes of each variable of a discrete s")
    state_from: Literal["history", "observation"] = hyperparameter(
        "what s is inferred from; 'observation' where one tells the whole state"
    )
    hidden_sizes: Sizes = hyperparameter("hidden layers of every part of the model")
    posterior_size: Size | None = hyperparameter(
        "width of the posterior's hidden layer; null = the last of hidden_sizes"
    )
    window: Size = hyperparameter("observations in a training window")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which windows of good episodes are drawn more often; null = rows uniformly"
    )
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
    cnn_dtype: Literal["float32", "bfloat16"] = hyperparameter(
        "type of the CNN's activations; its parameters are float32"
    )
    frame_stack: Size = hyperparameter("last frames that the encoder sees at once; pixels alone")
    rematerialise: Literal["auto", "off", "on"] = hyperparameter(
        "compute the CNN's activations again in the gradient; auto = where memory is short"
    )
    pixel_std: Positive = hyperparameter("standard deviation of every decoded pixel value")
    steps: Count = hyperparameter("updates of what acts, in the frozen model")
    discount: Share = hyperparameter("discount of future rewards")
    validate_every: Count = hyperparameter("updates between two looks at held-out episodes")
    validation_windows: Size = hyperparameter("held-out windows looked at")

    def make_model(self, spec: Spec, *, prior_members: int = 1, key: PRNGKeyArray) -> WorldModel:
        """A fresh world model for data of this `spec`."""
        n_observation, n_action = spec.observation_size, spec.action_size
        h, sizes = self.deterministic, self.hidden_sizes
        states = states_of(self.stochastic_kind, self.stochastic, self.classes)
        markov = self.state_from == "observation"
        form = {"markov": markov, "posterior_size": self.posterior_size}
        form["prior_members"] = prior_members

        def make(*, key):
            k_core, k_actions, k_heads, k_pair = jax.random.split(key, 4)
            encoder, more = None, {}
            if spec.is_pixels:
                width = self.posterior_size or sizes[-1], states.size + (0 if markov else h)
                sizes_of_cnn = self.cnn_depth, self.cnn_patch
                look = {"stack": self.frame_stack, "dtype": self.cnn_dtype}
                encoder, decoder = pixel_pair(
                    spec.observation_shape, *width, *sizes_of_cnn, **look, key=k_pair
                )
                form["frame_stack"] = self.frame_stack
                more = {"decoder": decoder, "observation_std": self.pixel_std}
            core = RSSM(
                n_observation, n_action, h, states, sizes, **form, encoder=encoder, key=k_core
            )
            actions = self.make_actions(core.visible_size, n_action, key=k_actions)
            more |= {"learned_std": self.learned_std}
            return WorldModel(core, actions, n_observation, sizes, **more, key=k_heads)

        model = initialise(make, key=key)
        if model.actions.own_weights:
            actions = self.make_actions(model.rssm.visible_size, n_action, key=key)
            model = eqx.tree_at(lambda m: m.actions, model, actions)
        return model

    @abc.abstractmethod
    def make_actions(
        self, feature_size: int, action_size: int, *, key: PRNGKeyArray
    ) -> AbstractModelActions:
        """A fresh latent action space."""

    @property
    def model_optimizer(self) -> optax.GradientTransformation:
        """Adam behind a ceiling of the gradient's norm."""
        steps = self.model_steps if self.model_cosine_decay else None
        return clipped_adam(self.model_clip, self.model_learning_rate, steps)

    @property
    def elbo_options(self) -> dict[str, Any]:
        """Of `WorldModel.elbo_terms`."""
        again = self.rematerialise == "on"
        return {"balance": self.kl_balance, "free_nats": self.free_nats, "rematerialise": again}

    def model_phase(self, **more: Any) -> Phase:
        """The training of the world model; `more` of the fields of `Phase`."""
        return Phase(
            "model",
            self.model_steps,
            self.draw_model,
            self.update_model,
            refresh=self.look_at_model,
            refresh_every=self.validate_every,
            **more,
        )

    def agent_phase(self, **more: Any) -> Phase:
        """The training of what acts, in the frozen model; `more` as above."""
        return Phase(
            "agent",
            self.steps,
            self.draw_agent,
            self.update_agent,
            refresh=self.look_at_agent,
            refresh_every=self.validate_every,
            **more,
        )

    def draw_model(self, dataset, *, key):
        """Windows of the training episodes, good ones the more often with `return_weighting`."""
        dataset = dataset.weighted(self.return_weighting)
        return dataset.draw_training_windows(self.model_batch_size, self.window, key=key)

    def begin_actions(self, state, dataset, *, key):
        """The latent action space as training begins: it may want to see a first batch."""
        k_draw, k_states, k_begin = jax.random.split(key, 3)
        batch = normalized(state.normalizer, self.draw_model(dataset, key=k_draw))
        model, action = state.world_model.model, batch.window.action
        features = model.rssm.visible(model.states(batch, key=k_states))
        actions = model.actions.begin(features, action, batch.acted, key=k_begin)
        learner = eqx.tree_at(lambda x: x.model.actions, state.world_model, actions)
        return state._replace(world_model=learner)

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
    def draw_agent(self, dataset, *, key) -> Recorded:
        """What one update of the agent sees."""

    @abc.abstractmethod
    def update_agent(self, state, batch, *, key):
        """One update of what acts: `(state, metrics)`."""

    @abc.abstractmethod
    def value(self, state, feature: Float[Array, "visible"]) -> Float[Array, ""]:
        """What the agent believes that a state of the model is worth, in units of reward."""

    @abc.abstractmethod
    def dream_ends(self, state, starts: Latent, *, key: PRNGKeyArray) -> Latent:
        """The last states of the policy's dreams from these."""

    @property
    def sees_states(self) -> bool:
        """Is the agent shown states of the model that were inferred once, not observations?"""
        return False

    @property
    def acts_on_samples(self) -> bool:
        """Does the sampled policy draw the state, too, or its action alone?"""
        return True

    def look_at_agent(self, state, dataset, *, key):
        """What the agent believes, and where its dreams end."""
        return state, look_at_agent(
            state,
            dataset,
            value=partial(self.value, state),
            draw=lambda dataset, *, key: self.draw_agent(dataset, key=key).windows,
            ends=partial(self.dream_ends, state),
            episodes=self.validation_windows,
            discount=self.discount,
            remembered=self.sees_states,
            key=key,
        )

    def initial_memory(self, state):
        core, seen = state.world_model.model.rssm, None
        if core.frame_stack > 1:
            seen = LastFrames(jnp.zeros(core.encoder.shape, jnp.uint8), jnp.zeros((), bool))
        return Memory(core.initial(), jnp.zeros(core.from_action.in_features), seen)

    def act(self, state, memory, observation, *, key):
        k_state, k_policy = (None, None) if key is None else jax.random.split(key)
        feature, memory = self.perceive(state, memory, observation, key=k_state)
        action = self.choose(state, feature, key=k_policy)
        return action, self.took(memory, action)

    def perceive(self, state, memory, observation, *, key):
        core, noise = state.world_model.model.rssm, jnp.zeros_like(memory.latent.stochastic)
        if key is not None:
            noise = core.states.noise(key=key) if self.acts_on_samples else noise
        memory = self.filtered(state, memory, observation, noise)
        return core.visible(memory.latent), memory

    def took(self, memory, action):
        return memory._replace(action=action)

    def filtered(self, state, memory, observation, noise) -> Memory:
        """The memory with the state at a new observation; zero noise gives the likeliest one."""
        if memory.seen is not None:
            memory = memory._replace(seen=memory.seen.then(observation))
            observation = memory.seen.frames
        core, s = state.world_model.model.rssm, state.normalizer(observation)
        return memory._replace(latent=core.filter(memory.latent, memory.action, s, noise))

    def recall(self, state, episodes):
        model = state.world_model.model
        return model.rssm.visible(model.states(normalized(state.normalizer, episodes), key=None))

    @abc.abstractmethod
    def choose(self, state, feature, *, key):
        """The policy's action in a state of the model; its mode without a key."""
