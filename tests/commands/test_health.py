"""What starves the watchdog, where the daemon itself would go on as if nothing were."""

import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest

from dcabot.adapters import link
from dcabot.adapters.streams import Feed
from dcabot.commands import health
from dcabot.simulator import Simulator
from tests.commands.conftest import Start
from tests.commands.test_daemon_faults import is_fed
from tests.programs import Books
from tests.venue_broker import START

HURRY = {"health.WORKER_SECONDS": 3, "paces.SWEEP_IDLE_SECONDS": 0.5}


def test_a_look_at_rest_that_does_not_end_starves_the_watchdog(
    alpaca: Simulator, small_books: Books, start: Start
) -> None:
    with start(small_books, hurry=HURRY) as daemon:
        daemon.until_ready()
        assert is_fed(daemon, 2)
        rule = alpaca.faults.hold("GET", "/v2/positions")
        daemon.until_said(r"the watchdog is not fed: a worker has been stuck for \d+ s")
        rule.release()
        daemon.until(lambda: is_fed(daemon, 2), "the watchdog to be fed again")


def test_a_consumer_that_does_not_advance_starves_the_watchdog(
    alpaca: Simulator, small_books: Books, start: Start
) -> None:
    # It is woken every second: to somebody as impatient as this it stands still.
    with start(small_books, hurry={"health.CONSUMER_SECONDS": 0.001}) as daemon:
        daemon.until_said(r"the watchdog is not fed: quotes were not looked at for \d+ s")


def test_an_exchange_that_fails_is_no_reason_to_be_restarted(
    alpaca: Simulator, small_books: Books, start: Start
) -> None:
    with start(small_books, hurry=HURRY) as daemon:
        daemon.until_ready()
        alpaca.faults.respond(503, {"message": "maintenance"}, method="GET", path="/v2/positions", times=None)
        daemon.until_said("maintenance")
        assert is_fed(daemon, 4)
        assert not daemon.said("the watchdog is not fed")


def test_what_other_work_still_meets_is_not_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk: what only reads goes well every two seconds, and the beat cannot write."""
    now = 1000.0
    monkeypatch.setattr(health.time, "monotonic", lambda: now)
    told = health.Health(None, None, lambda: 0.0)  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO):
        for _ in range(30):
            told.complain("the disk is full")
            now += 2
            told.over()
            now += 3
            told.over()
        assert caplog.messages == ["the disk is full"]
        now += health.OVER_SECONDS
        told.over()
        told.over()
    assert caplog.messages == ["the disk is full", "over: the disk is full"]


@pytest.mark.parametrize("is_tried", [True, False])
def test_only_a_stream_that_is_no_longer_tried_is_stuck(monkeypatch: pytest.MonkeyPatch, is_tried: bool) -> None:
    """One that refuses is tried again and again: no restart would do better."""
    now = 1000.0
    monkeypatch.setattr(health.time, "monotonic", lambda: now)
    tried_at = dict.fromkeys(Feed, now)

    class Streams:
        def health(self, feed: Feed) -> link.Health:
            return link.Health(None, None, "refused", "", tried_at[feed])

    class Trader:
        def symbols(self) -> list[str]:
            return ["BTC/USD"]

    seen = health.Health(Trader(), Streams(), lambda: 0.0)  # type: ignore[arg-type]
    for _ in range(20):
        now += health.CONSUMER_SECONDS
        seen.consumer_advanced()
        if is_tried:
            tried_at = dict.fromkeys(Feed, now)
    assert ("no attempt to connect has ended" in seen.stuck()) is not is_tried


def test_a_reconciliation_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has failed, and yet nobody has compared the books with Alpaca for minutes."""
    now = 1000.0
    monkeypatch.setattr(health.time, "monotonic", lambda: now)
    trader = SimpleNamespace(entries={}, held={}, suspended={}, obstacle="")
    seen = health.Health(trader, None, lambda: 0.0)  # type: ignore[arg-type]
    told = []
    for now in (1000.0, 1119.0, 1120.0):
        seen.look(START + timedelta(seconds=now))
        told.append([one.name for one in seen.findings.troubles])
    assert told == [[], [], ["reconciliation"]]
    seen.reconciled()
    seen.look(START + timedelta(seconds=now))
    assert seen.findings.troubles == ()
