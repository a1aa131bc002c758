"""One websocket's life: its logins, its losses, its pauses, and what is said about them. Used by `streams`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple, Protocol

from alpaca.common.utils import reconnect_delay
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.legacy.client import WebSocketClientProtocol

from dcabot.adapters.trust import certificate_sentence, context, untrusted

log = logging.getLogger(__name__)
# websockets prints every frame at DEBUG, the login with its keys too.
FRAMES_LOG = logging.getLogger(f"{__name__}.frames")
FRAMES_LOG.setLevel(logging.WARNING)

LOGIN_SECONDS = 15.0  # alpaca-py waits for the answer to its login for ever
PING_SECONDS, PONG_SECONDS = 10, 60  # a peer that is gone without a word is given up after both
CONFIRM_SECONDS = 5.0  # a subscription that is never confirmed is believed after this
RECYCLE_SECONDS = 600.0
STEADY_SECONDS = 20.0  # a connection that lived this long ends a row of failures
PAUSE_MIN, PAUSE_MAX = 1.0, 30.0  # a dead session may keep its slot for 90 s (alpaca.md 5.8)
CANCEL_SECONDS, CANCEL_ATTEMPTS = 0.05, 8
GOODBYE_SECONDS = 0.4  # for the closing handshake when we stop
REPEAT_SECONDS = 60.0  # the same complaint about a message is said once in this time

# What waiting does not mend: data stream's error codes (alpaca.md 4), and words of the logins' refusals.
FATAL_CODES = frozenset({402, 405, 409, 411})
FATAL_WORDS = ("auth failed", "failed to authenticate", "insufficient subscription", "insufficient scope")


class Feed(Enum):
    QUOTES = "market data"
    ORDERS = "trade updates"


class Health(NamedTuple):
    """How one stream is. Times are monotonic seconds; `connected_since` is None while it is down.

    `error` is the last trouble; `fatal` is one that waiting will not mend, until it is mended.
    `tried_at` is when the last attempt to connect ended, well or not.
    """

    connected_since: float | None
    heard_at: float | None
    error: str
    fatal: str
    tried_at: float


class SdkStream(Protocol):
    """What the supervisor needs of alpaca-py's streams."""

    logger_name: str
    _ws: Any

    async def _run_forever(self) -> None: ...
    async def stop_ws(self) -> None: ...


class Link:
    """The connection of one feed, one socket after the other."""

    stream: SdkStream

    def __init__(self, feed: Feed, on_connected: Callable[[Feed], None], monotonic: Callable[[], float]) -> None:
        self.feed = feed
        self.wanted = asyncio.Event()
        self.sdk_log = SdkLog(self)
        self._on_connected = on_connected
        self._monotonic = monotonic
        self._task: asyncio.Task[None] | None = None
        self._protocol: WebSocketClientProtocol | None = None
        self._confirm_later: asyncio.TimerHandle | None = None
        self._logged_in_at: float | None = None
        self._connected_since: float | None = None
        self._heard_at: float | None = None
        self._tried_at = monotonic()
        self._down_since: float | None = None
        self._failures = 0
        self._planned = False  # the next loss is of our own making
        self._level = logging.INFO  # at which it is said that we are back
        self._error = self._fatal = self._said = self._refusal = ""
        self._complaint, self._complained_at = "", 0.0

    def health(self) -> Health:
        times = self._connected_since, self._heard_at
        return Health(*times, self._error, self._fatal, self._tried_at)

    def age(self) -> float:
        """Seconds since this connection was confirmed; zero while there is none."""
        return self._monotonic() - self._connected_since if self._connected_since is not None else 0.0

    def websocket_params(self, url: str) -> dict[str, object]:
        """alpaca-py takes all or nothing: its own three, and what makes a dead peer show itself sooner."""
        return {
            **({"ssl": context()} if url.startswith("wss:") else {}),
            "ping_interval": PING_SECONDS,
            "ping_timeout": PONG_SECONDS,
            "max_queue": 128,  # between two fillings of it, the rest of the program has its turn
            "close_timeout": 2,
            "compression": None,
            "create_protocol": self._make_protocol,
            "logger": FRAMES_LOG,
        }

    # The supervisor

    async def keep_up(self) -> None:
        """Run the stream again and again: its loop ends without a word where it gives up."""
        while True:
            await self.wanted.wait()
            self._task = asyncio.ensure_future(self.stream._run_forever())
            try:
                await asyncio.wait({self._task})
            finally:
                await self._hang_up()
            if not self._task.cancelled():  # else it was `rest`
                error = self._task.exception()
                self._failed(self._fatal or f"the stream's loop ended ({error!r})", self._fatal)
                await asyncio.sleep(self.delay())

    async def rest(self) -> None:
        """Nothing is wanted of this feed: close it until something is."""
        self._tried_at = self._monotonic()
        self.wanted.clear()
        if self._task is not None:
            await self._hang_up()

    async def recycle(self, why: str, level: int = logging.INFO) -> None:
        """Close the socket; alpaca-py's loop then opens the next. One that is just logging in is the next already."""
        socket = self.stream._ws
        if socket is not None and self.is_logged_in:
            log.log(level, "%s: reconnecting: %s", self.feed.value, why)
            self._planned, self._level = True, level
            await socket.close()

    def delay(self) -> float:
        """Seconds until the next attempt: from 1 to 30, doubling with jitter, anew after a connection that lasted."""
        self._failures += 1
        return reconnect_delay(self._failures, PAUSE_MIN, PAUSE_MAX)

    async def unless_closed(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except ConnectionClosed as error:
            log.debug("%s: %s", self.feed.value, error)

    # What the stream tells us

    async def log_in(self, start: Callable[[], Awaitable[None]]) -> None:
        """Connect and log in, within bounded time."""
        try:
            await asyncio.wait_for(start(), LOGIN_SECONDS)
        except Exception as error:
            self._failed(*_login_trouble(error))
            raise
        self._logged_in_at, self._refusal = self._monotonic(), ""
        self._confirm_later = asyncio.get_running_loop().call_later(CONFIRM_SECONDS, self.confirmed)

    def heard(self) -> None:
        self._heard_at = self._monotonic()

    def confirmed(self) -> None:
        """The exchange confirmed the subscription: from now on nothing is missed."""
        self._tried_at = self._monotonic()
        self._fatal = ""
        if self._connected_since is not None or self._logged_in_at is None:
            return
        self._forget_timer()
        self._connected_since = now = self._monotonic()
        if self._down_since is None:
            log.info("%s: connected", self.feed.value)
        else:
            log.log(self._level, "%s: connected again after %.0f s", self.feed.value, now - self._down_since)
        self._down_since, self._said, self._level = None, "", logging.INFO
        self._on_connected(self.feed)

    def complained(self, frame: Mapping[str, object]) -> None:
        """An error frame after the login: alpaca-py only logs it, and the socket stays open and silent."""
        code = frame.get("code")
        reason = f"the exchange says: {frame.get('msg')} ({code})"
        self._failed(reason, reason if isinstance(code, int) and code in FATAL_CODES else "")
        if self._connected_since is None:
            # Without its subscription the socket is of no use: away with it, and try again later.
            self._refusal = reason
            self._forget_timer()
            self.stream._ws.fail_connection(1000)

    def closed(self) -> None:
        """The socket is gone, or is about to be."""
        if self._logged_in_at is None:
            return
        now = self._monotonic()
        if now - self._logged_in_at >= STEADY_SECONDS:
            self._failures = 0
        self._logged_in_at = self._connected_since = None
        self._tried_at = now
        self._forget_timer()
        if self._planned:
            self._planned, self._down_since = False, now
        else:
            self._failed(self._refusal or f"connection lost (code {self.stream._ws.close_code})", self._fatal)

    def unreadable(self, error: BaseException) -> None:
        """A message that could not be used. Said once in a while: there may be thousands."""
        complaint = f"{type(error).__name__}: {error}"[:160]
        now = self._monotonic()
        self._error = f"a message could not be used ({complaint})"
        if complaint != self._complaint or now - self._complained_at >= REPEAT_SECONDS:
            log.warning("%s: %s", self.feed.value, self._error)
            self._complaint, self._complained_at = complaint, now

    @property
    def is_logged_in(self) -> bool:
        return self._logged_in_at is not None

    def _failed(self, reason: str, fatal: str) -> None:
        """Remember, and say it once until it changes."""
        self._tried_at = self._monotonic()
        self._error, self._fatal = reason, fatal
        if self._down_since is None:
            self._down_since = self._monotonic()
        if reason != self._said:
            log.warning("%s: %s", self.feed.value, reason)
            self._said, self._level = reason, logging.INFO

    def _forget_timer(self) -> None:
        if self._confirm_later is not None:
            self._confirm_later.cancel()
            self._confirm_later = None

    def _make_protocol(self, *args: Any, **kwargs: Any) -> WebSocketClientProtocol:
        self._protocol = WebSocketClientProtocol(*args, **kwargs)
        return self._protocol

    async def _hang_up(self) -> None:
        """End the stream's loop and its socket now, in whatever state they are. alpaca-py's own stop takes 5 s."""
        self._forget_timer()
        self._logged_in_at = self._connected_since = None
        socket = self.stream._ws
        # alpaca-py looks at its own flag between two messages; in a silence or a login only a cancel is heard. And a
        # cancel may be lost: asyncio.wait_for of Python 3.11 forgets one that meets the end of what it waits for, which
        # in a flood is every time.
        await self.stream.stop_ws()
        for attempt in range(CANCEL_ATTEMPTS):
            if self._task is None or self._task.done():
                break
            self._task.cancel()
            if socket is None or attempt:
                self._abort()
            await asyncio.wait({self._task}, timeout=CANCEL_SECONDS)
        if socket is not None and socket.open:
            # A proper goodbye frees the account's only slot at once.
            goodbye = asyncio.ensure_future(socket.close())
            await asyncio.wait({goodbye}, timeout=GOODBYE_SECONDS)
            goodbye.cancel()
        self._abort()

    def _abort(self) -> None:
        transport = getattr(self._protocol, "transport", None)
        if transport is not None:
            transport.abort()


class SdkLog(logging.Filter):
    """Takes alpaca-py's log lines, traceback and all, off the journal: what matters is said by the link."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None and self._link.is_logged_in and not isinstance(error, WebSocketException):
            self._link.unreadable(error)
        return False


def _login_trouble(error: Exception) -> tuple[str, str]:
    """Why a login failed, and the same again if waiting will not mend it."""
    status = getattr(error, "status_code", None)
    if status is not None:
        reason = f"the connection was refused with HTTP {status}"
        return reason, reason if status in (401, 403) else ""
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return f"no answer to the login within {LOGIN_SECONDS:.0f} s", ""
    if (refusal := untrusted(error)) is not None:
        return certificate_sentence("Alpaca's stream", refusal), ""
    if isinstance(error, OSError):
        return f"no connection: {error.strerror or error}", ""
    if isinstance(error, WebSocketException):
        return f"the connection ended during the login ({error})", ""
    if isinstance(error, ValueError) and str(error):
        reason = f"the login was refused: {error}"
        return reason, reason if any(words in str(error) for words in FATAL_WORDS) else ""
    return f"the answer to the login was not understood ({type(error).__name__})", ""
