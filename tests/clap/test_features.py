"""Model-free methods on the states of a frozen world model: what they see, resume, refusals."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from contract.test_contract import leaves
from tiny import SMALL
from tiny import TINY as OF_RUN

from clap.model.world_model import normalized
from cnf.cli import main
from shared.datasets.sequences import to_sequences
from shared.errors import ConfigError
from shared.record.run_folder import RunFolder
from shared.runs import frozen_model, trained
from shared.runs.plan import make_plan
from shared.runs.resume import resume
from shared.runs.start import train_plan
from shared.training.seeds import of_seed
from shared.training.views import source_of

pytestmark = pytest.mark.long


def plan_on(model, name="cnf", **more):
    features = frozen_model.plan_of_features(model).to_dict()
    fields = make_plan("cnf", name, "hopper-random").hyperparameters
    small = {key: value for key, value in SMALL.items() if key in fields}
    values = OF_RUN | small | {"evaluate_every": 12, "save_every": 4} | more
    return make_plan(
        "cnf", name, "hopper-random", seeds=(0, 1), overrides=values, features=features
    )


@pytest.fixture(scope="module")
def finished(model, hopper_random, tmp_path_factory):
    plan = plan_on(model)
    frozen = frozen_model.load_model(model, plan, hopper_random)
    return train_plan(plan, hopper_random, tmp_path_factory.mktemp("on") / "run", model=frozen)


def test_acting_filters_to_the_states_that_were_learned_on(finished, model, hopper_random):
    """Along a recorded episode, step by step with its own actions, as against the whole at once."""
    _, _, algorithm, state, _ = trained.load_state(finished)
    one = of_seed(state, 1)
    data = to_sequences(hopper_random.to_device())
    view = source_of(algorithm, 0, state, data).view[1]
    first, last = int(data.episodes.first[2]), int(data.episodes.last[2])
    memory, found = algorithm.initial_memory(one).model, []
    for number in range(first, min(last, first + 6)):
        feature, memory = algorithm._perceive(one.model, memory, data.observation[number])
        memory = algorithm.model.took(memory, data.places.action[number])
        found.append(feature)
    np.testing.assert_allclose(jnp.stack(found), view[first : first + len(found)], atol=1e-5)
    assert len(found) > 3
    scaled = jax.vmap(one.normalizer)(view)
    np.testing.assert_allclose(jnp.mean(scaled, axis=0), 0.0, atol=1e-3)
    source = trained.load_state(model)[3]
    pairs = zip(leaves(one.model["world_model"]), leaves(source.world_model), strict=True)
    assert all(np.array_equal(x, y[0]) for x, y in pairs)
    windows = data.windows_at(jnp.array([first]), jnp.array([2]), last - first + 1)
    world, norm = (of_seed(getattr(source, n), 0) for n in ("world_model", "normalizer"))
    states = world.model.states(normalized(norm, windows), key=None).feature[0]
    np.testing.assert_allclose(view[first : last + 1], states, atol=1e-5)


def test_a_killed_run_goes_on_to_the_same_bits(finished, hopper_random, tmp_path):
    again = tmp_path / "run"
    shutil.copytree(finished, again)
    names = RunFolder.open(again, write=False).checkpoints.names()
    shutil.rmtree(again / "checkpoints" / names[-1])
    resume(again, load=lambda _: hopper_random)
    states = (leaves(trained.load_state(run)[3]) for run in (finished, again))
    for x, y in zip(*states, strict=True):
        np.testing.assert_array_equal(x, y)
    assert (again / "scores.csv").read_bytes() == (finished / "scores.csv").read_bytes()


@pytest.mark.parametrize("name", ["dt", "onestep", "rebrac"])
def test_what_draws_no_single_rows_is_refused(model, name):
    with pytest.raises(ConfigError, match="draws no single rows"):
        plan_on(model, name)


def test_a_run_without_a_model_is_refused(finished, tmp_path):
    arguments = ["--features", str(finished), "--out", str(tmp_path / "run")]
    answer = CliRunner().invoke(main, ["train", "--env", "hopper-random", *arguments])
    assert answer.exit_code == ConfigError.exit_code
    assert "'cnf' has no model of the world" in answer.output
