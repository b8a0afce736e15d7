"""Decoders that others made: one exported from here, one built by hand; what is no decoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import tiny_plan

from shared.errors import ConfigError
from shared.models.flow_matching import FlowMatching
from shared.models.foreign_decoder import ForeignDecoder
from shared.models.foreign_file import load, with_digest
from shared.models.networks import Normalizer
from shared.runs.start import train_plan

onnx = pytest.importorskip("onnx")
helper = onnx.helper
RNG = np.random.default_rng(0)
WEIGHTS = {"of_s": RNG.normal(size=(11, 3)), "of_w": RNG.normal(size=(2, 3))}
NORMALIZER = Normalizer(jnp.full(11, 0.1), jnp.full(11, 2.0))


def built(path, *, names=("observation", "noise"), rows="batch", bad=False, size=11, about=()):
    """tanh(s · A + w · B) of 2 noises, or its logarithm (NaN), by the library of ONNX alone."""
    shape = lambda n: [rows, n] if rows else [n]  # noqa: E731
    values = [(n, helper.make_tensor_value_info) for n in names]
    inputs = [
        make(n, onnx.TensorProto.FLOAT, shape(k))
        for (n, make), k in zip(values, (size, 2), strict=True)
    ]
    output = helper.make_tensor_value_info("action", onnx.TensorProto.FLOAT, shape(3))
    weights = [
        helper.make_tensor(key, onnx.TensorProto.FLOAT, x[:size].shape, x[:size].ravel())
        for key, x in WEIGHTS.items()
    ]
    nodes = [
        helper.make_node("MatMul", [names[0], "of_s"], ["left"]),
        helper.make_node("MatMul", [names[1], "of_w"], ["right"]),
        helper.make_node("Add", ["left", "right"], ["sum"]),
        helper.make_node("Log" if bad else "Tanh", ["sum"], ["action"]),
    ]
    graph = helper.make_graph(nodes, "policy", inputs, [output], weights)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    helper.set_model_props(model, dict(about))
    onnx.save(model, path)
    return path


def exported(path, batch="b"):
    """A flow-matching decoder of ours on raw observations; the function, and its file."""
    flow = FlowMatching(11, 3, hidden_sizes=(8,), flow_steps=2, key=jax.random.key(1))
    decode = jax.vmap(flow.decode)
    (size,) = jax.export.symbolic_shape(batch) if isinstance(batch, str) else (batch,)
    shapes = (jax.ShapeDtypeStruct((size, n), jnp.float32) for n in (11, 3))
    path.write_bytes(bytes(jax.export.export(jax.jit(decode))(*shapes).serialize()))
    return decode, path


def by_hand(observations, noises):
    return np.tanh(observations @ WEIGHTS["of_s"] + noises @ WEIGHTS["of_w"])


@pytest.mark.parametrize("rows", ["batch", 1, None])
@pytest.mark.parametrize("kind", ["onnx", "stablehlo"])
def test_a_decoder_answers_as_its_maker_says(tmp_path, kind, rows):
    """For rows, seeds of rows, and one conditioned on standardised observations."""
    if kind == "onnx":
        expect, path = by_hand, built(tmp_path / "policy.onnx", rows=rows)
    elif rows is None:
        pytest.skip("the exported one has an axis of rows")
    else:
        expect, path = exported(tmp_path / "policy.stablehlo", rows if rows == 1 else "b")
    decoder = ForeignDecoder(with_digest(path), NORMALIZER, observation_size=11, action_size=3)
    observations = RNG.normal(size=(2, 4, 11)).astype("f4")
    noises = RNG.normal(size=(2, 4, decoder.latent_size)).astype("f4")
    conditions = NORMALIZER(jnp.asarray(observations).reshape(8, 11)[0])
    decode = jax.vmap(jax.vmap(lambda s, w: decoder.decode(s, w)))
    one = jax.jit(lambda s, w: decoder.decode(s, w))(conditions, jnp.asarray(noises[0, 0]))
    seen = jax.vmap(jax.vmap(NORMALIZER))(jnp.asarray(observations))
    many = jax.jit(decode)(seen, jnp.asarray(noises))
    flat = observations.reshape(8, 11), noises.reshape(8, -1)
    expected = np.clip(expect(*map(jnp.asarray, flat) if kind != "onnx" else flat), -1, 1)
    np.testing.assert_allclose(np.asarray(many).reshape(8, 3), expected, atol=1e-5)
    np.testing.assert_allclose(one, expected[0], atol=1e-5)


def test_a_policy_is_trained_in_its_noise(tmp_path, hopper_random):
    """By the whole loop, and played; another file of the same name is refused."""
    path = built(tmp_path / "policy.onnx")
    frozen = {"decoder": with_digest(path), "decoder_steps": 0, "decoder_beside": False}
    plan = tiny_plan("dsrl", steps=4, noise_scale=0.5, **frozen)
    run = train_plan(plan, hopper_random, tmp_path / "run")
    rows = (run / "scores.csv").read_text().splitlines()
    assert len(rows) == 3 and "nan" not in (run / "metrics.csv").read_text()
    path.write_bytes(path.read_bytes() + b" ")
    load.cache_clear()
    with pytest.raises(ConfigError, match="is not the file that the run began with"):
        plan.build().remarks(hopper_random)


def test_answers_in_other_units_are_brought_to_those_of_the_policy(tmp_path):
    """By the range in the file's metadata, or by the one that the user gives."""
    declared = {"action_range": "[[-0.1, -0.5, -2], [0.1, 0.5, 2]]"}
    path = built(tmp_path / "policy.onnx", about=declared)
    sizes = {"observation_size": 11, "action_size": 3}
    observation, noise = RNG.normal(size=11).astype("f4") / 9, np.float32([0.1, -0.1])
    answer = by_hand(observation[None], noise[None])[0]
    for answers, half in ((None, [0.1, 0.5, 2]), ((-1.0, 1.0, -4.0, 4.0, -0.2, 0.2), [1, 4, 0.2])):
        decoder = ForeignDecoder(str(path), NORMALIZER, **sizes, answers=answers)
        found = decoder.decode(NORMALIZER(jnp.asarray(observation)), jnp.asarray(noise))
        np.testing.assert_allclose(found, np.clip(answer / half, -1, 1), atol=1e-5)


def test_units_that_do_not_fit_are_refused(tmp_path, hopper_random):
    frozen = {"decoder_steps": 0, "decoder_beside": False}
    for about, more, words in (
        ({"action_range": "[0, 4"}, {}, "its metadata are no JSON; write action_range as"),
        ({"action_range": "[0, 4]"}, {}, "its action_range is not .lows, highs.; mend it"),
        ({"action_range": "[[0], [0]]"}, {}, "lowest must be below its highest"),
        ({"action_range": "[[0, 0], [1, 1]]"}, {}, "its range is of 2 motors, but an action has 3"),
        (
            {"action_range": "[[0, 0, 0], [1, 1, 1]]"},
            {},
            "those of the data -1 to 1; declare the d",
        ),
        ({"manifest": '{"observation_offset": [1]}'}, {}, "takes observations in float64, far fro"),
        ({}, {"decoder_range": [0, 1, 2]}, "decoder_range has 3 numbers; write low, high for ev"),
    ):
        path = built(tmp_path / "policy.onnx", about=about)
        load.cache_clear()
        with pytest.raises(ConfigError, match=words):
            tiny_plan("dsrl", decoder=str(path), **frozen, **more).build().remarks(hopper_random)
    given = {"decoder": str(path), "decoder_range": [0, 1] * 3}
    assert tiny_plan("dsrl", **given, **frozen).build().remarks(hopper_random) == ()
    with pytest.raises(ConfigError, match="decoder_range is of a file; give --decoder FILE"):
        tiny_plan("dsrl", decoder_range=[0, 1])


FAULTS = {
    "its inputs are state, noise; a decoder": {"names": ("state", "noise")},
    "sees observations of 5 numbers, but those of the data have 11": {"size": 5},
    "takes an observation of shape .7, 11. and noise of .7, 2.": {"rows": 7},
    "answers .*nan.* to row 0 of the data; such a policy cannot be steered": {"bad": True},
}


@pytest.mark.parametrize("words", FAULTS)
def test_what_is_no_decoder_is_refused_in_one_sentence(tmp_path, hopper_random, words):
    path = built(tmp_path / "policy.onnx", **FAULTS[words])
    frozen = {"decoder": str(path), "decoder_steps": 0, "decoder_beside": False}
    with pytest.raises(ConfigError, match=words):
        tiny_plan("dsrl", **frozen).build().remarks(hopper_random)


def test_what_is_no_file_of_a_decoder(tmp_path):
    for name, content, words in (
        ("none.onnx", None, "cannot be read"),
        ("text.onnx", b"text", "ONNX Runtime cannot read it"),
        ("text.stablehlo", b"text", "is nothing that jax.export serialized"),
        ("policy.pt", b"text", "a decoder is a file .onnx or .stablehlo"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=words):
            load(str(tmp_path / name))
    with pytest.raises(ConfigError, match="decoder .* is frozen; set decoder_steps to 0"):
        tiny_plan("dsrl", decoder="policy.onnx")
