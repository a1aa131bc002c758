"""What stays on the terminal when the demo is over: all orders, what each cycle came to, and what to do next."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from dcabot.commands.console import price
from dcabot.commands.demo.chronicle import name_of, usd
from dcabot.commands.demo.story import START_CASH, Told
from dcabot.core.model import CycleStatus
from dcabot.core.money import parse, text
from dcabot.core.profit import result

NEXT = "Next: see README.md, Install and run, for an Alpaca paper account; or ./test."


def closing(console: Console, books: dict[str, Told], account: dict[str, Any]) -> None:
    """Print it all."""
    console.print(_order_table(books))
    console.print(_cycle_table(books))
    began, worth = usd(START_CASH), usd(parse(account["equity"]))
    console.print(f"Account: began with {began} USD, now worth {worth} with the coins it holds.")
    console.print(NEXT)


def _report(title: str, lefts: tuple[str, ...], rights: tuple[str, ...], last: str = "") -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in lefts:
        table.add_column(name, no_wrap=True)
    for name in rights:
        table.add_column(name, justify="right", no_wrap=True)
    if last:
        table.add_column(last, no_wrap=True)
    return table


def _order_table(books: dict[str, Told]) -> Table:
    table = _report("Orders", ("time (UTC)", "asset", "purpose", "side"), ("quantity", "price"), "status")
    rows = [(order, symbol) for symbol, told in books.items() for cycle in told.cycles for order in cycle.orders]
    for order, symbol in sorted(rows, key=lambda row: row[0].created_at):
        paid = order.filled_price or order.limit_price
        table.add_row(
            f"{order.created_at:%H:%M:%S}",
            symbol,
            name_of(order),
            order.side.value,
            text(order.quantity),
            "" if paid is None else price(paid),
            order.status.value.replace("_", " "),
        )
    return table


def _cycle_table(books: dict[str, Told]) -> Table:
    table = _report("Completed cycles, in USD", ("asset",), ("spent", "sold", "fee of the sale", "profit"))
    for symbol, told in books.items():
        for cycle in told.cycles:
            if cycle.status is CycleStatus.COMPLETE:
                sums = result(cycle.orders)
                amounts = (sums.spent, sums.received, sums.sale_fees)
                table.add_row(symbol, *map(usd, amounts), f"{sums.profit:+.2f}")
    return table
