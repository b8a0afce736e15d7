"""The distribution: what is in the wheel, and that the installed packages stand on their own."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata, resources
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("cnf", "clap", "shared", "configs")
COMMANDS = ("cnf", "clap")


def modules() -> list[str]:
    found = list(PACKAGES)
    for package in map(importlib.import_module, PACKAGES):
        walk = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        found += [module.name for module in walk]
    return sorted(set(found))


def python(*arguments: str, **keywords) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=200, **keywords
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = ("-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    built = python(*command, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    kept = {".py", ".yaml", ".npz", ".json", ".xml", ".typed"}
    files = (p for name in PACKAGES for p in (ROOT / name).rglob("*") if p.suffix in kept)
    missing = {p.relative_to(ROOT).as_posix() for p in files} - set(wheel.namelist())
    assert not missing


def test_every_package_says_that_it_is_typed(wheel):
    assert {f"{name}/py.typed" for name in PACKAGES} <= set(wheel.namelist())


def test_the_wheel_holds_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == set(PACKAGES)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


def test_the_lock_lies_within_the_ranges():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = dict(line.split(" ")[0].split("==") for line in lines if "==" in line)
    extras = project["optional-dependencies"]
    wanted = [*map(Requirement, [*project["dependencies"], *extras["dev"]])]
    for own in [x for x in wanted if x.name == project["name"]]:  # dev holds other extras
        wanted.remove(own)
        wanted += [Requirement(x) for extra in sorted(own.extras) for x in extras[extra]]
    assert {"ray", "onnx", "sphinx"} <= {requirement.name for requirement in wanted}
    for requirement in wanted:
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_the_lock_names_no_address_and_hashes_everything():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    blocks = text.replace("\\\n", " ").strip().splitlines()
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.wheel
def test_the_packages_come_from_where_they_are_installed():
    """On the wheel run nothing may leak in from the source tree."""
    places = {Path(importlib.import_module(name).__file__).parents[1] for name in PACKAGES}
    installed = "LATENT_POLICIES_INSTALLED" in os.environ
    assert len(places) == 1
    assert (ROOT not in places) or not installed
    assert not installed or places.pop().is_relative_to(sys.prefix)


@pytest.mark.wheel
@pytest.mark.parametrize("name", modules())
def test_every_module_imports(name):
    importlib.import_module(name)


@pytest.mark.wheel
def test_importing_everything_starts_no_simulator():
    heavy = ["mujoco", "gymnasium", "dm_control", "matplotlib", "wandb", "tensorboardX"]
    code = (
        "import importlib, json, sys\n"
        f"for name in {modules()}: importlib.import_module(name)\n"
        f"print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.wheel
@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_answer(command):
    scripts = {e.name: e.value for e in metadata.entry_points(group="console_scripts")}
    assert scripts[command] == f"{command}.cli:main"
    program = str(Path(sys.executable).with_name(command))
    help_page = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=200)
    assert help_page.returncode == 0, help_page.stderr
    assert "Exit codes" in help_page.stdout
    version = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=200)
    assert metadata.version("latent-policies") in version.stdout


@pytest.mark.wheel
def test_values_and_weights_are_installed():
    configs = {p.name for p in resources.files("configs").iterdir()}
    assert {"run.yaml", "cnf.yaml", "bc.yaml"} <= configs
    for family in COMMANDS:
        names = importlib.import_module(f"{family}.algorithms").ALGORITHMS
        assert {f"{name}.yaml" for name in names} <= configs
    weights = {p.name for p in (resources.files("shared") / "behavior" / "weights").iterdir()}
    assert any(name.endswith(".npz") for name in weights)
