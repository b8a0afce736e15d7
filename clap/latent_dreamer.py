"""What dreamers with latent actions have besides: the choice of the latent action space."""

import dataclasses
from typing import Literal

import equinox as eqx
import jax

from clap.dreamer import PLAIN, AbstractDreamer, normalized
from clap.flow_latents import FlowLatentActions
from clap.latent_actions import DirectActions, GaussianLatentActions
from shared.algorithm import hyperparameter
from shared.ranges import Amount, Positive, Size


class AbstractLatentDreamer(AbstractDreamer):
    """A dreamer whose world model has an action prior, posterior and decoder."""

    reusable = PLAIN._replace(
        keys=(
            *PLAIN.keys,
            *("latent_actions", "latent_action", "flow_layers", "flow_hidden_size", "flow_noise"),
            *("action_std", "latent_action_free_nats"),
        )
    )

    latent_actions: Literal["gaussian", "flow", "none"] = hyperparameter("latent action space")
    latent_action: Size = hyperparameter("length of the latent action u")
    action_std: Positive = hyperparameter("standard deviation of the action decoder")
    latent_action_free_nats: Amount = hyperparameter("nats of the latent action's KL that are free")
    flow_layers: Size = hyperparameter("layers of the flow")
    flow_hidden_size: Size = hyperparameter("width of the flow's conditioners")
    flow_noise: Amount = hyperparameter("half width of noise on the flow's training actions")

    def make_model(self, spec, *, prior_members=1, key):
        model = super().make_model(spec, prior_members=prior_members, key=key)
        if self.latent_actions == "flow":
            # A flow starts in a way of its own: orthogonal maps, couplings that change nothing.
            actions = self.make_actions(model.rssm.visible_size, spec.action_size, key=key)
            model = eqx.tree_at(lambda m: m.actions, model, actions)
        return model

    def make_actions(self, feature_size, action_size, *, key):
        if self.latent_actions == "none":
            return DirectActions(action_size)
        if self.latent_actions == "flow":
            return FlowLatentActions(
                feature_size,
                action_size,
                layers=self.flow_layers,
                hidden_size=self.flow_hidden_size,
                noise_width=self.flow_noise,
                key=key,
            )
        return GaussianLatentActions(
            feature_size,
            action_size,
            self.latent_action,
            self.hidden_sizes,
            action_std=self.action_std,
            key=key,
        )

    @property
    def elbo_options(self):
        return super().elbo_options | {"action_free_nats": self.latent_action_free_nats}

    def model_phase(self, *, evaluates):
        phase = super().model_phase(evaluates=evaluates)
        start = self.start_flow if self.latent_actions == "flow" else None
        return dataclasses.replace(phase, start=start)

    def start_flow(self, state, dataset, *, key):
        """The flow's ActNorm starts from the statistics of a first batch."""
        k_draw, k_states, k_flow = jax.random.split(key, 3)
        batch = normalized(state.normalizer, self.draw_model(dataset, key=k_draw))
        model = state.world_model.model
        features = model.rssm.visible(model.states(batch, key=k_states))
        actions = model.actions.initialize(features, batch.window.action, batch.acted, key=k_flow)
        learner = eqx.tree_at(lambda x: x.model.actions, state.world_model, actions)
        return state._replace(world_model=learner)
