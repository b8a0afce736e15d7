"""BCQ: batch-constrained Q-learning, the best of slightly perturbed VAE samples.

"Off-Policy Deep Reinforcement Learning without Exploration" (Fujimoto et al., 2019),
Algorithm 1.

    pretraining   min  |a - D(s, z)|^2 + 0.5 KL(q(z|s, a) || N(0, 1)),  z ~ q
    candidates    c(s, xi) = clip(D(s, z) + max_perturbation · tanh(xi(s, D(s, z))), ±1),
                  z ~ N(0, I) clipped to ±latent_clip
    critics       y = r + discount (1 - terminal) max_j (lambda_ min_i Q'_i(s', c_j)
                                                         + (1 - lambda_) max_i Q'_i(s', c_j)),
                  c_j ~ c(s', xi'),  j = 1 .. target_samples                       (13)
                  min  sum_i (Q_i(s, a) - y)^2
    actor         min  -Q_1(s, c(s, xi))                                           (12)
    targets       Q' <- (1 - tau) Q' + tau Q,  xi' likewise
    acting        the best of act_samples candidates, by Q_1                       (11)

D = the decoder of `latent_space`, xi = `actor`.  The deterministic mode draws the same
latents in every state.

Differences from the paper: the VAE is trained before the rest, not beside it, so
that all methods with a VAE share one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.critics import smallest_critic
from cnf.encoders import REUSABLE_VAE, Pretraining, pretraining_phase
from cnf.vae import ConditionalVAE
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import TanhActor
from shared.ranges import Amount, Count, Positive, Rate, Share, Size, Sizes


class State(NamedTuple):
    """Everything that BCQ remembers."""

    normalizer: Normalizer
    pretraining: Pretraining
    latent_space: ConditionalVAE
    actor: Learner
    critic: Learner
    target_actor: TanhActor
    target_critic: Critics


class BCQ(AbstractAlgorithm):
    """Batch-constrained Q-learning; fields are the hyperparameters."""

    latent_clip: Positive = hyperparameter("ceiling of the sampled latents")
    max_perturbation: Amount = hyperparameter("ceiling of the residual; the paper's Phi")
    target_samples: Size = hyperparameter("candidates in the critic target")
    act_samples: Size = hyperparameter("candidates when acting")
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
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the residual")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the residual")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of actor and critic targets")
    lambda_: Share = hyperparameter("weight of the smaller target critic; the rest is the larger")
    normalize_observations: bool = hyperparameter("standardise observations")

    # The answers of this paper to what else the shared pretraining asks.
    encoder, search_members, density_samples = "vae", 1, 1
    pretrain_weight_decay, pretrain_clip = 0.0, None
    pretrain_noise, center_weight = 0.0, 0.0

    title = "BCQ: the best of perturbed VAE samples"
    paper = "Fujimoto et al. 2019, Off-Policy Deep RL without Exploration (arXiv:1812.02900)"
    reusable = REUSABLE_VAE

    def init(self, spec, *, key):
        k_encoder, k_actor, k_critic = jax.random.split(key, 3)
        pretraining = Pretraining.create(self, spec, key=k_encoder)
        s_size, a_size = spec.observation_size, spec.action_size
        actor = TanhActor(s_size + a_size, a_size, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(s_size, a_size, self.critic_hidden_sizes, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            pretraining,
            pretraining.frozen(),
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            actor,
            critic,
        )

    @property
    def actor_optimizer(self):
        return optax.adam(self.actor_learning_rate)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def phases(self):
        return (pretraining_phase(self), Phase("policy", self.steps, self.draw, self.update))

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One step of Algorithm 1: critics, residual, targets."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        size, latent_size = s.shape[0], state.latent_space.latent_size
        k_target, k_actor = jax.random.split(key)
        z_next = jax.random.normal(k_target, (size, self.target_samples, latent_size))
        z = jax.random.normal(k_actor, (size, latent_size))
        y = jax.vmap(self.target, (None, 0, 0, 0, 0))(
            state, batch.reward, batch.terminal, s_next, z_next
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, batch.action, y)
        )
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, state.latent_space, critic.model, s, z),
        )
        state = state._replace(
            actor=actor,
            critic=critic,
            target_actor=polyak(state.target_actor, actor.model, self.tau),
            target_critic=polyak(state.target_critic, critic.model, self.tau),
        )
        return state, critic_metrics | actor_metrics

    def candidate(self, actor, latent_space, s, z):
        """One perturbed action of the VAE; z is standard normal noise."""
        a = latent_space.decode(s, jnp.clip(z, -self.latent_clip, self.latent_clip))
        residual = self.max_perturbation * actor(jnp.concatenate([s, a]))
        return jnp.clip(a + residual, -1.0, 1.0)

    def target(self, state, reward, terminal, s_next, z_next):
        """Target y of equation 13, for one transition."""

        def value(z):
            a_next = self.candidate(state.target_actor, state.latent_space, s_next, z)
            q = state.target_critic(s_next, a_next)
            return self.lambda_ * jnp.min(q) + (1 - self.lambda_) * jnp.max(q)

        next_value = jnp.max(jax.vmap(value)(z_next))
        return td_target(reward, terminal, next_value, self.discount)

    def actor_loss(self, actor, latent_space, critic, s, z):
        """Equation 12 over a batch."""
        candidates = jax.vmap(self.candidate, (None, None, 0, 0))(actor, latent_space, s, z)
        loss = -jnp.mean(jax.vmap(critic.first)(s, candidates))
        return loss, {"actor_loss": loss}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount)

    def latent_size(self, state):
        return state.latent_space.latent_size

    def decode(self, state, memory, observation, latent):
        return state.latent_space.decode(state.normalizer(observation), latent), memory

    def act(self, state, memory, observation, *, key):
        s = state.normalizer(observation)
        key = jax.random.key(0) if key is None else key
        z = jax.random.normal(key, (self.act_samples, state.latent_space.latent_size))
        actor, critic = state.actor.model, state.critic.model
        candidates = jax.vmap(lambda z: self.candidate(actor, state.latent_space, s, z))(z)
        values = jax.vmap(critic.first, (None, 0))(s, candidates)
        return candidates[jnp.argmax(values)], memory
