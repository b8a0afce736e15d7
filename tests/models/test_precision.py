"""What `matmul_precision` makes of a run's products, read from the program of each device.

A program for a GPU can be lowered without one; what a device then does with the precision that a
product names is written in JAX's documentation ("Matmul precision"): of float32 operands DEFAULT
may round to TF32, HIGHEST may not, and bfloat16 operands are what they are.
"""

import re
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow

from shared.models import products
from shared.models.networks import Critics
from shared.runs.plan import make_plan
from shared.training.settings import RunSettings

PRODUCT = re.compile(
    r"stablehlo\.(?:dot_general|convolution)\b.*?precision = \[(\w+), \w+\].*?"
    r": \(tensor<(?:\d+x)*(\w+)>, tensor<(?:\d+x)*(\w+)>\) -> tensor<(?:\d+x)*(\w+)>"
)
SIZES = (32, 32)
SETTINGS = typing.get_args(typing.get_type_hints(RunSettings)["matmul_precision"])


def found_products(text):
    """Precision, operands' types and result's type of every product of a program."""
    found = [
        match.groups()
        for line in text.splitlines()
        if "stablehlo.dot_general" in line or "stablehlo.convolution" in line
        for match in [PRODUCT.search(line)]
        if match is not None
    ]
    assert len(found) == text.count("stablehlo.dot_general") + text.count("stablehlo.convolution(")
    return found


def critics_program(precision, platform, seeds=2):
    """An update of critics for one device: gradients of seeds of an ensemble of networks."""
    keys = jax.random.split(jax.random.key(0), seeds)
    critics = jax.vmap(lambda key: Critics(5, 3, SIZES, key=key))(keys)
    s, a = jnp.ones((seeds, 12, 5)), jnp.ones((seeds, 12, 3))

    def gradient(critics, s, a):
        return jax.grad(lambda c: jnp.mean(jax.vmap(c)(s, a) ** 2))(critics)

    with jax.default_matmul_precision(precision):
        traced = jax.jit(jax.vmap(gradient)).trace(critics, s, a)
        return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.fixture(params=["cpu", "cuda"])
def platform(request, monkeypatch):
    """A device to lower for; how operands are laid out is asked while tracing."""
    monkeypatch.setattr(products, "on_cpu", lambda: request.param == "cpu")
    return request.param


def test_default_and_float32_say_so_on_every_device(platform):
    exact = found_products(critics_program("float32", platform))
    assert exact and set(exact) == {("HIGHEST", "f32", "f32", "f32")}
    plain = found_products(critics_program("default", platform))
    assert set(plain) == {("DEFAULT", "f32", "f32", "f32")} and len(plain) == len(exact)


def test_bfloat16_is_what_hidden_layers_multiply_on_every_device(platform):
    found = found_products(critics_program("bfloat16", platform))
    assert {x[3] for x in found} == {"f32"}  # sums
    rounded = [x for x in found if x[1:3] == ("bf16", "bf16")]
    kept = [x for x in found if x[1:3] == ("f32", "f32")]
    assert rounded and kept and len(rounded) + len(kept) == len(found)
    # Forwards, backwards and for the weight's gradient, of the layer between the hidden ones of
    # both critics; on a CPU of every seed on its own.
    assert len(rounded) == 3 * 2 * (2 if platform == "cpu" else 1)


def test_one_product_of_many_rounds_as_one_after_the_other(monkeypatch):
    """What a GPU is given computes the same numbers as what a CPU is given."""
    x = jax.random.normal(jax.random.key(0), (3, 7, 24))
    weights = jax.random.normal(jax.random.key(1), (3, 16, 24))

    def compute(x, weight):
        def loss(x, weight):
            y = jax.vmap(products.product, (0, None))(x, products.Weight.of(weight, half=True))
            return jnp.sum(jnp.sin(y)), y

        return jax.grad(loss, (0, 1), has_aux=True)(x, weight)

    alone = jax.vmap(compute)(x, weights)
    monkeypatch.setattr(products, "on_cpu", lambda: False)
    together = jax.vmap(compute)(x, weights)
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("family", "name"), [("cnf", "iql"), ("clap", "mopo")])
def test_a_whole_update_is_exact_on_a_gpu(family, name, hopper_random):
    """No product of an algorithm's own escapes the setting."""
    sizes = {"actor_hidden_sizes": [16], "critic_hidden_sizes": [16], "batch_size": 8}
    algorithm = make_plan(family, name, "hopper-random", overrides=sizes).build()
    dataset, key = hopper_random.to_device(), jax.random.key(0)
    state = jax.eval_shape(lambda: algorithm.init(hopper_random.spec, key=key))
    for phase in algorithm.phases():
        batch = jax.eval_shape(lambda phase=phase: phase.draw(dataset, key=key))
        more = {"step": 0} if phase.takes_step else {}
        with jax.default_matmul_precision("float32"):
            update = jax.jit(lambda state, batch, phase=phase, more=more: phase.update(
                state, batch, key=key, **more
            ))  # fmt: skip
            text = update.trace(state, batch).lower(lowering_platforms=("cuda",)).as_text()
        assert {x[0] for x in found_products(text)} == {"HIGHEST"}


def test_every_choice_is_one_that_jax_knows():
    assert SETTINGS == ("default", "bfloat16", "float32")
    for setting in SETTINGS:
        with jax.default_matmul_precision(setting):
            assert products.half_operands() == (setting == "bfloat16")


@pytest.mark.parametrize("name", ["cnf", "plas"])
def test_a_frozen_encoder_alone_may_be_rounded(name):
    """As many products as before, those of the critics' hidden layers in float32 as before."""
    operands, results = {}, {}
    for dtype in ("float32", "bfloat16"):
        algorithm, state, batch = slow.setup(name, frozen_dtype=dtype)
        update = jax.jit(lambda *given, of=algorithm: of.update(*given, key=jax.random.key(0)))
        traced = update.trace(state, batch)
        products = found_products(traced.lower().as_text())
        operands[dtype] = [found[1:3] for found in products]
        results[dtype] = {found[3] for found in products} | {
            str(x.dtype) for x in jax.tree.leaves(traced.out_info) if x.dtype.kind == "f"
        }
    halves = operands["bfloat16"].count(("bf16", "bf16"))
    assert ("bf16", "bf16") not in operands["float32"]
    assert 0 < halves < len(operands["bfloat16"]) == len(operands["float32"])
    assert set(operands["bfloat16"]) == {("bf16", "bf16"), ("f32", "f32")}
    assert results["bfloat16"] == {"f32", "float32"}
