"""The order book around a quote: levels with sizes, made of the quote, so the same for everybody.

On Alpaca's paper account orders of $900 to 1,000 were filled in two to four pieces in 9 of 16 cases,
through several prices. So the first level holds as much as the settings say, give or take four
fifths, and each further one as much again, at a price half a thousandth worse.
"""

import zlib
from decimal import Decimal

from dcabot.core.model import Quote, Side
from dcabot.core.money import ONE, step_down
from dcabot.core.venue import QUANTITY_STEP, coins_of
from dcabot.simulator.listings import Listing

LEVELS = 7
GAP = Decimal("0.0005")
LEAST, MOST = 200, 1_800  # thousandths of the usual value of a level
BITCOIN = 60_000  # dollars, roughly: what a level holds of a pair that is paid in it

Level = tuple[Decimal, Decimal]  # a price, and the coins at it


def level(listing: Listing, quote: Quote, side: Side, number: int, value: Decimal) -> Level:
    """The level of the book, 0 the best, that an order of this side meets; `value` in dollars."""
    best = quote.ask if side is Side.BUY else quote.bid
    if best <= 0:  # impossible, and told all the same
        return best, ONE
    price = best
    if number:
        apart = number * max(listing.quote_step, step_down(best * GAP, listing.quote_step))
        price = best + apart if side is Side.BUY else best - apart
    dice = zlib.crc32(f"{quote.symbol}{quote.bid}{quote.ask}{side.value}{number}".encode())
    coins = value * (LEAST + dice % (MOST - LEAST)) / 1000 / best
    if coins_of(quote.symbol)[1] == "BTC":
        coins /= BITCOIN
    return price, max(QUANTITY_STEP, step_down(coins, QUANTITY_STEP))


def levels(listing: Listing, quote: Quote, side: Side, value: Decimal) -> list[Level]:
    """The whole side of the book, best price first; a bid near zero has fewer levels below it."""
    found = [level(listing, quote, side, number, value) for number in range(LEVELS)]
    return found[:1] + [one for one in found[1:] if one[0] > 0]
