"""A simulator that is not trusted: everything that scores, films or trains in one goes through it.

Simulators of other packages may have no end, give numbers that are none, or act in other units
than the data.  `CheckedSimulator` cuts episodes at the horizon that their task is registered with,
and tells faults in one sentence that names the simulator and the step.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from shared.environments import answers
from shared.environments.rendering import Pixels, cannot_draw, drawing_backend
from shared.environments.simulators import make_environment
from shared.environments.tasks import ENVIRONMENTS, Environment, find_task
from shared.environments.units import PLAIN, Units
from shared.errors import (
    Advice,
    ConfigError,
    NonFiniteError,
    SimulatorError,
    UserError,
)

CEILING = 10_000
"""Steps after which an episode is cut if neither the task nor its simulator has a limit."""


def step_limit(task: Environment) -> int:
    """Steps after which an episode is cut at the latest."""
    return task.horizon if task.horizon > 0 else CEILING


def make_checked(
    name: str | None,
    *,
    units: Units = PLAIN,
    render: bool = False,
    pixels: Pixels | None = None,
) -> "CheckedSimulator":
    """The simulator that scores a task, checked at every step.

    Arguments:
        name: task, as of `make_environment`.
        units: those of the policy's data; the simulator must act in the same.
        render: as of `make_environment`.
        pixels: the same.

    Raises:
        ConfigError: no simulator is known for this task, or it acts in other units.
    """
    environment = make_environment(name, render=render, pixels=pixels)
    task = find_task(name)
    assert task is not None  # or there were no simulator
    try:
        check_range(task, environment.action_space, units)
    except ConfigError:
        environment.close()
        raise
    return CheckedSimulator(environment, task)


def check_simulator(name: str, units: Units) -> None:
    """Refuse a simulator that acts in other units than the data, before anything is trained."""
    make_checked(name, units=units).close()


def check_range(task: Environment, space: Any, units: Units) -> None:
    """Refuse actions whose range in the data is not that of the simulator's space.

    Infinite bounds fit every range.

    Raises:
        ConfigError: they differ; the sentence says what to declare.
    """
    one = np.ones(task.action_size, np.float32)
    low, high = (-one, one) if units.action_range is None else units.action_range
    agree = all(
        np.all(np.isinf(bound) | np.isclose(bound, mine, rtol=1e-3, atol=1e-6))
        for bound, mine in ((space.low, low), (space.high, high))
    )
    if agree:
        return
    pairs = np.stack([space.low, space.high], axis=1)
    if (pairs == pairs[0]).all():
        pairs = pairs[:1]
    asked = ",".join(f"{x:g}" for x in pairs.ravel())
    told = "declare no range, which is -1 to 1" if units.action_range is None else (
        f"are scaled from {low.tolist()} to {high.tolist()}"
    )  # fmt: skip
    raise ConfigError(
        f"the simulator '{task.simulator}' of '{task.name}' acts in {space.low.tolist()} to "
        f"{space.high.tolist()}, but the data {told}; declare the range that their actions are in "
        f"(--set action_range=[{asked}]) or rescale the simulator's."
    )


class CheckedSimulator:
    """A simulator with gymnasium's methods; its numbers are the robot's, unchanged if sound.

    Attributes:
        limit: steps after which an episode is cut as by a time limit.
        rate: pictures a second of simulated time.
    """

    def __init__(self, environment: Any, task: Environment):
        """Check what a simulator of this task says and does; warns if nothing ends episodes."""
        self._environment, self._task = environment, task
        self.limit = step_limit(task)
        self.rate = answers.rate(environment.metadata)
        self._shape = tuple(environment.observation_space.shape)
        self._drawn: tuple[int, ...] | None = None
        self._steps, self._seed = 0, None
        if task.horizon <= 0 and environment.spec.max_episode_steps is None:
            _tell_of_no_limit(task.name)

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode.

        Raises:
            SimulatorError: the simulator fails, or its observation is unfit.
        """
        self._steps, self._seed = 0, seed
        found = self._call("reset", lambda: self._environment.reset(seed=seed))
        if not (isinstance(found, tuple) and len(found) == 2):
            raise self._fault("did not return (observation, info)")
        return self._judged(answers.observation, found[0], self._shape), found[1]

    def step(self, command: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One step: observation, reward, terminal, timeout, info.

        Raises:
            NonFiniteError: the policy's command is no number.
            SimulatorError: the simulator fails, or what it returns is unfit.
        """
        self._steps += 1
        if not np.isfinite(command).all():
            raise NonFiniteError(
                f"the policy's action {np.asarray(command).tolist()} {self._where()} is not "
                "finite, so the learner diverged; lower the learning rate."
            )
        own = np.array(command)  # which the simulator may change
        found = self._call("step", lambda: self._environment.step(own))
        if not (isinstance(found, tuple) and len(found) == 5):
            raise self._fault("did not return (observation, reward, terminal, timeout, info)")
        observation = self._judged(answers.observation, found[0], self._shape)
        reward = self._judged(answers.reward, found[1])
        terminal = self._judged(answers.flag, "terminal", found[2])
        timeout = self._judged(answers.flag, "timeout", found[3])
        return observation, reward, terminal, timeout or self._steps >= self.limit, found[4]

    def render(self) -> np.ndarray:
        """A picture (height, width, 3) uint8 of the present state; all have one size.

        Raises:
            ConfigError: the simulator draws none.
            SimulatorError: it fails, or draws something else.
            SystemPackageError: the machine has no headless OpenGL.
            MemoryShortage: no room for another picture.
        """
        with drawing_backend():
            found = self._call("render", self._environment.render)
        if found is None:
            raise ConfigError(f"the simulator {self._name()} draws no pictures; leave out --video.")
        picture = self._judged(answers.picture, found)
        self._drawn = self._drawn or picture.shape
        if picture.shape != self._drawn:
            raise self._fault(f"drew a picture of shape {picture.shape} after {self._drawn}")
        return picture

    def close(self) -> None:
        """Free what the simulator holds."""
        self._environment.close()

    def _call(self, what: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # another package's code may raise anything
            if what == "render" and ENVIRONMENTS.get(self._task.name) is self._task:
                raise cannot_draw(error, answers.reason(error)) from error
            raise self._fault(f"failed in '{what}' ({answers.reason(error)})") from error

    def _judged(self, judge: Callable, *found: Any) -> Any:
        try:
            return judge(*found)
        except answers.Unfit as error:
            raise self._fault(str(error)) from None

    def _fault(self, what: str) -> SimulatorError:
        return SimulatorError(
            f"the simulator {self._name()} {what} {self._where()}; mend the simulator."
        )

    def _name(self) -> str:
        return f"'{self._task.simulator}' of '{self._task.name}'"

    def _where(self) -> str:
        """Step 0 is the reset."""
        return f"at step {self._steps} of the episode with seed {self._seed}"


@functools.cache
def _tell_of_no_limit(task: str) -> None:
    """Once a process, however many of its simulators play side by side."""
    warnings.warn(
        f"neither '{task}' nor its simulator limits an episode, so each is cut after {CEILING:,} "
        "steps; register the task with a horizon.",
        Advice,
        stacklevel=4,
    )
