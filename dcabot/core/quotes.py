"""Which quotes may decide: impossible, jumping and far-off ones are named and ignored, and the newest counts."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core.model import EPOCH, Quote
from dcabot.core.money import text

JUMP_RATIO = Decimal("0.5")  # a jump of half the price in one quote is doubted
REST_SPEAKS_FOR = timedelta(seconds=15)  # REST is asked about a silent pair every ten
BELIEVED_AFTER = timedelta(seconds=10)  # a jump is believed once quotes have agreed with it this long


@dataclass(frozen=True, slots=True)
class Screen:
    """What the last quotes of one symbol were: the last believed one, and the first of a doubted run."""

    believed: Quote | None = None
    doubted: Quote | None = None
    fault: str = ""
    since: datetime = EPOCH  # what is older decides nothing, though nothing newer is believed
    compared: bool = True  # False while the believed quote is the first of all, which nothing else has borne out


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one pair's price.

    `is_live`: the newest believed quote came by a stream that is still connected. `rest` is REST's latest quote,
    `asked_at` when it was asked for: on a quiet pair the book does not move for minutes, and its quote is current.
    """

    screen: Screen = Screen()
    is_live: bool = False
    rest: Quote | None = None
    asked_at: datetime | None = None

    @property
    def newest(self) -> Quote | None:
        """The newest believed quote, whichever way it came."""
        return self.screen.believed

    def streamed(self, quote: Quote, latest: datetime) -> "Seen":
        """After a quote of the stream; `latest` is as far in the future as a quote may be."""
        after = screen(self.screen, quote, latest)
        is_live = self.is_live if after.believed != quote else True
        return replace(self, screen=after, is_live=is_live)

    def answered(self, quote: Quote, asked_at: datetime, latest: datetime) -> "Seen":
        """After an answer of REST."""
        after = screen(self.screen, quote, latest)
        is_newer = after.believed == quote and quote != self.newest
        is_live = self.is_live and not is_newer
        return replace(self, screen=after, is_live=is_live, rest=quote, asked_at=asked_at)

    def cut_off(self) -> "Seen":
        """After the stream was lost: what it brought may have been overtaken since."""
        return replace(self, is_live=False)

    def unfollowed(self) -> "Seen":
        """After a while in which nobody told of the pair's price: whatever was known is a price of before.

        The next quote is still compared with it.
        """
        return replace(self, is_live=False, rest=None, asked_at=None)

    def is_usable(self, now: datetime, max_age: timedelta) -> bool:
        """True when the newest quote is a price of now."""
        quote = self.newest
        if quote is None:
            return False
        if self.is_live and not stale(quote, now, max_age):
            return True
        return self._rest_says_the_same(quote, now)

    def _rest_says_the_same(self, quote: Quote, now: datetime) -> bool:
        if self.rest is None or self.asked_at is None or self.rest.at != quote.at:
            return False
        return abs(now - self.asked_at) <= REST_SPEAKS_FOR


def remembered(symbol: str, price: Decimal | None, since: datetime = EPOCH) -> Screen:
    """What the first quote after a start is compared with: the last price we traded at, if there is one.

    `since` is the time of a quote that came already, and that nothing had borne out.
    """
    if price is None:
        return Screen(since=since)
    return Screen(believed=Quote(symbol, price, price, EPOCH), since=since)


def screen(before: Screen, quote: Quote, latest: datetime) -> Screen:
    """The screen after this quote; `fault` is a sentence when the quote must not decide, else empty.

    One that is older than the newest believed changes nothing. One later than `latest` comes from the future: if it
    were believed, none of the true ones would be newer.
    """
    fault = impossible(quote)
    if fault:
        return replace(before, fault=fault)
    if quote.at > latest:
        return replace(before, fault=f"{quote.symbol}: a quote from the future, {quote.at:%H:%M:%S} UTC")
    newest_at = before.since if before.believed is None else max(before.believed.at, before.since)
    if quote.at < newest_at:
        return replace(before, fault="")
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
    return replace(before, doubted=doubted, fault=fault)


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
