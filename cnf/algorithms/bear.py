"""BEAR: a policy whose samples must match those of a clone in maximum mean discrepancy.

"Stabilizing Off-Policy Q-Learning via Bootstrapping Error Reduction" (Kumar et al.,
2019), Algorithm 1.

    pretraining   min  |a - D(s, z)|^2 + 0.5 KL(q(z|s, a) || N(0, 1)),  z ~ q
    critics       y = r + discount (1 - terminal) max_j (lambda_ min_i Q'_i(s', a_j)
                                                         + (1 - lambda_) max_i Q'_i(s', a_j)),
                  a_j ~ pi'(.|s'),  j = 1 .. samples                               (4)
                  min  sum_i (Q_i(s, a) - y)^2
    actor         min  -min_i mean_j Q_i(s, a_j) + multiplier · MMD(s),  a_j ~ pi(.|s)  (5)
    multiplier    max  multiplier · (mean MMD(s) - mmd_limit)
    targets       Q' <- (1 - tau) Q' + tau Q,  pi' likewise
    acting        the best of `samples` actions, by Q_1

MMD(s)^2 = mean k(x, x) + mean k(y, y) - 2 mean k(x, y) with the Laplacian kernel
k(x, y) = exp(-|x - y|_1 / (2 kernel_width)), between `samples` actions of the clone
(x) and of the policy (y), both before their tanh.  During the `match` phase the actor
only lowers the MMD; `policy` adds the values.

Differences from the paper:
    - The VAE is trained before the rest, not beside it.
    - The variance of the critics is left out, as in the authors' recommended settings.
    - The deterministic mode, which the paper does not define, is the best of `samples`
      actions whose noise is the same at every step.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.critics import smallest_critic
from cnf.encoders import REUSABLE_VAE, Pretraining, pretraining_phase
from cnf.mmd import mmd
from cnf.vae import ConditionalVAE
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy, squashed_sample
from shared.ranges import Amount, Count, Positive, Rate, Share, Size, Sizes

NOISE_CLIP = 0.5
"""Ceiling of latents of the clone and of the policy's noise inside the MMD (authors' code)."""
LOG_MULTIPLIER_RANGE = (-5.0, 10.0)
"""The authors' code keeps the log multiplier in it."""


class State(NamedTuple):
    """Everything that BEAR remembers."""

    normalizer: Normalizer
    pretraining: Pretraining
    latent_space: ConditionalVAE
    actor: Learner
    critic: Learner
    log_multiplier: Learner
    target_actor: BoundedLatentPolicy
    target_critic: Critics


class BEAR(AbstractAlgorithm):
    """Bootstrapping error reduction; fields are the hyperparameters."""

    samples: Size = hyperparameter("actions a state in target, actor loss, MMD and acting")
    kernel_width: Positive = hyperparameter("sigma of the Laplacian kernel")
    mmd_limit: Amount = hyperparameter("MMD that the multiplier aims at; the paper's epsilon")
    vae_hidden_sizes: Sizes = hyperparameter("hidden layers of the VAE")
    pretrain_steps: Count = hyperparameter("updates of the VAE")
    pretrain_batch_size: Size = hyperparameter("rows a pretraining update")
    pretrain_learning_rate: Positive = hyperparameter("Adam step size of the VAE")
    validate_every: Count = hyperparameter("updates between two validations; 0 = keep the last VAE")
    validation_rows: Size = hyperparameter("rows of the held-out episodes used at most")
    match_steps: Count = hyperparameter("updates in which the actor only lowers the MMD")
    steps: Count = hyperparameter("updates of the policy after that")
    batch_size: Size = hyperparameter("rows a policy update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    multiplier_learning_rate: Positive = hyperparameter("Adam step size of the log multiplier")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of actor and critic targets")
    lambda_: Share = hyperparameter("weight of the smaller target critic; the rest is the larger")
    normalize_observations: bool = hyperparameter("standardise observations")

    # The answers of this paper to what else the shared pretraining asks.
    encoder, search_members, density_samples = "vae", 1, 1
    pretrain_weight_decay, pretrain_clip = 0.0, None
    pretrain_noise, center_weight = 0.0, 0.0

    title = "BEAR: support matching by maximum mean discrepancy"
    paper = "Kumar et al. 2019, Bootstrapping Error Reduction (arXiv:1906.00949)"
    reusable = REUSABLE_VAE

    def init(self, spec, *, key):
        k_encoder, k_actor, k_critic = jax.random.split(key, 3)
        pretraining = Pretraining.create(self, spec, key=k_encoder)
        sizes = spec.observation_size, spec.action_size
        actor = BoundedLatentPolicy(*sizes, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(*sizes, self.critic_hidden_sizes, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            pretraining,
            pretraining.frozen(),
            Learner.create(actor, optax.adam(self.actor_learning_rate)),
            Learner.create(critic, optax.adam(self.critic_learning_rate)),
            Learner.create(jnp.zeros(()), optax.adam(self.multiplier_learning_rate)),
            actor,
            critic,
        )

    def phases(self):
        match = Phase("match", self.match_steps, self.draw, partial(self.update, q_weight=0.0))
        policy = Phase("policy", self.steps, self.draw, partial(self.update, q_weight=1.0))
        return (pretraining_phase(self), match, policy)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key, q_weight):
        """One step of Algorithm 1: critics, actor, multiplier, targets."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        k_target, k_actor = (jax.random.split(k, s.shape[0]) for k in jax.random.split(key))
        y = jax.vmap(self.target, (None, 0, 0, 0, 0))(
            state, batch.reward, batch.terminal, s_next, k_target
        )
        critic, critic_metrics = descend(
            state.critic,
            optax.adam(self.critic_learning_rate),
            lambda m: td_loss(m, s, batch.action, y),
        )
        actor, actor_metrics = descend(
            state.actor,
            optax.adam(self.actor_learning_rate),
            lambda m: self.actor_loss(m, state, critic.model, s, k_actor, q_weight=q_weight),
        )
        log_multiplier, multiplier_metrics = descend(
            state.log_multiplier,
            optax.adam(self.multiplier_learning_rate),
            lambda m: self.multiplier_loss(m, actor_metrics["mmd"]),
        )
        log_multiplier = Learner(
            jnp.clip(log_multiplier.model, *LOG_MULTIPLIER_RANGE), log_multiplier.opt_state
        )
        state = state._replace(
            actor=actor,
            critic=critic,
            log_multiplier=log_multiplier,
            target_actor=polyak(state.target_actor, actor.model, self.tau),
            target_critic=polyak(state.target_critic, critic.model, self.tau),
        )
        return state, critic_metrics | actor_metrics | multiplier_metrics

    def target(self, state, reward, terminal, s_next, key):
        """Target y of equation 4, for one transition."""

        def value(key):
            a_next, _ = squashed_sample(state.target_actor, s_next, key=key)
            q = state.target_critic(s_next, a_next)
            return self.lambda_ * jnp.min(q) + (1 - self.lambda_) * jnp.max(q)

        next_value = jnp.max(jax.vmap(value)(jax.random.split(key, self.samples)))
        return td_target(reward, terminal, next_value, self.discount)

    def actor_loss(self, actor, state, critic, s, keys, *, q_weight):
        """Equation 5 over a batch."""

        def terms(s, key):
            k_clone, k_policy = jax.random.split(key)
            vae, shape = state.latent_space, (self.samples, state.latent_space.latent_size)
            z = jnp.clip(jax.random.normal(k_clone, shape), -NOISE_CLIP, NOISE_CLIP)
            clone = jax.vmap(lambda z: vae.decoder(jnp.concatenate([s, z])))(z)
            mean, log_std = actor.gaussian(s)
            noise = jax.random.normal(k_policy, (self.samples, mean.shape[0]))
            noise = jnp.clip(noise, -NOISE_CLIP, NOISE_CLIP)
            policy = mean[None] + jnp.exp(log_std)[None] * noise
            q = jnp.mean(jax.vmap(critic, (None, 0))(s, jnp.tanh(policy)), axis=0)
            return jnp.min(q), mmd(clone, policy, self.kernel_width)

        q, distance = jax.vmap(terms)(s, keys)
        multiplier = jnp.exp(state.log_multiplier.model)
        loss = jnp.mean(multiplier * distance - q_weight * q)
        return loss, {"actor_loss": loss, "mmd": jnp.mean(distance)}

    def multiplier_loss(self, log_multiplier, distance):
        """The negative of the multiplier's objective; `distance` is the mean MMD."""
        multiplier = jnp.exp(log_multiplier)
        return -multiplier * (distance - self.mmd_limit), {"multiplier": multiplier}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount)

    def act(self, state, memory, observation, *, key):
        s, actor = state.normalizer(observation), state.actor.model
        keys = jax.random.split(jax.random.key(0) if key is None else key, self.samples)
        actions, _ = jax.vmap(lambda k: squashed_sample(actor, s, key=k))(keys)
        values = jax.vmap(state.critic.model.first, (None, 0))(s, actions)
        return actions[jnp.argmax(values)], memory
