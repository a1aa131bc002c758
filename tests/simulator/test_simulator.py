"""The simulator as a thing to hold: starting, ending, several at once, and its own process."""

import re
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.live import CryptoDataStream

from dcabot.core.venue import Policy
from dcabot.simulator import BUSIEST, Settings, Simulator, Timing, walk
from dcabot.simulator.journal import ENTRIES_MAX, QUOTES_MAX
from dcabot.simulator.protocol import IDLE_MAX
from tests.programs import PATIENCE, quickest
from tests.simulator import raw
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import Listening, client, listening, order, quotes, subscribed, until, updates

HAS_IPV6 = Path("/proc/net/if_inet6").exists()
ROOT = Path(__file__).parents[2]


def test_it_answers_within_a_tenth_of_a_second() -> None:
    def answer() -> float:
        began = time.monotonic()
        with Simulator() as alpaca:
            assert requests.get(f"{alpaca.url}/_sim", timeout=PATIENCE).status_code == 200
            return time.monotonic() - began

    assert quickest(answer, 0.1) < 0.1


def test_several_side_by_side_know_nothing_of_each_other() -> None:
    with make_alpaca(cash=1) as one, make_alpaca(cash=2, seed=7) as two, make_alpaca(cash=3) as three:
        assert [client(alpaca).get_account().cash for alpaca in (one, two, three)] == ["1", "2", "3"]
        one.set_quote("BTC/USD", 1, 2)
        one.faults.respond(500, path="/v2/clock", times=None)
        assert client(two).get_clock()
        assert two.server.exchange.venue.quotes == {}
        with updates(one), updates(two), quotes(one), quotes(two):
            for alpaca in (one, two):
                listening(alpaca)
                subscribed(alpaca)


def test_the_end_frees_the_port_and_ends_every_connection() -> None:
    alpaca = make_alpaca()
    threads = set(threading.enumerate())
    with alpaca:
        port = alpaca.server.port
        client(alpaca).get_account()
        with pytest.raises(OSError, match="in use"):
            make_alpaca(port=port)
    alpaca.stop()
    assert set(threading.enumerate()) <= threads
    with make_alpaca(port=port) as again:
        assert again.server.port == port


def test_it_ends_at_once_while_streams_and_held_requests_wait() -> None:
    with make_alpaca() as alpaca, updates(alpaca), quotes(alpaca):
        listening(alpaca)
        subscribed(alpaca)
        rule = alpaca.faults.hold("GET")
        asking = threading.Thread(target=ask_in_vain, args=(alpaca,))
        asking.start()
        until(lambda: rule.hits)
        began = time.monotonic()
        alpaca.stop()
        assert time.monotonic() - began < 8  # a closing handshake may take ten
        asking.join(PATIENCE)


def ask_in_vain(alpaca: Simulator) -> None:
    with pytest.raises(requests.RequestException):
        client(alpaca).get_account()


def test_a_simulator_that_cannot_begin_says_why_and_serves_nobody() -> None:
    for prices, error in (
        (walk(1, ["BTC/USD"], stepp="1"), TypeError),  # type: ignore[arg-type]
        ([(0, "BTC/USD", 1, 2)], ValueError),
        ("prices.txt", ValueError),
    ):
        alpaca = make_alpaca(prices=prices)
        with pytest.raises(error, match=r"stepp|script\("):
            alpaca.start()
        with pytest.raises(OSError):
            requests.get(alpaca.url, timeout=PATIENCE)


def test_a_simulator_that_does_not_run_says_so() -> None:
    alpaca = make_alpaca()
    with pytest.raises(RuntimeError, match="does not run"):
        alpaca.set_quote("BTC/USD", 1, 2)
    alpaca.stop()
    with pytest.raises(OSError):
        requests.get(alpaca.url, timeout=PATIENCE)
    with make_alpaca() as alpaca:
        pass
    with pytest.raises(RuntimeError, match="does not run"):
        alpaca.orders()
    alpaca.stop()


def test_an_order_is_cancelled_by_the_id_that_alpaca_py_gives(alpaca: Simulator) -> None:
    placed = alpaca.foreign_order(**order(kind="limit", limit_price="50000"))
    alpaca.foreign_cancel(UUID(placed))
    until(lambda: alpaca.orders()[0]["status"] == "canceled")
    with pytest.raises(ValueError, match="order not found for nobody"):
        alpaca.foreign_cancel("nobody")


def test_it_binds_to_loopback_unless_told_otherwise() -> None:
    with Simulator() as alpaca:
        assert alpaca.server.host == "127.0.0.1"


@pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 on this machine")
def test_it_can_be_reached_at_an_ipv6_address() -> None:
    with make_alpaca(host="::1") as alpaca:
        assert client(alpaca).get_account().cash == "100000"
        with raw.trading(alpaca) as stream:
            assert raw.log_in(alpaca, stream)["data"]["status"] == "authorized"


def test_the_same_seed_makes_the_same_run() -> None:
    def run() -> list[dict[str, Any]]:
        with make_alpaca(seed=5, partial_fills="0.5", speed=0, start=None) as alpaca:
            alpaca.set_quote("BTC/USD", "60000", "60010")
            for _ in range(5):
                alpaca.foreign_order(**order())
                until(lambda: all(one["status"] == "filled" for one in alpaca.orders()))
            return [{"id": row["order_id"], "qty": row["qty"]} for row in alpaca.activities()]

    assert run() == run()


def test_the_journal_tells_the_story_of_an_order() -> None:
    with make_alpaca() as alpaca, updates(alpaca) as stream:
        listening(alpaca)
        login = until(lambda: alpaca.journal.entries("frame")[3:] and alpaca.journal.entries("frame"))
        assert [(e["direction"], e["message"].get("action") or e["message"]["stream"]) for e in login] == [
            ("in", "authenticate"), ("out", "authorization"), ("in", "listen"), ("out", "listening"),
        ]  # fmt: skip
        assert alpaca.secret not in str(alpaca.journal.entries())
        alpaca.journal.clear()
        alpaca.set_quote("BTC/USD", "60000", "60010")
        client(alpaca).post("/orders", order(client_order_id="mine"))
        until(lambda: len(stream.heard) == 3)
        entries = [e for e in alpaca.journal.entries() if e["kind"] != "stream"]
        assert [e["kind"] for e in entries] == [
            "request", "order", "response", "event", "frame", "event", "frame", "fill", "event", "frame",
        ]  # fmt: skip
        assert [e["event"] for e in entries if e["kind"] == "event"] == ["pending_new", "new", "fill"]
        assert entries[4]["message"]["data"]["event"] == "pending_new"
        moments = [e["monotonic_ns"] for e in entries]
        assert moments == sorted(moments)
        assert time.monotonic_ns() - moments[0] < 100_000_000_000
        alpaca.journal.clear()
        assert alpaca.journal.entries() == []


def test_a_long_journal_is_read_without_keeping_others_waiting() -> None:
    with make_alpaca(rate_limit=None) as alpaca:
        for number in range(60_000):
            alpaca.journal.add("frame", stream="data", direction="out", message=f'{{"n": {number}, "of": "many"}}')
        read: list[int] = []

        def ask() -> None:
            rows = requests.get(f"{alpaca.url}/_sim/journal?limit=1000000&after=10", timeout=PATIENCE).json()
            read.extend(row["message"]["n"] for row in rows if row["kind"] == "frame")

        asking = threading.Thread(target=ask)
        asking.start()
        answered = 0
        while asking.is_alive():
            client(alpaca).get_clock()
            answered += 1
        assert read == list(range(10, 60_000))
        assert answered > 20


def test_others_are_answered_while_thousands_of_quotes_are_set() -> None:
    with make_alpaca(data_rate_limit=None) as alpaca:
        quotes = [{"symbol": "BTC/USD", "bid": bid, "ask": 99_999} for bid in range(1, 15_001)]
        posting = threading.Thread(target=requests.post, args=(f"{alpaca.url}/_sim/quote",), kwargs={"json": quotes})
        posting.start()
        bids = set()
        while posting.is_alive():
            url = f"{alpaca.url}/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD"
            bids |= {quote["bp"] for quote in requests.get(url, timeout=PATIENCE).json()["quotes"].values()}
        assert bids - {1, 15_000}
        assert alpaca.server.exchange.venue.quotes["BTC/USD"].bid == 15_000


def test_the_journal_is_read_by_kind_from_a_number_on() -> None:
    with make_alpaca() as alpaca:
        for number in range(6):
            alpaca.journal.add("even" if number % 2 == 0 else "odd")
        first = alpaca.journal.entries("odd")[0]["number"]
        assert [e["number"] for e in alpaca.journal.entries("odd", after=first, limit=1)] == [first + 2]
        assert [e["number"] for e in alpaca.journal.entries(after=first + 3)] == [first + 4]
        assert alpaca.journal.entries(after=first + 99) == []
        alpaca.journal.clear()
        alpaca.journal.add("odd")
        assert len(alpaca.journal.entries(after=first)) == 1


def test_the_switches_for_what_is_unproven_change_what_is_seen() -> None:
    told = {"tells_pending_cancel": True, "stop_limit_tells_new": True}
    policy = Policy(duplicate_id_code=42210000, **told)
    with make_alpaca(policy=policy, allows_replace=True, position_after_fee=True) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        with updates(alpaca, raw_data=True) as stream:
            listening(alpaca)
            trading = client(alpaca, raw_data=True)
            resting = trading.post("/orders", order(client_order_id="mine", kind="limit", limit_price="50000"))
            with pytest.raises(APIError, match="42210000"):
                trading.post("/orders", order(client_order_id="mine"))
            until(lambda: stream.events() == ["pending_new", "new"])
            changed = trading.patch(f"/orders/{resting['id']}", {"limit_price": "51000"})
            assert (changed["replaces"], changed["limit_price"], changed["qty"]) == (resting["id"], "51000", "0.001")
            until(lambda: stream.events() == ["pending_new", "new", "replaced", "pending_new", "new"])
            trading.cancel_order_by_id(changed["id"])
            until(lambda: stream.events()[5:] == ["pending_cancel", "canceled"])
            stream.heard.clear()
            trading.post("/orders", order())
            until(lambda: stream.events() == ["pending_new", "new", "fill"])
            assert stream.heard[-1]["data"]["position_qty"] == "0.0009975"


def test_a_patch_is_unknown_unless_it_is_switched_on() -> None:
    with make_alpaca() as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        placed = client(alpaca).post("/orders", order(kind="limit", limit_price="50000"))
        with pytest.raises(APIError) as caught:
            client(alpaca).patch(f"/orders/{placed['id']}", {"limit_price": "51000"})
        assert caught.value.status_code == 404


def test_market_data_can_be_dropped_doubled_swapped_and_late() -> None:
    with make_alpaca() as alpaca, quotes(alpaca, raw_data=True) as stream:
        subscribed(alpaca)
        alpaca.faults.spoil_quotes(drop_ratio="1")
        alpaca.set_quote("BTC/USD", 1, 1)
        alpaca.faults.spoil_quotes(duplicates=True)
        alpaca.set_quote("BTC/USD", 2, 2)
        until(lambda: [one["ap"] for one in stream.heard] == [2, 2])
        alpaca.faults.spoil_quotes(reorders=True)
        alpaca.set_quote("BTC/USD", 3, 3)
        alpaca.set_quote("BTC/USD", 4, 4)
        until(lambda: [one["ap"] for one in stream.heard] == [2, 2, 4, 3])
        alpaca.faults.spoil_quotes(delay_seconds=1)
        alpaca.set_quote("BTC/USD", 5, 5)
        alpaca.faults.spoil_quotes()
        alpaca.set_quote("BTC/USD", 6, 6)
        until(lambda: [one["ap"] for one in stream.heard] == [2, 2, 4, 3, 6, 5])


def test_what_waits_for_its_successor_comes_when_all_is_well_again() -> None:
    with make_alpaca() as alpaca, quotes(alpaca) as prices, updates(alpaca) as stream:
        subscribed(alpaca)
        listening(alpaca)
        alpaca.set_quote("BTC/USD", "60000", "60010")
        alpaca.faults.spoil_quotes(reorders=True)
        alpaca.set_quote("BTC/USD", "60000", "60020")
        alpaca.faults.reorder_updates("fill")
        client(alpaca).post("/orders", order())
        until(lambda: alpaca.orders()[0]["status"] == "filled" and stream.events() == ["pending_new", "new"])
        assert [quote.ask_price for quote in prices.heard] == [60_010]
        alpaca.faults.clear()
        until(lambda: stream.events() == ["pending_new", "new", "fill"])
        until(lambda: [quote.ask_price for quote in prices.heard] == [60_010, 60_020])


def test_only_quotes_that_somebody_hears_are_kept() -> None:
    with make_alpaca() as alpaca, quotes(alpaca, "BTC/USD"):
        subscribed(alpaca)
        alpaca.set_quote("ETH/USD", "1800", "1801")
        alpaca.set_quote("BTC/USD", "60000.5", "60010")
        assert [quote[1:] for quote in alpaca.journal.quotes()] == [("BTC/USD", "60000.5", "60010")]


def test_settings_come_whole_or_by_their_names() -> None:
    with pytest.raises(TypeError, match="not both: cash"):
        Simulator(Settings(), cash=1)
    with Simulator(Settings(cash=1)) as alpaca:
        assert alpaca.account()["cash"] == "1"


def test_impossible_prices_are_told_but_nothing_trades_at_them() -> None:
    with make_alpaca() as alpaca, quotes(alpaca) as stream:
        subscribed(alpaca)
        alpaca.set_quote("BTC/USD", "60000", "60010")
        client(alpaca).post("/orders", order(kind="limit", limit_price="50000"))
        until(lambda: alpaca.orders()[0]["status"] == "new")
        for bid, ask in ((0, 0), (-1, -1), (100, 50)):
            alpaca.set_quote("BTC/USD", bid, ask)
        until(lambda: len(stream.heard) == 4)
        assert alpaca.orders()[0]["filled_qty"] == "0"


def test_late_fees_can_be_made_later() -> None:
    with make_alpaca(speed=0) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        alpaca.faults.delay_fees(10 * 86_400)
        client(alpaca).post("/orders", order())
        until(alpaca.activities)
        alpaca.advance(9 * 86_400)
        assert len(alpaca.activities()) == 1
        alpaca.advance(2 * 86_400)
        assert len(alpaca.activities()) == 2


def test_a_flood_reaches_every_subscription_and_ends() -> None:
    with Simulator(partial_fills=0) as alpaca:
        stream = CryptoDataStream(alpaca.key, alpaca.secret, url_override=alpaca.data_stream_url, raw_data=True)
        listener = Listening(stream)
        stream.subscribe_quotes(listener.handler, *BUSIEST)
        with listener:
            subscribed(alpaca)
            requests.post(f"{alpaca.url}/_sim/flood", json={"quotes": 2_000}, timeout=PATIENCE)
            until(lambda: len(listener.heard) == 2_000)
            assert {one["S"] for one in listener.heard} == set(BUSIEST)
            state = requests.get(f"{alpaca.url}/_sim/flood", timeout=PATIENCE).json()
            assert (state["sent"], state["running"]) == (2_000, False)
            assert set(alpaca.server.exchange.venue.quotes) == set(BUSIEST)


def test_a_price_set_in_a_flood_lasts() -> None:
    with Simulator(partial_fills=0, timing=Timing()) as alpaca, quotes(alpaca, raw_data=True) as listener:
        subscribed(alpaca)
        alpaca.set_quote("BTC/USD", 60_000, 60_000)
        flood = f"{alpaca.url}/_sim/flood"
        requests.post(flood, json={"symbols": ["BTC/USD"], "per_second": 2_000}, timeout=PATIENCE)
        until(lambda: len(listener.heard) > 10)
        alpaca.set_quote("BTC/USD", 50_000, 50_000)
        # Those on their way still tell the old one.
        until(lambda: abs(listener.heard[-1]["ap"] - 50_000) < 50)
        seen = len(listener.heard)
        until(lambda: len(listener.heard) > seen + 40)
        requests.delete(flood, timeout=PATIENCE)
        assert all(abs(one["ap"] - 50_000) < 50 for one in listener.heard[seen:])


def test_the_documentation_names_every_switch_fault_and_path() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    missing: list[str] = []
    with make_alpaca() as alpaca:
        faults = requests.get(f"{alpaca.url}/_sim", timeout=PATIENCE).json()["faults"]
    for name, usage in faults.items():
        own = re.sub(r"(^|, )(method=None, path=''|event=None), times=1$", "", usage)
        missing += [name] if f"`{name}({own})`" not in page else []
    missing += [name for name in Policy.__dataclass_fields__ if f"`{name}`" not in page]
    missing += [name for name in Timing.__dataclass_fields__ if f"`{name}`" not in page]
    missing += [name for name in Settings.__dataclass_fields__ if f"`{name}`" not in page]
    missing += [f"{number:,}" for number in (ENTRIES_MAX, QUOTES_MAX, IDLE_MAX) if f"{number:,}" not in page]
    control = (ROOT / "dcabot" / "simulator" / "control.py").read_text(encoding="utf-8")
    missing += [path for path in set(re.findall(r'"(/_sim[/a-z]*)', control)) if path.rstrip("/") not in page]
    assert missing == []
