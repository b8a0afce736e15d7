"""Offline DV2 and LOMPO: the contract at toy size, ensembles of priors, penalties, latent rows."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract.test_contract import leaves, run
from dreams import MEMBERS, PENALISED, penalised_plan

from clap.algorithms.clap import CLAP
from clap.algorithms.lompo import LOMPO
from clap.algorithms.offline_dv2 import OfflineDV2
from clap.latent_rows import draw_recorded, join, rows_of_dreams
from clap.model.prior_ensemble import draw_members, log_prob_spread, mean_disagreement, member_of
from clap.model.rssm import RSSM
from clap.model.states import DiscreteStates, Gaussian, GaussianStates
from clap.model.world_model import normalized
from shared.datasets.windows import EpisodeWindow
from shared.training import program
from shared.training.seeds import copied, of_seed
from shared.types import Window


@pytest.fixture(scope="module", params=PENALISED)
def trained(request, hopper_random):
    """Plan, algorithm and final state of two seeds, 12 updates a call at most."""
    plan = penalised_plan(request.param)
    return plan, *run(plan, hopper_random, chunk=12)


@partial(jax.jit, static_argnames=("algorithm",))
def play(algorithm, state, observations):
    """Actions of one seed's mode and of a sample, after a few recurrent steps."""

    def step(memories, observation):
        key = jax.random.key(0)
        pairs = [
            algorithm.act(state, memory, observation, key=k)
            for memory, k in zip(memories, (None, key), strict=True)
        ]
        return tuple(memory for _, memory in pairs), jnp.stack([action for action, _ in pairs])

    start = algorithm.initial_memory(state)
    return jax.lax.scan(step, (start, start), observations)[1]


def test_states_are_stable_and_chunks_change_nothing(trained, hopper_random):
    plan, algorithm, state = trained
    before = program.state_shapes(algorithm, hopper_random.spec, plan.seeds)
    assert jax.tree.structure(before) == jax.tree.structure(state)
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(state), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype) and not y.weak_type
    _, again = run(plan, hopper_random, chunk=3)
    for x, y in zip(leaves(state), leaves(again), strict=True):
        np.testing.assert_array_equal(x, y)
    assert any(not np.array_equal(x[0], x[1]) for x in leaves(state) if x.ndim > 2)


def test_a_seed_ends_alike_in_any_company(trained, hopper_random):
    plan, _, state = trained
    _, other = run(plan, hopper_random, chunk=12, seeds=(5, 9))
    for x, y in zip(leaves(state), leaves(other), strict=True):
        np.testing.assert_allclose(x[1], y[0], rtol=2e-3, atol=1e-4)


def test_training_moves_the_policy_and_actions_stay_in_range(trained, hopper_random):
    plan, algorithm, after = trained
    before = program.init_state(algorithm, hopper_random.spec, plan.seeds)
    observations = jnp.asarray(hopper_random.transitions.observation[:16])
    found = []
    for state, scale in ((before, 1.0), (after, 1.0), (after, 1e6)):
        one = of_seed(state, 0)
        actions = play(algorithm, one, scale * observations)
        assert actions.shape == (16, 2, 3) and actions.dtype == jnp.float32
        assert np.isfinite(actions).all() and np.abs(actions).max() <= 1.0
        found.append(actions)
    assert not np.array_equal(found[0], found[1])


def test_looks_at_held_out_episodes_give_finite_metrics(trained, hopper_random):
    """Of the agent; those of the model are C-LAP's."""
    plan, algorithm, state = trained
    dataset, keys = hopper_random.to_device(), program.seed_keys(plan.seeds)
    last = len(algorithm.phases()) - 1
    copy = copied(state)  # the program takes its buffers
    _, metrics = program.run_event(algorithm, last, program.REFRESH, copy, dataset, keys, 4)
    for name, value in metrics.items():
        assert value.shape == (2,) and np.isfinite(value).all(), name
    assert {"value_at_starts", "data_best", "distance_median"} <= set(metrics)


def test_the_data_unit_takes_a_mean_reward_for_the_mean_doubt(trained, hopper_random):
    """As the agent's phase begins; against a loop over the states of held-out windows."""
    _, algorithm, state = trained
    assert (state.penalty_unit != 1.0).all()
    one, dataset, key = (
        of_seed(state, 0),
        hopper_random.to_device(),
        jax.random.key(3),
    )
    found = jax.jit(algorithm.phases()[1].start)(one, dataset, key=key).penalty_unit
    drawn = dataset.draw_validation_windows(algorithm.validation_windows, algorithm.window, key=key)
    model, windows = one.world_model.model, normalized(one.normalizer, drawn)
    latents = jax.jit(lambda x: model.states(x, key=None))(windows)
    doubt = jax.jit(partial(algorithm.penalty, model))
    known = [
        doubt(jax.tree.map(lambda x, place=place: x[tuple(place)], latents))
        for place in np.argwhere(windows.observed).tolist()
        if place[1] > 0
    ]
    rewards = np.abs(hopper_random.transitions.reward)
    np.testing.assert_allclose(found, np.mean(rewards) / np.mean(known), rtol=1e-4)


def test_the_two_share_their_model_but_not_with_c_lap():
    assert OfflineDV2.reusable == LOMPO.reusable != CLAP.reusable


@pytest.mark.parametrize("markov", [False, True])
def test_the_posterior_has_a_width_of_its_own(markov):
    form = {"markov": markov, "posterior_size": 6, "key": jax.random.key(0)}
    core = RSSM(3, 2, 5, GaussianStates(4), (8, 7), **form)
    assert core.posterior_output.in_features == 6 and core.prior_network.layers[-1].in_features == 7
    latents, posteriors, _ = core.observe(jnp.ones((2, 3)), jnp.ones((2, 2)), jnp.zeros((2, 4)))
    assert latents.feature.shape == (2, 9) and posteriors.mean.shape == (2, 4)


def test_nobody_asks_dreamers_for_the_value_of_a_single_observation():
    """Their critics judge states of the model."""
    for name in PENALISED:
        assert penalised_plan(name).build().learned_reward(None) is None


def make_core(members, states, markov=False):
    form = {"markov": markov, "prior_members": members}
    return RSSM(3, 2, 5, states, (8,), **form, key=jax.random.key(0))


@pytest.mark.parametrize("markov", [False, True])
def test_members_that_are_alike_are_one_prior(markov):
    """Whoever speaks, states and priors are those of a core with a single one."""
    one = make_core(1, GaussianStates(4), markov)
    alike = jax.tree.map(lambda x: jnp.stack([x, x]) if eqx.is_array(x) else x, one.prior_network)
    several = make_core(2, one.states, markov)  # the same but for its priors
    several = eqx.tree_at(lambda core: core.prior_network, several, alike)
    k = jax.random.split(jax.random.key(1), 3)
    observation, action = jax.random.normal(k[0], (6, 3)), jax.random.normal(k[1], (6, 2))
    noise, members = jax.random.normal(k[2], (6, 4)), jnp.array([0, 1, 1, 0, 1, 0])

    @eqx.filter_jit
    def run_both(core, members):
        seen = core.observe(observation, action, noise, members)
        start = jax.tree.map(lambda x: x[-1], seen[0])
        return seen, core.imagine(start, lambda _, a: (a, None), action, noise, members)[0]

    for x, y in zip(
        jax.tree.leaves(run_both(one, None)),
        jax.tree.leaves(run_both(several, members)),
        strict=True,
    ):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("states", [GaussianStates(4), DiscreteStates(2, 3)])
def test_penalties_against_slow_numpy(states):
    core, h = make_core(MEMBERS, states), jax.random.normal(jax.random.key(1), (5,))
    s = core.prior(h, jnp.asarray(1)).sample(states.noise(key=jax.random.key(2)))
    priors = core.priors(h)
    means, log_probs = [], []
    for k in range(MEMBERS):
        one = states.distribution(member_of(core.prior_network, k)(h))
        if isinstance(one, Gaussian):
            mean, std = np.asarray(one.mean), np.asarray(one.std)
            log_density = -0.5 * ((s - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
        else:
            mean = np.exp(np.asarray(one.log_probs)).ravel()
            log_density = np.log(mean)[np.asarray(s) == 1]
        means.append(mean)
        log_probs.append(np.sum(log_density))
    means = np.stack(means)
    expected = np.mean(np.sqrt(np.sum((means - means.mean(0)) ** 2, 1)))
    np.testing.assert_allclose(mean_disagreement(priors), expected, rtol=1e-4)
    np.testing.assert_allclose(log_prob_spread(priors, s), np.std(log_probs), rtol=1e-4)


def test_a_single_prior_is_never_in_doubt():
    core, h = make_core(1, GaussianStates(4)), jnp.ones(5)
    assert draw_members(1, 4, key=jax.random.key(0)) is None
    doubt, gradient = jax.value_and_grad(lambda h: mean_disagreement(core.priors(h)))(h)
    assert doubt < 1e-5 and np.isfinite(gradient).all()
    assert log_prob_spread(core.priors(h), core.prior(h).mean) == 0
    drawn = draw_members(MEMBERS, 200, key=jax.random.key(0))
    assert set(np.unique(drawn)) == set(range(MEMBERS))


def test_recorded_rows_lead_from_state_to_state():
    """Two windows of 4 observations: one whole, one with a fatal action and padding."""
    acted = jnp.array([[True, True, True, True], [True, True, False, False]])
    observed = jnp.array([[True, True, True, True], [True, True, True, False]])
    number = jnp.arange(8.0).reshape(2, 4)
    terminal = jnp.zeros((2, 4), bool).at[1, 1].set(True)
    window = Window(number[..., None], -number[..., None], 10 * number, terminal, terminal)
    batch = EpisodeWindow(window, observed, acted)
    rows = draw_recorded(number[..., None], batch, 100, key=jax.random.key(0))
    assert set(np.unique(rows.feature)) == {0, 1, 2, 4, 5}
    np.testing.assert_array_equal(rows.next_feature, rows.feature + 1)
    np.testing.assert_array_equal(rows.action, -rows.feature)
    np.testing.assert_array_equal(rows.reward, 10 * rows.feature[:, 0])
    np.testing.assert_array_equal(rows.continuation, rows.feature[:, 0] != 5)
    assert (rows.weight == 1).all()


def test_dreamed_rows_lose_weight_behind_the_end():
    states = jnp.arange(8.0).reshape(2, 4, 1)
    action, reward = jnp.zeros((2, 3, 1)), jnp.arange(6.0).reshape(2, 3)
    goes_on = jnp.array([[1.0, 0.5, 0.5], [0.0, 1.0, 1.0]])
    rows = rows_of_dreams(states, action, reward, goes_on, 5)
    np.testing.assert_array_equal(rows.feature[:, 0], [0, 1, 2, 4, 5])
    np.testing.assert_array_equal(rows.next_feature[:, 0], [1, 2, 3, 5, 6])
    np.testing.assert_array_equal(rows.reward, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(rows.weight, [1, 1, 0.5, 1, 0])
    assert join(rows, rows).reward.shape == (10,)
