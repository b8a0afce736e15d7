"""Supervised pretraining of action encoders (CNF, equation 5; PLAS, equation 3).

One or many encoders are trained side by side: the paper's random search over
learning rate, weight decay and batch size is the same vmapped program with
`search_members` > 1.  The encoder with the lowest loss on held-out *episodes* (weighted
as the draws are), at its best validation, is the one that is frozen.  With
`validate_every: 0` (PLAS and its kin) every episode is trained on and the last encoder
is the one.
"""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from cnf.vae import ConditionalVAE
from shared.algorithm import Phase, Reusable
from shared.models.flow import ConditionalFlow, saturated_fraction
from shared.models.latent_actions import AbstractLatentActionSpace
from shared.models.learner import Learner, descend
from shared.types import is_zero

SEARCH_LEARNING_RATE = (1e-5, 3e-3)
SEARCH_WEIGHT_DECAY = (0.0, 1e-2)
SEARCH_BATCH_SIZES = (512, 1024, 2048)
"""Ranges of the random search: CNF, table 3."""


def reusable_encoder(*keys: str) -> Reusable:
    """The trained encoder as a part that other policies may take over; `keys` describe it."""
    training = ("return_weighting", "pretrain_batch_size", "pretrain_learning_rate")
    common = (*training, "validate_every", "validation_rows")
    fields = ("normalizer", "latent_space")
    return Reusable("pretrain", "pretrain_steps", fields, keys=(*keys, *common))


REUSABLE_VAE = reusable_encoder("vae_hidden_sizes", "normalize_observations")
"""Of the algorithms that train the same VAE in the same way: they may share it."""


class Pretraining(eqx.Module):
    """Encoders under training; every array has a leading axis of search members."""

    members: Learner
    batch_sizes: Int[Array, "member"]
    best: PyTree
    best_loss: Float[Array, "member"]

    @classmethod
    def create(cls, algorithm, spec, *, key) -> "Pretraining":
        """Fresh encoders with the configured or the searched settings."""
        k_model, k_rate, k_decay, k_batch = jax.random.split(key, 4)
        count = algorithm.search_members
        rates = jnp.full((count,), algorithm.pretrain_learning_rate)
        decays = jnp.full((count,), algorithm.pretrain_weight_decay)
        sizes = jnp.full((count,), algorithm.pretrain_batch_size, jnp.int32)
        if count > 1:
            low, high = SEARCH_LEARNING_RATE
            rates = jax.random.uniform(k_rate, (count,), minval=low, maxval=high)
            low, high = SEARCH_WEIGHT_DECAY
            decays = jax.random.uniform(k_decay, (count,), minval=low, maxval=high)
            sizes = jax.random.choice(k_batch, jnp.asarray(SEARCH_BATCH_SIZES, jnp.int32), (count,))

        def make(key, rate, decay):
            model = make_encoder(algorithm, spec.observation_size, spec.action_size, key=key)
            return Learner.create(model, make_optimizer(algorithm.pretrain_clip, rate, decay))

        members = eqx.filter_vmap(make)(jax.random.split(k_model, count), rates, decays)
        # A copy: the training loop donates its state, and donated buffers must not be shared.
        best = jax.tree.map(jnp.copy, members.model)
        return cls(members, sizes, best, jnp.full((count,), jnp.inf))

    def frozen(self) -> AbstractLatentActionSpace:
        """The member with the lowest validation loss, ready for the policy phase."""
        winner = jnp.argmin(self.best_loss)
        return jax.tree.map(lambda x: x[winner], self.best).frozen()


def make_encoder(
    algorithm, condition_size: int, action_size: int, *, key
) -> AbstractLatentActionSpace:
    """The encoder that the hyperparameters describe."""
    if algorithm.encoder == "vae":
        return ConditionalVAE(
            condition_size,
            action_size,
            hidden_sizes=algorithm.vae_hidden_sizes,
            samples=algorithm.density_samples,
            key=key,
        )
    return ConditionalFlow(
        condition_size,
        action_size,
        layers=algorithm.flow_layers,
        hidden_size=algorithm.flow_hidden_size,
        base=algorithm.base,
        margin=algorithm.flow_margin,
        key=key,
    )


def make_optimizer(clip: float | None, rate, decay) -> optax.GradientTransformation:
    """AdamW whose step size and decay live in its state, so that they can differ by member."""
    adamw = optax.inject_hyperparams(optax.adamw)(learning_rate=rate, weight_decay=decay)
    return optax.chain(optax.clip_by_global_norm(math.inf if clip is None else clip), adamw)


def encoder_loss(model: AbstractLatentActionSpace, s, a, weights, center_weight, *, key):
    """Weighted mean over a batch of the space's own loss.

    A `center_weight` w above 0 adds w |a - D(s, 0)|²: the centre of the box decodes to what
    cloning would do.  Likelihood counts an error in units of how much actions vary, and so it is
    precise in the middle of a gait and careless where a robot starts, which all must cross.
    """
    keys = jax.random.split(key, s.shape[0])
    losses = jax.vmap(lambda s, a, k: model.loss(s, a, key=k))(s, a, keys)
    if not is_zero(center_weight):
        space, center = model.frozen(), jnp.zeros(model.latent_size)
        error = a - jax.vmap(lambda s: space.decode(s, center))(s)
        losses = losses + center_weight * jnp.sum(error**2, axis=1)
    return jnp.sum(weights * losses) / jnp.sum(weights)


def pretraining_phase(algorithm, *, shows: bool = False) -> Phase:
    """Algorithm 1 as a phase: first batch, updates, validation, choice of the best.

    Arguments:
        algorithm: whose hyperparameters they are.
        shows: its policy is scored in the latent space as it stands.
    """
    return Phase(
        "pretrain",
        algorithm.pretrain_steps,
        partial(_draw, algorithm),
        partial(_update, algorithm),
        refresh=partial(_validate, algorithm),
        refresh_every=algorithm.validate_every,
        start=partial(_initialize, algorithm),
        finish=partial(_choose, algorithm),
        evaluates=False,
        shows=partial(_so_far, algorithm) if shows else None,
    )


def _batch_size(algorithm) -> int:
    searching = algorithm.search_members > 1
    return max(SEARCH_BATCH_SIZES) if searching else algorithm.pretrain_batch_size


def _draw(algorithm, dataset, *, key):
    dataset = dataset.weighted(algorithm.return_weighting)
    draw = dataset.draw_training if algorithm.validate_every > 0 else dataset.draw
    return draw(_batch_size(algorithm), key=key)


def _update(algorithm, state, batch, *, key):
    s, a = jax.vmap(state.normalizer)(batch.observation), batch.action
    if not is_zero(algorithm.pretrain_noise):
        key, *own = jax.random.split(key, 3)
        s, a = (
            x + algorithm.pretrain_noise * jax.random.normal(k, x.shape)
            for x, k in zip((s, a), own, strict=True)
        )
    optimizer = make_optimizer(algorithm.pretrain_clip, 0.0, 0.0)

    def one(member, size, key):
        weights = (jnp.arange(s.shape[0]) < size).astype(s.dtype)

        def loss(model):
            value = encoder_loss(model, s, a, weights, algorithm.center_weight, key=key)
            return value, {"train_nll": value}

        return descend(member, optimizer, loss)

    pretraining = state.pretraining
    keys = jax.random.split(key, pretraining.batch_sizes.shape[0])
    members, metrics = eqx.filter_vmap(one)(pretraining.members, pretraining.batch_sizes, keys)
    metrics = {name: jnp.min(value) for name, value in metrics.items()}
    metrics["saturated"] = saturated_fraction(batch.action)
    pretraining = eqx.tree_at(lambda p: p.members, pretraining, members)
    return state._replace(pretraining=pretraining), metrics


def _validate(algorithm, state, dataset, *, key):
    """Loss on held-out episodes (on the data itself if nothing could be held out)."""
    held = dataset.validation_rows
    held = held if held.shape[0] else dataset.training_rows
    count = min(algorithm.validation_rows, held.shape[0])
    # Evenly spaced, so that a part of the rows still touches every held-out episode.
    index = (jnp.arange(count, dtype=jnp.float32) * (held.shape[0] / count)).astype(jnp.int32)
    index = held[index]
    batch = dataset.rows(index)
    s = jax.vmap(state.normalizer)(batch.observation)
    # As training draws them, or the best encoder would be one that has hardly seen good episodes.
    weights = dataset.returns._replace(temperature=algorithm.return_weighting).row_weights(index)

    def one(model):
        return encoder_loss(model, s, batch.action, weights, algorithm.center_weight, key=key)

    pretraining = state.pretraining
    models = pretraining.members.model
    losses = eqx.filter_vmap(one)(models)
    better = losses < pretraining.best_loss

    def keep(new, old):
        return jnp.where(better.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

    pretraining = eqx.tree_at(
        lambda p: (p.best, p.best_loss),
        pretraining,
        (
            jax.tree.map(keep, models, pretraining.best),
            jnp.where(better, losses, pretraining.best_loss),
        ),
    )
    return state._replace(pretraining=pretraining), {"validation_nll": jnp.min(losses)}


def _initialize(algorithm, state, dataset, *, key):
    """A first batch starts what needs one: a flow's ActNorm."""
    models = state.pretraining.members.model
    batch = _draw(algorithm, dataset, key=key)
    s = jax.vmap(state.normalizer)(batch.observation)
    models = eqx.filter_vmap(lambda model: model.start(s, batch.action))(models)
    pretraining = eqx.tree_at(
        lambda p: (p.members.model, p.best),
        state.pretraining,
        (models, models),
    )
    return state._replace(pretraining=pretraining)


def _so_far(algorithm, state):
    """The encoder of the best validation up to now; the one in training where there is none."""
    pretraining = state.pretraining
    if algorithm.validate_every == 0:
        pretraining = eqx.tree_at(lambda p: p.best, pretraining, pretraining.members.model)
    return state._replace(latent_space=pretraining.frozen())


def _choose(algorithm, state, dataset, *, key):
    """Freeze the encoder of the best validation for the phases that follow."""
    return state._replace(latent_space=state.pretraining.frozen())
