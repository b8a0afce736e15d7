"""antmaze against gymnasium's ant, and its mazes against rays from above."""

from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest

from shared.data.catalog import CATALOG
from shared.environments.antmaze import MAZES
from shared.environments.simulators import make_environment

SIZES = list(MAZES)


@pytest.fixture(scope="module", params=SIZES)
def task(request):
    return make_environment(f"antmaze-{request.param}")


@pytest.fixture(scope="module")
def ant():
    """gymnasium's ant with what D4RL changed: time step, motors, softness of contacts.

    Margins were the larger of two and are summed today, so they are left to the floor.
    """
    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "ant.xml"
    model = mujoco.MjModel.from_xml_path(str(path))
    model.opt.timestep = 0.02
    model.actuator_gear[:, 0] = 1
    model.actuator_ctrlrange[:] = (-30, 30)
    model.geom_solimp[:, :3] = (0.8, 0.8, 0.01)
    model.geom_margin[1:] = 0
    return model


def test_the_ant_is_gymnasiums(ant):
    model = make_environment("antmaze-umaze").model
    assert (model.nq, model.nv, model.nu) == (15, 14, 8)
    bodies, geoms = ant.nbody, ant.ngeom
    for name in ("body_mass", "body_inertia", "body_ipos", "body_pos", "body_parentid"):
        ours = getattr(model, name)[:bodies]
        np.testing.assert_allclose(ours, getattr(ant, name), atol=1e-12, err_msg=name)
    for name in (
        *("jnt_type", "jnt_axis", "jnt_pos", "jnt_range", "jnt_limited", "jnt_solref"),
        *("dof_damping", "dof_armature", "qpos0", "actuator_trnid", "actuator_ctrlrange"),
        *("actuator_gear", "actuator_gainprm", "actuator_biasprm"),
    ):
        np.testing.assert_allclose(
            getattr(model, name), getattr(ant, name), atol=1e-12, err_msg=name
        )
    floor_and_ant = [0, *range(model.ngeom - geoms + 1, model.ngeom)]  # the walls are between
    for name in (
        *("geom_type", "geom_pos", "geom_quat", "geom_friction", "geom_condim"),
        *("geom_contype", "geom_conaffinity", "geom_solref", "geom_solimp", "geom_margin"),
    ):
        ours = getattr(model, name)[floor_and_ant]
        np.testing.assert_allclose(ours, getattr(ant, name), atol=1e-9, err_msg=name)


def test_steps_are_those_of_gymnasiums_ant_away_from_walls(ant):
    """Falling, landing and crawling, until a leg (of 1.2 m) might meet a wall (2 m away)."""
    task, rng, grounded = make_environment("antmaze-large"), np.random.default_rng(0), 0
    for seed in range(8):
        data = mujoco.MjData(ant)
        observation, _ = task.reset(seed=seed)
        data.qpos[:], data.qvel[:] = observation[:15], observation[15:]
        for _ in range(100):
            action = rng.uniform(-1.2, 1.2, 8)
            data.ctrl[:] = 30 * np.clip(action, -1, 1)
            mujoco.mj_step(ant, data, 5)
            observation = task.step(action)[0]
            expected = np.concatenate([data.qpos, data.qvel])
            np.testing.assert_allclose(observation, expected, rtol=0, atol=1e-9)
            grounded += task.data.ncon > 0
            if np.abs(observation[:2]).max() > 0.5:
                break
    assert grounded > 100


def test_walls_stand_where_the_map_has_them(task):
    """Rays from above: walls are 2 m high, floor is free, in cells of 4 m about the start."""
    rows = {5: UMAZE, 8: MEDIUM, 9: LARGE}[task.maze.height]
    down, geom = np.array([0.0, 0.0, -1.0]), np.zeros(1, np.int32)
    only_world = np.array([0, 0, 0, 0, 0, 0], np.uint8)
    only_world[0] = 1
    for i, row in enumerate(rows.split()):
        for j, kind in enumerate(row):
            for dx, dy in ((0, 0), (1.9, -1.9), (-1.9, 1.9), (1.9, 1.9)):
                start = np.array([4.0 * (j - 1) + dx, 4.0 * (i - 1) + dy, 5.0])
                torso = task.model.body("torso").id
                distance = mujoco.mj_ray(
                    task.model, task.data, start, down, only_world, 1, torso, geom
                )
                if kind == "#":
                    assert distance == pytest.approx(3)
                elif abs(start[0]) > 1.5 or abs(start[1]) > 1.5:  # the ant stands about (0, 0)
                    assert distance == pytest.approx(5)


UMAZE = "##### #...# ###.# #...# #####"
MEDIUM = "######## #..##..# #..#...# ##...### #..#...# #.#..#.# #...#..# ########"
LARGE = (
    "############ #....#.....# #.##.#.#.#.# #......#...# #.####.###.# "
    "#..#.#.....# ##.#.#.#.### #..#...#...# ############"
)


def test_a_wall_stops_the_ant():
    task = make_environment("antmaze-umaze")
    task.reset(seed=0)
    position, velocity = task.data.qpos.copy(), np.zeros(14)
    position[:3], velocity[0] = (0.5, 0.0, 0.9), -6.0  # the wall begins at x = -2
    task.set_state(position, velocity)
    lowest = min(task.step(np.zeros(8))[0][0] for _ in range(20))
    assert -1.8 < lowest < -1.0


def test_starts_goals_reward_and_ends(task):
    size = next(k for k, (maze, _) in MAZES.items() if maze == task.maze)
    middle = {"umaze": (0, 8), "medium": (20, 20), "large": (32, 24)}[size]
    goals, starts = [], []
    for seed in range(200):
        observation, _ = task.reset(seed=seed)
        goals.append(task.goal - middle)
        np.testing.assert_allclose(task.data.site("goal").xpos[:2], task.goal)
        starts.append(observation)
    goals, starts = np.array(goals), np.array(starts)
    # U(0, 1) + U(0, 0.5): mean 0.75, within [0, 1.5]
    assert goals.min() >= 0 and 1.2 < goals.max() <= 1.5
    np.testing.assert_allclose(goals.mean(axis=0), 0.75, atol=0.1)
    assert starts.shape == (200, 29) and np.abs(starts[:, :2]).max() <= 0.1
    assert np.abs(starts[:, 2] - 0.75).max() <= 0.1
    np.testing.assert_allclose(np.linalg.norm(starts[:, 3:7], axis=1), 1)
    assert 0.09 < starts[:, 15:].std() < 0.11

    seen = set()
    for distance in np.linspace(0.2, 0.8, 13):
        task.reset(seed=1)
        position = task.data.qpos.copy()
        position[:2] = task.goal - (distance, 0)
        task.set_state(position, np.zeros(14))
        observation, reward, terminal, timeout, _ = task.step(np.zeros(8))
        reached = bool(np.linalg.norm(observation[:2] - task.goal) <= 0.5)
        assert (reward, terminal, timeout) == (float(reached), reached, False)
        seen.add(reached)
    assert seen == {True, False}
    task.reset(seed=2)
    flags = [task.step(np.zeros(8))[2:4] for _ in range(task.horizon)]
    expected = [(False, False)] * (task.horizon - 1) + [(False, True)]
    assert flags == expected
    assert task.horizon == (700 if size == "umaze" else 1000)


def test_six_sets_share_three_environments():
    entries = [entry for entry in CATALOG.values() if entry.suite == "antmaze"]
    assert len(entries) == 6
    assert {e.environment.name for e in entries} == {f"antmaze-{size}" for size in SIZES}
