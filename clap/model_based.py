"""What MOPO and MOBILE share: an ensemble of models, short imagined episodes, soft actor-critic.

    model    an ensemble of Gaussians on (s' - s, r), see clap/model/ensemble.py; where no rule of
             termination is given, a classifier of ends, see clap/model/terminations.py
    imagine  every `rollout_every` updates: from `rollouts` recorded states the policy acts for
             `rollout_length` steps, each answered by an elite; see clap/imagination.py
    policy   soft actor-critic on batches of which `real_fraction` was recorded and the rest
             imagined; see shared/models/soft_actor_critic.py

The imagined rows are part of the state, hence of every checkpoint: `rollouts` · `rollout_length` ·
`rollouts_kept` rows, with the paper's values 1.25 million (135 MB of hopper's).
"""

import abc
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from clap.imagination import imagine
from clap.model import terminations
from clap.model.ensemble import Dynamics, Ensemble, evenly, targets_of
from clap.model.terminations import AbstractTermination, ends_and_others, make_termination
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, Reusable, hyperparameter
from shared.datasets.replay import RingBuffer
from shared.errors import ConfigError
from shared.models.learner import Metrics
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy, squashed_mode, squashed_sample
from shared.models.soft_actor_critic import Optimizers, SoftActorCritic
from shared.ranges import Amount, Count, Positive, Rate, Share, Size, Sizes
from shared.types import Box, Scalar, Transition


class State(NamedTuple):
    """Everything that is remembered."""

    normalizer: Normalizer
    dynamics: Dynamics
    imagined: RingBuffer
    agent: SoftActorCritic
    ended: AbstractTermination


class AbstractModelBased(AbstractAlgorithm):
    """A concrete class says what the models' doubt costs, in rewards or in targets."""

    of_rows = False
    reusable = Reusable(
        phase="model",
        steps="model_steps",
        fields=("dynamics", "ended"),
        keys=(
            *("termination", "members", "elites", "model_hidden_sizes", "model_batch_size"),
            *("model_learning_rate", "weight_decay", "validate_every", "validation_rows"),
        ),
    )

    members: Size = hyperparameter("models in the ensemble")
    elites: Size = hyperparameter("models that imagine: those with the lowest held-out errors")
    model_hidden_sizes: Sizes = hyperparameter("hidden layers of each model")
    model_steps: Count = hyperparameter("updates of the ensemble")
    model_batch_size: Size = hyperparameter("rows an update, of every model its own")
    model_learning_rate: Positive = hyperparameter("Adam step size of the models")
    weight_decay: tuple[Amount, ...] = hyperparameter(
        "of each layer's weights, the first one first"
    )
    validate_every: Count = hyperparameter("updates between two looks at held-out rows")
    validation_rows: Size = hyperparameter("held-out rows looked at, at most")
    rollouts: Size = hyperparameter("imagined episodes at a time")
    rollout_length: Size = hyperparameter("steps of an imagined episode, at most")
    rollout_every: Size = hyperparameter("updates of the policy between two times of imagining")
    rollouts_kept: Size = hyperparameter("times whose imagined rows are kept")
    termination: str = hyperparameter(
        "how imagined episodes end: a rule's name, 'none' = never, 'learned' = as in the data"
    )
    penalty_scale: Amount = hyperparameter("price of the models' doubt")
    steps: Count = hyperparameter("updates of actor and critics")
    batch_size: Size = hyperparameter("rows an update")
    real_fraction: Share = hyperparameter("share of recorded rows in a batch")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor and of log alpha")
    actor_cosine_decay: bool = hyperparameter("the actor's step size falls to 0 along a cosine")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    alpha: Amount | None = hyperparameter("weight of the entropy; null = learned")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    normalize_observations: bool = hyperparameter("standardise the observations of the policy")

    def __check_init__(self):
        terminations.check(self.termination)
        layers = len(self.model_hidden_sizes) + 1
        if len(self.weight_decay) != layers:
            raise ConfigError(
                f"weight_decay has {len(self.weight_decay)} numbers, but the models have {layers} "
                "layers; give one number a layer."
            )
        if not 1 <= self.elites <= self.members:
            raise ConfigError(f"elites is {self.elites}; choose 1 to members = {self.members}.")
        if not 0 <= self.real_rows < self.batch_size:
            raise ConfigError(f"real_fraction is {self.real_fraction}; leave rows to imagine.")

    def init(self, spec, *, key):
        k_model, k_actor, k_critic = jax.random.split(key, 3)
        n, m = spec.observation_size, spec.action_size
        sizes, adam = self.model_hidden_sizes, self.model_optimizer
        standardised = Normalizer.of(spec)
        model = Ensemble(self.members, n + m, n + 1, sizes, key=k_model)
        actor = BoundedLatentPolicy(n, m, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(n, m, self.critic_hidden_sizes, key=k_critic)
        form, k_ended = (standardised, sizes, adam), jax.random.fold_in(key, 1)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Dynamics.create(standardised, model, adam, self.elites),
            RingBuffer.empty(self.rollouts * self.rollout_length * self.rollouts_kept, n, m),
            SoftActorCritic.create(actor, critic, self.optimizers),
            make_termination(self.termination, *form, key=k_ended),
        )

    def remarks(self, data):
        if self.termination != terminations.LEARNED:
            return ()
        return (terminations.remark(data.name, bool(data.transitions.terminal.any())),)

    @property
    def model_optimizer(self) -> optax.GradientTransformation:
        """Adam."""
        return optax.adam(self.model_learning_rate)

    @property
    def optimizers(self) -> Optimizers:
        """Adam; the actor's step size falls to 0 if that is asked for."""
        rate = self.actor_learning_rate
        cosine = optax.cosine_decay_schedule(1.0, max(self.steps, 1))
        falling = (lambda count: rate * cosine(count)) if self.actor_cosine_decay else rate
        adam = optax.adam
        return Optimizers(adam(falling), adam(self.critic_learning_rate), adam(rate))

    def schedules(self):
        return ("actor_cosine_decay",) if self.actor_cosine_decay else ()

    def phases(self):
        model = Phase(
            "model",
            self.model_steps,
            self.draw_model,
            self.update_model,
            refresh=self.look_at_model,
            refresh_every=self.validate_every,
            evaluates=False,
        )
        policy = Phase(
            "policy",
            self.steps,
            self.draw,
            self.update,
            refresh=self.imagine,
            refresh_every=self.rollout_every,
            start=lambda state, dataset, *, key: self.imagine(state, dataset, key=key)[0],
        )
        return (model, policy)

    def draw_model(self, dataset, *, key):
        """Rows of the training episodes; leading axes = members, batch."""
        rows = dataset.draw_training(self.members * self.model_batch_size, key=key)
        return jax.tree.map(lambda x: x.reshape(self.members, -1, *x.shape[1:]), rows)

    def update_model(self, state, batch, *, key):
        """One step of every model, and of the classifier of ends; nothing is random."""
        del key
        dynamics, metrics = state.dynamics.improve(self.model_optimizer, batch, self.weight_decay)
        rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
        ended, more = state.ended.improve(self.model_optimizer, rows)
        return state._replace(dynamics=dynamics, ended=ended), metrics | more

    def look_at_model(self, state, dataset, *, key):
        """All models on the same held-out rows at every look; of all rows, if none is held out."""
        del key
        held, rows = dataset.validation_rows, jnp.arange(dataset.reward.shape[0])
        judged = dataset.rows(evenly(held if held.shape[0] else rows, self.validation_rows))
        x = jax.vmap(state.dynamics.inputs)(judged.observation, judged.action)
        dynamics = state.dynamics.look(x, targets_of(judged))
        metrics = {"elite_error": jnp.mean(dynamics.error[dynamics.elites])}
        # Ends are few: those of all rows.
        some = ends_and_others(rows, dataset.terminal, self.validation_rows)
        metrics |= state.ended.look(dataset.rows(some))
        return state._replace(dynamics=dynamics), metrics

    def imagine(self, state, dataset, *, key):
        """Short episodes of the policy in the models, from recorded states, into the buffer."""
        k_start, k_steps = jax.random.split(key)
        start = dataset.draw(self.rollouts, key=k_start).observation

        def act(s, *, key):
            return squashed_sample(state.agent.actor.model, state.normalizer(s), key=key)[0]

        options = {"length": self.rollout_length, "ended": state.ended}
        made = imagine(state.dynamics, act, start, **options, key=k_steps)
        rows, count = made.rows, jnp.sum(made.alive, dtype=jnp.float32)
        kept = rows._replace(reward=self.imagined_reward(rows.reward, made.doubt))
        return state._replace(imagined=state.imagined.append(kept, made.alive)), {
            "imagined_reward": jnp.sum(jnp.where(made.alive, rows.reward, 0.0)) / count,
            "imagined_doubt": jnp.sum(jnp.where(made.alive, made.doubt, 0.0)) / count,
            "imagined_share": count / made.alive.shape[0],
        }

    @abc.abstractmethod
    def imagined_reward(
        self, reward: Float[Array, "batch"], doubt: Float[Array, "batch"]
    ) -> Float[Array, "batch"]:
        """The reward that an imagined row keeps."""

    @abc.abstractmethod
    def targets(
        self,
        state: State,
        rows: Transition,
        s_next: Float[Array, "batch observation"],
        *,
        key: PRNGKeyArray,
    ) -> tuple[Float[Array, "batch"], Metrics]:
        """Targets y of the critics, and metrics; the first `real_rows` of the rows are real."""

    def alpha_of(self, agent: SoftActorCritic) -> Scalar:
        """Weight of the entropy: as it is fixed, or as it is learned, at most 1."""
        return jnp.minimum(agent.alpha, 1.0) if self.alpha is None else self.alpha

    @property
    def real_rows(self) -> int:
        """Recorded rows in a batch."""
        return int(self.real_fraction * self.batch_size)  # 12 of 256, as in the authors' code

    def draw(self, dataset, *, key):
        """The recorded part of a batch."""
        return dataset.draw(self.real_rows, key=key)

    def update(self, state, batch, *, key):
        """One step of critics, actor, alpha and target critics."""
        k_draw, k_next, k_actor = jax.random.split(key, 3)
        imagined = state.imagined.draw(self.batch_size - self.real_rows, key=k_draw)
        rows = jax.tree.map(lambda *x: jnp.concatenate(x), batch, imagined)
        s = jax.vmap(state.normalizer)(rows.observation)
        s_next = jax.vmap(state.normalizer)(rows.next_observation)
        y, metrics = self.targets(state, rows, s_next, key=k_next)
        options = {"alpha": self.alpha_of(state.agent), "tau": self.tau, "key": k_actor}
        agent, more = state.agent.improve(self.optimizers, s, rows.action, y, **options)
        return state._replace(agent=agent), metrics | more

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount)

    def critic_value(self, state, observation, action):
        return jnp.min(state.agent.critic.model(state.normalizer(observation), action))

    def act(self, state, memory, observation, *, key):
        s, actor = state.normalizer(observation), state.agent.actor.model
        action = squashed_mode(actor, s) if key is None else squashed_sample(actor, s, key=key)[0]
        return action, memory

    def log_prob(self, state, observation, action):
        box = Box(jnp.zeros_like(action), jnp.ones_like(action))
        return state.agent.actor.model.log_prob(state.normalizer(observation), action, box)
