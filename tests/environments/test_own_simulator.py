"""A simulator of another package from its registration to its film, in the robot's own units."""

import csv
import sys

import gymnasium
import h5py
import imageio.v3 as imageio
import numpy as np
import pytest
from click.testing import CliRunner

from cnf.cli import main
from shared.environments import tasks
from shared.environments.units import Units
from shared.record.run_folder import RunFolder
from shared.runs import trained

HORIZON, LOW, HIGH = 6, np.float32([-2, 0]), np.float32([2, 1])
WEIGHTS = np.array([1.0, 10.0])

MODULE = """
import gymnasium
import numpy as np
from shared.environments.tasks import Environment

class Slider(gymnasium.Env):
    '''Nothing ends it; the reward is what was commanded, so that it can be read off.'''

    metadata = {"render_modes": ["rgb_array"], "render_fps": None}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    action_space = gymnasium.spaces.Box(np.float32([-2, 0]), np.float32([2, 1]))

    def __init__(self, ends=False, render_mode=None):
        self._ends = ends

    def reset(self, *, seed=None, options=None):
        self._x = np.random.default_rng(seed).normal(size=3)
        return self._x, {}

    def step(self, command):
        reward = float(command @ np.array([1.0, 10.0]))
        self._x = 0.9 * self._x + 0.1 * np.resize(command, 3)
        command *= 0  # what it is given is its own
        return self._x, reward, self._ends, False, {}

    def render(self):
        return np.full((41, 63, 3), 200, np.uint8)

gymnasium.register("Slider-v0", Slider)
gymnasium.register("Ends-v0", Slider, kwargs={"ends": None})
NAN = float("nan")
SLIDER = Environment("slider", "sliders:Slider-v0", NAN, NAN, 6, 3, 2)
ENDS = Environment("ends", "sliders:Ends-v0", NAN, NAN, 6, 3, 2)
FREE = Environment("free", "sliders:Slider-v0", NAN, NAN, 0, 3, 2)
"""
POINTS = "[latent_policies.environments]\n" + "".join(
    f"{name} = sliders:{name.upper()}\n" for name in ("slider", "ends", "free")
)
TRAIN = (
    "--algo iql --steps 8 --online-steps 12 --set online_block=6 --set steps_per_call=4 "
    "--set batch_size=16 --set episodes=1 --set actor_hidden_sizes=[8] "
    "--set critic_hidden_sizes=[8] --set value_hidden_sizes=[8]"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An installed package with three tasks, and data in the units of its simulator."""
    folder, generator = tmp_path_factory.mktemp("sliders"), np.random.default_rng(0)
    about = folder / "sliders-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sliders\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    (folder / "sliders.py").write_text(MODULE)
    rows = 20 * HORIZON
    with h5py.File(folder / "data.hdf5", "w") as file:
        file["observations"] = generator.normal(size=(rows, 3)).astype("f4")
        file["actions"] = generator.uniform(LOW, HIGH, (rows, 2)).astype("f4")
        file["rewards"] = generator.normal(size=rows).astype("f4")
        file["terminals"] = np.arange(rows) % (3 * HORIZON) == 3 * HORIZON - 1
        file["timeouts"] = (np.arange(rows) % HORIZON == HORIZON - 1) & ~file["terminals"][:]
        file.attrs.update(action_low=LOW, action_high=HIGH)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        tasks.environments.cache_clear()
        yield folder
    for name in ("Slider-v0", "Ends-v0"):
        gymnasium.registry.pop(name, None)
    sys.modules.pop("sliders", None)
    tasks.environments.cache_clear()


def run(words, code=0):
    answer = CliRunner().invoke(main, words.split())
    assert answer.exit_code == code, answer.output + repr(answer.exception)
    return " ".join(answer.output.split())


@pytest.fixture(scope="module")
def trained_run(folder):
    run(f"train --env slider --data {folder}/data.hdf5 {TRAIN} --out {folder}/run")
    return folder / "run"


def commanded(actions):
    """By hand: the middle of the range, and half of its width."""
    return (LOW + HIGH) / 2 + actions * (HIGH - LOW) / 2


@pytest.mark.long
def test_every_episode_is_cut_at_the_registered_horizon(trained_run):
    with open(trained_run / "scores.csv") as file:
        assert {int(row["length"]) for row in csv.DictReader(file)} == {HORIZON}
    assert Units.of(RunFolder.open(trained_run, write=False).record).action_range is not None


def test_fine_tuning_commands_the_robots_own_units(trained_run):
    """Two episodes of six steps: their rewards are the commands, not the actions."""
    plan, record, algorithm, state, position = trained.load_state(trained_run)
    rows = _replay(trained_run, plan, record, algorithm)
    assert rows.action.shape == (HORIZON * 2, 2) and np.abs(rows.action).max() <= 1
    np.testing.assert_allclose(rows.reward, commanded(rows.action) @ WEIGHTS, rtol=1e-5)
    assert position["global_step"] == 8 + 2 * HORIZON and not rows.terminal.any()


def _replay(path, plan, record, algorithm):
    import jax

    from shared.training import online, program
    from shared.types import Spec

    spec = Spec.blank((3,), 2)
    shown = online.nothing_shown(record["environment"], spec, plan.settings, plan.seeds)
    template = program.state_shapes(algorithm, spec, plan.seeds)
    (_, shown), _ = RunFolder.open(path, write=False).checkpoints.restore((template, shown))
    assert shown.episode.tolist() == [[2]] and shown.elapsed.tolist() == [[0]]
    return jax.tree.map(lambda x: np.asarray(x[0]), shown.replay.rows)


def test_evaluation_and_deployment_command_the_same(trained_run):
    from shared.training.evaluation import evaluate

    plan, record, algorithm, state, _ = trained.load_state(trained_run)
    steps = []
    rows = evaluate(
        *(algorithm, state, "slider"),
        **{"seeds": plan.seeds, "step": 1, "episodes": 1, "units": Units.of(record)},
        watch=lambda i, *step: steps.append((i, *step)),
    )
    policy = trained.load_policy(trained_run)
    for i, observation, action, reward, _ in steps:
        assert reward == pytest.approx(commanded(action) @ WEIGHTS, rel=1e-5)
        if i == 0:
            np.testing.assert_allclose(policy.act(observation), commanded(action), rtol=1e-5)
    assert rows[0]["return"] == pytest.approx(sum(x[3] for x in steps if x[0] == 0))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio leaves pipes open
@pytest.mark.parametrize(("ending", "pictures"), [("mp4", 7), ("gif", 3)])
def test_its_film_its_q_errors_and_distances(trained_run, folder, ending, pictures):
    """Pictures of 41 by 63 are enlarged seven times; up to whole blocks they are not stretched."""
    film = folder / f"film.{ending}"
    said = run(f"evaluate {trained_run} --episodes 1 --q-error --distance --seed 0 --video {film}")
    assert f"{film}: {pictures} frames" in said and "nearest recorded state" in said
    shown = imageio.imread(film)
    height = 32 + 7 * 41
    assert shown.shape == (pictures, height + (-height % 16 if ending == "mp4" else 0), 480, 3)
    robot = shown[:, 36 : height - 4, 24:456].astype(int)
    assert np.abs(robot - 200).max() <= 4


def test_a_fault_of_the_simulator_ends_training_with_its_name(folder):
    said = run(f"train --env ends --data {folder}/data.hdf5 {TRAIN} --out {folder}/ends", code=7)
    assert "the simulator 'sliders:Ends-v0' of 'ends' gave NoneType as terminal" in said
    assert "learning rate" not in said and "Traceback" not in said


def test_the_seed_of_no_film_is_refused(trained_run):
    assert "give --video too" in run(f"evaluate {trained_run} --seed 0", code=2)


@pytest.mark.filterwarnings("default")
def test_no_limit_is_told_in_one_line_and_cuts_no_data(folder):
    """Not even where the file says nothing of its timeouts."""
    with h5py.File(folder / "data.hdf5") as file, h5py.File(folder / "bare.hdf5", "w") as bare:
        for key in ("observations", "actions", "rewards", "terminals"):
            bare[key] = file[key][:]
        bare.attrs.update(file.attrs)
    words = f"train --env free --data {folder}/bare.hdf5 --algo bc --steps 2 --set episodes=1"
    said = run(f"{words} --set hidden_sizes=[8] --set batch_size=8 --out {folder}/free")
    assert said.count("warning: neither 'free' nor its simulator limits an episode") == 1
    assert "only terminal rows end an episode" in said and "stops after" not in said
    record = RunFolder.open(folder / "free", write=False).record
    assert record["data"]["episodes"] == 7
