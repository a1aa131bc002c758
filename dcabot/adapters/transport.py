"""HTTP as the exchange door needs it: timeouts, proxies, one retry policy for queries, errors in one sentence.

alpaca-py's REST client has no timeout and sends even a POST again on 429 and 504: both are switched off or filled in
here, on its session, without touching its code. Source: alpaca.md 1.4.
"""

import http.client
import io
import json
import random
import re
import socket
import time
from collections.abc import Mapping
from copy import copy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from dcabot.adapters.budget import Budget
from dcabot.adapters.trust import certificate_sentence, certificates, is_loopback, untrusted
from dcabot.core.foreign import plain
from dcabot.core.snapshot import ExchangeDenied, ExchangeMisunderstood, ExchangeUnreachable

CONNECT_SECONDS = 3.0
READ_SECONDS = 15.0  # for the next byte
ANSWER_SECONDS = 30.0  # for all of them: each byte that drips in begins the other limit anew
IDLE_SECONDS = 6.0  # a little more than the daemon's beat, which renews the first (`open_connections`)
RENEWED_SECONDS = 0.9
POOL_SIZE = 32  # requests keeps 10 connections unless told otherwise; 20 assets may trigger at once

QUERY_ATTEMPTS = 3
QUERY_SECONDS = 20.0  # no attempt begins, and no wait lasts, beyond this
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
UNSAID_RESET_SECONDS = 2.0  # a 429 that does not say when it ends
PAUSE_SECONDS = 0.5  # doubling, with jitter

# What requests, urllib3 and the JSON parser raise on anything a network or a server can do.
# ValueError: broken JSON, and numbers of thousands of digits; RecursionError: JSON nested without end.
TROUBLE = (OSError, urllib3.exceptions.HTTPError, ValueError, RecursionError)
REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
SHOWN_MAX = 160  # characters of a foreign text that a message repeats
QUOTES = "\"')"


class _Line(io.RawIOBase):
    """What a socket brings within ANSWER_SECONDS. Raises TimeoutError."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._bytes = line.makefile("rb", buffering=0)
        self._ends_at = time.monotonic() + ANSWER_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no whole answer within {ANSWER_SECONDS:.0f} s")
        if left < READ_SECONDS:
            self._line.settimeout(left)
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        self._bytes.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """Headers and body, all of it in time."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Line(sock))


class _PlainConnection(urllib3.connection.HTTPConnection):
    """A connection that is not used again once it has idled: a NAT or a balancer forgets it without a word.

    What is sent on such a line is never answered, and to open another takes a fraction of a second.
    """

    response_class = _Answer
    used_at = 0.0

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self.used_at < IDLE_SECONDS and super().is_connected

    def connect(self) -> None:
        super().connect()
        self.used_at = time.monotonic()

    def getresponse(self) -> urllib3.response.HTTPResponse:  # type: ignore[override]
        answer = super().getresponse()
        self.used_at = time.monotonic()
        return answer


class _TLSConnection(_PlainConnection, urllib3.connection.HTTPSConnection):
    pass


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


POOLS = {"http": _PlainPool, "https": _TLSPool}


class _Adapter(HTTPAdapter):
    """Fills in the timeouts that alpaca-py leaves out, for the one host that a client speaks to."""

    _pool: urllib3.connectionpool.ConnectionPool | None = None

    def get_connection_with_tls_context(self, *given: Any, **named: Any) -> urllib3.connectionpool.ConnectionPool:
        """Found once: it takes a sixth of the time until a request is on the wire."""
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*given, **named)
        return self._pool

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: bool | str = True,
        cert: object = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        limits = (CONNECT_SECONDS, READ_SECONDS)
        return super().send(request, stream, limits, verify, cert, proxies)  # type: ignore[arg-type]


class _Session(requests.Session):
    """Prepares what all orders have in common once: for each of them anew, it takes longer than sending them."""

    def __init__(self) -> None:
        super().__init__()
        self._prepared: dict[str | bytes, requests.PreparedRequest] = {}

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        if request.method != "POST" or request.json is None:
            return super().prepare_request(request)
        if request.url not in self._prepared:
            self._prepared[request.url] = super().prepare_request(request)
        known = self._prepared[request.url]
        prepared = copy(known)
        prepared.body = json.dumps(request.json).encode()
        prepared.headers = known.headers.copy()
        prepared.headers["Content-Length"] = str(len(prepared.body))
        return prepared


def prepare(client: RESTClient, url: str, budget: Budget) -> None:
    """Make an alpaca-py client safe to use: no retries of its own, timeouts, a wide pool, and the account's limits."""
    client._retry = 0
    session = client._session = _Session()
    # Read the environment once: requests would do it, and look for ~/.netrc, on every request.
    session.proxies = {} if is_loopback(urlsplit(url).hostname or "") else get_environ_proxies(url)
    session.verify = certificates() or True
    session.trust_env = False
    adapter = _Adapter(pool_connections=1, pool_maxsize=POOL_SIZE)
    session.mount("http://", adapter)
    session.mount("https://", adapter)

    def read_answer(response: requests.Response, *_: object, **__: object) -> None:
        limit, remaining = (response.headers.get(f"X-Ratelimit-{name}", "") for name in ("Limit", "Remaining"))
        if limit.isdecimal() and remaining.isdecimal():
            budget.learn(int(limit[:9]), int(remaining[:9]))
        if response.status_code == 429:
            budget.rest(_reset_after(response))
        if 300 <= response.status_code < 400:
            # Not followed, and alpaca-py would take its empty body for an answer.
            raise requests.RequestException(f"HTTP {response.status_code}: sent elsewhere")

    session.hooks["response"].append(read_answer)


def query(
    client: RESTClient,
    budget: Budget,
    path: str,
    parameters: Mapping[str, str] | None = None,
    is_urgent: bool = False,
) -> object:
    """The JSON answer to a GET; the only requests that are ever sent twice, within bounded time.

    An urgent one may take the last request of the budget.
    Raises APIError for an answer that settles it (404 and the like), ExchangeUnreachable, ExchangeDenied.
    """
    end = time.monotonic() + QUERY_SECONDS
    for attempt in range(1, QUERY_ATTEMPTS + 1):
        if not budget.wait(max(0.0, end - time.monotonic()), is_urgent):
            raise ExchangeUnreachable("our own limit of requests a minute is used up")
        pause = PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1)
        try:
            return client.get(path, dict(parameters or {}))
        except APIError as error:
            status = error.status_code or 0
            if status == 401 or (status == 403 and message(error)):  # a 403 in HTML is some gateway's
                raise ExchangeDenied(f"the exchange does not accept the API keys: {sentence(error)}") from None
            if status not in RETRIED:
                raise
            problem, pause = sentence(error), max(pause, _retry_after(error))
        except TROUBLE as error:
            problem = sentence(error)
        if attempt == QUERY_ATTEMPTS or time.monotonic() + pause > end:
            break
        time.sleep(pause)
    raise ExchangeUnreachable(problem)


class Missing(ExchangeMisunderstood):
    """Alpaca itself said that it has no such thing."""


def ask(
    client: RESTClient,
    budget: Budget,
    path: str,
    parameters: Mapping[str, str] | None = None,
    is_urgent: bool = False,
) -> object:
    """`query`, with a name for whatever comes back that is no answer. Raises ExchangeError."""
    try:
        return query(client, budget, path, parameters, is_urgent)
    except APIError as error:
        if error.status_code == 404 and "not found" in message(error).lower():
            raise Missing(sentence(error)) from None
        raise ExchangeMisunderstood(f"{sentence(error)} (to {path})") from None


def message(error: APIError) -> str:
    """The `message` of Alpaca's error body; empty when the body is not Alpaca's. Its own property would raise."""
    try:
        body = json.loads(str(error))
    except (ValueError, RecursionError):
        return ""
    found = body.get("message") if isinstance(body, dict) else None
    return found if isinstance(found, str) else ""


def request_id(error: APIError) -> str:
    """Alpaca's name for the request, which its support asks for; empty if it gave none."""
    headers = {} if error.response is None else error.response.headers
    found = headers.get("X-Request-ID", "")
    return found if REQUEST_ID.fullmatch(found) else ""


def sentence(error: Exception) -> str:
    """What went wrong, in one short line."""
    return plain(_sentence(error))


def _sentence(error: Exception) -> str:
    if isinstance(error, APIError):
        text = message(error) or " ".join(str(error).split()) or "no reason given"
        return f"HTTP {error.status_code}: {text[:SHOWN_MAX]}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection to {_host(error)} within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, requests.ReadTimeout):
        return f"no answer from {_host(error)} within {READ_SECONDS:.0f} s"
    if (refusal := untrusted(error)) is not None:
        return certificate_sentence(_host(error) if isinstance(error, requests.RequestException) else "Alpaca", refusal)
    if isinstance(error, requests.exceptions.ProxyError):
        return _proxy_sentence(error)
    if isinstance(error, requests.ConnectionError) and never_connected(error):
        why = str(error).rstrip(QUOTES).rpartition(": ")[2].rpartition("] ")[2]  # without its number
        return f"no connection to {_host(error)}: {why[:SHOWN_MAX]}"
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return "the connection broke before the answer was complete"
    if isinstance(error, json.JSONDecodeError):
        return "the answer is not JSON"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:SHOWN_MAX]}"


def _host(error: requests.RequestException) -> str:
    return urlsplit(error.request.url or "").netloc if error.request is not None else "Alpaca"


def _proxy_sentence(error: requests.exceptions.ProxyError) -> str:
    """The proxy is in the environment of this process, which is where to look."""
    cause: Any = getattr(error.args[0] if error.args else None, "reason", None)
    inner = getattr(cause, "original_error", None)
    place = _proxy(error)
    if isinstance(inner, OSError) and "Tunnel connection failed" in str(inner):
        return f"{place} did not let us through: {str(inner).rpartition('failed: ')[2][:SHOWN_MAX]}"
    why = str(inner or cause or error).rstrip(QUOTES).rpartition(": ")[2].rpartition("] ")[2]
    return f"no connection to {place}: {why[:SHOWN_MAX]}"


def _proxy(error: requests.RequestException) -> str:
    """Its name and address, and not the password that its URL may hold."""
    url = get_environ_proxies(error.request.url or "") if error.request is not None else {}
    scheme = urlsplit(error.request.url or "").scheme if error.request is not None else ""
    parts = urlsplit(url.get(scheme) or url.get("all") or "")
    return f"the proxy {parts.hostname}:{parts.port or ''} ({scheme}_proxy)".replace(": (", " (")


def never_connected(error: Exception) -> bool:
    """True when no connection came about, so that nothing can have been sent."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError) or untrusted(error) is not None:
        return True
    cause = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else None
    return isinstance(getattr(cause, "reason", None), urllib3.exceptions.NewConnectionError)


def open_connections(client: RESTClient, url: str, count: int) -> int:
    """Connect up to `count` sockets that the next requests will find open; how many are. Sends no request.

    Those that would be too old before the next call are replaced.

    On a real line the first request would pay a TCP and a TLS handshake.
    """
    session = client._session
    if session.proxies:
        return 0  # a tunnel is made for one request
    request = session.prepare_request(requests.Request("GET", url))
    adapter = session.get_adapter(url)
    assert isinstance(adapter, HTTPAdapter)
    pool = adapter.get_connection_with_tls_context(request, session.verify)
    assert isinstance(pool, urllib3.HTTPConnectionPool)
    adapter.cert_verify(pool, url, session.verify, None)  # type: ignore[no-untyped-call]
    taken = []
    try:
        for _ in range(min(count, POOL_SIZE)):
            connection: Any = pool._get_conn(timeout=0)
            taken.append(connection)
            connection.timeout = CONNECT_SECONDS
            if not connection.is_connected or time.monotonic() - connection.used_at > RENEWED_SECONDS:
                connection.close()
                connection.connect()
        return len(taken)
    except (OSError, urllib3.exceptions.HTTPError):
        return len(taken) - 1
    finally:
        for connection in taken:
            pool._put_conn(connection)


def _reset_after(response: requests.Response) -> float:
    """Seconds until the limit of requests resets, as the answer says; a few when it does not."""
    reset, retry = (response.headers.get(name, "") for name in ("X-Ratelimit-Reset", "Retry-After"))
    if reset.isdecimal():
        return int(reset[:12]) - time.time()
    return int(retry[:9]) if retry.isdecimal() else UNSAID_RESET_SECONDS


def _retry_after(error: APIError) -> int:
    """Seconds the exchange asks us to wait; nothing when it does not say."""
    value = error.response.headers.get("Retry-After", "") if error.response is not None else ""
    return int(value[:9]) if value.isdecimal() else 0
