"""Longer, later: what was asked for survives a mistake and a kill, and sweeps can have it, too."""

import json
import re
from dataclasses import replace

import jax
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from long import long_but
from tiny import SMALL, TINY

from cnf.cli import main as cnf
from shared.comparison.read import read_run
from shared.errors import ConfigError, DataError, RunError
from shared.loading.request import DataRequest
from shared.record.run_folder import RunFolder
from shared.runs import longer, registry
from shared.runs.plan import make_plan
from shared.runs.request import Request
from shared.runs.resume import resume
from shared.runs.start import start
from shared.runs.trained import load_state
from shared.training import program

BC = {"steps": 8, "batch_size": 16, "hidden_sizes": [8], "evaluate_every": 4, "episodes": 1}
BC |= {"save_every": 4, "steps_per_call": 4}
ALGORITHMS = [(family, name) for family in registry.FAMILIES for name in registry.ours(family)]


def arrays(run):
    return [np.asarray(x) for x in jax.tree.leaves(load_state(run)[3])]


def extensions(run):
    record = json.loads((run / "run.json").read_text())
    return [(more["from"], more["to"]) for more in record["extensions"]]


@pytest.fixture
def run(hopper_random, tmp_path):
    data = DataRequest("hopper-random", hopper_random.path)
    return start(Request("cnf", "bc", data, overrides=BC, out=tmp_path / "run"))[0]


def test_a_mistake_on_the_way_is_none_of_the_run(run, hopper_random, tmp_path):
    before = {file: (run / file).read_bytes() for file in ("config.yaml", "run.json")}
    with pytest.raises(DataError, match="gone.hdf5: there is no such file or folder"):
        resume(run, steps=16, data=tmp_path / "gone.hdf5")
    assert before == {file: (run / file).read_bytes() for file in before}
    resume(run, steps=16, data=hopper_random.path)
    assert extensions(run) == [(8, 16)]
    text = (run / "config.yaml").read_text()
    assert text.startswith("# steps was 8 before: see extensions in run.json\n")
    assert yaml.safe_load(text)["hyperparameters"]["steps"] == 16


def test_a_run_that_could_not_learn_is_none(hopper_random, tmp_path):
    data = DataRequest("hopper-random", hopper_random.path)
    nothing = Request("cnf", "bc", data, overrides=BC | {"steps": 0}, out=tmp_path / "nothing")
    with pytest.raises(ConfigError, match="nothing to train: every phase has 0 updates"):
        start(nothing)
    wide = BC | {"hidden_sizes": [10**8, 10**8]}
    with pytest.raises(RunError, match="too little memory .[0-9,]+ GiB .*choose smaller batches"):
        start(Request("cnf", "bc", data, overrides=wide, out=tmp_path / "wide"))


def test_a_kill_between_the_two_files_loses_nothing(run, hopper_random, tmp_path):
    """The record notes it first; the same words, or none, carry it out."""
    old = (run / "config.yaml").read_bytes()
    resume(run, steps=16)
    record = run / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "running"}))
    (run / "config.yaml").write_bytes(old)
    resume(run, steps=16)
    assert extensions(run) == [(8, 16)] and read_run(run).phases == (("policy", 16),)
    (run / "config.yaml").write_bytes(old)
    resume(run)
    assert yaml.safe_load((run / "config.yaml").read_text())["hyperparameters"]["steps"] == 16
    resume(run, steps=20)
    assert extensions(run) == [(8, 16), (16, 20)]
    assert (run / "config.yaml").read_text().startswith("# steps was 8, 16 before")


@pytest.mark.parametrize(
    "sweep",
    [
        pytest.param({"hidden_sizes": [[8], [8, 8]]}, id="apart"),
        pytest.param({"alpha": [1.0, 3.0]}, id="together", marks=pytest.mark.long),
    ],
)
def test_a_sweep_goes_on_to_the_same_bits(hopper_random, tmp_path, sweep):
    algorithm = "bc" if "hidden_sizes" in sweep else "td3bc"
    data, small = DataRequest("hopper-random", hopper_random.path), BC
    if algorithm == "td3bc":
        small = {k: v for k, v in BC.items() if k != "hidden_sizes"}
        small |= {"actor_hidden_sizes": [8], "critic_hidden_sizes": [8]}
    asked = Request("cnf", algorithm, data, sweep=sweep)
    paths, whole = (
        start(replace(asked, overrides=small | {"steps": n}, out=tmp_path / str(n)))
        for n in (8, 16)
    )
    assert resume(tmp_path / "8", steps=16) == paths
    for one, other in zip(paths, whole, strict=True):
        assert extensions(one) == [(8, 16)]
        for x, y in zip(arrays(one), arrays(other), strict=True):
            np.testing.assert_array_equal(x, y)


def test_a_last_phase_that_steps_do_not_measure_cannot_be_longer(tmp_path):
    """Of the prior as policy all updates are the model's."""
    plan = make_plan("clap", "clap", "hopper-random", overrides={"policy": "prior"})
    settings = {"config": plan.to_dict(), "record": {"status": "finished"}}
    with RunFolder.create(tmp_path / "run", **settings) as run:
        with pytest.raises(ConfigError, match="'model', does not last as long as 'steps' says"):
            longer.check(run, 10**9)


def test_what_a_resumed_run_cannot_take_is_named_as_it_was_written(run):
    for words in (["--set", "tau=1"], ["--seed", "3"], ["--env", "hopper"], ["--sweep", "a=1"]):
        result = CliRunner().invoke(cnf, ["train", "--resume", str(run), *words])
        assert result.exit_code == 2 and f"leave out '{words[0]}'" in result.output


@pytest.mark.parametrize(
    ("family", "name"), long_but(ALGORITHMS, ("cnf", "cnf"), ("cnf", "iql"), ("clap", "clap"))
)
def test_schedules_are_those_that_depend_on_the_steps(family, name, hopper_random):
    """The program of an update holds the number of steps just where the algorithm says so."""
    fields = registry.find(family, name).__dataclass_fields__
    small = {key: value for key, value in (TINY | SMALL).items() if key in fields}
    decays = [key for key in fields if key.endswith("cosine_decay")]
    for decay in (False, True) if decays else (False,):
        texts = []
        for steps in (24, 48):
            more = small | {"steps": steps} | dict.fromkeys(decays, decay)
            algorithm = make_plan(family, name, "hopper-random", overrides=more).build()
            texts.append(_update(algorithm, hopper_random))
        assert (texts[0] != texts[1]) == bool(algorithm.schedules())
        assert decay or not algorithm.schedules()


def _update(algorithm, data) -> str:
    """The program of one update of the last phase and one seed, without addresses of functions."""
    index = len(algorithm.phases()) - 1
    phase = algorithm.phases()[index]
    state = program.state_shapes(algorithm, data.spec, (0,))
    rows, view = program.shape_of(algorithm, index, state, data.to_device())
    one = (jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in jax.tree.leaves((state, view)))
    state, view = jax.tree.unflatten(jax.tree.structure((state, view)), one)

    def update(state, rows, view, key, step):
        batch = phase.draw(program.seen(rows, view), key=key)
        return phase.update(state, batch, key=key, **{"step": step} if phase.takes_step else {})

    found = jax.make_jaxpr(update)(state, rows, view, jax.random.key(0), 1)
    return re.sub(r"0x[0-9a-f]+", "", str(found))
