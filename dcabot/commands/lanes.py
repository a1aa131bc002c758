"""Worker threads that keep slow things apart, and how the event loop hears of their ends."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from dcabot.adapters.database import DatabaseError
from dcabot.core.snapshot import ExchangeError

ORDER_THREADS = 20

T = TypeVar("T")


class Lanes:
    """`orders` sends requests, many assets side by side; `books` applies what the streams report, in order; `sweeps`
    asks REST for the truth; `data` asks it for prices; `pulse` asks whether the database is there and waits for nobody.

    Made inside the event loop. `on_trouble` hears of expected trouble in `put`; any other error is set on `failed`.
    """

    def __init__(self, on_trouble: Callable[[str], None]) -> None:
        self.orders = ThreadPoolExecutor(ORDER_THREADS, "orders")
        self.books = ThreadPoolExecutor(1, "books")
        self.sweeps = ThreadPoolExecutor(1, "sweeps")
        self.data = ThreadPoolExecutor(1, "data")
        self.pulse = ThreadPoolExecutor(1, "pulse")
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._all = (self.orders, self.books, self.sweeps, self.data, self.pulse)
        self._on_trouble = on_trouble
        self._is_closed = False
        self._began: dict[int, float] = {}  # when each thread began what it is at

    async def run(self, lane: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        """The result of the work, or its error."""
        return await asyncio.get_running_loop().run_in_executor(lane, self._timed, work)

    def longest(self) -> float:
        """For how many seconds the longest of all works has been going on."""
        began = list(self._began.values())
        return time.monotonic() - min(began) if began else 0.0

    def _timed(self, work: Callable[..., T], *given: object) -> T:
        """In a thread: the work, so that `longest` sees it."""
        thread = threading.get_ident()
        self._began[thread] = time.monotonic()
        try:
            return work(*given)
        finally:
            del self._began[thread]

    def put(
        self,
        lane: ThreadPoolExecutor,
        done: Callable[[T | None, Exception | None], None],
        work: Callable[..., T],
        *given: object,
    ) -> None:
        """Work whose result or trouble `done` hears of. An unexpected error ends the daemon."""
        if self._is_closed:
            return  # what a stream still brings while we stop, REST tells at the next start

        def finished(future: "Future[T]") -> None:
            if future.cancelled():
                return  # only by `close`
            error = future.exception()
            if error is None:
                done(future.result(), None)
            elif isinstance(error, (DatabaseError, ExchangeError)):
                self._on_trouble(str(error))
                done(None, error)
            else:
                self.fail(error)

        # A future of asyncio's own around this one would cost an order as much as the hop itself.
        loop = asyncio.get_running_loop()

        def tell(future: "Future[T]") -> None:
            with contextlib.suppress(RuntimeError):  # the loop ended while a thread was still waiting for an answer
                loop.call_soon_threadsafe(finished, future)

        lane.submit(self._timed, work, *given).add_done_callback(tell)

    def fail(self, error: BaseException) -> None:
        """End the daemon with this error, unless it ends with another one."""
        if not self.failed.done():
            self.failed.set_exception(error)

    async def close(self, patience_seconds: float) -> None:
        """Begin nothing new but what `pulse` was given; for a moment, let what is in flight be answered and written."""
        self._is_closed = True
        for lane in self._all:
            lane.shutdown(wait=False, cancel_futures=lane is not self.pulse)
        patience_ends = time.monotonic() + patience_seconds
        while self.are_stuck() and time.monotonic() < patience_ends:
            await asyncio.sleep(0.02)

    def are_stuck(self) -> bool:
        return any(thread.is_alive() for lane in self._all for thread in lane._threads)


def leave_within(seconds: float, code: int) -> None:
    """End this process after so long, if it still lives: whatever hangs may hang in code that is not ours."""
    last_resort = threading.Timer(seconds, os._exit, [code])
    last_resort.daemon = True
    last_resort.start()
