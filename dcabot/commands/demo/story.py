"""What the demo tells: how the prices of each asset move, and which fact in the books ends each scene.

A scene gives the price a goal and ends when something has happened, however long that takes, so a slow machine only
makes the story longer. The same facts at the same steps make the same prices.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from dcabot.core.ledger import Holding, fold
from dcabot.core.model import Asset, Cycle, CycleStatus, OrderStatus, Purpose
from dcabot.core.money import ZERO
from dcabot.core.sale_price import sale_price
from dcabot.core.states import is_open
from dcabot.core.strategy import restart_price, safety_price
from dcabot.simulator.listings import LISTINGS
from dcabot.simulator.prices import Tick, quoted

START_CASH = Decimal(10_000)
TICK_MILLISECONDS = 200
PAUSE_SECONDS = Decimal("1.5")  # between two scenes, to look at what happened
BEYOND = Decimal("0.0015")  # how far past a threshold the price goes: more than noise and half the spread
HALF_SPREAD = Decimal("0.0002")
MILLION = 1_000_000
NOISE = 120  # largest new noise of a tick, in millionths of the price


@dataclass(frozen=True, slots=True)
class Told:
    """What the books say of one asset: its settings, and all its cycles, oldest first."""

    asset: Asset
    cycles: tuple[Cycle, ...]

    @property
    def cycle(self) -> Cycle:
        return self.cycles[-1]

    @property
    def holding(self) -> Holding:
        return fold(self.cycle.orders)

    @property
    def buy_at(self) -> Decimal | None:
        """The ask at which the next safety order, or the early restart, is due."""
        if self.cycle.status is CycleStatus.COOLDOWN:
            return restart_price(self.asset)
        return safety_price(self.asset, self.holding)

    @property
    def sell_at(self) -> Decimal | None:
        """The bid at which what is held is sold."""
        if not self.holding.held:
            return None
        return sale_price(self.asset, self.holding, LISTINGS[self.asset.symbol].instrument)

    def filled(self, purpose: Purpose) -> int:
        """How many orders of the current cycle are filled whole."""
        return sum(order.purpose is purpose and order.status is OrderStatus.FILLED for order in self.cycle.orders)


@dataclass(frozen=True, slots=True)
class Scene:
    """`goal` is where the price goes, None to stay; `happened` is the fact that ends it."""

    title: str
    price: str  # what the price does, in words
    goal: Callable[[Told], Decimal | None]
    happened: Callable[[Told], bool]
    seconds_min: Decimal = ZERO


def _stay(_: Told) -> None:
    return None


def _below_buy(told: Told) -> Decimal | None:
    return None if told.buy_at is None else told.buy_at * (1 - BEYOND)


def _above_sell(told: Told) -> Decimal | None:
    return None if told.sell_at is None else told.sell_at * (1 + BEYOND)


def _safety(title: str, count: int) -> Scene:
    return Scene(title, "falls", _below_buy, lambda told: told.filled(Purpose.SAFETY) >= count)


def _rest(seconds: int) -> Scene:
    return Scene("", "", _stay, lambda _: True, Decimal(seconds))


BASE = Scene("base order", "stands", _stay, lambda told: told.filled(Purpose.BASE) > 0)
TAKE_PROFIT = Scene("take profit", "rises", _above_sell, lambda told: told.cycle.status is CycleStatus.COOLDOWN)
COOLDOWN = Scene("cooldown", "stands", _stay, lambda told: told.cycle.status is CycleStatus.COOLDOWN, Decimal(6))
RESTART = Scene(
    "early restart", "falls", _below_buy, lambda told: len(told.cycles) > 1 and told.filled(Purpose.BASE) > 0
)


@dataclass(frozen=True, slots=True)
class Plot:
    """One asset: its row in `dca_assets`, the pace of its price in ratio a second, and its scenes."""

    symbol: str
    settings: dict[str, Decimal | int | bool]
    pace: Decimal
    scenes: tuple[Scene, ...]


def _settings(usd: int, safety_count: int, drop: str, profit: str, restart: str) -> dict[str, Decimal | int | bool]:
    return {
        "base_order_amount": Decimal(usd),
        "safety_order_amount": Decimal(usd),
        "max_safety_orders": safety_count,
        "safety_order_deviation": Decimal(drop),
        "take_profit_percent": Decimal(profit),
        "cooldown_period": 600,  # longer than the demo: what ends it is the price
        "buy_order_price_deviation_percent": Decimal(restart),
    }


PLOTS = (
    Plot(
        "BTC/USD",
        _settings(200, 3, "1.0", "1.5", "1.0"),
        Decimal("0.0015"),
        (BASE, _safety("first safety order", 1), _safety("second safety order", 2), TAKE_PROFIT, COOLDOWN, RESTART),
    ),
    Plot("ETH/USD", _settings(100, 2, "1.0", "1.0", "2.0"), Decimal("0.0006"), (BASE, _rest(4), TAKE_PROFIT)),
    Plot("SOL/USD", _settings(50, 2, "1.5", "2.0", "2.0"), Decimal("0.0007"), (BASE, _rest(6), _safety("", 1))),
)


@dataclass(slots=True)
class Price:
    """A price on its way: a steady pace toward the goal, and a little seeded noise."""

    symbol: str
    pace: Decimal
    middle: Decimal = field(init=False)
    noise: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.middle = LISTINGS[self.symbol].start_price
        self.dice = random.Random(self.symbol)

    def step(self, goal: Decimal | None, seconds: Decimal) -> Tick:
        """The next quote, `seconds` further on the way."""
        if goal is not None:
            reach = self.middle * self.pace * seconds
            self.middle += max(-reach, min(reach, goal - self.middle))
        self.noise = self.noise * 7 // 10 + self.dice.randint(-NOISE, NOISE)
        shown = self.middle * (MILLION + self.noise) / MILLION
        return quoted(ZERO, LISTINGS[self.symbol], shown, HALF_SPREAD)


class Telling:
    """One plot being told: which scene it is in, and its price."""

    def __init__(self, plot: Plot, speed: Decimal = Decimal(1)) -> None:
        self.plot = plot
        self.price = Price(plot.symbol, plot.pace)
        self.speed = speed
        self.done = 0
        self._step = TICK_MILLISECONDS * speed / 1000
        self._seconds = ZERO  # since this scene, or the pause before it, began
        self._pause = ZERO

    @property
    def scene(self) -> Scene | None:
        """The scene that is on; None when all are over."""
        return self.plot.scenes[self.done] if self.done < len(self.plot.scenes) else None

    @property
    def is_over(self) -> bool:
        """True when the last scene and the pause after it have passed."""
        return self.scene is None and self._seconds >= PAUSE_SECONDS

    def progress(self) -> str:
        """The scene that ended last, and what the price does now."""
        ended = f"{self.plot.scenes[self.done - 1].title} done"
        return ended if self.scene is None else f"{ended}; now the price {self.scene.price}"

    def tick(self, told: Told | None) -> Tick:
        """Look at the books, perhaps end the scene, and move the price."""
        self._seconds += self._step
        scene = self.scene
        if told is None or scene is None:
            return self.price.step(None, self._step)
        if scene.happened(told) and self._seconds >= self._pause + scene.seconds_min:
            self.done += 1
            self._seconds, self._pause = ZERO, PAUSE_SECONDS
            return self.price.step(None, self._step)
        goal = None if self._seconds < self._pause else scene.goal(told)
        return self.price.step(_within_reach(goal, told), self._step)


def _within_reach(goal: Decimal | None, told: Told) -> Decimal | None:
    """The goal, or below it the price that an open buy waits for: noise must not keep it waiting."""
    limits = [order.limit_price for order in told.cycle.orders if is_open(order) and order.limit_price is not None]
    if not limits:
        return goal
    filling = min(limits) * (1 - BEYOND / 3)
    return filling if goal is None else min(goal, filling)
