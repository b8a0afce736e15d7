"""V-D4RL's folders from a real server on this machine: listings, resume, mirrors, lies."""

import hashlib
import http.server
import json
import re
import threading

import numpy as np
import pytest
from click.testing import CliRunner

from shared.cli.data import data_group
from shared.data.catalog import lookup
from shared.data.vd4rl.reader import read_vd4rl
from shared.loading import fetch_folder as fetching
from shared.loading.fetch import Unreachable, fetch
from shared.loading.listing import Hub

FOLDER = "vd4rl/main/walker_walk/medium_expert/64px"
ENTRY = lookup("walker_walk-medium_expert")


class Server(http.server.ThreadingHTTPServer):
    """A plain mirror and a Hugging Face at once.  `script`: file name -> what its requests get."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.script, self.requests = files, {}, []
        self.sums, self.with_digests, self.page = True, True, 2
        self.address = f"http://127.0.0.1:{self.server_port}"

    def tree(self, path, cursor):
        """A page of the listing as Hugging Face sends it, with a note among the episodes."""
        entries = [{"type": "file", "path": f"{path}/README.md", "size": 3, "oid": "0" * 40}]
        for name, content in self.files.items():
            lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
            entry = {"type": "file", "path": f"{path}/{name}", "size": len(content), "oid": "1"}
            entries.append(entry | ({"lfs": lfs} if self.with_digests else {}))
        return entries[cursor : cursor + self.page], cursor + self.page < len(entries)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, (path, _, query) = self.server, self.path.partition("?")
        name = path.rpartition("/")[2]
        if path == f"/api/datasets/conglu/vd4rl/tree/main/{FOLDER}":
            cursor = int(query.partition("=")[2] or 0)
            entries, more = server.tree(FOLDER, cursor)
            following = f"<{server.address}{path}?cursor={cursor + server.page}>"
            link = {"Link": f'{following}; rel="next"'} if more else {}
            return self.answer(json.dumps(entries).encode(), link)
        if name == "SHA256SUMS" and server.sums:
            lines = [f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in server.files.items()]
            return self.answer("".join(lines).encode())
        resolved = path == f"/datasets/conglu/vd4rl/resolve/main/{FOLDER}/{name}"
        if name not in server.files or not (resolved or path == f"/{FOLDER}/{name}"):
            return self.send_error(404)
        server.requests.append((name, self.headers.get("Range")))
        queue = server.script.get(name, [])
        action, content = queue.pop(0) if queue else "ok", server.files[name]
        if isinstance(action, int):
            return self.send_error(action)
        if action == "wrong":
            return self.answer(content[::-1])
        start = int(re.sub(r"\D", "", self.headers.get("Range") or "0"))
        headers = {"ETag": f'"{name}"'}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(content[start:], headers, 206 if start else 200, action == "break")

    def answer(self, body, headers=None, status=200, broken=False):
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if broken else body)
        self.close_connection = broken

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Three real episodes, served; no other server is known."""
    for seed in range(3):
        generator, first = np.random.default_rng(seed), np.arange(9) == 0
        np.savez(
            tmp_path / f"{seed}-9.npz",
            image=generator.integers(0, 255, (9, 4, 4, 3), np.uint8),
            action=np.where(first[:, None], 0, generator.uniform(-1, 1, (9, 6))),
            reward=generator.uniform(size=9),
            discount=np.ones(9),
            is_first=first,
        )
    served = Server({p.name: p.read_bytes() for p in sorted(tmp_path.glob("*.npz"))})
    threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("LATENT_POLICIES_OFFLINE", "0")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetching, "HUB", Hub(served.address, "conglu/vd4rl"))
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.01)
    yield served
    served.shutdown()
    served.server_close()


def test_a_listed_folder_becomes_a_data_set(server, tmp_path, monkeypatch):
    """Page by page from the public listing, by the command, into its place."""
    monkeypatch.setenv("COLUMNS", "300")
    cache = tmp_path / "cache"
    command = ["fetch", "walker_walk-medium_expert", "--data-dir", str(cache)]
    result = CliRunner().invoke(data_group, command)
    assert result.exit_code == 0, result.output + repr(result.exception)
    folder = cache / "official" / FOLDER
    assert str(folder) in result.output
    assert {p.name for p in folder.iterdir()} == {*server.files, "SHA256SUMS"}
    assert all((folder / n).read_bytes() == c for n, c in server.files.items())
    assert read_vd4rl(folder, name=ENTRY.name).frames.episode_lengths.tolist() == [8, 8, 8]
    assert [p.name for p in folder.parent.iterdir()] == ["64px"]
    fetch(ENTRY, cache)
    assert len(server.requests) == 3  # the second time it is there


def test_own_mirror_comes_first_and_a_fetched_folder_is_one(server, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENT_POLICIES_MIRROR", f"{server.address}/")
    monkeypatch.setattr(fetching, "HUB", Hub("http://127.0.0.1:9", "conglu/vd4rl"))
    seen = []
    folder = fetch(ENTRY, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (sum(map(len, server.files.values())), None)
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(server.files[name]).hexdigest() == digest


def test_broken_transfers_and_refusals_are_retried_file_by_file(server, tmp_path):
    server.script = {"0-9.npz": ["break"], "1-9.npz": [503, 503], "2-9.npz": ["wrong"]}
    seen = []
    folder = fetch(ENTRY, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert all((folder / n).read_bytes() == c for n, c in server.files.items())
    half = len(server.files["0-9.npz"]) // 2
    names = [name for name, _ in server.requests]
    assert ("0-9.npz", f"bytes={half}-") in server.requests
    assert [names.count(f"{i}-9.npz") for i in range(3)] == [2, 3, 2]
    total = sum(map(len, server.files.values()))
    assert seen[-1] == (total, total)


def test_a_later_call_fetches_what_is_missing(server, tmp_path):
    server.script = {"1-9.npz": ["break", 404]}
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1: 1-9\.npz HTTP 404.*which resumes"):
        fetch(ENTRY, tmp_path)
    folder = tmp_path / "official" / FOLDER
    part = folder.with_name("64px.part")
    assert not folder.exists() and (part / "0-9.npz").exists()
    server.requests.clear()
    del server.files["0-9.npz"]  # no longer published: it must not stay in the set
    assert fetch(ENTRY, tmp_path) == folder and not part.exists()
    half = len(server.files["1-9.npz"]) // 2
    assert server.requests[0] == ("1-9.npz", f"bytes={half}-")
    assert {p.name for p in folder.iterdir()} == {*server.files, "SHA256SUMS"}


def test_without_digests_sizes_are_compared(server, tmp_path):
    server.with_digests = False
    server.script = {"0-9.npz": ["wrong"]}  # of the right size: nothing tells them apart
    folder = fetch(ENTRY, tmp_path)
    assert (folder / "0-9.npz").read_bytes() == server.files["0-9.npz"][::-1]
    assert (folder / "1-9.npz").read_bytes() == server.files["1-9.npz"]


def test_wrong_bytes_end_it(server, tmp_path):
    server.script = {"0-9.npz": ["wrong"] * 3}
    with pytest.raises(Unreachable, match=r"0-9\.npz has other bytes than it should") as caught:
        fetch(ENTRY, tmp_path)
    assert "\n" not in str(caught.value) and "--data" in str(caught.value)


@pytest.mark.parametrize("name", ["../1-9.npz", "a/b.npz", ".hidden.npz", "a b.npz", "x\x1b.npz"])
def test_names_that_lead_elsewhere_are_refused(server, tmp_path, name):
    server.files[name] = b"x"
    with pytest.raises(Unreachable, match="which is no episode's name"):
        fetch(ENTRY, tmp_path / "cache")
    assert not server.requests


def test_listings_that_are_none(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "HUB", Hub(server.address, "other/set"))
    monkeypatch.setenv("LATENT_POLICIES_MIRROR", server.address)
    server.sums = False
    with pytest.raises(Unreachable, match="HTTP 404; 127.0.0.1: HTTP 404"):
        fetch(ENTRY, tmp_path)
    server.sums, files = True, dict(server.files)
    server.files.clear()
    with pytest.raises(Unreachable, match="listed 0 files"):
        fetch(ENTRY, tmp_path)
    server.files.update(files, **{"0.hdf5": b"x"})
    with pytest.raises(Unreachable, match="listed two kinds of files"):
        fetch(ENTRY, tmp_path)
    assert not (tmp_path / "official" / FOLDER).with_name("64px.part").exists()


def test_offline_and_down(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "HUB", Hub("http://127.0.0.1:9", "conglu/vd4rl"))
    with pytest.raises(Unreachable, match="refused"):
        fetch(ENTRY, tmp_path)
    monkeypatch.setenv("LATENT_POLICIES_OFFLINE", "1")
    with pytest.raises(Unreachable, match="LATENT_POLICIES_OFFLINE is set.*and put it there"):
        fetch(ENTRY, tmp_path)
    assert not server.requests
