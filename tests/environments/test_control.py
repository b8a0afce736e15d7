"""dm_control's tasks against dm_control itself, and the form of what policies see."""

import importlib

import numpy as np
import pytest

from shared.environments.control import TASKS, ControlSimulator
from shared.environments.control_environment import ControlEnvironment
from shared.environments.rendering import FAST
from shared.environments.scores import normalized_score
from shared.environments.simulators import make_environment
from shared.environments.tasks import ENVIRONMENTS
from shared.errors import ConfigError


def flat(observation):
    return np.concatenate([np.ravel(x) for x in observation.values()])


@pytest.mark.parametrize("name", TASKS)
def test_every_number_is_dm_controls_own(name):
    """Two control steps with one action, summed rewards, flat observations, no end but time."""
    simulator, seed = ControlSimulator(name), np.random.SeedSequence(3)
    suite = importlib.import_module("dm_control.suite")
    task = TASKS[name]
    random = np.random.RandomState(seed.generate_state(1)[0])
    environment = suite.load(task.domain, task.task, task_kwargs={"random": random})
    reset = environment.reset()
    assert np.array_equal(simulator.reset(seed), flat(reset.observation))
    sizes = [(k, np.size(x)) for k, x in reset.observation.items()]
    assert tuple(sizes) == task.parts
    actions = np.random.default_rng(0).uniform(-1.2, 1.2, (500, simulator.action_size))
    for action in actions[: 500 if name == "cheetah_run" else 40]:
        clipped = np.clip(action, -1, 1)
        steps = [environment.step(clipped) for _ in range(2)]
        outcome = simulator.step(action)
        assert outcome.reward == sum(step.reward for step in steps)
        assert np.array_equal(outcome.observation, flat(steps[-1].observation))
        assert outcome.timeout == steps[-1].last() and not outcome.terminal
    known = ENVIRONMENTS[name]
    assert known.observation_size == simulator.observation_size == len(outcome.observation)
    assert known.action_size == simulator.action_size and known.horizon == simulator.horizon


def test_states_restore_exactly():
    one, two = ControlSimulator("walker_walk"), ControlSimulator("walker_walk")
    one.reset(np.random.SeedSequence(0))
    two.reset(np.random.SeedSequence(1))
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 6))
    for action in actions[:10]:
        one.step(action)
    assert np.array_equal(two.set_state(one.get_state()), one.observe()) and two.elapsed == 10
    for action in actions[10:]:
        a, b = one.step(action), two.step(action)
        assert np.array_equal(a.observation, b.observation) and a.reward == b.reward


def test_scores_are_tenths_of_returns():
    assert normalized_score("walker_walk-medium_expert", 735.0) == pytest.approx(73.5)
    assert normalized_score("cheetah_run", 1000) == 100


def test_environment_has_gymnasiums_interface():
    environment = make_environment("walker_walk")
    first, _ = environment.reset(seed=5)
    again, _ = environment.reset(seed=5)
    assert first.dtype == np.float32 and environment.observation_space.contains(first)
    assert np.array_equal(first, again)
    action = environment.action_space.sample()
    observation, reward, terminal, timeout, _ = environment.step(action)
    assert observation.shape == (24,) and 0 <= reward <= 2 and not (terminal or timeout)
    assert environment.metadata["render_fps"] == 20
    with pytest.raises(ConfigError, match="walker_walk, cheetah_run"):
        ControlSimulator("walker_fly")
    with pytest.raises(ConfigError, match="'state' nor 'pixels'"):
        ControlEnvironment("walker_walk", observation="sound")


def test_pixels_are_stacked_and_repeatable():
    def play(renders):
        environment = ControlEnvironment(
            "cheetah_run", observation="pixels", stack=3, settings=FAST
        )
        seen = [environment.reset(seed=1)[0]]
        for _ in range(3):
            if renders:
                environment.render()
            seen.append(environment.step(np.ones(6))[0])
        assert environment.observation_space.contains(seen[0])
        environment.close()
        return seen

    seen = play(renders=False)
    frames = [x[..., 6:] for x in seen]
    assert seen[0].shape == (64, 64, 9) and frames[0].std() > 10
    assert all((frames[0] == seen[0][..., i : i + 3]).all() for i in (0, 3))
    for t in (2, 3):
        assert np.array_equal(seen[t], np.concatenate(frames[t - 2 : t + 1], axis=-1))
    assert (frames[2] != frames[3]).any()
    assert np.array_equal(seen, play(renders=True))
