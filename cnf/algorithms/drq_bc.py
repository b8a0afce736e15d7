"""DrQ+BC: DrQ-v2 with behaviour cloning, the model-free method of V-D4RL.

"Challenges and Opportunities in Offline Reinforcement Learning from Visual Observations" (Lu et
al., 2022), section 4.1; "Mastering Visual Continuous Control" (Yarats et al., 2021, DrQ-v2).

    critics   a' = pi(s') + clip(N(0, sigma^2), ±noise_clip),  kept in ±1
              y = sum_{k < n} discount^k r_k + discount^n (1 - terminal) min_i Q'_i(s', a')
              min  sum_i (Q_i(s, a) - y)^2
    actor     a~ = pi(s) + clip(N(0, sigma^2), ±noise_clip),  kept in ±1
              min  -lambda min_i Q_i(s, a~) + |a~ - a|^2,  lambda = alpha / mean |min_i Q_i(s, a~)|
    targets   Q' <- (1 - tau) Q' + tau Q

n = `return_steps`; sigma falls from `noise_start` to `noise_end` in `noise_steps` updates.  Actor
and critics read s through a trunk of their own, tanh(LayerNorm(W s)).  From pixels s are features
of randomly shifted frames, and the critics' loss trains the encoder (`shared/training/encoded.py`).

Differences from the papers:
    - The convolutions are those of the world models, with strides of two, and not DrQ-v2's.
    - Networks start from the usual uniform weights, not from orthogonal ones.
    - Near the end of an episode n is what is left of it.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.frame_encoder import Trunk
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import smoothed_action, td_loss
from shared.models.networks import Critics
from shared.models.policies import TanhActor
from shared.ranges import Amount, Count, Positive, Rate, Share, Size, Sizes


class TrunkedActor(eqx.Module):
    """pi(s), behind a trunk."""

    trunk: Trunk
    actor: TanhActor

    def __call__(self, s: Float[Array, "feature"]) -> Float[Array, "action"]:
        return self.actor(self.trunk(s))


class TrunkedCritics(eqx.Module):
    """Q_i(s, a), both behind one trunk."""

    trunk: Trunk
    critics: Critics

    def __call__(self, s: Float[Array, "feature"], a: Float[Array, "action"]) -> Float[Array, "2"]:
        return self.critics(self.trunk(s), a)


class State(NamedTuple):
    """Everything that DrQ+BC remembers."""

    actor: Learner
    critic: Learner
    target_critic: TrunkedCritics


class DrQBC(AbstractAlgorithm):
    """DrQ-v2 plus behaviour cloning; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    trunk_size: Size = hyperparameter("features that a trunk makes of s")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor, behind its trunk")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic, behind the trunk")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    discount: Share = hyperparameter("discount of future rewards")
    return_steps: Size = hyperparameter("rewards in a target, before the next value")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    noise_start: Amount = hyperparameter("standard deviation of the noise on actions at first")
    noise_end: Amount = hyperparameter("the same in the end")
    noise_steps: Size = hyperparameter("updates from the one to the other")
    noise_clip: Amount = hyperparameter("ceiling of that noise")
    alpha: Amount = hyperparameter("weight of the normalised Q against cloning")

    title = "DrQ+BC: DrQ-v2 with a behaviour cloning term, V-D4RL's method for pixels"
    paper = "Lu et al. 2022, Offline RL from Visual Observations (arXiv:2206.04779)"
    observations = ("state", "pixels")
    shaped_by = {"policy": "critic_loss"}

    def init(self, spec, *, key):
        k_actor, k_critic, *k_trunks = jax.random.split(key, 4)
        sizes = self.trunk_size, spec.action_size
        actor, critic = (Trunk(spec.observation_size, sizes[0], key=k) for k in k_trunks)
        actor = TrunkedActor(actor, TanhActor(*sizes, self.actor_hidden_sizes, key=k_actor))
        critic = TrunkedCritics(critic, Critics(*sizes, self.critic_hidden_sizes, key=k_critic))
        return State(
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            critic,
        )

    @property
    def actor_optimizer(self):
        return optax.adam(self.actor_learning_rate)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update, takes_step=True),)

    def draw(self, dataset, *, key):
        rows = dataset.weighted(self.return_weighting)
        return rows.draw_steps(self.batch_size, self.return_steps, self.discount, key=key)

    def update(self, state, batch, *, key, step):
        """Critics, actor, target critics."""
        s, a = batch.observation, batch.action
        now, following = jax.random.normal(key, (2, *a.shape))
        std = self.std(step)
        y = jax.vmap(self.target, (None, 0, 0, 0, 0, None))(
            state, batch.reward, batch.discount, batch.next_observation, following, std
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, a, y)
        )
        actor, actor_metrics = descend(
            state.actor, self.actor_optimizer, lambda m: self.actor_loss(m, critic, s, a, now, std)
        )
        target_critic = polyak(state.target_critic, critic.model, self.tau)
        return State(actor, critic, target_critic), critic_metrics | actor_metrics

    def std(self, step):
        """Standard deviation sigma of the noise at an update."""
        done = jnp.minimum(jnp.asarray(step, jnp.float32) / self.noise_steps, 1.0)
        return self.noise_start + done * (self.noise_end - self.noise_start)

    def target(self, state, reward, discount, s_next, noise, std):
        """Target y, for one transition."""
        a_next = smoothed_action(state.actor.model(s_next), noise, std, self.noise_clip)
        return reward + discount * jnp.min(state.target_critic(s_next, a_next))

    def actor_loss(self, actor, critic, s, a, noise, std):
        """The loss of the actor over a batch; lambda carries no gradient."""

        def noisy(s, noise):
            return smoothed_action(actor(s), noise, std, self.noise_clip)

        policy_action = jax.vmap(noisy)(s, noise)
        q = jnp.min(jax.vmap(critic.model)(s, policy_action), axis=1)
        lambda_ = self.alpha / jax.lax.stop_gradient(jnp.mean(jnp.abs(q)))
        cloning_error = jnp.mean((policy_action - a) ** 2)
        loss = -lambda_ * jnp.mean(q) + cloning_error
        return loss, {"actor_loss": loss, "cloning_error": cloning_error}

    def critic_value(self, state, observation, action):
        return jnp.min(state.critic.model(observation, action))

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount)

    def act(self, state, memory, observation, *, key):
        return state.actor.model(observation), memory
