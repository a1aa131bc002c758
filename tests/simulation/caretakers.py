"""The three caretakers as they are: their `main(argv)`, with the simulation's parts where they look for their own."""

import argparse
import importlib
import logging
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from dcabot.adapters.config import ConfigError
from dcabot.adapters.database import DatabaseError
from dcabot.adapters.store import Store
from dcabot.commands import parser
from dcabot.core.reconcile import LAWS, Limits
from dcabot.core.snapshot import ExchangeError
from dcabot.executor import Executor
from dcabot.sync import Sync
from tests.simulation.books import Books, SimDatabase, SimStore
from tests.simulation.clockwork import Program, World
from tests.simulation.exchange import Exchange, SimBroker

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

    def run(self, name: str) -> Program:
        program = Program(self.world, name.replace("_", "-"))
        self.running = [one for one in self.running if not one.is_dead and one.actors]
        self.running.append(program)
        store = SimStore(SimDatabase(self.books, program), self.world.clock)
        broker = SimBroker(self.exchange, program)
        self.on_broker(broker)
        config = types.SimpleNamespace(orphan_orders=types.SimpleNamespace(value="own"))
        executor = Executor(store, broker, self.world.clock)  # type: ignore[arg-type]
        parts = Parts(store, broker, executor, self.world.clock, self.limits, config)
        self._parts[id(program)] = parts
        program.start(self._main, program, name)
        return program

    def parts(self) -> Parts:
        """Those of the program that runs now."""
        assert self.world.actor is not None
        return self._parts[id(self.world.actor.program)]

    def _main(self, program: Program, name: str) -> None:
        self.world.tell(program.name, "starts")
        try:
            importlib.import_module(f"dcabot.commands.{name}").main([])
            self.world.saw(f"{program.name} done")
        except (DatabaseError, ExchangeError, ConfigError) as error:
            self.world.saw(f"{program.name} unreachable")
            self.world.tell(program.name, "gives up: %s", error)
        finally:
            self._parts.pop(id(program), None)


class Arguments:
    """The product's parser, made once: it asks the disk for translations, a twentieth of a run's time."""

    def __init__(self, name: str, what: str) -> None:
        self._parser = parser(name, what)
        self._known: set[tuple[str, ...]] = set()

    def add_argument(self, *names: str, **options: Any) -> None:
        if names not in self._known:
            self._known.add(names)
            self._parser.add_argument(*names, **options)

    def parse_args(self, argv: list[str]) -> argparse.Namespace:
        return self._parser.parse_args(argv)


arguments = cache(Arguments)


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
            "assemble": lambda env_file: caretakers.parts(),
            "time": types.SimpleNamespace(sleep=world.pause),
        },
    }
    saved = []
    for name, values in given.items():
        module = importlib.import_module(f"dcabot.commands.{name}")
        for attribute, value in {**values, "start_logging": quiet, "parser": arguments}.items():
            saved.append((module, attribute, getattr(module, attribute)))
            setattr(module, attribute, value)
    try:
        yield
    finally:
        for module, attribute, value in saved:
            setattr(module, attribute, value)


class StoryLog(logging.Handler):
    """What the product logs, as lines of the story."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        actor = self.world.actor
        self.world.tell(actor.program.name if actor else "-", f"{record.levelname} {record.getMessage()}")
