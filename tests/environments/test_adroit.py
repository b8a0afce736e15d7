"""Adroit against gymnasium-robotics' own environments, and against D4RL's reference returns."""

import importlib

import numpy as np
import pytest

from shared.environments.adroit import TASKS
from shared.environments.simulators import make_environment
from shared.environments.tasks import ENVIRONMENTS


@pytest.fixture(scope="module", params=TASKS)
def pair(request):
    """Our task and the other package's environment, which differs in what D4RL has not."""
    name = request.param
    module = importlib.import_module(f"gymnasium_robotics.envs.adroit_hand.adroit_{name}")
    other = getattr(module, f"AdroitHand{name.capitalize()}Env")()
    other.model.geom_margin[:] = 0.00025
    yield name, make_environment(name), other
    other.close()


def test_observations_and_rewards(pair):
    """Same starts and steps; rewards but for the sign of 0.1 · distance of palm and object."""
    name, task, other = pair
    rng, turned = np.random.default_rng(0), 0
    for seed in range(3):
        observation, _ = task.reset(seed=seed)
        expected, _ = other.reset(seed=seed)
        for _ in range(60):
            np.testing.assert_allclose(observation, expected, rtol=0, atol=1e-9)
            action = rng.uniform(-1.2, 1.2, task.action_size)
            observation, reward, *_ = task.step(action)
            expected, other_reward, *_ = other.step(action)
            palm = other.data.site("S_grasp").xpos
            thing = palm
            if name == "door":
                thing = other.data.site("S_handle").xpos
            elif name != "pen":
                thing = other.data.body("Object").xpos
            apart = 0.2 * np.linalg.norm(palm - thing)
            assert reward == pytest.approx(other_reward - apart, abs=1e-9)
            turned += apart > 0.01
    assert (turned > 100) == (name != "pen")


def test_bonuses(pair):
    """States near success, which random actions do not meet."""
    name, task, other = pair
    task.reset(seed=0), other.reset(seed=0)
    rewards, distance = [], 0.0
    for amount in (0.0, 0.5, 1.1, 1.5):
        position = task.data.qpos.copy()
        if name == "door":
            position[-2] = amount  # the hinge
        elif name == "hammer":
            position[-7] = 0.06 * amount  # the nail
        elif name == "relocate":
            ball, target = task.data.body("Object").xpos, task.data.site("target").xpos
            position[-6:-3] += (target - ball) * min(amount, 1)
        else:
            angle = task.model.body("target").quat  # turned about x alone, a little
            angle[:] = other.model.body("target").quat[:] = np.eye(4)[0]
            position[-6:] = (0, 0, 0, 0, -np.pi / 2 * min(amount, 1), 0)
        task.set_state(position, 0 * task.data.qvel)
        other.set_state(position, 0 * other.data.qvel)
        action = np.zeros(task.action_size)
        reward = task.step(action)[1]
        expected = other.step(action)[1]
        palm = task.data.site("S_grasp").xpos
        if name == "door":
            distance = np.linalg.norm(palm - task.data.site("S_handle").xpos)
        elif name != "pen":
            distance = np.linalg.norm(palm - task.data.body("Object").xpos)
        assert reward == pytest.approx(expected - 0.2 * distance, abs=1e-9)
        rewards.append(reward)
    assert max(rewards) > {"door": 19, "hammer": 20, "relocate": 29, "pen": 59}[name]


@pytest.mark.parametrize(("name", "margin"), [("door", 1.5), ("hammer", 6), ("relocate", 4)])
def test_random_actions_return_what_d4rl_says(name, margin):
    """D4RL's lower reference return is that of a random policy."""
    task, returns = make_environment(name), []
    for seed in range(6):
        task.reset(seed=seed)
        rewards, timeout = [], False
        while not timeout:
            _, reward, terminal, timeout, _ = task.step(
                task.np_random.uniform(-1, 1, task.action_size)
            )
            assert not terminal
            rewards.append(reward)
        assert len(rewards) == 200
        returns.append(sum(rewards))
    assert np.mean(returns) == pytest.approx(ENVIRONMENTS[name].minimum, abs=margin)


def test_pen_ends_after_100_steps_or_when_it_falls():
    task, ends = make_environment("pen"), []
    for seed in range(8):
        task.reset(seed=seed)
        over, steps = False, 0
        while not over:
            action = (seed % 2) * task.np_random.uniform(-1, 1, task.action_size)
            _, reward, terminal, timeout, _ = task.step(action)
            over, steps = terminal or timeout, steps + 1
        fell = bool(task.data.body("Object").xpos[2] < 0.075)
        assert terminal == fell and timeout == (steps == 100)
        assert not fell or reward < -3
        ends.append(fell)
    assert set(ends) == {True, False}
