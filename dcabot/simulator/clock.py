"""The venue's clock: real time, faster, or stepped by hand. Everything the venue dates, it dates by this.

Delays of the wire (an answer, an event, a login that times out) are not venue time: they are real seconds of
the event loop, so that a program under test behaves the same whatever the venue's calendar does.
"""

import asyncio
import heapq
import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECOND = 1_000_000_000
FIRST, LAST = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (1971, 2500))
STEP_MAX = 366 * 86_400  # seconds
SLICE = 0.01  # real seconds of a step before everybody else has a turn
TURN = 0.001  # real seconds: enough for a request to be read, done and answered


class Clock:
    """Venue time in nanoseconds since 1970. `speed` 60 makes a minute of a second; 0 stands until stepped.

    It goes from 1971 to 2500, and then stands.
    """

    def __init__(self, speed: float = 1, start: datetime | None = None) -> None:
        if not (math.isfinite(speed) and speed >= 0):
            raise ValueError(f"a clock's speed is 0 or more, not {speed}")
        if start is not None and not (start.tzinfo is not None and FIRST <= start <= LAST):
            raise ValueError(f"a clock starts between 1971 and 2500, with a time zone, not at {start}")
        self.speed = speed
        self._base = time.time_ns() if start is None else ns_of(start)
        self._started = time.monotonic_ns()
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._stepping = asyncio.Lock()

    @property
    def is_stepped(self) -> bool:
        return self.speed == 0

    def now_ns(self) -> int:
        return min(self._base + int((time.monotonic_ns() - self._started) * self.speed), LAST_NS)

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

    async def advance(self, seconds: Decimal | int) -> None:
        """Step forward, running each timer at its own instant. Negative seconds turn the clock back.

        A step that has much to do takes turns with whoever else the loop serves; steps follow one another in the
        order in which they were asked for. Raises ValueError for a step over 366 days, or out of the clock's years.
        """
        if not -STEP_MAX <= seconds <= STEP_MAX:
            raise ValueError("a step is at most 366 days (31622400 seconds), forward or back")
        async with self._stepping:
            target = self.now_ns() + int(seconds * SECOND)
            if not FIRST_NS <= target <= LAST_NS:
                raise ValueError("the clock goes from 1971 to 2500")
            try:
                if seconds > 0:
                    await self._run_until(target)
                self._set(max(target, self.now_ns()) if seconds > 0 else target)
            finally:
                self._plan()

    async def _run_until(self, target: int) -> None:
        ends = time.monotonic() + SLICE
        while self._timers and self._timers[0][0] <= target:
            at_ns, _, action = heapq.heappop(self._timers)
            self._set(max(at_ns, self.now_ns()))
            action()
            if time.monotonic() >= ends:
                await asyncio.sleep(TURN)
                ends = time.monotonic() + SLICE

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


FIRST_NS, LAST_NS = ns_of(FIRST), ns_of(LAST)
