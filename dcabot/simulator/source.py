"""A source of prices that come from elsewhere, in real time, and the exchange as it sees it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from dcabot.core.model import Quote
from dcabot.core.venue import Event


class Market(Protocol):
    """The exchange, as a source of prices sees it."""

    on_event: list[Callable[[Event], None]]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The pairs that are listed."""

    def now(self) -> datetime:
        """The exchange's time."""

    async def keep_time(self) -> None:
        """Set the exchange's clock to this machine's, which may have been stopped or set."""

    def publish(self, quote: Quote) -> bool:
        """Tell a new price, with its own time, to everybody; False while a fault holds it back."""

    def rematch(self, symbol: str) -> None:
        """Fill what the present price fills, now that it may."""


class Source(Protocol):
    """Whoever tells the prices."""

    async def run(self, market: Market) -> None:
        """Tell them until cancelled. All of it runs in the exchange's loop."""

    def may_fill(self, quote: Quote, now: datetime) -> bool:
        """True when this is a price of now: nothing fills at another."""

    def state(self) -> dict[str, Any]:
        """A JSON object about the source, for GET /_sim."""
