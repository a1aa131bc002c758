"""The three caretakers as they are: their `main(argv)`, with the simulation's parts where they look for their own."""

import argparse
import importlib
import logging
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from dcabot.adapters.database import DatabaseError
from dcabot.adapters.rows import RowFault
from dcabot.adapters.store import Store
from dcabot.commands import cycle, parser
from dcabot.core.reconcile import LAWS, Limits
from dcabot.core.snapshot import ExchangeError
from dcabot.executor import Executor
from dcabot.sync import Sync
from tests.simulation.books import Books, SimDatabase, SimStore
from tests.simulation.clockwork import Program, World
from tests.simulation.exchange import Exchange, SimBroker

MISSING = object()
CARETAKERS = ("order_manager", "cooldown_manager", "consistency_checker")


@dataclass
class Parts:
    """What `commands/wiring.py` puts together."""

    store: Store
    broker: Any
    executor: Executor
    clock: Callable[[], datetime]
    limits: Limits
    config: Any

    def sync(self, laws: tuple[str, ...] = tuple(LAWS)) -> Sync:
        return Sync(self.store, self.broker, self.executor, self.clock, self.limits, laws)


class Caretakers:
    """Starts them as the timers do: each run is a process of its own, beside whoever runs."""

    def __init__(self, world: World, books: Books, exchange: Exchange, limits: Limits) -> None:
        self.world, self.books, self.exchange = world, books, exchange
        self.limits = limits
        self.running: list[Program] = []
        self.on_broker: Callable[[SimBroker], None] = lambda broker: None
        self._parts: dict[int, Parts] = {}

    def run(self, name: str, *argv: str) -> Program:
        """One of `commands/` with these arguments, from its start to its end."""
        program = Program(self.world, "-".join([name.replace("_", "-"), *argv[:1]]))
        self.running = [one for one in self.running if not one.is_dead and one.actors]
        self.running.append(program)
        store = SimStore(SimDatabase(self.books, program), self.world.clock)
        broker = SimBroker(self.exchange, program)
        self.on_broker(broker)
        config = types.SimpleNamespace(
            orphan_orders=types.SimpleNamespace(value="own"), venue=types.SimpleNamespace(value="paper")
        )
        executor = Executor(store, broker, self.world.clock)  # type: ignore[arg-type]
        parts = Parts(store, broker, executor, self.world.clock, self.limits, config)
        self._parts[id(program)] = parts
        program.start(self._main, program, name, argv)
        return program

    def say(self, *words: object, file: object = None) -> None:
        """What a command prints."""
        assert self.world.actor is not None
        self.world.tell(self.world.actor.program.name, "%s", " ".join(map(str, words)))

    def parts(self) -> Parts:
        """Those of the program that runs now."""
        assert self.world.actor is not None
        return self._parts[id(self.world.actor.program)]

    def _main(self, program: Program, name: str, argv: tuple[str, ...]) -> None:
        self.world.tell(program.name, "starts %s", " ".join(argv))
        try:
            code = importlib.import_module(f"dcabot.commands.{name}").main(list(argv))
            self.world.saw(f"{program.name} {'failed' if code else 'done'}")
        except (DatabaseError, ExchangeError, RowFault) as error:
            self.world.saw(f"{program.name} unreachable")
            self.world.tell(program.name, "gives up: %s", error)
        finally:
            self._parts.pop(id(program), None)


class Arguments:
    """The product's parser, made once: it asks the disk for translations, a twentieth of a run's time."""

    def __init__(self, name: str, what: str, logs: bool = False) -> None:
        self._parser = parser(name, what, logs)
        self._known: set[tuple[str, ...]] = set()

    def add_argument(self, *names: str, **options: Any) -> None:
        if names not in self._known:
            self._known.add(names)
            self._parser.add_argument(*names, **options)

    def parse_args(self, argv: list[str]) -> argparse.Namespace:
        return self._parser.parse_args(argv)


arguments = cache(Arguments)
cycle_parser = cache(cycle.make_parser)


@contextmanager
def stage(caretakers: Caretakers) -> Iterator[None]:
    """Their modules find the simulation's clock, parts and pause."""
    world = caretakers.world
    quiet: Callable[..., None] = lambda verbose=False: None  # noqa: E731
    given: dict[str, dict[str, Any]] = {
        "order_manager": {"assemble": lambda env_file: caretakers.parts()},
        "cooldown_manager": {
            "load": lambda *given: None,
            "open_books": lambda config: caretakers.parts().store,
            "utc_now": world.clock,
        },
        "consistency_checker": {
            "build": lambda env_file: caretakers.parts(),
            "check_schema": lambda config: None,
            "check_books_account": lambda parts: None,
            "utc_now": world.clock,
            "time": types.SimpleNamespace(sleep=world.pause, monotonic=world.monotonic),
        },
    }
    for values in given.values():
        values.update(start_logging=quiet, parser=arguments)
    given["cycle"] = {
        "assemble": lambda env_file: caretakers.parts(),
        "time": types.SimpleNamespace(sleep=world.pause, monotonic=world.monotonic),
        "start_logging": quiet,
        "utc_now": world.clock,
        "make_parser": cycle_parser,
    }
    given["cycle_adopt"] = {"utc_now": world.clock}
    with ExitStack() as stack:
        for name, values in given.items():
            module = importlib.import_module(f"dcabot.commands.{name}")
            for attribute, value in values.items():
                # Else a name that moved leaves the program with its own parts, and it does nothing.
                assert hasattr(module, attribute), f"{name} has no {attribute}"
                stack.enter_context(instead(module, attribute, value))
            stack.enter_context(instead(module, "print", caretakers.say))
        yield


@contextmanager
def instead(owner: Any, name: str, value: Any) -> Iterator[None]:
    """For a while, one thing in the place of another, or of none."""
    saved = vars(owner).get(name, MISSING)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if saved is MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, saved)


class StoryLog(logging.Handler):
    """What the product logs, as lines of the story."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        actor = self.world.actor
        self.world.tell(actor.program.name if actor else "-", f"{record.levelname} {record.getMessage()}")
