"""Tables and figures for people: aligned in a terminal, and plain where nobody looks at it live."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from dcabot.commands import DONE, FAILED, USAGE
from dcabot.commands.terminal import beneath
from dcabot.core.foreign import plain, plain_lines
from dcabot.core.money import HUNDRED, text

CENT = Decimal("0.01")
WIDTH_PIPED = 200  # no terminal to fit into: let nothing be folded


class Output(Console):
    """rich's console, whose own way with a closed pipe is to end the program as a failure."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError


def console() -> Console:
    """Standard output as it is now; tests replace it."""
    width = None if sys.stdout.isatty() else WIDTH_PIPED
    made = Output(file=beneath(sys.stdout), width=width, highlight=False, soft_wrap=not sys.stdout.isatty())
    made.push_render_hook(HarmlessWords())
    return made


class HarmlessWords(RenderHook):
    """A hook of rich's that escapes the words of what is drawn and leaves rich's own colours and controls alone."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Drawn(one) for one in renderables]


class _Drawn:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, out: Console, options: ConsoleOptions) -> RenderResult:
        for piece in out.render(self._inner, options):
            yield piece if piece.control else Segment(plain_lines(piece.text), piece.style)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str = "",
    gap: int = 2,
) -> Table:
    """A table of figures, which are never cut, and of words, which are wrapped.

    Words are in the columns whose heading starts with `<`; `gap` is what lies between two columns.
    """
    cells = [list(row) for row in rows]
    made = Table(
        title=title or None,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, gap, 0, 0),
        header_style="bold",
    )
    for number, column in enumerate(columns):
        heading, here = column.removeprefix("<"), [row[number] for row in cells]
        if column.startswith("<"):
            made.add_column(heading, min_width=_widest(heading, *(word for cell in here for word in cell.split())))
        else:
            made.add_column(heading, justify="right", min_width=_widest(*heading.split(), *here))
    for row in cells:
        made.add_row(*map(_words, row))
    return made


def _words(cell: str) -> Text:
    """As it stands: no markup in it is obeyed, and no line ends in it."""
    return Text(plain(cell))


def _widest(*words: str) -> int:
    return max((len(word) for word in words), default=0)


def print_table(out: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; where the terminal is too narrow, its lines are broken by the terminal, not cut by us."""
    made = table(columns, rows)
    needed = Measurement.get(out, out.options.update(width=WIDTH_PIPED), made).minimum
    out.print(made, width=max(out.width, needed), crop=False)


class Fitted:
    """A table; where the terminal is too narrow for it, each row in words, for a live view cannot break its lines."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[str]], gap: int = 2) -> None:
        self.columns, self.rows, self.gap = columns, rows, gap

    def __rich_console__(self, out: Console, options: ConsoleOptions) -> RenderResult:
        made = table(self.columns, self.rows, gap=self.gap)
        # Tried, not measured: rich's measure counts on headings that it then does not break.
        drawn = " ".join(piece.text for line in out.render_lines(made, options) for piece in line)
        words = {word.lstrip("<") for row in (self.columns, *self.rows) for cell in row for word in cell.split()}
        if all(word in drawn for word in words):
            yield made
            return
        for name, *cells in self.rows:
            known = [(column, cell) for column, cell in zip(self.columns[1:], cells, strict=True) if cell != "-"]
            yield Text(f"{name}: {', '.join(cell if c.startswith('<') else f'{c} {cell}' for c, cell in known)}")


def usd(amount: Decimal | None) -> str:
    """Dollars to the cent, with thousands."""
    return "-" if amount is None else f"{amount.quantize(CENT, ROUND_HALF_EVEN):,}"


def price(value: Decimal | None) -> str:
    """A price: two decimals where they say enough, more for cheap coins."""
    if value is None:
        return "-"
    if abs(value) >= HUNDRED:
        return usd(value)
    return text(value.quantize(Decimal(1).scaleb(value.adjusted() - 5), ROUND_HALF_EVEN)) if value else "0"


def coins(quantity: Decimal) -> str:
    return text(quantity)


def percent(ratio: Decimal) -> str:
    return f"{(ratio * HUNDRED).quantize(CENT, ROUND_HALF_EVEN)} %"


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, in the largest fitting unit."""
    return "never" if at is None else f"{span(now - at)} ago"


def span(duration: timedelta) -> str:
    """A duration in at most two units: 45 s, 3 min, 2 h 5 min, 4 d 3 h."""
    seconds = max(0, duration // timedelta(seconds=1))
    if seconds < 120:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 120:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def refused(question: str, yes: bool) -> int:
    """Ask on the terminal, unless the answer was given beforehand: 0 to go on, or the exit code of a no."""
    if yes:
        return DONE
    if not sys.stdin.isatty():
        print(f"dcabot: {question} There is no terminal to ask on; --yes goes ahead", file=sys.stderr)
        return USAGE
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return DONE
    print("dcabot: nothing was done", file=sys.stderr)
    return FAILED
