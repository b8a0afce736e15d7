"""What an update holds besides its state and data: an estimate from its traced program.

The program is read once, in order.  What a compiler must put into memory (products, gathers,
reductions, the results of loops) is a buffer from where it is made to where anything that is made
of it is used last; the peak is the most that is alive at a time.  What it computes on the way
(sums, activations, reshapes) costs nothing, and is taken to be computed again where it is used; but
where it joins several buffers into less than they are, it is a buffer itself.  Loops count with the
peak of their body, branches with that of the largest.

XLA's own figure for a compiled program is `compiled.memory_analysis().temp_size_in_bytes`; it knows
the order of the operations better, and costs the compilation.
"""

from typing import Any, NamedTuple

import jax
from jax.extend import core

_INLINED = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call")
_INLINED += ("checkpoint", "remat", "remat2", "custom_jvp_call_jaxpr", "custom_vjp_call_jaxpr")
_PRODUCTS = (
    "dot_general",
    "conv_general_dilated",
    "product_of_rows",
    "product_of_change",
    "sum_of_outer",
)
_HELD = ("gather", "dynamic_slice", "concatenate", "sort", "cumsum", "cumprod")
_SAME = ("reshape", "squeeze", "expand_dims", "transpose", "copy", "optimization_barrier")
_LOOPS = ("scan", "while")
_REDUCING = ("reduce", "arg", "scatter", "dynamic_update", "threefry", "random")


class Program:
    """The buffers of a program, as it is read."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []  # (operation, bytes) by buffer
        self.last: list[int] = []
        self.inside: dict[int, int] = {}  # operation -> peak of its body
        self.time = 0

    def buffer(self, size: int) -> frozenset[int]:
        """A new one, made now."""
        self.made.append((self.time, size))
        self.last.append(self.time)
        return frozenset({len(self.made) - 1})

    def size(self, buffers: frozenset[int]) -> int:
        """Of several together."""
        return sum(self.made[i][1] for i in buffers)

    def use(self, buffers: frozenset[int], until: int | None = None) -> None:
        """They are read now."""
        for i in buffers:
            self.last[i] = max(self.last[i], self.time if until is None else until)

    def peak(self) -> int:
        """Most bytes that are alive at a time."""
        change = [0] * (self.time + 2)
        for (begin, size), end in zip(self.made, self.last, strict=True):
            change[begin] += size
            change[end + 1] -= size
        alive, most = 0, 0
        for time, difference in enumerate(change):
            alive += difference
            most = max(most, alive + self.inside.get(time, 0))
        return most


def peak_bytes(function, *arguments: Any) -> int:
    """Of `function(*arguments)`, whose arguments may be shapes alone; they do not count."""
    traced = jax.make_jaxpr(function)(*arguments)
    return _peak(traced.jaxpr)


class Made(NamedTuple):
    """What a value is made of; is it in memory itself?"""

    buffers: frozenset[int]
    held: bool


def _peak(jaxpr) -> int:
    program = Program()
    results = _read(program, jaxpr, [Made(frozenset(), True)] * len(jaxpr.invars))
    program.time += 1
    for made in results:
        program.use(made.buffers)
    return program.peak()


def _read(program: Program, jaxpr, inputs: list[Made]) -> list[Made]:
    """What a program's results are made of."""
    made = dict(zip(jaxpr.invars, inputs, strict=True))
    made |= dict.fromkeys(jaxpr.constvars, Made(frozenset(), True))

    def of(variable) -> Made:
        return Made(frozenset(), True) if isinstance(variable, core.Literal) else made[variable]

    for equation in jaxpr.eqns:
        program.time += 1
        name, inner = equation.primitive.name, _body(equation)
        for variable in equation.invars:
            program.use(of(variable).buffers)
            if name in _PRODUCTS and not of(variable).held:  # a product reads from memory
                made[variable] = Made(program.buffer(_bytes(variable.aval)), True)
        sources = [of(x) for x in equation.invars]
        if name in _INLINED and inner is not None:
            results = _read(program, inner, sources[len(sources) - len(inner.invars) :])
        elif name in _SAME:
            results = sources[:1]
        else:
            joined = frozenset().union(*(x.buffers for x in sources))
            results = _results(program, equation, joined)
        made |= dict(zip(equation.outvars, results, strict=True))
    return [of(x) for x in jaxpr.outvars]


def _results(program: Program, equation, sources: frozenset[int]) -> list[Made]:
    """What one operation's results are made of."""
    name = equation.primitive.name
    bodies = [x for x in jax.tree.leaves([*equation.params.values()], is_leaf=_is_program)]
    bodies = [_opened(x) for x in bodies if _is_program(x)]
    if bodies:
        program.inside[program.time] = max(map(_peak, bodies))
    found = []
    for variable in equation.outvars:
        size = _bytes(variable.aval)
        held = bool(bodies) or name in _PRODUCTS + _HELD + _LOOPS or name.startswith(_REDUCING)
        joins = len(sources) > 1 and size < program.size(sources)
        held = held or joins
        found.append(Made(program.buffer(size) if held else sources, held))
    return found


def _is_program(x: Any) -> bool:
    return isinstance(x, core.Jaxpr | core.ClosedJaxpr)


def _opened(x):
    return x.jaxpr if isinstance(x, core.ClosedJaxpr) else x


def _body(equation):
    """The program that an operation is nothing but a name for."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if key in equation.params:
            return _opened(equation.params[key])
    return None


def _bytes(aval) -> int:
    if not hasattr(aval, "shape") or jax.dtypes.issubdtype(aval.dtype, jax.dtypes.extended):
        return 0
    return aval.size * aval.dtype.itemsize
