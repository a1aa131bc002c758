"""`dcabot backtest`: what these settings would have done, by the code that trades."""

import argparse
import configparser
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from dcabot.adapters import assets
from dcabot.adapters.assets import COLUMNS, INTEGERS, AssetError, Value
from dcabot.adapters.candle_cache import TIMEFRAMES, Wanted, default_folder, fetch
from dcabot.adapters.config import DATABASE, load
from dcabot.backtest import page
from dcabot.backtest.bot import ENDLESS, SLIPPAGE, Terms
from dcabot.backtest.checks import Source
from dcabot.backtest.checks import load as load_prices
from dcabot.backtest.figures import result
from dcabot.backtest.headings import BadPrices
from dcabot.backtest.path import SPREAD, HighLow
from dcabot.backtest.path import Path as PricePath
from dcabot.backtest.run import Setup, dearest, influences, walked
from dcabot.backtest.walk import COARSE, Walk
from dcabot.commands import (
    DONE,
    FAILED,
    MISCONFIGURED,
    UNREACHABLE,
    USAGE,
    arguments,
    backtest_output,
    backtest_sweep,
    parser,
    utc_now,
)
from dcabot.commands.asset import DEFAULTS, HELP
from dcabot.commands.wiring import open_books
from dcabot.core.fees import TIERS
from dcabot.core.model import Instrument, TakeProfitOrder
from dcabot.core.money import ONE, ratio, text
from dcabot.core.rules import faults, tight
from dcabot.core.snapshot import ExchangeError, ExchangeUnreachable

FINEST = Decimal("0.000000001")
HISTORY = datetime(2021, 1, 1, tzinfo=timezone.utc)  # where Alpaca's candles begin
TIMEFRAME = "1Min"
TICKS = 1_000_000  # so many price steps or more are in a price, as Alpaca's are

Columns = dict[str, Value]
# Flags that do nothing without another one.
DEPENDENT = {"timeframe": "fetch", "cache": "fetch", **backtest_sweep.DEPENDENT}


class WrongUse(Exception):
    """What was asked for makes no sense; the message says what would."""


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    try:
        return _backtest(args)
    except (WrongUse, AssetError, BadPrices, ExchangeError) as error:
        print(f"dcabot backtest: {error}", file=sys.stderr)
        if isinstance(error, ExchangeError):
            return UNREACHABLE if isinstance(error, ExchangeUnreachable) else MISCONFIGURED
        return FAILED if isinstance(error, BadPrices) else USAGE


def _backtest(args: argparse.Namespace) -> int:
    if not args.prices and not args.fetch:
        raise WrongUse("where are the prices? --prices FILE reads candles from CSV, --fetch asks Alpaca for them")
    _check(args)
    if args.sweep:
        backtest_sweep.check(args)
    columns = _columns(args)
    source = _prices(args)
    instrument = _instrument(args, source)
    setup = _setup(args, columns, instrument)
    if args.sweep:
        return backtest_sweep.sweep(args, columns, setup, source)
    found = faults(setup.asset, instrument)
    if found := found or tight(setup.asset, instrument, dearest(setup, source.candles)):
        raise WrongUse("; ".join(found))
    walk = walked(setup, source.candles)
    run = backtest_output.Run(setup, source, result(walk), influences(setup, source.candles))
    if args.html:
        _write_page(args, walk, run)
    backtest_output.show(run, args)
    return DONE


def _check(args: argparse.Namespace) -> None:
    """Refuse what would be ignored."""
    for name, other in DEPENDENT.items():
        if getattr(args, name) is not None and not getattr(args, other):
            raise WrongUse(f"--{name.replace('_', '-')} does nothing without --{other}")
    if args.csv and args.cycles and args.fills:
        raise WrongUse("--csv is one table: with --cycles or with --fills, not with both; --json has all in one")
    if args.html and args.prices and args.html.resolve() in [file.resolve() for file in args.prices]:
        raise WrongUse(f"--html {args.html} would overwrite the prices")


def _write_page(args: argparse.Namespace, walk: Walk, run: backtest_output.Run) -> None:
    told = page.Told(backtest_output.assumptions(run.setup), run.source.notes, run.influences)
    try:
        args.html.write_text(page.page(walk, run.result, told), encoding="utf-8")
    except OSError as error:
        raise WrongUse(f"--html {args.html}: {error.strerror}") from None


def make_parser() -> argparse.ArgumentParser:
    made = parser("backtest", "What these settings would have done with past prices, by the code that trades.")
    made.add_argument(
        "symbol", type=arguments.symbol, nargs="?", default="BTC/USD", help="such as BTC/USD, the default"
    )
    rules = made.add_argument_group("settings", "A flag wins over --settings, and that over --database.")
    rules.add_argument("--settings", metavar="FILE", help="a file with a [BTC/USD] section of `column = value` lines")
    rules.add_argument("--database", action="store_true", help="as they stand in the database")
    for name in COLUMNS:
        default = DEFAULTS.get(name)
        told = f"{HELP[name]} (default: {default})" if default is not None else HELP[name]
        rules.add_argument(
            f"--{name.replace('_', '-')}",
            type=arguments.whole if name in INTEGERS else arguments.number,
            metavar="N",
            help=told,
        )
    rules.add_argument(
        "--take-profit-order",
        choices=[one.value for one in TakeProfitOrder],
        help="how the take profit is sold (default: market, unless the settings say otherwise)",
    )
    _add_prices(made.add_argument_group("prices"))
    _add_model(made.add_argument_group("what a candle does not tell", "The defaults are the pessimistic ones."))
    _add_output(made.add_argument_group("output"))
    backtest_sweep.add_flags(made.add_argument_group("search"))
    return made


def _add_prices(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--prices", metavar="FILE", nargs="+", action="extend", type=Path, help="candles as CSV, gzip too; see the docs"
    )
    group.add_argument("--fetch", action="store_true", help="fetch candles from Alpaca, and keep them on disk")
    group.add_argument("--from", dest="begin", type=_day, metavar="DATE", help="from this day (UTC), like 2024-01-31")
    group.add_argument("--to", dest="end", type=_day, metavar="DATE", help="up to and without this day")
    group.add_argument("--timeframe", choices=list(TIMEFRAMES), help=f"of --fetch (default: {TIMEFRAME})")
    group.add_argument("--cache", metavar="DIR", type=Path, help="where --fetch keeps them")
    group.add_argument("--allow-gaps", action="store_true", help="go on although more than 1 %% of the candles miss")


def _add_model(group: argparse._ArgumentGroup) -> None:
    orders = [order.value for order in HighLow]
    group.add_argument("--high-low", choices=orders, default=orders[0], help=f"their order (default: {orders[0]})")
    group.add_argument("--four-prices", action="store_true", help="quote only open, high, low and close")
    spread = (SPREAD * 100).normalize()
    group.add_argument(
        "--spread",
        type=arguments.number,
        metavar="N",
        default=spread,
        help=f"percent, ask over bid (default: {spread})",
    )
    slippage = (SLIPPAGE * 100).normalize()
    told = f"percent the price runs away before an order is there (default: {slippage})"
    group.add_argument("--slippage", type=arguments.number, metavar="N", default=slippage, help=told)
    tiers = [tier.number for tier in TIERS]
    group.add_argument(
        "--fee-tier", type=arguments.whole, choices=tiers, default=1, help="of Alpaca's table (default: 1)"
    )
    group.add_argument(
        "--cash",
        type=arguments.number,
        metavar="N",
        default=ENDLESS,
        help="USD in the account (default: always enough)",
    )
    group.add_argument(
        "--price-step", type=arguments.number, metavar="N", help="of the pair (default: about a millionth of the price)"
    )
    group.add_argument(
        "--quantity-step", type=arguments.number, metavar="N", default=FINEST, help=f"of the pair (default: {FINEST:f})"
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--cycles", action="store_true", help="every cycle too, the open one with what it would bring")
    group.add_argument("--fills", action="store_true", help="every buy and sell too")
    form = group.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs; the names are stable")
    form.add_argument(
        "--csv", action="store_true", help="for spreadsheets: one line, or with --cycles or --fills one for each"
    )
    group.add_argument("--html", metavar="FILE", type=Path, help="write a page with charts")


# --- the settings ---


def _columns(args: argparse.Namespace) -> Columns:
    """The asset's columns: flags before the file or the database before the defaults."""
    columns: Columns = dict(DEFAULTS)
    if args.database:
        books = open_books(load({DATABASE}, os.environ, args.env_file)).database
        found = {asset.symbol: row for asset, row in assets.read_all(books)}
        if args.symbol not in found:
            raise WrongUse(f"there is no asset {args.symbol} in the database; `dcabot asset list` shows what there is")
        columns |= found[args.symbol]
    if args.settings:
        columns |= _from_file(Path(args.settings), args.symbol)
    columns |= {name: getattr(args, name) for name in COLUMNS if getattr(args, name) is not None}
    if args.take_profit_order is not None:
        columns["take_profit_order"] = args.take_profit_order
    columns |= {name: int(first) if name in INTEGERS else first for name, (first, *_) in args.sweep or ()}
    if missing := [name for name in COLUMNS if name not in columns]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise WrongUse(f"how much to spend is nobody's guess: {flags} (or --settings, or --database)")
    return columns


def _from_file(path: Path, symbol: str) -> Columns:
    reader = configparser.ConfigParser(interpolation=None)
    try:
        with path.open(encoding="utf-8") as file:
            reader.read_file(file)
    except (configparser.Error, UnicodeDecodeError) as error:
        raise WrongUse(f"{path}: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from None
    if symbol not in reader:
        raise WrongUse(f"{path}: no section [{symbol}]")
    known = (*COLUMNS, "take_profit_order")
    if strangers := [name for name in reader[symbol] if name not in known]:
        raise WrongUse(f"{path}: [{symbol}] has no setting {', '.join(strangers)}; there are {', '.join(known)}")
    try:
        return {name: _setting(name, words) for name, words in reader[symbol].items()}
    except argparse.ArgumentTypeError as error:
        raise WrongUse(f"{path}: [{symbol}]: {error}") from None


def _setting(name: str, words: str) -> Value:
    if name != "take_profit_order":
        return (arguments.whole if name in INTEGERS else arguments.number)(words)
    try:
        return TakeProfitOrder(words).value
    except ValueError:
        choices = " or ".join(one.value for one in TakeProfitOrder)
        raise argparse.ArgumentTypeError(f"take_profit_order must be {choices}, not {words!r}") from None


def _setup(args: argparse.Namespace, columns: Mapping[str, Value], instrument: Instrument) -> Setup:
    for name in ("spread", "slippage"):
        if not 0 <= getattr(args, name) < 50:
            raise WrongUse(f"--{name} {getattr(args, name)} must be at least 0 and below 50 percent")
    if args.cash <= 0:
        raise WrongUse(f"--cash {args.cash} must be above 0")
    terms = Terms(args.cash, TIERS[args.fee_tier - 1], ratio(args.slippage))
    path = PricePath(HighLow(args.high_low), not args.four_prices, ratio(args.spread))
    return Setup(assets.preview(args.symbol, columns), instrument, terms, path)


def _instrument(args: argparse.Namespace, source: Source) -> Instrument:
    """The pair's steps; its price step is a power of ten unless it was given."""
    lowest = source.candles.price(source.candles.range()[0])
    usual = max(FINEST, ONE.scaleb((lowest / TICKS).adjusted()))
    step = usual if args.price_step is None else args.price_step
    for name, value in (("price-step", step), ("quantity-step", args.quantity_step)):
        if value <= 0:
            raise WrongUse(f"--{name} {value} must be above 0")
    if lowest < step * COARSE:
        raise WrongUse(f"a price step of {text(step)} is too coarse for a price of {text(lowest)}")
    return Instrument(args.symbol, step, args.quantity_step, args.quantity_step)


# --- the prices ---


def _prices(args: argparse.Namespace) -> Source:
    if args.prices and args.fetch:
        raise WrongUse("--prices or --fetch, not both")
    now = utc_now()
    if args.begin and args.end and args.begin >= args.end:
        raise WrongUse(f"--from {args.begin:%Y-%m-%d} is not before --to {args.end:%Y-%m-%d}")
    if not args.fetch:
        return load_prices(args.prices, now, (args.begin, args.end), args.allow_gaps)
    if args.begin is None:
        raise WrongUse("--fetch needs --from, such as --from 2024-01-01")
    if not HISTORY <= args.begin < now:
        raise WrongUse(f"--from {args.begin:%Y-%m-%d}: Alpaca's candles are from {HISTORY:%Y-%m-%d} until now")
    from dcabot.adapters.bars import Bars

    end = min(args.end or now, now)
    bars = Bars(load(set(), os.environ, args.env_file))
    wanted = Wanted(args.symbol, args.timeframe or TIMEFRAME, args.begin, end)
    folder = args.cache or default_folder()
    try:
        with backtest_output.progress("candles") as told:
            first, last = _reach(args.begin, end, now)
            hour = timedelta(hours=1)
            files = fetch(bars, wanted, folder, now, lambda at: told((at - first) // hour, (last - first) // hour))
    except OSError as error:
        raise BadPrices(f"--cache {error.filename or folder}: {error.strerror or error}") from None
    finally:
        bars.close()
    if not files:
        raise BadPrices(f"Alpaca has no candles of {args.symbol} from {args.begin:%Y-%m-%d} to {end:%Y-%m-%d}")
    return load_prices(files, now, (args.begin, args.end), args.allow_gaps)


def _reach(begin: datetime, end: datetime, now: datetime) -> tuple[datetime, datetime]:
    """From when until when there is something to fetch: whole months, as they are kept."""
    first = begin.replace(day=1)
    last = (end - timedelta(microseconds=1)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, min(now, (last + timedelta(days=32)).replace(day=1))


def _day(words: str) -> datetime:
    try:
        return datetime.strptime(words, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{words!r} is no day; write it like 2024-01-31") from None
