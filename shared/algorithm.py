"""What an algorithm is: hyperparameters, phases of updates, and a policy.

The training loop knows nothing but this page.  Everything an algorithm
remembers is in its explicit `State` (a pytree of arrays); the algorithm object
itself is a hashable bundle of hyperparameters with no arrays in it, so a
compiled program is cached by its values.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from shared.types import Scalar, Spec

State = PyTree
Memory = PyTree


@dataclass(frozen=True)
class Phase:
    """A stretch of equal updates.

    Whatever is given a data set asks it for frames itself, not within a `jit`, `vmap`, `scan` or
    `cond` of its own: where frames stay on the host (`shared/datasets/pages.py`), the numbers of
    those asked for are found out first.

    Attributes:
        name: shown in progress, metrics and checkpoints.
        steps: number of gradient updates.
        draw: `(dataset, *, key) -> batch`, compiled, on the device.
        update: `(state, batch, *, key) -> (state, metrics)`, compiled.
        refresh: `(state, dataset, *, key) -> (state, metrics)`, compiled, run after
            every `refresh_every` updates (validation, imagined rollouts, ...).
        refresh_every: updates between two refreshes; 0 means never.
        start: `(state, dataset, *, key) -> state`, compiled, run once before the first
            update (statistics of the first batch, ...).
        finish: `(state, dataset, *, key) -> state`, compiled, run once after the last
            update (choose the best validation flow, ...).
        evaluates: is there a policy to score in the simulator during this phase?
        shows: `state -> state`, compiled, of a phase without a policy: one acts with what has been
            learned so far.  It is scored where curves begin early (`evaluate_first`), and never
            kept as the best.
        takes_step: does `update` also take `step=`, the number of updates done so far in
            this phase?  It has no seed axis, so a `lax.cond` on it stays a branch.
        explore: `(state, observation, *, key) -> action`, compiled: the policy plays in the
            simulator between updates, and `draw` sees what it met (`shared/training/online.py`).
        view: `(state, windows) -> (batch, time, n)`, compiled: the vectors that the phase sees
            in the place of observations.  All are computed before its first update, along whole
            episodes, from a part of the state that it leaves alone (`shared/training/views.py`).
    """

    name: str
    steps: int
    draw: Callable
    update: Callable
    refresh: Callable | None = None
    refresh_every: int = 0
    start: Callable | None = None
    finish: Callable | None = None
    evaluates: bool = True
    shows: Callable | None = None
    takes_step: bool = False
    explore: Callable | None = None
    view: Callable | None = None


class Reusable(NamedTuple):
    """The part of an algorithm that it can take over, trained and frozen, from another run.

    Attributes:
        phase: which trains it.
        steps: the hyperparameter that counts that phase's updates.
        fields: of the state.
        keys: the hyperparameters that describe it.
    """

    phase: str
    steps: str
    fields: tuple[str, ...]
    keys: tuple[str, ...]


class LearnedReward(NamedTuple):
    """What critics make of a reward r: they estimate the sum of discount^k (scale · r_k + shift).

    Bonuses on entropy and penalties are no part of it.
    """

    discount: Scalar
    scale: Scalar = 1.0
    shift: Scalar = 0.0


def hyperparameter(help_text: str, **keywords: Any) -> Any:
    """A documented field of an algorithm; its value comes from `configs/*.yaml`.

    The field's type says which values it may have: `batch_size: Size`, see `shared/ranges.py`.
    """
    return eqx.field(static=True, metadata={"help": help_text}, **keywords)


class AbstractAlgorithm(eqx.Module):
    """One method from one paper.  Its fields are its hyperparameters.

    Whatever a run may ask of it is a member of this class: what is not abstract is optional, and
    has a default that says "there is none".

    Attributes:
        title: one line for listings.
        paper: authors, year, title, identifier.
        reusable: what `--model RUN` takes over; None if there is no such part.
        observations: what it can learn from, "state" and "pixels" or one of them.
        shaped_by: of an algorithm of vectors that learns from pixels behind an encoder, the phases
            that train the encoder, each with the metric that is the loss it descends.
        of_rows: does it draw single rows, as `FrameRows` has them too?
        learns_from_rewards: is there nothing to learn without any?
        perceives: has it a model of the world, its reusable part, on whose states others may learn?
        values: the YAML file with its defaults; None is `configs/NAME.yaml`, as ours have it.
        chunk: actions chosen at a time; a hyperparameter where there may be several.
        n_step: chunks whose rewards are summed before the next value; likewise.
        replan: actions of a chunk that are played; None = all.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    reusable: ClassVar[Reusable | None] = None
    observations: ClassVar[tuple[str, ...]] = ("state",)
    shaped_by: ClassVar[Mapping[str, str]] = {}
    of_rows: ClassVar[bool] = True
    learns_from_rewards: ClassVar[bool] = True
    perceives: ClassVar[bool] = False
    values: ClassVar[Path | None] = None
    chunk: ClassVar[int] = 1
    n_step: ClassVar[int] = 1
    replan: ClassVar[int | None] = None

    @abc.abstractmethod
    def init(self, spec: Spec, *, key: PRNGKeyArray) -> State:
        """A fresh state for data of this `spec`."""

    @abc.abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """The phases of training, in order."""

    def online(self) -> Phase | None:
        """The phase of fine-tuning in the simulator, its `steps` left open; None if there is none.

        It follows all `phases`, and its metrics are among theirs.
        """
        return None

    def remarks(self, data: Any) -> tuple[str, ...]:
        """Sentences that a user should read before training on `data`, an `OfflineData`."""
        return ()

    def learned_reward(self, state: State, *, online: bool = False) -> LearnedReward | None:
        """Of the critics behind `critic_value`; None if there is no critic of actions.

        `online`: as they learn it in the phase of fine-tuning.
        """
        return None

    def critic_value(
        self,
        state: State,
        observation: Float[Array, "observation"],
        action: Float[Array, "action"],
    ) -> Float[Array, ""]:
        """Q(s, a) of a raw observation and an action in [-1, 1], where `learned_reward` is given.

        Raises:
            NotImplementedError: there is no critic of actions.
        """
        raise NotImplementedError(f"{type(self).__name__} has no critic of actions")

    def log_prob(
        self,
        state: State,
        observation: Float[Array, "observation"],
        action: Float[Array, "action"],
    ) -> Float[Array, ""] | None:
        """Log-density, in nats, of an action in [-1, 1] under the sampled policy.

        None if the policy has no density that can be computed, or remembers.
        """
        return None

    def schedules(self) -> tuple[str, ...]:
        """Hyperparameters, now in force, whose schedule ends at the last of the `steps`.

        A run that goes on behind its planned end leaves such a schedule; its user is told.
        """
        return ()

    def changed(self, **values: Any) -> "AbstractAlgorithm":
        """The same with these hyperparameters, unchecked: they may be traced."""
        other = object.__new__(type(self))
        for field in dataclasses.fields(self):
            value = values.get(field.name, getattr(self, field.name))
            object.__setattr__(other, field.name, value)
        return other

    def initial_memory(self, state: State) -> Memory:
        """The recurrent carry at the start of an episode; `()` if there is none."""
        return ()

    def rewarded(self, memory: Memory, reward: Float[Array, ""]) -> Memory:
        """The carry once the reward of the last action is known; between two calls of `act`."""
        return memory

    def took(self, memory: Memory, action: Float[Array, "action"]) -> Memory:
        """The carry once this action is taken: after `perceive`, or in the place of its own.

        Between `act` and `rewarded`: so a policy is asked what it would do along recorded episodes.
        """
        return memory

    def recall(self, state: State, episodes: Any) -> Float[Array, "batch time feature"]:
        """The likeliest states of the model along whole episodes, an `EpisodeWindow`.

        Raises:
            NotImplementedError: it does not perceive.
        """
        raise NotImplementedError(f"{type(self).__name__} has no model of the world")

    def perceive(
        self,
        state: State,
        memory: Memory,
        observation: Float[Array, "observation"],
        *,
        key: PRNGKeyArray | None,
    ) -> tuple[Float[Array, "feature"], Memory]:
        """The model's state behind one more observation, the likeliest without a key.

        The memory begins as `initial_memory`; `took` must follow.

        Raises:
            NotImplementedError: it does not perceive.
        """
        raise NotImplementedError(f"{type(self).__name__} has no model of the world")

    @abc.abstractmethod
    def act(
        self,
        state: State,
        memory: Memory,
        observation: Float[Array, "observation"],
        *,
        key: PRNGKeyArray | None,
    ) -> tuple[Float[Array, "action"], Memory]:
        """An action in [-1, 1] for one observation.

        A `key` draws a sample from the policy; `key=None` gives its
        deterministic mode.
        """

    def box_width(self) -> float | None:
        """Half width of the policy's box, in standard deviations of the latents; None without."""
        return None

    def latent_size(self, state: State) -> int | None:
        """Length of the latent actions that `decode` takes; None if there is no such space."""
        return None

    def decode(
        self,
        state: State,
        memory: Memory,
        observation: Float[Array, "observation"],
        latent: Float[Array, "latent"],
    ) -> tuple[Float[Array, "action"], Memory]:
        """The action of a latent in the place of the policy's own, where `latent_size` is given.

        Raises:
            NotImplementedError: there is no latent action space.
        """
        raise NotImplementedError(f"{type(self).__name__} has no latent action space")


def phase_at(algorithm: AbstractAlgorithm, index: int) -> Phase:
    """Phase `index`; behind the last one is the online phase."""
    phases = algorithm.phases()
    if index < len(phases):
        return phases[index]
    online = algorithm.online()
    assert online is not None, "there is no phase behind the last one"
    return online
