"""The documentation builds without a warning, and its notebooks run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_the_site_builds_from_the_repository_alone(tmp_path):
    words = ["-b", "html", "-W", "-q", ROOT / "docs", tmp_path / "html"]
    process = subprocess.run(
        [sys.executable, "-m", "sphinx", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "*"},
    )
    assert process.returncode == 0, process.stderr
    page = (tmp_path / "html" / "algorithms" / "cnf.html").read_text()
    assert "latent_clip" in page and "Differences from the paper" in page
    assert "cnf-train" in (tmp_path / "html" / "commands.html").read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, monkeypatch, tmp_path):
    """Its cells, one after another, in one namespace."""
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    cells = json.loads(path.read_text())["cells"]
    names: dict = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
    plt.close("all")


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("results/*.md")]


def placeholders(text: str) -> list[str]:
    """Lines outside of code that are one word in capitals, or say that something is missing."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^\W*(?:[A-Z][A-Z_]{2,}|TODO\b.*|TBD\b.*)\W*$", prose, re.MULTILINE)


def test_no_page_waits_for_its_text():
    assert placeholders("## Scores\n\nSCORES\n") and placeholders("- TODO: a table")
    assert not placeholders("```\nSCORES\n```\nCNF and PLAS\n")
    found = {path.name: placeholders(path.read_text("utf-8")) for path in PAGES}
    assert not {name: lines for name, lines in found.items() if lines}
