"""`dcabot asset`: edit `dca_assets` with the validation that the daemon uses, and show what the settings mean."""

import argparse
import os
import sys
from collections.abc import Callable
from decimal import Decimal

from dcabot.adapters import assets
from dcabot.adapters.assets import COLUMNS, INTEGERS, AssetError, BadValue, Value
from dcabot.adapters.config import DATABASE, Config, load
from dcabot.adapters.database import Database
from dcabot.adapters.store import Store
from dcabot.commands import DONE, FAILED, USAGE, arguments, counted, parser, utc_now
from dcabot.commands.console import Fitted, coins, console, percent, price, usd
from dcabot.commands.market import NOT_ASKED, Market, look, usual
from dcabot.commands.wiring import open_books
from dcabot.core.ladder import Rung, ladder, most_spent, rest_of_ladder
from dcabot.core.ledger import fold
from dcabot.core.model import Asset, Cycle, TakeProfitOrder
from dcabot.core.money import HUNDRED, ZERO, step_down, text
from dcabot.core.profit import result
from dcabot.core.rules import ROUND_TRIP_FEE_RATIO, faults, low_profit
from dcabot.core.states import OVER, is_open

HELP = {
    "base_order_amount": "USD of the first buy of a cycle",
    "safety_order_amount": "USD of each further buy",
    "max_safety_orders": "how many further buys a cycle may have",
    "safety_order_deviation": "percent the price must fall from the last fill for the next buy",
    "take_profit_percent": "percent above the average price at which everything is sold",
    "cooldown_period": "seconds to rest after a sale",
    "buy_order_price_deviation_percent": "percent below the last sale at which the rest ends early",
}
UNITS = {"amount": "USD", "orders": "COUNT", "deviation": "PERCENT", "percent": "PERCENT", "period": "SECONDS"}
SALES = {
    "limit": "its take profit is sold with a limit, never at a loss",
    "market": "its take profit is sold at the market, for what that pays",
}
YES_NO = {"yes": True, "no": False}
# The amounts have no default: how much to spend is nobody's guess.
DEFAULTS: dict[str, Value] = {
    "max_safety_orders": 5,
    "safety_order_deviation": Decimal("1.5"),
    "take_profit_percent": Decimal("1.0"),
    "cooldown_period": 300,
    "buy_order_price_deviation_percent": Decimal("2.0"),
}


RUNGS_SHOWN = 20  # of a long ladder, at each end
COINS_WIDTH = 11  # of a quantity in a ladder: what all the digits say is seen in the position
# The columns of the list, short enough for 80 columns.
LISTED = {
    "base_order_amount": "base",
    "safety_order_amount": "safety",
    "max_safety_orders": "max",
    "safety_order_deviation": "drop %",
    "take_profit_percent": "profit %",
    "cooldown_period": "cooldown",
    "buy_order_price_deviation_percent": "restart %",
}


def main(argv: list[str]) -> int:
    args = make_parser().parse_args(argv)
    config = load({DATABASE}, os.environ, args.env_file)
    database = open_books(config).database
    actions: dict[str, Callable[[argparse.Namespace, Config, Database], int]] = {
        "add": _add,
        "list": _list,
        "set": _set,
        "show": _show,
        "enable": _enable,
        "disable": _disable,
        "remove": _remove,
    }
    try:
        return actions[args.action](args, config, database)
    except AssetError as error:
        print(f"dcabot asset: {error}", file=sys.stderr)
        return USAGE if isinstance(error, BadValue) else FAILED


def make_parser() -> argparse.ArgumentParser:
    made = parser("asset", "What is traded, and with which settings. The daemon reads changes within half a minute.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    told = "trade a new pair, and show what its settings mean"
    adding = actions.add_parser("add", help=told, description=_sentence(told))
    adding.add_argument("symbol", type=arguments.symbol, metavar="SYMBOL", help="such as BTC/USD")
    adding.add_argument("--disabled", action="store_true", help="write it down, and do not trade it yet")
    told = "change settings; they apply from the next decision"
    setting = actions.add_parser("set", help=told, description=_sentence(told))
    setting.add_argument("symbol", type=arguments.symbol, metavar="SYMBOL", help="such as BTC/USD")
    for name in COLUMNS:
        unit = UNITS[name.rpartition("_")[2]]
        kind = arguments.whole if name in INTEGERS else arguments.number
        default = DEFAULTS.get(name)
        told = f"{HELP[name]} (default: {default})" if default is not None else HELP[name]
        flag = f"--{name.replace('_', '-')}"
        adding.add_argument(flag, type=kind, metavar=unit, default=default, required=default is None, help=told)
        setting.add_argument(flag, type=kind, metavar=unit, help=HELP[name])
    _add_options(adding, default_order=TakeProfitOrder.LIMIT.value)
    _add_options(setting)
    for name, told in {
        "list": "all assets, one line each",
        "show": "one asset: its price ladder, the most it can spend, its fees",
        "enable": "trade it",
        "disable": "no new buys; what is held is still sold at its take profit",
        "remove": "delete it with its history; refused while it holds a position",
    }.items():
        action = actions.add_parser(name, help=told, description=_sentence(told))
        if name != "list":
            action.add_argument("symbol", type=arguments.symbol, metavar="SYMBOL", help="such as BTC/USD")
        if name == "remove":
            action.add_argument("--yes", action="store_true", help="delete its history too, without asking")
    arguments.settings_anywhere(actions.choices.values())
    return made


def _add_options(action: argparse.ArgumentParser, default_order: str | None = None) -> None:
    """The settings that are chosen, not counted."""
    told = "limit: sell at the take profit or better, never at a loss; market: for what the market pays"
    action.add_argument(
        "--take-profit-order",
        choices=[one.value for one in TakeProfitOrder],
        default=default_order,
        help=f"{told} (default: {default_order})" if default_order else told,
    )
    action.add_argument(
        "--trade-beside-foreign-coins",
        choices=list(YES_NO),
        default="no" if default_order else None,
        help="trade although the account holds coins of this pair that dcabot did not buy",
    )


def _options(args: argparse.Namespace) -> dict[str, Value]:
    """Those that were given."""
    found: dict[str, Value] = {}
    if args.take_profit_order is not None:
        found["take_profit_order"] = args.take_profit_order
    if args.trade_beside_foreign_coins is not None:
        found["trade_beside_foreign_coins"] = YES_NO[args.trade_beside_foreign_coins]
    return found


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _add(args: argparse.Namespace, config: Config, database: Database) -> int:
    columns = {name: getattr(args, name) for name in COLUMNS} | _options(args)
    asset = assets.preview(args.symbol, columns, not args.disabled)
    market = look(config, [args.symbol])
    if _refuse(asset, market) or _refuse_low_profit(asset):
        return USAGE
    assets.add(database, args.symbol, columns, not args.disabled, utc_now())
    print(f"{args.symbol} added{', disabled' if args.disabled else ''}.")
    _tell(asset, market)
    return DONE


def _set(args: argparse.Namespace, config: Config, database: Database) -> int:
    given = {name: getattr(args, name) for name in COLUMNS}
    changes: dict[str, Value] = {name: value for name, value in given.items() if value is not None}
    changes |= _options(args)
    if not changes:
        print("dcabot asset: nothing to set; `dcabot asset set --help` lists the settings", file=sys.stderr)
        return USAGE
    old, columns = _find(database, args.symbol)
    asset = assets.preview(args.symbol, {**columns, **changes}, old.enabled)
    market = look(config, [args.symbol])
    is_priced = bool(changes.keys() & {"take_profit_percent", "base_order_amount"})
    if _refuse(asset, market) or (is_priced and _refuse_low_profit(asset)):
        return USAGE
    assets.change(database, args.symbol, changes, utc_now())
    for name, value in changes.items():
        print(f"{args.symbol} {name}: {_shown(columns[name])} -> {_shown(value)}")
    _tell(asset, market, _running(database, args.symbol))
    return DONE


def _list(args: argparse.Namespace, config: Config, database: Database) -> int:
    found = assets.read_all(database)
    if not found:
        print("No assets yet; `dcabot asset add BTC/USD --base-order-amount 20 --safety-order-amount 20` adds one.")
        return DONE
    rows = [
        [
            asset.symbol,
            "yes" if asset.enabled else "no",
            *(_shown(columns[name]) for name in LISTED),
            asset.take_profit_order.value,
            usd(most_spent(asset)),
        ]
        for asset, columns in found
    ]
    enabled = [asset for asset, _ in found if asset.enabled]
    most = sum((most_spent(asset) for asset in enabled), ZERO)
    rows.append(["total", f"{len(enabled)}", *["-"] * len(LISTED), "", usd(most)])
    headings = ["<asset", "<on", *LISTED.values(), "<sale", "most spent"]
    console().print(Fitted(headings, rows, gap=1))
    for asset, _ in found:
        _warn(asset, NOT_ASKED)
    return DONE


def _show(args: argparse.Namespace, config: Config, database: Database) -> int:
    asset, _ = _find(database, args.symbol)
    market = look(config, [args.symbol])
    _refuse(asset, market)
    _tell(asset, market, _running(database, args.symbol))
    return DONE


def _running(database: Database, symbol: str) -> Cycle | None:
    """The asset's cycle, once it has bought or ordered anything."""
    for entry in Store(database, utc_now).read_book().entries:
        cycle = entry.cycle
        is_running = any(order.filled_quantity or is_open(order) for order in cycle.orders)
        if cycle.symbol == symbol and cycle.status not in OVER and is_running:
            return cycle
    return None


def _enable(args: argparse.Namespace, config: Config, database: Database) -> int:
    asset, _ = _find(database, args.symbol)
    if _refuse(asset, look(config, [args.symbol])):
        return FAILED
    assets.change(database, args.symbol, {"is_enabled": True}, utc_now())
    print(f"{args.symbol} enabled.")
    return DONE


def _disable(args: argparse.Namespace, config: Config, database: Database) -> int:
    assets.change(database, args.symbol, {"is_enabled": False}, utc_now())
    print(f"{args.symbol} disabled: no new buys; what it holds is still sold at its take profit.")
    return DONE


def _remove(args: argparse.Namespace, config: Config, database: Database) -> int:
    orders = assets.history(database, args.symbol)
    if orders and not args.yes:
        raise AssetError(
            f"{args.symbol} has {counted(orders, 'order')} in its history, which would be deleted too; "
            f"`dcabot asset disable {args.symbol}` keeps them, --yes deletes them"
        )
    assets.remove(database, args.symbol)
    print(f"{args.symbol} removed.")
    return DONE


def _find(database: Database, symbol: str) -> tuple[Asset, dict[str, Value]]:
    for asset, columns in assets.read_all(database):
        if asset.symbol == symbol:
            return asset, columns
    raise AssetError(f"there is no asset {symbol}; `dcabot asset list` shows what there is")


def _refuse(asset: Asset, market: Market) -> bool:
    """Say what cannot work, as the daemon would; true when there is anything."""
    found = faults(asset, market.instrument(asset.symbol))
    for fault in found:
        print(f"dcabot asset: {fault}", file=sys.stderr)
    return bool(found)


def _refuse_low_profit(asset: Asset) -> bool:
    """Say that a sale could lose a cent, and at which take profit it cannot; true when it could."""
    fault = low_profit(asset)
    if fault:
        print(f"dcabot asset: {fault}", file=sys.stderr)
    return bool(fault)


def _warn(asset: Asset, market: Market) -> None:
    for doubt in market.tight(asset):
        console().print(f"{asset.symbol} would hardly ever buy: {doubt}")
    if doubt := low_profit(asset):
        console().print(f"{asset.symbol}: {doubt}")


def _tell(asset: Asset, market: Market, cycle: Cycle | None = None) -> None:
    """The meaning of the settings: the ladder, the most that can be spent, the fee beside the profit.

    Of a running cycle it is the rest of its ladder.
    """
    out = console()
    if market.note:
        out.print(market.note)
    _warn(asset, market)
    instrument = market.instrument(asset.symbol) or usual(asset.symbol)
    if cycle is None:
        start = market.ask(asset.symbol) or asset.last_sell_price
        filled = f"If the base order fills at {price(start)}:"
        out.print(f"\n{filled if start else 'For a base order at 100.00 (no price known):'}")
        rungs = ladder(asset, instrument, start or Decimal(100))
    else:
        rungs = rest_of_ladder(asset, instrument, cycle)
        out.print(f"\n{_standing(asset, cycle, rungs)}")
    if rungs:
        out.print(_ladder_table(rungs, most_spent(asset) if cycle is None else None))
    beside = "trades beside foreign coins" if asset.trades_beside_foreign_coins else ""
    waits = "no new cycle while the account holds coins of it that dcabot did not buy"
    out.print(f"\n{_sentence(SALES[asset.take_profit_order.value])} {_sentence(beside or waits)}")
    out.print(
        f"\nAt most {usd(most_spent(asset))} USD are spent in one cycle. The take profit of "
        f"{percent(asset.rules.take_profit_ratio)} pays at most {percent(ROUND_TRIP_FEE_RATIO)} for fees."
    )


def _standing(asset: Asset, cycle: Cycle, rungs: list[Rung]) -> str:
    """How far a running cycle has come down its ladder."""
    holding = fold(cycle.orders)
    count = f"{holding.safety_count} of {counted(asset.rules.safety_count_max, 'safety order')}"
    spent = f"{usd(result(cycle.orders).spent)} USD spent, average {price(holding.average_price)}"
    come = f"Cycle {cycle.id} has bought its base order and {count}: {spent}."
    if rungs:
        return f"{come} The rest of its ladder:"
    if not asset.enabled:
        return f"{come} The asset is disabled: it buys no more."
    return f"{come} It has no safety order left."


def _ladder_table(rungs: list[Rung], most: Decimal | None) -> Fitted:
    rows = [
        [
            f"{rung.number}" if rung.number else rung.purpose.value,
            price(rung.price),
            f"{-rung.drop_ratio * HUNDRED:.2f}" if rung.drop_ratio else "-",
            usd(rung.spent),
            _short(rung.held),
            price(rung.average_price),
            price(rung.take_profit_price),
            f"{rung.rise_ratio * HUNDRED:+.2f}",
        ]
        for rung in rungs
    ]
    if len(rows) > 2 * RUNGS_SHOWN:
        rows[RUNGS_SHOWN:-RUNGS_SHOWN] = [["...", *["-"] * (len(rows[0]) - 1)]]
    total = rungs[-1].spent if most is None else most
    rows.append(["total", "-", "-", usd(total), *["-"] * 4])
    return Fitted(
        ["<buy", "price", "drop %", "spent", "held", "average", "take profit at", "rise %"],
        rows,
        gap=1,  # a cheap coin's prices have many digits
    )


def _short(quantity: Decimal) -> str:
    """Coins rounded down to what a ladder has room for."""
    digits = COINS_WIDTH - 1 - len(f"{quantity:.0f}")
    return coins(step_down(quantity, Decimal(1).scaleb(-max(digits, 0))))


def _shown(value: Value) -> str:
    return text(value) if isinstance(value, Decimal) else str(value)
