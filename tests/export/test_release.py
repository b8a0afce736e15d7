"""A release from a real web server on this machine: fetched, checked, loaded."""

import functools
import http.server
import json
import threading

import numpy as np
import pytest
from exported import drawn_run, recorded
from tiny import tiny_plan

from shared import load_policy
from shared.errors import DataError, ExportError, RunError
from shared.export.release import release_runs


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


def test_cards_say_where_a_policy_comes_from(released):
    runs, folder = released
    card = json.loads((folder / "hopper-random-iql.json").read_text())
    record = json.loads((runs[1] / "run.json").read_text())
    assert card["data"]["sha256"] == record["data"]["sha256"] and card["licence"] == "CC0-1.0"
    assert card["updates"] == record["phases"] and card["seed"] == 0
    words = (folder / "hopper-random-iql.md").read_text()
    assert card["sha256"] in words and card["data"]["sha256"] in words
    assert "hopper-random-iql" in (folder / "README.md").read_text()
    with pytest.raises(RunError, match="is not empty"):
        release_runs(runs, folder.parent, "first")
    with pytest.raises(ExportError, match="two of the runs have one name"):
        release_runs([runs[0], runs[0]], folder.parent, "second")
