"""What an operator types as an argument, as a value of the domain; for argparse, which tells what is wrong with it."""

import argparse
from collections.abc import Iterable
from decimal import Decimal

from dcabot.core.money import parse

LARGEST, FINEST = 15, -18  # powers of ten; nothing that anybody types here is beyond them


def settings_anywhere(actions: Iterable[argparse.ArgumentParser]) -> None:
    """--env-file after the action too; without a default there, which would hide the one before."""
    for action in actions:
        action.add_argument("--env-file", metavar="FILE", default=argparse.SUPPRESS, help="read settings from FILE")


def symbol(word: str) -> str:
    """A pair as Alpaca writes it, in capitals."""
    pair = word.strip().upper()
    coin, slash, currency = pair.partition("/")
    if not slash or not coin.isalnum() or not currency.isalnum() or not pair.isascii():
        raise argparse.ArgumentTypeError(f"{word!r} is no pair; write it like BTC/USD")
    return pair


def number(word: str) -> Decimal:
    """A plain decimal: no thousands separators, no digits of other scripts, nothing that text cannot show."""
    try:
        if not word.isascii() or "_" in word:
            raise ValueError
        value = parse(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is no number; write it like 1.5") from None
    if value and not (value.adjusted() <= LARGEST and int(value.as_tuple().exponent) >= FINEST):
        raise argparse.ArgumentTypeError(f"{word[:40]!r} is too large, or has too many decimals")
    return value


def whole(word: str) -> int:
    if not word.isascii() or not word.isdigit():
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number of at least 0")
    if len(word) > 9:
        raise argparse.ArgumentTypeError(f"{word[:40]!r} is too large")
    return int(word)


def cycle(word: str) -> int | str:
    """A cycle's number, or a pair."""
    if word.isascii() and word.isdigit() and len(word) <= 9:
        return int(word)
    try:
        return symbol(word)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{word!r} is neither a cycle's number nor a pair like BTC/USD") from None


def count(word: str) -> int:
    """A whole number of at least 1."""
    if not (value := whole(word)):
        raise argparse.ArgumentTypeError(f"{word!r} must be at least 1")
    return value
