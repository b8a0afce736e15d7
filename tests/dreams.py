"""World models and what dreams in them, at toy size."""

import jax.numpy as jnp
import numpy as np

from shared.runs.plan import make_plan

TINY = {
    **{"steps": 6, "model_steps": 8, "batch_size": 3, "model_batch_size": 4, "window": 9},
    **{"deterministic": 10, "stochastic": 4, "latent_action": 3, "hidden_sizes": [12, 11]},
    **{"classes": 3, "flow_layers": 2, "flow_hidden_size": 8, "flow_steps": 2},
    **{"actor_hidden_sizes": [12], "value_hidden_sizes": [12], "starts": 8, "horizon": 3},
    **{"validate_every": 4, "validation_windows": 4, "steps_per_call": 4, "episodes": 1},
}
"""C-LAP."""

LATENT_ALONE = ("latent_action", "flow_layers", "flow_hidden_size", "flow_steps")
VALUES_ALONE = ("value_hidden_sizes", "starts")
MEMBERS = 3
PENALISED = {
    "offline-dv2": {"prior_members": MEMBERS, "penalty_unit": "data"},
    "lompo": {
        **{"prior_members": MEMBERS, "penalty_unit": "data"},
        **{"windows": 3, "batch_size": 7, "critic_hidden_sizes": [12]},
    },
}
"""Dreamers whose rewards pay for doubt."""


def penalised_plan(name, data="hopper-random", **more):
    """The plan of one of them, of two seeds."""
    left_out = LATENT_ALONE + (VALUES_ALONE if name == "lompo" else ())
    known = {key: value for key, value in TINY.items() if key not in left_out}
    overrides = known | PENALISED[name] | more
    return make_plan("clap", name, data, seeds=(0, 5), overrides=overrides)


FEATURE, ACTION = 6, 3
"""Sizes of the events below."""


def events_of_actions():
    """Features of a model's states, and actions of which a quarter are exactly ±1; 64 of each."""
    generator = np.random.default_rng(0)
    action = generator.uniform(-0.9, 0.9, (64, ACTION))
    action[:16] = np.sign(action[:16])
    feature = generator.normal(size=(64, FEATURE))
    return jnp.asarray(feature, jnp.float32), jnp.asarray(action, jnp.float32)
