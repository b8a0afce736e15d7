"""The action-distribution figure: its neighbours, its states, and the picture."""

import json

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from comparison.conftest import make_run_folder

from clap.cli import main
from clap.figures.action_distribution import ActionSamples, nearest_rows, sample_actions
from shared.runs import trained
from shared.training.seeds import of_seed


def test_nearest_rows_against_a_sort():
    generator = np.random.default_rng(0)
    observation = generator.normal(size=(300, 4)).astype(np.float32)
    scale = np.array([1, 2, 0.5, 3], np.float32)
    found = nearest_rows(observation, scale, np.array([5, 77]), 7)
    for row, neighbours in zip((5, 77), found, strict=True):
        distance = np.linalg.norm((observation - observation[row]) / scale, axis=1)
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
    one = of_seed(state, 0)
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


def test_open_loops_of_states_are_plotted(model, tmp_path):
    arguments = ["figures", "open-loop", str(model), "--out", str(tmp_path / "a.png")]
    result = CliRunner().invoke(main, [*arguments, "--horizon", "6"])
    assert result.exit_code == 0, result.output


def steps_of(axis):
    return [list(line.get_xdata()) for line in axis.lines]


@pytest.fixture
def agents(tmp_path):
    """A run of two seeds whose model was looked at twice and whose agent was, too."""
    made = make_run_folder(tmp_path, "agents", label="C-LAP", steps=(2000, 4000))
    looks = {"open_loop_error_1": 0.1, "open_loop_error_10": 0.3, "validation_state_kl": 9.0}
    looks |= {"action_error_posterior": 0.05, "action_error_prior_mean": 0.2}
    values = {"value": 100.0, "value_at_starts": 200.0, "data_at_starts": 90.0, "data_best": 250.0}
    names = [*looks, *values]
    made.metrics = [",".join(["phase,step,seed,seconds,updates_per_second", *names])]
    for phase, present in (("model", looks), ("policy", values)):
        for step in (1000, 2000) if phase == "model" else (3000, 4000):
            for seed in (0, 1):
                cells = [str(present[n] + seed) if n in present else "" for n in names]
                made.metrics.append(f"{phase},{step},{seed},0.5,200," + ",".join(cells))
    return made.write()


def test_values_are_drawn_beside_scores(agents, tmp_path, drawn):
    answer = CliRunner().invoke(
        main, ["figures", "values", str(agents), "--out", str(tmp_path / "new" / "v.png")]
    )
    assert answer.exit_code == 0, answer.output
    scores, values = drawn[0].axes[:2]
    assert steps_of(scores)[0] == [2000, 4000]
    at_starts, in_dreams, mean, best = values.lines
    assert at_starts.get_xdata().tolist() == in_dreams.get_xdata().tolist() == [3000, 4000]
    assert at_starts.get_ydata().tolist() == [200.5, 200.5]
    assert mean.get_ydata()[0] == 90.5 and best.get_ydata()[0] == 250.5


def test_the_model_is_drawn(agents, tmp_path, drawn):
    answer = CliRunner().invoke(
        main, ["figures", "model", str(agents), "--out", str(tmp_path / "m.png")]
    )
    assert answer.exit_code == 0, answer.output
    loop, divergence, action = drawn[0].axes
    assert [len(axis.lines) for axis in (loop, divergence, action)] == [2, 1, 2]
    assert steps_of(loop) == [[1000, 2000]] * 2
    labels = [text.get_text() for text in loop.get_legend().get_texts()]
    assert labels == ["C-LAP, 1 step", "C-LAP, 10 steps"]
    renderer = drawn[0].canvas.get_renderer()
    for axis in (loop, divergence, action):
        assert axis.get_legend().get_window_extent().y1 < axis.xaxis.label.get_window_extent().y0
        assert axis.get_legend().get_window_extent(renderer).y0 >= 0


def test_runs_without_a_world_model_are_refused(tmp_path):
    run = make_run_folder(tmp_path, "cnf").path
    for name, reason in (("values", "no run has values"), ("model", "no run has looked")):
        answer = CliRunner().invoke(
            main, ["figures", name, str(run), "--out", str(tmp_path / "x.png")]
        )
        assert answer.exit_code == 4 and reason in answer.output
