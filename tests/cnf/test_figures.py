"""The moons figures, drawn small."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import cnf.moons
from cnf.cli import main
from cnf.figures import moons
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
