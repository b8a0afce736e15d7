"""Who may import whom: the rooms of the house, read from the source without running it."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FAMILIES = ("cnf", "clap")
PACKAGES = (*FAMILIES, "shared", "configs")

GROUND = ("errors", "types", "ranges", "entry_points", "algorithm")
"""What everybody may know; of these, too, each may import only those before it."""
# The wings of `shared`, and which others each may import, besides the ground and itself.
WINGS = {
    "storage": set(),
    "models": set(),
    "environments": set(),
    "datasets": {"storage", "environments"},
    "data": {"storage", "environments", "datasets"},
    "behavior": {"storage", "models", "environments", "datasets", "data"},
    "loading": {"storage", "environments", "datasets", "data", "behavior"},
    "record": {"storage"},
    "training": {"storage", "models", "environments", "datasets", "record"},
    "runs": {
        *("storage", "models", "environments", "datasets", "data", "loading", "record"),
        "training",
    },
    "comparison": {"storage", "environments", "record"},
    "health": {"storage", "environments", "datasets", "data", "record", "comparison"},
    "choice": {
        *("storage", "models", "environments", "datasets", "loading", "record", "training"),
        *("runs", "comparison"),
    },
    "studies": {
        *("storage", "models", "environments", "datasets", "data", "loading", "record"),
        *("training", "runs", "comparison"),
    },
    "export": {"storage", "environments", "loading", "record", "runs", "comparison"},
    "testing": {"datasets", "training"},
}
WINGS["cli"] = {*WINGS} - {"testing"}
# Slow or heavy to import, or absent on a training machine: only inside functions.
LAZY = {
    *("gymnasium", "gymnasium_robotics", "mujoco", "dm_control", "minari"),
    "ogbench",
    *("onnx", "onnxruntime", "pyarrow", "matplotlib", "imageio", "imageio_ffmpeg", "jinja2"),
    *("tensorboardX", "wandb"),
}
PICKLES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_YAML = {"load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"}


class Import(NamedTuple):
    module: str
    line: int
    lazy: bool  # inside a function, or for type checkers only


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.Module, name: str, is_package: bool) -> Iterator[Import]:
    """Every import statement; `from a import b` names `a.b`, which may be a module."""

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, lazy)
            elif isinstance(child, ast.ImportFrom):
                above = name.split(".")
                above = above[: len(above) - child.level + is_package] if child.level else []
                base = ".".join([*above, *([child.module] if child.module else [])])
                for alias in child.names:
                    yield Import(f"{base}.{alias.name}", child.lineno, lazy)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
                yield from walk(child, lazy or function or typing_only)

    yield from walk(tree, False)


def may_import(importer: str, imported: str) -> bool:
    """Does the table of rooms allow `importer` to import `imported`?  Both are dotted names."""
    ours, theirs = importer.split("."), imported.split(".")
    if theirs[0] not in PACKAGES or ours[0] == "scripts":
        return True
    if ours[0] != theirs[0]:
        return ours[0] in FAMILIES and theirs[0] in ("shared", "configs")
    if ours[0] != "shared" or len(ours) == 1 or len(theirs) == 1 or ours[1] == theirs[1]:
        return True
    if theirs[1] in GROUND:
        return theirs[1] in GROUND[: GROUND.index(ours[1])] if ours[1] in GROUND else True
    return theirs[1] in WINGS.get(ours[1], set())


def unsafe_readers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Calls that may run code from a data file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield node.value.lineno, "allow_pickle"
        if isinstance(node, ast.Attribute) and node.attr in UNSAFE_YAML:
            if isinstance(node.value, ast.Name) and node.value.id == "yaml":
                yield node.lineno, f"yaml.{node.attr}"


def declared_distributions() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    ends = " <>=!~;["
    names = (
        line[: min([line.find(e) for e in ends if e in line] or [len(line)])] for line in lines
    )
    return {normalized(name) for name in names}


def normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def sources(room: Path) -> Iterator[Path]:
    """Python files of a room, with and without the ending: scripts say it in their first line."""
    yield from room.rglob("*.py")
    for path in room.glob("*") if room.name == "scripts" else ():
        if path.is_file() and not path.suffix:
            with open(path, "rb") as file:
                if file.readline().startswith(b"#!") and b"python" in path.read_bytes()[:40]:
                    yield path


def faults(root: Path, rooms: tuple[str, ...] = (*PACKAGES, "scripts")) -> list[str]:
    """Everything under `root` that breaks a rule of the house, one line each."""
    found = []
    for path in sorted(p for room in rooms for p in sources(root / room)):
        tree = ast.parse(path.read_text("utf-8"), str(path))
        name = module_name(path, root)
        where = path.relative_to(root)
        for imported, line, lazy in imports_of(tree, name, path.name == "__init__.py"):
            top = imported.split(".")[0]
            if not may_import(name, imported):
                found.append(f"{where}:{line}: {name} may not import {imported}")
            if top in LAZY and not lazy:
                found.append(f"{where}:{line}: import {top} inside a function")
            if top in PICKLES or (top == "yaml" and imported.split(".")[-1] in UNSAFE_YAML):
                found.append(f"{where}:{line}: {imported} may run code from a file")
        found += [f"{where}:{line}: {what} may run code" for line, what in unsafe_readers(tree)]
    return found


def test_scripts_without_an_ending_are_linted_and_typed():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    there = {p.relative_to(ROOT).as_posix() for p in sources(ROOT / "scripts") if not p.suffix}
    assert there == set(tools["ruff"]["extend-include"])
    assert there == set(tools["pyright"]["include"]) - {*FAMILIES, "shared", "scripts"}


def test_every_import_keeps_to_its_room():
    assert not faults(ROOT)


def test_no_arrow_climbs():
    """A wing may import only those named before it; `comparison` reads run folders alone."""
    for i, wing in enumerate(WINGS):
        assert WINGS[wing] <= set([*WINGS][:i]), wing


def test_no_module_leads_back_to_itself():
    """Imports at the top of modules; inside functions `cli` may look up its own commands."""
    arrows = {name: set(targets) for name, targets in module_arrows(ROOT).items()}
    while leaves := [name for name, targets in arrows.items() if not targets & arrows.keys()]:
        for name in leaves:
            del arrows[name]
    assert not arrows, f"these modules import each other: {', '.join(sorted(arrows))}"


def module_arrows(root: Path) -> dict[str, set[str]]:
    """Which of our modules every module imports at its top."""
    paths = {module_name(p, root): p for room in PACKAGES for p in (root / room).rglob("*.py")}
    found = {}
    for name, path in paths.items():
        imports = imports_of(ast.parse(path.read_text("utf-8")), name, path.name == "__init__.py")
        full = [x.module for x in imports if not x.lazy]
        named = {x if x in paths else x.rpartition(".")[0] for x in full}
        found[name] = (named & paths.keys()) - {name}
    return found


def test_every_part_of_shared_has_a_room():
    known = {*GROUND, *WINGS}
    names = {p.stem for p in (ROOT / "shared").iterdir() if p.suffix == ".py" or p.is_dir()}
    assert names - {"__init__", "__pycache__"} <= known, "give the new part a place in WINGS"


def test_every_imported_package_is_declared():
    declared, owners = declared_distributions(), packages_distributions()
    undeclared = set()
    for path in (p for room in PACKAGES for p in (ROOT / room).rglob("*.py")):
        tree, name = ast.parse(path.read_text("utf-8")), module_name(path, ROOT)
        for imported in imports_of(tree, name, path.name == "__init__.py"):
            top = imported.module.split(".")[0]
            if top and top not in PACKAGES and top not in sys.stdlib_module_names:
                # An extra that is not installed here is declared under its own name.
                if not {normalized(o) for o in owners.get(top, [top])} & declared:
                    undeclared.add(f"{path.relative_to(ROOT)}: {top}")
    assert not undeclared


VIOLATIONS = {
    "shared imports a family": ("shared/models/networks.py", "import cnf.vae"),
    "shared imports a family, lazily": ("shared/cli/a.py", "def f():\n    from clap import x"),
    "one family imports the other": ("cnf/a.py", "from clap.world import Model"),
    "a low layer imports a high one": (
        "shared/models/networks.py",
        "from shared.training import loop",
    ),
    "the same, relatively": ("shared/models/policies.py", "from .. import training"),
    "the same, from a sub-package": ("shared/training/a.py", "from ..cli import train"),
    "readers import recorders": ("shared/data/a.py", "from shared.behavior.record import record"),
    "comparison imports training": ("shared/comparison/a.py", "import shared.training.log"),
    "the ground climbs in its own order": ("shared/types.py", "import shared.algorithm"),
    "the ground imports a wing": ("shared/algorithm.py", "from shared.datasets import rows"),
    "a simulator on import": ("shared/environments/a.py", "try:\n    import mujoco\nfinally: 1"),
    "a plot library on import": ("cnf/a.py", "class A:\n    from matplotlib import pyplot"),
    "a pickle": ("scripts/a.py", "def f():\n    import pickle"),
    "a pickle inside an array": ("clap/a.py", "np.load(f, allow_pickle=True)"),
    "unsafe YAML": ("shared/runs/config.py", "yaml.load(text, Loader=yaml.Loader)"),
    "unsafe YAML by name": ("shared/runs/config.py", "from yaml import unsafe_load"),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_a_violation_is_found(case, tmp_path):
    name, code = VIOLATIONS[case]
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(code)
    assert len(faults(tmp_path)) == 1


def test_what_is_allowed_passes(tmp_path):
    allowed = {
        "shared/environments/a.py": "def f():\n    import mujoco\n    import gymnasium",
        "shared/cli/a.py": "from shared.training import loop\nfrom . import train",
        "cnf/algorithms/a.py": "import jax\nfrom shared.models import flow\nfrom ..vae import A",
        "shared/storage/b.py": "import typing\nif typing.TYPE_CHECKING:\n    import mujoco",
        "scripts/a.py": "import cnf, clap\nyaml.safe_load(text)\nnp.load(f, allow_pickle=False)",
    }
    for name, code in allowed.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code)
    assert not faults(tmp_path)
