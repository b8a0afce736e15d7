"""Help, listings and tab completion start at once: they import no JAX.

Modules are counted, not seconds: a count does not depend on how busy the machine is.
"""

import json
import os
import subprocess
import sys

import pytest

from shared.data.catalog import CATALOG
from shared.runs import registry

CODE = """
import json, sys
try:
    import {family}.cli
    {family}.cli.main({words}, prog_name={family!r})
except SystemExit as end:
    assert not end.code, end.code
print("MODULES", json.dumps(sorted(sys.modules)))
"""
HEAVY = {"jax", "jaxlib", "equinox", "optax", "distrax", "numpy", "scipy", "h5py", "mujoco"}
LIMIT = 400
"""Of modules; Python, click and rich take about 250, with JAX there are 1,500."""


def run(family, words, **environment):
    """What a command prints, and the modules that it has imported."""
    code = CODE.format(family=family, words=words)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    printed, _, modules = done.stdout.rpartition("MODULES ")
    return printed, set(json.loads(modules))


def complete(family, words):
    """The values that a shell would offer for the last word."""
    options = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    variable = f"_{family.upper()}_COMPLETE"
    printed, modules = run(family, [], **options, **{variable: "bash_complete"})
    return {line.partition(",")[2] for line in printed.splitlines()}, modules


def require_light(modules):
    assert not modules & HEAVY
    assert len(modules) < LIMIT


@pytest.mark.wheel
@pytest.mark.parametrize("family", registry.FAMILIES)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "figures"),
        (["--version"], "version"),
        (["train", "--help"], "--benchmark"),
        (["data", "list"], "hopper-medium-replay"),
        (["algorithms"], "arXiv"),
    ],
)
def test_words_without_work_import_no_jax(family, words, expected):
    printed, modules = run(family, words)
    assert expected in printed
    require_light(modules)


@pytest.mark.wheel
def test_completion_imports_no_jax():
    found, modules = complete("cnf", ["cnf", "train", "--env", "hopper-"])
    assert found == {name for name in CATALOG if name.startswith("hopper-")}
    require_light(modules)
    found, modules = complete("cnf", ["cnf", "train", "--algo", "bc"])
    assert found == {"bc", "bc-10", "bcq"}
    require_light(modules)
    found, modules = complete("clap", ["clap", "train", "--benchmark", "vd4rl"])
    assert found == {"vd4rl", "vd4rl-humanoid"}
    require_light(modules)
    found, modules = complete("clap", ["clap", "train", "--algo", "clap", "--preset", "q"])
    assert found == {"quick", "quick-paper"}
    require_light(modules)


def test_a_terminal_without_the_letters_gets_others():
    printed, _ = run("cnf", ["algorithms", "cnf"], PYTHONIOENCODING="ascii")
    assert "latent_clip" in printed and "?" in printed


@pytest.mark.wheel
@pytest.mark.parametrize("family", registry.FAMILIES)
def test_the_listing_says_what_the_classes_say(family):
    for name, found in registry.algorithms(family).items():
        assert registry.about(family, name) == (found.title, found.paper)
