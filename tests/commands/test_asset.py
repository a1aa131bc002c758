"""`dcabot asset`: what it writes, what it shows, and what it refuses."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests import servers
from tests.commands.seat import Said, Seat
from tests.programs import (
    alpaca_for_tests,
    drawn_on_terminal,
    environment,
    mariadb_books,
    run_program,
    sqlite_books,
)

AMOUNTS = ("--base-order-amount", "20", "--safety-order-amount", "20")


def add(seat: Seat, symbol: str = "BTC/USD", *more: str) -> Said:
    return seat.run("asset", "add", symbol, *AMOUNTS, *more)


def ladder(said: Said) -> list[list[str]]:
    """The rungs that were printed, cell by cell."""
    rows = [line.split() for line in said.out.splitlines() if line]
    return [row for row in rows if row[0] == "base" or row[0].isdigit()]


def column(seat: Seat, name: str) -> object:
    ((value,),) = seat.books.execute(f"SELECT {name} FROM dca_assets")
    return value


def test_add_writes_the_row_and_shows_what_it_means(seat: Seat) -> None:
    said = add(seat, "btc/usd", "--max-safety-orders", "2", "--safety-order-deviation", "2")
    assert said.code == 0, said.err
    assert "BTC/USD added." in said.out
    assert "If the base order fills at 60,010.00:" in said.out
    rows = ladder(said)
    assert [row[0] for row in rows] == ["base", "1", "2"]
    assert rows[0][1] == "60,010.00"
    assert rows[1][1:3] == ["58,809.80", "-2.00"]  # the drop that the rung covers
    assert "At most 60.00 USD are spent in one cycle." in said.out
    assert "take profit of 1.00 % pays at most 0.50 % for fees" in said.out
    assert seat.books.execute("SELECT asset_symbol, is_enabled, max_safety_orders FROM dca_assets") == [
        ("BTC/USD", 1, 2)
    ]


def test_add_sells_at_a_limit_unless_told_otherwise(seat: Seat) -> None:
    amounts = ("--base-order-amount", "20", "--safety-order-amount", "20")
    said = seat.run("asset", "add", "BTC/USD", *amounts)
    assert "Its take profit is sold with a limit, never at a loss." in said.out
    said = seat.run("asset", "add", "ETH/USD", *amounts, "--take-profit-order", "market")
    assert "Its take profit is sold at the market" in said.out
    rows = seat.run("asset", "list").out
    assert "limit" in rows and "market" in rows
    said = seat.run("asset", "set", "ETH/USD", "--take-profit-order", "limit")
    assert "ETH/USD take_profit_order: market -> limit" in said.out


def test_trading_beside_foreign_coins_is_a_setting(seat: Seat) -> None:
    amounts = ("--base-order-amount", "20", "--safety-order-amount", "20")
    said = seat.run("asset", "add", "BTC/USD", *amounts)
    assert "No new cycle while the account holds coins of it that dcabot did not buy." in said.out
    said = seat.run("asset", "set", "BTC/USD", "--trade-beside-foreign-coins", "yes")
    assert "BTC/USD trade_beside_foreign_coins: False -> True" in said.out
    assert "Trades beside foreign coins." in seat.run("asset", "show", "BTC/USD").out


def test_a_take_profit_that_can_lose_a_cent_is_refused(seat: Seat) -> None:
    amounts = ("--base-order-amount", "20", "--safety-order-amount", "20")
    said = seat.run("asset", "add", "BTC/USD", *amounts, "--take-profit-percent", "0.6")
    assert said.code == 2
    assert "take_profit_percent 0.6 is below 0.6024, the least that brings back a base order of 20 USD" in said.err
    seat.run("asset", "add", "BTC/USD", *amounts, "--take-profit-percent", "0.61")
    said = seat.run("asset", "set", "BTC/USD", "--base-order-amount", "11")
    assert said.code == 2
    seat.books.execute("UPDATE dca_assets SET take_profit_percent = 0.55")
    said = seat.run("asset", "set", "BTC/USD", "--cooldown-period", "60")
    assert said.code == 0
    assert "BTC/USD: take_profit_percent 0.55 is below" in said.out


def test_each_rung_shows_its_own_take_profit_price(seat: Seat) -> None:
    out = add(seat, "BTC/USD", "--max-safety-orders", "3")
    prices = [Decimal(row[-2].replace(",", "")) for row in ladder(out)]
    assert len(prices) == 4
    assert prices == sorted(prices, reverse=True)
    assert abs(prices[0] - Decimal("60010") * Decimal("1.01")) < Decimal("0.1")


def test_an_asset_of_the_briefs_own_insert_is_listed_and_shown(seat: Seat) -> None:
    seat.books.add_asset()
    assert "BTC/USD" in seat.run("asset", "list").out
    shown = seat.run("asset", "show", "BTC/USD")
    assert shown.code == 0
    assert "At most 120.00 USD" in shown.out


def test_the_empty_list_says_how_to_begin_and_that_command_works(seat: Seat) -> None:
    said = seat.run("asset", "list")
    assert said.code == 0
    words = said.out.partition("`dcabot ")[2].partition("`")[0].split()
    assert seat.run(*words).code == 0


def test_set_changes_what_is_named_and_says_what_was(seat: Seat) -> None:
    add(seat)
    said = seat.run("asset", "set", "BTC/USD", "--take-profit-percent", "2.5", "--cooldown-period", "60")
    assert said.code == 0, said.err
    assert "take_profit_percent: 1 -> 2.5" in said.out
    assert "cooldown_period: 300 -> 60" in said.out
    assert column(seat, "cooldown_period") == 60
    assert Decimal(str(column(seat, "base_order_amount"))) == 20


def test_enable_and_disable(seat: Seat) -> None:
    add(seat, "BTC/USD", "--disabled")
    assert column(seat, "is_enabled") == 0
    assert seat.run("asset", "enable", "BTC/USD").code == 0
    assert column(seat, "is_enabled") == 1
    assert "no new buys" in seat.run("asset", "disable", "BTC/USD").out
    assert column(seat, "is_enabled") == 0


def test_an_asset_that_cannot_work_is_not_enabled(seat: Seat) -> None:
    seat.books.add_asset(is_enabled=0, take_profit_percent="0.2")
    said = seat.run("asset", "enable", "BTC/USD")
    assert said.code == 1
    assert "does not cover the round-trip fee" in said.line
    assert column(seat, "is_enabled") == 0


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--base-order-amount", "nan", "is no number; write it like 1.5"),
        ("--base-order-amount", "1,5", "is no number; write it like 1.5"),
        ("--base-order-amount", "1e400", ""),
        ("--base-order-amount", "-5", "below Alpaca's minimum of 10 USD"),
        ("--base-order-amount", "Infinity", "is no number"),
        ("--base-order-amount", "9.99", "below Alpaca's minimum of 10 USD"),
        ("--base-order-amount", "", "is no number"),
        ("--safety-order-amount", "200001", "above Alpaca's maximum"),
        ("--safety-order-deviation", "0", "must be above 0 and below 100"),
        ("--safety-order-deviation", "100", "must be above 0 and below 100"),
        ("--take-profit-percent", "0.5", "does not cover the round-trip fee of 0.50"),
        ("--take-profit-percent", "1e-400", ""),
        ("--max-safety-orders", "-5", "is no whole number"),
        ("--max-safety-orders", "1.5", "is no whole number"),
        ("--max-safety-orders", "1001", "must be between 0 and 1000"),
        ("--cooldown-period", "1e9", "is no whole number"),
        ("--cooldown-period", "9999999999", "is too large"),
        ("--buy-order-price-deviation-percent", "-1", "must be at least 0 and below 100"),
    ],
)
def test_nonsense_is_refused_in_one_line_and_changes_nothing(seat: Seat, option: str, value: str, words: str) -> None:
    add(seat)
    before = seat.books.execute("SELECT * FROM dca_assets")
    name = option.removeprefix("--").replace("-", "_")
    said = seat.run("asset", "set", "BTC/USD", f"{option}={value}")
    assert said.code == 2
    assert words in said.line
    assert len(said.line) < 250
    assert name in said.line or option in said.line
    assert seat.books.execute("SELECT * FROM dca_assets") == before
    said = seat.run("asset", "add", "ETH/USD", *AMOUNTS, f"{option}={value}")
    assert said.code == 2
    assert seat.books.execute("SELECT COUNT(*) FROM dca_assets") == [(1,)]


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("BTCUSD", "is no pair; write it like BTC/USD"),
        ("BTC/EUR", "only pairs quoted in USD"),
        ("FOO/USD", "Alpaca does not know this crypto pair"),
        ("B;DROP/USD", "is no pair"),
        ("ÄÖ/USD", "is no pair"),
        ("", "is no pair"),
    ],
)
def test_a_symbol_that_cannot_be_traded_is_refused(seat: Seat, symbol: str, words: str) -> None:
    said = add(seat, symbol)
    assert said.code == 2
    assert words in said.line
    assert seat.books.execute("SELECT COUNT(*) FROM dca_assets") == [(0,)]


def test_wrong_usage_is_one_line(seat: Seat) -> None:
    add(seat)
    for words in (
        ("add", "ETH/USD"),
        ("set", "BTC/USD"),
        ("set", "BTC/USD", "--colour", "red"),
        ("paint", "BTC/USD"),
        (),
        ("show",),
    ):
        said = seat.run("asset", *words)
        assert said.code == 2, words
        assert said.line.startswith("dcabot asset")


@pytest.mark.parametrize("action", ["show", "set", "enable", "disable", "remove"])
def test_an_unknown_asset_is_one_line(seat: Seat, action: str) -> None:
    more = ["--cooldown-period", "1"] if action == "set" else []
    said = seat.run("asset", action, "ETH/USD", *more)
    assert said.code == 1
    assert said.line == "dcabot asset: there is no asset ETH/USD; `dcabot asset list` shows what there is"


def test_a_second_row_of_a_symbol_is_refused(seat: Seat) -> None:
    add(seat)
    said = add(seat)
    assert said.code == 1
    assert "is there already" in said.line


@pytest.mark.parametrize("has_exchange", [True, False])
def test_an_amount_that_rounding_takes_below_the_minimum_is_warned_of_wherever_one_looks(
    seat: Seat, monkeypatch: pytest.MonkeyPatch, has_exchange: bool
) -> None:
    if not has_exchange:
        monkeypatch.setenv("APCA_API_KEY_ID", "")
    warning = (
        "BTC/USD would hardly ever buy: base_order_amount 10 can fall below Alpaca's minimum of 10 USD when the coins "
        "are rounded down to steps of 0.000000001; raise it"
    )
    monkeypatch.setenv("COLUMNS", "400")
    amounts = ("--base-order-amount", "10", "--safety-order-amount", "20")
    for words in (("add", "BTC/USD", *amounts), ("show", "BTC/USD"), ("set", "BTC/USD", *amounts), ("list",)):
        said = seat.run("asset", *words)
        assert (said.code, said.err) == (0, "")
        assert warning in said.out, words
    assert warning in seat.run("check").out
    assert warning in seat.run("status", "--json").json["notes"]
    said = seat.run("asset", "set", "BTC/USD", "--base-order-amount", "10.01")
    assert "hardly" not in said.out
    assert "hardly" not in seat.run("asset", "list").out + seat.run("check").out + seat.run("status").out


def test_without_the_exchange_it_still_works_and_says_so(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APCA_API_BASE_URL", f"http://127.0.0.1:{servers.free_port()}")
    said = add(seat, "ETH/USD")
    assert said.code == 0
    assert "Not checked against Alpaca: no connection" in said.out
    assert "For a base order at 100.00 (no price known)" in said.out
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(name)
    assert "the API keys are not set" in seat.run("asset", "show", "ETH/USD").out


def test_what_holds_coins_cannot_be_removed(seat: Seat) -> None:
    add(seat)
    seat.trade("60000", "60010")
    assert "has 1 order in its history" in seat.run("asset", "remove", "BTC/USD").line
    said = seat.run("asset", "remove", "BTC/USD", "--yes")
    assert said.code == 1
    assert "dcabot cycle close BTC/USD" in said.line
    assert seat.run("cycle", "release", "BTC/USD", "--yes").code == 0
    assert seat.run("asset", "remove", "BTC/USD", "--yes").code == 0
    assert seat.books.execute("SELECT COUNT(*) FROM dca_orders") == [(0,)]


def test_what_owns_missing_coins_cannot_be_removed(seat: Seat) -> None:
    """They may come back, and would be nobody's."""
    add(seat)
    seat.trade("60000", "60010")
    seat.books.execute("UPDATE dca_cycles SET quantity = 0, missing_since = created_at")
    said = seat.run("asset", "remove", "BTC/USD", "--yes")
    assert said.code == 1
    assert "dcabot cycle release BTC/USD" in said.line


def test_without_history_it_is_simply_removed(seat: Seat) -> None:
    add(seat)
    assert seat.run("asset", "remove", "BTC/USD").out == "BTC/USD removed.\n"


def test_a_long_ladder_is_shown_in_part(seat: Seat) -> None:
    out = add(seat, "BTC/USD", "--max-safety-orders", "1000", "--safety-order-deviation", "0.1").out
    assert len(out.splitlines()) < 60
    assert "\n1000 " in out


def test_the_list_has_what_all_ladders_can_spend(seat: Seat) -> None:
    add(seat)
    add(seat, "ETH/USD", "--max-safety-orders", "2")
    seat.books.add_asset("SOL/USD")
    assert seat.run("asset", "disable", "SOL/USD").code == 0
    rows = [line.split() for line in seat.run("asset", "list").out.splitlines()]
    assert rows[-1] == ["total", "2", *["-"] * 7, "180.00"]
    assert [row[-1] for row in rows[1:4]] == ["120.00", "60.00", "120.00"]


def test_a_running_cycle_shows_the_rest_of_its_ladder(seat: Seat) -> None:
    add(seat, "BTC/USD", "--max-safety-orders", "2", "--safety-order-deviation", "1")
    seat.trade("60000", "60010")
    seat.trade("59000", "59010")
    said = seat.run("asset", "show", "BTC/USD")
    assert "Cycle 1 has bought its base order and 1 of 2 safety orders: 40.00 USD spent" in said.out
    ((number, at, drop, spent, *_),) = ladder(said)
    assert (number, at, drop, spent) == ("2", "58,419.90", "-2.65", "60.00")
    told = seat.run("status", "--json").json["assets"][0]
    assert told["next_safety_price"] == "58419.9"
    seat.trade("58000", "58010")
    said = seat.run("asset", "show", "BTC/USD")
    assert "2 of 2 safety orders: 60.00 USD spent" in said.out
    assert "It has no safety order left." in said.out
    assert ladder(said) == []
    assert "no safety order left" in seat.run("status").out
    said = seat.run("asset", "set", "BTC/USD", "--max-safety-orders", "4")
    assert [row[0] for row in ladder(said)] == ["3", "4"]
    assert seat.run("asset", "disable", "BTC/USD").code == 0
    assert "it buys no more" in seat.run("asset", "show", "BTC/USD").out


def test_a_terminal_of_80_columns_is_wide_enough(seat: Seat, tmp_path: Path) -> None:
    add(seat, "BTC/USD", "--base-order-amount", "1234.56", "--safety-order-amount", "1000")
    variables = environment(tmp_path, seat.alpaca.env(), seat.books.environment)
    variables.update(TERM="xterm", COLUMNS="80")
    for words in (("asset", "list"), ("asset", "show", "BTC/USD")):
        _, text = drawn_on_terminal(tmp_path, variables, *words)
        lines = [line.rstrip() for line in text.replace("\r", "").splitlines()]
        table = [line for line in lines if line.startswith(("BTC/USD ", "base ", "1 ", "total "))]
        assert len(table) >= 2
        assert max(map(len, table)) <= 80, text
        assert "6,234.56" in text


def test_a_ladder_of_a_cheap_coin_fits_80_columns(tmp_path: Path) -> None:
    amounts = ("--base-order-amount", "1000", "--safety-order-amount", "1000")
    with alpaca_for_tests(symbols=["SHIB/USD"]) as alpaca:
        variables = environment(tmp_path, alpaca.env(), sqlite_books(tmp_path).environment)
        variables.update(TERM="xterm", COLUMNS="80")
        _, text = drawn_on_terminal(tmp_path, variables, "asset", "add", "SHIB/USD", *amounts)
    lines = [line.rstrip() for line in text.replace("\r", "").splitlines()]
    table = [line for line in lines if line.startswith(("base ", "1 ", "2 ", "total "))]
    assert len(table) == 4, text
    assert max(map(len, table)) <= 80


def test_no_database_is_one_line_and_75(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_URL", f"mysql://me:geheim@127.0.0.1:{servers.free_port()}/books")
    for words in (("asset", "list"), ("status",), ("report",), ("cycle", "show", "1")):
        said = seat.run(*words)
        assert said.code == 75, words
        assert "geheim" not in said.line


def test_no_configuration_is_78(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB_URL")
    for words in (("asset", "list"), ("status",), ("report",), ("cycle", "show", "1")):
        said = seat.run(*words)
        assert said.code == 78, words
        assert all(line.startswith("dcabot: DB_") for line in said.err.splitlines())


def test_a_schema_that_is_not_there_is_78(seat: Seat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DB_URL", f"sqlite:///{tmp_path}/other.db")
    (tmp_path / "other.db").touch()
    for words in (("asset", "list"), ("status",), ("report",), ("cycle", "show", "1")):
        said = seat.run(*words)
        assert said.code == 78, words
        assert said.line == "dcabot: the database has no tables yet: run `dcabot db init`"


def test_no_permission_is_one_line_and_78(
    database: servers.Database, mariadb_server: servers.MariaDB, tmp_path: Path
) -> None:
    mariadb_books(database)
    mariadb_server.execute(
        "CREATE OR REPLACE USER looker@localhost", f"GRANT SELECT ON `{database.name}`.* TO looker@localhost"
    )
    variables = environment(tmp_path, database.environment(), DB_USER="looker")
    done = run_program(tmp_path, variables, "asset", "add", "BTC/USD", *AMOUNTS)
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert "INSERT command denied" in line
    assert run_program(tmp_path, variables, "asset", "list").returncode == 0
