"""OGBench's tasks: names, sizes, horizons, repeatable starts, success as score."""

import gymnasium
import numpy as np
import pytest

from shared.data.catalog import lookup
from shared.environments.checked import make_checked
from shared.environments.ogbench_names import DOMAINS, FILES, TASKS, parse
from shared.environments.ogbench_simulator import OGBench, judge, package
from shared.environments.scores import episode_score, normalized_score
from shared.environments.tasks import TERMINALS_INSIDE, find_task
from shared.errors import DataError
from shared.training.evaluation import evaluate


def test_users_names_mean_a_file_and_a_task():
    ends = ("", "-v0", "-singletask-v0", "-singletask-task2", "-singletask-task2-v0")
    same = [f"cube-single-play{end}" for end in ends]
    assert {str(parse(name)) for name in same} == {"cube-single-play"}
    assert {lookup(name).name for name in same} == {"cube-single-play"}
    other = lookup("cube-single-noisy-singletask-task5-v0")
    assert other.name == "cube-single-noisy-singletask-task5"
    assert other.file == "ogbench/cube-single-noisy-v0.npz"
    assert find_task(other.name) == other.environment
    assert other.environment.by_success and other.environment.quirk == TERMINALS_INSIDE
    for wrong in ("cube-single-play-singletask-task6", "cube-single-play-v1", "antmaze-large-play"):
        assert parse(wrong) is None
    with pytest.raises(DataError, match="did you mean 'cube-single-play'"):
        lookup("cube-single-play-singletask-task6-v0")


def test_horizons_and_tasks_are_those_of_the_package():
    package()
    for domain, known in DOMAINS.items():
        spec = gymnasium.spec(f"{domain}-singletask-v0")
        assert spec.max_episode_steps == known.horizon, domain
        gymnasium.spec(f"{domain}-singletask-task{TASKS}-v0")
    assert {name.rpartition("-")[0] for name in FILES} == set(DOMAINS)


@pytest.mark.parametrize(
    "domain", ["cube-double", "pointmaze-giant", "humanoidmaze-medium", "antsoccer-arena"]
)
def test_sizes_and_default_tasks_are_those_of_the_package(domain):
    made = package().make_env_and_datasets(
        f"{domain}-any-singletask-v0", env_only=True, disable_env_checker=True
    )
    task = OGBench(next(name for name in FILES if name.startswith(domain)))
    observation, _ = task.reset(seed=0)
    assert observation.shape == (DOMAINS[domain].observation_size,)
    assert task.action_space.shape == (DOMAINS[domain].action_size,)
    assert made.unwrapped._reward_task_id == DOMAINS[domain].task
    assert task.environment._reward_task_id == DOMAINS[domain].task
    task.close()


@pytest.mark.parametrize("name", ["cube-single-play", "pointmaze-teleport-navigate"])
def test_a_seed_repeats_an_episode_and_leaves_the_global_generator_alone(name):
    size, seen = find_task(name).action_size, []
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    for warm in (False, True):
        task, generator = make_checked(name), np.random.default_rng(0)
        if warm:
            task.reset(seed=9)
            task.step(np.ones(size, np.float32))
        rows = [task.reset(seed=3)[0]]
        rows += [task.step(generator.uniform(-1, 1, size))[0] for _ in range(12)]
        seen.append(rows)
    np.testing.assert_array_equal(*seen)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_success_ends_the_episode_and_scores_100():
    task = make_checked("cube-single-play-singletask-task3")
    task.reset(seed=0)
    inner = task._environment.environment
    cube, still = inner.data.joint("object_joint_0"), np.zeros(5, np.float32)
    assert task.step(still)[1:4] == (-1.0, False, False)
    cube.qpos[:3] = inner.data.mocap_pos[0]
    inner.post_step()
    assert task.step(np.ones(5, np.float32))[1:4] == (0.0, True, False)  # whatever the action does
    name = "cube-single-play-singletask-task3"
    assert episode_score(name, -2.0, True) == 100.0 and episode_score(name, -200.0, False) == 0.0
    assert np.isnan(normalized_score(name, -2.0))
    assert episode_score("hopper", 3234.3, True) == pytest.approx(100)


@pytest.mark.parametrize("name", ["pointmaze-medium-navigate-singletask-task3", "puzzle-3x3-play"])
def test_recorded_states_are_judged_as_the_simulator_paid(name):
    task, generator = OGBench(name), np.random.default_rng(1)
    task.reset(seed=1)
    inner = task.environment
    states = {"qpos": [], "button_states": []}
    paid = []
    for t in range(15):
        if t == 8 and name.startswith("puzzle"):
            inner._cur_button_states = inner._target_button_states.copy()
        elif t == 8:
            inner.set_xy(np.array(inner.cur_goal_xy))
        states["qpos"].append(inner.data.qpos.copy())
        states["button_states"].append(np.array(getattr(inner, "_cur_button_states", 0)))
        _, reward, terminal, _, _ = task.step(generator.uniform(-1, 1, task.action_space.shape))
        if t != 8 or not name.startswith("puzzle"):  # it looks at buttons when they are pressed
            paid.append((reward, terminal))
    columns = {key: np.array(x, np.float32) for key, x in states.items()}
    rewards, masks = judge(parse(name), columns)
    kept = [t for t in range(15) if t != 8 or not name.startswith("puzzle")]
    np.testing.assert_array_equal(rewards[kept], [x[0] for x in paid])
    np.testing.assert_array_equal(masks[kept] == 0, [x[1] for x in paid])
    assert 0 < (masks == 0).sum() < 15


def test_an_evaluation_tells_the_success_and_the_raw_return():
    import jax.numpy as jnp

    from shared.algorithm import AbstractAlgorithm

    class Diagonal(AbstractAlgorithm):
        """To the goal in a straight line, through walls if need be."""

        title, paper = "a straight line", "none"

        def init(self, spec, *, key):
            raise AssertionError

        def phases(self):
            return ()

        def act(self, state, memory, observation, *, key):
            way = state - observation
            return jnp.clip(5 * way, -1, 1), memory

    name = "pointmaze-medium-navigate"
    goal = OGBench(name).environment
    goal.reset(seed=0)
    simulators = [make_checked(name) for _ in range(2)]
    for simulator in simulators:  # start next to the goal, as no straight line leads there
        inner = simulator._environment.environment
        inner.task_infos[0]["init_ij"] = (5, 6)
        simulator.limit = 30
    inner.task_infos[0]["init_ij"] = (1, 1)  # the second one starts where walls are between
    rows = evaluate(
        Diagonal(),
        jnp.asarray(goal.cur_goal_xy, jnp.float32)[None],
        name,
        seeds=(0,),
        step=0,
        episodes=1,
        simulators=simulators,
    )
    assert [row["score"] for row in rows] == [100.0, 0.0]
    assert rows[0]["return"] == -(rows[0]["length"] - 1) and rows[1]["return"] == -30
