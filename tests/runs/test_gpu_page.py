"""The page of a GPU, at toy sizes on a CPU: all columns, and training that resumes to the bit."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_a_dry_run_writes_the_page(tmp_path):
    words = [ROOT / "scripts" / "gpu-page", "--dry-run", "--only", "iql-x4"]
    done = subprocess.run(
        [sys.executable, *words, "--out", tmp_path / "page.md"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (tmp_path / "page.md").read_text().splitlines()
    assert "dry run" in lines[0] and "| case | phase |" in lines[4]
    (row,) = (line for line in lines if line.startswith("| iql-x4 |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == ["policy", "20"] and cells[-1] == "yes"
    assert float(cells[3].replace(",", "")) > 0 and float(cells[10].replace(",", "")) >= 0
