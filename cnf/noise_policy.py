"""What a policy in the noise of a decoder is made of, and how it acts; its losses are the paper's.

    act     w = mode or sample of pi(·|s) inside 0 ± (noise_scale + widening),  a = decode'(s, w)
            a <- clip(a + edit, ±1)   where there is an editor (cnf/editor.py)

pi = `actor`, decode' = `target_decoder`.  `cnf/algorithms/dsrl.py` says how each part learns.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.editor import Editor
from cnf.noise_decoder import REUSABLE, ask_decoder, check_decoder, make_decoder
from cnf.out_of_the_box import check_widening
from cnf.rewards import reward_scale
from shared.algorithm import AbstractAlgorithm, hyperparameter
from shared.models.latent_actions import AbstractLatentActionSpace
from shared.models.learner import Learner
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy
from shared.ranges import Amount, Count, Positive, Rate, Real, Share, Size, Sizes
from shared.types import is_zero


class State(NamedTuple):
    """Everything that a policy in the noise remembers."""

    normalizer: Normalizer
    decoder: Learner
    target_decoder: AbstractLatentActionSpace
    actor: Learner
    critic: Learner
    target_critic: Critics
    latent_critic: Learner
    log_alpha: Learner
    reward_scale: Float[Array, ""] | None
    editor: Editor | None
    widening: Float[Array, ""] | None


class AbstractNoisePolicy(AbstractAlgorithm):
    """Decoder, actor, critics and what fine-tuning adds; fields are the hyperparameters."""

    decoder: str | None = hyperparameter(
        "file (.onnx, .stablehlo) of a frozen policy that decodes; null = one trained on the data"
    )
    decoder_range: tuple[Real, ...] | None = hyperparameter(
        "lowest and highest answer of that file, a pair a motor; null = what it declares, or -1, 1"
    )
    decoder_steps: Count = hyperparameter("updates of the decoder alone, before the policy's")
    decoder_beside: bool = hyperparameter("train the decoder in the policy's updates, too")
    decoder_batch_size: Size = hyperparameter("rows an update of the decoder alone")
    flow_hidden_sizes: Sizes = hyperparameter("hidden layers of the velocity field")
    flow_steps: Size = hyperparameter("Euler steps from noise to action")
    steps: Count = hyperparameter("updates of the policy")
    batch_size: Size = hyperparameter("rows a policy update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    noise_scale: Positive = hyperparameter("half width of the policy's box in the noise")
    edit_scale: Amount = hyperparameter("half width of an edit of the decoded action; 0 = none")
    online_decoder: bool = hyperparameter(
        "online, the decoder learns from actions that are worth more than its own"
    )
    online_widening: Amount = hyperparameter(
        "online, growth of the box's half width an update while the critics agree at its edge; "
        "0 = none"
    )
    widest_box: Positive = hyperparameter("half width at which the growing box ends")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    critics: Size = hyperparameter("members of the critics' ensemble")
    critic_layer_norm: bool = hyperparameter("layer normalisation in the critics")
    pessimism: Amount = hyperparameter("rho: standard deviations of the target below its mean")
    decoder_learning_rate: Positive = hyperparameter("Adam step size of the decoder")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor and of log alpha")
    critic_learning_rate: Positive = hyperparameter("Adam step size of all critics")
    actor_average: Share = hyperparameter(
        "rate of the average of the actor that acts and is saved; 0 = the last actor"
    )
    chunk: Size = hyperparameter("actions chosen at a time and played one after another")
    n_step: Size = hyperparameter("chunks whose rewards are summed before the next value")
    replan: Size | None = hyperparameter("actions of a chunk that are played; null = all")
    discount: Share = hyperparameter("discount of future rewards")
    return_span: Positive | None = hyperparameter(
        "best minus worst episode return after scaling the rewards; null = raw rewards"
    )
    tau: Rate = hyperparameter("Polyak rate of the slow copies")
    reward_shift: Real = hyperparameter("added to every reward after scaling (-1 on mazes)")
    normalize_observations: bool = hyperparameter("standardise observations")

    @property
    def reusable(self):
        """The decoder, if it is trained on the data."""
        return REUSABLE if self.decoder is None else None

    def __check_init__(self):
        check_decoder(self)
        check_widening(self)

    def remarks(self, data):
        """None; a decoder that is given is asked about some rows of the data."""
        ask_decoder(self, data)
        return ()

    def init(self, spec, *, key):
        k_decoder, k_actor, k_critic, k_latent = jax.random.split(key, 4)
        sizes = spec.observation_size, spec.action_size
        normalizer = Normalizer.of(spec, active=self.normalize_observations)
        decoder = make_decoder(self, spec, normalizer, key=k_decoder)
        actor = BoundedLatentPolicy(
            sizes[0], decoder.latent_size, self.actor_hidden_sizes, key=k_actor
        )
        layers = {"layer_norm": self.critic_layer_norm, "activation": jax.nn.gelu}
        critic = Critics(
            *sizes, self.critic_hidden_sizes, size=self.critics, key=k_critic, **layers
        )
        latent_sizes = sizes[0], decoder.latent_size
        latent_critic = Critics(
            *latent_sizes, self.critic_hidden_sizes, size=1, key=k_latent, **layers
        )
        return State(
            normalizer,
            Learner.create(decoder, self.decoder_optimizer),
            decoder,
            Learner.create(actor, self.actor_optimizer, average=self.actor_average),
            Learner.create(critic, self.critic_optimizer),
            critic,
            Learner.create(latent_critic, self.critic_optimizer),
            Learner.create(jnp.zeros(()), self.actor_optimizer),
            reward_scale(spec, self.return_span),
            self.make_editor(*sizes, key=jax.random.fold_in(key, 1)),
            None if is_zero(self.online_widening) else jnp.zeros(()),
        )

    def make_editor(self, *sizes, key) -> Editor | None:
        """One for observations and actions of these sizes, or none."""
        if is_zero(self.edit_scale):
            return None
        return Editor.create(*sizes, self.actor_hidden_sizes, self.actor_optimizer, key=key)

    @property
    def decoder_optimizer(self):
        return optax.adam(self.decoder_learning_rate)

    @property
    def actor_optimizer(self):
        return optax.adam(self.actor_learning_rate)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def made(self, state, s, w, key):
        """The action that noise becomes: decoded, and edited where there is an editor.

        The edit is its mode without a key, else from a key of its own.
        """
        action = state.target_decoder.decode(s, w)
        if state.editor is None:
            return action
        key = None if key is None else jax.random.fold_in(key, 1)
        return state.editor.edited(s, action, self.edit_scale, key=key)

    def box_width(self):
        return self.noise_scale

    def latent_size(self, state):
        return state.target_decoder.latent_size

    def decode(self, state, memory, observation, latent):
        return state.target_decoder.decode(state.normalizer(observation), latent), memory

    def act(self, state, memory, observation, *, key):
        s, decoder, actor = state.normalizer(observation), state.target_decoder, state.actor.steady
        box = self.box(decoder, s, state.widening)
        w = actor.mode(s, box) if key is None else actor.sample(s, box, key=key)
        return self.made(state, s, w, key), memory

    def box(self, decoder, s, widening=None):
        """Where the policy may place its noise; `widening` is what the box has grown by."""
        width = self.noise_scale if widening is None else self.noise_scale + widening
        return decoder.box(s, width)

    def half_width(self, state):
        """Of the box as wide as it is now."""
        return self.noise_scale if state.widening is None else self.noise_scale + state.widening
