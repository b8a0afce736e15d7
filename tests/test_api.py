"""`import shared` in a notebook or an editor: names, their types, and what they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import shared
from shared.errors import ConfigError

API = {
    *("train", "resume", "evaluate_run", "load_policy", "read_run"),
    *("export_run", "load_exported", "load_decoder"),
    *("load_data", "make_plan", "train_plan", "DataRequest", "Request", "start"),
}


@pytest.mark.wheel
def test_the_api_is_listed_documented_and_there():
    public = [name for name in dir(shared) if not name.startswith("_")]
    assert set(public) == set(shared.__all__) == API
    for name in API:
        assert callable(getattr(shared, name))
        assert f"\n    {name} " in (shared.__doc__ or "")
    with pytest.raises(AttributeError, match="has no attribute 'lod_data'"):
        shared.lod_data  # noqa: B018


MISTAKES = {
    "no family 'foo'; choose one of cnf, clap": lambda: shared.train("foo", env="hopper-medium"),
    "episodes is 0; play at least 1": lambda: shared.evaluate_run("run", episodes=0),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_in_a_call_is_one_sentence(words):
    with pytest.raises(ConfigError, match=words):
        MISTAKES[words]()


@pytest.mark.wheel
def test_listing_it_imports_no_jax():
    code = "import shared, sys; dir(shared); assert 'jax' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=100).returncode == 0


def test_a_type_checker_sees_signatures(tmp_path):
    """Of the lazy names and of hyperparameters; `py.typed` says that they may be trusted."""
    root = Path(shared.__file__).parents[1]
    (tmp_path / "user.py").write_text(
        "import shared\n"
        "from cnf.algorithms.bc import BC\n"
        "reveal_type(shared.make_plan)\n"
        "reveal_type(shared.load_policy)\n"
        "def rate(algorithm: BC) -> float:\n"
        "    return algorithm.learning_rate\n"
    )
    program = str(Path(sys.executable).with_name("pyright"))
    done = subprocess.run(
        [program, "--outputjson", "--pythonpath", sys.executable, str(tmp_path / "user.py")],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    assert not [x for x in found if x["severity"] in ("error", "warning")]
    revealed = " ".join(x["message"] for x in found if x["severity"] == "information")
    assert "preset: str" in revealed and "-> Plan" in revealed and "-> Policy" in revealed
