"""A trained policy checks what it is shown, and answers in the units of the data file."""

import h5py
import numpy as np
import pytest
from recording import record
from tiny import tiny_plan

from shared import load_data, load_policy
from shared.errors import ObservationError
from shared.runs.start import train_plan

NAN = float("nan")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A Decision Transformer, which remembers, and IQL on commands from 0 to 4."""
    folder, arrays, found = tmp_path_factory.mktemp("policy"), record(), {}
    ranged = arrays | {"actions": 2 * arrays["actions"] + 2}
    for case, columns, bounds in (("dt", arrays, {}), ("iql", ranged, {"low": 0, "high": 4})):
        path = folder / f"{case}.hdf5"
        with h5py.File(path, "w") as file:
            for key, value in columns.items():
                file[key] = value
            file.attrs.update({f"action_{end}": value for end, value in bounds.items()})
        data = load_data(None, data=path)
        found[case] = train_plan(tiny_plan(case), data, folder / case)
    return found


WRONG = {
    r"the observation has the shape \(\), but this policy sees \(11,\)": 0.5,
    r"the observation has the shape \(1,\), but this policy sees \(11,\)": [0.5],
    r"has the shape \(1, 11\), but .* \(11,\); several rows .* act_batch": np.zeros((1, 11)),
    r"the observation is nan at \[4\], which is no finite float32": [0] * 4 + [NAN] + [0] * 6,
    r"the observation is 1e\+39 at \[0\]": [1e39] + [0] * 10,
    "the observation holds <U1": list("observation"),
    "the observation is ragged": [[1], [1, 2]],
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_no_observation_is_refused_and_not_remembered(runs, words):
    policy, again = load_policy(runs["dt"]), load_policy(runs["dt"])
    first, second = np.full(11, 0.1), np.full(11, -0.2)
    for one in (policy, again):
        one.act(first)
    with pytest.raises(ObservationError, match=words):
        policy.act(WRONG[words])
    with pytest.raises(ObservationError, match="the reward is nan"):
        policy.act(second, reward=NAN)
    np.testing.assert_array_equal(policy.act(second, reward=1), again.act(second, reward=1))


def test_rows_of_a_batch_remember_for_themselves(runs):
    generator = np.random.default_rng(0)
    shown, rewards = generator.normal(0, 0.3, (3, 2, 11)), np.array([[0, 0], [1, 2], [3, 4]])
    batch, alone = load_policy(runs["dt"]), [load_policy(runs["dt"]) for _ in range(2)]
    for t in range(3):
        if t == 2:  # the second robot begins anew
            batch.reset(1)
            alone[1].reset()
        expected = [p.act(o, reward=r) for p, o, r in zip(alone, shown[t], rewards[t], strict=True)]
        found = batch.act_batch(shown[t], rewards=rewards[t])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ObservationError, match="the batch has 3 rows, but the last one had 2"):
        batch.act_batch(np.zeros((3, 11)))
    with pytest.raises(
        ObservationError, match=r"shape \(11,\), but .* batches of shape \(rows, 11"
    ):
        batch.act_batch(np.zeros(11))
    with pytest.raises(ObservationError, match=r"nan at \[1\]"):
        batch.act_batch(shown[0], rewards=[0, NAN])
    with pytest.raises(ObservationError, match="no row 2 to reset"):
        batch.reset(2)


def test_commands_are_in_the_range_of_the_data(runs):
    policy = load_policy(runs["iql"])
    unit = policy.units._replace(action_range=None)
    command = policy.act(np.full(11, 0.1))
    assert command.dtype == np.float32 and ((command >= 0) & (command <= 4)).all()
    policy.units = unit
    np.testing.assert_allclose(command, 2 * policy.act(np.full(11, 0.1)) + 2, rtol=1e-6)


def test_a_sampling_policy_draws_another_action_for_each_row(runs):
    policy = load_policy(runs["iql"], deterministic=False)
    first, second = policy.act_batch(np.zeros((2, 11)))
    assert not np.array_equal(first, second)
