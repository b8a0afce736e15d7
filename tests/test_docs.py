"""The documentation builds without a warning, and its notebooks run."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from long import long_but

from shared.runs import registry

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SHORT = ROOT / "docs" / "notebooks" / "first-policy.ipynb"


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


@pytest.mark.parametrize("path", long_but(NOTEBOOKS, SHORT), ids=lambda path: path.stem)
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


def test_every_method_can_be_cited():
    """By its name in the table; each key there has an entry with its fields, and none is idle."""
    page = (ROOT / "docs" / "citing.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*`) \| ([a-z0-9, ]+) \|$", page, re.MULTILINE)
    names = {name for words, _ in rows for name in re.findall(r"`([^`]+)`", words)}
    known = {name for family in registry.FAMILIES for name in registry.names(family)}
    assert known <= names
    entries = dict(re.findall(r"^@\w+\{(\w+),\n(.*?)^\}$", page, re.DOTALL | re.MULTILINE))
    assert {key for _, keys in rows for key in keys.split(", ")} == entries.keys()
    for key, fields in entries.items():
        found = dict(re.findall(r"^  (\w+) += \{(.+)\},?$", fields, re.MULTILINE))
        assert {"title", "author", "year"} < found.keys(), key
        assert all(", " in author for author in found["author"].split(" and ")), key
        assert found["year"] in key and found["author"].split(",")[0].split()[-1].lower()[:2] in key


def test_badges_say_what_the_package_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    word = "Programming Language :: Python :: "
    versions = [x.removeprefix(word) for x in project["classifiers"] if x.startswith(word)]
    jax = next(x for x in project["dependencies"] if x.startswith("jax>="))
    low, below = re.fullmatch(r"jax>=([0-9.]+),<0\.([0-9]+)", jax).groups()
    told = {
        "python": f"Python: {' | '.join(versions)}",
        "jax": f"JAX: {low} to 0.{int(below) - 1}",
        "licence": f"licence: {project['license']}",
    }
    found = {path.stem: path.read_text() for path in (ROOT / "docs" / "badges").glob("*.svg")}
    assert found.keys() == told.keys()
    assert all(f"<title>{told[name]}</title>" in found[name] for name in told)


def test_pages_name_files_that_are_there():
    """Links and pictures of README and of docs/, relative to their page."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            built = page.parent.name == "docs" and target.startswith("algorithms/")
            assert built or (page.parent / target).exists(), f"{page.name}: {target}"


def test_first_picture_and_film(tmp_path):
    """The picture is drawn from its table; the film is small, moves and goes round."""
    path = ROOT / "scripts" / "first-look"
    loader = SourceFileLoader("first_look", str(path))
    script = module_from_spec(spec_from_loader("first_look", loader))
    loader.exec_module(script)
    curves, mean = script.read_table(script.TABLE)
    assert {"CNF", "PLAS", "SPOT", "BC"} == curves.keys() and 0 < mean < 100
    assert all(values.shape[0] == len(steps) > 1 for steps, values in curves.values())
    script.draw_picture((curves, mean), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes()[:4] == script.PICTURE.read_bytes()[:4]
    np.testing.assert_allclose(script.apart(np.array([1.0, 1.5, 9.0]), 1.0), [0.75, 1.75, 9.0])
    film = script.FILM.read_bytes()
    assert len(film) < 1_000_000 and b"NETSCAPE2.0\x03\x01\x00\x00" in film
    assert len(iio.imread(film, extension=".gif")) > 20
