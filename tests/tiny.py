"""Every registered algorithm and every ablation at toy size."""

from shared.runs import registry
from shared.runs.plan import make_plan

TINY = {
    "steps": 12,
    "batch_size": 32,
    "evaluate_every": 1000,
    "save_every": 1000,
    "steps_per_call": 4,
    "episodes": 1,
}
"""For every algorithm; the tables below add what only some of them have."""

SMALL = {
    "flow_layers": 2,
    "flow_hidden_size": 16,
    "vae_hidden_sizes": [16, 16],
    "hidden_sizes": [16, 16],
    "actor_hidden_sizes": [16, 16],
    "critic_hidden_sizes": [16, 16],
    "value_hidden_sizes": [16, 16],
    "flow_hidden_sizes": [16, 16],
    "pretrain_steps": 8,
    "pretrain_batch_size": 32,
    "validate_every": 4,
    "validation_rows": 64,
    "clone_steps": 8,
    "match_steps": 8,
    "value_steps": 8,
    "samples": 3,
    "target_samples": 3,
    "act_samples": 3,
    "flow_steps": 3,
    "decoder_steps": 8,
    "decoder_batch_size": 32,
    "critics": 3,
    "context": 5,
    "layers": 1,
    "heads": 2,
    "width": 8,
    "trunk_size": 16,
}

VARIANTS = {
    "cnf": {},
    "cnf (random search)": {"search_members": 2, "steps": 0},
    "cnf (normal base, no clip)": {"base": "normal"},
    "cnf (normal base, clip 2)": {"base": "normal", "latent_clip": 2.0, "pretrain_steps": 0},
    "cnf (AWAC in latent space)": {"learn_in": "latent", "pretrain_steps": 0},
    "cnf (normal base, AWAC in latent space)": {
        **{"learn_in": "latent", "base": "normal", "pretrain_steps": 0},
    },
    "cnf (shared baseline sample)": {"baseline_sample": "shared", "pretrain_steps": 0},
    "plas (PLAS+P)": {"max_perturbation": 0.1, "pretrain_steps": 0},
    "dsrl (frozen decoder, edit)": {
        **{"decoder_beside": False, "edit_scale": 0.2, "online_decoder": True},
        **{"online_widening": 0.01},
    },
    "qc": {"chunk": 1},
    "qc-fql": {"chunk": 2},
    "cql (Lagrange)": {"target_gap": 0.8, "gap_floor": -200.0, "max_target": True},
    "onestep (reverse KL)": {"improvement": "reverse-kl", "clone_steps": 0, "value_steps": 0},
}
"""Every ablation of the papers passes the same contract as its algorithm.

A phase that an earlier case has run, line for line, has no updates.
"""


def tiny_plan(case: str, seeds=(0,), **more):
    """The plan of one case of the contract."""
    name = case.split(" ")[0]
    fields = registry.find("cnf", name).__dataclass_fields__
    small = {key: value for key, value in SMALL.items() if key in fields}
    overrides = TINY | small | VARIANTS.get(case, {}) | more
    return make_plan("cnf", name, "hopper-random", seeds=seeds, overrides=overrides)


def cases() -> list[str]:
    """Every registered algorithm, and every variant."""
    return list(dict.fromkeys([*registry.algorithms("cnf"), *VARIANTS]))
