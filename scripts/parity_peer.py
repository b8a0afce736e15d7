"""Train one seed of a d3rlpy algorithm with our settings; run by an interpreter that has it.

    PYTHON parity_peer.py < JOB      JOB is a JSON object, see `main`

Data, replay buffer, networks, losses, optimizers and episodes are d3rlpy's and gymnasium's.
What d3rlpy has no option for is set behind its back, in `match`, so that a difference in the
returns is one of the algorithms, and not of a start value.
"""

import json
import sys
from importlib.metadata import version

import d3rlpy
import h5py
import numpy as np
import torch
from d3rlpy.algos import AWACConfig, CQLConfig, IQLConfig, TD3PlusBCConfig
from d3rlpy.models import VectorEncoderFactory
from d3rlpy.optimizers import AdamFactory
from d3rlpy.optimizers.lr_schedulers import CosineAnnealingLRFactory
from d3rlpy.preprocessing import MultiplyRewardScaler, StandardObservationScaler
from torch import nn

PACKAGES = ("d3rlpy", "torch", "gymnasium", "mujoco", "numpy")
NO_ENTROPY = -1e3
"""Logarithm of a temperature that is 0 in float32."""


def main() -> None:
    """Read a job, train, play, and write returns as JSON.

    The job: `algorithm` (our name), `hyperparameters` (ours, resolved), `data` (HDF5 file),
    `simulator` (gymnasium id), `seed`, `episodes`,
    `last` (updates whose losses are averaged).
    """
    job = json.load(sys.stdin)
    torch.set_num_threads(1)
    d3rlpy.seed(job["seed"])
    rows, h = read(job["data"]), job["hyperparameters"]
    dataset = d3rlpy.dataset.MDPDataset(
        rows["observations"], rows["actions"], rows["rewards"], rows["terminals"], rows["timeouts"]
    )
    algorithm = CONFIGS[job["algorithm"]](h, rows).create(device="cpu:0")
    algorithm.build_with_dataset(dataset)
    match(job["algorithm"], algorithm.impl.modules)
    losses = [
        algorithm.update(dataset.sample_transition_batch(h["batch_size"]))
        for _ in range(h["steps"])
    ][-job["last"] :]
    result = {
        "losses": {
            name: float(np.mean([step[name] for step in losses if name in step]))
            for name in losses[0] | losses[-1]
        },
        "returns": play(algorithm, job["simulator"], job["seed"], job["episodes"]),
        "transitions": dataset.transition_count,
        "versions": {name: version(name) for name in PACKAGES},
    }
    print(json.dumps(result))


def read(path: str) -> dict[str, np.ndarray]:
    """The columns of a file in D4RL's form; its last episode ends where the file does."""
    names = ("observations", "actions", "rewards", "terminals", "timeouts")
    with h5py.File(path) as file:
        rows = {name: np.asarray(file[name], np.float32) for name in names}
    rows["timeouts"][-1] = 1.0 - rows["terminals"][-1]
    return rows


def common(h: dict, rows: dict[str, np.ndarray]) -> dict:
    """What all four have in common, in d3rlpy's words."""
    observation = np.asarray(rows["observations"], np.float64)
    scaler = StandardObservationScaler(observation.mean(0), observation.std(0), eps=1e-3)
    return {
        "actor_learning_rate": h["actor_learning_rate"],
        "critic_learning_rate": h["critic_learning_rate"],
        "actor_encoder_factory": VectorEncoderFactory(h["actor_hidden_sizes"]),
        "critic_encoder_factory": VectorEncoderFactory(h["critic_hidden_sizes"]),
        "batch_size": h["batch_size"],
        "gamma": h["discount"],
        "tau": h["tau"],
        "observation_scaler": scaler if h.get("normalize_observations") else None,
    }


def iql(h: dict, rows: dict[str, np.ndarray]) -> IQLConfig:
    """One learning rate serves critics and value."""
    assert h["value_learning_rate"] == h["critic_learning_rate"] and h["dropout"] == 0
    ends = np.flatnonzero(rows["terminals"] + rows["timeouts"])
    returns = np.diff(np.cumsum(rows["rewards"], dtype=np.float64)[ends], prepend=0.0)
    scale = h["return_span"] / (returns.max() - returns.min()) if h["return_span"] else 1.0
    decay = CosineAnnealingLRFactory(T_max=h["steps"]) if h["cosine_decay"] else None
    return IQLConfig(
        **common(h, rows),
        value_encoder_factory=VectorEncoderFactory(h["value_hidden_sizes"]),
        actor_optim_factory=AdamFactory(lr_scheduler_factory=decay),
        reward_scaler=MultiplyRewardScaler(scale),
        expectile=h["expectile"],
        weight_temp=1 / h["temperature"],
    )


def td3bc(h: dict, rows: dict[str, np.ndarray]) -> TD3PlusBCConfig:
    """The same options under other names."""
    return TD3PlusBCConfig(
        **common(h, rows),
        target_smoothing_sigma=h["policy_noise"],
        target_smoothing_clip=h["noise_clip"],
        alpha=h["alpha"],
        update_actor_interval=h["policy_delay"],
    )


def awac(h: dict, rows: dict[str, np.ndarray]) -> AWACConfig:
    """One action for the advantage, as ours."""
    return AWACConfig(**common(h, rows), lam=h["temperature"], n_action_samples=1)


def cql(h: dict, rows: dict[str, np.ndarray]) -> CQLConfig:
    """Without Lagrange: a learning rate of 0 keeps the weight of the gap at 1."""
    assert h["target_gap"] is None and h["gap_floor"] is None
    return CQLConfig(
        **common(h, rows),
        temp_learning_rate=h["actor_learning_rate"],
        alpha_learning_rate=0.0,
        conservative_weight=h["penalty_scale"],
        n_action_samples=h["samples"],
        max_q_backup=h["max_target"],
    )


CONFIGS = {"iql": iql, "td3bc": td3bc, "awac": awac, "cql": cql}


def match(name: str, modules) -> None:
    """What the options do not reach: initial weights and log deviations, AWAC's temperature."""
    if name == "iql":
        for part in (modules.policy, modules.q_funcs, modules.value_func):
            part.apply(orthogonal)
        modules.targ_q_funcs.load_state_dict(modules.q_funcs.state_dict())
        clip_log_std(modules.policy, -5.0, 2.0)
    if name == "awac":
        clip_log_std(modules.policy, -20.0, 2.0)
        # d3rlpy's targets take SAC's entropy off at temperature 1; the paper has none.
        for parameter in modules.log_temp.parameters():
            parameter.data.fill_(NO_ENTROPY)


def orthogonal(layer: nn.Module) -> None:
    """IQL's initial weights, as in its authors' code."""
    if isinstance(layer, nn.Linear):
        nn.init.orthogonal_(layer.weight, 2**0.5)
        nn.init.zeros_(layer.bias)


class LogStd(nn.Linear):
    """A log standard deviation that is the same in every state, as a layer."""

    def __init__(self, parameter: nn.Parameter):
        nn.Module.__init__(self)
        self.bias = parameter

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Once for each row."""
        return self.bias.expand(hidden.shape[0], -1)


def clip_log_std(policy, low: float, high: float) -> None:
    """A log standard deviation that starts at 0 and is clipped, as ours.

    d3rlpy's is a sigmoid between the bounds; with those of AWAC one step of Adam would move it
    1.8 times as far as ours.
    """
    policy._min_logstd, policy._max_logstd = low, high
    parameter = policy._logstd
    parameter.data.zero_()
    del policy._logstd  # the optimizer keeps the parameter
    policy._use_std_parameter, policy._logstd = False, LogStd(parameter)


def play(algorithm, simulator: str, seed: int, episodes: int) -> list[float]:
    """Raw returns of the deterministic policy."""
    import gymnasium

    environment, returns = gymnasium.make(simulator), []
    for episode in range(episodes):
        observation, _ = environment.reset(seed=1000 * (seed + 1) + episode)
        total, over = 0.0, False
        while not over:
            action = algorithm.predict(np.asarray(observation, np.float32)[None])[0]
            observation, reward, terminal, timeout, _ = environment.step(action)
            total, over = total + float(reward), terminal or timeout
        returns.append(total)
    return returns


if __name__ == "__main__":
    main()
