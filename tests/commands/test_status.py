"""`dcabot status`: healthy or not, what each asset does, and what comes next at which price."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dcabot.adapters.store import Beat
from dcabot.core.troubles import Kind, Trouble
from dcabot.simulator import Simulator
from tests import servers
from tests.commands.conftest import ENDS_WITHIN, Start
from tests.commands.seat import Seat, seat_for, utc_now
from tests.programs import PATIENCE, ROOT, Books, environment, mariadb_books, until


def beat(seat: Seat, sentence: str = "1 asset: 1 watching", seconds_ago: float = 0) -> None:
    """The daemon says how it is."""
    at = utc_now() - timedelta(seconds=seconds_ago)
    seat.trader.store.write_beat(Beat(at, at, at, None, sentence))


def asset(seat: Seat, symbol: str = "BTC/USD") -> dict[str, Any]:
    found: list[dict[str, Any]] = seat.run("status", "--json").json["assets"]
    return next(one for one in found if one["symbol"] == symbol)


@pytest.fixture
def well(seat: Seat) -> Iterator[Seat]:
    seat.books.add_asset()
    seat.trader.recover()
    beat(seat)
    yield seat


def test_one_glance_tells_that_all_is_well(well: Seat) -> None:
    said = well.run("status")
    assert said.code == 0, said.out
    assert said.out.splitlines()[0] == "Healthy."
    assert re.search(r"Daemon: 1 asset: 1 watching; started \d+ s ago, last heartbeat \d+ s ago", said.out)


def test_a_daemon_that_is_down_is_said_and_the_rest_is_shown_all_the_same(well: Seat) -> None:
    beat(well, seconds_ago=3600)
    said = well.run("status")
    assert said.code == 1
    assert said.out.splitlines()[0] == "Unhealthy:"
    assert "the daemon is down; its last heartbeat was 60 min ago. `systemctl start dcabot` starts it" in said.out
    assert re.search(
        r"^next +once the daemon trades\s+BTC/USD  buys 20.00 USD at the next quote", said.out, re.MULTILINE
    )


def test_a_daemon_that_has_just_been_stopped_is_said_at_once(
    small_books: Books,
    alpaca: Simulator,
    start: Start,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_books.add_asset()
    with seat_for(alpaca, small_books, capsys, monkeypatch, tmp_path) as seat, start(small_books) as daemon:
        daemon.until_ready()
        assert seat.run("status").out.splitlines()[0] == "Healthy."
        code, seconds = daemon.stop()
        assert (code, seconds < ENDS_WITHIN) == (0, True), seconds
        said = seat.run("status")
        assert said.code == 1
        assert re.search(r"the daemon was stopped \d+ s ago. `systemctl start dcabot` starts it", said.out)
        assert seat.run("status", "--json").json["daemon"]["sentence"] == "stopped"


def test_a_daemon_that_never_ran_is_said(seat: Seat) -> None:
    said = seat.run("status")
    assert said.code == 1
    assert "the daemon has never run on this database" in said.out
    assert "No assets yet; `dcabot asset add` adds one." in said.out


def test_a_sick_daemon_is_not_well(well: Seat) -> None:
    beat(well, "unhealthy: trade updates is down for 70 s: refused")
    said = well.run("status", "--json")
    assert said.code == 1
    assert said.json["well"] is False
    assert "trade updates is down" in said.json["troubles"][0]


def test_an_asset_that_cannot_trade_is_named_first(well: Seat) -> None:
    well.books.add_asset("FOO/USD")
    well.trader.recover()
    said = well.run("status", "--json")
    assert (said.code, said.json["troubles"], said.json["cannot_buy"]) == (0, [], ["FOO/USD"])
    (note,) = said.json["notes"]
    assert note.startswith("FOO/USD is suspended: asset_symbol FOO/USD: Alpaca does not know")
    assert well.run("status").out.splitlines()[0] == "No trouble, but FOO/USD cannot buy:"


def test_a_suspended_asset_with_coins_is_unhealthy(well: Seat) -> None:
    well.trade("60000", "60010")
    well.books.execute("UPDATE dca_assets SET take_profit_percent = '0.1'")
    said = well.run("status")
    assert said.code == 1
    first, second = said.out.splitlines()[:2]
    assert first == "Unhealthy:"
    assert second.startswith("  BTC/USD is suspended: take_profit_percent 0.1 does not cover")


def test_what_the_daemon_wrote_down_is_told_with_its_age(well: Seat) -> None:
    at = datetime(2026, 1, 1, 3, 0, tzinfo=timezone.utc)
    sale = Trouble(Kind.SALE, "BTC/USD", at, "BTC/USD is not sold: refused", "Ask Alpaca.")
    spread = Trouble(Kind.SPREAD, "ETH/USD", at, "ETH/USD cannot buy: the spread is 5 %")
    now = utc_now()
    sentence = "unhealthy: BTC/USD is not sold: refused"
    well.trader.store.write_beat(Beat(now, now, now, None, sentence), [sale, spread])
    said = well.run("status")
    assert said.code == 1
    assert said.out.splitlines()[:2] == [
        "Unhealthy; ETH/USD cannot buy:",
        "  BTC/USD is not sold: refused, since 2026-01-01 03:00 UTC. Ask Alpaca.",
    ]
    assert "ETH/USD cannot buy: the spread is 5 %, since 2026-01-01 03:00 UTC." in said.out


def test_a_wide_spread_is_named(well: Seat) -> None:
    well.price("45000", "80000")
    assert asset(well)["next"] == "nothing while the spread of 77.78 % is above DCABOT_SPREAD_MAX_PERCENT"


def test_what_comes_next_follows_the_cycle(well: Seat) -> None:
    assert asset(well)["next"] == "buys 20.00 USD at the next quote"
    well.alpaca.faults.hold_fills()
    well.trade("60000", "60010", is_filled=False)
    told = asset(well)
    assert (told["state"], told["next"]) == ("buying", "waits for its order")
    assert told["open_order"].startswith("buy 0.000333277 at 60,010.00, accepted since")
    well.alpaca.faults.hold_fills(False)
    well.trade("60000", "60010")
    told = asset(well)
    assert told["next"] == "sells all at bid 60,610.10, buys 20.00 USD at ask 59,109.85"
    assert Decimal(told["next_safety_price"]) == Decimal("59109.85")
    assert Decimal(told["take_profit_price"]) == Decimal("60610.10")
    assert Decimal(told["average_price"]) == Decimal("60010")
    assert Decimal(told["bid"]) == 60000
    assert Decimal(told["unrealised_profit"]) < 0
    well.trade("60700", "60710")
    told = asset(well)
    assert told["state"].startswith("cooldown until ")
    assert told["next"] == "buys 20.00 USD after the cooldown, or at ask 59,486.00"
    assert Decimal(told["restart_price"]) == 59486
    assert 200 < (datetime.fromisoformat(told["cooldown_until"]) - utc_now()).seconds <= 300


def test_profit_is_what_a_close_at_the_same_bid_brings(well: Seat) -> None:
    """1,000 USD bought at 60,000 and sold at 60,300: both fees take more than the price has risen."""
    well.books.execute("UPDATE dca_assets SET base_order_amount = 1000")
    well.trade("59990", "60000")
    well.price("60300", "60310")
    told = Decimal(asset(well)["unrealised_profit"]).quantize(Decimal("0.01"))
    assert told == Decimal("-0.02")
    assert " -0.02" in well.run("status").out
    assert "If it were sold now at 60,300.00: -0.02 USD (+0.00 %)" in well.run("cycle", "show", "BTC/USD").out
    said = well.run("cycle", "close", "BTC/USD", "--yes")
    assert "brought about -0.02 USD" in said.out
    (row,) = well.run("report", "--json").json
    assert Decimal(row["profit"]).quantize(Decimal("0.01")) == told
    assert "It brought -0.02 USD (+0.00 %)" in well.run("cycle", "show", "1").out


def test_a_cooldown_that_ends_on_another_day_says_which(well: Seat) -> None:
    well.books.execute("UPDATE dca_assets SET cooldown_period = 172800")
    well.trade("60000", "60010")
    well.trade("60700", "60710")
    told = asset(well)
    ends = datetime.fromisoformat(told["cooldown_until"])
    assert ends - utc_now() > timedelta(days=1)
    assert told["state"] == f"cooldown until {ends:%Y-%m-%d %H:%M} UTC"


def test_a_cooldown_that_should_have_ended_is_not_told_as_one_to_come(well: Seat) -> None:
    well.trade("60000", "60010")
    well.trade("60700", "60710")
    well.run("asset", "set", "BTC/USD", "--cooldown-period", "0")
    assert asset(well)["state"].startswith("cooldown over since ")


def test_an_asset_without_a_cycle_says_what_it_will_do(seat: Seat) -> None:
    seat.books.add_asset()
    seat.books.add_asset("ETH/USD", is_enabled=0)
    assert asset(seat)["next"] == "buys 20.00 USD once it has one"
    assert (asset(seat, "ETH/USD")["state"], asset(seat, "ETH/USD")["next"]) == ("disabled", None)


def test_the_last_safety_order_leaves_only_the_sale(well: Seat) -> None:
    well.books.execute("UPDATE dca_assets SET max_safety_orders = 0")
    well.trade("60000", "60010")
    assert asset(well)["next"] == "sells all at bid 60,610.10, no safety order left"
    assert asset(well)["next_safety_price"] is None


def test_a_disabled_asset_still_sells(well: Seat) -> None:
    well.trade("60000", "60010")
    well.run("asset", "disable", "BTC/USD")
    told = asset(well)
    assert told["next"] == "sells all at bid 60,610.10"
    assert told["state"] == "watching, no new buys"


def test_coins_that_no_cycle_owns_are_why_nothing_happens(well: Seat) -> None:
    well.alpaca.transfer("BTC", "0.5", "60000")
    assert asset(well)["next"] == "nothing while Alpaca shows 0.5 that no cycle bought"


def test_coins_of_a_pair_that_is_listed_no_more_are_the_cycles(well: Seat) -> None:
    well.trade("60000", "60010")
    well.alpaca.faults.respond(200, [], method="GET", path="^/v2/assets", times=None)
    said = well.run("status", "--json")
    assert "Alpaca does not know this crypto pair" in said.json["assets"][0]["trouble"]
    assert not [note for note in said.json["notes"] if "no cycle bought" in note]


def test_a_refused_order_is_told_with_its_next_try(well: Seat) -> None:
    refusal = {"code": 40310000, "message": "insufficient balance for USD"}
    well.alpaca.faults.respond(403, refusal, "POST", "/v2/orders", times=None)
    for _ in range(6):
        well.trade("60000", "60010", is_filled=False)
        well.books.execute("UPDATE dca_orders SET closed_at = datetime(closed_at, '-20 seconds')")
    well.trade("60000", "60010", is_filled=False)
    assert asset(well)["state"].startswith("watching, refused: again at ")


def test_without_the_exchange_the_books_are_shown(well: Seat) -> None:
    well.trade("60000", "60010")
    well.alpaca.faults.refuse_connections()
    try:
        said = well.run("status", "--json")
    finally:
        well.alpaca.faults.refuse_connections(False)
    assert said.code == 0
    assert "Not checked against Alpaca: no connection" in said.json["notes"][0]
    assert said.json["assets"][0]["bid"] is None
    assert said.json["assets"][0]["take_profit_price"]


def test_keys_that_are_not_accepted_are_told_in_one_sentence(well: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APCA_API_SECRET_KEY", "wrong")
    (note,) = well.run("status", "--json").json["notes"]
    assert note.startswith("Not checked against Alpaca: the exchange does not accept the API keys: ")
    assert note.endswith("unauthorized.")
    assert not note.endswith("..")


def test_a_daemon_that_waits_for_the_exchange_is_told_from_one_that_never_ran(
    alpaca: Simulator, start: Start, seat: Seat
) -> None:
    seat.books.add_asset()
    alpaca.faults.refuse_connections()
    with start(seat.books) as daemon:
        daemon.until_said("trying again")
        until(lambda: "starting" in seat.run("status").out, "the daemon's beat")
        said = seat.run("status", "--json")
        assert said.code == 1
        assert said.json["troubles"][0].startswith("the daemon is starting: no connection to 127.0.0.1")
        alpaca.faults.refuse_connections(False)
        daemon.until_ready()
        assert seat.run("status").out.splitlines()[0] == "Healthy."


def test_the_names_of_json_are_stable(well: Seat) -> None:
    told = well.run("status", "--json").json
    assert list(told) == ["well", "at", "troubles", "notes", "cannot_buy", "daemon", "assets"]
    assert list(told["daemon"]) == ["sentence", "started_at", "beat_at", "quote_at", "trade_update_at"]
    assert list(told["assets"][0]) == [
        "symbol", "enabled", "state", "held", "average_price", "bid", "next_safety_price", "take_profit_price",
        "cooldown_until", "restart_price", "open_order", "unrealised_profit", "next", "trouble",
    ]  # fmt: skip


def test_the_names_of_json_are_documented(well: Seat) -> None:
    """Those of `report --json` too."""
    page = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
    well.trade("60000", "60010")
    well.trade("60700", "60710")
    told = well.run("status", "--json").json
    rows = [told, told["daemon"], told["assets"][0], well.run("report", "--json").json[0]]
    rows += well.run("report", "--by", "day", "--json").json
    missing = {name for row in rows for name in row if f"`{name}`" not in page}
    assert not missing


def test_it_agrees_with_a_running_daemon(start: Start, seat: Seat) -> None:
    seat.books.add_asset()
    with start(seat.books) as daemon:
        daemon.until_ready()
        daemon.until(lambda: seat.books.cycles()[-1:] and seat.books.cycles()[-1][1] != "0", "a base order")
        until(lambda: seat.run("status").code == 0, "the daemon's beat")
        assert daemon.stop()[0] == 0


def watch(seat: Seat, folder: Path, **streams: Any) -> "subprocess.Popen[bytes]":
    variables = environment(folder, seat.alpaca.env(), seat.books.environment, TERM="xterm", COLUMNS="160")
    words = [sys.executable, "-m", "dcabot", "status", "--watch"]
    return subprocess.Popen(words, cwd=folder, env=variables, stderr=subprocess.PIPE, **streams)


def test_watching_goes_on_until_ctrl_c_and_ends_with_the_last_verdict(well: Seat, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with watch(well, tmp_path, stdout=theirs) as process:
        os.close(theirs)
        seen = b""
        while b"Healthy." not in seen:
            seen += os.read(ours, 65536)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        while process.poll() is None:  # what it still draws must be read
            try:
                os.read(ours, 65536)
            except OSError:
                break
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(ours)


def test_watching_into_a_pipe_prints_each_look(well: Seat, tmp_path: Path) -> None:
    with watch(well, tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        seen = 0
        while seen < 2:
            seen += process.stdout.readline().startswith(b"Healthy.")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_watching_outlives_a_restart_of_the_database(
    own_mariadb_server: servers.MariaDB, tmp_path: Path, alpaca: Simulator
) -> None:
    books = mariadb_books(own_mariadb_server.create_database())
    variables = environment(tmp_path, alpaca.env(), books.environment)
    words = [sys.executable, "-u", "-m", "dcabot", "status", "--watch"]
    with subprocess.Popen(words, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for step, line in (
            (None, "Unhealthy:"),
            (own_mariadb_server.kill, "looking again"),
            (own_mariadb_server.start, "Unhealthy:\n"),
        ):
            if step is not None:
                step()
            while line not in process.stdout.readline():
                assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 1


@pytest.mark.parametrize("words", [("--json", "--watch"), ("BTC/USD",), ("--jsn=1",)])
def test_wrong_usage_is_one_line(seat: Seat, words: tuple[str, ...]) -> None:
    said = seat.run("status", *words)
    assert said.code == 2
    assert said.line.startswith("dcabot status: ")
