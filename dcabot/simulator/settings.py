"""How one simulator is set up. Everything has a default that behaves like Alpaca's paper account."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from dcabot.core.venue import Policy
from dcabot.simulator.listings import LISTINGS, Listing
from dcabot.simulator.prices import Number, Tick, exact
from dcabot.simulator.source import Source


@dataclass(frozen=True, slots=True)
class Timing:
    """Real seconds. A fill can precede the answer to its own POST: make `response` larger than `new`."""

    response: float = 0.0  # from the request to the answer of any trading request
    pending_new: float = 0.001  # from the acceptance to the event
    new: float = 0.003  # from the acceptance to the event, and to the first fill
    cancel: float = 0.003  # from the DELETE to `canceled`
    remainder: float = 0.05  # until what a partial fill left over is looked at again
    auth_timeout: float = 10.0  # data stream: error 404 after this long without a login
    dead_slot: float = 0.0  # how long a client that vanished keeps its slot; Alpaca: about 90


@dataclass(frozen=True, slots=True)
class Settings:
    """`prices` are ticks in order of time; `speed` 0 is a clock stepped by hand.

    `history` is how many seconds of the prices lie before the start: bars, trades and quotes to ask
    for. Prices at negative seconds are history too.

    `partial_fills` is the chance that a fill is partial and of random size; 0 in a test that counts
    fills: every order then fills whole, at one price. Else a large one takes several levels of the
    book, of `depth` dollars each, more or less.
    `refresh_seconds` sends each last quote again that often, so that a price set by hand does not age.
    `mirror` is another source of prices, as `dcabot.mirror.Mirror(URL)`: in real time, and alone.
    """

    symbols: Iterable[str | Listing] = tuple(LISTINGS)
    cash: Number = 100_000
    prices: Iterable[Tick] = ()
    mirror: Source | None = None
    history: Number = 0
    refresh_seconds: float | None = None
    speed: float = 1
    start: datetime | None = None
    seed: int = 0
    partial_fills: Number = Decimal("0.1")
    depth: Number = Decimal(1_000)
    policy: Policy = field(default_factory=Policy)
    timing: Timing = field(default_factory=Timing)
    rate_limit: int | None = 200  # trading requests a minute
    data_rate_limit: int | None = 200  # market-data requests a minute
    symbols_maximum: int = 30  # quotes or trades subscribed on the data stream, error 405 beyond
    paper: bool = True  # trade updates in binary frames; live sends text
    one_connection: bool = True  # a second websocket of the account is refused: 429, or 406 on data
    data_needs_keys: bool = False  # the newest specification lists keys for market data
    malformed_order_id: int = 404  # an order id that is no UUID; old code of Alpaca's answers 422
    cuts_limit: bool = True  # a `limit` above 500 orders, as that code does; else it is refused
    shows_easy_to_borrow: bool = True  # of an asset; to end on 2026-09-22, then `borrow_status`
    allows_replace: bool = False  # PATCH of a crypto order: reported to answer 404
    position_after_fee: bool = False  # `position_qty` of a buy's fill: the one capture shows it before the fee
    data_error_close: int = 1000  # close code after data errors 404, 406 and 407: unproven
    host: str = "127.0.0.1"
    port: int = 0
    key: str = "PKSIMULATOR000000000"
    secret: str = field(default="simulator-secret-0000000000000000000000", repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError for what would only be found out later, and elsewhere."""
        if isinstance(self.symbols, str):
            raise ValueError(f'symbols is a list of pairs, as ["BTC/USD"], not {self.symbols!r}')
        for name, fits, words in (
            ("start", self.start is None or isinstance(self.start, datetime), "a datetime with a time zone"),
            ("speed", _is_number(self.speed), "a number"),
            ("seed", _is_whole(self.seed), "a whole number"),
            ("policy", isinstance(self.policy, Policy), "a Policy"),
            ("timing", isinstance(self.timing, Timing), "a Timing"),
            ("key", isinstance(self.key, str), "a text"),
            ("cash", exact(self.cash) >= 0, "0 or more"),
            ("history", exact(self.history) >= 0, "0 or more"),
            ("depth", exact(self.depth) > 0, "above 0"),
            ("rate_limit", _is_limit(self.rate_limit), "None or a whole number above 0"),
            ("data_rate_limit", _is_limit(self.data_rate_limit), "None or a whole number above 0"),
            ("refresh_seconds", _is_refresh(self.refresh_seconds), "None or a number above 0"),
        ):
            if not fits:
                raise ValueError(f"{name} is {words}, not {getattr(self, name)!r}")
        if self.mirror is not None:
            self._refuse_beside_mirror()

    def _refuse_beside_mirror(self) -> None:
        """Raises ValueError for what would change the prices of a mirror, or their time."""
        usual = {"prices": (), "history": 0, "refresh_seconds": None, "speed": 1, "start": None}
        changed = [name for name, value in usual.items() if getattr(self, name) != value]
        if changed:
            names = ", ".join(changed)
            raise ValueError(f"a mirror tells the prices of now: leave out {names} beside it")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or isinstance(value, float)


def _is_limit(value: int | None) -> bool:
    return value is None or (_is_whole(value) and value > 0)


def _is_refresh(value: float | None) -> bool:
    return value is None or (_is_number(value) and value > 0)
