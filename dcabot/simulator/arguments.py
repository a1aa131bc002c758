"""What a fault may be told, from Python and over HTTP alike: a rule of nonsense would break requests later."""

import functools
import inspect
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, get_args

from dcabot.core.money import ONE
from dcabot.simulator.clock import STEP_MAX
from dcabot.simulator.prices import exact
from dcabot.simulator.wire import DATA_ERRORS, packed

STREAMS = ("trading", "data")
PLACE = re.compile(r"\^?[^\^$*+?()\[\]{}|\\]*\$?")


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, refusing arguments that make no sense with a ValueError that names them."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(*values: Any, **named: Any) -> Any:
        for name, value in signature.bind(*values, **named).arguments.items():
            if value is not None or type(None) not in get_args(signature.parameters[name].annotation):
                _check(name, value)
        return method(*values, **named)

    return call


def _check(name: str, value: Any) -> None:
    if name == "stream" and value not in STREAMS:
        raise ValueError(f"stream is one of {', '.join(STREAMS)}, not {str(value)[:40]!r}")
    if name in FITS and not FITS[name](value):
        expected = "is a time within 366 days, in seconds, not" if FITS[name] is is_span else "cannot be"
        raise ValueError(f"{name} {expected} {str(value)[:40]!r}")


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_span(value: Any) -> bool:
    return (is_count(value) or isinstance(value, float)) and 0 <= value <= STEP_MAX


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_place(value: Any) -> bool:
    """False for other patterns than ^ and $: a rule that never works, and no one would know why."""
    return isinstance(value, str) and PLACE.fullmatch(value) is not None


def can_be_sent(value: Any) -> bool:
    """False for what is no JSON, for half a surrogate pair, and for numbers that msgpack does not have."""
    try:
        packed(value)
        json.dumps(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def are_sizes(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(exact(size) > 0 for size in value)


FITS: dict[str, Callable[[Any], bool]] = {
    "seconds": is_span,
    "delay_seconds": is_span,
    "after": is_span,
    "is_on": is_flag,
    "duplicates": is_flag,
    "reorders": is_flag,
    "rest_waits": is_flag,
    "is_binary": is_flag,
    "times": is_count,
    "code": is_count,
    "status": is_count,
    "method": is_text,
    "event": is_text,
    "symbol": is_text,
    "client_order_id": is_text,
    "path": is_place,
    "body": can_be_sent,
    "changes": lambda value: isinstance(value, dict) and can_be_sent(value),
    "sizes": are_sizes,
    "quantity": lambda value: not isinstance(value, bool) and exact(value) >= 0,
    "payload": lambda value: isinstance(value, str | bytes),
    "drop_ratio": lambda value: isinstance(value, str | int | float | Decimal) and 0 <= exact(value) <= ONE,
}


def check_status(status: int) -> None:
    """An HTTP answer's status. Raises ValueError."""
    if not 200 <= status <= 599:
        raise ValueError(f"status is 200 to 599, not {status}")


def check_close(code: int) -> None:
    """What a websocket's close frame can carry. Raises ValueError."""
    if not 1000 <= code <= 4999 or code in (1004, 1005, 1006, 1015):
        raise ValueError(f"a close code is 1000 to 4999 and none of 1004, 1005, 1006, 1015, not {code}")


def check_error(code: int | None) -> None:
    """One of the errors that the data stream is documented to send. Raises ValueError."""
    if code is not None and code not in DATA_ERRORS:
        raise ValueError(f"code is one of {', '.join(map(str, DATA_ERRORS))}, not {code}")
