"""Plots: that they are drawn, and what is drawn."""

from dataclasses import replace

import numpy as np
import pytest

from shared.comparison import panels, plots
from shared.comparison.read import read_run
from shared.errors import RunError

PNG = b"\x89PNG\r\n\x1a\n"


def legend(figure) -> list[str]:
    """Its names, of which no one may cover a panel, an axis' name or a title."""
    (shared,) = figure.legends
    renderer = figure.canvas.get_renderer()
    box = shared.get_window_extent(renderer)
    for axis in figure.axes:
        assert axis.get_legend() is None
        assert not box.overlaps(axis.get_tightbbox(renderer))
    width, height = figure.canvas.get_width_height()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    return [text.get_text() for text in shared.get_texts()]


def test_learning_curves_have_a_panel_per_environment(make_run, tmp_path, drawn):
    runs = [
        make_run("a", final={0: 40.0, 1: 50.0, 2: 45.0}),
        make_run("b", label="plas", final={0: 30.0, 1: 35.0}),
        make_run("c", label="costs $5$", final={0: 20.0}, environment="walker2d-medium"),
    ]
    path = tmp_path / "curves.png"
    assert plots.learning_curves([read_run(m.path) for m in runs], path) == path
    assert path.read_bytes().startswith(PNG)
    hopper, walker = drawn[0].axes
    assert hopper.get_title() == "hopper-medium\ndata: collected"
    names = ["cnf (3 seeds, 95 %)", "plas (2 seeds, min–max)", r"costs \$5\$ (1 seed)"]
    assert legend(drawn[0]) == [*names, "data mean"]
    assert hopper.lines[0].get_ydata() == pytest.approx([45.0, 58.5, 45.0])
    assert hopper.lines[-1].get_ydata() == pytest.approx([35.0, 35.0])
    assert hopper.get_ylabel() == "normalized score"
    assert hopper.get_xlabel() == "updates (all phases), deterministic policy"
    # The same label keeps its colour in every panel, and no two labels share one.
    colors = {line.get_color() for line in (*hopper.lines[:2], walker.lines[0])}
    assert len(colors) == 3


def test_runs_of_one_evaluation_stand_side_by_side(make_run, tmp_path, drawn):
    runs = [read_run(make_run(x, label=x, final={0: 40.0}).path) for x in ("a", "b")]
    last = [
        replace(run, episodes=tuple(e for e in run.episodes if e.step == run.curve(e.mode)[0][-1]))
        for run in runs
    ]
    plots.learning_curves(last, tmp_path / "c.png")
    (axis,) = drawn[0].axes
    places = [line.get_xdata().tolist() for line in axis.lines[:2]]
    assert places == [[0.0], [1.0]] and not axis.get_xticks().size
    assert axis.get_xlabel() == "last policies, deterministic; marks as in the legend"


def test_many_labels_share_a_legend_beside_the_panels(make_run, tmp_path, drawn):
    names = [f"method {k}" for k in range(20)]
    made = [make_run(f"run{k}", label=name, final={0: 20.0 + k}) for k, name in enumerate(names)]
    made.append(make_run("other", label=names[0], environment="walker2d-medium"))
    plots.learning_curves([read_run(m.path) for m in made], tmp_path / "c.png")
    (figure,) = drawn
    # `method 0` has one seed in one panel and two in the other.
    assert legend(figure) == [f"{n} (1 seed)" for n in names] + [
        f"{names[0]} (2 seeds, min–max)",
        "data mean",
    ]
    left = figure.legends[0].get_window_extent().x0
    assert all(axis.get_window_extent().x1 < left for axis in figure.axes)
    looks = {(x.get_color(), x.get_marker(), x.get_linestyle()) for x in figure.axes[0].lines[:20]}
    assert len(looks) == 20


def test_profiles_of_many_labels_can_be_told_apart(make_run, tmp_path, drawn):
    made = [make_run(f"r{k}", label=f"method {k}", final={0: 20.0 + k}) for k in range(20)]
    plots.performance_profiles([read_run(m.path) for m in made], tmp_path / "p.png")
    (figure,) = drawn
    (axis,) = figure.axes
    assert len(legend(figure)) == 20
    assert len({(line.get_color(), line.get_linestyle()) for line in axis.lines}) == 20


def test_right_axis_shows_raw_returns(make_run, tmp_path, drawn):
    run = read_run(make_run("a").path)
    slope, offset = panels.returns_of_scores([run])
    assert (slope, offset) == pytest.approx((32.54572305, -20.272305))
    plots.learning_curves([run], tmp_path / "c.png")
    (right,) = drawn[0].axes[0].child_axes
    assert right.get_ylabel() == "return"
    low, high = drawn[0].axes[0].get_ylim()
    assert right.get_ylim() == pytest.approx((slope * low + offset, slope * high + offset))


def test_no_right_axis_where_no_line_fits(make_run, tmp_path, drawn):
    made = make_run("a")
    cells = made.scores[1].split(",")
    cells[5] = "12345.0"
    made.scores[1] = ",".join(cells)
    run = read_run(made.write())
    assert panels.returns_of_scores([run]) is None
    plots.curve_of_run(run, tmp_path / "c.png")
    assert drawn[0].axes[0].child_axes == []


@pytest.mark.parametrize(
    ("seconds", "unit", "last"), [(2, "seconds", 18), (20, "minutes", 3), (3600, "hours", 9)]
)
def test_time_is_drawn_in_the_unit_that_reads(make_run, tmp_path, drawn, seconds, unit, last):
    made = make_run("a", steps=(2000, 4000, 6000), final={0: 1.0})
    made.metrics = [
        made.metrics[0],
        *(f"policy,{step},0,{3 * seconds},500,,,1.5" for step in (2000, 4000, 6000)),
    ]
    plots.learning_curves([read_run(made.write())], tmp_path / "c.png", axis="hours")
    (axis,) = drawn[0].axes
    assert axis.get_xlabel() == f"{unit} of training, deterministic policy"
    assert axis.lines[0].get_xdata() == pytest.approx([last / 3, 2 * last / 3, last])
    assert not any("m" in text.get_text() for text in axis.get_xticklabels())  # no 500m


def test_curve_of_a_run_shows_both_modes(make_run, tmp_path, drawn):
    path = plots.curve_of_run(read_run(make_run("a").path), tmp_path / "run.png")
    assert path.read_bytes().startswith(PNG)
    (axis,) = drawn[0].axes
    names = ["deterministic (2 seeds, min–max)", "sampled (2 seeds, min–max)", "data mean"]
    assert legend(drawn[0]) == names
    assert axis.get_title() == "cnf on hopper-medium\ndata: collected"


def test_runs_without_scores_show_returns(make_run, tmp_path, drawn):
    made = make_run("a")
    rows = [line.split(",") for line in made.scores]
    made.scores = [",".join(rows[0])] + [",".join([*r[:6], "", *r[7:]]) for r in rows[1:]]
    plots.learning_curves([read_run(made.write())], tmp_path / "c.png")
    (axis,) = drawn[0].axes
    assert axis.get_ylabel() == "return"
    assert axis.lines[0].get_ydata()[-1] == pytest.approx(-20.272305 + 0.45 * 3254.572305)


def test_nll_curves_draw_training_and_validation(make_run, tmp_path, drawn):
    first = make_run("a", nll=True)
    second = make_run("b", label="normal base", nll=True)
    without = make_run("c", label="bc", environment="walker2d-medium")
    runs = [read_run(m.path) for m in (first, second, without)]
    assert plots.nll_curves(runs, tmp_path / "nll.png").read_bytes().startswith(PNG)
    (axis,) = drawn[0].axes
    assert legend(drawn[0])[:2] == ["cnf, training (2 seeds)", "cnf, validation (2 seeds)"]
    training, validation, best = axis.lines[:3]
    steps = np.arange(100, 1001, 100)
    assert training.get_xdata().tolist() == steps.tolist()
    assert training.get_ydata() == pytest.approx(4 * np.exp(-steps / 300) - 3 + 0.025)
    assert validation.get_xdata().tolist() == [200, 400, 600, 800, 1000]
    assert best.get_ydata()[0] == validation.get_ydata().min()
    with pytest.raises(RunError, match="train_nll"):
        plots.nll_curves(runs[2:], tmp_path / "none.png")


def test_profiles_fall_from_one_to_zero(make_run, tmp_path, drawn):
    runs = [
        make_run("a"),
        make_run("b", label="plas", final={0: 30.0, 1: 35.0}),
        make_run("c", environment="walker2d-medium"),
        make_run("d", label="plas", environment="walker2d-medium"),
    ]
    plots.performance_profiles([read_run(m.path) for m in runs], tmp_path / "p.png")
    (axis,) = drawn[0].axes
    assert axis.get_title().startswith("2 environments")
    for line in axis.lines:
        shares = line.get_ydata()
        assert shares[0] == 1.0 and shares[-1] == 0.0 and (np.diff(shares) <= 0).all()


def test_bands_are_ranges_below_three_seeds():
    low, high = panels.band(np.array([[1.0, 3.0], [5.0, 4.0]]))
    assert low.tolist() == [1.0, 4.0] and high.tolist() == [3.0, 5.0]
    low, high = panels.band(np.array([[0.0, 1.0, 2.0, 3.0, 4.0]]))
    assert 0.0 < low[0] < 2.0 < high[0] < 4.0


def test_nothing_to_draw_is_one_sentence(make_run, tmp_path):
    made = make_run("a", steps=())
    run = read_run(made.path)
    for draw in (plots.learning_curves, plots.performance_profiles):
        with pytest.raises(RunError):
            draw([run], tmp_path / "c.png")
    with pytest.raises(RunError):
        plots.curve_of_run(run, tmp_path / "c.png")
    assert not (tmp_path / "c.png").exists()
