"""Training of behaviour policies: a stop changes no bit, and the selection writes a full file."""

import json

import jax
import numpy as np
import pytest

from shared.behavior import policies
from shared.behavior.collector import Collector
from shared.behavior.sac import TanhGaussianActor
from shared.behavior.select import select, write_weights
from shared.behavior.simulator import Simulator
from shared.behavior.snapshots import load_snapshots, snapshot_due, take_snapshot
from shared.behavior.train import Settings, train_behavior
from shared.errors import RunError

TINY = Settings(
    environment_steps=480, simulators=2, chunk=80, batch_size=16, random_steps=160, capacity=400
)


def leaves(state):
    return [np.asarray(x) for x in jax.tree.leaves(state)]


def test_a_stop_changes_no_bit(tmp_path):
    whole = train_behavior("hopper", seed=3, out=tmp_path / "whole", settings=TINY)
    half = TINY._replace(environment_steps=240)
    train_behavior("hopper", seed=3, out=tmp_path / "parts", settings=half)
    parts = train_behavior("hopper", seed=3, out=tmp_path / "parts", settings=TINY)
    for a, b in zip(leaves(whole), leaves(parts), strict=True):
        assert np.array_equal(a, b)


def test_foreign_or_damaged_folders_are_refused(tmp_path):
    short = TINY._replace(environment_steps=80)
    train_behavior("hopper", seed=3, out=tmp_path, settings=short)
    with pytest.raises(RunError, match="another training"):
        train_behavior("hopper", seed=4, out=tmp_path, settings=short)
    state = tmp_path / "state.npz"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(RunError, match="delete it"):
        train_behavior("hopper", seed=3, out=tmp_path, settings=short)


def test_simulator_states_restore_exactly():
    one, two = Simulator("walker2d"), Simulator("walker2d")
    one.reset(np.random.SeedSequence(0))
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 6))
    for action in actions[:10]:
        one.step(action)
    two.set_state(one.get_state())
    assert two.elapsed == 10
    for action in actions[10:]:
        a, b = one.step(action), two.step(action)
        assert np.array_equal(a.observation, b.observation) and a.reward == b.reward


def test_collected_rows_hang_together():
    """What an action led to is the next observation, unless an episode began anew."""
    collector = Collector("hopper", 2, seed=0)
    rows = collector.collect(None, 400, np.random.default_rng(0))
    assert {x.dtype for x in rows[:3]} == {np.dtype(np.float32)} and rows.terminal.any()
    after, before = rows.next_observation[:-2], rows.observation[2:]
    same = (after == before).all(1)
    np.testing.assert_array_equal(same, ~rows.terminal[:-2])


def test_snapshots_are_dense_early():
    steps = range(800, 2_000_001, 800)
    due = [n for n in steps if snapshot_due(n - 800, n)]
    assert sum(n <= 100_000 for n in due) == 20
    assert sum(100_000 < n <= 1_000_000 for n in due) == 45
    assert sum(n > 1_000_000 for n in due) == 20


def test_selection_writes_a_complete_file(tmp_path, monkeypatch):
    for i in range(6):
        actor = TanhGaussianActor(11, 3, (8, 8), key=jax.random.key(i))
        take_snapshot(tmp_path, "hopper", actor.layers(), 800 * (i + 1), 0, {"q": 0.0})
    found = load_snapshots(tmp_path)
    assert [s.environment_steps for s in found] == [800 * (i + 1) for i in range(6)]
    chosen = select("hopper", found[:1] + found[1:])
    steps = [p.environment_steps for p in chosen.values()]
    assert steps == sorted(steps) and {"medium", "expert"} <= set(chosen)
    record = write_weights("hopper", tmp_path, tmp_path / "hopper.npz", command="x", seed=0)
    monkeypatch.setattr(policies, "WEIGHTS", tmp_path)
    for name in chosen:
        policy = policies.load_behavior("hopper", name)
        assert policy.returns == record["policies"][name]["returns"]
        for (w, b), (w2, b2) in zip(policy.layers, chosen[name].layers, strict=True):
            assert np.array_equal(w, w2) and np.array_equal(b, b2)
    assert json.loads(json.dumps(record)) == policies.load_record("hopper")
    with pytest.raises(RunError, match="too short"):
        select("hopper", found[:1])
