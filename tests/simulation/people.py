"""Everybody and everything around the bot: the market, its operator, its owner's hands, and the troubles of machines.

Each of them is an event that puts itself into the queue again. What they do is a decision with a name, so that a
failing seed can be told without most of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from dcabot.core.model import ID_PREFIX, Instrument, Quote, Side
from dcabot.core.money import EXACT, step_down, step_up
from dcabot.core.venue import OrderRequest, VenueOrder
from tests.builders import START
from tests.simulation.books import Books
from tests.simulation.clockwork import World
from tests.simulation.exchange import Exchange

LISTED = (
    Instrument("BTC/USD", Decimal("0.01"), Decimal("0.000000001"), Decimal("0.000000001")),
    Instrument("DOGE/USD", Decimal("0.0001"), Decimal("0.01"), Decimal("1")),
    Instrument("PEPE/USD", Decimal("0.000001"), Decimal("1"), Decimal("100")),
)
FIRST_PRICES = {"BTC/USD": Decimal(60000), "DOGE/USD": Decimal("0.25"), "PEPE/USD": Decimal("0.012")}
SPREAD = Decimal("1.0006")

# Where the price goes with the next quote, in percent: the lowest and the highest of the move.
MOVES = {
    "price: slips": (-2.2, -0.4),
    "price: climbs": (0.4, 1.6),
    "price: falls": (-6.0, -2.0),
    "price: rises": (1.5, 6.0),
    "price: crashes": (-45.0, -10.0),
    "price: jumps beyond belief": (55.0, 90.0),
}
PRICE_EVENTS = (
    ("price: slips", 0.14),
    ("price: climbs", 0.12),
    ("price: falls", 0.06),
    ("price: rises", 0.07),
    ("price: crashes", 0.002),
    ("price: jumps beyond belief", 0.001),
    ("quote: silence", 0.004),
    ("quote: nonsense", 0.01),
)
# What the stream alone tells, and REST does not.
LIES = (
    ("lie: a false bid", 0.02),
    ("lie: a false ask", 0.02),
    ("lie: an old quote", 0.02),
    ("lie: a late quote", 0.03),
)
NONSENSE = ("0/0", "-1/5", "crossed", "spike")
SETTINGS = {
    "take_profit_percent": ("0.8", "1", "2.5"),
    "safety_order_deviation": ("0.7", "1.5", "3"),
    "max_safety_orders": ("0", "1", "3"),
    "base_order_amount": ("12", "25", "200"),
    "safety_order_amount": ("11", "20", "150.5"),
    "cooldown_period": ("0", "5", "40"),
    "buy_order_price_deviation_percent": ("0", "0.5", "3"),
    "take_profit_order": ("market", "limit"),
    "trade_beside_foreign_coins": ("0", "0", "1"),
}
NONSENSE_SETTINGS = (("base_order_amount", "3"), ("take_profit_percent", "0.1"), ("safety_order_deviation", "-2"))
COMMANDS = (("operator: cycle close", 0.04), ("operator: cycle release", 0.04), ("operator: cycle adopt", 0.01))
COMMANDS_AFTER_LOSS = (("operator: cycle adopt", 0.4),)
EDITED_COLUMNS = (
    ("quantity", "0.5"),
    ("average_purchase_price", "1.25"),
    ("safety_orders", "7"),
    ("status", "selling"),
)


@dataclass
class Market:
    """The prices, and everything a quote reaches."""

    world: World
    exchange: Exchange
    symbols: tuple[str, ...]
    tell: Callable[[Quote], None]

    def __post_init__(self) -> None:
        self.prices = {symbol: FIRST_PRICES[symbol] for symbol in self.symbols}
        self.history: dict[str, list[tuple[float, Decimal, Decimal]]] = {symbol: [] for symbol in self.symbols}
        self.pace = self.world.chance.pick("pace", (1.5, 3.0, 6.0))
        self.spikes = 0
        self.lies: dict[str, set[tuple[Decimal, Decimal]]] = {symbol: set() for symbol in self.symbols}

    def open(self) -> None:
        for symbol in self.symbols:
            self.quote(symbol)
            self.world.at(1.0, lambda symbol=symbol: self._tick(symbol))  # type: ignore[misc]

    def set(self, symbol: str, price: Decimal) -> None:
        self.prices[symbol] = price

    def quote(self, symbol: str) -> None:
        """The present price, at the exchange and on its way to everybody."""
        quote = self.quote_of(symbol)
        self.history[symbol].append((self.world.now, quote.bid, quote.ask))
        self.exchange.quote(quote)
        self.tell(quote)

    def quote_of(self, symbol: str) -> Quote:
        step = next(one.price_step for one in LISTED if one.symbol == symbol)
        bid = step_down(self.prices[symbol], step)
        return Quote(symbol, bid, step_up(EXACT.multiply(bid, SPREAD), step), self.world.true_time())

    def _tick(self, symbol: str) -> None:
        chance = self.world.chance
        pause = chance.between(f"tick {symbol}", 0.2, 2.0) * self.pace
        fate = chance.fault(f"price {symbol}", "market", PRICE_EVENTS)
        if fate == "quote: silence":
            pause += 75.0
        elif fate == "quote: nonsense":
            self._nonsense(symbol)
        else:
            low, high = MOVES[fate] if fate else (-0.03, 0.03)
            if chance.is_calm:
                low = high = 0.0
            percent = Decimal(f"{chance.between(f'move {symbol}', low, high):.4f}")
            self.prices[symbol] = max(EXACT.multiply(self.prices[symbol], 1 + percent / 100), Decimal("0.0001"))
            if fate:
                self.world.tell("market", "%s: %s", fate, self.quote_of(symbol))
            self.quote(symbol)
        lie = chance.fault(f"lie {symbol}", "lies", LIES)
        if lie:
            self.world.at(chance.between("lie delay", 0.05, 1.5), lambda: self._lie(symbol, lie))
        self.world.at(10.0 if chance.is_calm else pause, lambda: self._tick(symbol))

    def _lie(self, symbol: str, kind: str) -> None:
        """A quote of the stream alone that is believable: within what one quote may jump, there and back."""
        chance, true = self.world.chance, self.quote_of(symbol)
        self.world.tell("stream", "%s on %s", kind, symbol)
        if kind == "lie: a late quote":
            self.world.at(chance.between("lateness of a quote", 2, 60), lambda: self.tell(true))
            return
        if kind == "lie: an old quote":
            at, bid, ask = chance.pick("old quote", self.history[symbol])
            self.tell(Quote(symbol, bid, ask, START + timedelta(seconds=at)))
            return
        is_bid = kind == "lie: a false bid"
        factor = Decimal(f"{chance.between('lie', 1.01, 1.4) if is_bid else chance.between('lie', 0.7, 0.99):.4f}")
        step = self.exchange.venue.instruments[symbol].price_step
        bid, ask = (step_down(price * factor, step) for price in (true.bid, true.ask))
        self.lies[symbol].add((bid, ask))
        self.tell(Quote(symbol, bid, ask, true.at))

    def _nonsense(self, symbol: str) -> None:
        """A frame that no market can mean, on the stream alone."""
        true = self.quote_of(symbol)
        kind = self.world.chance.pick("nonsense", NONSENSE)
        prices = {"0/0": (Decimal(0), Decimal(0)), "-1/5": (Decimal(-1), Decimal(5))}
        # No two spikes agree: a jump that others bear out is believed, as it should be.
        self.spikes += kind == "spike"
        times = 3 * 2**self.spikes
        prices |= {"crossed": (true.ask * 2, true.bid), "spike": (true.bid * times, true.ask * times)}
        bid, ask = prices[kind]
        self.tell(Quote(symbol, bid, ask, true.at))


class People:
    """The operator with her SQL prompt, and the owner who trades by hand."""

    def __init__(self, world: World, books: Books, exchange: Exchange, market: Market) -> None:
        self.world, self.chance = world, world.chance
        self.books, self.exchange, self.market = books, exchange, market
        self.given = Decimal(0)  # USD that the owner paid in
        self.foreign: list[str] = []
        self.edited_cycles: set[int] = set()
        self.command: Callable[[str, str], object] = lambda action, symbol: None
        self.on_settings: Callable[[], None] = lambda: None

    def begin(self) -> None:
        self.world.at(self.chance.between("people", 5, 25), self._act)

    def add_asset(self, symbol: str) -> None:
        columns = {name: self.chance.pick(f"first {name}", values) for name, values in SETTINGS.items()}
        names = ", ".join(columns)
        marks = ", ".join("?" for _ in columns)
        self.books.by_hand(
            f"INSERT INTO dca_assets (asset_symbol, {names}) VALUES (?, {marks})", symbol, *columns.values()
        )
        self.on_settings()

    def set_right(self) -> None:
        """When the troubles end: money, sane settings, everything enabled, no orders of others."""
        self.given = Decimal(100_000)
        self.exchange.venue.account.move("USD", self.given, Decimal(0))
        for column, _ in NONSENSE_SETTINGS:
            self.books.by_hand(
                f"UPDATE dca_assets SET {column} = ? WHERE CAST({column} AS REAL) < ?",
                SETTINGS[column][1],
                0.4 if column != "base_order_amount" else 10,
            )
        self.books.by_hand("UPDATE dca_assets SET is_enabled = 1")
        for order_id in self.foreign:
            self.exchange.cancel(order_id, None)
        self.on_settings()

    def _act(self) -> None:
        options = (("operator: setting", 0.12), ("operator: disables", 0.08), ("operator: enables", 0.12))
        options += (("operator: nonsense setting", 0.04), ("operator: edits columns", 0.06))
        fate = self.chance.fault("operator", "operator", options)
        if fate:
            self._operate(fate, self.chance.pick("operator asset", self.market.symbols))
        symbol = self.chance.pick("command asset", self.market.symbols)
        lost = self._lost(symbol)
        fate = self.chance.fault("command", "operator", COMMANDS_AFTER_LOSS if lost else COMMANDS)
        if fate:
            self._command(fate, symbol, lost)
        options = (("hand: sells", 0.12), ("hand: sells all", 0.06), ("hand: buys", 0.08))
        fate = self.chance.fault("hand", "hands", options)
        if fate:
            self._trade(fate, self.chance.pick("hand asset", self.market.symbols))
        fate = self.chance.fault("transfer", "transfers", (("hand: deposits", 0.07), ("hand: withdraws", 0.05)))
        if fate:
            self._transfer(fate, self.chance.pick("transfer asset", self.market.symbols))
        options = (("foreign: limit buy", 0.1), ("foreign: market buy", 0.05), ("foreign: limit sell", 0.1))
        fate = self.chance.fault("foreign", "foreign", (*options, ("foreign: cancels", 0.15)))
        if fate:
            self._order(fate, self.chance.pick("foreign asset", self.market.symbols))
        if not self.chance.is_calm:
            self.world.at(self.chance.between("people", 5, 25), self._act)

    def _operate(self, fate: str, symbol: str) -> None:
        column = self.chance.pick("column", tuple(SETTINGS))
        value = self.chance.pick("value", SETTINGS[column])
        if fate == "operator: edits columns":
            column, value = self.chance.pick("edit", EDITED_COLUMNS)
            sql = f"UPDATE dca_cycles SET {column} = ? WHERE id = ?"
            over = "('complete', 'error', 'cooldown')"
            found = self.books.rows(
                f"SELECT c.id FROM dca_cycles c JOIN dca_assets a ON a.id = c.asset_id"
                f" WHERE a.asset_symbol = ? AND c.status NOT IN {over}",
                symbol,
            )
            for (cycle_id,) in found:
                self.edited_cycles.add(cycle_id)
                self.books.by_hand(sql, value, cycle_id)
        else:
            if fate == "operator: nonsense setting":
                column, value = self.chance.pick("nonsense setting", NONSENSE_SETTINGS)
            elif fate != "operator: setting":
                column, value = "is_enabled", str(int(fate == "operator: enables"))
            self.books.by_hand(f"UPDATE dca_assets SET {column} = ? WHERE asset_symbol = ?", value, symbol)
        self.world.tell("operator", "%s: %s %s = %s", fate, symbol, column, value)
        self.on_settings()

    def _lost(self, symbol: str) -> str:
        """What the asset's last cycle held, if it ended in error; else empty."""
        found = self.books.rows(
            "SELECT c.quantity FROM dca_cycles c JOIN dca_assets a ON a.id = c.asset_id"
            " WHERE a.asset_symbol = ? AND c.status = 'error' ORDER BY c.id DESC LIMIT 1",
            symbol,
        )
        return str(found[0][0]) if found and Decimal(found[0][0]) else ""

    def _command(self, fate: str, symbol: str, lost: str) -> None:
        """`dcabot cycle`. Who wants a position back has mostly bought it again."""
        if fate == "operator: cycle adopt" and lost and self.chance.roll("brings back") < 0.8:
            self.exchange.move(symbol, Decimal(lost))
            self.world.tell("owner", "brings back %s %s", lost, symbol)
        self.command(fate.rpartition(" ")[2], symbol)

    def _trade(self, fate: str, symbol: str) -> None:
        coin = symbol.partition("/")[0]
        free = self.exchange.venue.account.available(coin)
        if fate == "hand: buys":
            quantity = (Decimal(self.chance.integer("hand usd", 3, 90)) / self.market.prices[symbol]).quantize(
                Decimal("0.000000001")
            )
        else:
            share = Decimal(1) if fate == "hand: sells all" else Decimal(f"{self.chance.roll('hand share'):.3f}")
            quantity = -step_down(free * share, Decimal("0.000000001"))
        if quantity:
            self.world.tell("owner", "%s: %s %s by hand", fate, quantity, coin)
        step = self.exchange.venue.instruments[symbol].quantity_step
        if quantity:
            self._at_market(symbol, Side.BUY if quantity > 0 else Side.SELL, step_down(abs(quantity), step))

    def _transfer(self, fate: str, symbol: str) -> None:
        """Coins come from another wallet, or go to one; Alpaca lists it."""
        coin = symbol.partition("/")[0]
        if fate == "hand: deposits":
            dollars = Decimal(self.chance.integer("deposit usd", 2, 2000))
            quantity = (dollars / self.market.prices[symbol]).quantize(Decimal("0.000000001"))
        else:
            share = self.chance.pick("withdrawn share", (Decimal(1), Decimal("0.5"), Decimal("0.1")))
            free = self.exchange.venue.account.available(coin)
            quantity = -step_down(free * share, Decimal("0.000000001"))
        if quantity:
            self.world.tell("owner", "%s: %s %s", fate, quantity, coin)
            self.exchange.transfer(symbol, quantity)

    def _at_market(self, symbol: str, side: Side, quantity: Decimal) -> None:
        """With an order of the owner's own: Alpaca lists what it filled."""
        if not quantity:
            return
        self.exchange.hand_moved[symbol] = self.world.now
        name = f"web-{len(self.exchange.venue.orders)}"
        request = OrderRequest(symbol, side, "market", "gtc", quantity, client_order_id=name)
        outcome = self.exchange.admit(request, "owner")
        if isinstance(outcome, VenueOrder):
            self.foreign.append(outcome.id)

    def _order(self, fate: str, symbol: str) -> None:
        venue = self.exchange.venue
        if fate == "foreign: cancels":
            for order_id in self.foreign:
                self.exchange.cancel(order_id, None)
            self.foreign.clear()
            return
        price = step_down(self.market.prices[symbol], venue.instruments[symbol].price_step)
        quantity = step_up(Decimal(15) / price, venue.instruments[symbol].quantity_step)
        side, limit = Side.BUY, step_down(price * Decimal("0.97"), venue.instruments[symbol].price_step)
        if fate == "foreign: limit sell":
            side, limit = Side.SELL, step_up(price * Decimal("1.05"), venue.instruments[symbol].price_step)
            quantity = step_down(venue.account.available(symbol.partition("/")[0]) / 3, Decimal("0.000000001"))
        kind = "market" if fate == "foreign: market buy" else "limit"
        name = f"web-{len(venue.orders)}"
        request = OrderRequest(
            symbol, side, kind, "gtc", quantity, None, None if kind == "market" else limit, None, name
        )
        outcome = self.exchange.admit(request, "somebody")
        if isinstance(outcome, VenueOrder):
            self.foreign.append(outcome.id)


def is_ours(order: VenueOrder) -> bool:
    return order.client_order_id.startswith(ID_PREFIX)
