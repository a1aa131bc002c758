"""`dcabot simulator`: the local Alpaca, until SIGINT or SIGTERM. Prints the variables that point a program at it."""

import argparse
import heapq
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from dcabot.commands import Parser, start_logging
from dcabot.core.money import parse
from dcabot.simulator import LISTINGS, Policy, Settings, Simulator, Tick, Timing, candles, read_script, walk
from dcabot.simulator.prices import Number
from dcabot.simulator.source import Source

WALK = {
    "interval": ("1", "seconds between quotes of the walk"),
    "step": ("0.0005", "largest move of the walk, a ratio"),
    "spread": ("0.0010", "spread of the walk, and around the prices of candles, a ratio"),
    "correlation": ("0", "share of a move common to all pairs"),
    "jump_chance": ("0", "chance of a jump in each step"),
    "jump": ("0.02", "size of a jump, a ratio"),
    "wide_chance": ("0", "chance of a wide spread in each step"),
    "wide_spread": ("0.01", "such a spread, a ratio"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.description = "The local Alpaca: REST and both websockets on one loopback port, spoken to by alpaca-py."
    parser.add_argument("--host", default="127.0.0.1", help="address to bind to (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument("--symbols", help="pairs to list, with commas: BTC/USD,ETH/USD (default: a table of them)")
    parser.add_argument("--cash", type=_number, default=Decimal(100_000), help="USD (default: %(default)s)")
    _add_prices(parser)
    parser.add_argument(
        "--start", type=_instant, metavar="TIME", help="venue time at the start, ISO 8601 (default: now)"
    )
    parser.add_argument(
        "--speed", type=_speed, default=1, help="venue seconds in a real second; 0: by hand only (default: 1)"
    )
    parser.add_argument("--refresh", type=_speed, metavar="SECONDS", help="send each last quote again that often")
    parser.add_argument("--seed", type=int, default=0, help="of ids and of partial fills")
    parser.add_argument(
        "--partial-fills", type=_number, default=Decimal("0.1"), help="chance of one, 0 to 1 (default: %(default)s)"
    )
    parser.add_argument(
        "--rate-limit", type=int, default=200, help="requests a minute; 0: no limit (default: %(default)s)"
    )
    parser.add_argument(
        "--dead-slot", type=_speed, default=0, help="seconds a vanished client keeps its slot (default: %(default)s)"
    )
    parser.add_argument("--live", action="store_true", help="trade updates as text frames, as the live host sends them")
    parser.add_argument(
        "--set",
        type=_switch,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"a switch of docs/simulator.md; may be repeated: {', '.join(SWITCHES)}",
    )


def _add_prices(parser: argparse.ArgumentParser) -> None:
    prices = parser.add_mutually_exclusive_group()
    prices.add_argument("--prices", metavar="FILE", help="lines of SECONDS SYMBOL BID ASK")
    prices.add_argument("--walk", type=int, metavar="SEED", help="a random walk (the default, with seed 0)")
    prices.add_argument(
        "--candles",
        type=_pair,
        action="append",
        metavar="SYMBOL=FILE",
        help="candles from a CSV file, gzip too; may be repeated",
    )
    prices.add_argument("--no-prices", action="store_true", help="no prices but those set at /_sim/quote")
    prices.add_argument(
        "--mirror",
        nargs="?",
        const="",
        metavar="URL",
        help="live prices from another Alpaca's data host (default: Alpaca's own), in real time; "
        "money, orders, fills and fees stay here. No account is needed. DCABOT_MIRROR_KEY_ID and "
        "DCABOT_MIRROR_SECRET_KEY in the environment make it use that Alpaca's stream too",
    )
    parser.add_argument(
        "--quote-max-age",
        type=_number,
        metavar="SECONDS",
        help="with --mirror: nothing fills at an older quote (default: 60)",
    )
    for name, (default, words) in WALK.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=_number, default=Decimal(default), help=f"{words} (default: %(default)s)")
    parser.add_argument(
        "--history",
        type=_number,
        default=Decimal(0),
        metavar="SECONDS",
        help="so much of the prices is from before the start: bars and quotes to ask for",
    )


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="dcabot simulator")
    add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop. 0; 1 if the port is taken; 2 for wrong usage."""
    return run(make_parser().parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """The command with its arguments parsed."""
    with _end() as end:
        try:
            alpaca = Simulator(_settings(arguments))
            alpaca.start()
        except (OSError, ValueError) as error:
            return _failed(error)
        try:
            for name, value in alpaca.env().items():
                print(f"{name}={value}")
            print(f"# control: {alpaca.url}/_sim", flush=True)
            while not select.select([end], [], [], 0.5)[0]:
                if alpaca.price_error is not None:
                    return _failed(alpaca.price_error)
        finally:
            alpaca.stop()
    return 0


@contextmanager
def _end() -> Iterator[socket.socket]:
    """A socket that SIGINT or SIGTERM makes readable.

    The interpreter itself writes to it. A handler in Python could meet the main thread inside any lock, and wait
    for it for ever.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        yield reader
    finally:
        # For good: one more, while Python takes itself down, would end it in the signal's own way.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(wakeup)
        reader.close()
        writer.close()


def _failed(error: object) -> int:
    print(f"dcabot simulator: {error}", file=sys.stderr)
    return 1


def _settings(arguments: argparse.Namespace) -> Settings:
    symbols = tuple(arguments.symbols.split(",")) if arguments.symbols else tuple(LISTINGS)
    chosen = {kind: {name: value for owner, name, value in arguments.set if owner is kind} for kind in HOLDERS}
    settings = Settings(
        symbols=symbols,
        cash=arguments.cash,
        prices=_prices(arguments, symbols),
        mirror=_mirror(arguments),
        history=arguments.history,
        refresh_seconds=arguments.refresh,
        speed=arguments.speed,
        start=arguments.start,
        seed=arguments.seed,
        partial_fills=arguments.partial_fills,
        policy=Policy(**chosen[Policy]),
        timing=Timing(dead_slot=arguments.dead_slot, **chosen[Timing]),
        rate_limit=arguments.rate_limit or None,
        data_rate_limit=arguments.rate_limit or None,
        paper=not arguments.live,
        host=arguments.host,
        port=arguments.port,
    )
    return replace(settings, **chosen[Settings])


def _mirror(arguments: argparse.Namespace) -> Source | None:
    if arguments.mirror is None:
        if arguments.quote_max_age is not None:
            raise ValueError("--quote-max-age has a meaning with --mirror only")
        return None
    # Only here: what speaks to another Alpaca takes longer to load than the simulator.
    from dcabot.mirror import QUOTE_MAX_AGE_SECONDS, Mirror

    start_logging()
    age = QUOTE_MAX_AGE_SECONDS if arguments.quote_max_age is None else arguments.quote_max_age
    return Mirror(arguments.mirror, age)


def _prices(arguments: argparse.Namespace, symbols: Sequence[str]) -> Iterable[Tick]:
    if arguments.no_prices or arguments.mirror is not None:
        return ()
    if arguments.prices:
        return read_script(arguments.prices)
    if arguments.candles:
        for _, path in arguments.candles:
            Path(path).stat()  # missing files are named now, not when their first price is due
        spread, start = arguments.spread, arguments.start
        each = [candles(path, symbol, spread, start=start) for symbol, path in arguments.candles]
        return heapq.merge(*each, key=lambda tick: tick.seconds)
    return walk(arguments.walk or 0, symbols, **{name: getattr(arguments, name) for name in WALK})


def _pair(words: str) -> tuple[str, str]:
    symbol, is_pair, path = words.partition("=")
    if not is_pair:
        raise argparse.ArgumentTypeError(f"not SYMBOL=FILE: {words}")
    return symbol, path


def _number(words: str) -> Decimal:
    try:
        return parse(words)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {words}") from None


def _speed(words: str) -> int | float:
    number = _number(words)
    if number < 0:
        raise argparse.ArgumentTypeError(f"less than 0: {words}")
    if number > 10**15:
        raise argparse.ArgumentTypeError(f"too much: {words}")
    return int(number) if number == int(number) else number.__float__()


def _instant(words: str) -> datetime:
    try:
        at = datetime.fromisoformat(words.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a time like 2026-01-31T12:00:00Z: {words}") from None
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def _whole(words: str) -> int:
    number = _number(words)
    if not 0 <= number < 10**9 or number != int(number):
        raise argparse.ArgumentTypeError(f"not a whole number: {words}")
    return int(number)


def _truth(words: str) -> bool:
    if words not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"not yes or no: {words}")
    return words == "yes"


# How a switch of each type is written. What has another type (the fee table) can be set from Python only.
READERS: dict[Any, Callable[[str], Any]] = {
    bool: _truth,
    int: _whole,
    float: _speed,
    Decimal: _number,
    Number: _number,
    str: str,
    int | None: lambda words: None if words == "none" else _whole(words),
    timedelta: lambda words: timedelta(seconds=_speed(words)),
    timedelta | None: lambda words: None if words == "none" else timedelta(seconds=_whole(words)),
}
HOLDERS = (Settings, Policy, Timing)
FLAGS = {  # they have an option of their own
    *("host", "port", "seed", "speed", "rate_limit", "paper", "dead_slot"),
    *("cash", "partial_fills", "history"),
}
SWITCHES = {
    field.name: (holder, READERS[field.type])
    for holder in HOLDERS
    for field in fields(holder)
    if field.type in READERS and field.name not in FLAGS
}


def _switch(words: str) -> tuple[type, str, Any]:
    name, is_pair, value = words.partition("=")
    if not is_pair or name not in SWITCHES:
        raise argparse.ArgumentTypeError(f"not NAME=VALUE of a switch: {words}")
    holder, read = SWITCHES[name]
    return holder, name, read(value)


if __name__ == "__main__":
    sys.exit(main())
