"""A PyTorch Dreamer world model's updates, timed by an interpreter that has sheeprl.

    PYTHON world_model_peer.py BATCH LENGTH OBSERVATION ACTION H S WIDTH

Writes `ready`; then, for every line read, `seconds` and the CPU time of one update, in bfloat16
(autocast, as sheeprl's bf16-mixed) where the line says so, otherwise in float32.  The model is
sheeprl's DreamerV1 (Gaussian states, a GRU cell and both state networks once a step, the heads
once over time × batch) with its own loss, Adam behind a ceiling of the gradient's norm, one
thread, not compiled.
"""

import sys
import time

import torch
from sheeprl.algos.dreamer_v1.agent import RSSM, RecurrentModel, WorldModel
from sheeprl.algos.dreamer_v1.dreamer_v1 import world_model_loss
from sheeprl.algos.dreamer_v2.agent import MLPDecoder, MLPEncoder
from sheeprl.models.models import MLP, MultiDecoder, MultiEncoder
from torch import nn


def make(observation: int, action: int, h: int, s: int, width: int) -> WorldModel:
    """A world model with the layers of ours."""
    hidden, feature, act = [width, width], h + s, nn.ELU

    def mlp(n_in, n_out, sizes):
        return MLP(n_in, n_out, sizes, activation=act, flatten_dim=None)

    rssm = RSSM(
        RecurrentModel(action + s, h, activation=act),
        mlp(h + width, 2 * s, [width]),
        mlp(h, 2 * s, hidden),
        distribution_cfg={"validate_args": False},
    )
    encoder = MultiEncoder(None, MLPEncoder(["state"], [observation], 1, width, activation=act))
    decoder = MLPDecoder(["state"], [observation], feature, 2, width, activation=act)
    heads = mlp(feature, 1, hidden), mlp(feature, 1, hidden)
    return WorldModel(encoder, rssm, MultiDecoder(None, decoder), *heads)


def main() -> None:
    """Answer every line with the time of one update."""
    torch.set_num_threads(1)
    torch.distributions.Distribution.set_default_validate_args(False)
    batch, length, observation, action, h, s, width = map(int, sys.argv[1:])
    model = make(observation, action, h, s, width)
    parts = (model.encoder, model.rssm, model.observation_model)
    parts += (model.reward_model, model.continue_model)
    parameters = [p for part in parts for p in part.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-4)
    data = {
        "state": torch.randn(length, batch, observation),
        "actions": torch.tanh(torch.randn(length, batch, action)),
        "rewards": torch.randn(length, batch, 1),
        "terminated": torch.zeros(length, batch, 1),
        "is_first": torch.zeros(length, batch, 1),
    }

    def update(bfloat16: bool):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss, *_ = world_model_loss(
                model,
                data,
                cnn_keys=(),
                mlp_keys=("state",),
                stochastic_size=s,
                recurrent_state_size=h,
                use_continues=True,
                gamma=0.99,
                kl_free_nats=0.0,
                kl_regularizer=1.0,
                continue_scale_factor=1.0,
                entropies=False,
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 100.0)
        optimizer.step()

    for bfloat16 in (True, False):
        update(bfloat16)
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.process_time()
        update(line.strip() == "bfloat16")
        print("seconds", time.process_time() - started, flush=True)


if __name__ == "__main__":
    main()
