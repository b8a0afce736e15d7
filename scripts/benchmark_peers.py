"""Other people's implementations beside ours: what `scripts/benchmark` asks of their processes."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parent
D3RLPY = {"iql": "IQL", "td3bc": "TD3PlusBC", "awac": "AWAC", "plas": "PLAS"}
"""Our algorithm -> d3rlpy's of the same equations; it has none of SPOT's."""
D3RLPY_UPDATES = 20
CHECKOUTS = {"corl": "JAX-CORL", "fql": "FQL", "qam": "QAM"}
"""Public implementations in JAX, as `jax_peer.py` calls them and as we do."""
JAX_PEERS = {
    "iql": ("corl", {}, 64),
    "td3bc": ("corl", {"critic_layer_norm": True}, 64),
    "rebrac": ("corl", {}, 32),
    "fql": ("fql", {}, 16),
    "dsrl": ("qam", {}, 8),
}
"""Our algorithm -> where the one of its name is, what is set here besides the defaults so that the
networks are the same, and updates at a time: multiples of the 8 that JAX-CORL compiles.

The latent critic of QAM's DSRL is an ensemble as large as that of its critics; ours is one network.
"""


class Peer(NamedTuple):
    """Updates of somebody else, which take turns with ours."""

    name: str
    ask: Callable[[str], str]
    job: tuple
    updates: int

    def rate(self) -> float:
        """Updates a CPU-second, of so many that are made now."""
        return self.updates / float(self.ask(json.dumps([*self.job, self.updates])))


def d3rlpy_peer(ask: Callable[[str], str], name: str, algorithm: Any) -> Peer | None:
    """d3rlpy's (`baseline_peer.py`): the same batch and the same hidden layers."""
    if name not in D3RLPY:
        return None
    networks = {"actor": "actor", "critic": "critic", "value": "value", "imitator": "vae"}
    hidden = {
        theirs: getattr(algorithm, f"{ours}_hidden_sizes")
        for theirs, ours in networks.items()
        if hasattr(algorithm, f"{ours}_hidden_sizes")
    }
    more = {"warmup_steps": 0} if name == "plas" else {}
    job = D3RLPY[name], {"batch_size": algorithm.batch_size, **more}, hidden
    return Peer(f"d3rlpy's {job[0]}", ask, job, D3RLPY_UPDATES)


def jax_peer(ask: Callable[[str], str], name: str, algorithm: Any) -> Peer:
    """A public one in JAX (`jax_peer.py`): the same batch, layers, critics and flow steps.

    IQL and TD3+BC have one list of hidden layers there, ReBRAC one width, for all networks.
    """
    checkout, _, updates = JAX_PEERS[name]
    actor, critic = algorithm.actor_hidden_sizes, algorithm.critic_hidden_sizes
    settings = {"batch_size": algorithm.batch_size}
    if name in ("iql", "td3bc"):
        settings |= {"hidden_dims": critic}
    if name == "iql":
        settings |= {"layer_norm": False}  # of the value; ours has none
    if name == "rebrac":
        settings |= {"hidden_dim": critic[0], "critic_ln": algorithm.critic_layer_norm}
        settings |= {"actor_n_hiddens": len(actor), "critic_n_hiddens": len(critic)}
    if name in ("fql", "dsrl"):
        settings |= {"actor_hidden_dims": actor, "value_hidden_dims": critic}
        settings |= {"flow_steps": algorithm.flow_steps}
    if name == "fql":
        settings |= {"layer_norm": algorithm.critic_layer_norm}
    if name == "dsrl":
        settings |= {"value_layer_norm": algorithm.critic_layer_norm}
        settings |= {"num_qs": algorithm.critics, "horizon_length": 1}
    job = checkout, name, settings
    return Peer(f"{CHECKOUTS[checkout]}'s {name}", ask, job, updates)


@contextlib.contextmanager
def answers(python: str | None, script: str, *arguments: str):
    """A function that asks a peer's script, run by `python`, and returns its answer; or None."""
    if python is None:
        yield None
        return
    command = [python, str(FOLDER / script), *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, **pipes) as process:
        written, told = process.stdin, process.stdout
        assert written is not None and told is not None

        def read(word: str) -> str:
            """The rest of the next line that begins with `word`; libraries print lines too."""
            while not (line := told.readline()).startswith(word):
                if not line:
                    sys.exit(f"{python}: {script} does not run; see its message above")
            return line.removeprefix(word).strip()

        def ask(line: str = "") -> str:
            written.write(line + "\n")
            return read("seconds")

        read("ready")
        yield ask
        written.close()
