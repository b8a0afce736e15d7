"""The flow: it inverts, its density is a density, and its gradients live at the edge."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flows import CONDITION_SIZE, batched, make_batch, make_flow

from shared.errors import ConfigError
from shared.models.bijections import kept_entries
from shared.models.distributions import EDGE
from shared.models.flow import ConditionalFlow, saturated_fraction
from shared.models.policies import BoundedLatentPolicy

BASES = ("uniform", "normal")
CASES = [*((size, "uniform") for size in (1, 2, 3, 6, 9)), (2, "normal"), (3, "normal")]


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    """Everything a flow computes of 64 events, from one compiled program."""
    size, base = request.param
    flow = make_flow(size, base)
    conditions, actions = make_batch(size, 64, seed=9)
    # Some close to the edge, where 1 - a² has few digits left.
    actions = actions.at[:4].set(jnp.sign(actions[:4]) * (1 - 1e-3))
    given = 0.9 * actions if base == "uniform" else 2 * actions

    # With the same weights but without its last tanh: a far latent has no derivative left.
    unbounded = make_flow(size, "normal")

    @eqx.filter_jit
    def compute(flow, frozen, conditions, actions, given):
        def one(condition, action, given):
            latent = flow.encode(condition, action)
            decoded = flow.decode(condition, given)
            return {
                "latent": latent,
                "back": flow.decode(condition, latent),
                "decoded": decoded,
                "again": flow.encode(condition, decoded),
                "log_prob": flow.log_prob(condition, action),
                "frozen_decoded": frozen.decode(condition, given),
                "frozen_latent": frozen.encode(condition, action),
                "frozen_log_prob": frozen.log_prob(condition, action),
                "x": unbounded.encode(condition, action),
                "jacobian": jax.jacfwd(lambda a: unbounded.encode(condition, a))(action),
            }

        return jax.vmap(one)(conditions, actions, given)

    results = compute(
        flow, eqx.filter_jit(ConditionalFlow.frozen)(flow), conditions, actions, given
    )
    results = {name: np.asarray(value) for name, value in results.items()}
    return results | {"base": base, "action": np.asarray(actions), "given": np.asarray(given)}


def largest(error, where):
    """The largest error of the rows whose entries all satisfy a condition, and their share."""
    rows = np.all(where, axis=1)
    return np.max(np.abs(error[rows])), np.mean(rows)


def test_encode_then_decode(case):
    # A uniform latent within 1e-2 of the edge is stored with too few bits to come back.
    far = 0.99 if case["base"] == "uniform" else np.inf
    error, share = largest(case["back"] - case["action"], np.abs(case["latent"]) < far)
    assert error < 1e-5 and share > 0.25


def test_decode_then_encode(case):
    inside = np.abs(case["decoded"]) < 0.99
    error, share = largest(case["again"] - case["given"], inside)
    assert error < 1e-5 and share > 0.25


def test_log_prob_agrees_with_autodiff(case):
    """Base density, written out by hand, plus log|det| of the Jacobian of the whole flow."""
    x = case["x"].astype(np.float64)
    if case["base"] == "uniform":
        prior = -np.log(2 * np.cosh(x) ** 2)
    else:
        prior = -0.5 * (x**2 + np.log(2 * np.pi))
    log_det = np.linalg.slogdet(case["jacobian"].astype(np.float64)).logabsdet
    np.testing.assert_allclose(case["log_prob"], prior.sum(1) + log_det, rtol=1e-4, atol=2e-3)


def test_frozen_is_the_same_map(case):
    np.testing.assert_allclose(case["frozen_decoded"], case["decoded"], atol=1e-5)
    np.testing.assert_allclose(case["frozen_latent"], case["latent"], atol=1e-5)
    np.testing.assert_allclose(case["frozen_log_prob"], case["log_prob"], atol=1e-5)


def test_a_margin_makes_saturated_actions_ordinary_points():
    flow, plain = make_flow(2, "normal", margin=0.2), make_flow(2, "normal")
    conditions, actions = make_batch(2, 64, seed=3)
    actions = actions.at[:16].set(jnp.sign(actions[:16]))

    @eqx.filter_jit
    def compute(flow, plain):
        def one(condition, action):
            latent = flow.encode(condition, action)
            beyond = flow.decode(condition, jnp.full(2, 30.0))
            return latent, flow.decode(condition, latent), beyond, plain.encode(condition, action)

        return jax.vmap(one)(conditions, actions)

    latent, back, beyond, far = compute(flow, plain)
    np.testing.assert_allclose(back, actions, atol=1e-5)
    assert np.max(np.abs(latent)) < np.max(np.abs(far))
    assert np.max(np.abs(beyond)) == 1  # decodes to the limit


@pytest.mark.parametrize(
    "size,base,margin",
    [(1, "uniform", 0.0), (2, "uniform", 0.0), (2, "normal", 0.0), (1, "uniform", 0.2)],
)
def test_density_integrates_to_one(size, base, margin):
    flow = make_flow(size, base, margin=margin)
    condition = jnp.linspace(-1, 1, CONDITION_SIZE)
    # A grid in x = atanh(a), which is where the mass is smooth; da = (1 - a²) dx.
    x, step = np.linspace(-5.75, 5.75, 2000 if size == 1 else 400, retstep=True, dtype=np.float32)
    grid = np.stack(np.meshgrid(*[x] * size), -1).reshape(-1, size)
    # With a margin the density reaches beyond ±1.
    reach = 1 / (1 - margin)
    density = batched(lambda a: flow.log_prob(condition, a))(reach * jnp.tanh(grid))
    weight = np.prod(reach * (1 - np.tanh(grid.astype(np.float64)) ** 2) * float(step), axis=1)
    assert np.sum(np.exp(density) * weight) == pytest.approx(1, abs=2e-3)


def test_the_gradient_lives_at_the_very_edge():
    flow = make_flow(3)
    condition = jnp.ones(CONDITION_SIZE)
    arrays, static = eqx.partition(flow, eqx.is_inexact_array)
    for action in (jnp.ones(3), -jnp.ones(3), jnp.array([1.0, -1.0, 0.2])):
        loss = lambda arrays, a=action: eqx.combine(arrays, static).log_prob(condition, a)  # noqa: E731
        value, gradients = jax.jit(jax.value_and_grad(loss))(arrays)
        assert jnp.isfinite(value)
        for gradient in jax.tree.leaves(gradients):
            assert jnp.all(jnp.isfinite(gradient)) and jnp.any(gradient != 0)


@pytest.mark.parametrize("base", BASES)
def test_the_gradient_towards_the_edge_is_the_slope_of_the_density(base):
    """Just inside the clip, where a naive log(1 - tanh²) has lost all its digits."""
    flow = make_flow(2, base)
    condition = jnp.zeros(CONDITION_SIZE)
    x = jnp.array([5.0, -5.0])  # 1 - |a| = 9e-5
    density = jax.jit(lambda x: flow.log_prob(condition, jnp.tanh(x)))
    slope = jax.grad(density)(x)
    ahead = density(x + jnp.array([0.1, 0.0]))
    behind = density(x - jnp.array([0.1, 0.0]))
    np.testing.assert_allclose(slope[0], (ahead - behind) / 0.2, rtol=0.05, atol=0.02)


def test_actions_beyond_the_clip_have_the_density_of_the_clipped_action():
    flow = make_flow(2)
    condition = jnp.zeros(CONDITION_SIZE)
    at_clip = flow.log_prob(condition, jnp.array([1 - EDGE, 0.3]))
    assert flow.log_prob(condition, jnp.array([1.0, 0.3])) == at_clip


def test_half_products_decode_nearly_the_same_and_have_the_same_gradient():
    conditions, actions = make_batch(6, 64, seed=6, limit=0.8)
    decode = batched(make_flow(6, hidden=64).frozen().decode)

    def pulled_back(precision):
        with jax.default_matmul_precision(precision):
            gradient = jax.grad(lambda z: jnp.sum(decode(conditions, z) ** 2))
            return decode(conditions, actions), gradient(actions)

    (action, gradient), (rough_action, rough_gradient) = map(pulled_back, ("default", "bfloat16"))
    assert rough_action.dtype == jnp.float32
    assert 0 < np.max(np.abs(rough_action - action)) < 0.02
    difference = np.linalg.norm(rough_gradient - gradient) / np.linalg.norm(gradient)
    assert difference < 0.02


def test_a_freshly_initialised_flow_whitens_its_first_batch():
    conditions, actions = make_batch(3, 512, seed=0)
    actions = actions * jnp.array([[1.0, 0.1, 0.5]]) + jnp.array([[0.0, 0.5, 0.0]])
    flow = ConditionalFlow(
        CONDITION_SIZE, 3, layers=3, hidden_size=8, base="normal", key=jax.random.key(1)
    )
    flow = flow.start(conditions, actions)
    # After the last ActNorm come a rotation and an identity: still white per rotated axis.
    latents = batched(flow.encode)(conditions, actions)
    np.testing.assert_allclose(np.mean(latents, 0), np.zeros(3), atol=1e-3)
    np.testing.assert_allclose(np.trace(np.cov(latents.T)), 3.0, rtol=0.01)


def test_a_constant_action_does_not_explode_at_initialisation():
    conditions, actions = make_batch(3, 128, seed=0)
    actions = actions.at[:, 1].set(1.0)
    flow = make_flow(3, layers=2)
    flow = eqx.filter_jit(ConditionalFlow.start)(flow, conditions, actions)
    assert np.all(np.isfinite(batched(flow.log_prob)(conditions, actions)))
    assert np.max(np.abs(flow.stack.log_scale)) < 5


def test_every_entry_is_transformed_and_odd_sizes_split_unevenly():
    np.testing.assert_array_equal(kept_entries(2, 3), [[1, 0, 0], [0, 1, 1]])
    np.testing.assert_array_equal(kept_entries(2, 1), [[0], [0]])
    np.testing.assert_array_equal(kept_entries(3, 4).sum(1), [2, 2, 2])


@pytest.mark.parametrize("size", (1, 3))
def test_one_coupling_keeps_its_kept_entries(size):
    """And reads nothing else: the Jacobian of (l, t) is zero but for kept columns."""
    flow = make_flow(size, layers=2)
    kept = kept_entries(2, size)
    for k in range(2):
        coupling = jax.tree.map(lambda x, k=k: x[k], flow.stack.coupling.masked(kept))
        condition, x = jnp.ones(CONDITION_SIZE), jnp.linspace(-1, 1, size)
        log_scale, shift = coupling(x, condition)
        moved = np.asarray(kept[k]) == 0
        assert np.all((np.asarray(shift) != 0) == moved)
        assert np.all((np.asarray(log_scale) != 0) == moved)
        jacobian = jax.jacfwd(lambda x, c=coupling: jnp.stack(c(x, jnp.ones(CONDITION_SIZE))))(x)
        assert np.all(np.asarray(jacobian)[:, :, moved] == 0)
        by_condition = jax.jacfwd(lambda s, c=coupling, x=x: c(x, s)[1])(condition)
        assert np.all(np.any(np.asarray(by_condition)[moved] != 0, axis=1))


@pytest.mark.parametrize("base,clip,width", [("uniform", None, 1), ("uniform", 0.5, 0.5), ("normal", 2.0, 2)])  # fmt: skip # noqa: E501
def test_no_policy_leaves_the_box_and_no_decoder_leaves_the_actions(base, clip, width):
    flow = make_flow(3, base)
    policy = BoundedLatentPolicy(CONDITION_SIZE, 3, (8,), key=jax.random.key(0))
    policy = jax.tree.map(lambda x: 1e4 * x if eqx.is_inexact_array(x) else x, policy)
    for space in (flow, flow.frozen()):
        decode = eqx.filter_jit(space.decode)
        box = space.box(jnp.zeros(CONDITION_SIZE), clip)
        np.testing.assert_array_equal(box.center, np.zeros(3))
        np.testing.assert_array_equal(box.half_width, np.full(3, width, np.float32))
        for seed in range(8):
            condition = 100 * jax.random.normal(jax.random.key(seed), (CONDITION_SIZE,))
            for latent in (
                policy.sample(condition, box, key=jax.random.key(seed)),
                policy.mode(condition, box),
            ):
                assert np.all(np.abs(latent) <= width)
                action = decode(condition, latent)
                assert np.all(np.abs(action) <= 1), action


def test_a_normal_base_has_no_box_and_stays_in_the_actions():
    flow = make_flow(3, "normal")
    condition = jnp.zeros(CONDITION_SIZE)
    assert flow.box(condition) is None
    assert np.all(np.abs(flow.frozen().decode(condition, jnp.array([1e4, -1e4, 50.0]))) <= 1)


def test_saturated_fraction():
    actions = jnp.array([[1.0, 0.0], [-1.0, 0.999]])
    assert saturated_fraction(actions) == 0.5


@pytest.mark.parametrize(
    "wrong,word",
    [
        ({"layers": 0}, "layers"),
        ({"base": "gumbel"}, "gumbel"),
    ],
)
def test_wrong_settings_are_named(wrong, word):
    settings = {"layers": 1, "hidden_size": 4, "key": jax.random.key(0)} | wrong
    with pytest.raises(ConfigError, match=word):
        ConditionalFlow(2, 2, **settings)
