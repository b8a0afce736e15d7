"""Films: what is announced is written, the camera follows, and a caption tells where we are."""

import imageio.v3 as imageio
import numpy as np
import pytest
from click.testing import CliRunner

from cnf.cli import main
from shared.environments.caption import HEIGHT, WIDTH, captioned
from shared.environments.checked import make_checked
from shared.environments.units import PLAIN
from shared.environments.video import film, pictures_of
from shared.errors import ConfigError


class Fallen:
    """A policy of the hopper that falls at once."""

    record = {"environment": "hopper", "dataset": "hopper-random", "spec": {}}
    units = PLAIN

    def reset(self):
        self.steps = 0

    def act(self, observation, *, reward):
        self.steps += 1
        return np.ones(3, np.float32)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio leaves pipes open
@pytest.mark.parametrize(("name", "every"), [("a.gif", 4), ("a.mp4", 1)])
def test_as_many_pictures_are_announced_as_are_written(tmp_path, name, every):
    policy = Fallen()
    count = film(policy, tmp_path / name, label="hopper  ")
    pictures = imageio.imread(tmp_path / name)
    shown = {*range(0, policy.steps, every), policy.steps}
    assert count == len(pictures) == len(shown)
    assert pictures.shape[1:] == (512, 480, 3) and pictures[:, HEIGHT:].std() > 10
    assert (pictures[0, :HEIGHT] != pictures[-1, :HEIGHT]).any()
    assert len(pictures_of(policy, every=2, steps=5)[0]) == 4 and policy.steps == 5


@pytest.mark.parametrize("task", ["hopper", "walker2d", "halfcheetah"])
def test_the_camera_follows_the_robot(task):
    """Its colour, far from the start as at it; a camera that stays sees the floor alone."""
    simulator, seen = make_checked(task, render=True), []
    simulator.reset(seed=0)
    robot = simulator._environment.unwrapped
    for x in (0.0, 12.0):
        position = robot.init_qpos.copy()
        position[0] += x
        robot.set_state(position, robot.init_qvel)
        red, _, blue = np.moveaxis(simulator.render().astype(int), -1, 0)
        seen.append(np.argwhere(red - blue > 40))
    simulator.close()
    near, far = seen
    assert len(near) > 500 and abs(len(far) / len(near) - 1) < 0.5
    np.testing.assert_allclose(far.mean(0), near.mean(0), atol=40)


def test_captions_are_cut_where_the_picture_ends():
    picture = np.full((40, WIDTH, 3), 9, np.uint8)
    long, short = captioned(picture, "m" * 200), captioned(picture, "m")
    assert long.shape == short.shape == (40 + HEIGHT, WIDTH, 3)
    assert (long[HEIGHT:] == 9).all() and long[:HEIGHT, -8:].any() and not short[:HEIGHT, -8:].any()
    assert short[:HEIGHT].max() == 255


def test_small_pictures_are_enlarged_until_the_caption_can_be_read():
    picture = np.arange(2 * 100 * 3, dtype=np.uint8).reshape(2, 100, 3)
    shown = captioned(picture, "x")[HEIGHT:]
    assert shown.shape == (8, WIDTH, 3) and not shown[:, :40].any() and not shown[:, -40:].any()
    np.testing.assert_array_equal(shown[::4, 40:-40:4], picture)
    assert captioned(np.zeros((2, 500, 3), np.uint8), "x").shape == (2 + HEIGHT, 500, 3)


def test_an_unknown_ending_is_refused_first(tmp_path):
    with pytest.raises(ConfigError, match="written as .mp4 or .gif"):
        film(Fallen(), tmp_path / "x.avi")
    words = ["evaluate", str(tmp_path / "nothing"), "--video", str(tmp_path / "x.avi")]
    answer = CliRunner().invoke(main, words)
    assert answer.exit_code == 2 and "videos are written as .mp4 or .gif" in answer.output
