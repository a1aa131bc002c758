"""`dcabot report`: finished cycles, and its figures beside the exchange's own ledger."""

import csv
import io
import subprocess
import sys
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from dcabot.commands import UNREAD
from dcabot.core.ledger import FEE_RATIO_MAX
from dcabot.core.money import ZERO
from dcabot.core.profit import proceeds
from tests.commands.seat import Seat
from tests.programs import environment, until

CENT = Decimal("0.01")
ZONES = ("UTC", "Europe/Berlin", "America/New_York")


def round_trip(seat: Seat, *prices: tuple[str, str], symbol: str = "BTC/USD") -> None:
    """The daemon's hands at each of these prices; the last one is the sale."""
    for bid, ask in prices:
        seat.trade(bid, ask, symbol)
    assert "complete" in [status for status, _, _ in seat.books.cycles(symbol)]


@pytest.fixture
def traded(seat: Seat) -> Seat:
    """One whole cycle: base order, safety order, take profit."""
    seat.books.add_asset(cooldown_period=0)
    round_trip(seat, ("60000", "60010"), ("59000", "59010"), ("60500", "60510"))
    return seat


def test_a_finished_cycle_is_a_line_with_its_sum(traded: Seat) -> None:
    said = traded.run("report")
    assert said.code == 0
    line = next(line for line in said.out.splitlines() if line.lstrip().startswith("1 "))
    assert "BTC/USD" in line
    assert "40.00" in line  # spent
    assert "1 cycle, profit" in said.out
    assert "estimated at the highest rate; --ledger asks Alpaca" in said.out


def test_nothing_finished_is_said(seat: Seat) -> None:
    seat.books.add_asset()
    assert seat.run("report").out == "No cycle has been completed yet.\n"
    assert seat.run("report", "--json").json == []
    assert seat.run("report", "--csv").out.startswith("symbol,cycle_id,status,")
    assert seat.run("report", "--by", "day", "--csv").out == "key,cycles,spent,sold,fees,profit\n"


def test_the_sums_are_those_of_the_cycles(traded: Seat) -> None:
    traded.books.add_asset("ETH/USD", take_profit_percent="2")
    round_trip(traded, ("2000", "2001"), ("2050", "2051"), symbol="ETH/USD")
    cycles = traded.run("report", "--json").json
    assert [one["symbol"] for one in cycles] == ["BTC/USD", "ETH/USD"]
    profit = sum((Decimal(one["profit"]) for one in cycles), ZERO)
    for period, keys in (("asset", 2), ("day", 1), ("week", 1), ("month", 1)):
        sums = traded.run("report", "--by", period, "--json").json
        if period == "asset":
            assert len(sums) == keys
        assert sum((Decimal(one["profit"]) for one in sums), ZERO) == profit
        assert sum(one["cycles"] for one in sums) == 2
        assert traded.run("report", "--by", period).code == 0


def test_csv_and_json_hold_the_same(traded: Seat) -> None:
    (line,) = csv.DictReader(io.StringIO(traded.run("report", "--csv").out))
    (row,) = traded.run("report", "--json").json
    assert {name: str(value) for name, value in row.items()} == line
    assert line["orders"] == "3"
    assert line["safety_orders"] == "1"


@pytest.mark.parametrize(
    "slices", [[], ["0.0001"], ["0.00001", "0.000013", "0.00011"], ["0.000001"] * 9], ids=lambda s: str(len(s))
)
def test_the_figures_are_those_of_the_exchanges_ledger_to_the_cent(seat: Seat, slices: Sequence[str]) -> None:
    seat.books.add_asset(cooldown_period=0, base_order_amount="33.33", safety_order_amount="17.77")
    seat.alpaca.faults.delay_fees(0)
    if slices:
        seat.alpaca.faults.partial_fills(slices, times=None)
    cash = Decimal(seat.alpaca.account()["cash"])
    round_trip(seat, ("60000.13", "60010.37"), ("59000.71", "59010.93"), ("60500.55", "60510.11"))
    assert not seat.alpaca.positions()
    row = as_the_ledger_says(seat)
    fills = [one for one in seat.alpaca.activities() if one["activity_type"] == "FILL"]
    assert len(fills) >= 3 * (len(slices) or 1)
    gained = Decimal(seat.alpaca.account()["cash"]) - cash
    assert Decimal(row["profit"]).quantize(CENT, ROUND_HALF_EVEN) == gained.quantize(CENT, ROUND_HALF_EVEN)


def as_the_ledger_says(seat: Seat, but_for: int = 0) -> dict[str, Any]:
    """The one cycle of `report --ledger`, once its figures are found to be those of the exchange's activities.

    `but_for` so many orders of others, which are in the ledger as well.
    """
    others = [one["id"] for one in seat.alpaca.orders() if not one["client_order_id"].startswith("dcabot")]
    assert len(others) == but_for
    until(lambda: len(rows_of(seat, "CFEE")) == len(rows_of(seat, "FILL")), "the fees")
    said = seat.run("report", "--json", "--ledger")
    assert said.err == ""
    (row,) = said.json
    fills = [one for one in rows_of(seat, "FILL") if one["order_id"] not in others]
    for name, side in (("spent", "buy"), ("sold", "sell")):
        theirs = sum((Decimal(one["qty"]) * Decimal(one["price"]) for one in fills if one["side"] == side), ZERO)
        assert Decimal(row[name]) == theirs
    # A fee row names no order; those of others were charged before ours.
    fees = [-Decimal(one["net_amount"]) for one in rows_of(seat, "CFEE") if not one.get("qty", "").startswith("-")]
    sales = sum(one["side"] == "sell" for one in fills)
    assert Decimal(row["sale_fees"]) == sum(fees[-sales:], ZERO)
    return row


def rows_of(seat: Seat, kind: str) -> list[dict[str, Any]]:
    return [one for one in seat.alpaca.activities() if one["activity_type"] == kind]


def test_a_position_sold_in_parts_beside_somebodys_orders_agrees_with_the_ledger(seat: Seat) -> None:
    seat.alpaca.faults.delay_fees(0)
    for side, quantity in (("buy", "1.7"), ("sell", "1.3")):
        seat.alpaca.foreign_order(symbol="ETH/USD", qty=quantity, side=side, type="market", time_in_force="gtc")
        until(lambda: all(one["status"] == "filled" for one in seat.alpaca.orders()), "somebody's order")
    seat.books.add_asset(cooldown_period=0, base_order_amount="63.33")
    seat.trade("60000.13", "60010.37")
    seat.alpaca.faults.partial_fills(["0.0003"], rest_waits=True)
    seat.trade("60700.77", "60710.11", is_filled=False)
    (sale,) = until(lambda: [one for one in seat.alpaca.orders() if one["status"] == "partially_filled"], "a part sold")
    seat.alpaca.foreign_cancel(sale["id"])
    until(lambda: not seat._is_moving(), "the news of it")
    seat.trade("60800.33", "60810.11")
    assert [one["symbol"] for one in seat.alpaca.positions()] == ["ETHUSD"]
    row = as_the_ledger_says(seat, but_for=2)
    assert row["orders"] == 3


@pytest.mark.parametrize("days", [0, 1])
def test_sales_made_under_an_earlier_fee_tier_are_charged_at_its_rate(
    seat: Seat, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So much is traded on the day of the sale that the next day has a cheaper tier."""
    seat.alpaca.faults.delay_fees(0)
    if days:
        seat.alpaca.advance(-86400 * days)
    seat.books.add_asset(cooldown_period=0, base_order_amount="5000")
    round_trip(seat, ("60000", "60010"), ("61000", "61010"))
    paid = as_the_ledger_says(seat)["sale_fees"]
    assert Decimal(paid) > 12
    seat.alpaca.transfer("USD", 200_000)
    seat.alpaca.foreign_order(symbol="ETH/USD", qty="55", side="buy", type="market", time_in_force="gtc")
    until(lambda: all(one["status"] == "filled" for one in seat.alpaca.orders()), "somebody's order")
    if days:
        seat.alpaca.advance(86400 * days)
    assert seat.alpaca.account()["crypto_tier"] == 1 + days
    said = seat.run("report", "--json", "--ledger")
    assert said.json[0]["sale_fees"] == paid
    assert said.err == ""


def test_without_the_ledger_the_estimate_is_within_the_rounding_of_each_fill(seat: Seat) -> None:
    seat.books.add_asset(cooldown_period=0)
    round_trip(seat, ("60000", "60010"), ("61000", "61010"))
    (exact,) = seat.run("report", "--json", "--ledger").json
    (estimate,) = seat.run("report", "--json").json
    assert abs(Decimal(exact["profit"]) - Decimal(estimate["profit"])) <= CENT


def test_what_was_handed_over_is_neither_profit_nor_loss(seat: Seat) -> None:
    seat.books.add_asset()
    seat.trade("60000", "60010")
    assert seat.run("cycle", "release", "BTC/USD", "--yes").code == 0
    (row,) = seat.run("report", "--json").json
    assert Decimal(row["sold"]) == 0
    assert Decimal(row["unsold"]) > 0
    assert -Decimal("0.06") < Decimal(row["profit"]) < 0  # the fee of the buy
    assert "0.000332443 not sold" in seat.run("report").out


def test_profits_and_foreign_flows_are_the_change_of_equity(seat: Seat) -> None:
    """A sold cycle, a deposit, a cycle whose coins the owner takes and sells, and one that is open."""
    seat.alpaca.faults.delay_fees(0)
    seat.books.add_asset(cooldown_period=0)
    before = Decimal(seat.alpaca.account()["cash"])
    round_trip(seat, ("60000", "60010"), ("59000", "59010"), ("60500", "60510"))
    seat.alpaca.transfer("USD", 500)
    seat.trade("60500", "60510")
    assert seat.run("cycle", "release", "BTC/USD", "--yes").code == 0
    (released,) = [one for one in seat.run("report", "--json").json if Decimal(one["unsold"])]
    cash = Decimal(seat.alpaca.account()["cash"])
    order = {"symbol": "BTC/USD", "qty": released["unsold"], "side": "sell", "type": "market"}
    seat.alpaca.foreign_order(**order, time_in_force="gtc")
    until(lambda: not seat.alpaca.positions(), "the owner's sale")
    owners = Decimal(seat.alpaca.account()["cash"]) - cash - Decimal(released["unsold_cost"])
    seat.books.add_asset("ETH/USD")
    seat.trade("2000", "2001", "ETH/USD")
    seat.price("1990", "1991", "ETH/USD")
    (held,) = seat.alpaca.positions()
    worth = proceeds(Decimal(held["qty"]), Decimal(1990), FEE_RATIO_MAX)
    change = Decimal(seat.alpaca.account()["cash"]) + worth - before
    profits = [Decimal(one["profit"]) for one in seat.run("report", "--json", "--ledger").json]
    lines = seat.run("status", "--json").json["assets"]
    (still,) = [Decimal(one["unrealised_profit"]) for one in lines if one["unrealised_profit"]]
    assert len(profits) == 2
    assert abs(sum(profits) + still + 500 + owners - change) < Decimal("0.0001")


def test_one_asset_alone(traded: Seat) -> None:
    traded.books.add_asset("ETH/USD")
    assert len(traded.run("report", "--asset", "btc/usd", "--json").json) == 1
    assert traded.run("report", "--asset", "ETH/USD", "--json").json == []
    said = traded.run("report", "--asset", "DOGE/USD")
    assert said.code == 1
    assert said.line == "dcabot report: there is no asset DOGE/USD, only BTC/USD, ETH/USD"


def test_without_any_asset_one_alone_is_not_there(seat: Seat) -> None:
    said = seat.run("report", "--asset", "DOGE/USD")
    assert said.line == "dcabot report: there is no asset DOGE/USD; there is none at all"


def test_the_ledger_needs_the_exchange(traded: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    traded.alpaca.faults.refuse_connections()
    try:
        said = traded.run("report", "--ledger")
    finally:
        traded.alpaca.faults.refuse_connections(False)
    assert said.code == 75
    assert "no connection" in said.line
    monkeypatch.delenv("APCA_API_KEY_ID")
    assert traded.run("report", "--ledger").code == 78
    assert traded.run("report").code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--by", "century"),
        ("--json", "--csv"),
        ("today",),
        ("--from", "yesterday"),
        ("--to", "2026-13-01"),
        ("--from", "2026-11-01T08:00Z"),
        ("--tz", "Mars/Olympus"),
        ("--tz", "../../etc/passwd"),
        ("--tz", "Europe"),
    ],
)
def test_wrong_usage_is_one_line(seat: Seat, words: tuple[str, ...]) -> None:
    said = seat.run("report", *words)
    assert said.code == 2
    assert said.line.startswith("dcabot report: ")


def test_a_row_that_cannot_be_read_is_one_line(traded: Seat) -> None:
    traded.books.execute("UPDATE dca_orders SET side = 'sideways'")
    assert traded.run("report").code == 0  # the sums were written when the cycle ended
    traded.books.execute("UPDATE dca_cycles SET spent = NULL")
    said = traded.run("report")
    assert said.code == 1
    assert "sideways" in said.line


def test_sums_that_are_missing_or_wrong_are_computed_by_the_checker(traded: Seat) -> None:
    right = traded.run("report", "--json").json
    traded.books.execute("UPDATE dca_cycles SET spent = NULL, filled_orders = NULL")
    assert traded.run("report", "--json").json == right  # from the orders
    traded.books.execute("UPDATE dca_cycles SET spent = 1, filled_orders = 9")
    assert traded.run("report", "--json").json != right
    said = traded.run("consistency-checker", "--dry-run")
    assert "cycle 1: its sums differ from its orders" in said.err
    said = traded.run("consistency-checker")
    assert "the sums of 1 finished cycle computed anew from their orders" in said.err
    assert traded.run("report", "--json").json == right


def test_a_day_begins_and_ends_in_the_zone_that_was_asked_for(traded: Seat) -> None:
    traded.books.execute("UPDATE dca_cycles SET completed_at = '2026-03-01 23:30:00' WHERE id = 1")
    days = {zone: traded.run("report", "--by", "day", "--tz", zone, "--json").json[0]["key"] for zone in ZONES}
    assert days == {"UTC": "2026-03-01", "Europe/Berlin": "2026-03-02", "America/New_York": "2026-03-01"}
    berlin = ("report", "--json", "--tz", "Europe/Berlin")
    assert len(traded.run(*berlin, "--from", "2026-03-02", "--to", "2026-03-02").json) == 1
    assert traded.run(*berlin, "--to", "2026-03-01").json == []
    assert traded.run(*berlin, "--from", "2026-03-03").json == []
    assert len(traded.run(*berlin, "--from", "2026-03-02T00:30").json) == 1
    assert traded.run(*berlin, "--to", "2026-03-02T00:30").json == []
    assert "2026-03-02 00:30" in traded.run("report", "--tz", "Europe/Berlin").out
    assert traded.run("report", "--from", "2027-01-01").out == "No such cycle was completed.\n"


def test_periods_have_a_running_sum_and_a_total(traded: Seat) -> None:
    round_trip(traded, ("60000", "60010"), ("61000", "61010"))
    traded.books.execute("UPDATE dca_cycles SET completed_at = '2026-03-01 12:00:00' WHERE id = 1")
    profits = [Decimal(one["profit"]) for one in traded.run("report", "--json").json]
    rows = [line.split() for line in traded.run("report", "--by", "day").out.splitlines()]
    assert rows[0] == ["day", "cycles", "spent", "sold", "fees", "profit", "sum"]
    assert [row[-1] for row in rows[1:3]] == [f"{profits[0]:.2f}", f"{sum(profits):.2f}"]
    assert (rows[3][0], rows[3][1], rows[3][-1]) == ("total", "2", f"{sum(profits):.2f}")
    lines = traded.run("report").out.splitlines()
    assert lines[2].split()[-1] == f"{sum(profits):.2f}"


def test_of_many_cycles_the_newest_are_shown(traded: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    round_trip(traded, ("60000", "60010"), ("61000", "61010"))
    monkeypatch.setattr("dcabot.commands.report.SHOWN", 1)
    said = traded.run("report").out
    assert said.startswith("The newest 1 of 2 cycles. --from and --to choose others, --by sums them, --csv lists all.")
    assert "2 cycles, profit" in said
    assert len(traded.run("report", "--csv").out.splitlines()) == 3


@pytest.mark.parametrize("words", [("report",), ("report", "--csv"), ("report", "--json"), ("status",), ("check",)])
def test_a_reader_who_has_gone_is_no_traceback(traded: Seat, tmp_path: Path, words: tuple[str, ...]) -> None:
    variables = environment(tmp_path, traded.alpaca.env(), traded.books.environment)
    process = subprocess.Popen(
        [sys.executable, "-m", "dcabot", *words],
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == UNREAD
    assert told == ""
