"""Several devices: seeds are spread over them first, and what is left splits every batch.

All devices run one program (`jax.sharding`), whose results are those of one device up to rounding:
sums over a batch are added up in another order.  Data are on every device.
"""

import math
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from shared.errors import ConfigError

SEEDS, BATCH = "seeds", "batch"


def mesh_of(count: int, seeds: int) -> Mesh | None:
    """`count` devices for so many seeds; None for a single one.

    Raises:
        ConfigError: there are not so many.
    """
    if count == 1:
        return None
    found = jax.local_devices()
    if count > len(found):
        raise ConfigError(f"devices is {count}, but this machine has {len(found)}; set it to that.")
    along = math.gcd(count, seeds)
    return Mesh(np.array(found[:count]).reshape(along, count // along), (SEEDS, BATCH))


def by_seed(tree: Any, mesh: Mesh | None) -> Any:
    """Arrays with a leading axis of seeds, each seed where it is trained."""
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, PartitionSpec(SEEDS)))


def everywhere(tree: Any, mesh: Mesh | None) -> Any:
    """Arrays that every device needs whole."""
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split(batch: Any, mesh: Mesh | None) -> Any:
    """What an update draws, in a program: its rows divided among the devices of its seed."""
    if mesh is None or mesh.shape[BATCH] == 1:
        return batch
    sharding = NamedSharding(mesh, PartitionSpec(BATCH))

    def divide(x):
        divisible = x.ndim and x.shape[0] % mesh.shape[BATCH] == 0
        return jax.lax.with_sharding_constraint(x, sharding) if divisible else x

    return jax.tree.map(divide, batch)


def stay(state: Any, mesh: Mesh | None) -> Any:
    """The state after an update, in a program: where it was."""
    if mesh is None:
        return state
    sharding = NamedSharding(mesh, PartitionSpec(SEEDS))
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, sharding), state)
