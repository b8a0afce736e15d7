"""The world model against slow NumPy, distrax, Equinox's own GRU and a Kalman filter."""

from typing import Any

import distrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clap.model.latent_actions import DirectActions, GaussianLatentActions
from clap.model.rssm import RSSM, Latent
from clap.model.states import (
    MEAN_LIMIT,
    MIN_STD,
    Categorical,
    DiscreteStates,
    Gaussian,
    GaussianStates,
    regularizer,
)
from clap.model.world_model import Noise, WorldModel
from shared.datasets.windows import EpisodeWindow
from shared.types import Window

OBSERVATION, ACTION, H, S, U, T = 3, 2, 5, 4, 3, 6
PLAIN = {"balance": None, "free_nats": 0.0}


def make_model(*, direct=False, markov=False, learned_std=True, seed=0, sizes=(8, 7), states=None):
    k_core, k_actions, k_heads, k_std = jax.random.split(jax.random.key(seed), 4)
    states = states or GaussianStates(S)
    core = RSSM(OBSERVATION, ACTION, H, states, sizes, markov=markov, key=k_core)
    size = core.visible_size
    actions = (
        DirectActions(ACTION)
        if direct
        else GaussianLatentActions(size, ACTION, U, sizes, action_std=0.2, key=k_actions)
    )
    model = WorldModel(core, actions, OBSERVATION, sizes, learned_std=learned_std, key=k_heads)
    log_std = 0.3 * jax.random.normal(k_std, model.log_std.shape)
    return eqx.tree_at(lambda m: m.log_std, model, log_std)


def make_window(seed=1, real=T):
    """A window of which `real` observations are no padding, and the last real one is final."""
    k = jax.random.split(jax.random.key(seed), 3)
    observed, acted = jnp.arange(T) < real, jnp.arange(T) < real - 1
    window = Window(
        observation=jax.random.normal(k[0], (T, OBSERVATION)),
        action=jnp.where(acted[:, None], jax.random.uniform(k[1], (T, ACTION), minval=-1.0), 0.0),
        reward=jnp.where(acted, jax.random.normal(k[2], (T,)), 0.0),
        terminal=acted & (jnp.arange(T) == real - 2),
        is_first=jnp.arange(T) == 0,
    )
    return EpisodeWindow(window, observed, acted)


@pytest.fixture
def gaussians():
    k = jax.random.split(jax.random.key(2), 4)
    mean, other = jax.random.normal(k[0], (9, 4)), jax.random.normal(k[1], (9, 4))
    std = MIN_STD + jax.random.uniform(k[2], (9, 4))
    return Gaussian(mean, std), Gaussian(other, MIN_STD + jax.random.uniform(k[3], (9, 4)))


def test_kl_and_density_against_distrax(gaussians):
    ours, other = gaussians
    q, p = (distrax.MultivariateNormalDiag(*g) for g in gaussians)
    np.testing.assert_allclose(ours.kl_divergence(other), q.kl_divergence(p), rtol=2e-5)
    np.testing.assert_allclose(ours.log_prob(other.mean), q.log_prob(other.mean), rtol=2e-5)


def test_discrete_states_against_distrax():
    """Divergence, the uniform share, samples that are one-hot and as frequent as they should."""
    states = DiscreteStates(2, 3)
    outputs = jax.random.normal(jax.random.key(0), (2, 6))
    outputs = outputs.at[0, :3].set(jnp.array([200.0, 0.0, 0.0]))
    q, p = (states.distribution(output) for output in outputs)
    assert isinstance(q, Categorical) and isinstance(p, Categorical)
    reference_q, reference_p = (distrax.Categorical(logits=x.log_probs) for x in (q, p))
    expected = jnp.sum(reference_q.kl_divergence(reference_p))
    np.testing.assert_allclose(q.kl_divergence(p), expected, rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(q.log_probs[0]), [0.99 + 0.01 / 3, 0.01 / 3, 0.01 / 3], 1e-4)
    drawn = np.asarray(jax.vmap(p.sample)(states.noise(20000, key=jax.random.key(1))))
    assert set(np.unique(drawn)) == {0.0, 1.0} and (drawn.reshape(-1, 2, 3).sum(-1) == 1).all()
    np.testing.assert_allclose(drawn.mean(0), reference_p.probs.ravel(), atol=0.015)
    likeliest = p.sample(jnp.zeros(states.size)).reshape(2, 3)
    np.testing.assert_array_equal(jnp.argmax(likeliest, 1), jnp.argmax(p.log_probs, 1))


def test_the_gradient_of_a_discrete_sample_is_that_of_its_probabilities():
    states, output = DiscreteStates(2, 3), jax.random.normal(jax.random.key(0), (6,))
    noise, weight = states.noise(key=jax.random.key(1)), jnp.arange(6.0)
    sampled = jax.grad(lambda x: weight @ states.distribution(x).sample(noise))(output)
    smooth = jax.grad(lambda x: weight @ jnp.exp(states.distribution(x).log_probs).ravel())(output)
    np.testing.assert_allclose(sampled, smooth, atol=1e-6)


def test_balancing_divides_the_gradient_and_keeps_the_value(gaussians):
    q, p = gaussians

    def loss(q, p, **options):
        return jnp.sum(regularizer(q, p, **options))

    plain = jax.grad(loss, argnums=(0, 1))(q, p)
    balanced = jax.grad(loss, argnums=(0, 1))(q, p, balance=0.8)
    np.testing.assert_allclose(loss(q, p, balance=0.8), loss(q, p), rtol=1e-5)
    np.testing.assert_allclose(balanced[0].mean, 0.2 * plain[0].mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(balanced[1].std, 0.8 * plain[1].std, rtol=1e-4, atol=1e-6)


def test_free_nats_stop_the_gradient_below_them(gaussians):
    q, p = gaussians
    level = float(jnp.median(q.kl_divergence(p)))
    gradient = jax.grad(lambda q: jnp.sum(regularizer(q, p, free_nats=level)))(q).mean
    dead = np.asarray(q.kl_divergence(p)) < level
    assert (np.asarray(gradient)[dead] == 0).all() and (np.asarray(gradient)[~dead] != 0).any()


def test_advance_is_a_gru_cell():
    core = make_model().rssm
    cell = eqx.nn.GRUCell(S + ACTION, H, key=jax.random.key(0))
    joined = jnp.concatenate([core.from_stochastic.weight, core.from_action.weight], axis=1)
    # Equinox adds the candidate's recurrent bias as `bias_n`, and has one bias for the others.
    both = core.from_action.bias.at[: 2 * H].add(core.recurrent.bias[: 2 * H])
    cell = eqx.tree_at(
        lambda c: (c.weight_ih, c.weight_hh, c.bias, c.bias_n),
        cell,
        (joined, core.recurrent.weight, both, core.recurrent.bias[2 * H :]),
    )
    k = jax.random.split(jax.random.key(1), 3)
    h, s, a = (jax.random.normal(x, (n,)) for x, n in zip(k, (H, S, ACTION), strict=True))
    expected = cell(jnp.concatenate([s, a]), h)
    np.testing.assert_allclose(core.advance(Latent(h, s), core.from_action(a)), expected, atol=1e-6)


@pytest.mark.parametrize("markov", [False, True])
@pytest.mark.parametrize("states", [GaussianStates(S), DiscreteStates(2, 3)], ids=str)
def test_imagine_equals_observe_when_fed_the_same_latents(states, markov):
    core, (window, _, _) = make_model(states=states, markov=markov).rssm, make_window()
    noise = states.noise(T, key=jax.random.key(5))
    latents, _, prior = eqx.filter_jit(core.observe)(window.observation, window.action, noise)
    # The noise under which the prior draws what the posterior drew.
    if isinstance(prior, Categorical):
        same = 1e3 * latents.stochastic
    else:
        same = (latents.stochastic - prior.mean) / prior.std
    first = jax.tree.map(lambda x: x[0], latents)
    dreamed, _ = eqx.filter_jit(core.imagine)(
        first, lambda feature, action: (action, None), window.action[:-1], same[1:]
    )
    np.testing.assert_allclose(dreamed.deterministic, latents.deterministic[1:], atol=1e-5)
    np.testing.assert_allclose(dreamed.stochastic, latents.stochastic[1:], atol=1e-5)


@pytest.mark.parametrize("markov", [False, True])
def test_filter_equals_observe(markov):
    core, (window, _, _) = make_model(markov=markov).rssm, make_window()
    noise = jax.random.normal(jax.random.key(5), (T, S))
    latents, _, _ = core.observe(window.observation, window.action, noise)
    latent, before = core.initial(), jnp.zeros(ACTION)
    for t in range(T):
        latent = core.filter(latent, before, window.observation[t], noise[t])
        before = window.action[t]
        np.testing.assert_allclose(latent.feature, latents.feature[t], atol=1e-5)


def slow_terms(model, data, noise):
    """Every ELBO term by loops over time and dimension in NumPy float64."""

    def affine(layer, x):
        bias = 0 if layer.bias is None else np.asarray(layer.bias, np.float64)
        return np.asarray(layer.weight, np.float64) @ x + bias

    def selu(x):
        return 1.0507009873554805 * np.where(
            x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))
        )

    def mlp(net, x):
        for layer in net.layers[:-1]:
            x = selu(affine(layer, x))
        return affine(net.layers[-1], x)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def gaussian(x):
        mean, raw = np.split(x, 2)
        return MEAN_LIMIT * np.tanh(mean / MEAN_LIMIT), np.log1p(np.exp(raw)) + MIN_STD

    def nll(x, mean, std):
        return sum(
            0.5 * ((a - m) / d) ** 2 + np.log(d) + 0.5 * np.log(2 * np.pi)
            for a, m, d in zip(x, mean, np.broadcast_to(std, np.shape(x)), strict=True)
        )

    def kl(q, p):
        parts = zip(*q, *p, strict=True)
        return sum(np.log(d / b) + (b**2 + (a - c) ** 2) / (2 * d**2) - 0.5 for a, b, c, d in parts)

    core, actions = model.rssm, model.actions
    window = [np.asarray(x, np.float64) for x in data.window]
    observation, action, reward, terminal, _ = window
    log_std = np.asarray(model.log_std, np.float64)
    h, s, a = np.zeros(H), np.zeros(S), np.zeros(ACTION)
    rows = []
    for t in range(int(data.observed.sum())):
        x, y = (
            affine(core.from_stochastic, s) + affine(core.from_action, a),
            affine(core.recurrent, h),
        )
        reset, update = (sigmoid(x[i * H : (i + 1) * H] + y[i * H : (i + 1) * H]) for i in (0, 1))
        h = (1 - update) * np.tanh(x[2 * H :] + reset * y[2 * H :]) + update * h
        embedding = mlp(core.encoder, observation[t])
        hidden = selu(embedding if core.markov else affine(core.posterior_hidden, h) + embedding)
        q, p = gaussian(affine(core.posterior_output, hidden)), gaussian(mlp(core.prior_network, h))
        s = q[0] + q[1] * np.asarray(noise.state[t], np.float64)
        f, a = np.concatenate([h, s]), action[t]
        seen = s if core.markov else f
        row = {"state_kl": kl(q, p)}
        row["observation_nll"] = nll(
            observation[t], mlp(model.observation_decoder, seen), np.exp(log_std[:-1])
        )
        if t > 0:
            row["reward_nll"] = nll([reward[t - 1]], mlp(model.reward_head, f), np.exp(log_std[-1]))
            goes_on = sigmoid(mlp(model.continue_head, f)[0])
            row["continue_nll"] = -np.log(1 - goes_on if terminal[t - 1] else goes_on)
        if data.acted[t]:
            q = gaussian(mlp(actions.posterior_network, np.concatenate([seen, a])))
            p = gaussian(mlp(actions.prior_network, seen))
            u = q[0] + q[1] * np.asarray(noise.action[t], np.float64)
            decoded = np.tanh(mlp(actions.decoder_network, np.concatenate([seen, u])))
            row |= {"action_nll": nll(a, decoded, 0.2), "latent_action_kl": kl(q, p)}
        rows.append(row)
    return rows


@pytest.mark.parametrize(("real", "markov"), [(T, False), (3, False), (T, True)])
def test_elbo_terms_against_slow_numpy(real, markov):
    model, data = make_model(markov=markov), make_window(real=real)
    noise = jax.tree.map(lambda x: x[0], model.noise(1, T, key=jax.random.key(3)))
    terms, loss = model.elbo_terms(data, noise, **PLAIN)
    rows = slow_terms(model, data, noise)
    names = {name for row in rows for name in row}
    assert names == set(terms)
    for name, value in terms.items():
        expected = np.array([row.get(name, 0.0) for row in rows] + [0.0] * (T - real))
        np.testing.assert_allclose(value, expected, rtol=2e-4, atol=2e-5, err_msg=name)
    np.testing.assert_allclose(loss, sum(terms.values()), rtol=1e-5)


@eqx.filter_jit
def loss_of(model, batch):
    return model.loss(batch, key=jax.random.key(0), **PLAIN)


def test_padding_changes_nothing_and_is_not_counted():
    model, data = make_model(), make_window(real=3)
    changed = data.window._replace(
        observation=data.window.observation.at[3:].set(1e3),
        reward=data.window.reward.at[3:].set(1e3),
    )
    batches = [
        jax.tree.map(lambda x: x[None], data._replace(window=w)) for w in (data.window, changed)
    ]
    first, second = (loss_of(model, b)[1] for b in batches)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_without_latent_actions_the_model_is_a_plain_rssm():
    model = make_model(direct=True)
    batch = jax.tree.map(lambda x: x[None], make_window())
    _, metrics = eqx.filter_eval_shape(loss_of, model, batch)
    assert set(metrics) == {
        *("observation_nll", "reward_nll", "continue_nll", "state_kl", "model_loss")
    }


def test_the_elbo_of_one_action_bounds_its_density():
    """log p(a) by brute-force integration over the prior lies above the mean ELBO."""
    actions = make_model().actions
    feature, action = jnp.ones(H + S) * 0.3, jnp.array([0.2, -0.4])
    keys = jax.random.split(jax.random.key(0), 20000)

    @eqx.filter_jit
    def compare(actions):
        bound = jnp.mean(jax.vmap(lambda k: actions.log_prob(feature, action, key=k))(keys))
        prior = actions.prior(feature)
        u = jax.vmap(prior.sample)(jax.random.normal(keys[0], (20000, U)))
        likelihoods = jax.vmap(lambda u: actions.log_likelihood(feature, u, action))(u)
        return bound, jax.nn.logsumexp(likelihoods) - jnp.log(20000.0)

    bound, exact = compare(actions)
    assert bound < exact


A, PROCESS, OUTPUT = 0.9, 0.3, 0.5
"""x' = A x + PROCESS · N(0, 1) is seen as y = x + OUTPUT · N(0, 1)."""


def kalman(y):
    """Means and variances of x_t given y_1..y_t, and -log p(y_t | y_1..y_t-1), by a slow loop.

    The first variance is the one that all later predictions have: the filter is stationary.
    """
    variance = PROCESS**2
    for _ in range(1000):
        variance = A**2 * variance * OUTPUT**2 / (variance + OUTPUT**2) + PROCESS**2
    mean, means, nll = 0.0, [], []
    for value in y:
        spread = variance + OUTPUT**2
        nll.append(0.5 * (np.log(2 * np.pi * spread) + (value - mean) ** 2 / spread))
        filtered = mean + variance / spread * (value - mean)
        means.append(filtered)
        mean = A * filtered
    return np.array(means), variance * OUTPUT**2 / (variance + OUTPUT**2), variance, np.array(nll)


def kalman_model(*, gain_error=0.0, std_factor=1.0):
    """A world model whose parts, set by hand, are the Kalman filter of that system.

    h is the predicted mean: the recorded "action" is the observation before, so that
    h' = A (h + gain (y - h)).  s is x, its posterior the filter's.  `SMALL` keeps tanh in
    its linear range, and a large bias selu in its own.
    """
    small, lift, selu = 1e-2, 8.0, 1.0507009873554805
    _, filtered, variance, _ = kalman([])
    gain = variance / (variance + OUTPUT**2)

    def make(key):
        core = RSSM(1, 1, 1, GaussianStates(1), (2,), key=key)
        return WorldModel(core, DirectActions(1), 1, (2,), learned_std=True, key=key)

    shapes = eqx.filter_eval_shape(make, jax.random.key(0))
    model: Any = jax.tree.map(lambda x: jnp.zeros(x.shape), shapes)
    raw = np.log(np.expm1(std_factor * np.sqrt([filtered, variance]) - MIN_STD))
    update, wrong = A * (1 - gain), gain + gain_error
    first = np.array([[1.0], [0.0]])

    def linear(where, weight, bias=None):
        nonlocal model
        layer = where(model)
        new = eqx.tree_at(lambda x: x.weight, layer, jnp.asarray(weight, jnp.float32))
        if bias is not None:
            new = eqx.tree_at(lambda x: x.bias, new, jnp.asarray(bias, jnp.float32))
        model = eqx.tree_at(where, model, new)

    # h' = (1 - update) tanh(small · A gain y / (1 - update)) + update h, h = small · mean
    x_new = small * A * gain / (1 - update)
    opened = np.log(update / (1 - update))
    linear(lambda m: m.rssm.from_action, [[0.0], [0.0], [x_new]], [0.0, opened, 0.0])
    # hidden = selu(lift + mean of x given y): as selu is linear there, its output is undone below
    linear(lambda m: m.rssm.posterior_hidden, (1 - wrong) / small * first)
    linear(lambda m: m.rssm.encoder.layers[0], wrong * first, [lift, 0.0])
    linear(lambda m: m.rssm.posterior_output, [[1 / selu, 0], [0, 0]], [-lift, raw[0]])
    linear(lambda m: m.rssm.prior_network.layers[0], first / small, [lift, 0.0])
    linear(lambda m: m.rssm.prior_network.layers[1], [[1 / selu, 0], [0, 0]], [-lift, raw[1]])
    # the decoder reads s out of [h, s]
    linear(lambda m: m.observation_decoder.layers[0], [[0, 1.0], [0, 0]], [lift, 0.0])
    linear(lambda m: m.observation_decoder.layers[1], [[1 / selu, 0]], [-lift])
    return eqx.tree_at(lambda m: m.log_std, model, jnp.log(jnp.array([OUTPUT, 1.0])))


@pytest.fixture(scope="module")
def linear_system():
    """Observations of the system, and what the Kalman filter says of them."""
    generator, (_, _, variance, _) = np.random.default_rng(0), kalman([])
    x, y = generator.normal() * np.sqrt(variance), []
    for _ in range(12):
        y.append(x + OUTPUT * generator.normal())
        x = A * x + PROCESS * generator.normal()
    return np.array(y), kalman(y)


def elbo_of(model, y):
    """Terms at every step, and posterior means and standard deviations of s.

    The log-likelihood is quadratic in s, whose mean is that over the noises ±1.
    """
    seen, still = jnp.asarray(y, jnp.float32)[:, None], jnp.zeros(len(y))
    window = Window(seen, seen, still, still > 0, still > 0)
    data = EpisodeWindow(window, jnp.ones(len(y), bool), jnp.ones(len(y), bool))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clap.model.states.MEAN_LIMIT", 1e4)  # so far off that means are linear
        terms, posterior = judge(model, data)
    return {name: np.asarray(value, np.float64) for name, value in terms.items()}, posterior


@eqx.filter_jit
def judge(model, data):
    seen, taken = data.window.observation, data.window.action

    def one(sign):
        noise = Noise(jnp.full(seen.shape, sign), jnp.zeros_like(taken))
        terms, _ = model.elbo_terms(data, noise, **PLAIN)
        return terms, model.rssm.observe(seen, taken, noise.state)[1]

    terms, posterior = jax.vmap(one)(jnp.array([1.0, -1.0]))
    first = jax.tree.map(lambda x: x[0], posterior)
    return {name: jnp.mean(value, axis=0) for name, value in terms.items()}, first


def test_with_the_kalman_posterior_the_elbo_is_the_exact_likelihood(linear_system):
    y, (means, filtered, _, nll) = linear_system
    terms, posterior = elbo_of(kalman_model(), y)
    np.testing.assert_allclose(posterior.mean[:, 0], means, atol=2e-4)
    np.testing.assert_allclose(posterior.std[:, 0], np.sqrt(filtered), rtol=1e-4)
    np.testing.assert_allclose(terms["observation_nll"] + terms["state_kl"], nll, atol=1e-3)


@pytest.mark.parametrize("wrong", [{"gain_error": 0.2}, {"std_factor": 1.3}], ids=str)
def test_with_another_posterior_it_is_lower_by_their_divergence(linear_system, wrong):
    y, (means, filtered, _, nll) = linear_system
    model = kalman_model(**wrong)
    if "std_factor" in wrong:  # of the posterior alone
        right = kalman_model().rssm.prior_network
        model = eqx.tree_at(lambda m: m.rssm.prior_network, model, right)
    terms, q = elbo_of(model, y)
    exact = Gaussian(jnp.asarray(means[:, None], jnp.float32), jnp.full(q.std.shape, filtered**0.5))
    loss = terms["observation_nll"] + terms["state_kl"]
    np.testing.assert_allclose(loss, nll + np.asarray(q.kl_divergence(exact)), atol=1e-3)
    assert (loss > nll).all()
