"""One thread, one virtual clock, and everything that happens in one queue.

The product code is synchronous. Each of its threads is a greenlet here, which gives the turn away at every door
(`World.pause`) and gets it back when its time has come. Between two pauses nobody else runs: that is a step.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from greenlet import getcurrent, greenlet

from dcabot.adapters import schema
from tests.builders import START
from tests.simulation.chance import Chance

STEPS_MAX = 60_000


class Crash(BaseException):
    """The process is gone: nothing of it may run any more, so no `except Exception` may see this."""


class Failed(Exception):
    """The run broke a law; the message says which and how."""

    def __init__(self, law: str, story: str) -> None:
        super().__init__(f"{law}: {story}")
        self.law = law


class Signal:
    """What an actor waits for; it stays set until it was waited for."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._waiter: Actor | None = None
        self.is_set = False

    def set(self) -> None:
        self.is_set = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._world.wake(waiter)

    def wait(self, seconds: float) -> None:
        """Until it is set, at most so long."""
        if not self.is_set:
            actor = self._waiter = self._world.actor
            self._world.pause(seconds)
            if self._waiter is actor:
                self._waiter = None
        self.is_set = False


class Program:
    """A process: the actors in it live and die together."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.is_dead = False
        self.actors: list[Actor] = []
        self.at_end: list[Callable[[], None]] = []

    def start(self, work: Callable[..., object], *given: Any) -> "Actor":
        actor = Actor(self, work, given)
        self.actors.append(actor)
        self.world.wake(actor)
        return actor

    def kill(self) -> None:
        """`kill -9`: every actor ends at the door where it stands."""
        if self.is_dead:
            return
        self.is_dead = True
        for actor in self.actors:
            self.world.wake(actor)
        for callback in self.at_end:
            callback()


class Actor:
    """One thread of a program."""

    def __init__(self, program: Program, work: Callable[..., object], given: tuple[Any, ...]) -> None:
        self.program = program
        self.turn = 0  # entries of the queue for an older turn are void
        self.is_over = False
        self._work, self._given = work, given
        self.greenlet = greenlet(self._run, program.world.hub)

    def _run(self) -> None:
        try:
            if not self.program.is_dead:
                self._work(*self._given)
        except Crash:
            pass
        finally:
            self.is_over = True
            if self in self.program.actors:
                self.program.actors.remove(self)


class World:
    """The clock, the queue, the dice and the story."""

    def __init__(self, chance: Chance, tells: bool = False) -> None:
        self.chance = chance
        self.now = 0.0  # true seconds since START
        self.skew = 0.0  # what the bot's host adds to them
        self.steps = 0
        self.seen: Counter[str] = Counter()  # what the run came to, for the summary
        self.tells = tells
        self.story: list[str] = []
        self.hub = getcurrent()
        self.actor: Actor | None = None
        self.last_program: Program | None = None  # whose step was the last
        self.after_step: Callable[[], None] = lambda: None
        self._queue: list[tuple[float, int, Any, int]] = []
        self._number = 0

    # Time

    def clock(self) -> datetime:
        """What the bot's host believes."""
        return START + timedelta(seconds=self.now + self.skew)

    def true_time(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def monotonic(self) -> float:
        return self.now

    # Turns

    def at(self, delay: float, callback: Callable[[], object]) -> None:
        """Something that happens by itself after so many seconds."""
        self._push(delay, callback, 0)

    def wake(self, actor: Actor, delay: float = 0.0) -> None:
        actor.turn += 1
        self._push(delay, actor, actor.turn)

    def pause(self, seconds: float) -> None:
        """The present actor gives the turn away for so long. Raises Crash when its program died meanwhile."""
        actor = self.actor
        assert actor is not None, "only an actor can wait"
        if actor.program.is_dead:
            raise Crash
        self.wake(actor, seconds)
        engine, schema.current.engine = schema.current.engine, None
        self.actor = None
        self.hub.switch()
        self.actor = actor
        schema.current.engine = engine
        if actor.program.is_dead:
            raise Crash

    def run(self, until: float, is_done: Callable[[], bool] = lambda: False) -> bool:
        """Take turns until this instant, or until it is done; False when time ran out first."""
        while self._queue and self._queue[0][0] <= until:
            at, _, what, turn = heapq.heappop(self._queue)
            if isinstance(what, Actor) and (what.is_over or what.turn != turn):
                continue
            self.now = max(self.now, at)
            self._step(what)
            if is_done():
                return True
        self.now = max(self.now, until)
        return is_done()

    def end(self) -> None:
        """Unwind every actor that still waits."""
        for _, _, what, _ in self._queue:
            if isinstance(what, Actor):
                what.program.is_dead = True
        for _, _, what, _ in self._queue:
            if isinstance(what, Actor) and what.greenlet and not what.is_over:
                self.actor = what
                what.greenlet.throw(Crash)
        self.actor = None
        self._queue.clear()

    def _step(self, what: Any) -> None:
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise Failed("I10 liveness", f"{STEPS_MAX} steps and no end")
        if isinstance(what, Actor):
            self.actor = what
            self.last_program = what.program
            what.greenlet.switch()
            self.actor = None
        else:
            what()
        self.after_step()

    def _push(self, delay: float, what: Any, turn: int) -> None:
        self._number += 1
        heapq.heappush(self._queue, (self.now + delay, self._number, what, turn))

    # Story

    def tell(self, who: str, what: str, *given: object) -> None:
        """A line of the story; costs nothing when nobody listens."""
        if self.tells:
            sentence = what % given if given else what
            self.story.append(f"{self.steps:6d}  {self.now:9.3f}  {who:<18} {sentence}")

    def saw(self, what: str) -> None:
        self.seen[what] += 1
