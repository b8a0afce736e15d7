"""A pytree taken apart into named arrays, and put together again.

Every array leaf has its path in the tree as its name, such as
`.actor.layers[0].weight`; a table notes shape and dtype of each.  Functions
and other static parts are not stored: they come from the template.  Python
numbers and strings are stored in the table and must agree with the template,
because a hyperparameter that changed in silence would change the result.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from shared.errors import RunError
from shared.storage.interrupts import interrupts_held_back

Table = dict[str, dict[str, Any]]


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _named_leaves(tree: PyTree) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        yield jax.tree_util.keystr(path), leaf


def table_of(tree: PyTree) -> Table:
    """Shape and dtype of every array leaf, and the value of every plain leaf."""
    table: Table = {}
    for name, leaf in _named_leaves(tree):
        if _is_array(leaf):
            table[name] = {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}
            if isinstance(leaf, jax.Array) and _is_key(leaf):
                table[name]["generator"] = str(jax.random.key_impl(leaf))
        elif isinstance(leaf, bool | int | float | str):
            table[name] = {"value": leaf}
    return table


def arrays_of(tree: PyTree) -> dict[str, np.ndarray]:
    """Every array leaf on the host; random keys as their raw words.

    Raises:
        TypeError: a leaf holds Python objects, which only pickle could store.
    """
    leaves = {name: leaf for name, leaf in _named_leaves(tree) if _is_array(leaf)}
    raw = {n: jax.random.key_data(leaf) if _is_key(leaf) else leaf for n, leaf in leaves.items()}
    arrays = {name: np.asarray(leaf) for name, leaf in jax.device_get(raw).items()}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"leaf {name} holds Python objects and cannot be stored")
    return arrays


def _words(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "absent"
    if "value" in entry:
        return f"the value {entry['value']!r}"
    return f"{entry['dtype']}{entry['shape']}"


def require_same(saved: Table, expected: Table, checkpoint: str) -> None:
    """Compare a stored table with that of a template.

    Raises:
        RunError: names the first leaf that is missing, extra or different.
    """
    for name in [*expected, *(name for name in saved if name not in expected)]:
        stored, wanted = _words(saved.get(name)), _words(expected.get(name))
        if stored != wanted:
            raise RunError(
                f"Leaf {name} is {stored} in checkpoint {checkpoint} but {wanted} in the "
                "algorithm to be restored; use the settings the run was started with."
            )


def _as_template(leaf: Any, array: np.ndarray, entry: dict[str, Any]) -> Any:
    if isinstance(leaf, np.generic):
        return array[()]
    if isinstance(leaf, np.ndarray):
        return array
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.array(array), impl=entry["generator"])
    return jnp.array(array)


def put_together(template: PyTree, arrays: dict[str, np.ndarray], table: Table) -> PyTree:
    """The template with its array leaves replaced, each of the template's own kind.

    JAX leaves arrive on the default device, strongly typed; NumPy leaves stay
    on the host.  An abstract template (`jax.ShapeDtypeStruct` leaves) gives
    JAX arrays.
    """

    def restored(path: Any, leaf: Any) -> Any:
        name = jax.tree_util.keystr(path)
        return _as_template(leaf, arrays[name], table[name]) if _is_array(leaf) else leaf

    return jax.tree_util.tree_map_with_path(restored, template)


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[Any]:
    """Orbax without its log (what goes wrong arrives as an exception anyway), and undisturbed."""
    import orbax.checkpoint  # a quarter of a second, so only where arrays are read or written
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        with interrupts_held_back():
            yield orbax.checkpoint
    finally:
        logging.set_verbosity(verbosity)


def write_arrays(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Store arrays by name with Orbax; empty ones, which it refuses, live in the table only."""
    filled = {name: array for name, array in arrays.items() if array.size}
    if filled:
        with _quiet_orbax() as orbax, orbax.PyTreeCheckpointer(use_ocdbt=True) as checkpointer:
            checkpointer.save(folder.absolute(), args=orbax.args.PyTreeSave(filled))


def read_arrays(folder: Path, table: Table) -> dict[str, np.ndarray]:
    """The arrays that `write_arrays` stored and `table` describes, bit for bit."""
    entries = {name: entry for name, entry in table.items() if "value" not in entry}
    empty = {n: np.zeros(e["shape"], e["dtype"]) for n, e in entries.items() if 0 in e["shape"]}
    filled = [name for name in entries if name not in empty]
    if not filled:
        return empty
    with _quiet_orbax() as orbax, orbax.PyTreeCheckpointer(use_ocdbt=True) as checkpointer:
        kinds = {name: orbax.RestoreArgs(restore_type=np.ndarray) for name in filled}
        arguments = orbax.args.PyTreeRestore(restore_args=kinds)
        return empty | checkpointer.restore(folder.absolute(), args=arguments)
