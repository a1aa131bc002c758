"""The three caretakers as the timers run them: exit codes, one summary line, alone and beside the daemon."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dcabot.simulator import Simulator
from tests.agreement import disagreement
from tests.commands.conftest import Start
from tests.programs import NO_ALPACA, PATIENCE, Books, environment, run_program, until

NAMES = ("order-manager", "cooldown-manager", "consistency-checker")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(alpaca: Simulator, small_books: Books, tmp_path: Path) -> Run:
    def run(name: str, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return run_program(tmp_path, environment(tmp_path, alpaca.env(), small_books.environment, more), name, *words)

    return run


@pytest.fixture
def holding(alpaca: Simulator, small_books: Books, start: Start) -> Books:
    """A daemon bought 0.000332443 BTC and is gone."""
    small_books.add_asset()
    with start(small_books) as daemon:
        daemon.until_said("held after a fee")
        daemon.stop()
    return small_books


def summary(done: "subprocess.CompletedProcess[str]") -> str:
    """The only line of a pass that found nothing."""
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr.strip().rpartition("INFO ")[2]


def test_on_empty_books_each_says_one_line_and_exits_0(run: Run) -> None:
    lines = {name: run(name).stderr for name in NAMES}
    assert [len(text.splitlines()) for text in lines.values()] == [1, 1, 1]
    assert "order manager: 0 open orders at Alpaca, 0 mended" in lines["order-manager"]
    assert "cooldown manager: 0 cooldowns over, 0 cycles opened, 0 assets suspended" in lines["cooldown-manager"]
    assert "consistency checker: 0 cycles compared, 0 mended" in lines["consistency-checker"]


@pytest.mark.parametrize("name", NAMES)
def test_missing_settings_are_named_and_exit_78(tmp_path: Path, name: str) -> None:
    done = run_program(tmp_path, environment(tmp_path), name)
    assert done.returncode == 78
    assert "DB_HOST is not set" in done.stderr
    assert ("APCA_API_KEY_ID is not set" in done.stderr) is (name != "cooldown-manager")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_schema_exits_78(alpaca: Simulator, tmp_path: Path, name: str) -> None:
    variables = environment(tmp_path, alpaca.env(), DB_URL=f"sqlite:///{tmp_path}/none.db")
    done = run_program(tmp_path, variables, name)
    assert done.returncode == 78
    assert "dcabot db init" in done.stderr
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("name", ["order-manager", "consistency-checker"])
def test_an_unreachable_exchange_exits_75_and_changes_nothing(
    alpaca: Simulator, holding: Books, run: Run, name: str
) -> None:
    before = holding.cycles(), holding.orders()
    alpaca.faults.refuse_connections()
    done = run(name)
    assert done.returncode == 75
    assert re.fullmatch(rf"{NO_ALPACA}\n", done.stderr)
    assert (holding.cycles(), holding.orders()) == before
    assert run("cooldown-manager").returncode == 0


@pytest.mark.parametrize("name", ["order-manager", "consistency-checker"])
def test_wrong_keys_exit_78(run: Run, name: str) -> None:
    done = run(name, APCA_API_SECRET_KEY="wrong-0123456789")
    assert done.returncode == 78
    assert "does not accept the API keys" in done.stderr
    assert "wrong-0123456789" not in done.stderr


def test_an_unreachable_database_exits_75(alpaca: Simulator, tmp_path: Path) -> None:
    nowhere = {"DB_HOST": "127.0.0.1", "DB_PORT": "1", "DB_USER": "u", "DB_PASSWORD": "very-secret", "DB_NAME": "n"}
    for name in NAMES:
        done = run_program(tmp_path, environment(tmp_path, alpaca.env(), nowhere), name)
        assert done.returncode == 75, name
        assert "very-secret" not in done.stderr
        assert len(done.stderr.splitlines()) == 1


# Order manager.


def test_the_order_manager_cancels_a_stale_buy_and_the_books_follow(
    alpaca: Simulator, small_books: Books, start: Start, run: Run
) -> None:
    small_books.add_asset()
    alpaca.faults.hold_fills()
    with start(small_books) as daemon:
        daemon.until(lambda: [row[2] for row in small_books.orders()] == ["accepted"], "the order to rest")
        daemon.kill()
    assert "1 open order at Alpaca, 0 mended" in summary(run("order-manager"))
    time.sleep(1)
    done = run("order-manager", DCABOT_STALE_ORDER_SECONDS="1")
    assert "1 mended" in done.stderr
    until(lambda: alpaca.orders()[0]["status"] == "canceled", "the cancel")
    assert "0 open orders at Alpaca, 1 mended" in run("order-manager").stderr
    assert small_books.status() == "watching"
    assert small_books.orders()[0][2] == "canceled"


@pytest.mark.parametrize(
    ("policy", "left"), [("own", {"by-hand"}), ("all", set()), ("none", {"by-hand", "dcabot-7-1-base-1"})]
)
def test_the_order_manager_treats_orders_of_others_as_it_is_told(
    alpaca: Simulator, run: Run, policy: str, left: set[str]
) -> None:
    for name in ("by-hand", "dcabot-7-1-base-1"):
        alpaca.foreign_order(
            symbol="BTC/USD", qty="0.001", side="buy", type="limit", limit_price="50000", time_in_force="gtc",
            client_order_id=name,
        )  # fmt: skip
    done = run("order-manager", DCABOT_ORPHAN_ORDERS=policy)
    assert f"{2 - len(left)} untracked cancelled, {len(left)} untracked left alone" in done.stderr
    for name in left:
        assert f"untracked order {name} left alone" in done.stderr
    until(lambda: {one["client_order_id"] for one in alpaca.orders(status="open")} == left, "the cancels")


# Cooldown manager.


def test_the_cooldown_manager_ends_a_cooldown_and_opens_missing_cycles(holding: Books, run: Run) -> None:
    holding.execute("UPDATE dca_cycles SET status = 'complete', completed_at = '2026-01-01 00:00:00'")
    holding.execute("INSERT INTO dca_cycles (asset_id, status) VALUES (1, 'cooldown')")
    holding.add_asset("ETH/USD")
    holding.add_asset("SOL/USD", is_enabled=0)
    assert "1 cooldown over, 1 cycle opened, 0 assets suspended" in summary(run("cooldown-manager"))
    assert [holding.status(symbol) for symbol in ("BTC/USD", "ETH/USD", "SOL/USD")] == ["watching", "watching", ""]
    assert "0 cooldowns over, 0 cycles opened, 0 assets suspended" in summary(run("cooldown-manager"))


def test_the_cooldown_manager_needs_no_keys_and_asks_nobody(
    alpaca: Simulator, small_books: Books, tmp_path: Path
) -> None:
    done = run_program(tmp_path, environment(tmp_path, small_books.environment), "cooldown-manager")
    assert done.returncode == 0
    assert alpaca.journal.entries("request") == []


def test_a_cooldown_that_is_not_over_stays(holding: Books, run: Run) -> None:
    holding.execute("UPDATE dca_cycles SET status = 'complete', completed_at = CURRENT_TIMESTAMP")
    holding.execute("INSERT INTO dca_cycles (asset_id, status) VALUES (1, 'cooldown')")
    assert "0 cooldowns over" in summary(run("cooldown-manager"))


# Consistency checker.


def test_the_consistency_checker_finds_nothing_in_books_that_are_right(holding: Books, run: Run) -> None:
    expected = "consistency checker: 1 cycle compared, 0 mended, 0 cycles opened, 0 assets suspended"
    assert summary(run("consistency-checker")) == expected


def test_coins_that_were_withdrawn_end_the_cycle(alpaca: Simulator, holding: Books, run: Run) -> None:
    alpaca.transfer("BTC", "-0.000332443")
    begun = time.monotonic()
    done = run("consistency-checker")
    assert time.monotonic() - begun > 5  # it looked twice, seconds apart
    assert "were withdrawn: cycle complete, and the asset is disabled" in done.stderr
    assert [status for status, _, _ in holding.cycles()] == ["complete", "cooldown"]


def test_coins_that_are_gone_without_a_cause_suspend(alpaca: Simulator, holding: Books, run: Run) -> None:
    alpaca.faults.hide_position("BTC/USD", times=100)
    done = run("consistency-checker")
    assert "suspended until that is explained" in done.stderr
    assert holding.cycles() == [("watching", "0", 0)]
    assert "0 mended" in run("consistency-checker").stderr


@pytest.mark.slow
def test_a_position_that_is_missing_once_changes_nothing(alpaca: Simulator, holding: Books, run: Run) -> None:
    alpaca.faults.hide_position("BTC/USD", times=1)
    assert "0 mended" in run("consistency-checker").stderr
    assert holding.cycles() == [("watching", "0.000332443", 0)]


def test_a_column_that_was_edited_is_mended_and_coins_that_come_are_not_taken(
    alpaca: Simulator, holding: Books, run: Run
) -> None:
    holding.execute("UPDATE dca_cycles SET safety_orders = 3, average_purchase_price = '1'")
    assert "1 mended" in run("consistency-checker").stderr
    alpaca.transfer("BTC", "0.0001")
    assert "0 mended" in run("consistency-checker").stderr  # foreign coins are nobody's
    assert holding.cycles() == [("watching", "0.000332443", 0)]


def test_a_fill_that_nobody_heard_of_is_booked(alpaca: Simulator, small_books: Books, start: Start, run: Run) -> None:
    small_books.add_asset()
    alpaca.faults.hold_fills()
    with start(small_books) as daemon:
        daemon.until(lambda: [row[2] for row in small_books.orders()] == ["accepted"], "the order to rest")
        daemon.kill()
    alpaca.faults.hold_fills(False)
    until(lambda: alpaca.positions(), "the fill")
    run("consistency-checker")
    assert small_books.cycles() == [("watching", "0.000332443", 0)]


def test_a_dry_run_only_reports(alpaca: Simulator, holding: Books, run: Run) -> None:
    holding.execute("UPDATE dca_cycles SET safety_orders = 3")
    before = holding.execute("SELECT * FROM dca_cycles"), holding.execute("SELECT * FROM dca_orders")
    done = run("consistency-checker", "--dry-run")
    assert done.returncode == 0
    assert "1 cycle compared, 1 differ, nothing was changed; 0 cycles missing, 0 assets suspended" in done.stderr
    assert "recomputed" in done.stderr
    assert (holding.execute("SELECT * FROM dca_cycles"), holding.execute("SELECT * FROM dca_orders")) == before
    alpaca.transfer("BTC", "-0.000332443")
    assert "suspended until that is explained" in run("consistency-checker", "--dry-run").stderr
    assert (holding.execute("SELECT * FROM dca_cycles"), holding.execute("SELECT * FROM dca_orders")) == before


def test_a_dry_run_tells_of_the_cycles_that_are_missing(small_books: Books, run: Run) -> None:
    small_books.add_asset()
    small_books.add_asset("ETH/USD", is_enabled=0)
    said = run("consistency-checker", "--dry-run").stderr
    assert "BTC/USD: enabled and without a current cycle; it would be given one" in said
    assert "0 cycles compared, 0 differ, nothing was changed; 1 cycle missing, 0 assets suspended" in said
    assert small_books.cycles() == []
    assert "1 cycle opened" in run("consistency-checker").stderr


def test_a_row_of_nonsense_is_named_by_each_and_holds_nobody_else(holding: Books, run: Run) -> None:
    holding.add_asset("ETH/USD")
    holding.execute("UPDATE dca_cycles SET status = 'bying'")
    for name, code in (("cooldown-manager", 0), ("order-manager", 0), ("consistency-checker", 1)):
        done = run(name)
        assert done.returncode == code
        assert "BTC/USD is suspended: dca_cycles: cycle 1 of BTC/USD: unknown status 'bying'" in done.stderr
        assert "1 asset suspended" in done.stderr
    assert holding.status("ETH/USD") == "watching"


# What needs a person.


def needs(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """The names of the troubles that the checker told of; it exits 1 when there are any."""
    found = re.findall(r" ERROR needs a person \(([^)]+)\): ", done.stderr)
    assert done.returncode == bool(found), done.stderr
    return found


def test_a_trouble_that_the_daemon_wrote_needs_a_person(holding: Books, run: Run) -> None:
    write_trouble(holding, "sale", "BTC/USD", "BTC/USD is not sold: liquidation only")
    write_trouble(holding, "spread", "BTC/USD", "the spread is 5 %")  # a note
    done = run("consistency-checker")
    assert needs(done) == ["sale BTC/USD"]
    assert "liquidation only, since 2026-01-01 00:00 UTC. Do something." in done.stderr


def test_troubles_of_a_daemon_that_was_stopped_are_over(holding: Books, run: Run) -> None:
    write_trouble(holding, "sale", "BTC/USD", "BTC/USD is not sold")
    holding.execute("UPDATE dca_daemon SET sentence = 'stopped'")
    assert needs(run("consistency-checker")) == []


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_suspended_asset_with_coins_needs_a_person(
    alpaca: Simulator, holding: Books, run: Run, options: tuple[str, ...]
) -> None:
    alpaca.faults.respond(200, [], "GET", "^/v2/assets$", times=None)
    assert needs(run("consistency-checker", *options)) == ["suspended BTC/USD"]


def test_a_suspended_asset_without_coins_is_a_note(alpaca: Simulator, small_books: Books, run: Run) -> None:
    small_books.add_asset("ETH/USD")
    run("cooldown-manager")
    alpaca.faults.respond(200, [], "GET", "^/v2/assets$", times=None)
    assert needs(run("consistency-checker")) == []


def test_a_clock_that_is_wrong_needs_a_person(alpaca: Simulator, small_books: Books, run: Run) -> None:
    ahead = (datetime.now(timezone.utc) + timedelta(seconds=75)).isoformat()
    answer = {"timestamp": ahead, "is_open": True, "next_open": ahead, "next_close": ahead}
    alpaca.faults.respond(200, answer, "GET", "/v2/clock", times=None)
    done = run("consistency-checker")
    assert needs(done) == ["clock"]
    assert re.search(r"7[0-9] s behind Alpaca's: .* timedatectl set-ntp true", done.stderr)


def test_an_order_that_cannot_be_read_needs_a_person(alpaca: Simulator, holding: Books, run: Run) -> None:
    row = {**alpaca.positions()[0], "qty": "much"}
    alpaca.faults.respond(200, [row], "GET", "^/v2/positions$", times=None)
    assert needs(run("consistency-checker")) == ["unreadable BTC/USD"]


@pytest.mark.parametrize("status", [401, 503])
def test_what_alpaca_refuses_is_told_as_the_daemon_knows_it(
    alpaca: Simulator, holding: Books, run: Run, status: int
) -> None:
    alpaca.faults.respond(status, {"message": "no"}, path="^/v2/", times=None)
    assert run("consistency-checker").returncode == {401: 78, 503: 75}[status]
    write_trouble(holding, "keys", "", "Alpaca does not accept the API keys")
    assert needs(run("consistency-checker")) == ["keys"]


def write_trouble(books: Books, kind: str, asset: str, sentence: str) -> None:
    """As a daemon does that lives."""
    books.execute("UPDATE dca_daemon SET sentence = 'unhealthy'")
    books.execute(
        "INSERT INTO dca_troubles (kind, asset, since, sentence, remedy)"
        " VALUES (?, ?, '2026-01-01 00:00:00.000', ?, 'Do something.')",
        *(kind, asset, sentence),
    )


# Beside the daemon.


def test_two_of_each_beside_a_trading_daemon_again_and_again(
    alpaca: Simulator, books: Books, start: Start, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Three rounds of six; with --long sixty."""
    books.add_asset(max_safety_orders=1, cooldown_period=0)
    books.add_asset("ETH/USD", max_safety_orders=1, cooldown_period=0)
    variables = environment(tmp_path, alpaca.env(), books.environment)
    words = [[sys.executable, "-m", "dcabot", name] for name in NAMES] * 2
    with start(books) as daemon:
        daemon.until_ready()
        for bid in ("60000", "59000", "61000") * (20 if request.config.getoption("--long") else 1):
            alpaca.set_quote("BTC/USD", bid=bid, ask=str(int(bid) + 10))
            alpaca.set_quote("ETH/USD", bid=str(int(bid) // 30), ask=str(int(bid) // 30 + 1))
            crowd = [
                subprocess.Popen(one, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True) for one in words
            ]
            for process in crowd:
                _, said = process.communicate(timeout=PATIENCE)
                assert process.returncode == 0, said
                assert "Traceback" not in said
        daemon.until(lambda: len(books.cycles()) >= 2 and len(books.cycles("ETH/USD")) >= 2, "both cycles to be sold")
        # What was bought at the last price, neither rises nor falls: nothing more happens.
        bought = {"BTC/USD": 61000, "ETH/USD": 61000 // 30}
        daemon.until(lambda: all(holds_from(books, *one) for one in bought.items()), "both to buy again")
        daemon.until(lambda: not disagreement(alpaca, books), "the books to agree with the exchange")
        assert "Traceback" not in daemon.log()
        daemon.stop()
    assert disagreement(alpaca, books) == ""


def holds_from(books: Books, symbol: str, price: int) -> bool:
    """Whether the newest cycle holds what it bought at this price or above."""
    found = books.execute(
        "SELECT status, quantity, last_order_fill_price FROM dca_cycles WHERE asset_id ="
        " (SELECT id FROM dca_assets WHERE asset_symbol = ?) ORDER BY id DESC LIMIT 1",
        symbol,
    )
    return any(status == "watching" and quantity and paid >= price for status, quantity, paid in found)
