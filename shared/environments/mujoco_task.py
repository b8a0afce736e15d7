"""A task on a MuJoCo model, as D4RL defines it.

It has the methods of a gymnasium environment without being one, so that
importing it starts no simulator.
"""

import importlib
import importlib.util
from pathlib import Path

import numpy as np

from shared.errors import ConfigError

Step = tuple[np.ndarray, float, bool, bool, dict]
_PIXELS = 480


def robotics_assets() -> Path:
    """The folder of models that the package gymnasium-robotics brings.

    Only its model files are used: its environments reward and observe differently.

    Raises:
        ConfigError: the package is not installed.
    """
    found = importlib.util.find_spec("gymnasium_robotics")
    if found is None or found.origin is None:
        raise ConfigError(
            "the models of this task come with gymnasium-robotics; pip install gymnasium-robotics."
        )
    return Path(found.origin).parent / "envs" / "assets"


def compile_model(source: str | Path):
    """MuJoCo's model of an XML text, or of an XML file."""
    model = importlib.import_module("mujoco").MjModel
    if isinstance(source, Path):
        return model.from_xml_path(str(source))
    return model.from_xml_string(source)


class MujocoTask:
    """Resets, steps, time limit and pictures; a subclass adds `_start` and `_judge`.

    Attributes:
        model: MuJoCo's model.
        data: MuJoCo's state, which tests and recorders may read.
        horizon: environment steps after which an episode is cut.
        camera: the model's camera that takes the pictures.
        shadows: are they drawn?
        observation_size: numbers in an observation.
        action_size: numbers in an action; each is clipped to [-1, 1].
        np_random: source of starts and goals.
    """

    camera = "overview"
    shadows = True

    def __init__(self, model, *, frame_skip: int, horizon: int):
        """Set the simulator up.

        Arguments:
            model: from `compile_model`.
            frame_skip: simulator steps in one environment step.
            horizon: environment steps of an episode.
        """
        mujoco = importlib.import_module("mujoco")
        self.model, self.data = model, mujoco.MjData(model)
        self.horizon = horizon
        self.action_size = self.model.nu
        self.metadata = {"render_fps": round(1 / (self.model.opt.timestep * frame_skip))}
        self.np_random = np.random.default_rng()
        self._frame_skip, self._elapsed = frame_skip, 0
        self._mujoco, self._renderer = mujoco, None
        mujoco.mj_forward(self.model, self.data)
        self.observation_size = len(self.observe())

    @property
    def observation_space(self):
        """The gymnasium box of the observations."""
        import gymnasium

        return gymnasium.spaces.Box(-np.inf, np.inf, (self.observation_size,), np.float64)

    @property
    def action_space(self):
        """The gymnasium box of the actions."""
        import gymnasium

        return gymnasium.spaces.Box(-1.0, 1.0, (self.action_size,), np.float32)

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode; a `seed` makes this one and those that follow repeatable."""
        if seed is not None:
            self.np_random = np.random.default_rng(seed)
        self._mujoco.mj_resetData(self.model, self.data)
        self._elapsed = 0
        self._start()
        # D4RL's MuJoCo did this by itself, in place, whenever it computed positions.
        self._mujoco.mj_normalizeQuat(self.model, self.data.qpos)
        self._mujoco.mj_forward(self.model, self.data)
        self._look()
        return self.observe(), {}

    def step(self, action: np.ndarray) -> Step:
        """One environment step: observation, reward, terminal, timeout, {}."""
        self.data.ctrl[:] = self._act(np.clip(action, -1.0, 1.0))
        self._mujoco.mj_step(self.model, self.data, self._frame_skip)
        self._elapsed += 1
        self._look()
        reward, terminal = self._judge()
        return self.observe(), reward, terminal, self._elapsed >= self.horizon, {}

    def set_state(self, position: np.ndarray, velocity: np.ndarray) -> None:
        """Put the simulator into a state; derived quantities follow."""
        self.data.qpos[:], self.data.qvel[:] = position, velocity
        self._mujoco.mj_forward(self.model, self.data)

    def observe(self) -> np.ndarray:
        """The observation of the present state, float64: positions, then velocities."""
        return np.concatenate([self.data.qpos, self.data.qvel])

    def render(self) -> np.ndarray:
        """A picture (height, width, 3) uint8 of the present state; needs a headless GL."""
        if self._renderer is None:
            self._renderer = self._mujoco.Renderer(self.model, _PIXELS, _PIXELS)
            self._renderer.scene.flags[self._mujoco.mjtRndFlag.mjRND_SHADOW] = self.shadows
        self._renderer.update_scene(self.data, camera=self._view())
        return self._renderer.render()

    def close(self) -> None:
        """Give the renderer's memory back."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _view(self):
        """MuJoCo's camera, or the name of the model's own."""
        return self.camera

    def _start(self) -> None:
        """Draw a start from `np_random`: changes of `data.qpos`, `data.qvel` and the model."""
        raise NotImplementedError

    def _look(self) -> None:
        """Called once after every change of state, where observations have noise."""

    def _act(self, action: np.ndarray) -> np.ndarray:
        """Controls of the motors for an action in [-1, 1]."""
        return action

    def _judge(self) -> tuple[float, bool]:
        """Reward of the present state, and whether the episode ends in it."""
        raise NotImplementedError
