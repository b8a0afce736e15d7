"""Runs with weights drawn at random, in place of trained ones: nothing is compiled."""

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from recording import record

from shared import load_data
from shared.record.run_folder import RunFolder
from shared.runs.run_record import make_record
from shared.training import program


def recorded(folder, columns=None, **bounds):
    """A recording in a file, read; commands of the range `low` to `high` if these are given."""
    path = folder / "robot.hdf5"
    with h5py.File(path, "w") as file:
        for key, value in (record() if columns is None else columns).items():
            file[key] = value
        file.attrs.update({f"action_{end}": value for end, value in bounds.items()})
    return load_data(None, data=path)


def drawn_run(plan, data, folder, spoil=lambda name, x: x):
    """The folder of a finished run with one checkpoint."""
    algorithm, generator = plan.build(), np.random.default_rng(0)
    shapes = program.state_shapes(algorithm, data.spec, plan.seeds)

    def draw(path, leaf):
        name = jax.tree_util.keystr(path)
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros(leaf.shape, leaf.dtype)
        x = generator.normal(0, 0.3, leaf.shape)
        x = 0.5 + abs(x) if "normalizer" in name else x
        return jnp.asarray(spoil(name, x), leaf.dtype)

    state = jax.tree_util.tree_map_with_path(draw, shapes)
    last = len(algorithm.phases()) - 1
    place = {"phase": "policy", "phase_index": last, "step": 8, "global_step": 8}
    with RunFolder.create(folder, config=plan.to_dict(), record=make_record(plan, data)) as run:
        run.save(state, place)
        run.update_record(status="finished")
    return folder
