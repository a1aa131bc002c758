"""The account's configurations: what a person sets for the whole account, and what that changes.

The day-trading checks are gone from Alpaca's answers since 2026-07-06.
"""

from collections.abc import Callable, Mapping
from typing import Any

from dcabot.simulator.requests import invalid

Configurations = dict[str, Any]


def defaults() -> Configurations:
    return {
        "disable_overnight_trading": False,
        "fractional_trading": True,
        "max_margin_multiplier": "2",
        "max_options_trading_level": 3,
        "no_shorting": False,
        "ptp_no_exception_entry": False,
        "suspend_trade": False,
        "trade_confirm_email": "all",
    }


def is_flag(value: object) -> bool:
    return isinstance(value, bool)


FITS: dict[str, Callable[[Any], bool]] = {
    "disable_overnight_trading": is_flag,
    "fractional_trading": is_flag,
    "max_margin_multiplier": lambda value: str(value) in ("1", "2", "4"),
    "max_options_trading_level": lambda value: not is_flag(value) and value in (0, 1, 2, 3),
    "no_shorting": is_flag,
    "ptp_no_exception_entry": is_flag,
    "suspend_trade": is_flag,
    "trade_confirm_email": lambda value: value in ("all", "none"),
}


def changed(known: Configurations, body: Mapping[str, Any]) -> Configurations:
    """The configurations with the wished changes; null and other names change nothing.

    Raises BadRequest for what a configuration cannot be.
    """
    wished = {name: body[name] for name in FITS if body.get(name) is not None}
    for name, value in wished.items():
        if not FITS[name](value):
            raise invalid(f"invalid {name}")
    if "max_margin_multiplier" in wished:
        wished["max_margin_multiplier"] = str(wished["max_margin_multiplier"])
    return {**known, **wished}
