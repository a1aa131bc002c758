"""The venue's clock: real time, faster, or stepped by hand. Everything the venue dates, it dates by this.

Delays of the wire (an answer, an event, a login that times out) are not venue time: they are real seconds of
the event loop, so that a program under test behaves the same whatever the venue's calendar does.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECOND = 1_000_000_000


class Clock:
    """Venue time in nanoseconds since 1970. `speed` 60 makes a minute of a second; 0 stands until stepped."""

    def __init__(self, speed: float = 1, start: datetime | None = None) -> None:
        self.speed = speed
        self._base = time.time_ns() if start is None else ns_of(start)
        self._started = time.monotonic_ns()
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.TimerHandle | None = None

    @property
    def is_stepped(self) -> bool:
        return self.speed == 0

    def now_ns(self) -> int:
        return self._base + int((time.monotonic_ns() - self._started) * self.speed)

    def now(self) -> datetime:
        return at_of(self.now_ns())

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Timers run in this loop from now on."""
        self._loop = loop
        self._plan()

    def call_at(self, at_ns: int, action: Callable[[], None]) -> None:
        """Run `action` when the venue's time reaches `at_ns`."""
        self._count += 1
        heapq.heappush(self._timers, (at_ns, self._count, action))
        if self._timers[0][1] == self._count:
            self._plan()

    def advance(self, seconds: float | Decimal) -> None:
        """Step forward, running each timer at its own instant. Negative seconds turn the clock back."""
        target = self.now_ns() + int(seconds * SECOND)
        while self._timers and self._timers[0][0] <= target:
            at_ns, _, action = heapq.heappop(self._timers)
            self._set(max(at_ns, self.now_ns()) if seconds > 0 else self.now_ns())
            action()
        self._set(target)
        self._plan()

    def _set(self, now_ns: int) -> None:
        self._base, self._started = now_ns, time.monotonic_ns()

    def _plan(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if self._loop is None or self.is_stepped or not self._timers:
            return
        wait = max(0, self._timers[0][0] - self.now_ns()) / SECOND / self.speed
        self._wake = self._loop.call_later(wait, self._run)

    def _run(self) -> None:
        self._wake = None
        now_ns = self.now_ns()
        while self._timers and self._timers[0][0] <= now_ns:
            heapq.heappop(self._timers)[2]()
        self._plan()


def at_of(nanoseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


def ns_of(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1) * 1000
