"""The moons figures, drawn small."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import cnf.matching_moons
import cnf.moons
from cnf.cli import main
from cnf.figures import moons
from cnf.matching_moons import Matched
from cnf.moons import nearest_distance, two_moons

PNG = b"\x89PNG\r\n\x1a\n"
FILES = ("moons-density.png", "moons-amplitude.png")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"ROWS": 600, "SAMPLES": 200, "LAYERS": 2, "HIDDEN": 8}.items():
        monkeypatch.setattr(cnf.moons, name, value)


def test_moons_draws_and_counts(tmp_path):
    advanced = []
    result = moons(tmp_path / "new", seed=3, steps=20, advance=advanced.append)
    assert sum(advanced) == 40
    for name in FILES:
        assert (tmp_path / "new" / name).read_bytes().startswith(PNG)
    assert json.loads((tmp_path / "new" / "moons.json").read_text()) == result
    assert set(result["nll"]) == {"normal", "uniform"}
    assert len(result["outside"]) == 3
    for shares in result["outside"].values():
        assert list(shares) == ["1", "1.5", "2", "3"]
        assert all(0 <= share <= 1 for share in shares.values())


def test_the_command_shows_a_table(tmp_path):
    out = str(tmp_path)
    answer = CliRunner().invoke(main, ["figures", "moons", "--out", out, "--steps", "5"])
    assert answer.exit_code == 0, answer.output
    assert "normal base" in answer.output and "box ±0.9" in answer.output
    assert all((tmp_path / name).exists() for name in FILES)


def test_flow_matching_is_drawn_and_told_box_by_box(tmp_path, monkeypatch):
    monkeypatch.setattr(cnf.matching_moons, "HIDDEN_SIZES", (16,))
    monkeypatch.setattr(cnf.matching_moons, "FLOW_STEPS", 2)
    command = ["figures", "matching", "--out", str(tmp_path), "--steps", "20"]
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 0, answer.output
    assert (tmp_path / "moons-matching.png").read_bytes().startswith(PNG)
    boxes = json.loads((tmp_path / "moons-matching.json").read_text())["boxes"]
    assert list(boxes) == ["0.5", "1", "2"]
    reached = [box["reached"] for box in boxes.values()]
    assert 0 < reached[0] < reached[1] < reached[2] <= 1
    for width, box in boxes.items():
        assert f"box ±{width}: reaches {box['reached']:.1%}" in answer.output
        assert all(0 <= share <= 1 for share in box["outside"].values())


def test_a_point_is_reached_if_all_its_noise_lies_inside():
    noise = np.array([[0.4, -0.5], [0.4, -0.6], [2.0, 0.0]], np.float32)
    found = Matched(np.zeros((3, 2), np.float32), noise, {})
    np.testing.assert_array_equal(found.reached(0.5), [True, False, False])
    np.testing.assert_array_equal(found.reached(2.0), [True, True, True])


def test_two_moons_fill_the_square_and_repeat():
    points = two_moons(5000, seed=0)
    assert points.dtype == np.float32
    assert 0.9 < np.max(np.abs(points[:, 0])) < 1 and 0.7 < np.max(np.abs(points[:, 1])) < 1
    np.testing.assert_array_equal(points, two_moons(5000, seed=0))
    assert np.any(points != two_moons(5000, seed=1))


def test_nearest_distance():
    generator = np.random.default_rng(0)
    points = generator.random((130, 2)).astype(np.float32)
    data = generator.random((50, 2)).astype(np.float32)
    expected = np.min(np.linalg.norm(points[:, None] - data[None], axis=2), axis=1)
    np.testing.assert_allclose(nearest_distance(points, data), expected, atol=1e-6)
