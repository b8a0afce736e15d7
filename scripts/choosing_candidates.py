"""The policies that docs/results/choosing.md ranks: cheap, different, good and bad ones.

One set of words a candidate; nothing here was chosen by the scores.
"""

SETS = ("hopper-medium", "hopper-medium-replay", "halfcheetah-medium-expert", "walker2d-medium")
LENGTH = {"hopper-medium": 1.0}
"""Share of the updates below that a set's candidates get; a quarter on the others."""
COMMON = {
    "rows": 200_000,
    "held_out_episodes": 0.1,
    "evaluate_every": 10_000_000,
    "save_every": 10_000_000,
    "episodes": 6,
}
LAYERS = {"actor_hidden_sizes": [128, 128], "critic_hidden_sizes": [128, 128], "batch_size": 128}
RATES = {"actor_learning_rate": 1e-3, "critic_learning_rate": 1e-3, "tau": 1e-2}
CLONE = {"hidden_sizes": [128, 128], "batch_size": 128, "learning_rate": 1e-3}
VALUE = {"value_hidden_sizes": [128, 128], "value_learning_rate": 1e-3}
CANDIDATES = {
    "BC": ("cnf", "bc", CLONE | {"steps": 8000}),
    "BC, 500 updates": ("cnf", "bc", CLONE | {"steps": 500}),
    "BC-10%": ("cnf", "bc-10", CLONE | {"steps": 8000}),
    "TD3+BC": ("cnf", "td3bc", LAYERS | RATES | {"steps": 10000}),
    "TD3+BC, alpha 20": ("cnf", "td3bc", LAYERS | RATES | {"steps": 10000, "alpha": 20.0}),
    "IQL": ("cnf", "iql", LAYERS | RATES | VALUE | {"steps": 10000}),
    "AWAC": ("cnf", "awac", LAYERS | RATES | {"steps": 10000}),
    "ReBRAC": ("cnf", "rebrac", LAYERS | RATES | {"steps": 10000}),
    "PLAS": ("cnf", "plas", LAYERS | {"steps": 8000, "pretrain_steps": 3000}),
    "CNF": ("cnf", "cnf", {"steps": 8000, "pretrain_steps": 3000, "batch_size": 128}),
    "CNF, 1,000 updates": ("cnf", "cnf", {"steps": 1000, "pretrain_steps": 3000}),
    "TD3-off": ("cnf", "td3-off", LAYERS | RATES | {"steps": 5000}),
    "C-LAP": ("clap", "clap", {"model_steps": 800, "steps": 600}),
}
"""Label -> family, algorithm, values on top of the quick preset."""


def values_of(dataset: str, label: str) -> dict:
    """The overrides of one candidate."""
    share, values = LENGTH.get(dataset, 0.25), COMMON | CANDIDATES[label][2]
    counts = {k: round(share * v) for k, v in values.items() if k.endswith("steps")}
    return values | counts


VERDICT = "verdict.json"
"""What was found of a candidate, beside its run."""


def slug(label: str) -> str:
    """A label as the name of a folder."""
    return "".join(c if c.isalnum() else "-" for c in label.lower()).strip("-")
