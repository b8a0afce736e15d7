"""Boxes that nothing leaves, values in their units, and dreams that start where they may."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from clap.agent import Agent, Values, ValueUnits
from clap.dreams import draw_starts, dream
from clap.model.latent_actions import DirectActions, GaussianLatentActions
from clap.model.rssm import RSSM, Latent
from clap.model.states import GaussianStates
from clap.model.world_model import WorldModel
from shared.datasets.windows import EpisodeWindow
from shared.models.learner import Learner, descend
from shared.models.policies import BoundedLatentPolicy
from shared.types import Window

H, S, U, ACTION = 5, 4, 3, 2


def make_model(seed=0):
    k_core, k_actions, k_heads = jax.random.split(jax.random.key(seed), 3)
    actions = GaussianLatentActions(H + S, ACTION, U, (8,), action_std=0.2, key=k_actions)
    core = RSSM(3, ACTION, H, GaussianStates(S), (8,), key=k_core)
    return WorldModel(core, actions, 3, (8,), learned_std=True, key=k_heads)


def some_states(count, scale=1.0, seed=4):
    k_h, k_s = jax.random.split(jax.random.key(seed))
    h = jnp.tanh(jax.random.normal(k_h, (count, H)))
    return Latent(h, scale * jax.random.normal(k_s, (count, S)))


@pytest.mark.parametrize("support", [0.25, 1.0, 10.0])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_no_sample_and_no_mode_leaves_the_box(support, scale):
    """Whatever the policy's network says and wherever the state is."""
    space = make_model().actions
    features = some_states(64, scale).feature
    actor = BoundedLatentPolicy(H + S, U, (8,), key=jax.random.key(1))
    wild = jax.tree.map(lambda x: 100 * x, actor)
    keys = jax.random.split(jax.random.key(2), 64)

    @eqx.filter_jit
    def place(policy):
        def one(feature, key):
            box = space.box(feature, support)
            latents = policy.sample(feature, box, key=key), policy.mode(feature, box)
            return box, latents, [space.decode(feature, u) for u in latents]

        return jax.vmap(one)(features, keys)

    for policy in (actor, wild):
        box, latents, actions = jax.tree.map(np.asarray, place(policy))
        slack = 4 * np.spacing(np.abs(box.center) + box.half_width)
        for u, action in zip(latents, actions, strict=True):
            assert (np.abs(u - box.center) <= box.half_width + slack).all()
            assert (np.abs(action) <= 1).all()


def test_the_box_is_support_times_the_spread_of_the_prior():
    space, feature = make_model().actions, some_states(1).feature[0]
    assert isinstance(space, GaussianLatentActions)
    prior, box = space.prior(feature), space.box(feature, 2.5)
    assert box is not None
    np.testing.assert_array_equal(box.center, prior.mean)
    np.testing.assert_allclose(box.half_width, 2.5 * prior.std, rtol=1e-6)


def test_no_gradient_step_leaves_the_box():
    """Actors driven hard towards the edge press against it."""
    model = make_model()
    states = some_states(16)
    optimizer = optax.adam(0.3)
    learner = Learner.create(BoundedLatentPolicy(H + S, U, (8,), key=jax.random.key(1)), optimizer)

    @eqx.filter_jit
    def press(learner, space):
        box = jax.vmap(lambda feature: space.box(feature, 0.5))(states.feature)

        def loss(actor):
            return -1e3 * jnp.mean(jax.vmap(actor.mode)(states.feature, box)), {}

        step = lambda learner, _: (descend(learner, optimizer, loss)[0], None)  # noqa: E731
        learner, _ = jax.lax.scan(step, learner, length=30)
        return box, jax.vmap(learner.model.mode)(states.feature, box)

    box, u = jax.tree.map(np.asarray, press(learner, model.actions))
    slack = 4 * np.spacing(np.abs(box.center) + box.half_width)
    assert (np.abs(u - box.center) <= box.half_width + slack).all()
    assert np.mean(u - box.center > 0.99 * box.half_width) > 0.9


def test_without_a_constraint_nothing_bounds_the_latent():
    space = make_model().actions
    assert space.box(some_states(1).feature[0], None) is None
    assert DirectActions(ACTION).box(jnp.zeros(3)).half_width.shape == (ACTION,)


def test_a_dream_reports_what_its_policy_did():
    model, start = make_model(), jax.tree.map(lambda x: x[0], some_states(1))
    actor = BoundedLatentPolicy(H + S, U, (8,), key=jax.random.key(1))
    dreamer = eqx.filter_jit(dream)
    found = dreamer(
        model, actor, start, 4, support=1.0, stop_box_gradient=False, key=jax.random.key(3)
    )
    assert found.features.shape == (5, H + S) and found.reward.shape == (4,)
    np.testing.assert_array_equal(found.features[0], start.feature)
    np.testing.assert_array_equal(found.features[-1], found.end.feature)
    np.testing.assert_allclose(found.reward[2], model.reward(found.features[3]), rtol=1e-5)
    assert (found.continuation > 0).all()


def test_stopping_the_box_gradient_changes_the_gradient_and_not_the_value():
    model, start = make_model(), jax.tree.map(lambda x: x[0], some_states(1))
    actor = BoundedLatentPolicy(H + S, U, (8,), key=jax.random.key(1))

    def total(actor, stop):
        key = jax.random.key(3)
        found = dream(model, actor, start, 4, support=1.0, stop_box_gradient=stop, key=key)
        return jnp.sum(found.reward)

    judge = eqx.filter_jit(eqx.filter_value_and_grad(total))
    (v1, g1), (v2, g2) = (judge(actor, stop) for stop in (True, False))
    assert v1 == v2
    pairs = zip(jax.tree.leaves(g1), jax.tree.leaves(g2), strict=True)
    assert any(not np.allclose(x, y) for x, y in pairs)


def test_the_smallest_value_counts_and_the_ceiling_holds():
    values = Values(H + S, (8,), 3, key=jax.random.key(0))
    feature = some_states(1).feature[0]
    units = ValueUnits.raw()._replace(offset=jnp.float32(5.0), scale=jnp.float32(2.0))
    expected = 5 + 2 * float(jnp.min(values(feature)))
    np.testing.assert_allclose(units.value(values, feature), expected, rtol=1e-6)
    back = units.output(units.value(values, feature))
    np.testing.assert_allclose(back, jnp.min(values(feature)), rtol=1e-5)
    assert units._replace(range=jnp.asarray([-10.0, -9.0])).value(values, feature) == -9.0
    agent = Agent(BoundedLatentPolicy(H + S, U, (8,), key=jax.random.key(1)), values)
    assert values(feature).shape == (3,) and agent.values is values


def make_batch():
    """Two windows of 4 observations: one whole, one with a fatal action and padding."""
    acted = jnp.array([[True, True, True, True], [True, True, False, False]])
    observed = jnp.array([[True, True, True, True], [True, True, True, False]])
    terminal = jnp.zeros((2, 4), bool).at[1, 1].set(True)
    still = jnp.zeros((2, 4))
    window = Window(still[..., None], still[..., None], still, terminal, still > 0)
    number = jnp.arange(8.0).reshape(2, 4, 1)
    return Latent(number, 10 * number), EpisodeWindow(window, observed, acted)


def test_dreams_start_at_living_states_only():
    latents, batch = make_batch()
    starts = draw_starts(latents, batch, 200, key=jax.random.key(0))
    assert set(np.unique(starts.deterministic)) == {0, 1, 2, 3, 4, 5}
    np.testing.assert_array_equal(starts.stochastic, 10 * starts.deterministic)
