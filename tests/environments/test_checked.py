"""Simulators of other packages: small real gymnasium environments, each with one fault."""

import gymnasium
import numpy as np
import pytest

from shared.environments import tasks
from shared.environments.checked import CEILING, check_range, make_checked
from shared.environments.tasks import ENVIRONMENTS, Environment
from shared.environments.units import PLAIN, Units
from shared.errors import ConfigError, NonFiniteError, SimulatorError

NAN = float("nan")


class Point(gymnasium.Env):
    """Moves by its action; nothing ends an episode.  `fault(step)` may replace what it returns."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, fault=None, action_space=None, observation_space=None):
        self._fault = fault
        self.action_space = action_space or self.action_space
        self.observation_space = observation_space or self.observation_space

    def reset(self, *, seed=None, options=None):
        self._x, self._steps = np.zeros(2), 0
        return self._x, {}

    def step(self, action):
        self._x, self._steps = self._x + action[0], self._steps + 1
        found = {"observation": self._x, "reward": float(action[0])}
        if self._fault is not None and self._steps == 3:
            found |= self._fault()
        return found["observation"], found["reward"], False, False, {}


@pytest.fixture
def register(monkeypatch):
    """`register(horizon, **keywords)`: a task 'point' whose simulator is a `Point` with these."""

    def register(horizon=20, units=PLAIN, **keywords):
        gymnasium.register("Point-v0", Point, kwargs=keywords)
        task = Environment("point", "Point-v0", NAN, NAN, horizon, 2, 1)
        tasks.environments.cache_clear()
        monkeypatch.setitem(ENVIRONMENTS, "point", task)
        return make_checked("point", units=units)

    yield register
    gymnasium.registry.pop("Point-v0", None)
    monkeypatch.undo()
    tasks.environments.cache_clear()


def play(simulator, steps):
    simulator.reset(seed=7)
    return [simulator.step(np.float32([0.5])) for _ in range(steps)]


def test_an_endless_simulator_is_cut_at_the_registered_horizon(register):
    simulator = register(horizon=20)
    for _ in range(2):
        assert [step[3] for step in play(simulator, 20)] == [False] * 19 + [True]
    assert play(simulator, 2)[-1][0].tolist() == [1.0, 1.0]


def test_no_limit_at_all_is_told_and_has_a_ceiling(register):
    with pytest.warns(UserWarning, match="neither 'point' nor its simulator limits an episode"):
        simulator = register(horizon=0)
    ends = [step[3] for step in play(simulator, CEILING)]
    assert ends == [False] * (CEILING - 1) + [True]


def explode():
    raise ZeroDivisionError("no mass")


FAULTS = {
    "gave an observation whose number 1 is nan": lambda: {"observation": np.array([0, NAN])},
    "gave an observation whose number 0 is 1e\\+300": lambda: {"observation": np.array([1e300, 0])},
    "gave an observation of shape \\(3,\\), not \\(2,\\)": lambda: {"observation": np.zeros(3)},
    "gave dict as observation, not numbers": lambda: {"observation": {}},
    "gave a reward of inf": lambda: {"reward": np.inf},
    "gave a reward of shape \\(2,\\), not a number": lambda: {"reward": np.ones(2)},
    "failed in 'step' \\(ZeroDivisionError: no mass\\)": explode,
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_fault_of_the_simulator_is_one_sentence_with_its_step(register, words):
    simulator = register(fault=FAULTS[words])
    where = "at step 3 of the episode with seed 7; mend the simulator"
    with pytest.raises(SimulatorError, match=f"'Point-v0' of 'point' {words} {where}") as caught:
        play(simulator, 3)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 7


def test_an_action_that_is_no_number_is_the_learners_fault(register):
    simulator = register()
    simulator.reset(seed=7)
    with pytest.raises(NonFiniteError, match="the policy's action .* so the learner diverged"):
        simulator.step(np.float32([NAN]))


def test_spaces_that_are_no_boxes(register):
    with pytest.raises(ConfigError, match=r"has the action space Discrete\(3\), but a Box"):
        register(action_space=gymnasium.spaces.Discrete(3))
    gymnasium.registry.pop("Point-v0")
    space = gymnasium.spaces.Dict({"x": Point.observation_space})
    with pytest.raises(ConfigError, match="observation space Dict.*FlattenObservation"):
        register(observation_space=space)


@pytest.mark.parametrize(("low", "high"), [(-2, 2), (0, 1)])
def test_actions_reach_the_simulator_in_its_own_units(register, low, high):
    units = Units((np.float32([low]), np.float32([high])))
    box = gymnasium.spaces.Box(low, high, (1,), np.float32)
    simulator = register(action_space=box, units=units)
    for action, expected in ((-1, low), (0, (low + high) / 2), (1, high)):
        simulator.reset()
        command = units.command(np.float32([action]))
        assert simulator.step(command)[1] == expected and command.dtype == np.float32


def test_units_that_differ_are_refused_before_anything_is_trained(register):
    box = gymnasium.spaces.Box(-2, 2, (1,), np.float32)
    with pytest.raises(ConfigError, match=r"declare no range.*--set action_range=\[-2,2\]"):
        register(action_space=box)
    task, one = ENVIRONMENTS["hopper"], np.ones(3, np.float32)
    box = gymnasium.spaces.Box(-one, one)
    check_range(task, box, PLAIN)
    with pytest.raises(ConfigError, match="the data are scaled from"):
        check_range(task, box, Units((-2 * one, 2 * one)))
    check_range(task, gymnasium.spaces.Box(-np.inf, np.inf, (3,)), Units((-2 * one, 2 * one)))


def test_the_units_of_a_record():
    units = Units.of({"spec": {"action_range": [[0], [4]], "observation_offset": [5e8, 0]}})
    assert units.command(np.float32([[-1], [0.5]])).tolist() == [[0], [3]]
    assert units.seen(np.array([5e8 + 0.25, 1])).tolist() == [0.25, 1]
    action = np.float32([0.1])
    assert Units.of({"spec": {}}).command(action) is action
