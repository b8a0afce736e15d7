"""MMD against its closed form, and the claims of PLAS, appendix E."""

import numpy as np
import pytest
from click.testing import CliRunner

from cnf.cli import main
from cnf.mmd import CENTERS, SCALES, WIDTHS, curves


@pytest.fixture(scope="module")
def found():
    return curves(seed=1)


def test_two_gaussians_have_the_closed_form(found):
    """E exp(-d² / 2w) = sqrt(w / (w + v)) for d ~ N(0, v)."""
    for width in WIDTHS:

        def kernel(v, width=width):
            return np.sqrt(width / (width + v))

        square = kernel(2.0) + kernel(2 * SCALES**2) - 2 * kernel(1 + SCALES**2)
        np.testing.assert_allclose(
            found["scale"]["Gaussian"][width], np.sqrt(np.abs(square)), atol=0.12
        )


def test_safe_policies_are_punished_and_the_hole_is_not(found):
    """Narrow policies inside the support cost; a wide kernel likes the middle best."""
    for kernel in ("Laplacian", "Gaussian"):
        narrow = found["scale"][kernel][1.0][np.argmin(np.abs(SCALES - 0.2))]
        assert narrow > 0.2 > found["scale"][kernel][1.0].min()
    widest = found["modes"]["Gaussian"][WIDTHS[-1]]
    assert abs(CENTERS[np.argmin(widest)]) < 0.25


def test_the_command_draws(tmp_path, monkeypatch):
    monkeypatch.setattr("cnf.mmd.SAMPLES", 20)
    out = tmp_path / "new" / "mmd.png"
    answer = CliRunner().invoke(main, ["figures", "mmd", "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    assert out.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "modes, Gaussian, width 20: lowest at" in answer.output
