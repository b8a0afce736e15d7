"""What is taken as a flag, a picture and a rate, and what is refused in words."""

import numpy as np
import pytest

from shared.environments import answers

NAN = float("nan")


@pytest.mark.parametrize("found", [True, np.True_, 1, 1.0, np.array(True), np.array([1])])
def test_flags(found):
    assert answers.flag("terminal", found) is True


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "gave NoneType as terminal"),
        ("no", "gave str as terminal"),
        (NAN, "gave a terminal of nan"),
        (0.5, "gave a terminal of 0.5"),
        (np.zeros(2, bool), r"gave a terminal of shape \(2,\)"),
    ],
)
def test_what_is_no_flag(found, words):
    with pytest.raises(answers.Unfit, match=words):
        answers.flag("terminal", found)


@pytest.mark.parametrize(
    "found",
    [
        np.zeros((4, 5, 3)),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((4, 5), np.uint8),
        [np.zeros((4, 5, 3), np.uint8)],
    ],
)
def test_what_is_no_picture(found):
    with pytest.raises(answers.Unfit, match=r"drew .* not uint8 of \(height, width, 3\)"):
        answers.picture(found)


def test_a_rate_that_is_none_is_30():
    assert answers.rate({"render_fps": 125}) == 125
    for metadata in (None, {}, *({"render_fps": x} for x in (None, 0, -1, NAN, np.inf, "10"))):
        assert answers.rate(metadata) == 30


def test_whole_numbers_and_float64_are_numbers():
    for dtype in (np.int64, np.float64, np.float32):
        found = np.arange(3).astype(dtype)
        assert answers.observation(found, (3,)) is found
    assert answers.reward(np.float64(2.5)) == answers.reward([[2.5]]) == 2.5
    with pytest.raises(answers.Unfit, match="gave a frame of float32, not of uint8"):
        answers.observation(np.zeros((2, 2, 3), np.float32), (2, 2, 3))
