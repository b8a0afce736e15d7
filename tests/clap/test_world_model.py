"""The world model against slow NumPy, distrax, Equinox's own GRU and a Kalman filter."""

import distrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from clap.gaussian import MEAN_LIMIT, MIN_STD, Gaussian, regularizer
from clap.latent_actions import DirectActions, GaussianLatentActions
from clap.rssm import RSSM, Latent
from clap.states import GaussianStates
from clap.world_model import WorldModel
from shared.data.windows import EpisodeWindow
from shared.learner import Learner, descend
from shared.types import Window

OBSERVATION, ACTION, H, S, U, T = 3, 2, 5, 4, 3, 6
PLAIN = {"balance": None, "free_nats": 0.0, "action_free_nats": 0.0}


def make_model(*, direct=False, markov=False, learned_std=True, seed=0, sizes=(8, 7)):
    k_core, k_actions, k_heads, k_std = jax.random.split(jax.random.key(seed), 4)
    core = RSSM(OBSERVATION, ACTION, H, GaussianStates(S), sizes, markov=markov, key=k_core)
    actions = (
        DirectActions(ACTION)
        if direct
        else GaussianLatentActions(
            core.visible_size, ACTION, U, sizes, action_std=0.2, key=k_actions
        )
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
    q, p = (distrax.MultivariateNormalDiag(*g) for g in gaussians)
    np.testing.assert_allclose(
        gaussians[0].kl_divergence(gaussians[1]), q.kl_divergence(p), rtol=2e-5
    )
    value = gaussians[1].mean
    np.testing.assert_allclose(gaussians[0].log_prob(value), q.log_prob(value), rtol=2e-5)


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
def test_imagine_equals_observe_when_fed_the_same_latents(markov):
    core, (window, _, _) = make_model(markov=markov).rssm, make_window()
    noise = jax.random.normal(jax.random.key(5), (T, S))
    latents, _, prior = core.observe(window.observation, window.action, noise)
    # The noise under which the prior draws what the posterior drew.
    same = (latents.stochastic - prior.mean) / prior.std
    first = jax.tree.map(lambda x: x[0], latents)
    dreamed, _ = core.imagine(
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


def test_padding_changes_nothing_and_is_not_counted():
    model, data = make_model(), make_window(real=3)
    changed = data.window._replace(
        observation=data.window.observation.at[3:].set(1e3),
        reward=data.window.reward.at[3:].set(1e3),
    )
    batches = [
        jax.tree.map(lambda x: x[None], data._replace(window=w)) for w in (data.window, changed)
    ]
    first, second = (model.loss(b, key=jax.random.key(0), **PLAIN)[1] for b in batches)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_without_latent_actions_the_model_is_a_plain_rssm():
    model = make_model(direct=True)
    batch = jax.tree.map(lambda x: x[None], make_window())
    _, metrics = model.loss(batch, key=jax.random.key(0), **PLAIN)
    assert set(metrics) == {
        *("observation_nll", "reward_nll", "continue_nll", "state_kl", "model_loss")
    }


def test_the_elbo_of_one_action_bounds_its_density():
    """log p(a) by brute-force integration over the prior lies above the mean ELBO."""
    actions = make_model().actions
    feature, action = jnp.ones(H + S) * 0.3, jnp.array([0.2, -0.4])
    keys = jax.random.split(jax.random.key(0), 20000)
    bound = jnp.mean(jax.vmap(lambda k: actions.log_prob(feature, action, key=k))(keys))
    prior = actions.prior(feature)
    u = jax.vmap(prior.sample)(jax.random.normal(keys[0], (20000, U)))
    likelihoods = jax.vmap(lambda u: actions.log_likelihood(feature, u, action))(u)
    exact = jax.nn.logsumexp(likelihoods) - jnp.log(20000.0)
    assert bound < exact


def kalman_nll(y, a=0.9, process=0.3, noise=0.5):
    """Exact -log p(y_1..y_T) of x' = a x + process·N, y = x + noise·N, in nats a step."""
    mean, variance, total = np.zeros(len(y)), np.full(len(y), process**2 / (1 - a**2)), 0.0
    for t in range(y.shape[1]):
        spread = variance + noise**2
        total += 0.5 * np.mean(np.log(2 * np.pi * spread) + (y[:, t] - mean) ** 2 / spread)
        gain = variance / spread
        mean, variance = mean + gain * (y[:, t] - mean), (1 - gain) * variance
        mean, variance = a * mean, a**2 * variance + process**2
    return total / y.shape[1]


def test_the_bound_meets_the_exact_likelihood_of_a_linear_gaussian_system():
    """Trained on a linear-Gaussian process, the ELBO comes close to the truth and stays below."""
    length, a, process, noise = 12, 0.9, 0.3, 0.5
    generator = np.random.default_rng(0)
    x = generator.normal(size=4096) * process / np.sqrt(1 - a**2)
    y = np.empty((4096, length), np.float32)
    for t in range(length):
        y[:, t] = x + noise * generator.normal(size=4096)
        x = a * x + process * generator.normal(size=4096)

    k_core, k_heads = jax.random.split(jax.random.key(0))
    core = RSSM(1, 1, 16, GaussianStates(2), (16,), key=k_core)
    model = WorldModel(core, DirectActions(1), 1, (16,), learned_std=True, key=k_heads)

    def batch(rows):
        shape = rows.shape
        still = jnp.zeros(shape)
        window = Window(rows[..., None], still[..., None], still, still > 0, still > 0)
        return EpisodeWindow(window, jnp.ones(shape, bool), jnp.zeros(shape, bool))

    optimizer = optax.adam(5e-3)

    @eqx.filter_jit
    def train(learner, data, keys):
        def step(learner, key):
            k_draw, k_loss = jax.random.split(key)
            rows = data[jax.random.randint(k_draw, (32,), 0, 3500)]
            return descend(learner, optimizer, lambda m: m.loss(batch(rows), key=k_loss, **PLAIN))

        learner, metrics = jax.lax.scan(step, learner, keys)
        return learner, metrics["model_loss"]

    learner, _ = train(
        Learner.create(model, optimizer), jnp.asarray(y), jax.random.split(jax.random.key(1), 500)
    )
    _, metrics = learner.model.loss(batch(jnp.asarray(y[3500:])), key=jax.random.key(2), **PLAIN)
    exact = kalman_nll(y[3500:].astype(np.float64), a, process, noise)
    assert exact - 0.01 < float(metrics["model_loss"]) < exact + 0.08
