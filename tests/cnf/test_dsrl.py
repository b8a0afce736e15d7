"""DSRL against slow NumPy, its box, the ways out of it, and its decoder."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow

from cnf.widening import edge_noise, widened
from shared.errors import ConfigError


@pytest.fixture(scope="module", params=[True, False], ids=["beside", "frozen"])
def case(request):
    return slow.setup(
        "dsrl", decoder_beside=request.param, pessimism=0.5, noise_scale=0.6, reward_shift=-0.3
    )


def test_the_target_is_pessimistic(case):
    """Mean of the target critics less half a standard deviation, at the policy's action."""
    algorithm, state, batch = case
    key = jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    keys = jax.random.split(jax.random.split(key, 4)[0], slow.ROWS)
    terms = []
    for i in range(slow.ROWS):
        mean, log_std = np.split(slow.mlp(state.actor.model.network, s_next[i]), 2)
        noise = np.asarray(jax.random.normal(keys[i], (slow.ACTION,)))
        w = 0.6 * np.tanh(mean + np.exp(np.clip(log_std, -20, 2)) * noise)
        a_next = slow.decoded(state.target_decoder, s_next[i], w)
        q = slow.critics(state.target_critic, s_next[i], a_next, slow.gelu)
        value = q.mean() - 0.5 * q.std()
        reward = float(batch.reward[i]) - 0.3
        y = slow.td_target(reward, batch.terminal[i], value, algorithm.discount)
        terms.append(
            np.sum((slow.critics(state.critic.model, s[i], batch.action[i], slow.gelu) - y) ** 2)
        )
    np.testing.assert_allclose(metrics["critic_loss"], np.mean(terms), rtol=1e-4)


def test_the_latent_critic_learns_what_noise_is_worth(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    after, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s = slow.normalized(state, batch.observation)
    noise = np.asarray(jax.random.normal(jax.random.split(key, 4)[1], batch.action.shape))
    terms = []
    for i in range(slow.ROWS):
        a = slow.decoded(state.target_decoder, s[i], noise[i])
        q = slow.critics(after.critic.model, s[i], a, slow.gelu).mean()
        terms.append(
            (slow.critics(state.latent_critic.model, s[i], noise[i], slow.gelu)[0] - q) ** 2
        )
    np.testing.assert_allclose(metrics["latent_loss"], np.mean(terms), rtol=1e-4)


def test_the_policy_stays_in_its_box_and_the_decoder_learns_only_beside(case):
    algorithm, state, batch = case
    after, _ = jax.jit(algorithm.update)(state, batch, key=jax.random.key(3))
    s = jax.vmap(state.normalizer)(100 * batch.observation)
    for i in range(slow.ROWS):
        box = algorithm.box(state.target_decoder, s[i])
        w = state.actor.model.sample(s[i], box, key=jax.random.key(i))
        assert np.abs(w).max() <= 0.6
    same = jax.tree.map(
        lambda x, y: bool(jnp.array_equal(x, y)), state.target_decoder, after.target_decoder
    )
    assert all(jax.tree.leaves(same)) != algorithm.decoder_beside


def test_the_frozen_decoder_is_the_trained_one():
    algorithm, state, batch = slow.setup("dsrl", decoder_beside=False)
    state, _ = algorithm.update_decoder(state, batch, key=jax.random.key(0))
    state = algorithm.freeze_decoder(state, None, key=jax.random.key(1))
    pairs = zip(*map(jax.tree.leaves, (state.decoder.model, state.target_decoder)), strict=True)
    for x, y in pairs:
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def edited():
    return slow.setup("dsrl", decoder_beside=False, edit_scale=0.2, noise_scale=0.6)


def slow_edit(state, s, decoded, key, scale=0.2):
    """The edited action, by a sample."""
    network = state.editor.policy.model.network
    mean, log_std = np.split(slow.mlp(network, np.concatenate([s, decoded])), 2)
    noise = np.asarray(jax.random.normal(key, (slow.ACTION,)))
    edit = np.tanh(mean + np.exp(np.clip(log_std, -20, 2)) * noise)
    return np.clip(decoded + scale * edit, -1, 1)


def test_latent_critic_and_editor_judge_edited_actions(edited):
    algorithm, state, batch = edited
    key = jax.random.key(3)
    after, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s, k_latent = slow.normalized(state, batch.observation), jax.random.split(key, 4)[1]
    noise = np.asarray(jax.random.normal(k_latent, batch.action.shape))
    keys = jax.random.split(jax.random.fold_in(k_latent, 1), slow.ROWS)
    terms = []
    for i in range(slow.ROWS):
        a = slow.decoded(state.target_decoder, s[i], noise[i])
        a = slow_edit(state, s[i], a, jax.random.fold_in(keys[i], 1))
        q = slow.critics(after.critic.model, s[i], a, slow.gelu).mean()
        terms.append(
            (slow.critics(state.latent_critic.model, s[i], noise[i], slow.gelu)[0] - q) ** 2
        )
    np.testing.assert_allclose(metrics["latent_loss"], np.mean(terms), rtol=1e-4)
    pairs = zip(*map(jax.tree.leaves, (state.editor, after.editor)), strict=True)
    assert all(not np.array_equal(x, y) for x, y in pairs)


def test_an_edit_ends_at_its_scale(edited):
    """However wild the editor: in every dimension, in both modes, at the edges of the actions."""
    algorithm, state, batch = edited
    wild = jax.tree.map(lambda x: 1e4 * x, state.editor.policy.model)
    policy = dataclasses.replace(state.editor.policy, model=wild)
    state = state._replace(editor=state.editor._replace(policy=policy))
    s = jnp.asarray(slow.normalized(state, batch.observation))
    w = 3 * jax.random.normal(jax.random.key(1), batch.action.shape)

    @jax.jit
    def distances(s, w, key):
        decoded = state.target_decoder.decode(s, w)
        actions = jnp.stack([algorithm.made(state, s, w, k) for k in (None, key)])
        return actions, jnp.abs(actions - decoded[None])

    actions, moved = jax.vmap(distances)(s, w, jax.random.split(jax.random.key(2), slow.ROWS))
    assert np.abs(actions).max() <= 1
    assert 0.199 < moved.max() <= 0.2 + 1e-6


def test_an_edit_of_scale_0_is_none(edited):
    """As a traced number, which a sweep makes of it, so that nothing is left out."""
    _, state, batch = edited
    algorithm, plain, _ = slow.setup("dsrl", decoder_beside=False, noise_scale=0.6)
    assert plain.editor is None

    @jax.jit
    def run(state, scale):
        member = algorithm if scale is None else algorithm.changed(edit_scale=scale)
        s, w = batch.observation[0], jnp.full(slow.ACTION, 0.3)
        made = member.made(state, s, w, jax.random.key(4)), state.target_decoder.decode(s, w)
        state, _ = member.update(state, batch, key=jax.random.key(3))
        return state._replace(editor=None), made

    plain, still = run(state._replace(editor=None), None), run(state, jnp.zeros(()))
    for x, y in zip(*map(jax.tree.leaves, (plain, still)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)  # another program
    for made, decoded in (plain[1], still[1]):
        np.testing.assert_array_equal(made, decoded)


def test_online_the_decoder_learns_from_what_is_better_than_itself():
    algorithm, state, batch = slow.setup("dsrl", decoder_beside=False, online_decoder=True)
    key = jax.random.key(3)
    plain, _ = jax.jit(algorithm.update)(state, batch, key=key)
    after, metrics = jax.jit(algorithm.online().update)(state, batch, key=key)
    s = slow.normalized(state, batch.observation)
    k_own, k_decoder = jax.random.split(jax.random.fold_in(key, 2))
    own = np.asarray(jax.random.normal(k_own, batch.action.shape))
    k_noise, k_time = jax.random.split(k_decoder)
    noise = np.asarray(jax.random.normal(k_noise, batch.action.shape))
    time = np.asarray(jax.random.uniform(k_time, (slow.ROWS,)))
    better, terms = [], []
    for i in range(slow.ROWS):
        recorded = batch.action[i]
        a = slow.decoded(state.target_decoder, s[i], own[i])
        q, q_own = (
            slow.critics(after.critic.model, s[i], x, slow.gelu).mean() for x in (recorded, a)
        )
        x = (1 - time[i]) * noise[i] + time[i] * recorded
        network = state.decoder.model.network
        v = slow.mlp(network, np.concatenate([s[i], x, [time[i]]]), slow.gelu)
        better.append(q > q_own)
        terms.append(np.mean((v - (recorded - noise[i])) ** 2))
    assert 0 < np.mean(better) < 1
    np.testing.assert_array_equal(algorithm.better(plain, batch, key=k_own), better)
    np.testing.assert_allclose(metrics["flow_loss"], np.mean(np.multiply(better, terms)), rtol=1e-4)
    # Everything else is as without, and the copy that decodes follows.
    moved = {"decoder": after.decoder, "target_decoder": after.target_decoder}
    for x, y in zip(*map(jax.tree.leaves, (plain._replace(**moved), after)), strict=True):
        np.testing.assert_array_equal(x, y)
    pairs = zip(*map(jax.tree.leaves, (plain.target_decoder, after.target_decoder)), strict=True)
    assert all(not np.array_equal(x, y) for x, y in pairs)


def test_a_decoder_that_learns_anyhow_or_never_cannot_learn_online():
    with pytest.raises(ConfigError, match="set decoder_beside to false"):
        slow.setup("dsrl", decoder_beside=True, online_decoder=True)


@pytest.fixture(scope="module")
def widening():
    """Of a box that may grow by 0.01 an update, from 0.6 to 0.615, and critics of actions alone."""
    options = {"online_widening": 0.01, "widest_box": 0.615, "noise_scale": 0.6}
    options |= {"decoder_beside": False, "critic_layer_norm": False}
    algorithm, state, batch = slow.setup("dsrl", **options)

    def of_actions(critics):
        """The same, the farther apart the larger an action is, whatever the observation."""
        first = lambda c: c.members.layers[0].weight  # noqa: E731
        weight = first(critics).at[..., : slow.OBSERVATION].set(0.0)
        return eqx.tree_at(first, critics, weight.at[..., slow.OBSERVATION :].multiply(20.0))

    critic = dataclasses.replace(state.critic, model=of_actions(state.critic.model))
    return algorithm, state._replace(critic=critic), batch


def test_the_disagreement_at_the_edge_and_on_data(widening):
    """Against slow NumPy, on noise whose largest entry has the size of the half width."""
    algorithm, state, batch = widening
    state = state._replace(widening=jnp.asarray(0.01))
    key = jax.random.key(3)
    s = slow.normalized(state, batch.observation)
    found = jax.jit(algorithm.look_at_edge)(state, jnp.asarray(s), batch.action, key=key)
    k_noise, _ = jax.random.split(key)
    noise = np.asarray(edge_noise(slow.ROWS, slow.ACTION, 0.61, key=k_noise))
    np.testing.assert_allclose(np.abs(noise).max(1), 0.61, rtol=1e-5)
    assert np.abs(noise).min(1).max() < 0.6  # on the surface, not in its corners alone
    edge, data = (
        np.mean([slow.critics(state.critic.model, x, y, slow.gelu).std() for x, y in pairs])
        for pairs in (
            [(s[i], slow.decoded(state.target_decoder, s[i], noise[i])) for i in range(slow.ROWS)],
            list(zip(s, batch.action, strict=True)),
        )
    )
    np.testing.assert_allclose(found["edge_disagreement"], edge, rtol=1e-3)
    np.testing.assert_allclose(found["data_disagreement"], data, rtol=1e-3)
    np.testing.assert_allclose(found["half_width"], 0.61, rtol=1e-6)


def test_a_box_grows_where_critics_agree_and_stays_where_they_do_not(widening):
    """They disagree about large actions: of what is recorded, or of what the edge is decoded to."""
    algorithm, state, batch = widening
    update = jax.jit(algorithm.online().update)
    far = batch._replace(action=np.sign(batch.action))
    near = batch._replace(action=np.zeros_like(batch.action))

    after, metrics = update(state, far, key=jax.random.key(0))
    assert metrics["edge_disagreement"] < metrics["data_disagreement"]
    np.testing.assert_allclose(after.widening, 0.01, rtol=1e-5)
    s = jnp.zeros(slow.OBSERVATION)
    box = algorithm.box(after.target_decoder, s, after.widening)
    np.testing.assert_allclose(box.half_width, 0.61, rtol=1e-6)
    after, metrics = update(after._replace(critic=state.critic), far, key=jax.random.key(1))
    np.testing.assert_allclose(metrics["half_width"], 0.61, rtol=1e-6)
    np.testing.assert_allclose(after.widening, 0.015, rtol=1e-4)  # no farther than widest_box

    after, metrics = update(state, near, key=jax.random.key(0))
    assert metrics["edge_disagreement"] > metrics["data_disagreement"]
    assert float(after.widening) == 0.0


def test_a_box_never_shrinks_and_equal_disagreement_is_no_agreement():
    grown = jnp.asarray(0.4)
    for edge in (1.0, 1.1):
        assert widened(grown, edge, 1.0, rate=0.1, most=1.0) == grown
    assert widened(grown, 0.0, 0.0, rate=0.1, most=1.0) == grown  # an ensemble of one function
    np.testing.assert_allclose(widened(grown, 0.9, 1.0, rate=0.1, most=1.0), 0.5)


def test_a_wider_box_is_used_by_the_policy(widening):
    """The deterministic noise is the same place in a box twice as wide."""
    algorithm, state, batch = widening
    s = batch.observation[0]
    for widening in (0.0, 0.6):
        wide = state._replace(widening=jnp.asarray(widening))
        action, _ = algorithm.act(wide, (), s, key=None)
        place = np.split(slow.mlp(state.actor.model.network, slow.normalized(state, s)), 2)[0]
        w = (0.6 + widening) * np.tanh(place)
        expected = slow.decoded(state.target_decoder, slow.normalized(state, s), w)
        np.testing.assert_allclose(action, expected, rtol=1e-4, atol=1e-5)


def test_offline_the_box_stays(widening):
    algorithm, state, batch = widening
    far = batch._replace(action=np.sign(batch.action))
    after, metrics = jax.jit(algorithm.update)(state, far, key=jax.random.key(0))
    assert float(after.widening) == 0.0 and float(metrics["half_width"]) == np.float32(0.6)


def test_a_box_that_could_not_grow_is_refused():
    with pytest.raises(ConfigError, match="critics is 1; take 2 or more"):
        slow.setup("dsrl", online_widening=0.1, critics=1)
    with pytest.raises(ConfigError, match="widest_box is 0.5, but the box begins at"):
        slow.setup("dsrl", online_widening=0.1, widest_box=0.5, noise_scale=0.6)
