"""What pretraining adds to an encoder's own loss."""

import jax
import jax.numpy as jnp
import numpy as np
import slow

from cnf.encoders import encoder_loss


def test_the_centre_of_the_box_is_pulled_to_the_recorded_action():
    _, state, batch = slow.setup("cnf", flow_margin=0.1)
    model = jax.tree.map(lambda x: x[0], state.pretraining.members.model)
    s, a = slow.normalized(state, batch.observation), np.asarray(batch.action)
    weights = jnp.asarray([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])

    @jax.jit
    def compute(s, a):
        losses = [encoder_loss(model, s, a, weights, w, key=jax.random.key(0)) for w in (0.0, 3.0)]
        return losses, jax.vmap(lambda s: model.decode(s, jnp.zeros(a.shape[1])))(s)

    (plain, centred), centre = compute(jnp.asarray(s, jnp.float32), a)
    error = np.sum((a - centre) ** 2, axis=1)[:4]
    assert error.mean() > 0.1
    np.testing.assert_allclose(centred, plain + 3.0 * error.mean(), rtol=1e-4)


def test_noise_is_on_what_the_encoder_is_trained_on():
    algorithm, state, batch = slow.setup("cnf", pretrain_noise=0.5, search_members=1)
    phase, key = algorithm.phases()[0], jax.random.key(4)
    _, metrics = jax.jit(lambda *x: phase.update(*x, key=key))(state, batch)
    model = jax.tree.map(lambda x: x[0], state.pretraining.members.model)
    after, *own = jax.random.split(key, 3)
    s, a = slow.normalized(state, batch.observation), np.asarray(batch.action)
    s, a = (
        jnp.asarray(x + 0.5 * np.asarray(jax.random.normal(k, x.shape)), jnp.float32)
        for x, k in zip((s, a), own, strict=True)
    )
    every = jnp.ones(len(s))
    expected = encoder_loss(model, s, a, every, 0.0, key=jax.random.split(after, 1)[0])
    np.testing.assert_allclose(metrics["train_nll"], expected, rtol=1e-4)
