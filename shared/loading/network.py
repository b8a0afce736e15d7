"""Opens web addresses without ever hanging.

A machine without a network must notice it within seconds: names resolve and
connections open within `CONNECT_SECONDS`, and a stalled transfer ends after
`READ_SECONDS`.  Proxies named by the usual environment variables are used.
"""

import http.client
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request

CONNECT_SECONDS, READ_SECONDS = 3.0, 15.0


def open_address(address: str, headers: dict[str, str]):
    """The open response of a GET request; close it.

    Raises:
        urllib.error.URLError: (and its `HTTPError`) no answer, or not a good one.
    """
    _require_name(address)
    request = urllib.request.Request(address, headers={"User-Agent": "latent-policies", **headers})
    opener = urllib.request.build_opener(_HTTPHandler, _HTTPSHandler)
    try:
        return opener.open(request, timeout=CONNECT_SECONDS)
    except urllib.error.URLError:
        raise
    except OSError as error:  # the connection opened, but no answer came
        raise urllib.error.URLError(error) from error


def network_reason(error: BaseException) -> str:
    """A few words on why an address did not answer."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)


def _require_name(address: str) -> None:
    """Resolve the host's name in bounded time (the system's resolver may take a minute)."""
    parts = urllib.parse.urlsplit(address)
    proxied = parts.scheme in urllib.request.getproxies()
    if parts.hostname is None or (proxied and not urllib.request.proxy_bypass(parts.hostname)):
        return
    outcome: list[OSError | None] = []

    def resolve():
        try:
            socket.getaddrinfo(parts.hostname, parts.port)
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not outcome:
        raise urllib.error.URLError(TimeoutError("name resolution"))
    if outcome[0] is not None:
        raise urllib.error.URLError(outcome[0])


class _HTTPConnection(http.client.HTTPConnection):
    def connect(self):
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _HTTPSConnection(http.client.HTTPSConnection):
    def connect(self):
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _HTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, request):
        return self.do_open(_HTTPConnection, request)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, request):
        return self.do_open(_HTTPSConnection, request)
