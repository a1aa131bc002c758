"""A cycle told as a script: each line does one thing to the bot and says what comes of it.

    rules base=20 safety=20 step=2% take_profit=1%   settings; also safeties, cooldown, restart, fee, quantity_step,
                                                     price_step. Later in a script: changed settings
    quote 100.00/100.10 -> buy base 0.1998 @ 100.1   bid/ask, and the decision
    fill base [@ 100.05]                             all of the newest base order, at its limit or the last bid
    part base 0.05 [@ 100.05]                        so much of it in all
    canceled | expired | rejected base               it ends with what it has
    unheard fill base                                the same, but no message of it arrives
    refuse base why                                  the answer to the request was no
    lose base                                        the request never arrives
    unanswered base                                  it arrives, the answer does not; the program dies
    surface base                                     a lost request arrives after all
    deny base                                        the exchange does not know the order any more
    position 0.5                                     somebody traded by hand
    left 0.2 · wait 300 · sweep · restart · enable · disable

A request that nothing else is said of is accepted. `->` may be left out: then nothing may come of it. An expectation
that ends in `...` needs to match only so far.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from dcabot.core.absence import Departure
from dcabot.core.model import Cycle, Decision, EndedBy, Order, OrderStatus, Purpose, Side
from dcabot.core.money import HUNDRED, text
from tests.scenarios.world import World, holding_of

RULES: dict[str, str] = {
    "base": "base_notional",
    "safety": "safety_notional",
    "safeties": "safety_count_max",
    "step": "safety_drop_ratio",
    "take_profit": "take_profit_ratio",
    "cooldown": "cooldown_seconds",
    "restart": "restart_drop_ratio",
}
NOTHING = "nothing"


def scenario(test: Callable[[], None]) -> Callable[[], None]:
    """The test whose docstring is the script."""

    def played() -> None:
        play(test.__doc__ or "")

    played.__name__, played.__doc__ = test.__name__, test.__doc__
    return played


def play(script: str) -> None:
    """Run a script; fail with the script itself, the first differing line marked."""
    lines = [line.strip() for line in script.strip().splitlines()]
    world = World()
    for number, line in enumerate(lines):
        command, _, expected = (part.strip() for part in line.partition("->"))
        if not command or command.startswith("#"):
            continue
        outcome = step(world, command)
        if not _agrees(outcome, expected or NOTHING):
            pytest.fail(_marked(lines, number, outcome), pytrace=False)


def _agrees(outcome: str, expected: str) -> bool:
    if expected.endswith("..."):
        return outcome.startswith(expected.removesuffix("..."))
    return outcome == expected


def _marked(lines: list[str], wrong: int, outcome: str) -> str:
    shown = [f"{'>>> ' if n == wrong else '    '}{line}" for n, line in enumerate(lines)]
    command = lines[wrong].partition("->")[0].rstrip()
    return "\n".join([*shown[: wrong + 1], f"got {command} -> {outcome}", *shown[wrong + 1 :]])


def step(world: World, command: str) -> str:
    """Do what one line says and tell what came of it."""
    word, *words = command.split()
    if word in {"refuse", "lose", "unanswered"}:
        before = world.cycle
        return _told(world, before, _answered(world, word, words))
    world.answer()
    before = world.cycle
    return _told(world, before, COMMANDS[word](world, words))


def _answered(world: World, word: str, words: list[str]) -> list[Decision]:
    order = _newest(world, words[0])
    if word == "refuse":
        return _some(world.hear_refusal(order, " ".join(words[1:])))
    if word == "unanswered":
        world.arrive(order)
    world.forget()
    return []


def _rules(world: World, words: list[str]) -> list[Decision]:
    settings = dict(word.split("=") for word in words)
    values: dict[str, Any] = {name: _number(value) for name, value in settings.items()}
    changes = {RULES[name]: value for name, value in values.items() if name in RULES}
    for name in ("safety_count_max", "cooldown_seconds"):
        if name in changes:
            changes[name] = int(changes[name])
    world.asset = replace(world.asset, rules=replace(world.asset.rules, **changes))
    steps = {name: values[name] for name in ("quantity_step", "price_step") if name in values}
    world.instrument = replace(world.instrument, **steps)
    world.fee_ratio = values.get("fee", world.fee_ratio)
    return []


def _quote(world: World, words: list[str]) -> list[Decision]:
    bid, ask = (Decimal(price) for price in words[0].split("/"))
    return _some(world.see_quote(bid, ask))


def _fill(world: World, words: list[str]) -> list[Decision]:
    order = _newest(world, words[0])
    return _report(world, order, OrderStatus.FILLED, order.quantity, words)


def _part(world: World, words: list[str]) -> list[Decision]:
    return _report(world, _newest(world, words[0]), OrderStatus.PARTIALLY_FILLED, Decimal(words[1]), words)


def _end(status: OrderStatus) -> Callable[[World, list[str]], list[Decision]]:
    def end(world: World, words: list[str]) -> list[Decision]:
        order = _newest(world, words[0])
        filled = world.exchange[order.client_order_id].filled_quantity
        return _report(world, order, status, filled, words)

    return end


def _report(world: World, order: Order, status: OrderStatus, filled: Decimal, words: list[str]) -> list[Decision]:
    assert world.quote
    price = Decimal(words[-1]) if "@" in words else order.limit_price or world.quote.bid
    return _some(world.hear(world.execute(order.client_order_id, status, filled, price)))


def _unheard(world: World, words: list[str]) -> list[Decision]:
    deaf = replace(world, past=list(world.past))  # the same exchange, and a bot that nobody listens to
    COMMANDS[words[0]](deaf, words[1:])
    world.position = deaf.position
    return []


def _surface(world: World, words: list[str]) -> list[Decision]:
    order = _newest(world, words[0])
    world.arrive(order)
    return _some(world.hear(world.exchange[order.client_order_id]))


def _deny(world: World, words: list[str]) -> list[Decision]:
    del world.exchange[_newest(world, words[0]).client_order_id]
    return []


def _position(world: World, words: list[str]) -> list[Decision]:
    world.position = Decimal(words[0])
    return []


def _left(world: World, words: list[str]) -> list[Decision]:
    """What Alpaca answers when it is asked what left the account."""
    world.left = Departure(sold=Decimal(words[0]))
    return []


def _wait(world: World, words: list[str]) -> list[Decision]:
    world.now += timedelta(seconds=int(words[0]))
    return []


def _sweep(world: World, words: list[str]) -> list[Decision]:
    return world.sweep()


def _restart(world: World, words: list[str]) -> list[Decision]:
    world.forget()
    return world.sweep()


def _able(enabled: bool) -> Callable[[World, list[str]], list[Decision]]:
    def able(world: World, words: list[str]) -> list[Decision]:
        world.asset = replace(world.asset, enabled=enabled)
        return []

    return able


COMMANDS: dict[str, Callable[[World, list[str]], list[Decision]]] = {
    "rules": _rules,
    "quote": _quote,
    "fill": _fill,
    "part": _part,
    "canceled": _end(OrderStatus.CANCELED),
    "expired": _end(OrderStatus.EXPIRED),
    "rejected": _end(OrderStatus.REJECTED),
    "unheard": _unheard,
    "surface": _surface,
    "deny": _deny,
    "position": _position,
    "left": _left,
    "wait": _wait,
    "sweep": _sweep,
    "restart": _restart,
    "enable": _able(True),
    "disable": _able(False),
}


def _told(world: World, before: Cycle, decisions: list[Decision]) -> str:
    """What came of a step, in the words of the scripts: requests, then the position, else the status."""
    told = [_request(order) for decision in decisions for order in decision.submit]
    told += [f"cancel {order.purpose.value}" for decision in decisions for order in decision.cancel]
    if world.cycle.id != before.id:
        told += [_ended(cycle) for cycle in world.past if cycle.id >= before.id]
        told.append(world.cycle.status.value)
        return ", ".join(told)
    told += _holding(before, world.cycle)
    if (before.missing_since is None) != (world.cycle.missing_since is None):
        told.append("suspended" if world.cycle.missing_since else "trades on")
    if not told and world.cycle.status is not before.status:
        told.append(world.cycle.status.value)
    if not told and decisions and world.cycle == before:
        told = [f"says {decision.reason}" for decision in decisions]
    return ", ".join(told) or NOTHING


def _request(order: Order) -> str:
    if order.side is Side.SELL:
        return f"sell {text(order.quantity)}"
    return f"buy {order.purpose.value} {text(order.quantity)} @ {text(order.limit_price or Decimal(0))}"


def _ended(cycle: Cycle) -> str:
    if cycle.ended_by is EndedBy.SOLD_OUTSIDE:
        return "sold outside"
    return f"{cycle.status.value} at {text(holding_of(cycle).last_sell_price or Decimal(0))}"


def _holding(before: Cycle, after: Cycle) -> list[str]:
    old, new = holding_of(before), holding_of(after)
    told = []
    if (old.held, old.average_price) != (new.held, new.average_price):
        told.append(f"held {text(new.held)} average {text(new.average_price)}")
    if old.safety_count != new.safety_count:
        told.append(f"{new.safety_count} safety")
    return told


def _newest(world: World, purpose: str) -> Order:
    return world.newest(Purpose.TAKE_PROFIT if purpose == "sell" else Purpose(purpose))


def _some(decision: Decision | None) -> list[Decision]:
    return [decision] if decision else []


def _number(value: str) -> Decimal:
    return Decimal(value.removesuffix("%")) / HUNDRED if value.endswith("%") else Decimal(value)
