"""Which settings can work. The daemon, `dcabot asset` and `dcabot check` ask the same function."""

from dataclasses import replace
from decimal import ROUND_UP, Decimal

from dcabot.core.ledger import FEE_RATIO_MAX
from dcabot.core.model import Asset, Instrument, Rules
from dcabot.core.money import EXACT, HUNDRED, ONE, ZERO, text
from dcabot.core.sale_price import smallest_take_profit_ratio

MINIMUM_NOTIONAL = Decimal(10)  # USD, "cost basis must be >= minimal amount of order 10"; alpaca.md 5.2
MAXIMUM_NOTIONAL = Decimal(200_000)  # USD an order; docs.alpaca.markets/docs/crypto-trading
# A buy's fee leaves fewer coins, a sell's fewer dollars: at the same price (1 - fee) squared of the money comes back.
ROUND_TRIP_FEE_RATIO = (ONE / (ONE - FEE_RATIO_MAX) ** 2 - ONE).quantize(Decimal("0.000001"), rounding=ROUND_UP)
SAFETY_COUNT_LIMIT = 1000


def is_pair(symbol: str) -> bool:
    """Whether Alpaca can list that: ^[A-Z]+x?/[A-Z]+$ (alpaca.md 2.10).

    It refuses a list that holds another as a whole.
    """
    coin, _, money = symbol.partition("/")
    return all(name.isascii() and name.isalpha() and name.isupper() for name in (coin.removesuffix("x"), money))


def faults(asset: Asset, instrument: Instrument | None) -> list[str]:
    """Sentences that say why this asset cannot trade; empty when it can. Each names the column to change."""
    rules = asset.rules
    found = _pair_faults(asset, instrument) + _buy_faults(rules) + _profit_faults(rules)
    if rules.cooldown_seconds < 0:
        found.append(f"cooldown_period {rules.cooldown_seconds} must not be negative")
    if not ZERO <= rules.restart_drop_ratio < ONE:
        found.append(
            f"buy_order_price_deviation_percent {_percent(rules.restart_drop_ratio)} must be at least 0 and below 100"
        )
    return found


def judged(asset: Asset, instrument: Instrument | None) -> Asset:
    """The asset with what is wrong in its settings: one that cannot work is suspended."""
    found = faults(asset, instrument)
    if not found:
        return asset
    sells_on = may_sell(asset, instrument)
    if sells_on:
        found.append("no buys; its position is still sold at its take profit")
    return replace(asset, held_back="; ".join(found), sells_on=sells_on)


def low_profit(asset: Asset) -> str:
    """A sentence when a sale at the take profit can cost a cent or two more than it brings, else empty.

    No fault: such an asset trades on, and at a limit it waits for the price that brings everything back.
    """
    if asset.rules.base_notional <= ZERO or _profit_faults(asset.rules):
        return ""
    least = smallest_take_profit_ratio(asset.rules.base_notional)
    if asset.rules.take_profit_ratio >= least:
        return ""
    return (
        f"take_profit_percent {_percent(asset.rules.take_profit_ratio)} is below {_percent(least)}, the least that "
        f"brings back a base order of {text(asset.rules.base_notional)} USD: Alpaca rounds each fee up to the cent"
    )


def may_sell(asset: Asset, instrument: Instrument | None) -> bool:
    """Whether what is held can be sold at the take profit, whatever is wrong with the buys."""
    return not _pair_faults(asset, instrument) and not _profit_faults(asset.rules)


def _pair_faults(asset: Asset, instrument: Instrument | None) -> list[str]:
    if not asset.symbol.endswith("/USD"):
        return [f"asset_symbol {asset.symbol}: only pairs quoted in USD are traded, such as BTC/USD"]
    if instrument is None:
        return [f"asset_symbol {asset.symbol}: Alpaca does not know this crypto pair"]
    if not instrument.tradable:
        return [f"asset_symbol {asset.symbol}: Alpaca does not let it be traded at the moment"]
    return []


def _buy_faults(rules: Rules) -> list[str]:
    found = _notional_fault("base_order_amount", rules.base_notional)
    if not 0 <= rules.safety_count_max <= SAFETY_COUNT_LIMIT:
        found.append(f"max_safety_orders {rules.safety_count_max} must be between 0 and {SAFETY_COUNT_LIMIT}")
    elif rules.safety_count_max:
        found += _notional_fault("safety_order_amount", rules.safety_notional)
        if not ZERO < rules.safety_drop_ratio < ONE:
            found.append(f"safety_order_deviation {_percent(rules.safety_drop_ratio)} must be above 0 and below 100")
    return found


def _profit_faults(rules: Rules) -> list[str]:
    if rules.take_profit_ratio >= ROUND_TRIP_FEE_RATIO:
        return []
    return [
        f"take_profit_percent {_percent(rules.take_profit_ratio)} does not cover the round-trip fee of "
        f"{_percent(ROUND_TRIP_FEE_RATIO)} %: every cycle would lose money"
    ]


def buy_quantity(notional: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    """Coins that `notional` USD buy at `price`, rounded down to the instrument's step."""
    step = instrument.quantity_step
    return EXACT.multiply(EXACT.divide_int(notional, EXACT.multiply(price, step)), step)


def too_small(quantity: Decimal, price: Decimal, instrument: Instrument) -> str:
    """A sentence when Alpaca takes no buy of this size, else empty."""
    notional = EXACT.multiply(quantity, price)
    if notional < MINIMUM_NOTIONAL:
        return f"{text(notional)} USD after rounding down, below Alpaca's minimum of {MINIMUM_NOTIONAL} USD"
    if quantity < instrument.quantity_min:
        return f"{text(quantity)} coins, below Alpaca's minimum of {text(instrument.quantity_min)}"
    return ""


def tight(asset: Asset, instrument: Instrument, ask: Decimal) -> list[str]:
    """Sentences about amounts that fall below Alpaca's minimum when coins are rounded down at prices up to `ask`.

    No fault, for at some prices nothing is rounded; at all others the asset does not buy.
    """
    lost = EXACT.multiply(ask, instrument.quantity_step)  # at most
    rules = asset.rules
    amounts = {"base_order_amount": rules.base_notional}
    if rules.safety_count_max:
        amounts["safety_order_amount"] = rules.safety_notional
    return [
        f"{name} {text(amount)} can fall below Alpaca's minimum of {MINIMUM_NOTIONAL} USD when the coins are rounded "
        f"down to steps of {text(instrument.quantity_step)}; raise it"
        for name, amount in amounts.items()
        if amount - lost < MINIMUM_NOTIONAL
    ]


def _notional_fault(column: str, notional: Decimal) -> list[str]:
    if notional < MINIMUM_NOTIONAL:
        return [f"{column} {text(notional)} is below Alpaca's minimum of {MINIMUM_NOTIONAL} USD"]
    if notional > MAXIMUM_NOTIONAL:
        return [f"{column} {text(notional)} is above Alpaca's maximum of {MAXIMUM_NOTIONAL} USD an order"]
    return []


def _percent(ratio: Decimal) -> str:
    return text(ratio * HUNDRED)
