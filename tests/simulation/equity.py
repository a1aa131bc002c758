"""Money at rest: what the report says was earned must be what the account at the exchange has more."""

from collections import defaultdict
from decimal import Decimal

from dcabot.core.model import Order, OrderStatus, Purpose, Side
from dcabot.core.profit import Fees, proceeds, profit_if_sold, result
from dcabot.core.snapshot import Fill
from dcabot.core.venue import Execution, FeeRow
from tests.builders import START
from tests.simulation.people import is_ours
from tests.simulation.watch import OVER, STEPS, OrderRow, Scene

CENT = Decimal("0.01")


def unaccounted(scene: Scene, cash_at_first: Decimal) -> str:
    """Report + open profit + foreign flows = change of equity. A sentence where they differ, else empty.

    Harm: somebody reads a profit that the account never had. Coins adopted count at their price as money that came in,
    coins sold outside at their cost as money that went out. Of a sale that is still open to be charged, the fee counts.
    """
    fees = Fees(fills=_fills(scene))
    reported = coins = flows = Decimal(0)
    for cycle in scene.rows.cycles.values():
        rows = scene.rows.orders_of(cycle.id)
        orders = [_order(row) for row in rows]
        flows += sum((_flow(row) for row in rows), Decimal(0)) + _strangers(rows)
        symbol = scene.symbol(cycle.id)
        earned = result(orders, fees).profit
        if cycle.status in OVER or cycle.is_missing or not cycle.quantity:
            reported += earned
            continue
        bid = scene.market.quote_of(symbol).bid
        step = STEPS[symbol]
        # The fees of sales there were are those that the executions say; of the one to come it is the highest.
        reported += earned + profit_if_sold(orders, bid, step) - result(orders, Fees()).profit
        # A position that once showed less by under a dollar was taken for a fee.
        is_told = symbol in scene.exchange.hand_moved or scene.world.chance.weather["absences"]
        held = cycle.quantity if is_told else scene.exchange.position(symbol)
        coins += proceeds(held // step * step, bid, Fees().rate)
    change = _cash(scene) - cash_at_first - scene.people.given - _foreign(scene) + coins
    if abs(change - reported - flows) > CENT:
        return f"the report says {reported}, coins adopted or sold outside {flows}, the account has {change} more"
    return ""


def _flow(row: OrderRow) -> Decimal:
    """What is only booked moved no money: USD by which it makes the report too high."""
    if row.is_request or row.price is None:
        return Decimal(0)
    return row.filled * row.price * (1 if row.side == "buy" else -1)


def _strangers(rows: list[OrderRow]) -> Decimal:
    """USD: a void sale that came after all sold coins of others, which the report counts at the cycle's average."""
    bought = sum((row.filled for row in rows if row.side == "buy"), Decimal(0))
    sold = sum((row.filled for row in rows if row.side == "sell"), Decimal(0))
    spent = sum((row.filled * (row.price or Decimal(0)) for row in rows if row.side == "buy"), Decimal(0))
    cost = (sold - bought) * spent / bought if bought else Decimal(0)
    return cost if cost >= 1 else Decimal(0)


def _order(row: OrderRow) -> Order:
    return Order(
        row.name, Purpose(row.purpose), Side(row.side), row.quantity, row.limit_price, row.created_at or START,
        OrderStatus(row.status), row.order_id, row.filled, row.price, row.fee,
    )  # fmt: skip


def _executions(scene: Scene) -> list[Execution]:
    return [one for one in scene.exchange.venue.account.activities if isinstance(one, Execution)]


def _fills(scene: Scene) -> dict[str, list[Fill]]:
    found: dict[str, list[Fill]] = defaultdict(list)
    for one in _executions(scene):
        found[one.order_id].append(Fill(one.order_id, one.quantity, one.price, one.at, one.symbol, one.side))
    return found


def _cash(scene: Scene) -> Decimal:
    """Dollars of the account, less the fees that will be charged later."""
    account = scene.exchange.venue.account
    owed = sum((one.fee for one in _executions(scene) if one.fee_currency == "USD"), Decimal(0))
    charged = (one.execution for one in account.activities if isinstance(one, FeeRow))
    owed -= sum((one.fee for one in charged if one.fee_currency == "USD"), Decimal(0))
    return account.balance("USD") - owed


def _foreign(scene: Scene) -> Decimal:
    """Dollars that came by orders of others."""
    flow = Decimal(0)
    for one in _executions(scene):
        if not is_ours(scene.exchange.venue.orders[one.order_id]):
            amount = one.quantity * one.price
            flow += -amount if one.side is Side.BUY else amount - one.fee
    return flow
