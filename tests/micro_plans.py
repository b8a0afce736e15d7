"""Every algorithm at the size of a micro-MDP (`shared.testing.micro`)."""

from tiny import tiny_plan

from shared.runs import registry
from shared.testing import micro
from shared.testing.contract import SEEDS

HIDDEN = (
    *("hidden_sizes", "actor_hidden_sizes", "critic_hidden_sizes", "vae_hidden_sizes"),
    *("value_hidden_sizes", "flow_hidden_sizes"),
)
RATES = (
    *("learning_rate", "actor_learning_rate", "critic_learning_rate", "value_learning_rate"),
    *("vae_learning_rate", "flow_learning_rate", "clone_learning_rate", "pretrain_learning_rate"),
    "multiplier_learning_rate",
)
COMMON = {
    **dict.fromkeys(HIDDEN, [32, 32]),
    **dict.fromkeys(RATES, 3e-3),
    **{"discount": micro.DISCOUNT, "tau": 0.1, "return_span": None, "cosine_decay": False},
    **{"warmup_steps": 10, "target_return": 3.0, "return_scale": 1.0},
}
"""Large steps of small networks; for the algorithms that have them."""
OWN = {
    "cnf": {"temperature": 0.1},
    "cnf-vae": {"temperature": 0.1},
    "spot": {"lambda_": 1.0},
    "bcq": {"latent_clip": 2.0, "act_samples": 10},
    "iql": {"temperature": 0.1, "expectile": 0.95},
    "ifql": {"expectile": 0.95},
    "awac": {"temperature": 0.1},
    "onestep": {"temperature": 0.1},
    "brac-v": {"penalty_scale": 0.02},
    "cql": {"penalty_scale": 0.1},
    "rebrac": {"actor_penalty": 0.3},
    "fql": {"alpha": 0.3},
    "qc-fql": {"alpha": 0.3},
    "qc": {"act_samples": 10},
    "qam": {"inverse_temperature": 10.0},
    "qam-e": {"inverse_temperature": 10.0},
}
"""Less price on what is better than the data, which these problems can afford."""

VALUED = (
    *("cnf", "cnf-vae", "plas", "spot", "lapo", "bcq", "brac-v", "td3bc", "iql", "awac", "cql"),
    *("fql", "ifql", "dsrl", "qc", "td3-off", "sac-off"),
)
"""Their critics find the values of the best policy."""
SARSA = ("rebrac", "onestep")
"""They never see the last row of an episode that a time limit ended."""
WITHIN = (
    *("cnf", "cnf-vae", "plas", "spot", "lapo", "bcq", "bear", "iql", "ifql", "awac", "onestep"),
    "dt",
)
"""They act where the data do, though the critics may believe in what lies between."""
CONTROLS = ("td3-off",)
"""Nothing keeps them there."""


def micro_plan(case: str):
    """The plan of one case of the contract, for the micro-MDPs and their discount."""
    name = case.split(" ")[0]
    fields = registry.find("cnf", name).__dataclass_fields__
    small = {key: value for key, value in COMMON.items() if key in fields}
    return tiny_plan(case, seeds=SEEDS, **small | OWN.get(case, {}))
