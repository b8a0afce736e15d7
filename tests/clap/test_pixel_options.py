"""Options of world models of pixels: stacks of frames, actions read off s alone, less memory."""

from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dreams import TINY

from clap.model.world_model import normalized
from shared.datasets.windows import EpisodeWindow
from shared.models.networks import Normalizer
from shared.runs.estimates import SLACK
from shared.runs.plan import make_plan
from shared.runs.temporaries import peak_bytes
from shared.types import Spec, Window

pytestmark = pytest.mark.long

SPEC = Spec.of_pixels((16, 16, 3), 2, np.zeros(2, np.float32))
SMALL = TINY | {"observation": "pixels", "cnn_depth": 2, "cnn_patch": 2}


def build(**values):
    return make_plan("clap", "clap", "walker_walk-medium", overrides=SMALL | values).build()


@pytest.fixture(scope="module")
def windows():
    """Two windows of five real uint8 frames."""
    generator = np.random.default_rng(0)
    shape = (2, 5)
    frames = generator.integers(0, 256, (*shape, 16, 16, 3), np.uint8)
    action = generator.uniform(-1, 1, (*shape, 2)).astype(np.float32)
    reward = generator.normal(size=shape).astype(np.float32)
    nothing, all_ = np.zeros(shape, bool), np.ones(shape, bool)
    window = Window(frames, action, reward, nothing, np.arange(5)[None] == 0 * nothing)
    return jax.tree.map(jnp.asarray, EpisodeWindow(window, all_, all_))


def loss_and_gradient(algorithm, windows):
    model = algorithm.make_model(SPEC, key=jax.random.key(1))
    batch, key = normalized(Normalizer.of(SPEC), windows), jax.random.key(2)

    def loss(model):
        return model.loss(batch, key=key, **algorithm.elbo_options)[0]

    arrays, rest = eqx.partition(model, eqx.is_array)

    def both(arrays):
        return jax.value_and_grad(lambda x: loss(eqx.combine(x, rest)))(arrays)

    compiled = jax.jit(both).lower(arrays).compile()
    held = compiled.memory_analysis().temp_size_in_bytes, peak_bytes(both, arrays)
    return *compiled(arrays), held


def test_computing_again_changes_memory_and_nothing_else(windows):
    """What the compiler needs falls by half; the estimate is within a factor of two and a half."""
    wide = {"cnn_depth": 8, "cnn_patch": 1}
    (*plain, (before, whole)), (*again, (after, part)) = (
        loss_and_gradient(build(rematerialise=x, **wide), windows) for x in ("off", "on")
    )
    for x, y in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)
    assert after < before / 2, (before, after)
    for xla, estimate in ((before, SLACK * whole), (after, SLACK * part)):
        assert xla / 2.5 < estimate < xla * 2.5, (xla, estimate)


def test_activations_of_half_the_size_leave_parameters_whole(windows):
    (full, *_), (half, gradient, _) = (
        loss_and_gradient(build(cnn_dtype=x), windows) for x in ("float32", "bfloat16")
    )
    assert {x.dtype for x in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}
    assert full != half and abs(full - half) < 0.01 * abs(full)


@pytest.mark.parametrize("state_from", ["observation", "history"])
def test_acting_sees_the_stacks_that_training_saw(windows, state_from):
    """Filtered frame by frame, the states are those of the whole window."""
    algorithm = build(frame_stack=3, state_from=state_from)
    model = algorithm.make_model(SPEC, key=jax.random.key(1))
    normalizer = Normalizer.of(SPEC)
    state = SimpleNamespace(world_model=SimpleNamespace(model=model), normalizer=normalizer)
    expected = jax.jit(lambda x: model.states(normalized(normalizer, x), key=None))(windows)
    memory = algorithm.initial_memory(state)
    perceive = jax.jit(lambda m, frame: algorithm.perceive(state, m, frame, key=None))
    for t in range(5):
        feature, memory = perceive(memory, windows.window.observation[0, t])
        whole = jax.tree.map(lambda x, t=t: x[0, t], expected)
        np.testing.assert_allclose(feature, model.rssm.visible(whole), atol=2e-5)
        memory = algorithm.took(memory, windows.window.action[0, t])
    if state_from == "observation":  # what lies further back than the stack is forgotten
        later = jax.tree.map(lambda x: x.at[:, 0].set(255 - x[:, 0]), windows.window.observation)
        changed = windows._replace(window=windows.window._replace(observation=later))
        moved = model.states(normalized(normalizer, changed), key=None).stochastic
        same = np.abs(moved - expected.stochastic).max(axis=(0, 2)) < 1e-6
        assert same.tolist() == [False] * 3 + [True] * 2


@pytest.mark.parametrize("kind", ["gaussian", "flow"])
def test_markov_actions_see_nothing_of_h(kind):
    algorithm = build(actions_from="state", latent_actions=kind)
    state = algorithm.init(SPEC, key=jax.random.key(0))
    model = state.world_model.model
    size = model.rssm.visible_size
    h = size - algorithm.stochastic
    feature = jax.random.normal(jax.random.key(3), (size,))
    other, moved = feature.at[:h].add(1.0), feature.at[h:].add(1.0)

    def act(feature):
        return algorithm.choose(state, feature, key=None)

    np.testing.assert_array_equal(act(feature), act(other))
    assert not np.allclose(act(feature), act(moved))
    action, noise = jnp.full(2, 0.3), jnp.full(model.actions.latent_size, 0.1)
    terms = [model.actions.terms(x, action, noise)["action_nll"][0] for x in (feature, other)]
    assert terms[0] == terms[1]
