"""The bid at which a position is sold: its take profit, and the floor below which that is a loss.

The floor counts in dollars, because Alpaca does: it rounds the fee of each execution of a sale up to
the cent, and what a buy's fee left is known only from the position.
"""

from decimal import ROUND_UP, Decimal

from dcabot.core.fees import CENT
from dcabot.core.ledger import FEE_RATIO_MAX, Holding
from dcabot.core.model import Asset, Instrument, TakeProfitOrder, raised
from dcabot.core.money import EXACT, ONE, ZERO, step_up

EXECUTIONS_ALLOWED = 2  # each further one of a sale may cost a cent more
CENTS_ALLOWED = CENT * EXECUTIONS_ALLOWED
KEPT_RATIO = ONE - FEE_RATIO_MAX  # of a fill, after Alpaca's highest fee


def sale_price(asset: Asset, holding: Holding, instrument: Instrument) -> Decimal:
    """The bid that sells the position, on the price step: a limit at it can be filled by that bid."""
    price = raised(holding.average_price, asset.rules.take_profit_ratio)
    if asset.take_profit_order is TakeProfitOrder.LIMIT:
        price = max(price, floor_price(holding, instrument.price_step))
    return step_up(price, instrument.price_step)


def floor_price(holding: Holding, price_step: Decimal) -> Decimal:
    """The lowest price that brings back what the cycle spent, when all that it holds is sold there."""
    missing = holding.spent - holding.received + CENTS_ALLOWED
    if missing <= ZERO or not holding.held:
        return ZERO
    return step_up(EXACT.divide(missing, EXACT.multiply(holding.held, KEPT_RATIO)), price_step)


def smallest_take_profit_ratio(spent: Decimal) -> Decimal:
    """The take profit at which the floor is reached, for a base order of `spent` USD sold whole."""
    kept = EXACT.multiply(spent, EXACT.multiply(KEPT_RATIO, KEPT_RATIO))
    ratio = EXACT.divide(spent + CENTS_ALLOWED, kept) - ONE
    return ratio.quantize(Decimal("0.000001"), rounding=ROUND_UP)
