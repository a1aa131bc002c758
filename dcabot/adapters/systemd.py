"""What systemd is told: ready, alive, in which state, reloading, stopping. Without systemd nothing happens."""

import os
import time
from collections.abc import Mapping

from sdnotify import SystemdNotifier

from dcabot.core.foreign import plain

MICROSECONDS = 1_000_000


class Systemd:
    """The notify socket of the service manager, if there is one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._notifier = SystemdNotifier() if environ.get("NOTIFY_SOCKET") else None
        self.watchdog_seconds = _watchdog_seconds(environ)

    def ready(self, status: str) -> None:
        self._say("READY=1", f"STATUS={_line(status)}")

    def status(self, status: str) -> None:
        self._say(f"STATUS={_line(status)}")

    def watchdog(self) -> None:
        """One sign of life; due at least every `watchdog_seconds`, better every half of it."""
        self._say("WATCHDOG=1")

    def reloading(self) -> None:
        """`ready` must follow when it is done. The time is what Type=notify-reload asks for."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str) -> None:
        self._say("STOPPING=1", f"STATUS={_line(status)}")

    def extend_timeout(self, seconds: int) -> None:
        """A start or stop that takes its time: systemd waits this long from now."""
        self._say(f"EXTEND_TIMEOUT_USEC={seconds * MICROSECONDS}")

    def close(self) -> None:
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()

    def _say(self, *lines: str) -> None:
        if self._notifier is not None:
            self._notifier.notify("\n".join(lines))


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """How long systemd lives without a sign of life; None when it does not watch this process."""
    value, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not value.isdecimal() or int(value) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(value) / MICROSECONDS


def _line(status: str) -> str:
    """One line, and ASCII: sdnotify drops a message that Latin-1 cannot hold without a word."""
    return plain(" ".join(status.split())).encode("ascii", "replace").decode("ascii")
