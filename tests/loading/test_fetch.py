"""Downloads from a real server on this machine: resume, mirrors, wrong bytes, silence."""

import errno
import hashlib
import http.server
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from shared.data.catalog import lookup
from shared.errors import DataError
from shared.loading import fetch as fetching
from shared.loading.fetch import Unreachable, fetch
from shared.loading.places import official_path
from shared.storage.checksum import read_note


class Server(http.server.ThreadingHTTPServer):
    """Serves one file.  `script` holds what the next requests get, then "ok"."""

    daemon_threads = True

    def __init__(self, content: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.script, self.requests, self.tag = content, [], [], '"one"'
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        action = server.script.pop(0) if server.script else "ok"
        if isinstance(action, int):
            return self.send_error(action)
        start = 0
        same = self.headers.get("If-Range") == server.tag
        if wanted and same and action != "no ranges":
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        body = b"<html>sign in</html>" if action == "page" else server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            total = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if action == "break" else body)
        if action == "break":
            self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def served(write, arrays, monkeypatch):
    """A running server, its file's content, and the only address that is tried."""
    content = write(arrays, compression="gzip").read_bytes() + bytes(1 << 20)
    server = Server(content)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("LATENT_POLICIES_OFFLINE", "0")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetching, "addresses", lambda entry: (f"{server.address}/data.hdf5",))
    yield server
    server.shutdown()
    server.server_close()


ENTRY = replace(lookup("hopper-expert"), sha256=None)


def test_whole_file_with_progress_and_digest(served, tmp_path):
    seen = []
    path = fetch(ENTRY, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "official" / "gym_mujoco_v2" / "hopper_expert-v2.hdf5"
    assert path.read_bytes() == served.content
    assert read_note(path) == hashlib.sha256(served.content).hexdigest()
    assert seen[-1] == (len(served.content), len(served.content))
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, path.name + ".sha256"]
    fetch(ENTRY, tmp_path)
    assert len(served.requests) == 1  # the second time it is there


def test_broken_transfer_resumes_by_range(served, tmp_path):
    served.script = ["break", "break"]
    path = fetch(ENTRY, tmp_path)
    assert path.read_bytes() == served.content
    half = len(served.content) // 2
    assert served.requests[:2] == [None, f"bytes={half}-"] and len(served.requests) == 3


def test_a_later_call_continues_the_part(served, tmp_path):
    served.script = ["break", 503]
    with pytest.raises(Unreachable, match="HTTP 503"):
        fetch(ENTRY, tmp_path)
    part = official_path(ENTRY, tmp_path).with_name("hopper_expert-v2.hdf5.part")
    assert part.stat().st_size == len(served.content) // 2
    assert fetch(ENTRY, tmp_path).read_bytes() == served.content
    assert served.requests[-1] == f"bytes={len(served.content) // 2}-"


def test_changed_file_starts_over(served, tmp_path):
    served.script = ["break", 503]
    with pytest.raises(Unreachable):
        fetch(ENTRY, tmp_path)
    served.content, served.tag = served.content + b"new", '"two"'
    assert fetch(ENTRY, tmp_path).read_bytes() == served.content


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_strong_tag_nothing_is_joined(served, tmp_path, tag):
    served.tag, served.script = tag, ["break"]
    assert fetch(ENTRY, tmp_path).read_bytes() == served.content
    assert served.requests == [None, None]


def test_server_without_ranges_starts_over(served, tmp_path):
    served.script = ["break", "no ranges"]
    assert fetch(ENTRY, tmp_path).read_bytes() == served.content


def test_rest_that_is_gone_starts_over(served, tmp_path):
    served.script = ["break", 416]
    assert fetch(ENTRY, tmp_path).read_bytes() == served.content
    assert served.requests[-1] is None


def test_wrong_bytes_are_deleted_and_named(served, tmp_path):
    entry = replace(ENTRY, sha256="0" * 64)
    with pytest.raises(Unreachable, match="sent other bytes .SHA-256 .* not 000000000000"):
        fetch(entry, tmp_path)
    assert list(official_path(entry, tmp_path).parent.glob("*.part")) == []
    right = replace(ENTRY, sha256=hashlib.sha256(served.content).hexdigest())
    assert fetch(right, tmp_path).exists()


def test_web_page_is_not_data(served, tmp_path):
    served.script = ["page"]
    with pytest.raises(Unreachable, match="sent a file that is not an HDF5 file but a web page"):
        fetch(ENTRY, tmp_path)


def test_next_mirror_is_tried(served, tmp_path, monkeypatch):
    addresses = (f"{served.address}/a", f"{served.address}/b")
    monkeypatch.setattr(fetching, "addresses", lambda entry: addresses)
    served.script = [404]
    assert fetch(ENTRY, tmp_path).read_bytes() == served.content
    served.script = [404, 500]
    with pytest.raises(Unreachable, match="HTTP 404; 127.0.0.1: HTTP 500"):
        fetch(lookup("hopper-random"), tmp_path)


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_server_down_says_what_to_do(tmp_path, monkeypatch, served):
    address = f"http://127.0.0.1:{closed_port()}/x"
    monkeypatch.setattr(fetching, "addresses", lambda entry: (address,))
    started = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        fetch(ENTRY, tmp_path)
    assert time.monotonic() - started < 3
    sentence = str(caught.value)
    assert "refused" in sentence and "--data" in sentence and "\n" not in sentence
    assert str(official_path(ENTRY, tmp_path)) in sentence


def test_silent_server_does_not_hang(tmp_path, monkeypatch, served):
    monkeypatch.setattr("shared.loading.network.CONNECT_SECONDS", 0.3)
    monkeypatch.setattr("shared.loading.network.READ_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        monkeypatch.setattr(fetching, "addresses", lambda entry: (address,))
        started = time.monotonic()
        with pytest.raises(Unreachable, match="no answer in time"):
            fetch(ENTRY, tmp_path)
        assert time.monotonic() - started < 5


def test_slow_name_resolution_does_not_hang(tmp_path, monkeypatch, served):
    monkeypatch.setattr("shared.loading.network.CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(fetching, "addresses", lambda entry: ("http://slow.invalid/x",))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: time.sleep(3))
    started = time.monotonic()
    with pytest.raises(Unreachable, match="slow.invalid: no answer in time"):
        fetch(ENTRY, tmp_path)
    assert time.monotonic() - started < 2


def test_offline_never_connects(served, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENT_POLICIES_OFFLINE", "1")
    with pytest.raises(Unreachable, match="LATENT_POLICIES_OFFLINE is set"):
        fetch(ENTRY, tmp_path)
    assert served.requests == []


def test_full_disk_is_told(served, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(DataError, match="cannot be written .*no space") as caught:
        fetch(ENTRY, tmp_path)
    assert "--data-dir" in str(caught.value) and not isinstance(caught.value, Unreachable)
    assert errno.ENOSPC


def test_own_mirror_comes_first(monkeypatch):
    monkeypatch.setenv("LATENT_POLICIES_MIRROR", "http://mirror.example/d4rl/")
    found = fetching.addresses(lookup("hopper-medium"))
    assert found[0] == "http://mirror.example/d4rl/gym_mujoco_v2/hopper_medium-v2.hdf5"
    assert found[1].endswith("/offline_rl/gym_mujoco_v2/hopper_medium-v2.hdf5")
    assert found[2].endswith("/hopper_medium-v2.hdf5") and "gym_mujoco" not in found[2]
    assert len(fetching.addresses(lookup("pen-human"))) == 2


FETCH = """
import os, sys
from pathlib import Path
from shared.data.catalog import lookup
from shared.loading.fetch import fetch
entry, children = lookup("hopper-expert"), []
for _ in range(16):  # forked, because each import would take seconds
    if not (child := os.fork()):
        os._exit(fetch(entry, Path(sys.argv[1])).stat().st_size != int(sys.argv[2]))
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def test_processes_download_once(served, tmp_path, monkeypatch):
    """Sixteen processes want the file at once on a cold cache; it is asked for a single time."""
    monkeypatch.setenv("LATENT_POLICIES_MIRROR", served.address)
    size = str(len(served.content))
    command = [sys.executable, "-W", "ignore", "-c", FETCH, str(tmp_path), size]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == f"{[0] * 16}\n", done.stderr
    assert len(served.requests) == 1
