"""The second look at a price that sells at the market: REST must bear out what the stream told.

One false bid would sell everything at whatever the market pays. So REST is asked for its latest quote;
it agrees when that reaches the price too and is another quote, or the same one two seconds later.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from dcabot.core.model import Quote

LASTS = timedelta(seconds=2)  # a false quote is followed by a true one well within this
ASKED_AGAIN_AFTER = timedelta(seconds=1)
SILENT_AFTER = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What is known of one pair's price since `first` reached its sale price, at `since`.

    `latest` is REST's newest quote, `asked_at` when it was asked for; None until there is one.
    """

    first: Quote
    since: datetime
    latest: Quote | None = None
    asked_at: datetime | None = None

    def answered(self, latest: Quote, asked_at: datetime) -> "SecondLook":
        """The look after REST's answer. An answer that was on its way before the look began is none."""
        if asked_at < (self.asked_at or self.since):
            return self
        return replace(self, latest=latest, asked_at=asked_at)

    def agrees(self, price: Decimal) -> bool:
        """True when two quotes, or one that lasts, bear out that a coin brings this price."""
        latest = self.latest
        if latest is None or self.asked_at is None or min(self.first.bid, latest.bid) < price:
            return False
        lasts = latest.at == self.first.at and self.asked_at - self.since >= LASTS
        return latest.at > self.first.at or lasts

    def is_silent(self, now: datetime) -> bool:
        """True when REST has not answered for so long that the sale goes on without it."""
        return now - (self.asked_at or self.since) >= SILENT_AFTER


def borne_out(quote: Quote) -> SecondLook:
    """The look at a quote of the past, which is the market's own."""
    return SecondLook(quote, quote.at, quote, quote.at + LASTS)
