"""The number of requests that may go out: always fewer than Alpaca's 200 a minute, whatever loop runs away.

A bucket holds tokens, a request takes one, and they come back evenly. A full bucket and a minute of
coming back are together 130 of the 200, so no minute ever sees more. Sales, cancels and questions
about one order may take the last token, buys leave some for these, and other queries leave more and
wait. A sale at a limit that misses every second leaves the most: without answers to questions no
other pair would sell either. Source of the limit: Alpaca's documentation, and each answer's headers.
"""

import time
from collections.abc import Callable
from threading import Lock

LIMIT_PER_MINUTE = 200  # Alpaca's, for each account, all its programs together
BURST_RATIO = 0.3  # of the limit: 20 assets at once, each with its order, and what is asked meanwhile
REFILL_RATIO = 0.35  # of the limit, each minute; together 65 %, the rest is for caretakers and commands
REST_SECONDS_MAX = 30.0  # after Alpaca's "too many": until the limit resets, and no longer than this
SALES_RATIO = 0.1  # of the limit, 20 requests: what buys leave to sales, cancels and questions about orders
AGAIN_RATIO = 0.2  # what a sale that is tried again and again leaves: others' sales, and every question
RESERVE_RATIO = 0.15  # of the limit: what other queries leave to orders, cancels and questions about orders
# Limits that an answer's headers may teach. One below would leave less than the reserve, so that no question would
# ever go out again, and no better header come back; one above is no limit.
LIMIT_MIN, LIMIT_MAX = 60, 10_000
QUESTION_SECONDS = 60.0  # one question goes out after so long, whatever the headers said


class Budget:
    """A token bucket for one account, shared by all threads."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        limit: int = LIMIT_PER_MINUTE,
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = Lock()
        self._limit = limit
        self._tokens = limit * BURST_RATIO
        self._at = self._asked_at = monotonic()
        self._rests_until = self._at

    def take(self, left_ratio: float = 0.0) -> bool:
        """For an order or a cancel: True when it may go out now and leaves this share of the limit."""
        left = self._limit * left_ratio
        with self._lock:
            self._refill()
            if self._tokens < 1 + left or self._at < self._rests_until:
                return False
            self._tokens -= 1
            return True

    def wait(self, patience_seconds: float, is_urgent: bool = False) -> bool:
        """For a query: wait until it may go out; False when that would take longer than our patience.

        A question about one order is urgent. One a minute always may: only an answer can tell that
        the limit is another one by now.
        """
        left = 0.0 if is_urgent else RESERVE_RATIO
        waited = 0.0
        while True:
            with self._lock:
                self._refill()
                missing = 1 + self._limit * left - self._tokens
                overdue = self._asked_at + QUESTION_SECONDS - self._at
                rest = self._rests_until - self._at
                if (missing <= 0 or overdue <= 0) and rest <= 0:
                    self._tokens = max(self._tokens - 1, 0.0)
                    self._asked_at = self._at
                    return True
                pause = min(missing * 60 / (self._limit * REFILL_RATIO), overdue)
                pause = max(pause, rest)
            if waited + pause > patience_seconds:
                return False
            self._sleep(pause)
            waited += pause

    def rest(self, seconds: float) -> None:
        """Alpaca said that there were too many: nothing goes out until its limit resets, in so many seconds."""
        with self._lock:
            self._refill()
            pause = min(max(seconds, 0.0), REST_SECONDS_MAX)
            self._rests_until = max(self._rests_until, self._at + pause)

    def learn(self, limit: int, remaining: int) -> None:
        """Take over the limit of an answer's headers.

        Other programs draw on the same account, so fewer may remain than we think.

        Headers with a limit that nobody has are not believed.
        """
        if not LIMIT_MIN <= limit <= LIMIT_MAX:
            return
        with self._lock:
            self._refill()
            self._tokens *= limit / self._limit
            self._limit = limit
            self._tokens = min(self._tokens, max(remaining, 0))

    def _refill(self) -> None:
        now = self._monotonic()
        back = (now - self._at) * self._limit * REFILL_RATIO / 60
        self._tokens = min(self._limit * BURST_RATIO, self._tokens + max(back, 0))
        self._at = now
