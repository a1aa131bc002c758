"""What is looked at after every step: the rows as they are committed, beside the exchange as it truly is."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from dcabot.core.model import Order
from dcabot.core.venue import VenueOrder
from tests.simulation.books import Books
from tests.simulation.clockwork import Failed, Program, World
from tests.simulation.daemon import Daemon
from tests.simulation.exchange import Exchange
from tests.simulation.machines import Machines
from tests.simulation.people import LISTED, Market, People, is_ours

OPEN = frozenset({"intended", "accepted", "partially_filled"})
OVER = frozenset({"complete", "error"})
STEPS = {one.symbol: one.quantity_step for one in LISTED}
ORDER_COLUMNS = "id, client_order_id, cycle_id, purpose, side, quantity, limit_price, status, order_id, "
ORDER_COLUMNS += "filled_quantity, filled_price, fee_quantity, created_at, closed_at, quote_at"
CYCLE_COLUMNS = "id, asset_id, status, quantity, average_purchase_price, safety_orders, last_order_fill_price, "
CYCLE_COLUMNS += "latest_order_id, completed_at, ended_by, missing_since"
ASSET_COLUMNS = "id, asset_symbol, is_enabled, base_order_amount, safety_order_amount, max_safety_orders, "
ASSET_COLUMNS += "take_profit_percent, cooldown_period, buy_order_price_deviation_percent, last_sell_price, "
ASSET_COLUMNS += "trade_beside_foreign_coins"
ORDERS = f"SELECT {ORDER_COLUMNS} FROM dca_orders"
CYCLES = f"SELECT {CYCLE_COLUMNS} FROM dca_cycles"
ASSETS = f"SELECT {ASSET_COLUMNS} FROM dca_assets"


@dataclass(frozen=True, slots=True)
class OrderRow:
    id: int
    name: str
    cycle_id: int
    purpose: str
    side: str
    quantity: Decimal
    limit_price: Decimal | None
    status: str
    order_id: str | None
    filled: Decimal
    price: Decimal | None
    fee: Decimal | None
    created_at: datetime | None
    closed_at: datetime | None
    quote_at: datetime | None  # the time of the quote that it was decided on

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_request(self) -> bool:
        """False for what is only booked: the exchange never had it."""
        return self.purpose not in ("adopted", "outside")


@dataclass(frozen=True, slots=True)
class CycleRow:
    id: int
    asset_id: int
    status: str
    quantity: Decimal
    average: Decimal
    safety_count: int
    last_buy_price: Decimal | None
    latest_order_id: str | None
    completed_at: datetime | None
    ended_by: str | None = None
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class AssetRow:
    id: int
    symbol: str
    is_enabled: bool
    base: Decimal
    safety: Decimal
    safety_max: int
    take_profit: Decimal
    cooldown: int
    restart_drop: Decimal
    last_sell_price: Decimal | None
    beside: bool = False  # it trades beside foreign coins


class Rows:
    """The three tables as the last commit left them."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderRow] = {}
        self.cycles: dict[int, CycleRow] = {}
        self.assets: dict[int, AssetRow] = {}
        self._raw: dict[str, dict[int, tuple[Any, ...]]] = defaultdict(dict)

    def read(self, session: sqlite3.Connection) -> tuple[list[tuple[OrderRow | None, OrderRow]], set[int], bool]:
        """Read what changed: each order with its former self, the ids of cycles touched, and whether an asset was."""
        assets = self._news("dca_assets", session.execute(ASSETS))
        for raw in assets:
            self.assets[raw[0]] = AssetRow(
                raw[0], raw[1], bool(raw[2]), Decimal(raw[3]), Decimal(raw[4]), raw[5], Decimal(raw[6]), raw[7],
                Decimal(raw[8]), _decimal(raw[9]), bool(int(raw[10])),
            )  # fmt: skip
        touched: set[int] = set()
        for raw in self._news("dca_cycles", session.execute(CYCLES)):
            touched.add(raw[0])
            self.cycles[raw[0]] = CycleRow(
                raw[0], raw[1], raw[2], Decimal(raw[3]), Decimal(raw[4]), raw[5], _decimal(raw[6]), raw[7],
                _instant(raw[8]), raw[9], raw[10] is not None,
            )  # fmt: skip
        changed: list[tuple[OrderRow | None, OrderRow]] = []
        for raw in self._news("dca_orders", session.execute(ORDERS)):
            before = self.orders.get(raw[1])
            after = OrderRow(
                raw[0], raw[1], raw[2], raw[3], raw[4], Decimal(raw[5]), _decimal(raw[6]), raw[7], raw[8],
                Decimal(raw[9]), _decimal(raw[10]), _decimal(raw[11]), _instant(raw[12]), _instant(raw[13]),
                _instant(raw[14]),
            )  # fmt: skip
            self.orders[raw[1]] = after
            changed.append((before, after))
            touched |= {after.cycle_id} | ({before.cycle_id} if before else set())
        return changed, touched, bool(assets)

    def orders_of(self, cycle_id: int) -> list[OrderRow]:
        """Oldest first."""
        return sorted((one for one in self.orders.values() if one.cycle_id == cycle_id), key=lambda one: one.id)

    def _news(self, table: str, found: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        known = self._raw[table]
        news = [raw for raw in found if known.get(raw[0]) != raw]
        known.update((raw[0], raw) for raw in news)
        return news


@dataclass
class Scene:
    """Everything a law may look at."""

    world: World
    books: Books
    exchange: Exchange
    market: Market
    people: People
    machines: Machines
    rows: Rows

    def __post_init__(self) -> None:
        self.ever_void: set[str] = set()
        self.released: set[int] = set()  # cycles that the operator took the coins of
        self.sent: Counter[str] = Counter()
        self.most: dict[int, dict[str, Decimal]] = defaultdict(dict)  # of each setting, the largest there ever was
        self.least: dict[int, dict[str, Decimal]] = defaultdict(dict)

    def symbol(self, cycle_id: int) -> str:
        return self.rows.assets[self.rows.cycles[cycle_id].asset_id].symbol

    def decided_by(self, symbol: str) -> Daemon | None:
        """The daemon whose step this was, if it decided on this symbol; for some seconds there may be two of them."""
        mine = (one for one in self.machines.daemons if one.program is self.world.last_program)
        return next((one for one in mine if symbol in one.acting), None)

    def is_by(self, command: str) -> bool:
        """Whether the last step was one of this command of the operator."""
        return self.world.last_program is not None and self.world.last_program.name == command

    def fail(self, law: str, story: str, *given: object) -> None:
        raise Failed(law, story % given if given else story)

    def learn_settings(self) -> None:
        for asset in self.rows.assets.values():
            settings = {
                "base": asset.base, "safety": asset.safety, "safety_max": Decimal(asset.safety_max),
                "take_profit": asset.take_profit, "cooldown": Decimal(asset.cooldown),
                "restart_drop": asset.restart_drop, "beside": Decimal(asset.beside),
            }  # fmt: skip
            most, least = self.most[asset.id], self.least[asset.id]
            for name, value in settings.items():
                most[name] = max(value, most.get(name, value))
                least[name] = min(value, least.get(name, value))


RowLaw = Callable[[Scene, OrderRow | None, OrderRow], None]
CycleLaw = Callable[[Scene, CycleRow, CycleRow | None], None]
SendLaw = Callable[[Scene, Program, str, Order], None]
AdmissionLaw = Callable[[Scene, VenueOrder], None]


class Watch:
    """Runs the laws when something they speak of has changed."""

    def __init__(
        self,
        scene: Scene,
        row_laws: Iterable[RowLaw],
        cycle_laws: Iterable[CycleLaw],
        send_laws: Iterable[SendLaw],
        admission_laws: Iterable[AdmissionLaw],
    ) -> None:
        self.scene = scene
        self._row_laws, self._cycle_laws = tuple(row_laws), tuple(cycle_laws)
        self._send_laws, self._admission_laws = tuple(send_laws), tuple(admission_laws)
        self._commits = -1
        self._before: dict[int, CycleRow] = {}
        scene.world.after_step = self.after_step
        scene.exchange.on_admission = self._admitted
        scene.exchange.on_cancel = self._cancelled

    def after_step(self) -> None:
        scene = self.scene
        if scene.books.commits == self._commits:
            return
        self._commits = scene.books.commits
        changed, touched, is_set = scene.rows.read(scene.books.session)
        if is_set:
            scene.learn_settings()
        for before, after in changed:
            if before is not None and before.status == "void" != after.status:
                scene.world.saw("void order surfaced")
            if after.status == "void":
                scene.ever_void.add(after.name)
                scene.world.saw("order void")
        for before, after in changed:
            for row_law in self._row_laws:
                row_law(scene, before, after)
        for cycle_id in sorted(touched):
            cycle, former = scene.rows.cycles[cycle_id], self._before.get(cycle_id)
            for cycle_law in self._cycle_laws:
                cycle_law(scene, cycle, former)
            self._before[cycle_id] = cycle

    def sending(self, program: Program, symbol: str, order: Order) -> None:
        self.scene.sent[order.client_order_id] += 1
        for law in self._send_laws:
            law(self.scene, program, symbol, order)

    def _admitted(self, order: VenueOrder) -> None:
        if is_ours(order):
            self.scene.world.saw("order at the exchange")
            for law in self._admission_laws:
                law(self.scene, order)

    def _cancelled(self, order_id: str, program: Program | None) -> None:
        """I9. Harm: the bot cancels what its owner ordered by hand."""
        order = self.scene.exchange.venue.orders.get(order_id)
        if program is not None and (order is None or not is_ours(order)):
            self.scene.fail("I9 foreign orders untouched", f"{program.name} cancels {order_id}: {order!r}")


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _instant(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
