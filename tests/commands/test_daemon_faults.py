"""`dcabot run` while the database, the exchange or a stream is away, slow, mute or talking nonsense."""

import contextlib
import json
import re
import threading
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgpack
import pymysql
import pytest

from dcabot.simulator import Simulator
from dcabot.simulator.faults import DATA, TRADING
from tests.agreement import disagreement
from tests.commands.conftest import ENDS_WITHIN, Start
from tests.programs import (
    NO_ALPACA,
    PATIENCE,
    Books,
    Daemon,
    alpaca_for_tests,
    environment,
    mariadb_books,
    running_daemon,
    until,
)
from tests.servers import PASSWORD, MariaDB

WAITERS = "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock' AND info LIKE ?"
HURRY = {"paces.PULSE_SECONDS": 1}


@pytest.fixture
def frail(server: MariaDB) -> tuple[MariaDB, Books]:
    """The server and a fresh database on it."""
    return server, mariadb_books(server.create_database())


def is_fed(daemon: Daemon, seconds: float) -> bool:
    """Whether a sign of life comes within so long."""
    before = daemon.notify.count("WATCHDOG=1")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if daemon.notify.count("WATCHDOG=1") > before:
            return True
        time.sleep(0.05)
    return False


def until_waiting(daemon: Daemon, what: str) -> None:
    """STATUS says what is waited for; no restart would help, so the watchdog is fed."""

    def is_told() -> bool:
        return any(word.startswith("STATUS=") and what in word for word in daemon.notify.words())

    daemon.until(is_told, f"STATUS to name {what}")
    assert is_fed(daemon, PATIENCE)
    assert not daemon.said("the watchdog is not fed")


def is_starting(daemon: Daemon) -> bool:
    """SIGTERM has its handler by then; before, Python ends in the signal's own way."""
    return "STATUS=starting: agreeing with the exchange" in daemon.notify.words()


def bought(daemon: Daemon, books: Books, symbol: str = "BTC/USD") -> None:
    """The base order is filled and its fee known."""
    daemon.until_said(f"{symbol} cycle .* held after a fee")
    assert books.cycles(symbol)[0][0] == "watching"


# The database.


def test_a_database_that_comes_late_is_waited_for(
    frail: tuple[MariaDB, Books], alpaca: Simulator, start: Start
) -> None:
    server, books = frail
    books.add_asset()
    server.stop()
    with start(books) as daemon:
        daemon.until_said("trying again")
        server.start()
        daemon.until_ready()
        bought(daemon, books)


def test_a_database_that_never_comes_ends_the_start_with_75(
    frail: tuple[MariaDB, Books], alpaca: Simulator, start: Start
) -> None:
    server, books = frail
    server.stop()
    with start(books, hurry={"paces.START_PATIENCE_SECONDS": 1}) as daemon:
        assert daemon.ended() == 75
        assert daemon.log().splitlines()[-1].startswith("dcabot: mysql dcabot@127.0.0.1")
        assert "Traceback" not in daemon.log()
    server.start()


def test_a_wrong_database_password_is_said_and_exits_78(
    frail: tuple[MariaDB, Books], alpaca: Simulator, start: Start
) -> None:
    _, books = frail
    with start(books, DB_PASSWORD="not-the-password") as daemon:
        assert daemon.ended() == 78
        assert daemon.said("Access denied for user 'dcabot'")


def test_a_database_that_goes_and_comes_back_stops_orders_and_nothing_else(
    frail: tuple[MariaDB, Books], alpaca: Simulator, start: Start
) -> None:
    server, books = frail
    books.add_asset()
    with start(books, hurry=HURRY) as daemon:
        bought(daemon, books)
        server.kill()
        daemon.until_said("ERROR mysql dcabot@")
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        until_waiting(daemon, "mysql dcabot@")
        assert len(alpaca.orders()) == 1
        server.start()
        daemon.until(lambda: books.status() == "cooldown", "the take profit after all")
        assert is_fed(daemon, PATIENCE)
        daemon.until_said("INFO over: ")
        name = f"dcabot:{books.settings.name}"
        daemon.until(lambda: books.execute("SELECT IS_USED_LOCK(?)", name) != [(None,)], "the lock to be taken again")
        with start(books, hurry={"paces.START_PATIENCE_SECONDS": 1}) as second:
            assert second.ended() == 75
        assert daemon.process.poll() is None


def test_a_daemon_whose_lock_another_took_says_so_and_ends_with_75(
    books: Books, alpaca: Simulator, start: Start
) -> None:
    name = f"dcabot:{books.settings.name}"
    with start(books, hurry=HURRY) as daemon:
        daemon.until_ready()
        taken: list[object] = []
        with closing(
            pymysql.connect(unix_socket=books.settings.socket, user="dcabot", database=books.settings.name)
        ) as connection:

            def take() -> None:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT GET_LOCK(%s, 60)", (name,))
                    taken.append(cursor.fetchone())

            # Already in the line when the daemon loses it: else it would take it again before us.
            waiting = threading.Thread(target=take)
            waiting.start()
            until(lambda: books.execute(WAITERS, f"%GET_LOCK('{name}', 60)%") == [(1,)], "the other to wait")
            books.execute(f"KILL CONNECTION {books.execute('SELECT IS_USED_LOCK(?)', name)[0][0]}")
            waiting.join()
            assert taken == [(1,)]
            assert daemon.ended() == 75
            assert daemon.said("another dcabot daemon works on this database")


def test_a_frozen_database_is_waited_for_and_a_sigterm_ends_it_within_five_seconds(
    frail: tuple[MariaDB, Books], alpaca: Simulator, start: Start
) -> None:
    server, books = frail
    books.add_asset()
    with start(books, hurry=HURRY) as daemon:
        bought(daemon, books)
        assert is_fed(daemon, PATIENCE)
        server.freeze()
        try:
            until_waiting(daemon, "mysql dcabot@")
            alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
            time.sleep(0.5)  # if it did not mind, it would sell by then
            code, seconds = daemon.stop()
            assert (code, seconds < ENDS_WITHIN) == (0, True), seconds
        finally:
            server.thaw()
    assert len(alpaca.orders()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["freeze", "stop"])
def test_a_database_that_is_away_in_the_middle_of_an_order_is_asked_again_when_it_is_back(
    frail: tuple[MariaDB, Books], alpaca: Simulator, start: Start, fault: str
) -> None:
    """The request is at the exchange and its answer comes when nobody can write it down."""
    server, books = frail
    books.add_asset()
    with start(books) as daemon:
        bought(daemon, books)
        held = alpaca.faults.hold("POST", "^/v2/orders$")
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        daemon.until(lambda: held.hits, "the safety order's request")
        getattr(server, fault)()
        held.release()
        daemon.until_said("ERROR mysql dcabot@|the database did not answer")  # a read is waited for 15 s
        server.thaw() if fault == "freeze" else server.start()
        daemon.until(lambda: books.cycles()[0][2] == 1, "the safety order's fill")
        daemon.until(lambda: not disagreement(alpaca, books), "the books to agree with the exchange")
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        daemon.until(lambda: books.status() == "cooldown", "the take profit")
    assert [order["side"] for order in alpaca.orders()] == ["buy", "buy", "sell"]
    assert disagreement(alpaca, books) == ""


def of_a_plain_user(server: MariaDB) -> Books:
    """Books whose user is no administrator, to whom a server that is read-only would not be so."""
    database = replace(server.create_database(), user="plain")
    server.execute(
        f"CREATE OR REPLACE USER plain@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
        f"GRANT ALL ON {database.name}.* TO plain@'127.0.0.1'",
    )
    books = mariadb_books(database)
    books.add_asset()
    return books


@pytest.mark.slow
def test_a_database_that_becomes_read_only_in_the_middle_of_an_order_is_written_to_when_it_is_so_no_more(
    frail: tuple[MariaDB, Books], alpaca: Simulator, start: Start
) -> None:
    """What is read there is read, and nothing is ordered on what could not be written down."""
    server, books = frail[0], of_a_plain_user(frail[0])
    with start(books) as daemon:
        bought(daemon, books)
        held = alpaca.faults.hold("POST", "^/v2/orders$")
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        daemon.until(lambda: held.hits, "the safety order's request")
        server.execute("SET GLOBAL read_only = ON")
        try:
            held.release()
            daemon.until_said("read.only")
            alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
            time.sleep(2)
            assert len(alpaca.orders()) == 2
            assert daemon.process.poll() is None
        finally:
            server.execute("SET GLOBAL read_only = OFF")
        daemon.until(lambda: books.status() == "cooldown", "the take profit", 60)
        assert "Traceback" not in daemon.log()
    assert [order["side"] for order in alpaca.orders()] == ["buy", "buy", "sell"]
    assert disagreement(alpaca, books) == ""


@pytest.mark.slow
def test_a_daemon_that_starts_while_the_database_is_read_only_waits_for_it(
    frail: tuple[MariaDB, Books], alpaca: Simulator, start: Start
) -> None:
    """It would stay down with what it holds if it called that a mistake in its settings."""
    server, books = frail[0], of_a_plain_user(frail[0])
    server.execute("SET GLOBAL read_only = ON")
    try:
        with start(books) as daemon:
            daemon.until_said("read.only.*trying again")
            server.execute("SET GLOBAL read_only = OFF")
            bought(daemon, books)
    finally:
        server.execute("SET GLOBAL read_only = OFF")


def test_a_sigterm_while_the_start_waits_for_a_frozen_database_ends_it_within_five_seconds(
    frail: tuple[MariaDB, Books], alpaca: Simulator, start: Start
) -> None:
    server, books = frail
    server.freeze()
    try:
        with start(books) as daemon:
            daemon.until(lambda: is_starting(daemon), "its first question to the database")
            code, seconds = daemon.stop()
            assert (code, seconds < ENDS_WITHIN) == (0, True), seconds
    finally:
        server.thaw()


# The exchange over REST.


def test_an_exchange_that_comes_late_is_waited_for_and_one_that_never_comes_ends_the_start_with_75(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    alpaca.faults.refuse_connections()
    with start(small_books, hurry={"paces.START_PATIENCE_SECONDS": 1}) as daemon:
        assert daemon.ended() == 75
        assert re.fullmatch(NO_ALPACA, daemon.log().splitlines()[-1])
    with start(small_books) as daemon:
        daemon.until_said("trying again")
        alpaca.faults.refuse_connections(False)
        daemon.until_ready()
        bought(daemon, small_books)


def test_an_exchange_that_goes_and_comes_back(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books, hurry=HURRY) as daemon:
        bought(daemon, small_books)
        alpaca.faults.refuse_connections()
        until_waiting(daemon, "away")
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        alpaca.faults.refuse_connections(False)
        daemon.until(lambda: small_books.status() == "cooldown", "the take profit")
        assert is_fed(daemon, PATIENCE)


@pytest.mark.slow
def test_questions_that_are_never_answered_hold_up_neither_orders_nor_the_signs_of_life(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    never = {"transport.READ_SECONDS": 600, "transport.ANSWER_SECONDS": 600}
    with start(small_books, hurry={**HURRY, **never}) as daemon:
        bought(daemon, small_books)
        held = alpaca.faults.hold(method="GET", times=None)
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        daemon.until(lambda: small_books.status() == "cooldown", "the take profit, by the stream alone")
        daemon.until(lambda: held.hits, "a question")
        for _ in range(4):
            assert is_fed(daemon, PATIENCE)
            time.sleep(1)
        code, seconds = daemon.stop()
        assert (code, seconds < ENDS_WITHIN) == (0, True), seconds
        held.release()


@pytest.mark.slow
def test_answers_that_make_no_sense_are_said_and_survived(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books) as daemon:
        bought(daemon, small_books)
        rules = [
            alpaca.faults.respond(200, "<html>hello</html>", method="GET", path="^/v2/orders$"),
            alpaca.faults.respond(200, None, method="GET", path="^/v2/orders$"),
            alpaca.faults.respond(200, {"orders": []}, method="GET", path="^/v2/orders$"),
            alpaca.faults.respond(500, {"message": "oops"}, method="GET", path="^/v2/positions$", times=4),
            alpaca.faults.respond(200, [{"symbol": "BTCUSD", "qty": "x"}, 7], method="GET", path="^/v2/positions$"),
        ]
        alpaca.faults.drop_updates(times=None)  # so that REST is asked again and again
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        daemon.until(lambda: all(rule.hits for rule in rules), "all the nonsense to be heard")
        daemon.until(lambda: small_books.cycles()[0][2] == 1, "the safety order's fill")
        assert small_books.cycles()[0][0] == "watching"
        assert "Traceback" not in daemon.log()


@pytest.mark.slow
def test_an_order_that_cannot_be_paid_waits_for_money_and_leaves_no_row(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    alpaca.transfer("USD", "-9990")
    with start(small_books) as daemon:
        daemon.until_said("BTC/USD: base order of 20 USD waits for money: the account has 10")
        alpaca.transfer("USD", "9990")
        # An idle daemon looks at the account once a minute.
        daemon.until_said("BTC/USD cycle .* held after a fee")
        assert len(re.findall("waits for money", daemon.log())) == 1
    assert [status for _, _, status, _ in small_books.orders()] == ["filled"]


def test_a_refused_order_is_said_once_and_tried_again(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    refusal = {"code": 40310000, "message": "insufficient balance for USD (requested: 20, available: 10)"}
    alpaca.faults.respond(403, refusal, method="POST", path="/v2/orders", times=3)
    with start(small_books) as daemon:
        bought(daemon, small_books)
        assert len(re.findall("order refused: .*insufficient balance", daemon.log())) == 1
    assert [status for _, _, status, _ in small_books.orders()] == ["rejected"] * 3 + ["filled"]


# Market data.


def connections(alpaca: Simulator) -> list[object]:
    """The market-data streams that were opened."""
    opened = alpaca.journal.entries("stream")
    return [one for one in opened if one["stream"] == DATA and one["what"] == "connect"]


def test_mute_market_data_is_noticed_by_asking_rest_and_the_socket_is_renewed(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    with start(small_books, DCABOT_DATA_TIMEOUT_SECONDS="2") as daemon:
        bought(daemon, small_books)
        alpaca.faults.mute(DATA)
        daemon.until_said("is mute .silent on BTC/USD, and REST has newer quotes")
        daemon.until(lambda: len(connections(alpaca)) > 2, "another renewal")
        assert not daemon.said("is back") and not daemon.said("market data: connected again")
        alpaca.faults.mute(DATA, False)
        daemon.until_said("the market-data stream is back")
        assert daemon.log().count("is mute") == 1
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        daemon.until(lambda: small_books.status() == "cooldown", "the take profit")


@pytest.mark.slow
def test_a_quiet_market_is_no_mute_socket(small_books: Books, tmp_path: Path) -> None:
    small_books.add_asset(is_enabled=0)
    with alpaca_for_tests(refresh_seconds=None) as alpaca:
        alpaca.set_quote("BTC/USD", bid="60000", ask="60010")
        variables = environment(tmp_path, alpaca.env(), small_books.environment, {"DCABOT_DATA_TIMEOUT_SECONDS": "1"})
        small_books.execute("INSERT INTO dca_cycles (asset_id, status) VALUES (1, 'watching')")
        with running_daemon(tmp_path, variables) as daemon:
            daemon.until_said("market data: connected")
            asked = partial(alpaca.journal.entries, "request")
            daemon.until(lambda: sum("latest/quotes" in one["path"] for one in asked()) >= 2, "REST to be asked twice")
            assert not daemon.said("reconnecting")


@pytest.mark.slow
def test_market_data_that_is_refused_is_waited_for(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books, hurry=HURRY) as daemon:
        bought(daemon, small_books)
        alpaca.faults.refuse_upgrade(DATA, 406)
        alpaca.faults.cut(DATA)
        until_waiting(daemon, "market data away")
        alpaca.faults.accept_upgrade(DATA)
        assert is_fed(daemon, PATIENCE)


IMPOSSIBLE = [
    ("0", "0", "a price of zero or below"),
    ("-5", "10", "a price of zero or below"),
    ("70000", "61000", "the bid is above the ask"),
    ("150000", "150010", "BTC/USD: the price jumped from 60010 to 150010 in one quote"),
]


def is_named(alpaca: Simulator, daemon: Daemon, bid: str, ask: str, words: str) -> bool:
    """Told again until it is named: a daemon that is kept waiting looks at the newest quote only."""
    alpaca.set_quote("BTC/USD", bid=bid, ask=ask)
    return daemon.said(words)


def test_impossible_prices_decide_nothing_and_are_named_once(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    small_books.add_asset("ETH/USD")
    with start(small_books) as daemon:
        bought(daemon, small_books)
        bought(daemon, small_books, "ETH/USD")
        for bid, ask, words in IMPOSSIBLE:
            for _ in range(3):
                daemon.until(partial(is_named, alpaca, daemon, bid, ask, words), words)
        alpaca.faults.send_raw(
            DATA, b"\x91\x85\xa1T\xa1q\xa1S\xa7BTC/USD\xa2bp\xcb\x7f\xf8\0\0\0\0\0\0\xa2ap\x01\xa1t\xa1x"
        )
        for _, _, words in IMPOSSIBLE:
            assert len(re.findall(words, daemon.log())) == 1, words
        assert len(alpaca.orders()) == 2
        alpaca.set_quote("BTC/USD", bid="60000", ask="60010")
        alpaca.set_quote("ETH/USD", bid="2100", ask="2101")
        daemon.until(lambda: small_books.status("ETH/USD") == "cooldown", "the other asset's take profit")
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        daemon.until(lambda: small_books.status() == "cooldown", "its own, at a possible price")


NONSENSE = [
    {"T": "success", "msg": "who knows"},
    {"T": "brand_new", "S": "BTC/USD", "x": 1},
    {"T": "q"},
    {"T": "q", "S": "BTC/USD"},
    {"T": "q", "S": None, "bp": 1, "ap": 2},
    {"T": "q", "S": ["BTC/USD"], "bp": 1, "ap": 2},
    {"T": "q", "S": "BTC/USD", "bp": "x", "ap": None, "t": "yesterday"},
    {"T": "q", "S": "BTC/USD", "bp": 1e300, "ap": 1e301, "t": "2026-01-01T00:00:00Z"},
    {"T": "error", "code": 500, "msg": "internal error"},
    {"T": "error"},
    {},
]


def test_nonsense_on_the_market_data_stream_stops_nothing(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books) as daemon:
        bought(daemon, small_books)
        for message in NONSENSE:
            alpaca.faults.send_raw(DATA, msgpack.packb([message]))
        for frame in (b"\xc1", b"\x91", msgpack.packb(None), msgpack.packb({"T": "q"}), msgpack.packb([[1], None, 7])):
            alpaca.faults.send_raw(DATA, frame)
        alpaca.faults.send_raw(DATA, "not msgpack at all")
        time.sleep(0.5)
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        daemon.until(lambda: small_books.status() == "cooldown", "the take profit")
        assert "Traceback" not in daemon.log()


# Trade updates.

UPDATES = [
    {"stream": "trade_updates", "data": None},
    {"stream": "trade_updates"},
    {"stream": "brand_new", "data": {}},
    {"stream": "trade_updates", "data": {"event": "fill"}},
    {"stream": "trade_updates", "data": {"event": "fill", "order": None}},
    {"stream": "trade_updates", "data": {"event": "fill", "order": {"client_order_id": "dcabot-1-1-base-1"}}},
    {"stream": "trade_updates", "data": {"event": 7, "order": {"id": 7, "status": [], "filled_qty": {}}}},
    {"stream": "trade_updates", "data": []},
    {"data": {"event": "fill"}},
    {},
    None,
    [],
    7,
]


def test_nonsense_on_the_trade_update_stream_stops_nothing(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books) as daemon:
        bought(daemon, small_books)
        for frame in UPDATES:
            alpaca.faults.send_raw(TRADING, json.dumps(frame).encode())
        for raw in (b"{broken", b"", b"\xff\xfe", b"[" * 5000):
            alpaca.faults.send_raw(TRADING, raw)
        time.sleep(0.5)
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        daemon.until(lambda: small_books.status() == "cooldown", "the take profit")
        daemon.until_said("a trade update that cannot be read")
        assert "Traceback" not in daemon.log()


def test_unknown_events_and_unknown_statuses_are_asked_about_at_rest(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    alpaca.faults.alter_updates({"event": "half_fill"}, event="new")
    alpaca.faults.alter_updates({"event": "supernova", "order": {"status": "exploded"}}, event="fill")
    with start(small_books) as daemon:
        bought(daemon, small_books)
        # REST may tell of the fill before the stream's events are looked at.
        daemon.until_said("unknown event 'half_fill'; asking REST instead")
        daemon.until_said("unknown event 'supernova'; asking REST instead")
        assert small_books.orders()[0][2] == "filled"


@pytest.mark.parametrize("fault", ["drop", "duplicate", "reorder", "mute"])
def test_the_books_are_right_whatever_becomes_of_the_trade_updates(
    small_books: Books, alpaca: Simulator, start: Start, fault: str
) -> None:
    small_books.add_asset()
    if fault == "mute":
        alpaca.faults.mute(TRADING)
    else:
        getattr(alpaca.faults, f"{fault}_updates")(times=None)
    with start(small_books) as daemon:
        bought(daemon, small_books)
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        daemon.until(lambda: small_books.cycles()[0][2] == 1, "the safety order")
        daemon.until(lambda: len(re.findall("held after a fee", daemon.log())) == 2, "its fee")
        held = alpaca.positions()[0]["qty"]
        assert small_books.cycles() == [("watching", held, 1)]
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        daemon.until(lambda: small_books.status() == "cooldown", "the take profit")
    assert [status for _, _, status, _ in small_books.orders()] == ["filled"] * 3
    assert len(alpaca.orders()) == 3
    assert alpaca.positions() == []


def until_rest_is_quiet(alpaca: Simulator, seconds: float) -> None:
    """Nothing was asked for so long: longer than the daemon's patience with events, so it asks for nothing more."""
    asked, since = 0, time.monotonic()

    def is_quiet() -> bool:
        nonlocal asked, since
        now = len(alpaca.journal.entries("request"))
        if now != asked:
            asked, since = now, time.monotonic()
        return time.monotonic() - since > seconds

    until(is_quiet, "the daemon to have nothing to ask")


@pytest.mark.slow
def test_a_stream_that_is_connected_and_tells_nothing_is_renewed(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    with start(small_books, hurry={"paces.EVENT_PATIENCE_SECONDS": 5}) as daemon:
        bought(daemon, small_books)
        until_rest_is_quiet(alpaca, 6)
        alpaca.faults.mute(TRADING)
        alpaca.set_quote("BTC/USD", bid="59000", ask="59010")
        daemon.until_said("trade updates: reconnecting: REST told of dcabot-1-.*-safety-1 before the stream did")
        alpaca.faults.mute(TRADING, False)
        daemon.until_said("trade updates: connected again")
        assert small_books.cycles()[0][2] == 1
        time.sleep(3)
        assert len(re.findall("trade updates: reconnecting", daemon.log())) == 1


@pytest.mark.slow
def test_without_trade_updates_and_without_rest_no_order_is_placed(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    with start(small_books, hurry={"paces.SWEEP_IDLE_SECONDS": 1}) as daemon:
        bought(daemon, small_books)
        asked = alpaca.faults.respond(503, "<html>", method="GET", path="^/v2/", times=None)
        alpaca.faults.refuse_upgrade(TRADING)
        alpaca.faults.cut(TRADING)
        daemon.until(lambda: asked.hits > 3, "REST to be asked")
        time.sleep(21)  # what REST said last is then too old
        alpaca.set_quote("BTC/USD", bid="61000", ask="61010")
        time.sleep(1)
        assert len(alpaca.orders()) == 1
        alpaca.faults.clear()
        daemon.until(lambda: small_books.status() == "cooldown", "the take profit")


def test_a_stream_that_comes_back_is_followed_by_a_look_at_rest(
    small_books: Books, alpaca: Simulator, start: Start
) -> None:
    small_books.add_asset()
    alpaca.faults.hold_fills()
    with start(small_books) as daemon:
        daemon.until(lambda: [row[2] for row in small_books.orders()] == ["accepted"], "the order to rest")
        alpaca.faults.refuse_upgrade(TRADING, 429, times=1)
        alpaca.faults.cut(TRADING)
        alpaca.faults.hold_fills(False)
        daemon.until(lambda: small_books.orders()[0][2] == "filled", "the fill that no stream told of")
        until(lambda: daemon.said("trade updates: connected again"), "the stream to be back")


# Answers that nobody foresaw.


@pytest.mark.parametrize(("status", "body"), [(404, {"message": "endpoint not found."}), (403, "<html>"), (422, None)])
def test_a_data_host_that_talks_nonsense_ends_no_daemon(
    small_books: Books, alpaca: Simulator, start: Start, status: int, body: object
) -> None:
    small_books.add_asset()
    alpaca.set_quote("BTC/USD", "60000", "60010")
    with start(small_books, hurry={"paces.SWEEP_IDLE_SECONDS": 1}, DCABOT_DATA_TIMEOUT_SECONDS="1") as daemon:
        daemon.until_ready()
        bought(daemon, small_books)
        alpaca.faults.respond(status, body, path="/latest/quotes", times=None)
        alpaca.faults.mute(DATA)
        daemon.until_said(f"HTTP {status}")
        alpaca.faults.clear()
        alpaca.set_quote("BTC/USD", "61000", "61010")
        daemon.until(lambda: small_books.status() == "cooldown", "the sale")
        assert daemon.stop()[0] == 0


FULL = ("--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:40M", "--innodb-undo-tablespaces=0")


def fill(books: Books) -> None:
    """Until InnoDB has no page left, however small what is asked for."""
    books.execute("CREATE TABLE filler (id INT AUTO_INCREMENT PRIMARY KEY, x LONGBLOB) ENGINE=InnoDB")
    for size in (4_000_000, 1_000_000, 100_000, 7000, 7000, 7000):
        with contextlib.suppress(pymysql.err.OperationalError):
            while True:
                books.execute("INSERT INTO filler (x) VALUES (REPEAT('x', ?))", size)


def test_a_full_database_is_waited_for_in_the_middle_of_a_cycle_and_at_a_start(alpaca: Simulator, start: Start) -> None:
    """An error number that nobody had thought of ended the daemon, and its tenth restart was the last."""
    with MariaDB(options=FULL) as full:
        books = mariadb_books(full.create_database())
        books.add_asset(max_safety_orders=200, safety_order_deviation="0.1")
        with start(books) as daemon:
            daemon.until_ready()
            bought(daemon, books)
            fill(books)
            price = 60000
            while not daemon.said("is full"):
                price -= 100
                alpaca.set_quote("BTC/USD", str(price), str(price + 10))
                time.sleep(0.3)
                assert daemon.process.poll() is None, daemon.log()[-2000:]
            names = {order["client_order_id"] for order in alpaca.orders()}
            assert names <= {name for name, *_ in books.orders()}, "no order without its row"
            with start(books, hurry={"paces.START_PATIENCE_SECONDS": 1}) as second:
                assert second.ended() == 75
            assert daemon.process.poll() is None
            full._options = tuple(option.replace("40M", "40M:autoextend") for option in full._options)
            full.restart()  # with a larger disk, as it were
            alpaca.set_quote("BTC/USD", "70000", "70010")
            daemon.until(lambda: books.status() == "cooldown", "the sale, once there is room")
            daemon.until_said("INFO over: ")
            assert disagreement(alpaca, books) == ""
