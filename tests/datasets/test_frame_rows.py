"""Transitions out of frames: the same rows as of states, stacks and returns of several steps."""

import jax
import numpy as np
import pytest

from shared.datasets.frame_rows import FrameRows
from shared.datasets.frame_store import to_device
from shared.datasets.frames import Frames, to_transitions
from shared.datasets.rows import make_dataset

LENGTHS = (7, 1, 12, 2)
BATCH, STEPS, DISCOUNT, STACK = 64, 3, 0.9, 3


@pytest.fixture(scope="module")
def frames():
    """The second episode and the last one end for good."""
    generator = np.random.default_rng(0)
    episode = np.repeat(np.arange(len(LENGTHS)), np.array(LENGTHS) + 1).astype(np.int32)
    count = len(episode)
    image = generator.integers(0, 256, (count, 2, 2, 3), np.uint8)
    acted = np.append(episode[1:] == episode[:-1], False)
    action, reward = generator.uniform(-1, 1, (2, count)).astype(np.float32) * acted
    terminal = np.zeros(count, bool)
    terminal[[8, count - 2]] = True
    state = image.reshape(count, -1).astype(np.float32)
    return Frames(image, state, action[:, None], reward, terminal, episode)


@jax.jit
def draws(dataset):
    key = jax.random.key(3)
    return (
        dataset.draw(BATCH, key=key),
        dataset.draw_training(BATCH, key=key),
        dataset.draw_best(BATCH, 0.4, key=key),
        dataset.draw_steps(BATCH, STEPS, DISCOUNT, key=key),
    )


def test_a_key_draws_the_same_rows_from_frames_and_from_transitions(frames):
    rows = draws(make_dataset(*to_transitions(frames)))
    seen = draws(FrameRows(to_device(frames, where="device")))
    for x, y in zip(jax.tree.leaves(rows), jax.tree.leaves(seen), strict=True):
        np.testing.assert_allclose(x, np.reshape(y, x.shape), rtol=1e-6)


def test_stacks_and_returns_against_slow_numpy(frames):
    dataset = to_device(frames, where="device")
    one, _, _, several = draws(FrameRows(dataset, STACK))
    key, acted = jax.random.key(3), np.flatnonzero(frames.acted)
    index = acted[np.asarray(jax.random.randint(key, (BATCH,), 0, len(acted)))]
    first = {e: np.flatnonzero(frames.episode == e)[0] for e in range(len(LENGTHS))}

    def stack(number):
        begin = first[frames.episode[number]]
        return np.concatenate([frames.image[max(begin, number - k)] for k in (2, 1, 0)], axis=-1)

    short = 0
    for i, number in enumerate(index):
        total, discount, at = 0.0, 1.0, number
        for _ in range(STEPS):
            if at not in acted or discount == 0:
                break
            total += discount * frames.reward[at]
            discount = 0.0 if frames.terminal[at] else discount * DISCOUNT
            at += 1
        short += at < number + STEPS
        np.testing.assert_array_equal(one.observation[i], stack(number))
        np.testing.assert_array_equal(one.next_observation[i], stack(number + 1))
        np.testing.assert_array_equal(several.observation[i], stack(number))
        np.testing.assert_array_equal(several.next_observation[i], stack(at))
        np.testing.assert_allclose(several.reward[i], total, rtol=1e-5)
        np.testing.assert_allclose(several.discount[i], discount, rtol=1e-6)
    assert short > 5 and (several.discount == 0).any()
