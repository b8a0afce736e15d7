"""Flow latents inside a world model: their density, their noise, their start and their box."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dreams import ACTION, FEATURE, TINY, events_of_actions
from flows import noisy

from clap.model.flow_latents import FlowLatentActions
from shared.errors import ConfigError
from shared.models.policies import BoundedLatentPolicy
from shared.runs.plan import make_plan


def make_space(noise_width=0.1):
    """With noise for weights, as after training."""
    settings = {"layers": 2, "hidden_size": 8, "noise_width": noise_width}
    space = eqx.filter_eval_shape(
        lambda: FlowLatentActions(FEATURE, ACTION, **settings, key=jax.random.key(0))
    )
    return eqx.tree_at(lambda s: s.flow, space, noisy(space.flow))


@pytest.fixture(scope="module")
def events():
    return events_of_actions()


def test_the_term_is_the_exact_density_of_the_moved_action(events):
    space, noise = make_space(), jax.random.normal(jax.random.key(1), (64, ACTION))

    @eqx.filter_jit
    def judge(space, feature, action, noise):
        terms = jax.vmap(lambda *x: space.terms(*x))(feature, action, noise)
        moved = space.dequantized(action, noise)
        return terms, moved, -jax.vmap(space.flow.log_prob)(feature, moved)

    terms, moved, nll = judge(space, *events, noise)
    assert set(terms) == {"action_nll"}
    for value in terms["action_nll"]:
        np.testing.assert_allclose(value, nll, rtol=1e-6)
    moved, action = np.asarray(moved), np.asarray(events[1])
    assert np.abs(moved).max() <= 1 and np.abs(moved - action).max() <= 0.1 + 1e-6
    assert len(np.unique(moved[:16])) == 16 * ACTION


def test_the_noise_is_uniform_and_reflected():
    space = make_space(noise_width=0.1)
    noise = jax.random.normal(jax.random.key(0), (20000, 2))
    moved = np.asarray(space.dequantized(jnp.array([[0.3, 1.0]]) + 0 * noise, noise))
    quantiles = np.quantile(moved, [0.1, 0.5, 0.9], axis=0)
    np.testing.assert_allclose(quantiles[:, 0], [0.22, 0.3, 0.38], atol=4e-3)
    np.testing.assert_allclose(quantiles[:, 1], [0.91, 0.95, 0.99], atol=4e-3)


def test_without_noise_actions_stay_where_they_are(events):
    _, action = events
    moved = make_space(noise_width=0.0).dequantized(action, jnp.ones_like(action))
    np.testing.assert_array_equal(moved, action)


def test_freezing_changes_no_action_and_latents_come_back(events):
    space = make_space()
    feature, _ = events
    latent = jax.random.uniform(jax.random.key(2), (64, ACTION), minval=-0.9, maxval=0.9)

    @eqx.filter_jit
    def there_and_back(space, frozen):
        decoded = jax.vmap(space.decode)(feature, latent)
        return (
            decoded,
            jax.vmap(frozen.decode)(feature, latent),
            jax.vmap(space.encode)(feature, decoded),
        )

    plain, frozen, back = there_and_back(space, space.frozen())
    np.testing.assert_allclose(frozen, plain, atol=1e-6)
    clear = np.all(np.abs(plain) < 0.999, axis=1)
    assert clear.mean() > 0.5
    np.testing.assert_allclose(np.asarray(back)[clear], np.asarray(latent)[clear], atol=1e-3)
    np.testing.assert_array_equal(space.sample_prior(feature[0], key=None), np.zeros(ACTION))


def test_no_sample_mode_or_gradient_step_leaves_the_box(events):
    """Neither does the policy of a wild network, nor one that was driven against the edge."""
    space, (feature, _) = make_space(), events
    policy = BoundedLatentPolicy(FEATURE, ACTION, (8,), key=jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), 64)

    @eqx.filter_jit
    def press(space, policy, latent_clip):
        """Gradient ascent on the latents; places before and after, and of a wild policy."""
        frozen = space.frozen()
        dynamic, static = eqx.partition(policy, eqx.is_inexact_array)

        def height(dynamic):
            actor = eqx.combine(dynamic, static)
            return 1e3 * jnp.sum(
                jax.vmap(lambda f: actor.mode(f, space.box(f, latent_clip)))(feature)
            )

        def step(dynamic, _):
            gradient = jax.grad(height)(dynamic)
            return jax.tree.map(lambda x, g: x + 0.3 * jnp.sign(g), dynamic, gradient), None

        pressed, _ = jax.lax.scan(step, dynamic, length=20)
        wild = jax.tree.map(lambda x: 1e4 * x, dynamic)

        def place(dynamic):
            actor = eqx.combine(dynamic, static)

            def one(feature, key):
                box = space.box(feature, latent_clip)
                latents = actor.sample(feature, box, key=key), actor.mode(feature, box)
                return latents, [frozen.decode(feature, u) for u in latents]

            return jax.vmap(one)(feature, keys)

        return [place(d) for d in (dynamic, pressed, wild)]

    for latent_clip in (0.25, 1.0):
        results = press(space, policy, jnp.float32(latent_clip))
        for latents, actions in results:
            for latent, action in zip(latents, actions, strict=True):
                assert np.abs(latent).max() <= latent_clip and np.abs(action).max() <= 1
        assert np.asarray(results[1][0][1]).min() > 0.99 * latent_clip


def test_a_clip_beyond_the_latents_is_refused():
    overrides = TINY | {"latent_actions": "flow", "latent_clip": 1.5}
    with pytest.raises(ConfigError, match="'latent_clip' is 1.5; it must lie in"):
        make_plan("clap", "clap", "hopper-random", overrides=overrides)


def test_actnorm_starts_from_the_actions_of_a_first_batch():
    """Latents of these actions then have mean 0 and standard deviation 1; padding counts not."""
    space, generator = make_space(), np.random.default_rng(0)
    stack = space.flow.stack
    fresh = (
        jax.tree.map(jnp.zeros_like, stack.coupling),
        jnp.broadcast_to(jnp.eye(ACTION), stack.linear.shape),
    )
    space = eqx.tree_at(lambda s: (s.flow.stack.coupling, s.flow.stack.linear), space, fresh)
    action = generator.normal(size=(20, 10, ACTION)) * [0.1, 0.2, 0.3] + [0.2, 0.0, -0.3]
    acted = np.arange(10) < 8 + 0 * np.arange(20)[:, None]
    action = jnp.asarray(np.where(acted[..., None], np.clip(action, -1, 1), 0.9), jnp.float32)
    feature = jnp.zeros((20, 10, FEATURE))

    @eqx.filter_jit
    def start(space):
        space = space.begin(feature, action, jnp.asarray(acted), key=jax.random.key(0))
        real = action[:, :8].reshape(-1, ACTION)
        moved = space.dequantized(real, jax.random.normal(jax.random.key(1), real.shape))
        return jax.vmap(lambda a: space.encode(feature[0, 0], a))(moved)

    x = np.arctanh(np.asarray(start(space), np.float64))
    np.testing.assert_allclose(x.mean(0), 0, atol=0.15)
    np.testing.assert_allclose(x.std(0), 1, atol=0.15)
