"""A release from a real web server on this machine: fetched, checked, loaded."""

import functools
import http.server
import json
import shutil
import threading

import numpy as np
import pytest
from exported import drawn_run, recorded
from tiny import tiny_plan

from shared import load_policy
from shared.errors import DataError, ExportError, RunError
from shared.export.release import portable, release_runs
from shared.loading.fetch_release import SHIPPED
from shared.storage.checksum import sha256_of


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Two runs, and the folder of their release."""
    folder = tmp_path_factory.mktemp("release")
    data = recorded(folder)
    runs = [drawn_run(tiny_plan(case), data, folder / case) for case in ("bc", "iql")]
    return runs, release_runs(runs, folder / "releases", "first", licence="CC0-1.0")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(released, monkeypatch, tmp_path):
    """The address of the releases; the cache is empty."""
    handler = functools.partial(Quiet, directory=released[1].parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("LATENT_POLICIES_OFFLINE", "0")
        monkeypatch.setenv("LATENT_POLICIES_DATA", str(tmp_path))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_released_policy_acts_as_its_run(released, server, monkeypatch, tmp_path):
    runs, folder = released
    observation = np.full(11, 0.1)
    expected = load_policy(runs[0]).act(observation)
    monkeypatch.setenv("LATENT_POLICIES_RELEASES", server)
    policy = load_policy("hopper-random-bc@first")
    np.testing.assert_allclose(policy.act(observation), expected, atol=1e-5)
    cached = tmp_path / "releases" / "first" / "hopper-random-bc.npz"
    assert cached.read_bytes() == (folder / cached.name).read_bytes()
    cached.write_bytes(b"damaged on the disk")  # is fetched again
    np.testing.assert_allclose(
        load_policy("hopper-random-bc@first").act(observation), expected, atol=1e-5
    )
    with pytest.raises(DataError, match="no policy 'cnf'; choose from hopper-random-bc, hopper-ra"):
        load_policy("cnf@first")
    with pytest.raises(DataError, match="second is out of reach .* name a copy with LATENT_POL"):
        load_policy("cnf@second")
    with pytest.raises(ExportError, match="holds one policy; leave out seed"):
        load_policy("hopper-random-bc@first", seed=0)


def test_a_changed_policy_is_refused(released, server, tmp_path):
    _, folder = released
    changed = tmp_path / "changed" / "first"
    changed.mkdir(parents=True)
    for path in folder.iterdir():
        content = path.read_bytes()
        (changed / path.name).write_bytes(content + b"x" if path.suffix == ".npz" else content)
    with pytest.raises(DataError, match="hopper-random-bc.npz is not what SHA256SUMS says; get"):
        load_policy("hopper-random-bc@first", releases=changed.parent)
    with pytest.raises(DataError, match="SHA256SUMS cannot be read .* LATENT_POLICIES_RELEASES"):
        load_policy("hopper-random-bc@first", releases=tmp_path)
    (changed / "SHA256SUMS").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="SHA256SUMS cannot be read .* LATENT_POLICIES_RELEASES"):
        load_policy("hopper-random-bc@first", releases=changed.parent)


def test_cards_say_where_a_policy_comes_from(released):
    runs, folder = released
    card = json.loads((folder / "hopper-random-iql.json").read_text())
    record = json.loads((runs[1] / "run.json").read_text())
    assert card["data"]["sha256"] == record["data"]["sha256"] and card["licence"] == "CC0-1.0"
    assert card["updates"] == record["phases"] and card["seed"] == 0
    assert card["commit"] == record["commit"]
    told = "cnf train --data /home/x/a.hdf5 --out '/home/x/my run' --set episodes=5"
    assert portable(told) == "cnf train --data a.hdf5 --set episodes=5"
    words = (folder / "hopper-random-iql.md").read_text()
    assert card["sha256"] in words and card["data"]["sha256"] in words
    assert "hopper-random-iql" in (folder / "README.md").read_text()
    listed = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in listed} == {p.name for p in folder.iterdir()} - {"SHA256SUMS"}
    assert all(sha256_of(folder / name) == digest for digest, name in listed)
    with pytest.raises(RunError, match="is not empty; choose another --name"):
        release_runs(runs, folder.parent, "first")
    with pytest.raises(ExportError, match="two of the runs have one name"):
        release_runs([runs[0], runs[0]], folder.parent, "second")


@pytest.mark.wheel
def test_policies_come_with_the_package(monkeypatch, tmp_path):
    """Each is what its list says, acts, and is refused once a byte has changed."""
    monkeypatch.delenv("LATENT_POLICIES_RELEASES", raising=False)
    folders = [path.parent for path in SHIPPED.glob("*/SHA256SUMS")]
    assert folders
    for folder in folders:
        for line in (folder / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ")
            assert sha256_of(folder / name) == digest, name
        cards = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        for card in cards:
            name = f"{card['file'].removesuffix('.npz')}@{folder.name}"
            policy = load_policy(name)
            command = policy.act(np.zeros(policy.record["inputs"][0]["shape"]))
            assert np.isfinite(command).all() and np.abs(command).max() <= 1, name
            assert card["source"] == "collected" and card["evaluation"] and card["licence"], name
            assert policy.record["data"]["sha256"] == card["data"]["sha256"], name
            assert "/" not in card["command"].replace("[", ""), name
        assert {card["file"] for card in cards} == {path.name for path in folder.glob("*.npz")}
        assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
    copy = shutil.copytree(folders[0], tmp_path / folders[0].name)
    content = bytearray((copy / cards[0]["file"]).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / cards[0]["file"]).write_bytes(content)
    name = cards[0]["file"].removesuffix(".npz")
    with pytest.raises(DataError, match="is not what SHA256SUMS says; get the release again"):
        load_policy(f"{name}@{copy.name}", releases=tmp_path)
    with pytest.raises(DataError, match="no release 'tenth' comes with the package .* does.; name"):
        load_policy(f"{name}@tenth")
