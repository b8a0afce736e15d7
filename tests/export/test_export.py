"""A policy in a file acts as the policy of its run, whatever the format."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from dreams import TINY as DREAMS
from exported import drawn_run, recorded
from recording import record
from tiny import tiny_plan

import cnf.cli
from shared import export_run, load_decoder, load_exported, load_policy
from shared.errors import Advice, ConfigError, ExportError, ObservationError, RunError
from shared.models.foreign_decoder import ForeignDecoder
from shared.models.networks import Normalizer
from shared.record.usage import commit
from shared.runs.plan import make_plan

FORMATS = ("stablehlo", "onnx", "npz")
CASES = ("cnf", "dsrl", "dt", "clap")
STEPS = 6

WITHOUT_JAX = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import policy_reader
found = {}
for case in sys.argv[2:]:
    policy = policy_reader.Policy(f"{sys.argv[1]}/{case}.npz")
    shown = json.load(open(f"{sys.argv[1]}/shown.json"))
    found[case] = [policy.act(o, reward=r).tolist() for o, r in zip(*shown)]
assert not {"jax", "shared", "onnx"} & set(sys.modules)
print(json.dumps(found))
"""


def plan_of(case):
    if case != "clap":
        return tiny_plan(case)
    return make_plan("clap", "clap", "hopper-random", seeds=(0,), overrides=DREAMS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of four algorithms on commands from 0 to 4, and their policies in all formats."""
    folder = tmp_path_factory.mktemp("exported")
    columns = record() | {"actions": 2 * record()["actions"] + 2}
    data = recorded(folder, columns, low=0, high=4)
    for case in CASES:
        run = drawn_run(plan_of(case), data, folder / "runs" / case)
        export_run(run, *(folder / f"{case}.{ending}" for ending in FORMATS))
    return folder


@pytest.fixture(scope="module")
def shown():
    """Observations of an episode, and the rewards before them."""
    generator = np.random.default_rng(1)
    return generator.normal(0, 0.5, (STEPS, 11)).tolist(), [0.0, *range(1, STEPS)]


@pytest.fixture(scope="module")
def expected(folder, shown):
    """Commands of the runs' own policies."""
    policies = {case: load_policy(folder / "runs" / case) for case in CASES}
    return {
        case: np.array([policy.act(o, reward=r) for o, r in zip(*shown, strict=True)])
        for case, policy in policies.items()
    }


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_a_file_acts_as_its_run_does(folder, shown, expected, case, ending):
    policy = load_exported(folder / f"{case}.{ending}")
    for _ in range(2):  # a reset forgets the episode
        found = [policy.act(o, reward=r) for o, r in zip(*shown, strict=True)]
        np.testing.assert_allclose(found, expected[case], atol=2e-5)
        policy.reset()
    assert expected[case].min() >= 0 and expected[case].max() > 1  # newton metres, not ±1
    with pytest.raises(ObservationError, match=r"shape \(3,\), but this policy sees \(11,\)"):
        policy.act(np.zeros(3))
    policy.act(shown[0][0])  # the first of two robots is one step further
    rows = policy.act_batch(np.array([shown[0][0]] * 2))
    np.testing.assert_allclose(rows, expected[case][[0, 0]], atol=2e-5)


def test_numpy_alone_acts_too(folder, shown, expected):
    (folder / "shown.json").write_text(json.dumps(shown))
    command = [sys.executable, "-I", "-c", WITHOUT_JAX, str(folder), *CASES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    for case, found in json.loads(done.stdout).items():
        np.testing.assert_allclose(found, expected[case], atol=2e-5)


def test_the_manifest_says_what_it_is(folder):
    about = load_exported(folder / "clap.onnx").record
    assert about["algorithm"] == "clap" and about["seed"] == 0 and about["step"] == 8
    assert len(about["data"]["sha256"]) == 64 and about["action_range"] == [[0] * 3, [4] * 3]
    assert about["inputs"][0] == {"name": "observation", "shape": [11], "dtype": "float32"}
    assert set(about["memory"].values()) < {x["name"] for x in about["outputs"]}
    trained = json.loads((folder / "runs" / "clap" / "run.json").read_text())
    told = about["versions"] | {"platform": trained["versions"]["platform"]}
    assert about["commit"] == trained["commit"] and told == trained["versions"]
    assert "platform" not in about["versions"]
    assert about["exported_by"] == {"version": version("latent-policies"), "commit": commit()}


PLAIN = Normalizer(jnp.zeros(11), jnp.ones(11))


def steered_by(file):
    """The decoder of a file as `--decoder` takes it."""
    return ForeignDecoder(str(file), PLAIN, observation_size=11, action_size=3)


@pytest.mark.parametrize("case", ("dsrl", "clap"))
def test_a_decoder_is_the_second_half_of_its_policy(folder, case):
    files = [folder / f"decoder-{case}.{ending}" for ending in FORMATS]
    export_run(folder / "runs" / case, *files, part="decoder")
    decoders, observation, found = [load_decoder(file) for file in files], np.full(11, 0.2), []
    size = decoders[0].manifest["inputs"][1]["shape"][0]
    for decoder in decoders:
        found.append([decoder.decode(observation, np.full(size, x)) for x in (-1.0, 1.0)])
        with pytest.raises(ObservationError, match="the noise has the shape"):
            decoder.decode(observation, np.zeros(size + 1))
    np.testing.assert_allclose(found, [found[0]] * 3, atol=2e-5)
    left, right = found[0]
    assert left.shape == (3,) and not np.allclose(left, right)
    assert min(left.min(), right.min()) >= 0 and max(left.max(), right.max()) <= 4
    if case == "dsrl":  # what steers a decoder of somebody else takes ours, and undoes 0 to 4
        for file in files[:2]:
            seen = PLAIN(jnp.asarray(observation, jnp.float32))
            steered = steered_by(file).decode(seen, jnp.ones(size))
            np.testing.assert_allclose(steered, right / 2 - 1, atol=2e-5)
            steered_by(file).require_units((np.float32([0] * 3), np.float32([4] * 3)))
            with pytest.raises(
                ConfigError, match="go from .0.0, 0.0, 0.0. to .* data -1 to 1; dec"
            ):
                steered_by(file).require_units(None)
    with pytest.raises(ExportError, match="is a decoder, not a policy; load_decoder takes it"):
        load_exported(files[0])


def test_noise_of_a_sampling_policy_is_an_input(folder, expected, shown):
    """Zero noise is the mode of the policy's Gaussian."""
    file = folder / "sampled.npz"
    export_run(folder / "runs" / "cnf", file, sampled=True)
    first, second = load_exported(file, seed=1), load_exported(file, seed=2)
    assert not np.array_equal(*(policy.act(shown[0][0]) for policy in (first, second)))
    draws = [x for x in first.record["inputs"] if "draw" in x]
    assert [(x["draw"], x["shape"]) for x in draws] == [("normal", [3])]
    from shared.export.numpy_archive import NumPyArchive

    command, *_ = NumPyArchive(file).step([np.float32(shown[0][0]), np.zeros(3, np.float32)])
    np.testing.assert_allclose(command, expected["cnf"][0], atol=2e-5)


def test_far_observations_keep_their_digits(tmp_path, shown):
    """What was subtracted of the data's observations is subtracted in float64."""
    columns = record()
    far = np.array(columns["observations"], np.float64)
    far[:, 0] = 5e8 + np.round(far[:, 0] * 64) / 64
    following = np.array(columns["next_observations"], np.float64)
    following[:, 0] = 5e8 + np.round(following[:, 0] * 64) / 64
    columns |= {"observations": far, "next_observations": following}
    run = drawn_run(tiny_plan("bc"), recorded(tmp_path, columns), tmp_path / "run")
    policy = load_policy(run)
    assert policy.units.observation_offset is not None
    export_run(run, *(tmp_path / f"far.{ending}" for ending in FORMATS))
    for ending in FORMATS:
        found = [load_exported(tmp_path / f"far.{ending}").act(x) for x in far[:3]]
        np.testing.assert_allclose(found, [policy.act(x) for x in far[:3]], atol=2e-5)


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut short":
        content = content[: len(content) // 2]
    else:
        with zipfile.ZipFile(path) if path.suffix != ".onnx" else path.open("rb") as file:
            whole = file.read(max(file.namelist())) if path.suffix != ".onnx" else file.read()[-99:]
        at = content.index(whole[-60:]) + 30
        content[at] ^= 1
    target = path.with_name(f"damaged-{path.name}")
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("how", ("cut short", "one bit"))
def test_a_damaged_file_is_refused_by_name(folder, ending, how):
    path = damage(folder / f"cnf.{ending}", how)
    with pytest.raises(ExportError, match=f"damaged-cnf.{ending}: .* export it again") as error:
        load_exported(path)
    assert str(error.value).count("\n") == 0


def test_what_the_command_refuses(folder, tmp_path):
    run, answer = folder / "runs" / "dt", CliRunner()

    def refused(words, *arguments):
        result = answer.invoke(cnf.cli.main, ["export", *map(str, arguments)])
        assert result.exit_code == 9 and words in result.output, result.output

    refused("policy.pkl: a policy file ends in .stablehlo, .onnx, .npz", run, "policy.pkl")
    refused("no latent action space", run, tmp_path / "a.npz", "--part", "decoder")
    refused("exists already; choose another name, or give --force", run, folder / "dt.npz")
    spoiled = drawn_run(
        tiny_plan("bc"),
        recorded(tmp_path),
        tmp_path / "nan",
        lambda name, x: np.where(np.arange(x.size).reshape(x.shape) == 1, np.nan, x),
    )
    refused("its weights hold NaN", spoiled, tmp_path / "b.npz")
    assert not list(tmp_path.glob("*.npz"))
    done = answer.invoke(cnf.cli.main, ["export", str(run), str(tmp_path / "a.npz")])
    assert done.exit_code == 0 and "policy_reader.py" in done.output
    assert "warning" not in done.output


def test_a_policy_half_way_is_told_as_one(folder, tmp_path):
    run = shutil.copytree(folder / "runs" / "dt", tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    with pytest.warns(Advice, match=r"its policy after 8 of 12 updates"):
        assert export_run(run, tmp_path / "a.npz")


@pytest.mark.parametrize("key", ["data", "spec"])
def test_a_record_that_lacks_a_part_is_named(folder, tmp_path, key):
    run = shutil.copytree(folder / "runs" / "dt", tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {key: None}))
    with pytest.raises(RunError, match=f"run.json: '{key}' is missing or damaged; restore"):
        export_run(run, tmp_path / "a.npz")


def test_another_file_is_refused(tmp_path):
    with pytest.raises(ExportError, match="there is no such file"):
        load_exported(tmp_path / "policy.npz")
    with pytest.raises(ExportError, match="a policy file ends in"):
        load_exported(tmp_path / "policy.pt")
    (tmp_path / "policy.onnx").write_text("version https://git-lfs")
    with pytest.raises(ExportError, match="no policy file; export it again"):
        load_exported(tmp_path / "policy.onnx")


def test_the_page_runs(folder, tmp_path, monkeypatch):
    """Every Python block of docs/export.md, one after the other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for ending in FORMATS:
        shutil.copy(folder / f"cnf.{ending}", f"robot.{ending}")
    shutil.copy(folder / "policy_reader.py", ".")
    export_run(folder / "runs" / "cnf", "decoder.onnx", part="decoder")
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    commands = []
    for block in blocks:
        names = {}
        exec(block, names)
        commands.append(np.asarray(names["command"]))
    assert len(blocks) == 5 and all(command.shape == (3,) for command in commands)
    for command in commands[1:4]:
        np.testing.assert_allclose(command, commands[0], atol=2e-5)
