"""A trained policy on its robot: what it is shown is checked before it acts or remembers."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from shared.environments.units import Units
from shared.errors import NonFiniteError, ObservationError


class AbstractActing(abc.ABC):
    """What a policy computes, compiled or from a file; memories are pytrees of arrays.

    Attributes:
        units: of the robot, as far as the functions below do not undo them themselves.
        samples: does `act` want a key?
    """

    units: Units
    samples: bool

    @abc.abstractmethod
    def initial(self) -> Any:
        """The memory at the start of an episode."""

    @abc.abstractmethod
    def rewarded(self, memory: Any, reward: Any) -> Any:
        """The memory once the reward of the last command is known."""

    @abc.abstractmethod
    def act(self, memory: Any, observation: Any, key: Any) -> tuple[Any, Any]:
        """Action and memory."""

    @abc.abstractmethod
    def rewarded_rows(self, memory: Any, rewards: Any, first: Any) -> Any:
        """`rewarded` row by row, but for rows whose episode only begins."""

    @abc.abstractmethod
    def act_rows(self, memory: Any, observations: Any, keys: Any) -> tuple[Any, Any]:
        """`act` row by row."""


class Compiled(AbstractActing):
    """The policy of an algorithm's state, compiled."""

    def __init__(self, algorithm, state, units: Units, *, deterministic: bool):
        def act(state, memory, observation, key):
            return algorithm.act(state, memory, observation, key=key)

        self.units, self.samples, self._state = units, not deterministic, state
        keys = None if deterministic else 0
        self._act, self._act_rows = jax.jit(act), jax.jit(jax.vmap(act, (None, 0, 0, keys)))
        self._rewarded = jax.jit(algorithm.rewarded)
        self._rewarded_rows = jax.jit(jax.vmap(_rewarded_unless_first(algorithm)))
        self._algorithm = algorithm

    def initial(self):
        """See `AbstractActing`."""
        return self._algorithm.initial_memory(self._state)

    def rewarded(self, memory, reward):
        """See `AbstractActing`."""
        return self._rewarded(memory, reward)

    def rewarded_rows(self, memory, rewards, first):
        """See `AbstractActing`."""
        return self._rewarded_rows(memory, rewards, first)

    def act(self, memory, observation, key):
        """See `AbstractActing`."""
        return self._act(self._state, memory, observation, key)

    def act_rows(self, memory, observations, keys):
        """See `AbstractActing`."""
        return self._act_rows(self._state, memory, observations, keys)


class Policy:
    """A trained policy with its memory, for one robot (`act`) or for several (`act_batch`).

    Made by `load_policy` and `load_exported`.  Observations are raw, as in the data file (not
    normalised), or uint8 frames where the policy learned from pixels.  Actions are commands in
    the units of the data file: within its `action_range`, which is [-1, 1] unless one was
    declared.  What is refused leaves the memory as it was.

    Attributes:
        record: what `run.json` says of the run; of an exported policy, its manifest.
        units: of the data file.
        seed: which of the run's seeds learned it.
    """

    def __init__(
        self,
        acting: AbstractActing,
        record: dict[str, Any],
        *,
        shape: tuple[int, ...],
        is_frame: bool,
        seed: int,
    ):
        self.record, self.units, self.seed = record, acting.units, seed
        self._acting, self._shape, self._is_frame = acting, shape, is_frame
        self._key = jax.random.key(seed) if acting.samples else None
        self.reset()

    def reset(self, row: int | None = None) -> None:
        """Forget the episode so far; of `act_batch`, that of one `row` alone, if one is given.

        Without a row, the number of rows of the next `act_batch` is free again.

        Raises:
            ObservationError: there is no such row.
        """
        if row is None:
            self._memory, self._first = self._acting.initial(), True
            self._row_memory, self._row_first = None, np.ones(0, bool)
            return
        if not 0 <= row < len(self._row_first):
            raise ObservationError(
                f"there is no row {row} to reset; the last batch had {len(self._row_first)} rows."
            )
        initial = self._acting.initial()
        self._row_memory = jax.tree.map(lambda m, x: m.at[row].set(x), self._row_memory, initial)
        self._row_first[row] = True

    def act(self, observation: Any, *, reward: Any = 0.0) -> Float[np.ndarray, "action"]:
        """The command for one observation, float32, in the units of the data file.

        Arguments:
            observation: of the run's `observation_shape`; anything that NumPy makes real numbers.
            reward: that of the last command; policies conditioned on a return need it.

        Raises:
            ObservationError: another shape or type, NaN or infinity, in either argument.
            NonFiniteError: the policy's own answer is not finite.
        """
        observation = self._seen(observation, self._shape)
        earned = self._numbers("reward", reward, ())
        key, following = (None, None) if self._key is None else jax.random.split(self._key)[::-1]
        memory = self._memory if self._first else self._acting.rewarded(self._memory, earned)
        action, memory = self._acting.act(memory, observation, key)
        command = self._command(action)
        self._key, self._memory, self._first = following, memory, False
        return command

    def act_batch(self, observations: Any, *, rewards: Any = None) -> np.ndarray:
        """Commands for several robots, or episodes, side by side; each row has its own memory.

        Arguments:
            observations: (rows, `*observation_shape`); as many rows as in the last call, until
                `reset` forgets all of them.
            rewards: (rows,) of the last commands; None are zeros.

        Returns:
            (rows, action) float32, in the units of the data file.

        Raises:
            ObservationError: as of `act`, or another number of rows.
            NonFiniteError: as of `act`.
        """
        count = self._count(observations)
        observations = self._seen(observations, (count, *self._shape))
        rewards = self._numbers(
            "rewards", np.zeros(count) if rewards is None else rewards, (count,)
        )
        memory, first = self._row_memory, self._row_first
        if not len(first):
            memory = jax.tree.map(
                lambda x: jnp.broadcast_to(x, (count, *jnp.shape(x))), self._acting.initial()
            )
            first = np.ones(count, bool)
        memory = self._acting.rewarded_rows(memory, rewards, first)
        following, keys = None, None
        if self._key is not None:
            following, *keys = jax.random.split(self._key, count + 1)
            keys = jnp.stack(keys)
        action, memory = self._acting.act_rows(memory, observations, keys)
        commands = self._command(action)
        self._key, self._row_memory, self._row_first = following, memory, np.zeros(count, bool)
        return commands

    def _count(self, observations: Any) -> int:
        """Rows of a batch."""
        shape = _array("observations", observations).shape
        count, expected = (shape or (0,))[0], len(self._row_first)
        if count < 1 or shape[1:] != self._shape:
            raise ObservationError(
                f"the observations have the shape {shape}, but this policy sees batches of shape "
                f"(rows, {', '.join(map(str, self._shape))})."
            )
        if expected and count != expected:
            raise ObservationError(
                f"the batch has {count} rows, but the last one had {expected}, each with a memory "
                "of its own; call reset() first."
            )
        return count

    def _seen(self, observation: Any, shape: tuple[int, ...]) -> np.ndarray:
        """An observation as the network takes it: float32 or uint8 of this shape."""
        if not self._is_frame:
            return self._numbers("observation", observation, shape, self.units)
        frame = _array("frame", observation)
        if frame.dtype != np.uint8 or frame.shape != shape:
            raise ObservationError(
                f"the frame is {frame.dtype} of shape {frame.shape}, but this policy sees uint8 "
                f"(0 to 255) of shape {shape}."
            )
        return frame

    def _numbers(self, what: str, found: Any, shape: tuple[int, ...], units=None) -> np.ndarray:
        """Finite float32 numbers of this shape, without the offset of `units`."""
        numbers = _array(what, found)
        if numbers.dtype.kind not in "fiub":
            raise ObservationError(
                f"the {what} holds {numbers.dtype}, but this policy sees real numbers."
            )
        if numbers.shape != shape:
            more = "; several rows at once are for act_batch" if numbers.ndim > len(shape) else ""
            raise ObservationError(
                f"the {what} has the shape {numbers.shape}, but this policy sees {shape}{more}."
            )
        with np.errstate(over="ignore"):
            given = numbers if units is None else units.seen(numbers)
            small = np.asarray(given, np.float32)
        if not np.isfinite(small).all():
            at = np.argwhere(~np.isfinite(small))[0].tolist()
            where = f" at {at}" if at else ""
            raise ObservationError(
                f"the {what} is {numbers[tuple(at)]}{where}, which is no finite float32; the "
                "policy has not acted, and remembers nothing of it."
            )
        return small

    def _command(self, action) -> np.ndarray:
        action = np.asarray(action)
        if not np.isfinite(action).all():
            raise NonFiniteError(
                f"the policy answers {action.tolist()} to finite observations; they lie far from "
                "its data, or it diverged in training."
            )
        return self.units.command(action)


def _array(what: str, found: Any) -> np.ndarray:
    try:
        return np.asarray(found)
    except ValueError as error:
        raise ObservationError(
            f"the {what} is ragged: its parts differ in length; give an array of numbers."
        ) from error


def _rewarded_unless_first(algorithm):
    """`rewarded` of a memory, unless its episode only begins."""

    def rewarded(memory, reward, first):
        after = algorithm.rewarded(memory, reward)
        return jax.tree.map(lambda old, new: jnp.where(first, old, new), memory, after)

    return rewarded
