"""CNF's losses against slow NumPy, and what its phases promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow
from tiny import tiny_plan

from shared.models.policies import LOG_STD_RANGE
from shared.training import program


def gaussian(actor, s):
    mean, log_std = np.split(slow.mlp(actor.network, s), 2)
    return mean, np.exp(np.clip(log_std, *LOG_STD_RANGE))


def latent(algorithm, actor, s, key):
    """A sample of z, one row: tanh for the uniform base, none for the unclipped normal one."""
    mean, std = gaussian(actor, s)
    x = mean + std * np.asarray(jax.random.normal(key, mean.shape), np.float64)
    return np.tanh(x) if algorithm.base == "uniform" else x


@jax.jit
def compiled_decode(space, condition, z):
    return space.decode(condition, z)


def decode(state, s, z):
    condition, z = jnp.asarray(s, jnp.float32), jnp.asarray(z, jnp.float32)
    return np.asarray(compiled_decode(state.latent_space, condition, z), np.float64)


@pytest.mark.parametrize("base", ["uniform", "normal"])
def test_the_target_is_equation_8(base):
    algorithm, state, batch = slow.setup("cnf", base=base)
    s_next, target = slow.normalized(state, batch.next_observation), jax.jit(algorithm.target)
    for i in range(slow.ROWS):
        key = jax.random.key(i)
        z = latent(algorithm, state.actor.model, s_next[i], key)
        q = slow.critics(state.target_critic, s_next[i], decode(state, s_next[i], z))
        expected = slow.td_target(batch.reward[i], batch.terminal[i], q.min(), algorithm.discount)
        actual = target(
            state, batch.reward[i], batch.terminal[i], jnp.asarray(s_next[i], jnp.float32), key
        )
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("baseline", "distance"), [("separate", "absolute"), ("shared", "squared")]
)
def test_the_actor_loss_is_equations_6_and_7(baseline, distance):
    algorithm, state, batch = slow.setup(
        "cnf", baseline_sample=baseline, distance=distance, temperature=0.5
    )
    actor, critic = state.actor.model, state.critic.model
    s, a = slow.normalized(state, batch.observation), np.asarray(batch.action)
    key, losses = jax.random.key(3), []
    for i, row_key in enumerate(jax.random.split(key, slow.ROWS)):
        k_policy, k_baseline = jax.random.split(row_key)
        imitation = decode(state, s[i], latent(algorithm, actor, s[i], k_policy))
        other = decode(state, s[i], latent(algorithm, actor, s[i], k_baseline))
        judged = other if baseline == "separate" else imitation
        advantage = (
            slow.critics(critic, s[i], a[i]).min() - slow.critics(critic, s[i], judged).min()
        )
        weight = min(np.exp(advantage / 0.5), 100.0)
        error = np.abs(a[i] - imitation)
        losses.append(weight * (error if distance == "absolute" else error**2).mean())
    arguments = (jnp.asarray(s, jnp.float32), jnp.asarray(a))
    loss = jax.jit(algorithm.actor_loss)
    actual, _ = loss(actor, critic, state.latent_space, *arguments, key=key)
    np.testing.assert_allclose(actual, np.mean(losses), rtol=1e-4)


def test_the_weights_carry_no_gradient():
    """With the decoded actions held fixed, the actor's gradient is that of w·|a − â| alone."""
    algorithm, state, batch = slow.setup("cnf")
    actor, critic = state.actor.model, state.critic.model
    s = jnp.asarray(slow.normalized(state, batch.observation), jnp.float32)

    tempered = tiny_plan("cnf", temperature=1e8).build()

    def loss(m):
        return tempered.actor_loss(
            m, critic, state.latent_space, s, batch.action, key=jax.random.key(0)
        )[0]

    # At a huge temperature every weight is 1: what is left is the gradient of the distance.
    keys = jax.vmap(jax.random.split)(jax.random.split(jax.random.key(0), slow.ROWS))

    def distance(m):
        def one(s, a, key):
            z = m.sample(s, state.latent_space.box(s, algorithm.latent_clip), key=key)
            return jnp.mean(jnp.abs(a - state.latent_space.decode(s, z)))

        return jnp.mean(jax.vmap(one)(s, batch.action, keys[:, 0]))

    @jax.jit
    def gradients(actor):
        return jax.grad(loss)(actor), jax.grad(distance)(actor)

    actual, expected = (jax.flatten_util.ravel_pytree(x)[0] for x in gradients(actor))
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-6)


def test_the_search_keeps_the_member_with_the_best_validation(hopper_random):
    plan = tiny_plan("cnf", search_members=3)
    algorithm, keys = plan.build(), program.seed_keys((0,))
    state = program.init_state(algorithm, hopper_random.spec, (0,))
    sizes = np.asarray(state.pretraining.batch_sizes[0])
    rates = np.asarray(state.pretraining.members.opt_state[1].hyperparams["learning_rate"][0])
    assert set(sizes) <= {512, 1024, 2048} and len(set(rates)) == 3
    assert rates.min() >= 1e-5 and rates.max() <= 3e-3
    dataset = hopper_random.to_device()
    state, _ = program.run_event(algorithm, 0, program.START, state, dataset, keys, 0)
    state, _ = program.run_updates(algorithm, 0, 12, state, dataset, keys, 0, 4)
    state, _ = program.run_event(algorithm, 0, program.REFRESH, state, dataset, keys, 4)
    winner = int(np.argmin(state.pretraining.best_loss[0]))
    expected = jax.tree.map(lambda x: x[0, winner], state.pretraining.best)
    state, _ = program.run_event(algorithm, 0, program.FINISH, state, dataset, keys, 4)
    frozen = jax.tree.map(lambda x: x[0], state.latent_space.flow)
    for x, y in zip(jax.tree.leaves(expected), jax.tree.leaves(frozen), strict=True):
        np.testing.assert_array_equal(x, y)


def test_validation_holds_out_whole_episodes(hopper_random):
    dataset = hopper_random.to_device(validation_fraction=0.2)
    episode = hopper_random.episode
    held, trained = (
        set(episode[np.asarray(rows)]) for rows in (dataset.validation_rows, dataset.training_rows)
    )
    assert held and trained and not held & trained
    assert len(dataset.validation_rows) + len(dataset.training_rows) == hopper_random.rows
