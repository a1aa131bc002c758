"""Which quotes may decide: impossible, stale and jumping prices are named and ignored."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core.model import Quote
from dcabot.core.money import text

JUMP_RATIO = Decimal("0.5")  # system.md section 9: a 50 % jump in one quote
BELIEVED_AFTER = timedelta(seconds=10)  # a jump is believed once quotes have agreed with it this long


@dataclass(frozen=True, slots=True)
class Screen:
    """What the last quotes of one symbol were: the last believed one, and the first of a doubted run."""

    believed: Quote | None = None
    doubted: Quote | None = None
    fault: str = ""
    compared: bool = True  # False while the believed quote is the first of all, which nothing else has borne out


def remembered(symbol: str, price: Decimal | None, at: datetime) -> Screen:
    """What the first quote after a start is compared with: the last price we traded at, if there is one."""
    return Screen() if price is None else Screen(believed=Quote(symbol, price, price, at))


def screen(before: Screen, quote: Quote) -> Screen:
    """The screen after this quote; `fault` is a sentence when the quote must not decide, else empty."""
    fault = impossible(quote)
    if fault:
        return replace(before, fault=fault)
    if before.believed is None:
        return Screen(believed=quote, compared=False)
    if not _jumps(before.believed, quote):
        return Screen(believed=quote, compared=before.compared or quote != before.believed)
    doubted = before.doubted
    # One from the future would wait for its own time.
    if doubted is None or _jumps(doubted, quote) or quote.at < doubted.at:
        doubted = quote
    if quote.at - doubted.at >= BELIEVED_AFTER:
        return Screen(believed=quote)
    fault = (
        f"{quote.symbol}: the price jumped from {text(before.believed.ask)} to {text(quote.ask)} in one quote; "
        f"waiting {BELIEVED_AFTER.seconds} s for others to agree"
    )
    return Screen(before.believed, doubted, fault, before.compared)


def impossible(quote: Quote) -> str:
    """A sentence when no market can quote this, else empty."""
    if not (quote.bid.is_finite() and quote.ask.is_finite()):
        return f"{quote.symbol}: a price that is no number: bid {quote.bid}, ask {quote.ask}"
    if quote.bid <= 0 or quote.ask <= 0:
        return f"{quote.symbol}: a price of zero or below: {quote!r}"
    if quote.bid > quote.ask:
        return f"{quote.symbol}: the bid is above the ask: {quote!r}"
    return ""


def stale(quote: Quote, now: datetime, max_age: timedelta) -> bool:
    """True when the quote is too old, or too far in the future, to decide anything."""
    return abs(now - quote.at) > max_age


def _jumps(old: Quote, new: Quote) -> bool:
    return abs(new.ask - old.ask) >= old.ask * JUMP_RATIO or abs(new.bid - old.bid) >= old.bid * JUMP_RATIO
