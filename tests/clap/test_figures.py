"""The action-distribution figure: its neighbours, its states, and the picture."""

import json

import jax
import numpy as np
import pytest
from click.testing import CliRunner

from clap.action_distribution import ActionSamples, nearest_rows, sample_actions
from clap.cli import main
from shared import trained


def test_nearest_rows_against_a_sort():
    generator = np.random.default_rng(0)
    observation = generator.normal(size=(300, 4)).astype(np.float32)
    std = np.array([1, 2, 0.5, 3], np.float32)
    found = nearest_rows(observation, std, np.array([5, 77]), 7)
    for row, neighbours in zip((5, 77), found, strict=True):
        distance = np.linalg.norm((observation - observation[row]) / (std + 1e-3), axis=1)
        assert row in neighbours
        assert set(neighbours) == set(np.argsort(distance)[:7])


def test_the_summary_measures_distance_and_spread():
    data = np.zeros((3, 4, 2))
    data[:, ::2] = 0.2
    found = ActionSamples(data, np.full((3, 4, 2), 0.5)).summary()
    assert found == pytest.approx({"mean_distance": 0.4, "std_data": 0.1, "std_model": 0.0})


def test_actions_come_from_the_state_that_the_history_leads_to(model, hopper_random):
    """The same as acting along the episode with its recorded actions, up to the samples."""
    _, _, algorithm, state, _ = trained.load_state(model)
    one = jax.tree.map(lambda x: x[0], state)
    data, key = hopper_random.to_device(), jax.random.key(1)
    row = int(data.episodes.first[3]) + 4
    rows = np.full(200, row)
    found = np.asarray(sample_actions(algorithm, one, data, rows, key=key)).mean(0)
    memory, action = algorithm.initial_memory(one), None
    act = jax.jit(lambda memory, o: algorithm.act(one, memory, o, key=None))
    for i in range(row - 4, row + 1):
        action, memory = act(memory, data.transitions.observation[i])
        memory = memory._replace(action=data.transitions.action[i])
    np.testing.assert_allclose(found, action, atol=0.1)


def test_the_command_draws_and_tells(model, hopper_random, tmp_path):
    out = tmp_path / "new"
    arguments = ["figures", "actions", str(model), "--steps", "8", "--out", str(out)]
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code == 0, answer.output
    assert (out / "actions.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    summary = json.loads((out / "actions.json").read_text())
    assert summary["steps"] == 8 and 0 <= summary["mean_distance"] <= 2
