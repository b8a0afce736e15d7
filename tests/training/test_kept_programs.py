"""Compiled programs are kept in the user's cache folder, unless JAX's own variable says where."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import shared

CODE = """
import os, sys
from shared.training.kept_programs import PLACE, keep_programs
keep_programs()
assert "jax" not in sys.modules
print(os.environ.get(PLACE))
"""


@pytest.mark.parametrize(
    ("cache", "own", "expected"),
    [
        ("cache", None, "{tmp_path}/cache/latent-policies/programs"),
        ("cache", "mine", "mine"),
        ("file", None, "None"),  # no folder can be made there, and training works without one
    ],
)
def test_where_programs_are_kept(cache, own, expected, tmp_path):
    (tmp_path / "file").write_text("")
    environment = dict(os.environ, XDG_CACHE_HOME=str(tmp_path / cache))
    environment["PYTHONPATH"] = str(Path(shared.__file__).parents[1])
    del environment["JAX_COMPILATION_CACHE_DIR"]
    environment |= {} if own is None else {"JAX_COMPILATION_CACHE_DIR": own}
    words = {"capture_output": True, "text": True, "env": environment}
    done = subprocess.run([sys.executable, "-P", "-c", CODE], **words)
    assert done.stdout.strip() == expected.format(tmp_path=tmp_path), done.stderr
