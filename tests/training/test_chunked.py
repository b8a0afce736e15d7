"""An algorithm over chunks: its actions in order, its rewards, its memory, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import tiny_plan

from shared import load_policy
from shared.datasets.chunks import Chunk
from shared.errors import ConfigError, DataError
from shared.runs import sweep_plan, trained
from shared.runs.members import combinations
from shared.runs.start import train_plan
from shared.training.chunked import ChunkedState
from shared.training.seeds import of_seed


@pytest.fixture(scope="module")
def cloned(hopper_random, tmp_path_factory):
    """A run of BC over chunks of three, two of which are played."""
    plan = tiny_plan("bc", chunk=3, replan=2, steps=4)
    return train_plan(plan, hopper_random, tmp_path_factory.mktemp("chunked") / "bc")


def test_a_loaded_policy_plays_its_chunks_in_order(cloned, hopper_random):
    """Two actions of the chunk chosen at the first of two observations; rows for themselves."""
    seen = hopper_random.transitions.observation[:5]
    policy = load_policy(cloned)
    _, _, algorithm, states, _ = trained.load_state(cloned)
    state = of_seed(states, 0)
    chunks = np.asarray(
        jax.vmap(lambda o: algorithm.inner.act(state.member, (), o, key=None)[0])(seen)
    ).reshape(5, 3, 3)
    expected = [chunks[0, 0], chunks[0, 1], chunks[2, 0], chunks[2, 1], chunks[4, 0]]
    np.testing.assert_allclose([policy.act(o) for o in seen], expected, atol=1e-6)
    policy.reset()
    np.testing.assert_allclose(policy.act(seen[1]), chunks[1, 0], atol=1e-6)
    policy.act_batch(seen[:2])
    policy.reset(row=1)
    second = policy.act_batch(seen[2:4])
    np.testing.assert_allclose(second, [chunks[0, 1], chunks[3, 0]], atol=1e-6)


def test_what_is_added_to_a_reward_is_added_at_every_step():
    """Of two chunks of rewards 1 at 0.5, one of them ended by a terminal after three steps."""
    plain = tiny_plan("fql", discount=0.5**4, reward_shift=-1.0).build()
    chunked = tiny_plan("fql", chunk=2, n_step=2, discount=0.5, reward_shift=-1.0).build()
    assert chunked.inner == plain
    sums, rows = jnp.array([1.875, 1.75]), jnp.zeros((2, 1))
    drawn = Chunk(rows, rows, sums, jnp.array([False, True]), rows, steps=sums)
    found = chunked._rewarded(ChunkedState(None, jnp.zeros(1)), drawn)
    # The algorithm adds the last -1 itself: all rewards are 0.
    np.testing.assert_allclose(found.reward - 1, [0, 0], atol=1e-6)


def test_a_value_of_the_losses_is_swept_side_by_side_and_one_of_the_draw_apart(hopper_random):
    data = hopper_random.to_device()
    for name, reason in (("alpha", None), ("discount", "discount shapes the program")):
        swept = combinations({name: [0.5, 0.9]})
        plans = [tiny_plan("fql", chunk=2, **values) for values in swept]
        assert sweep_plan.why_apart(plans, swept, hopper_random.spec, data) == reason


def test_a_model_of_chunks_is_told_from_one_of_actions():
    """It serves the same chunks alone."""
    of_chunks, of_actions = (tiny_plan("dsrl", chunk=n).build().reusable for n in (2, 1))
    assert of_chunks != of_actions and "chunk" in of_chunks.keys
    assert (
        tiny_plan("dsrl", chunk=2).build().reusable == tiny_plan("dsrl", chunk=3).build().reusable
    )


def test_what_cannot_be_is_refused_in_one_sentence(hopper_random):
    with pytest.raises(ConfigError, match="replan is 3, but chunk is 2; play at most"):
        tiny_plan("bc", chunk=2, replan=3)
    with pytest.raises(ConfigError, match="online_steps is 5, .* set chunk and n_step to 1"):
        tiny_plan("plas", chunk=2, online_steps=5)
    longest = int(hopper_random.episode_lengths.max())
    with pytest.raises(DataError, match=f"longest episode has {longest} steps, fewer than"):
        tiny_plan("iql", chunk=longest, n_step=2).build().remarks(hopper_random)
