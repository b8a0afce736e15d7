"""PLAS: a policy in the latent action space of a conditional VAE.

"PLAS: Latent Action Space for Offline Reinforcement Learning" (Zhou et al., 2020),
Algorithm 1.

    pretraining   min  |a - D(s, z)|^2 + KL(q(z|s, a) || N(0, 1)),  z ~ q          (4)
    critics       a' = D(s', latent_clip · tanh(pi'(s')))
                  y = r + discount (1 - terminal) (lambda_ min_i Q'_i(s', a')
                                                   + (1 - lambda_) max_i Q'_i(s', a'))
                  min  sum_i (Q_i(s, a) - y)^2                                     (1)
    actor         min  -Q_1(s, D(s, latent_clip · tanh(pi(s))))                    (2)
                  with `imitation_weight` w > 0
                  min  -Q_1 / mean |Q_1| + w |a - D(s, latent_clip · tanh(pi(s)))|^2
    targets       Q' <- (1 - tau) Q' + tau Q,  pi' likewise

D = `latent_space` (frozen in the second phase), pi = `actor`, sigma = `latent_clip`.
Every network moves at every update.  PLAS+P (4.2) adds a residual to the decoded
action, a + max_perturbation · tanh(xi(s, a)), clipped to [-1, 1]; `max_perturbation: 0`
leaves it out, network and all.

Differences from the paper:
    - None in the equations.  The authors' code runs lambda_ = 0.75; the paper says
      1, which is the default here (`--set lambda_=0.75` for the code's).
    - Both terms of the VAE's loss are means, the KL weighs 0.5 (the authors' code).
    - `imitation_weight` (0 in the paper) is TD3+BC inside the box: values that are still young
      choose among a box's actions by chance, and the recorded ones hold the policy together.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.critics import smallest_critic
from cnf.encoders import REUSABLE_VAE, Pretraining, pretraining_phase
from cnf.exploration import online_phase
from cnf.rewards import reward_scale, scaled, unit
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.latent_actions import AbstractLatentActionSpace, check_clip
from shared.models.learner import Learner, annealed_adam, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import TanhActor
from shared.models.rounded import FrozenType, rounded
from shared.ranges import Amount, Count, Positive, Rate, Share, Size, Sizes
from shared.types import is_zero


class LatentActor(eqx.Module):
    """From an observation to a place in the box, and PLAS+P's residual."""

    latent: TanhActor
    residual: TanhActor | None


class State(NamedTuple):
    """Everything that PLAS remembers."""

    normalizer: Normalizer
    pretraining: Pretraining
    latent_space: AbstractLatentActionSpace
    actor: Learner
    critic: Learner
    target_actor: LatentActor
    target_critic: Critics
    reward_scale: Float[Array, ""] | None


class PLAS(AbstractAlgorithm):
    """Policy in the latent action space; fields are the hyperparameters."""

    latent_clip: Positive = hyperparameter("half width of the policy's box in latent space")
    max_perturbation: Amount = hyperparameter("ceiling of the residual of PLAS+P; 0 = none")
    vae_hidden_sizes: Sizes = hyperparameter("hidden layers of the VAE")
    pretrain_steps: Count = hyperparameter("updates of the VAE")
    pretrain_batch_size: Size = hyperparameter("rows a pretraining update")
    pretrain_learning_rate: Positive = hyperparameter("Adam step size of the VAE")
    validate_every: Count = hyperparameter("updates between two validations; 0 = keep the last VAE")
    validation_rows: Size = hyperparameter("rows of the held-out episodes used at most")
    steps: Count = hyperparameter("updates of the policy")
    batch_size: Size = hyperparameter("rows a policy update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of actor and residual")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    critic_layer_norm: bool = hyperparameter("normalise the critics' hidden activations")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    cosine_decay: bool = hyperparameter("the actor's step size falls to 0 along a cosine")
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
    tau: Rate = hyperparameter("Polyak rate of actor and critic targets")
    lambda_: Share = hyperparameter("weight of the smaller target critic; the rest is the larger")
    imitation_weight: Amount = hyperparameter(
        "weight of the squared error to recorded actions in the actor loss; 0 = none"
    )
    exploration_noise: Amount = hyperparameter("standard deviation of the noise on actions online")
    frozen_dtype: FrozenType = hyperparameter(
        "type of the operands of the frozen encoder's products in updates of the policy"
    )
    normalize_observations: bool = hyperparameter("standardise observations")

    # The answers of this paper to what else the shared pretraining asks.
    encoder, search_members, density_samples = "vae", 1, 1
    pretrain_weight_decay, pretrain_clip = 0.0, None
    pretrain_noise, center_weight = 0.0, 0.0

    title = "PLAS: policy in the latent action space of a conditional VAE"
    paper = "Zhou et al. 2020, PLAS (arXiv:2011.07213)"
    observations = ("state", "pixels")
    shaped_by = {"pretrain": "train_nll"}
    reusable = REUSABLE_VAE

    def __check_init__(self):
        check_clip(self.latent_clip)

    def init(self, spec, *, key):
        k_encoder, k_latent, k_residual, k_critic = jax.random.split(key, 4)
        pretraining = Pretraining.create(self, spec, key=k_encoder)
        latent_space = pretraining.frozen()
        s_size, a_size = spec.observation_size, spec.action_size
        hidden = self.actor_hidden_sizes
        residual = TanhActor(s_size + a_size, a_size, hidden, key=k_residual)
        actor = LatentActor(
            TanhActor(s_size, latent_space.latent_size, hidden, key=k_latent),
            None if is_zero(self.max_perturbation) else residual,
        )
        sizes, norm = self.critic_hidden_sizes, self.critic_layer_norm
        critic = Critics(s_size, a_size, sizes, layer_norm=norm, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            pretraining,
            latent_space,
            Learner.create(actor, self.actor_optimizer, average=self.actor_average),
            Learner.create(critic, self.critic_optimizer),
            actor,
            critic,
            reward_scale(spec, self.return_span),
        )

    @property
    def actor_optimizer(self):
        return annealed_adam(self.actor_learning_rate, self.steps, cosine=self.cosine_decay)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def schedules(self):
        return ("cosine_decay",) if self.cosine_decay else ()

    def phases(self):
        return (
            pretraining_phase(self, shows=True),
            Phase("policy", self.steps, self.draw, self.update),
        )

    def online(self):
        return online_phase(self, self.draw, self.update, noise=self.exploration_noise)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One step of Algorithm 1: critics, actor, targets."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        space = rounded(state.latent_space, self.frozen_dtype)
        acting = state._replace(latent_space=space)
        y = jax.vmap(self.target, (None, 0, 0, 0))(acting, batch.reward, batch.terminal, s_next)
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, batch.action, y)
        )
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, space, critic.model, s, batch.action),
            average=self.actor_average,
        )
        state = state._replace(
            actor=actor,
            critic=critic,
            target_actor=polyak(state.target_actor, actor.model, self.tau),
            target_critic=polyak(state.target_critic, critic.model, self.tau),
        )
        return state, critic_metrics | actor_metrics

    def target(self, state, reward, terminal, s_next):
        """Target y of equation 1, for one transition."""
        a_next = self.action(state.target_actor, state.latent_space, s_next)
        q = state.target_critic(s_next, a_next)
        next_value = self.lambda_ * jnp.min(q) + (1 - self.lambda_) * jnp.max(q)
        return td_target(scaled(reward, state.reward_scale), terminal, next_value, self.discount)

    def actor_loss(self, actor, latent_space, critic, s, a):
        """Equation 2 over a batch; the gradient passes through the frozen decoder.

        With imitation Q is in units of its mean size, which carries no gradient.
        """
        policy_action = jax.vmap(self.action, (None, None, 0))(actor, latent_space, s)
        q = jax.vmap(critic.first)(s, policy_action)
        if is_zero(self.imitation_weight):
            loss = -jnp.mean(q)
            return loss, {"actor_loss": loss}
        scale = jax.lax.stop_gradient(jnp.mean(jnp.abs(q)))
        cloning_error = jnp.mean((policy_action - a) ** 2)
        loss = -jnp.mean(q) / scale + self.imitation_weight * cloning_error
        return loss, {"actor_loss": loss, "cloning_error": cloning_error}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, unit(state.reward_scale))

    def box_width(self):
        return self.latent_clip

    def latent_size(self, state):
        return state.latent_space.latent_size

    def decode(self, state, memory, observation, latent):
        return state.latent_space.decode(state.normalizer(observation), latent), memory

    def act(self, state, memory, observation, *, key):
        s = state.normalizer(observation)
        return self.action(state.actor.steady, state.latent_space, s), memory

    def action(self, actor, latent_space, s):
        """The decoded latent of the actor, with PLAS+P's residual."""
        box = latent_space.box(s, self.latent_clip)
        action = latent_space.decode(s, box.center + box.half_width * actor.latent(s))
        if actor.residual is None:
            return action
        residual = actor.residual(jnp.concatenate([s, action]))
        return jnp.clip(action + self.max_perturbation * residual, -1.0, 1.0)
