"""What a policy file computes: observation and memory in, command and memory out.

    action, next_memory... = policy(observation, [reward], [noise...], memory...)

Observations and actions are those of the robot: what was subtracted of the data's observations
and the range of its commands are undone inside.  `reward` is that of the last command, which
policies conditioned on a return need.  `noise` is the latent of a `decoder`; a policy that samples
has `noise0` and so on.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from shared.algorithm import AbstractAlgorithm
from shared.environments.units import Units
from shared.errors import ExportError
from shared.export.graph import Graph, Op
from shared.export.inline import graph_of

PARTS = ("policy", "decoder")
NEXT = "next_"
"""Before the name of a part of the memory: what it is after an action."""


class PolicyProgram(NamedTuple):
    """A policy, or the decoder of its latent actions, as a graph.

    Attributes:
        graph: inputs and outputs as above.
        memory: name of an input -> its value at the start of an episode.
    """

    graph: Graph
    memory: dict[str, np.ndarray]


def policy_program(
    algorithm: AbstractAlgorithm,
    state: Any,
    observation: jax.ShapeDtypeStruct,
    units: Units,
    *,
    part: str = "policy",
    sampled: bool = False,
) -> PolicyProgram:
    """The program of one seed's policy.

    Arguments:
        algorithm: whose policy it is.
        state: of one seed.
        observation: shape and dtype of what it sees.
        units: of the robot.
        part: `policy`, or `decoder`: the action of a latent that somebody else chooses.
        sampled: draw actions; otherwise the policy's mode.

    Raises:
        ExportError: there is no such part, or no file can hold it.
    """
    size = algorithm.latent_size(state)
    if part == "decoder" and size is None:
        raise ExportError("it has no latent action space; export its policy without --part")
    told = type(algorithm).rewarded is not AbstractAlgorithm.rewarded
    initial, structure = _memory(algorithm, state, told)
    inputs = {"observation": observation}
    if told:
        inputs["reward"] = jax.ShapeDtypeStruct((), jnp.float32)
    if part == "decoder":
        inputs["noise"] = jax.ShapeDtypeStruct((size,), jnp.float32)
    elif sampled:
        inputs["key"] = jax.eval_shape(lambda: jax.random.key(0))
    inputs |= {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in initial.items()}

    def program(*arrays):
        given = dict(zip(inputs, arrays, strict=True))
        memory = jax.tree.unflatten(structure, [given[name] for name in initial])
        if told:
            memory = _rewarded(algorithm, memory, given["reward"])
        carried = memory[0] if told else memory
        if part == "decoder":
            action, after = algorithm.decode(state, carried, given["observation"], given["noise"])
        else:
            seen = given["observation"]
            action, after = algorithm.act(state, carried, seen, key=given.get("key"))
        after = (after, jnp.ones((), bool)) if told else after
        return (_command(units, action), *jax.tree.leaves(after))

    graph = graph_of(program, inputs, ("action", *(NEXT + name for name in initial)))
    _require_numbers(graph)
    if units.observation_offset is not None:
        graph = _without_offset(graph, units.observation_offset)
    return PolicyProgram(graph, initial)


def _require_numbers(graph: Graph) -> None:
    """Refuse weights that diverged; a constant of NaN alone is what nobody chooses."""
    for x in graph.constants.values():
        wrong = np.isnan(x) if x.dtype.kind == "f" else np.zeros(1, bool)
        if wrong.any() and not wrong.all():
            raise ExportError("its weights hold NaN; export a checkpoint from before it diverged")


def _memory(algorithm, state, told: bool) -> tuple[dict[str, np.ndarray], Any]:
    """The memory at an episode's start by name; and whether the episode has begun."""
    memory = jax.jit(lambda: algorithm.initial_memory(state))()
    memory = (memory, jnp.zeros((), bool)) if told else memory
    leaves, structure = jax.tree_util.tree_flatten_with_path(memory)
    words = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    names = [f"memory.{word}" for word in words]
    return {name: np.asarray(x) for name, (_, x) in zip(names, leaves, strict=True)}, structure


def _rewarded(algorithm, memory, reward):
    """The memory once the last command has earned its reward; at first there was none."""
    carried, begun = memory
    after = algorithm.rewarded(carried, reward)
    return jax.tree.map(lambda old, new: jnp.where(begun, new, old), carried, after), begun


def _command(units: Units, action):
    """What an action in [-1, 1] commands, as of `Units`, in float32."""
    if units.action_range is None:
        return action
    low, high = units.action_range
    center, half = (np.float64(high) + low) / 2, (np.float64(high) - low) / 2
    return jnp.clip(np.float32(center) + action * np.float32(half), low, high)


def _without_offset(graph: Graph, offset: np.ndarray) -> Graph:
    """The same with float64 observations, from which `offset` is subtracted first.

    A float32 number cannot tell such observations apart: that is why the data were shifted.
    """
    seen, shapes = graph.inputs["observation"], dict(graph.shapes)
    raw, shift, near = range(len(shapes), len(shapes) + 3)
    wide = jax.ShapeDtypeStruct(offset.shape, np.float64)
    shapes |= {raw: wide, shift: wide, near: wide}
    convert = {"new_dtype": np.dtype(np.float32), "weak_type": False, "sharding": None}
    ops = [
        Op(jax.lax.sub_p, {}, (raw, shift), (near,)),
        Op(jax.lax.convert_element_type_p, convert, (near,), (seen,)),
    ]
    return graph._replace(
        inputs=graph.inputs | {"observation": raw},
        constants=graph.constants | {shift: np.asarray(offset, np.float64)},
        ops=[*ops, *graph.ops],
        shapes=shapes,
    )
