"""What the venue lets in: each rule says no with Alpaca's own words, or nothing. Pure.

The rules run in this order: the account's standing, the words of the request, its numbers, its id,
its worth, the orders against it, the money behind it. Source: alpaca.md 2.11 and 5.2 to 5.7.
"""

from decimal import Decimal

from dcabot.core.account import Account
from dcabot.core.model import Instrument, Side
from dcabot.core.money import EXACT, step_down, text
from dcabot.core.venue import (
    QUANTITY_STEP,
    USD,
    OrderRequest,
    OrderType,
    Policy,
    Refusal,
    Standing,
    TimeInForce,
    VenueOrder,
    coins_of,
)

FORBIDDEN = 40310000
UNFOUND = 40410000
INVALID = 40010001
UNPROCESSABLE = 42210000
ID_LENGTH_MAX = 128
ADVANCED = {"bracket": "otoco"}  # how a refusal names the class
STOCK_TIMES = frozenset({"day", "fok", "opg", "cls"})  # known, and not for crypto
FIT = ("ACTIVE", "PAPER_ONLY")  # what trades here, where no money is real


def invalid(message: str) -> Refusal:
    return Refusal(422, INVALID, message)


def unprocessable(message: str) -> Refusal:
    return Refusal(422, UNPROCESSABLE, message)


def refuse_standing(standing: Standing) -> Refusal | None:
    """An account that may not trade. Only the first of these texts was ever recorded."""
    if standing.trade_suspended_by_user:
        return Refusal(403, FORBIDDEN, "new orders are rejected by user request")
    if standing.account_blocked:
        return Refusal(403, FORBIDDEN, "account is blocked")
    if standing.trading_blocked:
        return Refusal(403, FORBIDDEN, "account is blocked from trading")
    if standing.status not in FIT:
        return Refusal(403, FORBIDDEN, f"account is not active: {standing.status}")
    if standing.crypto_status not in FIT:
        return Refusal(403, FORBIDDEN, f"crypto trading is not active: {standing.crypto_status}")
    return None


def refuse_words(request: OrderRequest, instrument: Instrument | None) -> Refusal | None:
    """Symbol, order class, type and time in force."""
    if instrument is None:
        return unprocessable(f'asset "{request.symbol}" not found')
    if not instrument.tradable:
        return invalid(f"asset {instrument.symbol} is not active")
    if request.order_class not in ("", "simple"):
        named = ADVANCED.get(request.order_class, request.order_class)
        return unprocessable(f"crypto orders not allowed for advanced order_class: {named}")
    if request.type not in {kind.value for kind in OrderType}:
        return invalid("invalid order type for crypto order")
    if request.time_in_force in STOCK_TIMES:
        return unprocessable("invalid crypto time_in_force")
    if request.time_in_force not in {one.value for one in TimeInForce}:
        return invalid("invalid time_in_force for crypto order")
    return None


def refuse_numbers(request: OrderRequest, instrument: Instrument, policy: Policy) -> Refusal | None:
    """Quantity or notional, and the prices that the type needs."""
    if request.quantity is not None and request.notional is not None:
        return unprocessable("only one of qty or notional is accepted")
    if request.notional is not None:
        if request.notional <= 0:
            return unprocessable("notional must be > 0")
        if step_down(request.notional, Decimal("0.01")) != request.notional:
            return unprocessable("notional value must be limited to 2 decimal places")
    elif request.quantity is None:
        return invalid("qty is required")
    elif request.quantity < QUANTITY_STEP:
        return unprocessable("qty must be > 0")
    return _refuse_prices(request, instrument, policy)


def _refuse_prices(request: OrderRequest, instrument: Instrument, policy: Policy) -> Refusal | None:
    wanted = {
        "limit_price": request.type in ("limit", "stop_limit"),
        "stop_price": request.type == "stop_limit",
    }
    prices = {"limit_price": request.limit_price, "stop_price": request.stop_price}
    for name, price in prices.items():
        words = name.replace("_", " ")
        if price is None and wanted[name]:
            return unprocessable(f"{request.type.replace('_', ' ')} orders require {words}")
        if price is not None and not wanted[name]:
            return unprocessable(f"{request.type} orders must not have {words}")
        if price is None:
            continue
        if price <= 0:
            return unprocessable(f"{name} must be > 0")
        if policy.refuses_off_tick and step_down(price, instrument.price_step) != price:
            return unprocessable(
                f"invalid {name} {text(price)}. price increment {text(instrument.price_step)} is not fulfilled"
            )
    return None


def refuse_id(client_order_id: str, is_known: bool, policy: Policy) -> Refusal | None:
    """The client's id outlives its order."""
    if len(client_order_id) > ID_LENGTH_MAX:
        return invalid(f"client_order_id must be no more than {ID_LENGTH_MAX} characters")
    if is_known:
        return Refusal(422, policy.duplicate_id_code, policy.duplicate_id_text)
    return None


def refuse_worth(symbol: str, side: Side, cost: Decimal, policy: Policy) -> Refusal | None:
    """The floor of a USD-quoted buy and the ceiling of every order; `cost` is what the order is worth."""
    if side is Side.BUY and coins_of(symbol)[1] == USD and cost < policy.buy_minimum:
        return Refusal(403, FORBIDDEN, f"cost basis must be >= minimal amount of order {text(policy.buy_minimum)}")
    if cost > policy.notional_maximum:
        return Refusal(403, FORBIDDEN, policy.notional_maximum_text)
    return None


def wash_trade(existing: VenueOrder, is_market: bool) -> Refusal:
    """The refusal of an order that might trade with one's own."""
    reason = f"opposite side {existing.type.value.replace('stop_', '')} order exists"
    if is_market:
        reason += ". use complex/limit/stop_limit orders"
    extras = {"existing_order_id": existing.id, "reject_reason": reason}
    return Refusal(403, FORBIDDEN, "potential wash trade detected. use complex orders", extras)


def poverty(currency: str, requested: Decimal, account: Account, policy: Policy) -> Refusal:
    """Money or coins missing behind the order, counting what open orders hold."""
    available = text(account.available(currency))
    wanted = f"requested: {text(requested)}, available: {available}"
    extras = {"available": available, "balance": text(account.balance(currency))}
    if policy.poverty_symbol:
        extras["symbol"] = currency if policy.poverty_symbol == "missing" else policy.poverty_symbol
    return Refusal(403, FORBIDDEN, f"insufficient balance for {currency} ({wanted})", extras)


def target_and_cap(request: OrderRequest, bid: Decimal, ask: Decimal, policy: Policy) -> tuple[Decimal, Decimal]:
    """The most that can fill, and the worst price it may fill at. A notional is divided by the cap or the limit."""
    if request.limit_price is not None:
        cap = request.limit_price
    elif request.side is Side.BUY:
        cap = EXACT.multiply(ask, 1 + policy.collar)
    else:
        cap = EXACT.multiply(bid, 1 - policy.collar)
    if request.notional is None:
        return step_down(request.quantity or Decimal(0), QUANTITY_STEP), cap
    # A sell of a notional is sized at the bid: more coins than that would have to be sold below it.
    price = cap if request.side is Side.BUY or request.limit_price is not None else bid
    return step_down(EXACT.divide(request.notional, price), QUANTITY_STEP), cap
