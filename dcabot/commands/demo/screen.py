"""What the live view draws. It fits a terminal of 80 columns and 24 lines, and shows more in a larger one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import ConsoleDimensions, JustifyMethod, RenderableType
from rich.layout import Layout
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dcabot.commands.console import price
from dcabot.commands.demo.chronicle import Event, name_of, usd
from dcabot.commands.demo.story import Scene, Told
from dcabot.core.model import CycleStatus, Order
from dcabot.core.money import ZERO, parse, text
from dcabot.core.profit import profit
from dcabot.simulator import Tick

WIDTH_MIN, HEIGHT_MIN = 80, 22
WIDE, HIGH = 98, 28  # from here on there is room for everything
TITLE = "dcabot demo"
SUBTITLE = "the real daemon on a local Alpaca: no account, no server"
STYLES = {
    CycleStatus.BUYING: "yellow",
    CycleStatus.SELLING: "yellow",
    CycleStatus.COOLDOWN: "blue",
    CycleStatus.WATCHING: "green",
    CycleStatus.ERROR: "bold red",
}
ARROWS = {"falls": "↓", "stands": "→", "rises": "↑"}
GAUGE = 13
FRAME = "bright_black"
Column = tuple[str, int, JustifyMethod]  # title, width (0 takes what is left), side


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

    @property
    def hero(self) -> str:
        """The asset whose story is told."""
        return next(iter(self.quotes))


def screen(picture: Picture, size: ConsoleDimensions) -> Layout:
    """Everything, for a terminal of this size."""
    is_large = size.width >= WIDE and size.height >= HIGH
    rows = 3 + len(picture.quotes)
    parts = [
        Layout(_ends(Text.assemble((TITLE, "bold"), (f"   {SUBTITLE}", "dim")), _clock(picture)), size=1 + is_large),
        Layout(_panel("Assets", _assets(picture, is_large)), size=rows),
        Layout(_panel("Orders", _orders(picture, is_large)), size=rows),
    ]
    footer = Layout(_ends(_account(picture), Text("Ctrl-C ends it", "dim")), size=1)
    lines = max(1, size.height - 2 * rows - 4 - is_large)
    below = Layout(ratio=1)
    if is_large:
        below.split_row(
            Layout(_panel(f"The story of {picture.hero}", _chapters(picture)), size=34),
            Layout(_panel("What happened", _log(picture.events[-lines:])), ratio=1),
        )
    else:
        parts.insert(1, Layout(Padding(_chapter_line(picture), (0, 1)), size=2))
        below.update(_panel("What happened", _log(picture.events[-max(1, lines - 2) :])))
    layout = Layout()
    layout.split_column(*parts, below, footer)
    return layout


def _panel(title: str, inside: RenderableType) -> Panel:
    return Panel(inside, title=title, title_align="left", border_style=FRAME, padding=(0, 1))


def _ends(left: Text, right: Text) -> Padding:
    """A line with something at both of its ends."""
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, ratio=1)
    line.add_column(no_wrap=True)
    line.add_row(left, right)
    return Padding(line, (0, 1))


def _clock(picture: Picture) -> Text:
    minutes, seconds = divmod(int(picture.seconds), 60)
    return Text(f"{minutes}:{seconds:02}")


def _account(picture: Picture) -> Text:
    """What the exchange says that we have."""
    cash, coins, equity = (usd(parse(picture.account[name])) for name in ("cash", "long_market_value", "equity"))
    return Text(f"account: {cash} USD and coins for {coins}, together {equity}", "dim")


def _columns(*columns: Column, gap: int = 2) -> Table:
    """A table whose columns keep their width while figures change."""
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    for title, width, side in columns:
        table.add_column(title, width=width or None, justify=side, no_wrap=True)
    return table


def _assets(picture: Picture, is_large: bool) -> Table:
    columns: list[Column] = [("", 8, "left"), ("bid", 9, "right"), ("ask", 9, "right"), ("cycle", 8, "left")]
    columns += [("average", 9, "right"), ("buys at", 9, "right")]
    columns += [("", GAUGE, "left"), ("sells at", 9, "left")] if is_large else [("sells at", 9, "right")]
    table = _columns(*columns)
    for symbol, tick in picture.quotes.items():
        told = picture.books.get(symbol)
        cells: list[RenderableType] = [Text(symbol, "bold"), price(tick.bid), price(tick.ask)]
        if told is not None:
            cells += _position(told)
            if is_large:
                cells.insert(-1, _gauge(told, tick))
        table.add_row(*cells)
    return table


def _position(told: Told) -> Iterable[RenderableType]:
    """How the cycle stands, what it paid, and at which prices it acts."""
    status, holding = told.cycle.status, told.holding
    prices = (holding.average_price if holding.held else None, told.buy_at, told.sell_at)
    yield Text(status.value, STYLES.get(status, ""))
    yield from ("" if one is None else price(one) for one in prices)


def _gauge(told: Told, tick: Tick) -> Text:
    """Where the price is between the next buy and the sale, or in a cooldown the last one."""
    low, high = told.buy_at, told.sell_at or told.asset.last_sell_price
    if low is None or high is None or low >= high:
        return Text("")
    place = int((tick.bid - low) / (high - low) * (GAUGE - 1))
    place = max(0, min(GAUGE - 1, place))
    return Text.assemble(("─" * place, FRAME), ("●", "cyan"), ("─" * (GAUGE - 1 - place), FRAME))


def _orders(picture: Picture, is_large: bool) -> Table:
    last: Column = ("last order", 50 if is_large else 33, "left")
    table = _columns(("", 8, "left"), ("holds", 11, "right"), last, ("cycles", 6, "right"), ("profit", 6, "right"))
    for symbol in picture.quotes:
        told = picture.books.get(symbol)
        table.add_row(Text(symbol, "bold"), *(_work(told, is_large) if told else ()))
    return table


def _work(told: Told, is_large: bool) -> Iterable[RenderableType]:
    """What is held, the newest order, and what the completed cycles earned."""
    orders = [order for cycle in told.cycles for order in cycle.orders]
    complete = [cycle for cycle in told.cycles if cycle.status is CycleStatus.COMPLETE]
    earned = sum((profit(cycle.orders) for cycle in complete), ZERO)
    held = told.holding.held
    yield text(held) if held else ""
    yield _last_order(orders[-1], is_large) if orders else ""
    yield str(len(complete))
    yield Text(f"{earned:+.2f}", "green" if earned > 0 else "red") if complete else ""


def _last_order(order: Order, is_large: bool) -> Text:
    paid = order.filled_price or order.limit_price
    words = f"{name_of(order)}: {order.side.value} {text(order.quantity)}" if is_large else name_of(order)
    at = f" at {price(paid)}" if paid is not None else ""
    return Text.assemble(f"{words}{at} ", (order.status.value.replace("_", " "), "dim"))


def _chapters(picture: Picture) -> Table:
    table = Table.grid(padding=(0, 1))
    for number, scene in enumerate(picture.scenes):
        note = Text("")
        if number < len(picture.done):
            note = Text(f"{picture.done[number]:.0f} s", "dim")
        elif number == len(picture.done):
            note = Text(f"price {ARROWS[scene.price]}", "cyan")
        table.add_row(*_chapter(picture, number), note)
    return table


def _chapter_line(picture: Picture) -> Text:
    """All chapters in two lines."""
    words = [Text(" ").join(_chapter(picture, number)) for number in range(len(picture.scenes))]
    half = len(words) // 2
    return Text("\n").join(Text("   ").join(some) for some in (words[:half], words[half:]))


def _chapter(picture: Picture, number: int) -> tuple[Text, Text]:
    """A scene's mark and title: told, being told, to come."""
    title = picture.scenes[number].title
    if number < len(picture.done):
        return Text("✓", "green"), Text(title)
    if number == len(picture.done):
        return Text("▸", "cyan"), Text(title, "bold")
    return Text("·", "dim"), Text(title, "dim")


def _log(events: list[Event]) -> Table:
    table = _columns(("", 5, "right"), ("", 8, "left"), ("", 0, "left"), gap=1)
    table.show_header = False
    for event in events:
        mark, style = ("✓ ", "green") if event.is_chapter else ("", "")
        table.add_row(Text(f"{event.seconds:.0f} s", "dim"), event.symbol, Text(f"{mark}{event.sentence}", style))
    return table
