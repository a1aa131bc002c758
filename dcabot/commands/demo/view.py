"""Two ways to watch: a live view in a terminal that can show one, plain lines elsewhere."""

from types import TracebackType
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live

from dcabot.commands.console import Output
from dcabot.commands.demo.screen import HEIGHT_MIN, SUBTITLE, TITLE, WIDTH_MIN, Picture, screen

PIPE_WIDTH = 100


class View(Protocol):
    def __enter__(self) -> "View": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, picture: Picture) -> None: ...


def console_for(file: TextIO) -> Console:
    """Where everything is printed. A pipe or file gets lines as wide as the tables need."""
    return Output(file=file, highlight=False, width=None if file.isatty() else PIPE_WIDTH)


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
        self._live.update(screen(picture, self._console.size), refresh=True)
