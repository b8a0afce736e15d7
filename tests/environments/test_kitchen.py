"""The kitchen against gymnasium-robotics' arm, and D4RL's rules on states that are set."""

import numpy as np
import pytest

from shared.environments.kitchen import GOALS, SETS
from shared.environments.simulators import make_environment


@pytest.fixture(scope="module")
def task():
    return make_environment("kitchen")


def test_the_arm_moves_as_gymnasium_robotics_arm(task):
    from gymnasium_robotics.envs.franka_kitchen import kitchen_env

    other = kitchen_env.KitchenEnv().robot_env
    other.model.geom_margin[:] /= 2
    start = other.init_qpos.copy()
    start[26:30] /= np.linalg.norm(start[26:30])  # the kettle's orientation
    other.reset(seed=0)
    observation, _ = task.reset(seed=1)
    np.testing.assert_allclose(task.data.qpos, start, rtol=0, atol=1e-9)
    other.set_state(task.data.qpos.copy(), task.data.qvel.copy())
    rng = np.random.default_rng(2)
    for _ in range(25):
        other._last_robot_qpos = observation[:9].copy()  # both steer from the noisy positions
        action = rng.uniform(-1.2, 1.2, 9)
        observation = task.step(action)[0]
        other.step(action)
        np.testing.assert_allclose(task.data.qpos, other.data.qpos, rtol=0, atol=1e-9)
    other.close()


def test_observation_is_noisy_positions_and_the_goal(task):
    seen, true = [], []
    for seed in range(40):
        observation, _ = task.reset(seed=seed)
        assert observation.shape == (60,)
        seen.append(observation[:30])
        true.append(task.data.qpos.copy())
    noise = np.abs(np.subtract(seen, true)).max(axis=0)
    # a tenth of the amplitudes in the robot's description
    np.testing.assert_allclose(noise[:9], 0.01, rtol=0.2)
    np.testing.assert_allclose(noise[11:17], 0.00005, rtol=0.2)
    np.testing.assert_allclose(noise[17:20], 0.0005, rtol=0.2)
    np.testing.assert_allclose(noise[20:23], 0.01, rtol=0.2)
    goal = dict(zip(range(30), observation[30:], strict=True))
    wanted = {k: v for name in SETS["kitchen"] for k, v in GOALS[name].items()}
    assert goal == {k: wanted.get(k, 0.0) for k in range(30)}
    np.testing.assert_array_equal(task.reset(seed=7)[0], task.reset(seed=7)[0])


def test_each_task_pays_once_and_the_last_one_ends_the_episode(task):
    task.reset(seed=0)
    stay = np.zeros(9)
    assert task.step(stay)[1:3] == (0.0, False)

    def put(*names):
        position = task.data.qpos.copy()
        for name in names:
            position[list(GOALS[name])] = list(GOALS[name].values())
        task.set_state(position, np.zeros(29))
        return task.step(stay)[1:3]

    assert put("microwave") == (1.0, False)
    assert put("microwave") == (0.0, False)
    assert put("bottom burner") == (0.0, False)  # is none of this set's four
    assert put("kettle", "slide cabinet") == (2.0, False)
    assert put("light switch") == (1.0, True)
    task.reset(seed=1)
    assert len(task.todo) == 4 and task.step(stay)[1] == 0.0


def test_the_time_limit_and_the_mixed_set():
    task = make_environment("kitchen-mixed")
    assert set(task.todo) == {"microwave", "kettle", "bottom burner", "light switch"}
    assert task.horizon == 280


def test_its_pictures_are_drawn_without_the_shadows_of_four_lights(task):
    """Without a GPU they would take 16 s each."""
    picture = task.render()
    assert picture.shape == (480, 480, 3) and picture.std() > 10
    assert not task._renderer.scene.flags[task._mujoco.mjtRndFlag.mjRND_SHADOW]
    task.close()
