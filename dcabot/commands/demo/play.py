"""The demo from the first price to the last table."""

import sys
import time
from collections.abc import Callable
from decimal import Decimal

from dcabot.commands import DONE, FAILED
from dcabot.commands.demo.chronicle import Chronicle
from dcabot.commands.demo.screen import Picture
from dcabot.commands.demo.stage import Stage, StoryFailed, stage
from dcabot.commands.demo.story import PLOTS, TICK_MILLISECONDS, Telling
from dcabot.commands.demo.tables import closing
from dcabot.commands.demo.view import View, console_for, view_for
from dcabot.commands.terminal import beneath

DEADLINE_SECONDS = 240  # four times what it takes


def play(plain: bool, speed: Decimal, check: Callable[[], None]) -> int:
    """Tell the whole story; the exit code. `check` raises when we are to end."""
    console = console_for(beneath(sys.stdout))
    tellings = [Telling(plot, speed) for plot in PLOTS]
    try:
        with stage(PLOTS, [telling.tick(None) for telling in tellings]) as running:
            check()
            with view_for(console, plain) as view:
                _tell(running, tellings, view, check)
            running.stop_daemon()
            books, account = running.read_books(), running.account()
    except StoryFailed as failed:
        print(f"dcabot demo: {failed}", file=sys.stderr)
        return FAILED
    check()
    closing(console, books, account)
    return DONE


def _tell(running: Stage, tellings: list[Telling], view: View, check: Callable[[], None]) -> None:
    """Move the prices and look, several times a second, until the first plot is told."""
    hero = tellings[0]
    scenes, chronicle = hero.plot.scenes, Chronicle()
    chronicle.say(0, "", f"the daemon starts, process {running.process.pid}")
    done: list[float] = []
    seconds, last = 0.0, time.monotonic()
    seconds_max = int(DEADLINE_SECONDS / min(hero.speed, Decimal(1)))
    while not hero.is_over:
        books = running.read_books()
        chronicle.compare(seconds, books)
        quotes = {one.plot.symbol: one.tick(books.get(one.plot.symbol)) for one in tellings}
        for tick in quotes.values():
            running.publish(tick)
        if hero.done > len(done):
            done.append(seconds)
            chronicle.say(seconds, hero.plot.symbol, hero.progress(), is_chapter=True)
        view.show(Picture(seconds, quotes, books, running.account(), scenes, done, chronicle.events))
        time.sleep(TICK_MILLISECONDS / 1000)
        check()
        running.check_daemon()
        if hero.scene is not None and seconds > seconds_max:
            raise running.failure(f"no {hero.scene.title} within {seconds_max} s")
        now = time.monotonic()
        seconds += min(now - last, 1.0)  # what passed while the terminal held us (Ctrl-Z) does not count
        last = now
