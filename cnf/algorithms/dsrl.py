"""DSRL: a bounded policy in the noise space of a flow-matching decoder.

"Steering Your Diffusion Policy with Latent Space Reinforcement Learning" (Wagenmaker et al.,
2025), the noise-aliased variant DSRL-NA (algorithm 1).

    decoder   min  |v(s, x_t, t) - (a - x_0)|²,  a = decode(s, w) from noise w
              (shared/models/flow_matching.py)
    critics   a' = decode'(s', w'),  w' ~ pi(w|s')
              y = r + discount (1 - terminal) (mean_i Q'_i(s', a') - rho · std_i Q'_i(s', a'))
              min  sum_i (Q_i(s, a) - y)²
    latent    w ~ N(0, I):  min  (Qw(s, w) - mean_i Q_i(s, decode'(s, w)))²
    actor     min  alpha log pi(w|s) - Qw(s, w),  w ~ pi(·|s) inside 0 ± noise_scale
    alpha     min  -log alpha (log pi(w|s) + target entropy),  target entropy = -n / 2
    targets   Q' <- (1 - tau) Q' + tau Q;  decode' likewise, while the decoder is trained

decode = `decoder`, decode' = `target_decoder`, pi = `actor`, Q = `critic`, Q' = `target_critic`,
Qw = `latent_critic`.  No gradient passes through the decoder: the actor asks Qw alone, so that a
frozen policy of somebody else can be steered as well.

The decoder is trained beside the policy (`decoder_beside`, as the public code does), or first and
then frozen (`decoder_steps`); frozen, it serves other policies (`--model`).  Or it is a policy that
somebody else trained (`--decoder FILE`, shared/models/foreign_decoder.py), which is given as in the
paper; its noise may be longer or shorter than an action.

A box also ends what fine-tuning can reach.  Three ways out, ours, all off by default:

    edit_scale       an editor moves the decoded action by at most edit_scale (cnf/editor.py), and
                     Q and Qw judge what it makes of it
    online_decoder   online the decoder learns, too, from actions that are worth more than its own:
                     min  1[Q(s, a) > Q(s, decode'(s, w))] · (matching),  w ~ N(0, I)
                     so the box moves with it to what did well
    online_widening  online the half width grows by as much an update, from noise_scale to
                     widest_box at most, while the critics disagree less at the box's edge than
                     on data (cnf/widening.py)

Differences from the paper: it steers diffusion policies that are given; here the decoder is
trained on the same data.  Ensemble, pessimism rho and the target entropy are those of the public
reimplementation in QAM's code (Li et al., 2026), whose box `noise_scale` is tuned by domain.
Log pi is taken on the position in the box, so that a wider box earns no entropy.

The decoder's own phase is in cnf/noise_decoder.py, what the policy is made of and how it acts in
cnf/noise_policy.py, the ways out of the box in cnf/out_of_the_box.py.
"""

from functools import partial

import jax
import jax.numpy as jnp

from cnf import noise_decoder, out_of_the_box
from cnf.exploration import online_phase
from cnf.noise_policy import AbstractNoisePolicy
from cnf.rewards import scaled, unit
from shared.algorithm import LearnedReward, Phase
from shared.models.learner import descend, polyak
from shared.models.losses import td_loss, td_target
from shared.types import is_zero


class DSRL(AbstractNoisePolicy):
    """Diffusion steering by reinforcement learning; its hyperparameters are those of its parts."""

    title = "DSRL: a bounded policy in the noise of a flow-matching decoder"
    paper = "Wagenmaker et al. 2025, Steering Your Diffusion Policy (arXiv:2506.15799)"

    update_decoder = noise_decoder.update_decoder
    freeze_decoder = noise_decoder.freeze_decoder
    update_online, better = out_of_the_box.update_online, out_of_the_box.better
    improve_editor, look_at_edge = out_of_the_box.improve_editor, out_of_the_box.look_at_edge

    def phases(self):
        policy = Phase("policy", self.steps, self.draw, self.update)
        return (noise_decoder.decoder_phase(self), policy) if self.decoder is None else (policy,)

    def online(self):
        changes = self.online_decoder or not is_zero(self.online_widening)
        return online_phase(self, self.draw, self.update_online if changes else self.update)

    def draw(self, dataset, *, key, size=None):
        return dataset.weighted(self.return_weighting).draw(
            self.batch_size if size is None else size, key=key
        )

    def update(self, state, batch, *, key):
        """One step: critics, latent critic, actor, alpha, targets; the decoder where it learns."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        k_next, k_latent, k_actor, k_decoder = jax.random.split(key, 4)
        y = jax.vmap(partial(self.target, state))(
            batch.reward, batch.terminal, s_next, jax.random.split(k_next, s.shape[0])
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, batch.action, y)
        )
        w = jax.random.normal(k_latent, (s.shape[0], state.target_decoder.latent_size))
        k_made = jax.random.split(jax.random.fold_in(k_latent, 1), s.shape[0])
        made = jax.vmap(partial(self.made, state))(s, w, k_made)
        value = jnp.mean(jax.vmap(critic.model)(s, made), axis=1)
        latent_critic, latent_metrics = descend(
            state.latent_critic,
            self.critic_optimizer,
            lambda m: self.latent_loss(m, s, w, value),
        )
        alpha = jnp.exp(state.log_alpha.model)
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, state, latent_critic.model, alpha, s, key=k_actor),
            average=self.actor_average,
        )
        excess = actor_metrics["log_prob"] - w.shape[1] / 2
        log_alpha, alpha_metrics = descend(
            state.log_alpha, self.actor_optimizer, lambda m: self.alpha_loss(m, excess)
        )
        metrics = critic_metrics | latent_metrics | actor_metrics | alpha_metrics
        if state.editor is not None:
            editor, edit_metrics = self.improve_editor(state, s, key=jax.random.fold_in(key, 1))
            state, metrics = state._replace(editor=editor), metrics | edit_metrics
        if state.widening is not None:
            metrics |= self.look_at_edge(state, s, batch.action, key=jax.random.fold_in(key, 3))
        if self.decoder_beside:
            state, decoder_metrics = self.update_decoder(state, batch, key=k_decoder)
            metrics |= decoder_metrics
        state = state._replace(
            actor=actor,
            critic=critic,
            target_critic=polyak(state.target_critic, critic.model, self.tau),
            latent_critic=latent_critic,
            log_alpha=log_alpha,
        )
        return state, metrics

    def target(self, state, reward, terminal, s_next, key):
        """The pessimistic target y, for one transition."""
        decoder = state.target_decoder
        w = state.actor.model.sample(s_next, self.box(decoder, s_next, state.widening), key=key)
        q = state.target_critic(s_next, self.made(state, s_next, w, key))
        next_value = jnp.mean(q) - self.pessimism * jnp.std(q)
        reward = scaled(reward, state.reward_scale) + self.reward_shift
        return td_target(reward, terminal, next_value, self.discount)

    def latent_loss(self, latent_critic, s, w, value):
        """What noise is worth: regression onto the critics at the decoded actions."""
        errors = jax.vmap(latent_critic.first)(s, w) - value
        loss = jnp.mean(errors**2)
        return loss, {"latent_loss": loss}

    def actor_loss(self, actor, state, latent_critic, alpha, s, *, key):
        """Soft policy improvement on the latent critic, over a batch."""
        decoder, edge = state.target_decoder, 0.999 * self.half_width(state)

        def terms(s, key):
            box = self.box(decoder, s, state.widening)
            w, log_prob = actor.sample_with_log_prob(s, box, key=key)
            return latent_critic.first(s, w), log_prob, jnp.abs(w)

        q, log_prob, size = jax.vmap(terms)(s, jax.random.split(key, s.shape[0]))
        loss = jnp.mean(alpha * log_prob - q)
        return loss, {
            "actor_loss": loss,
            "log_prob": jnp.mean(log_prob),
            "saturation": jnp.mean((size > edge).astype(jnp.float32)),
        }

    def alpha_loss(self, log_alpha, excess):
        """`excess` is the mean of log pi(w|s) plus the target entropy."""
        return -log_alpha * excess, {"alpha": jnp.exp(log_alpha)}

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, unit(state.reward_scale), self.reward_shift)

    def critic_value(self, state, observation, action):
        """Mean of the critics, of an action in a simulator."""
        return jnp.mean(state.critic.model(state.normalizer(observation), action))
