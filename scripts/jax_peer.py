"""Updates of public JAX implementations, timed by an interpreter that has flax and optax.

    PYTHON jax_peer.py FILE.hdf5 --corl DIR --fql DIR --qam DIR

The folders are checkouts of JAX-CORL, FQL and QAM, of which `algos/`, `agents/` and `utils/` are
used, and whatever those import.  Writes `ready`; then, for every line read, a JSON list of a
checkout, an algorithm there, settings of its configuration and a number of updates, writes
`seconds` and the CPU time of so many updates with their draws.

States, losses, draws and what is compiled are the checkout's own: JAX-CORL compiles a few updates
at a time, with their draws from data on the device, and its numbers of updates must be multiples
of those; FQL and QAM compile one update, and draw its batch with NumPy.
"""

import argparse
import functools
import importlib
import json
import sys
import time
from collections.abc import Callable

import h5py
import jax
import jax.numpy as jnp
import numpy as np

PACKAGES = ("agents", "algos", "utils")
TITLES = {"iql": "IQL", "td3bc": "TD3BC", "rebrac": "ReBRAC"}


def load(path: str) -> dict[str, np.ndarray]:
    """All rows, under every name that a checkout has for them."""
    columns = ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts")
    with h5py.File(path) as file:
        rows = {key: np.asarray(file[key]).astype("float32") for key in columns}
    rows["dones"], timeouts = rows["terminals"], rows.pop("timeouts")
    rows["terminals"] = np.maximum(rows["dones"], timeouts)
    return rows | {"masks": 1 - rows["dones"], "next_actions": np.roll(rows["actions"], -1, axis=0)}


def imported(folder: str, *names: str) -> list:
    """Modules of a checkout; what another one has under the same names is forgotten."""
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    modules = [importlib.import_module(name) for name in names]
    sys.path.remove(folder)
    return modules


def compiled_loop(folder: str, rows: dict, name: str, settings: dict) -> Callable[[int], None]:
    """A function that makes updates as JAX-CORL does."""
    (module,) = imported(folder, f"algos.{name}")
    data = module.Transition(*(jnp.asarray(rows[key]) for key in module.Transition._fields))
    config = getattr(module, f"{TITLES[name]}Config")(**settings)
    update = jax.jit(getattr(module, TITLES[name])().update_n_times, static_argnums=(3,))
    create = getattr(module, f"create_{name}_train_state")
    key = jax.random.PRNGKey(0)
    state = create(key, data.observations[0], data.actions[0], config)

    def run(count: int) -> None:
        nonlocal state, key
        assert count % config.n_jitted_updates == 0, (count, config.n_jitted_updates)
        for _ in range(count // config.n_jitted_updates):
            key, one = jax.random.split(key)
            state, _ = update(state, data, one, config)
        jax.block_until_ready(state)

    return run


def single_updates(folder: str, rows: dict, name: str, settings: dict) -> Callable[[int], None]:
    """A function that makes updates as FQL and QAM do."""
    module, datasets = imported(folder, f"agents.{name}", "utils.datasets")
    keys = ("observations", "actions", "rewards", "next_observations", "terminals", "masks")
    dataset = datasets.Dataset.create(**{key: rows[key] for key in keys})
    config = module.get_config()
    config.update({k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
    agent = getattr(module, f"{name.upper()}Agent").create(
        0, rows["observations"][:1], rows["actions"][:1], config
    )
    draw = functools.partial(dataset.sample, config["batch_size"])
    if "horizon_length" in config:  # QAM draws sequences, of one row where actions are single
        length, discount = config["horizon_length"], config["discount"]
        draw = functools.partial(dataset.sample_sequence, config["batch_size"], length, discount)

    def run(count: int) -> None:
        nonlocal agent
        for _ in range(count):
            agent, _ = agent.update(draw())
        jax.block_until_ready(agent)

    return run


MAKERS = {"corl": compiled_loop, "fql": single_updates, "qam": single_updates}


def main() -> None:
    """Answer every line with a time."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("data")
    for checkout in MAKERS:
        parser.add_argument(f"--{checkout}", metavar="DIR")
    options = parser.parse_args()
    del sys.argv[1:]  # JAX-CORL's files read it, too
    jax.devices()  # JAX-CORL's files set XLA's flags: now they are read, as they were given
    rows, made = load(options.data), {}
    print("ready", flush=True)
    for line in sys.stdin:
        checkout, name, settings, count = json.loads(line)
        key = json.dumps([checkout, name, settings])
        if key not in made:
            folder = getattr(options, checkout)
            made = {key: MAKERS[checkout](folder, rows, name, settings)}
            made[key](count)
        started = time.process_time()
        made[key](count)
        print("seconds", time.process_time() - started, flush=True)


if __name__ == "__main__":
    main()
