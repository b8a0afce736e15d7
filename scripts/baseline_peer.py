"""d3rlpy's updates (PyTorch), timed by an interpreter that has d3rlpy.

    PYTHON baseline_peer.py FILE.hdf5

Writes `ready`; then, for every line read, a JSON list of an algorithm's name, the
settings of its configuration, the hidden layers of its networks by name, and a number of
updates, writes `seconds` and the CPU time of so many updates with their draws.  The rows are the
first 20,000 of the file; float32, one thread, not compiled.
"""

import json
import sys
import time

import d3rlpy
import h5py
import numpy as np
import torch

ROWS = 20_000
WARM_UP = 3
KEYS = ("observations", "actions", "rewards", "terminals", "timeouts")


def load(path: str):
    """The rows as d3rlpy wants them."""
    with h5py.File(path) as file:
        columns = (np.asarray(file[key])[:ROWS] for key in KEYS)
        observation, action, reward, terminal, timeout = columns
    flags = terminal.astype("float32"), timeout.astype("float32")
    return d3rlpy.dataset.MDPDataset(observation, action, reward[:, None], *flags)


def make(dataset, name: str, settings: dict, hidden: dict):
    """An algorithm that has done a few updates."""
    encoders = {
        f"{network}_encoder_factory": d3rlpy.models.VectorEncoderFactory(hidden_units=sizes)
        for network, sizes in hidden.items()
    }
    config = getattr(d3rlpy.algos, f"{name}Config")(**settings, **encoders)
    algorithm = config.create(device="cpu:0")
    algorithm.build_with_dataset(dataset)
    update(algorithm, dataset, WARM_UP)
    return algorithm


def update(algorithm, dataset, count: int) -> None:
    """So many updates, each on a fresh batch."""
    for _ in range(count):
        algorithm.update(dataset.sample_transition_batch(algorithm.batch_size))


def main() -> None:
    """Answer every line with a time."""
    torch.set_num_threads(1)
    dataset, made = load(sys.argv[1]), {}
    print("ready", flush=True)
    for line in sys.stdin:
        *job, count = json.loads(line)
        key = json.dumps(job)
        if key not in made:
            made = {key: make(dataset, *job)}
        started = time.process_time()
        update(made[key], dataset, count)
        print("seconds", time.process_time() - started, flush=True)


if __name__ == "__main__":
    main()
