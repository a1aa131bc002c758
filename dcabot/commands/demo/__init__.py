"""`dcabot demo`: a whole cycle in about a minute. The real daemon against the bundled simulator, over real sockets.

The prices follow a script that waits for facts in the books (`story.py`); what is shown comes from the database and
the exchange's account, nothing from inside the daemon. All it makes is in one temporary folder (`stage.py`), which is
gone at the end, however the end comes.
"""

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from dcabot.commands import Parser
from dcabot.core.money import parse


class Interrupted(Exception):
    """Somebody wants us to end."""


class Signals:
    """Signals only leave a note, so that none comes between starting a thing and remembering it."""

    def __init__(self) -> None:
        self.noted = 0

    def check(self) -> None:
        """Raises Interrupted when one has come."""
        if self.noted:
            raise Interrupted

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take note of them in this block. One that is ignored (nohup) stays ignored."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in numbers}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: Any) -> None:
        self.noted = number


def make_parser() -> argparse.ArgumentParser:
    options = Parser(
        prog="dcabot demo",
        description="A whole cycle in about a minute: the real daemon against the bundled simulator. No account.",
    )
    options.add_argument("--plain", action="store_true", help="lines instead of the live view, also in a terminal")
    options.add_argument("--speed", type=_speed, default="1", help="how fast the prices move (default: %(default)s)")
    return options


def main(argv: list[str]) -> int:
    """0 when the whole story was told; 1 when it was not, and why is on stderr; 128 and the signal's number."""
    arguments = make_parser().parse_args(argv)
    signals = Signals()
    with signals.caught():
        try:
            # Only now: the import takes most of a second, and a signal is to be heard all the while.
            from dcabot.commands.demo.play import play

            return play(arguments.plain, arguments.speed, signals.check)
        except Interrupted:
            return 128 + signals.noted
        except OSError:
            if signals.noted:  # the terminal went away, and took what we wrote to
                return 128 + signals.noted
            raise


def _speed(words: str) -> Decimal:
    try:
        speed = parse(words)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {words}") from None
    if not Decimal("0.1") <= speed <= 20:
        raise argparse.ArgumentTypeError(f"not between 0.1 and 20: {words}")
    return speed
