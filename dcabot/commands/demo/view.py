"""How the demo looks: a live view in a terminal, plain lines elsewhere, tables at the end."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Protocol, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dcabot.commands.demo.chronicle import Event, name_of, price, usd
from dcabot.commands.demo.story import START_CASH, Scene, Told
from dcabot.core.ledger import profit
from dcabot.core.model import CycleStatus, Order, Side
from dcabot.core.money import parse, text
from dcabot.simulator import Tick

WIDTH_MIN, HEIGHT_MIN = 96, 26  # a smaller terminal gets plain lines
WIDTH_MAX = 120
TITLE = "dcabot demo"
SUBTITLE = "the real daemon against a local Alpaca: no account, no server"
STYLES = {
    CycleStatus.BUYING: "yellow",
    CycleStatus.SELLING: "yellow",
    CycleStatus.COOLDOWN: "blue",
    CycleStatus.WATCHING: "green",
    CycleStatus.ERROR: "bold red",
}
GAUGE = 13
NEXT = "Next: README.md says how to trade with it on an Alpaca paper account, and ./test runs the tests."
ARROWS = {"falls": "↓", "stands": "→", "rises": "↑"}


@dataclass(frozen=True, slots=True)
class Picture:
    """What can be seen at one instant. `done` are the seconds at which each scene of the story ended."""

    seconds: float
    quotes: dict[str, Tick]
    books: dict[str, Told]
    account: dict[str, Any]
    scenes: tuple[Scene, ...]
    done: list[float]
    events: list[Event]


class View(Protocol):
    def __enter__(self) -> "View": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, picture: Picture) -> None: ...


def console_for(file: TextIO) -> Console:
    """Where everything is printed. A pipe or file gets lines as wide as the tables need."""
    return Console(file=file, highlight=False, width=None if file.isatty() else WIDTH_MIN)


def view_for(console: Console, plain: bool) -> View:
    """A live view where the terminal can show one."""
    fits = console.width >= WIDTH_MIN and console.height >= HEIGHT_MIN
    is_able = console.file.isatty() and not console.is_dumb_terminal and not console.options.ascii_only
    return LiveView(console) if is_able and fits and not console.no_color and not plain else PlainView(console)


class PlainView:
    """One line for each event, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = 0

    def __enter__(self) -> "PlainView":
        self._line(f"{TITLE}: {SUBTITLE}")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, picture: Picture) -> None:
        for event in picture.events[self._shown :]:
            self._line(f"{event.seconds:6.1f} s  {event.symbol:8}  {event.sentence}")
        self._shown = len(picture.events)

    def _line(self, words: str) -> None:
        # Not the console's print: nothing is to be wrapped or highlighted in a file.
        self._console.file.write(f"{words}\n")
        self._console.file.flush()


class LiveView:
    """The whole screen, drawn anew at each look; the terminal's own screen comes back at the end."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._console = console

    def __enter__(self) -> "LiveView":
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, picture: Picture) -> None:
        self._live.update(_screen(picture, self._console), refresh=True)


def _screen(picture: Picture, console: Console) -> Layout:
    rows = 3 + len(picture.quotes)
    layout = Layout()
    layout.split_column(
        Layout(_header(picture), size=2),
        Layout(_panel("Assets", _assets(picture)), size=rows),
        Layout(_panel("Orders", _orders(picture)), size=rows),
        Layout(name="below", ratio=1),
        Layout(_footer(picture), size=1),
    )
    lines = console.height - 2 - 2 * rows - 1 - 2
    layout["below"].split_row(
        Layout(_panel("The story of BTC/USD", _chapters(picture)), size=34),
        Layout(_panel("What happened", _log(picture.events[-max(lines, 1) :])), ratio=1),
    )
    return layout


def _panel(title: str, inside: RenderableType) -> Panel:
    return Panel(inside, title=title, title_align="left", border_style="bright_black", padding=(0, 1))


def _header(picture: Picture) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column()
    line.add_column(justify="right")
    seconds = int(picture.seconds)
    line.add_row(Text.assemble((f" {TITLE}", "bold"), (f"   {SUBTITLE}", "dim")), f"{seconds // 60}:{seconds % 60:02} ")
    return Group(line, "")


def _footer(picture: Picture) -> RenderableType:
    account = picture.account
    words = "the exchange's account: "
    if account:
        cash, coins, equity = (parse(account[name]) for name in ("cash", "long_market_value", "equity"))
        words += f"cash {usd(cash)} USD, coins {usd(coins)} USD, together {usd(equity)} USD"
    line = Table.grid(expand=True)
    line.add_column()
    line.add_column(justify="right")
    line.add_row(Text(f" {words}", "dim"), Text("Ctrl-C ends it ", "dim"))
    return line


def _columns(*columns: tuple[str, int, str], gap: int = 2) -> Table:
    """A table whose columns (title, width, side) keep their width while figures change; 0 takes what is left."""
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    for title, width, side in columns:
        justify = "right" if side == "right" else "left"
        table.add_column(title, width=width or None, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    return table


def _assets(picture: Picture) -> Table:
    right = "right"
    table = _columns(
        ("", 8, "left"),
        ("bid", 9, right),
        ("ask", 9, right),
        ("cycle", 8, "left"),
        ("average", 9, right),
        ("buys at", 9, right),
        ("", GAUGE, "left"),
        ("sells at", 9, "left"),
    )
    for symbol, tick in picture.quotes.items():
        told = picture.books.get(symbol)
        bid, ask = price(tick.bid, symbol), price(tick.ask, symbol)
        table.add_row(Text(symbol, "bold"), bid, ask, *(_position(told, tick) if told else ()))
    return table


def _position(told: Told, tick: Tick) -> Iterable[RenderableType]:
    cycle, symbol, holding = told.cycle, told.cycle.symbol, told.holding
    sell_at = told.sell_at
    return (
        Text(cycle.status.value, STYLES.get(cycle.status, "")),
        price(holding.average_price, symbol) if holding.held else "",
        "" if told.buy_at is None else price(told.buy_at, symbol),
        _gauge(told.buy_at, tick, sell_at if sell_at is not None else told.asset.last_sell_price),
        "" if sell_at is None else price(sell_at, symbol),
    )


def _gauge(low: Decimal | None, tick: Tick, high: Decimal | None) -> Text:
    """Where the price is between the next buy and the sale."""
    if low is None or high is None or low >= high:
        return Text("")
    place = int((tick.bid - low) / (high - low) * (GAUGE - 1))
    place = max(0, min(GAUGE - 1, place))
    return Text.assemble(("─" * place, "bright_black"), ("●", "cyan"), ("─" * (GAUGE - 1 - place), "bright_black"))


def _orders(picture: Picture) -> Table:
    table = _columns(
        ("", 8, "left"),
        ("holds", 11, "right"),
        ("last order", 50, "left"),
        ("cycles", 6, "right"),
        ("profit", 8, "right"),
    )
    for symbol in picture.quotes:
        told = picture.books.get(symbol)
        if told is None:
            table.add_row(Text(symbol, "bold"))
            continue
        orders = [order for cycle in told.cycles for order in cycle.orders]
        complete = [cycle for cycle in told.cycles if cycle.status is CycleStatus.COMPLETE]
        earned = sum((profit(cycle.orders) for cycle in complete), Decimal(0))
        held = told.holding.held
        table.add_row(
            Text(symbol, "bold"),
            text(held) if held else "",
            _last_order(orders[-1], symbol) if orders else "",
            str(len(complete)),
            Text(f"{earned:+.2f}", "green" if earned > 0 else "red") if complete else "",
        )
    return table


def _last_order(order: Order, symbol: str) -> Text:
    paid = order.filled_price or order.limit_price
    at = f" at {price(paid, symbol)}" if paid is not None else ""
    return Text.assemble(
        f"{name_of(order)}: {order.side.value} {text(order.quantity)}{at} ",
        (order.status.value.replace("_", " "), "dim"),
    )


def _chapters(picture: Picture) -> Table:
    table = Table.grid(padding=(0, 1))
    for number, scene in enumerate(picture.scenes):
        if number < len(picture.done):
            table.add_row(Text("✓", "green"), scene.title, Text(f"{picture.done[number]:.0f} s", "dim"))
        elif number == len(picture.done):
            arrow = ARROWS[scene.price]
            table.add_row(Text("▸", "cyan"), Text(scene.title, "bold"), Text(f"price {arrow}", "cyan"))
        else:
            table.add_row(Text("·", "dim"), Text(scene.title, "dim"), "")
    return table


def _log(events: list[Event]) -> Table:
    table = _columns(("", 5, "right"), ("", 8, "left"), ("", 0, "left"), gap=1)
    table.show_header = False
    for event in events:
        mark = Text("✓ ", "green") if event.is_chapter else Text("")
        sentence = Text.assemble(mark, (event.sentence, "green" if event.is_chapter else ""))
        table.add_row(Text(f"{event.seconds:.0f} s", "dim"), event.symbol, sentence)
    return table


def closing(console: Console, books: dict[str, Told], account: dict[str, Any]) -> None:
    """All orders, what each completed cycle came to, and what to do next."""
    console.print(_order_table(books))
    console.print(_cycle_table(books))
    equity = usd(parse(account["equity"]))
    console.print(
        f"The exchange's account began with {usd(START_CASH)} USD; with the coins it holds it is worth {equity}."
    )
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
            "" if paid is None else price(paid, symbol),
            order.status.value.replace("_", " "),
        )
    return table


def _cycle_table(books: dict[str, Told]) -> Table:
    table = _report("Completed cycles, in USD", ("asset",), ("spent", "sold", "fee of the sale", "profit"))
    for symbol, told in books.items():
        for cycle in told.cycles:
            if cycle.status is CycleStatus.COMPLETE:
                spent, sold = (_paid(cycle.orders, side) for side in (Side.BUY, Side.SELL))
                earned = profit(cycle.orders)
                table.add_row(symbol, usd(spent), usd(sold), usd(sold - spent - earned), f"{earned:+.2f}")
    return table


def _paid(orders: tuple[Order, ...], side: Side) -> Decimal:
    mine = (order.filled_quantity * (order.filled_price or 0) for order in orders if order.side is side)
    return sum(mine, Decimal(0))
