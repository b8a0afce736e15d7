"""One figure for the boxes of several methods: what is a line, where it lies, what is drawn."""

import csv

import pytest
from matplotlib.figure import Figure

from shared.comparison.drawing import save
from shared.comparison.judged import Judged, read_judged
from shared.comparison.read import read_run
from shared.comparison.sensitivity import WIDE, sensitivity, write_points
from shared.comparison.sweeps import BOX, find_lines
from shared.errors import RunError
from shared.record.schema import JUDGED_COLUMNS

METHODS = {"PLAS": ("latent_clip", 1.0), "CNF": ("latent_clip", 0.577), "DSRL": ("noise_scale", 1)}
WIDTHS = (0.2, 0.5, 1.0, 1.5)


def judged(path, width, error, seeds=(0, 1)):
    """The file of a run whose value error is this, in a unit of 2."""
    rows = [
        f"6000,{seed},{width},{0.1 + 0.2 * (width or 0)},0.12,{2 * error + 10 + seed},10,2"
        for seed in seeds
    ]
    (path / "judged.csv").write_text("\n".join([",".join(JUDGED_COLUMNS), *rows]) + "\n")


@pytest.fixture
def runs(make_run):
    """Three methods, each over four widths of a box, their decoders alone, and a clone."""
    found = []
    for label, (name, unit) in METHODS.items():
        alone = make_run(f"{label}-alone", algorithm=label.lower(), label=f"{label} alone")
        alone.record["phases"] = [{"name": "decoder", "steps": 9}, {"name": "policy", "steps": 1}]
        alone.config["hyperparameters"] |= {name: 1.0, "steps": 1}
        judged(alone.write(), 1.0, 0.1)
        found.append(alone.path)
        for k, width in enumerate(WIDTHS):
            value = round(width * unit, 4)
            final = {0: 30.0 + 10 * k, 1: 40.0 + 10 * k}
            words = {"algorithm": label.lower(), "label": f"{label}, {name}={value:g}"}
            made = make_run(f"{label}-{k}", final=final, **words)
            made.config["hyperparameters"] |= {name: value}
            made.record["model"] = {"run": str(alone.path.absolute()), "sha256": "00"}
            judged(made.write(), value / unit, width - 0.5)
            found.append(made.path)
    cloning = make_run("bc", algorithm="bc", label="BC")
    (cloning.path / "judged.csv").write_text(",".join(JUDGED_COLUMNS) + "\n6000,0,,0.2,0.12,,,\n")
    return [read_run(path) for path in [*found, cloning.path]]


def test_boxes_share_an_axis_in_the_latents_own_unit(runs):
    lines = find_lines(runs, "deterministic")
    assert {line.sweep.label for line in lines} == set(METHODS)
    assert {line.sweep.name for line in lines} == {"latent_clip", "noise_scale"}
    for line in lines:
        assert line.axis == BOX and line.places == pytest.approx(WIDTHS, abs=1e-3)
        assert line.clone is not None and line.clone.label == f"{line.sweep.label} alone"


def test_a_decoder_under_a_trained_policy_is_no_clone(runs, make_run):
    first = runs[0].folders[0]
    text = (first / "run.json").read_text()
    (first / "run.json").write_text(text.replace('"steps": 1}', '"steps": 500}'))
    lines = find_lines([read_run(run.folders[0]) for run in runs], "deterministic")
    assert {line.sweep.label: line.clone is None for line in lines} == {
        **{"PLAS": True, "CNF": False, "DSRL": False}
    }


def test_three_panels_a_line_a_method(runs, tmp_path):
    (drawing,) = sensitivity(runs, "deterministic")
    assert (drawing.name, len(drawing.panels)) == ("sensitivity-box-width", 3)
    axes = list(Figure().subplots(1, 3))
    for draw, axis in zip(drawing.panels, axes, strict=True):
        draw(axis)
    for axis, expected in zip(axes, ([35, 45, 55, 65], [0.14, 0.2, 0.3, 0.4], None), strict=True):
        named = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        for label in METHODS:
            line = named[label]
            assert list(line.get_xdata()) == pytest.approx(WIDTHS, abs=1e-3)
            error = [width - 0.5 + 0.25 for width in WIDTHS]  # of two seeds, 0 and half a unit more
            assert list(line.get_ydata()) == pytest.approx(expected or error, abs=1e-2)
        hollow = [line for line in axis.lines if list(line.get_xdata()) == [0.0]]
        clones = len(METHODS) if expected else 0  # the critics of a clone have learned nothing
        assert [line.get_fillstyle() for line in hollow] == ["none"] * clones
    assert ["BC" in axis.get_legend_handles_labels()[1] for axis in axes] == [True, True, False]
    assert axes[2].get_yscale() == "linear"
    save(drawing, tmp_path / "widths.png")


def test_an_explosion_does_not_flatten_the_others(runs):
    judged(runs[1].folders[0], 0.2, 10 * WIDE)
    (drawing,) = sensitivity(runs, "deterministic")
    axis = Figure().subplots()
    drawing.panels[2](axis)
    assert axis.get_yscale() == "symlog"


def test_without_judgement_scores_are_drawn_over_each_name(runs):
    for run in runs:
        (run.folders[0] / "judged.csv").unlink()
    drawings = sensitivity(runs, "deterministic")
    assert [drawing.name for drawing in drawings] == [
        *("sensitivity-latent_clip", "sensitivity-noise_scale"),
    ]
    assert all(len(drawing.panels) == 1 for drawing in drawings)


def test_every_point_is_in_the_table(runs, tmp_path):
    file = write_points(runs, "deterministic", tmp_path / "points.csv")
    assert file is not None
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 3 * 4 * 2
    row = next(r for r in rows if (r["label"], r["value"], r["seed"]) == ("DSRL", "1.5", "1"))
    assert float(row["score"]) == pytest.approx(70.0) and float(row["width"]) == 1.5
    assert float(row["value_error"]) == pytest.approx(1.5)
    assert write_points(runs[:1], "deterministic", tmp_path / "none.csv") is None
    assert not (tmp_path / "none.csv").exists()


def test_overestimation_is_above_zero():
    assert Judged(1.0, 0.1, 0.0, believed=5.0, earned=3.0, unit=4.0).value_error == 0.5
    assert Judged(1.0, 0.1, 0.0, None, None, None).value_error is None


def test_a_damaged_table_is_refused(runs):
    file = runs[0].folders[0] / "judged.csv"
    file.write_text(file.read_text().replace("0.12", "twelve"))
    with pytest.raises(RunError, match=r"judged.csv is damaged"):
        read_judged(runs[0])
