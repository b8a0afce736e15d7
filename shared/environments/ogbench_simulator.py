"""OGBench's tasks (Park et al., 2025), in the simulators of the benchmark's own package.

`ogbench.make_env_and_datasets` makes them, as its authors ask.  What is added here is that a seed
repeats an episode: the package draws from NumPy's global generator and from action spaces that are
seeded by the clock.

Its single tasks pay -1 a step (the manipulation tasks: for every part that is not as it shall be)
and 0 once all is done, judged on what was observed *before* the action; that ends the episode, and
nothing else does.  So a terminal is a success, and the row that ends it has reward 0.
"""

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from shared.environments import ogbench_names
from shared.environments.rendering import drawing_backend
from shared.errors import ConfigError

MANIPULATION_RATE = 20
"""Environment steps a second of the robot arm; the package does not say it in its metadata."""


def package() -> Any:
    """The package `ogbench`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import ogbench
    except ImportError as error:
        raise ConfigError(
            "OGBench's tasks need its package: pip install 'latent-policies[ogbench]'."
        ) from error
    return ogbench


def make(name: str, **options: Any) -> Any:
    """The bare environment of an OGBench name, without wrappers; drawing needs a headless GL.

    Arguments:
        name: as the package spells it, `...-v0`.
        options: for its constructor.
    """
    with drawing_backend():  # which MuJoCo asks for while it is imported
        made = (
            package()
            .make_env_and_datasets(name, env_only=True, disable_env_checker=True, **options)
            .unwrapped
        )
    if isinstance(getattr(type(made), "action_space", None), property):
        made.__class__ = _repeatable(type(made))
    written = Path(getattr(made, "fullpath", ""))
    if written.parent == Path(tempfile.gettempdir()):  # a maze's model, which is loaded by now
        written.unlink(missing_ok=True)
    return made


@functools.cache
def _repeatable(environment: type) -> type:
    """The class with one action space that `reset(seed=...)` seeds, not a new one at every look."""
    import gymnasium

    class Repeatable(environment):
        @functools.cached_property
        def _actions(self):
            return gymnasium.spaces.Box(-1.0, 1.0, (5,), np.float32)

        @property
        def action_space(self):
            return self._actions

        def reset(self, *, seed: int | None = None, options: Any = None):
            self._actions.seed(seed)
            return super().reset(seed=seed, options=options)

    return Repeatable


class GlobalRandom:
    """A stretch of NumPy's global generator of one's own: what others draw there stays the same."""

    def __init__(self, seed: int | None = None):
        self._state = np.random.RandomState(seed).get_state()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Within, the global generator goes on from where the last such block left it."""
        before = np.random.get_state()  # noqa: NPY002
        np.random.set_state(self._state)  # noqa: NPY002
        try:
            yield
        finally:
            self._state = np.random.get_state()  # noqa: NPY002
            np.random.set_state(before)  # noqa: NPY002


class OGBench:
    """One single task with gymnasium's methods.

    Attributes:
        environment: the package's own, without wrappers.
        horizon: environment steps after which an episode is cut.
    """

    def __init__(self, name: str):
        """Make the task `name`, e.g. `cube-single-play`; the recording it names does not matter."""
        found = ogbench_names.parse(name)
        assert found is not None  # or it is no task of OGBench's
        self.environment = make(found.full)
        self.horizon = ogbench_names.DOMAINS[found.domain].horizon
        rate = self.environment.metadata.get("render_fps", MANIPULATION_RATE)
        self.metadata = {"render_fps": rate}
        self._random, self._elapsed = GlobalRandom(), 0

    @functools.cached_property
    def observation_space(self):
        """The gymnasium box of the observations."""
        return self.environment.observation_space

    @property
    def action_space(self):
        """The gymnasium box of the actions."""
        return self.environment.action_space

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode; a `seed` makes it and those that follow repeatable."""
        if seed is not None:
            self._random = GlobalRandom(seed)
        self._elapsed = 0
        with self._random():
            observation, _ = self.environment.reset(seed=seed)
        return observation, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One environment step: observation, reward, terminal (success), timeout, {}."""
        with self._random():  # a teleporting maze draws
            observation, reward, terminal, _, _ = self.environment.step(action)
        self._elapsed += 1
        return observation, float(reward), bool(terminal), self._elapsed >= self.horizon, {}

    def render(self) -> np.ndarray:
        """A picture (height, width, 3) uint8 of the present state; needs a headless GL."""
        return self.environment.render()

    def close(self) -> None:
        """Give the renderer's memory back."""
        for renderer in ("_renderer", "custom_renderer"):
            drawn = getattr(self.environment, renderer, None)
            if drawn is not None:
                drawn.close()


def judge(
    name: ogbench_names.Name, states: dict[str, np.ndarray]
) -> tuple[Float[np.ndarray, "rows"], Float[np.ndarray, "rows"]]:
    """Rewards and masks of a task along recorded states, by the package's own rules.

    Arguments:
        name: data set and task.
        states: `qpos` (rows, ...) and, of scenes and puzzles, `button_states`.

    Returns:
        Rewards, and masks, which are 0 where the task is done; both float32.

    Raises:
        ConfigError: the package is not installed.
        ValueError: the states are not of this simulator; the message goes on after "the file".
    """
    task = make(name.full)
    with GlobalRandom(0)():
        task.reset(seed=0)
    needed = {"qpos": task.data.qpos.size}
    if hasattr(task, "_num_buttons"):
        needed["button_states"] = task._num_buttons
    for key, size in needed.items():
        found = states.get(key)
        if found is None:
            raise ValueError(f"has no '{key}', which tell where '{name}' succeeds")
        if found.ndim != 2 or found.shape[1] != size:
            raise ValueError(f"has '{key}' of shape {found.shape}, but '{name}' has {size} a row")
    rows = {key: states[key] for key in needed}
    relabel = package().relabel_utils.relabel_dataset
    with GlobalRandom(0)():
        relabel(name.full, task, rows)
    return rows["rewards"], rows["masks"]
