"""alpaca.md section 7, statements 29 to 35: the trading stream, through the SDK and raw sockets."""

import re

import msgpack
import pytest
from alpaca.trading.stream import TradingStream
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dcabot.simulator import Simulator, Timing
from tests.programs import PATIENCE, quickest
from tests.simulator import raw
from tests.simulator.conftest import make_alpaca
from tests.simulator.sdk import Listening, client, listening, order, said, until, updates

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
NANOSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def test_29_the_legacy_login_is_accepted_with_a_word_about_its_deprecation(alpaca: Simulator) -> None:
    with raw.trading(alpaca) as stream:
        raw.say(stream, action="authenticate", data={"key_id": alpaca.key, "secret_key": alpaca.secret})
        answer = raw.hear(stream)
        assert answer["stream"] == "authorization"
        assert answer["data"]["status"] == "authorized"
        assert answer["data"]["action"] == "authenticate"
        assert "deprecated" in answer["data"]["message"]
    with raw.trading(alpaca) as stream:
        assert raw.log_in(alpaca, stream) == {
            "stream": "authorization",
            "data": {"action": "authenticate", "status": "authorized"},
        }


def test_29_bad_keys_are_unauthorized_and_the_sdk_keeps_trying(alpaca: Simulator) -> None:
    with raw.trading(alpaca) as stream:
        raw.say(stream, action="authenticate", data={"key_id": "no", "secret_key": "no"})
        assert raw.hear(stream)["data"]["status"] == "unauthorized"
    alpaca.journal.clear()
    stream = TradingStream("wrong", "wrong", url_override=alpaca.stream_url)
    trying = Listening(stream)
    stream.subscribe_trade_updates(trying.handler)
    with trying:  # its back-off from 1 s to 30 s is shortened here
        until(lambda: len(said(alpaca, "trading", "login")) >= 3)
        assert not trying.returned.is_set()
    assert {entry["status"] for entry in said(alpaca, "trading", "login")} == {"unauthorized"}


def test_29_the_sdks_back_off_begins_at_half_a_second_to_a_second(alpaca: Simulator) -> None:
    def pause() -> float:
        alpaca.journal.clear()
        stream = TradingStream("wrong", "wrong", url_override=alpaca.stream_url)
        trying = Listening(stream)
        stream._reconnect_min_backoff = 1.0
        stream.subscribe_trade_updates(trying.handler)
        with trying:
            until(lambda: len(said(alpaca, "trading", "login")) >= 2)
        first, second = (entry["monotonic_ns"] for entry in said(alpaca, "trading", "login")[:2])
        return (second - first) / 1e9

    assert 0.45 < quickest(pause, 1.5) < 1.5


def test_30_nothing_is_told_before_listen_and_an_empty_list_ends_it(alpaca: Simulator) -> None:
    with raw.trading(alpaca) as stream:
        raw.say(stream, action="listen", data={"streams": ["trade_updates"]})
        refusal = {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}
        assert raw.hear(stream) == refusal
        raw.log_in(alpaca, stream)
        client(alpaca).post("/orders", order())
        until(lambda: alpaca.orders()[0]["status"] == "filled")
        raw.say(stream, action="listen", data={"streams": ["trade_updates"]})
        # The very next frame: nothing of the first order came before it, nor is it told now.
        assert raw.hear(stream) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        second = client(alpaca).post("/orders", order())
        events = [raw.hear(stream)["data"] for _ in range(3)]
        assert {event["order"]["id"] for event in events} == {second["id"]}
        raw.say(stream, action="listen", data={"streams": []})
        assert raw.hear(stream) == {"stream": "listening", "data": {"streams": []}}
        client(alpaca).post("/orders", order())
        until(lambda: alpaca.orders()[2]["status"] == "filled")
        with pytest.raises(TimeoutError):
            stream.recv(0.05)


@pytest.mark.parametrize("paper", [True, False])
def test_31_paper_sends_binary_frames_and_live_text_and_the_sdk_takes_both(paper: bool) -> None:
    with make_alpaca(paper=paper) as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        with raw.trading(alpaca) as stream:
            raw.say(stream, action="auth", key=alpaca.key, secret=alpaca.secret)
            assert isinstance(stream.recv(PATIENCE), bytes if paper else str)
        with updates(alpaca) as listener:
            listening(alpaca)
            client(alpaca).post("/orders", order())
            until(lambda: listener.events() == ["pending_new", "new", "fill"])


def test_31_a_client_that_asks_for_msgpack_is_spoken_to_in_msgpack(alpaca: Simulator) -> None:
    with raw.trading(alpaca, additional_headers={"Content-Type": "application/msgpack"}) as stream:
        for message in (
            {"action": "auth", "key": alpaca.key, "secret": alpaca.secret},
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
        ):
            stream.send(msgpack.packb(message))
        client(alpaca).post("/orders", order())
        frames = [msgpack.unpackb(stream.recv(PATIENCE)) for _ in range(5)]
    assert [frame["data"].get("event", frame["stream"]) for frame in frames] == [
        "authorization", "listening", "pending_new", "new", "fill",
    ]  # fmt: skip


def test_32_a_market_order_tells_pending_new_new_and_fill_in_order(alpaca: Simulator) -> None:
    with updates(alpaca, raw_data=True) as stream:
        listening(alpaca)
        for _ in range(3):
            client(alpaca).post("/orders", order())
        until(lambda: len(stream.heard) == 9)
    told = [update["data"] for update in stream.heard]
    for number in range(0, 9, 3):
        pending, new, fill = sorted(
            (one for one in told if one["order"]["id"] == alpaca.orders()[number // 3]["id"]),
            key=lambda one: one["event_id"],
        )
        assert (pending["event"], new["event"], fill["event"]) == ("pending_new", "new", "fill")
        assert [one["order"]["status"] for one in (pending, new, fill)] == ["pending_new", "new", "filled"]
        assert "execution_id" not in pending
        assert len(new["execution_id"]) == len(fill["execution_id"]) == 36
        assert {"price", "qty", "position_qty", "swap_rate", "settle_date"} <= set(fill)
        assert not {"price", "qty", "position_qty"} & set(new)
        assert "cancel_requested_at" in fill["order"]
        assert not {"subtag", "source"} & set(fill["order"])
    ids = [one["event_id"] for one in told]
    assert ids == sorted(set(ids))
    assert all(ULID.fullmatch(event_id) for event_id in ids)
    assert all(NANOSECONDS.fullmatch(one["timestamp"]) for one in told)


@pytest.mark.parametrize("path", ["orders/{id}", "orders", "positions?cancel_orders=true"])
def test_32_a_cancel_that_is_faster_than_pending_new_is_told_after_it(path: str) -> None:
    with make_alpaca(timing=Timing(pending_new=0.3, new=0.3)) as alpaca, updates(alpaca) as stream:
        listening(alpaca)
        alpaca.set_quote("BTC/USD", "60000", "60010")
        placed = client(alpaca).post("/orders", order(kind="limit", limit_price="50000"))
        client(alpaca).delete(f"/{path.format(**placed)}")
        until(lambda: stream.events() == ["pending_new", "canceled"])
        client(alpaca).post("/orders", order())
        until(lambda: stream.events()[2:] == ["pending_new", "new", "fill"])


def test_33_a_fill_can_come_before_the_answer_to_its_own_post() -> None:
    with make_alpaca(timing=Timing(response=0.2)) as alpaca, updates(alpaca) as stream:
        listening(alpaca)
        alpaca.set_quote("BTC/USD", "60000", "60010")
        client(alpaca).post("/orders", order())
        until(lambda: stream.events() == ["pending_new", "new", "fill"])
        told = [entry.get("event", entry["kind"]) for entry in alpaca.journal.entries()]
        assert told.index("fill") < told.index("response")


def test_34_a_second_connection_is_refused_with_429(alpaca: Simulator) -> None:
    with raw.trading(alpaca) as first:
        with pytest.raises(InvalidStatus) as caught, raw.trading(alpaca):
            pass
        assert caught.value.response.status_code == 429
        assert raw.log_in(alpaca, first)["data"]["status"] == "authorized"
    until(lambda: said(alpaca, "trading", "disconnect"))
    with raw.trading(alpaca):
        pass


def test_34_a_vanished_client_keeps_its_slot_as_long_as_told() -> None:
    with make_alpaca(timing=Timing(dead_slot=2)) as alpaca:
        with raw.trading(alpaca) as stream:
            raw.vanish(stream)
            until(lambda: said(alpaca, "trading", "disconnect"))
            assert not connects(alpaca)
        until(lambda: connects(alpaca))


def test_34_a_vanished_client_of_market_data_keeps_its_slot_too() -> None:
    def answer() -> dict[str, object]:
        with raw.data(alpaca) as stream:
            raw.hear(stream)
            told: list[dict[str, object]] = raw.log_in(alpaca, stream)
            return told[0]

    with make_alpaca(timing=Timing(dead_slot=0.3)) as alpaca:
        with raw.data(alpaca) as stream:
            raw.hear(stream)
            raw.log_in(alpaca, stream)
            raw.vanish(stream)
            until(lambda: said(alpaca, "data", "disconnect"))
            assert answer()["code"] == 406
        until(lambda: answer()["T"] == "success")


def test_34_dead_slots_can_be_switched_on_while_it_runs(alpaca: Simulator) -> None:
    alpaca.faults.keep_dead_slots(90)
    with raw.trading(alpaca) as stream:
        raw.vanish(stream)
        until(lambda: said(alpaca, "trading", "disconnect"))
        assert not connects(alpaca)


def connects(alpaca: Simulator) -> bool:
    try:
        with raw.trading(alpaca):
            return True
    except InvalidStatus:
        return False


def test_35_the_socket_can_drop_with_1006_or_1011(alpaca: Simulator) -> None:
    for code, seen in ((None, 1006), (1011, 1011)):
        until(lambda: len(said(alpaca, "trading", "disconnect")) == len(said(alpaca, "trading", "connect")))
        with raw.trading(alpaca) as stream:
            raw.log_in(alpaca, stream)
            alpaca.faults.cut("trading", code)
            with pytest.raises((ConnectionClosed, OSError)):
                stream.recv(PATIENCE)
            assert stream.close_code in (seen, None if code is None else seen)


def test_35_it_can_go_mute_and_still_answer_pings(alpaca: Simulator) -> None:
    with raw.trading(alpaca) as stream:
        raw.log_in(alpaca, stream)
        raw.say(stream, action="listen", data={"streams": ["trade_updates"]})
        raw.hear(stream)
        alpaca.faults.mute("trading")
        client(alpaca).post("/orders", order())
        until(lambda: alpaca.orders()[0]["status"] == "filled")
        assert stream.ping().wait(PATIENCE)
        with pytest.raises(TimeoutError):
            stream.recv(0.05)


def test_35_it_can_leave_a_login_unanswered_and_still_answer_pings(alpaca: Simulator) -> None:
    alpaca.faults.hang_in_login("trading")
    with raw.trading(alpaca) as stream:
        raw.say(stream, action="auth", key=alpaca.key, secret=alpaca.secret)
        assert stream.ping().wait(PATIENCE)
        with pytest.raises(TimeoutError):
            stream.recv(0.05)


def test_35_a_login_to_market_data_can_hang_too(alpaca: Simulator) -> None:
    alpaca.faults.hang_in_login("data")
    with raw.data(alpaca) as stream:
        raw.say(stream, action="auth", key=alpaca.key, secret=alpaca.secret)
        assert stream.ping().wait(5)
        with pytest.raises(TimeoutError):
            stream.recv(0.05)
    until(lambda: said(alpaca, "data", "disconnect"))
    alpaca.faults.hang_in_login("data", False)
    with raw.data(alpaca) as stream:
        raw.hear(stream)
        assert raw.log_in(alpaca, stream)[0]["T"] == "success"
        assert len(alpaca.server.doors["data"].connections) == 1


def test_35_events_can_be_doubled_dropped_renamed_and_given_unknown_values(alpaca: Simulator) -> None:
    with updates(alpaca, raw_data=True) as stream:
        listening(alpaca)
        alpaca.faults.drop_updates("pending_new")
        alpaca.faults.duplicate_updates("new")
        alpaca.faults.alter_updates({"event": "moon_phase", "order": {"status": "waxing"}}, "fill")
        client(alpaca).post("/orders", order())
        until(lambda: stream.events() == ["new", "new", "moon_phase"])
        assert stream.heard[0]["data"]["event_id"] == stream.heard[1]["data"]["event_id"]
        assert stream.heard[2]["data"]["order"]["status"] == "waxing"


def test_35_nothing_is_replayed_after_a_reconnect(alpaca: Simulator) -> None:
    with updates(alpaca) as stream:
        listening(alpaca)
        alpaca.faults.refuse_upgrade("trading", 503)
        alpaca.faults.cut("trading")
        client(alpaca).post("/orders", order())
        until(lambda: alpaca.orders()[0]["status"] == "filled")
        alpaca.faults.accept_upgrade("trading")
        listening(alpaca, 2)
        second = client(alpaca).post("/orders", order())
        until(lambda: len(stream.heard) == 3)
        assert {str(update.order.id) for update in stream.heard} == {second["id"]}
