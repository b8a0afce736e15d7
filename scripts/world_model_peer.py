"""A PyTorch Dreamer world model's updates, timed by an interpreter that has sheeprl.

    PYTHON world_model_peer.py BATCH LENGTH OBSERVATION ACTION H S WIDTH [DEPTH]

Writes `ready`; then, for every line read, `seconds` and the CPU time of one update, in bfloat16
(autocast, as sheeprl's bf16-mixed) where the line says so, otherwise in float32.  The model is
sheeprl's DreamerV1 (Gaussian states, a GRU cell and both state networks once a step, the heads
once over time × batch) with its own loss, Adam behind a ceiling of the gradient's norm, one
thread, not compiled.  With DEPTH, observations are frames of OBSERVATION pixels a side, and its
CNNs have DEPTH channels in the first layer.
"""

import sys
import time

import torch
from sheeprl.algos.dreamer_v1.agent import RSSM, RecurrentModel, WorldModel
from sheeprl.algos.dreamer_v1.dreamer_v1 import world_model_loss
from sheeprl.algos.dreamer_v2.agent import CNNDecoder, CNNEncoder, MLPDecoder, MLPEncoder
from sheeprl.models.models import MLP, MultiDecoder, MultiEncoder
from torch import nn


def make(observation: int, action: int, h: int, s: int, width: int, depth: int) -> WorldModel:
    """A world model with the layers of ours; of frames if `depth`, its channels, is not 0."""
    hidden, feature, act = [width, width], h + s, nn.ELU

    def mlp(n_in, n_out, sizes):
        return MLP(n_in, n_out, sizes, activation=act, flatten_dim=None)

    if depth:
        side = (observation, observation)
        cnn = CNNEncoder(["rgb"], [3], side, depth, activation=act)
        encoder, embedding = MultiEncoder(cnn, None), cnn.output_dim
        picture = CNNDecoder(["rgb"], [3], depth, feature, embedding, side, activation=act)
        decoder = MultiDecoder(picture, None)
    else:
        mlp_encoder = MLPEncoder(["state"], [observation], 1, width, activation=act)
        encoder, embedding = MultiEncoder(None, mlp_encoder), width
        state = MLPDecoder(["state"], [observation], feature, 2, width, activation=act)
        decoder = MultiDecoder(None, state)
    rssm = RSSM(
        RecurrentModel(action + s, h, activation=act),
        mlp(h + embedding, 2 * s, [width]),
        mlp(h, 2 * s, hidden),
        distribution_cfg={"validate_args": False},
    )
    heads = mlp(feature, 1, hidden), mlp(feature, 1, hidden)
    return WorldModel(encoder, rssm, decoder, *heads)


def main() -> None:
    """Answer every line with the time of one update."""
    torch.set_num_threads(1)
    torch.distributions.Distribution.set_default_validate_args(False)
    batch, length, observation, action, h, s, width, depth = map(int, [*sys.argv[1:], 0][:8])
    model = make(observation, action, h, s, width, depth)
    parts = (model.encoder, model.rssm, model.observation_model)
    parts += (model.reward_model, model.continue_model)
    parameters = [p for part in parts for p in part.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-4)
    data = {
        "state": torch.randn(length, batch, observation),
        "rgb": torch.rand(length, batch, 3, *2 * (observation if depth else 1,)) - 0.5,
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
                cnn_keys=("rgb",) if depth else (),
                mlp_keys=() if depth else ("state",),
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
