"""What happened, in order: every request, order, fill, event, frame and fault, readable back."""

import itertools
import json
import threading
import time
from collections import deque
from typing import Any

from dcabot.simulator.clock import Clock

ENTRIES_MAX = 100_000
QUOTES_MAX = 200_000


class Journal:
    """Entries are dicts with `number`, `kind`, `at_ns` (venue time) and `monotonic_ns` (this machine's).

    A frame's message is kept as text and read back as what it says. The oldest are forgotten beyond ENTRIES_MAX.
    Quotes are kept apart, as tuples: they are too many.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=ENTRIES_MAX)
        self._quotes: deque[tuple[int, str, str, str]] = deque(maxlen=QUOTES_MAX)
        self._count = 0

    def add(self, kind: str, monotonic_ns: int | None = None, **facts: Any) -> dict[str, Any]:
        entry = {
            "number": 0,
            "kind": kind,
            "at_ns": self._clock.now_ns(),
            "monotonic_ns": time.monotonic_ns() if monotonic_ns is None else monotonic_ns,
            **facts,
        }
        with self._lock:
            self._count += 1
            entry["number"] = self._count
            self._entries.append(entry)
        return entry

    def add_quote(self, monotonic_ns: int, symbol: str, bid: str, ask: str) -> None:
        with self._lock:
            self._quotes.append((monotonic_ns, symbol, bid, ask))

    def entries(self, kind: str | None = None, after: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        """Entries of one kind (or all) with a number above `after`, oldest first."""
        with self._lock:
            # Numbers have no gaps: where to begin is known.
            begin = max(0, after + 1 - self._entries[0]["number"]) if self._entries else 0
            rows = (e for e in itertools.islice(self._entries, begin, None) if kind in (None, e["kind"]))
            found = [dict(e) for e in itertools.islice(rows, limit)]
        for entry in found:
            if entry["kind"] == "frame":
                entry["message"] = json.loads(entry["message"])
        return found

    def quotes(self) -> list[tuple[int, str, str, str]]:
        """(monotonic_ns when it was sent, symbol, bid, ask), oldest first."""
        with self._lock:
            return list(self._quotes)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._quotes.clear()
