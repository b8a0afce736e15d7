"""Where imagined episodes end for good: by a known rule, a user's own, or as the data teach.

    rule      of gymnasium's (and D4RL's) robots; an installed package may add its own
    learned   at s' with p(terminal | s') > 1/2,  min  -log p(terminal | s')  on recorded rows

A user's rule is a function `observation -> bool` that JAX can trace, in the units of the data:

    [project.entry-points."latent_policies.terminations"]
    my-robot = "my_package.robots:has_fallen"
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from clap.model.ensemble import evenly
from shared.entry_points import additions
from shared.errors import ConfigError
from shared.models.learner import Learner, Metrics, descend
from shared.models.networks import MLP, Normalizer
from shared.types import Transition

LEARNED = "learned"
"""The value of the hyperparameter `termination` where the data teach it."""
HOPPER_LIMIT = 100.0
"""Of any number in a hopper's state but its height."""
Rule = Callable[[Float[Array, "observation"]], Bool[Array, ""]]


def _hopper(observation):
    height, angle = observation[0], observation[1]
    whole = jnp.all(jnp.abs(observation[1:]) < HOPPER_LIMIT)
    return ~((height > 0.7) & (jnp.abs(angle) < 0.2) & whole)


def _walker2d(observation):
    height, angle = observation[0], observation[1]
    return ~((height > 0.8) & (height < 2.0) & (jnp.abs(angle) < 1.0))


def _none(observation):
    del observation
    return jnp.zeros((), bool)


def rules() -> dict[str, Rule]:
    """The known rules by name, those of installed packages among them.

    Raises:
        ConfigError: a package's rule is broken or hides another.
    """
    known = {"none": _none, "hopper": _hopper, "walker2d": _walker2d}
    group, form = "latent_policies.terminations", "a function of one observation"
    return known | additions(group, "termination rule", {LEARNED, *known}, callable, form)


class AbstractTermination(eqx.Module):
    """Tells where imagined episodes end for good."""

    @abc.abstractmethod
    def __call__(self, observation: Float[Array, "observation"]) -> Bool[Array, ""]:
        """Does an episode end at this observation, which is in the units of the data?"""

    @abc.abstractmethod
    def improve(
        self, optimizer: optax.GradientTransformation, rows: Transition
    ) -> tuple["AbstractTermination", Metrics]:
        """One step towards the terminals of these rows (leading axis = batch), if it learns."""

    @abc.abstractmethod
    def look(self, rows: Transition) -> Metrics:
        """How well it tells the ends among these rows, if it learns."""


class KnownTermination(AbstractTermination):
    """A rule, by its name among `rules`."""

    rule: str = eqx.field(static=True)

    def __call__(self, observation):
        return rules()[self.rule](observation)

    def improve(self, optimizer, rows):
        return self, {}

    def look(self, rows):
        return {}


class LearnedTermination(AbstractTermination):
    """A classifier of states at which episodes end.

    Arguments:
        normalizer: of the observations that go in.
        learner: a network whose output is the log-odds of an end.
    """

    normalizer: Normalizer
    learner: Learner

    def __call__(self, observation):
        return self.learner.model(self.normalizer(observation))[0] > 0

    def improve(self, optimizer, rows):
        seen = jax.vmap(self.normalizer)(rows.next_observation)
        ends = jnp.where(rows.terminal, 1.0, 0.0)

        def loss(network):
            odds = jax.vmap(network)(seen)[:, 0]
            nll = jnp.mean(jax.nn.softplus(odds) - ends * odds)
            return nll, {"termination_nll": nll}

        learner, metrics = descend(self.learner, optimizer, loss)
        return LearnedTermination(self.normalizer, learner), metrics

    def look(self, rows):
        """Which share of these ends it misses, and which share of other rows it takes for ends."""
        told = jax.vmap(self)(rows.next_observation)
        return {
            "ends_missed": _share(~told, rows.terminal),
            "ends_invented": _share(told, ~rows.terminal),
        }


def make_termination(
    name: str,
    normalizer: Normalizer,
    hidden_sizes: tuple[int, ...],
    optimizer: optax.GradientTransformation,
    *,
    key: PRNGKeyArray,
) -> AbstractTermination:
    """The rule of this name, or an untrained classifier with these hidden layers."""
    if name != LEARNED:
        return KnownTermination(name)
    size = normalizer.mean.size
    network = MLP(size, 1, hidden_sizes, activation=jax.nn.swish, key=key)
    return LearnedTermination(normalizer, Learner.create(network, optimizer))


def check(name: str) -> None:
    """Raise a ConfigError unless there is such a value of `termination`."""
    known = (LEARNED, *rules())
    if name not in known:
        raise ConfigError(f"termination is '{name}'; choose one of {', '.join(known)}.")


def remark(dataset: str, has_terminals: bool) -> str:
    """What a user should know before training on this data set, whose ends are to be learned."""
    ends = "end where a classifier trained on the data's terminals says so"
    if not has_terminals:
        ends = "never end, because no episode of the data ends with a terminal"
    return (
        f"No rule of termination is set for '{dataset}', so imagined episodes {ends}; if a rule "
        f"holds, name it with --set termination=RULE ({', '.join(rules())})."
    )


def ends_and_others(
    among: Int[Array, "some"], terminal: Bool[Array, "some"], count: int
) -> Int[Array, "chosen"]:
    """Row numbers `among` these, `count` at most: ends for up to a half, the rest evenly spaced."""
    ends = among[jnp.argsort(~terminal)[: count // 2]]
    return jnp.concatenate([ends, evenly(among, count - count // 2)])


def _share(told: Bool[Array, "rows"], among: Bool[Array, "rows"]) -> Float[Array, ""]:
    count = jnp.maximum(jnp.sum(among, dtype=jnp.float32), 1.0)
    return jnp.sum(told & among, dtype=jnp.float32) / count
