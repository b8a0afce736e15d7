"""Seeds and batches on eight devices, and seeds one after another, train what one device does."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from tiny import tiny_plan

from shared.errors import ConfigError
from shared.training import devices, program

SCRIPT = """
import sys
import jax
import jax.numpy as jnp
import numpy as np
from shared.datasets.rows import make_dataset
from shared.training import devices, evaluation, program
from shared.types import Spec, Transition
sys.path.insert(0, {tests!r})
from tiny import tiny_plan

generator, rows = np.random.default_rng(0), 256
draw = lambda *shape: generator.normal(size=shape).astype(np.float32)
seen, then = draw(rows, 11), draw(rows, 11)
action = np.tanh(draw(rows, 3))
data = make_dataset(
    Transition(seen, action, draw(rows), np.zeros(rows, bool), then), np.arange(rows) // 64
)
spec = Spec((11,), 3, seen.mean(0), seen.std(0), np.float32([0, 1]))
algorithm, keys = tiny_plan("iql", seeds=(0, 5)).build(), program.seed_keys((0, 5))
found = []
for count in (1, 8):
    mesh = devices.mesh_of(count, 2)
    state = devices.by_seed(program.init_state(algorithm, spec, (0, 5)), mesh)
    shown = devices.everywhere(data, mesh), devices.by_seed(keys, mesh)
    state, metrics = program.run_updates(algorithm, 0, 4, state, *shown, 0, 4, mesh=mesh)
    leaves = jax.tree.leaves((state, metrics))
    spread = max(len(x.devices()) for x in leaves)
    assert spread == count, (spread, count)
    found.append([np.asarray(x) for x in leaves])
assert mesh.shape == {{"seeds": 2, "batch": 4}}
for one, many in zip(*found, strict=True):
    np.testing.assert_allclose(one, many, rtol=1e-5, atol=1e-5)
print("the same on", len(jax.devices()))

# As beside a GPU: policies act on a device of their own, in the evaluation as in what it compiles.
play, rows = evaluation.play, []
for device in (None, jax.devices()[7]):
    def watched(algorithm, state, *rest, **more):
        places = {{x.devices().pop() for x in jax.tree.leaves(state)}} | jnp.zeros(1).devices()
        assert device is None or places == {{device}}, places
        return play(algorithm, state, *rest, **more)
    evaluation.acting_device, evaluation.play = lambda: device, watched
    state = program.init_state(algorithm, spec, (0, 5))
    rows.append(evaluation.evaluate(algorithm, state, "hopper", seeds=(0, 5), step=0, episodes=1))
assert rows[0] == rows[1] and len(rows[0]) == 4
print("acts the same")
"""


def test_eight_devices_train_what_one_does():
    """In a process of its own, whose CPU poses as eight."""
    tests = os.path.dirname(os.path.dirname(__file__))
    flags = os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(tests=tests)],
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the same on 8" in done.stdout and "acts the same" in done.stdout


def test_more_devices_than_there_are():
    with pytest.raises(ConfigError, match="devices is 9, but this machine has 1"):
        devices.mesh_of(9, 2)


def test_seeds_in_turn_are_seeds_side_by_side(hopper_random):
    """All three at once, one by one, and two and one."""
    seeds = (0, 5, 7)
    algorithm, keys = tiny_plan("bc", seeds=seeds).build(), program.seed_keys(seeds)
    data, found = hopper_random.to_device(), []
    for together in (None, 1, 2):
        state = program.init_state(algorithm, hopper_random.spec, seeds)
        call = algorithm, 0, 4, state, data, keys, 0, 4
        found.append(jax.tree.leaves(program.run_updates(*call, together=together)))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
