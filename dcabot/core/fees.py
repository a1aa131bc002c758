"""What the venue keeps of a fill. Pure. Source: docs.alpaca.markets/docs/crypto-fees (2026-11).

The fee is taken from what is credited: coins on a buy, at the instant of the fill; dollars on a sell, by a
later row in the ledger. A resting limit order pays the maker rate, everything else the taker rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from dcabot.core.money import EXACT, ZERO, step_up

FEE_WINDOW = timedelta(days=30)
COIN_STEP = Decimal("0.000000001")
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Tier:
    """One line of the fee table: rates are ratios and hold from this 30-day volume in USD."""

    number: int
    volume: Decimal
    maker: Decimal
    taker: Decimal


def _tier(number: int, volume: str, maker_percent: str, taker_percent: str) -> Tier:
    return Tier(number, Decimal(volume), Decimal(maker_percent) / 100, Decimal(taker_percent) / 100)


TIERS = (
    _tier(1, "0", "0.15", "0.25"),
    _tier(2, "100000", "0.12", "0.22"),
    _tier(3, "500000", "0.10", "0.20"),
    _tier(4, "1000000", "0.08", "0.18"),
    _tier(5, "10000000", "0.05", "0.15"),
    _tier(6, "25000000", "0.02", "0.13"),
    _tier(7, "50000000", "0.02", "0.12"),
    _tier(8, "100000000", "0.00", "0.10"),
)
NO_FEES = (Tier(1, ZERO, ZERO, ZERO),)


def tier_of(volume: Decimal, tiers: tuple[Tier, ...] = TIERS) -> Tier:
    """The tier that a 30-day volume in USD has reached."""
    return max((tier for tier in tiers if tier.volume <= volume), key=lambda tier: tier.volume)


def tier_on(day: date, volumes: Mapping[date, Decimal], tiers: tuple[Tier, ...] = TIERS) -> Tier:
    """The tier of a UTC day, by the volumes in USD of the 30 days before it."""
    return tier_of(sum((v for one, v in volumes.items() if day - FEE_WINDOW <= one < day), ZERO), tiers)


def coin_fee(quantity: Decimal, rate: Decimal) -> Decimal:
    """Coins kept of a buy, or owed for a sale that coins are paid for: rounded up to 1e-9."""
    return step_up(EXACT.multiply(quantity, rate), COIN_STEP)


def cash_fee(notional: Decimal, rate: Decimal) -> Decimal:
    """Dollars owed for a sell: rounded up to the cent."""
    return step_up(EXACT.multiply(notional, rate), CENT)
