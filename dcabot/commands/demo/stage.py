"""Everything the demo starts, and takes away again: a folder, the local Alpaca, the books, the daemon."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import dcabot
from dcabot.adapters import assets
from dcabot.adapters.database import DatabaseBusy, connect
from dcabot.adapters.dburl import parse_url
from dcabot.adapters.migrations import migrate
from dcabot.adapters.store import Store
from dcabot.commands import utc_now
from dcabot.commands.demo.story import START_CASH, Plot, Told
from dcabot.core.model import Asset, Cycle
from dcabot.core.states import OVER
from dcabot.simulator import Simulator, Tick, Timing

STOP_SECONDS = 8  # the daemon promises 5
LOG_LINES = 15
TIMING = Timing(new=0.7, remainder=0.5)  # slow enough to be seen
# Whatever else is set here is the user's own business: settings of a real bot, proxies, systemd's sockets.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE")


class StoryFailed(Exception):
    """What was to be shown did not happen; the message says what did, with the daemon's last words."""


@dataclass(slots=True)
class Stage:
    """What is running, and the two places where the truth is: the books and the exchange's account."""

    folder: Path
    alpaca: Simulator
    store: Store
    process: "subprocess.Popen[bytes]"
    _cycles: list[Cycle] = field(default_factory=list)
    _assets: dict[str, Asset] = field(default_factory=dict)

    def publish(self, tick: Tick) -> None:
        self.alpaca.set_quote(tick.symbol, tick.bid, tick.ask)

    def account(self) -> dict[str, Any]:
        return self.alpaca.account()

    def read_books(self) -> dict[str, Told]:
        """What the database says now, by symbol; assets without a cycle are left out."""
        try:
            known = -1
            while known != len(self._cycles):  # a new cycle is the last step of the one before: read that again
                known = len(self._cycles)
                self._read_cycles()
        except DatabaseBusy:
            pass  # the daemon writes; the next look is a moment away
        told: dict[str, list[Cycle]] = {}
        for cycle in self._cycles:
            told.setdefault(cycle.symbol, []).append(cycle)
        return {symbol: Told(self._assets[symbol], tuple(cycles)) for symbol, cycles in told.items()}

    def _read_cycles(self) -> None:
        for index, cycle in enumerate(self._cycles):
            if cycle.status not in OVER:
                self._read(index)
        while self._read(len(self._cycles)):
            pass

    def _read(self, index: int) -> bool:
        """Read the cycle of that place: ids count from 1. False when there is none yet."""
        entry = self.store.read_entry(index + 1)
        if entry is None:
            return False
        self._cycles[index : index + 1] = [entry.cycle]
        self._assets[entry.cycle.symbol] = entry.asset
        return True

    def check_daemon(self) -> None:
        """Raises StoryFailed when it has ended by itself."""
        code = self.process.poll()
        if code is not None:
            raise self.failure(f"the daemon ended by itself, exit code {code}")

    def stop_daemon(self) -> None:
        """End the daemon as systemd would. Raises StoryFailed when it does not end well."""
        code = _stop(self.process)
        if code != 0:
            raise self.failure(f"the daemon did not stop well, exit code {code}")

    def failure(self, what: str) -> StoryFailed:
        """An error that brings the end of the daemon's log, since the log goes with the folder."""
        words = (self.folder / "daemon.log").read_text(encoding="utf-8", errors="replace").splitlines()
        tail = [f"  {line}" for line in words[-LOG_LINES:]] or ["  (nothing)"]
        return StoryFailed("\n".join([what, "the daemon's last words:", *tail]))


@contextmanager
def stage(plots: tuple[Plot, ...], first: list[Tick]) -> Iterator[Stage]:
    """All of it running; when the block ends, however it ends, nothing of it is left."""
    with TemporaryDirectory(prefix="dcabot-demo-") as name:
        folder = Path(name)
        symbols = [plot.symbol for plot in plots]
        with Simulator(symbols=symbols, cash=START_CASH, timing=TIMING, partial_fills="0.3") as alpaca:
            for tick in first:
                alpaca.set_quote(tick.symbol, tick.bid, tick.ask)
            url = f"sqlite:///{quote(str(folder / 'books.db'))}"
            store = _books(url, plots)
            try:
                with _daemon(folder, {**alpaca.env(), "DB_URL": url, "DCABOT_ASSET_REFRESH_SECONDS": "1"}) as process:
                    yield Stage(folder, alpaca, store, process)
            finally:
                store.database.close_all()


def _books(url: str, plots: tuple[Plot, ...]) -> Store:
    """A database as `dcabot db init` makes it, with the plots' assets in it."""
    settings = parse_url(url)
    migrate(settings)
    database = connect(settings)
    for plot in plots:
        assets.add(database, plot.symbol, plot.settings, enabled=True, now=utc_now())
    return Store(database, utc_now)


@contextmanager
def _daemon(folder: Path, settings: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """`dcabot run` in a session of its own, so that Ctrl-C reaches us alone and we stop it in good order."""
    file = folder / "dcabot.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment["PYTHONPATH"] = str(Path(dcabot.__file__).parents[1])
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dcabot", "run", "--env-file", str(file)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> int:
    """SIGTERM, and SIGKILL for one that does not listen; its exit code. Safe to repeat."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
