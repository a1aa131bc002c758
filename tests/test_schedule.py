"""The daemon's schedule: each of its rules, and what holds after any sequence of events."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dcabot.commands import paces
from dcabot.commands.heard import Heard
from dcabot.commands.schedule import (
    Action,
    AskQuotes,
    Beat,
    Decide,
    EndRound,
    Found,
    LearnInstruments,
    Reconcile,
    Refresh,
    RenewOrders,
    RenewQuotes,
    Schedule,
    Settings,
    Standing,
    TellHealth,
)
from dcabot.core.model import OrderReport, OrderStatus, Quote, Side
from tests.builders import START, make_time

BTC, ETH = "BTC/USD", "ETH/USD"
SETTINGS = Settings(data_timeout=120.0, asset_refresh=30.0, tell_health=5.0)
QUIET = Standing((BTC, ETH))
BUYING = replace(QUIET, has_open_orders=True)
UNSETTLED = replace(QUIET, is_unsettled=True)
NOTHING = Found((), is_unfinished=False)


class Play:
    """A schedule under a clock that leaps from wake-up to wake-up, and what it began when.

    Whatever is begun ends at once and well, but for the kinds that are `slow`.
    """

    def __init__(
        self,
        standing: Standing = QUIET,
        settings: Settings = SETTINGS,
        slow: tuple[type[Action], ...] = (),
    ) -> None:
        self.now = 0.0
        self.standing = standing
        self.slow = slow
        self.found = NOTHING
        self.looks: tuple[str, ...] = ()
        self.begun: list[tuple[float, Action]] = []
        self.schedule = Schedule(settings)
        self.schedule.start(standing, self.now)
        self.tell(self.schedule.streams_are, 0.0, 0.0)

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def tell(self, event: Callable[..., None], *given: Any) -> None:
        event(*given)
        self.look()

    def look(self) -> None:
        while actions := self.schedule.due(self.now):
            for action in actions:
                self.begun.append((self.now, action))
                if not isinstance(action, self.slow):
                    self.end(action)
            assert len(self.begun) < 20_000, "it never rests"

    def end(self, action: Action) -> None:
        match action:
            case Decide():
                self.schedule.decided(len(action.quotes), self.now, self.looks)
            case Reconcile():
                self.schedule.reconciled(self.found, self.standing, self.utc(), self.now)
            case AskQuotes():
                self.schedule.quotes_told((), self.utc(), self.now)
            case LearnInstruments():
                self.schedule.instruments_learnt(self.standing, self.now)
            case Refresh():
                self.schedule.refreshed(self.standing, self.now)
            case Beat():
                self.schedule.beat_ended(self.now)

    def until(self, end: float) -> None:
        while (at := self.schedule.wakes_at()) <= end:
            self.now = max(self.now, at)
            self.look()
        self.now = end

    def quote(self, symbol: str) -> None:
        self.schedule.quote_came(symbol, f"{symbol} at {self.now}", self.utc())
        self.look()

    def read(self, symbol: str) -> None:
        """The stream brought a new quote, and it could be read."""
        self.schedule.quote_read(quote_at(symbol, self.utc()), self.now)

    def times(self, kind: type[Action]) -> list[float]:
        return [at for at, action in self.begun if isinstance(action, kind)]

    def decided(self) -> list[tuple[float, str]]:
        """The quotes decided on, in their order."""
        turns = [(at, action) for at, action in self.begun if isinstance(action, Decide)]
        return [(at, quote) for at, turn in turns for came in turn.quotes.values() for quote in came]

    def last(self, kind: type[Action]) -> Any:
        found = [action for _, action in self.begun if isinstance(action, kind)]
        return found[-1] if found else None


def quote_at(symbol: str, at: datetime) -> Quote:
    return Quote(symbol, Decimal(1), Decimal(2), at)


def report_at(at: datetime) -> OrderReport:
    one = Decimal(1)
    return OrderReport("dcabot-1", "id", BTC, Side.BUY, OrderStatus.FILLED, one, one, at)


# Reconciliation


def test_first_reconciliation_is_at_once() -> None:
    assert Play().times(Reconcile) == [0.0]


@pytest.mark.parametrize(
    ("standing", "pause"),
    [
        (QUIET, paces.SWEEP_IDLE_SECONDS),
        (BUYING, paces.SWEEP_ORDER_OPEN_SECONDS),
        (UNSETTLED, paces.SWEEP_UNSETTLED_SECONDS),
        (replace(UNSETTLED, has_open_orders=True), paces.SWEEP_UNSETTLED_SECONDS),
    ],
)
def test_pause_depends_on_open_cycles(standing: Standing, pause: float) -> None:
    play = Play(standing, replace(SETTINGS, asset_refresh=1000.0))
    play.until(200.0)
    first, second, third = play.times(Reconcile)[:3]
    assert second - first == third - second == paces.SWEEP_SPACING_SECONDS + pause


def test_pause_is_short_without_updates() -> None:
    play = Play(BUYING)
    play.tell(play.schedule.streams_are, 0.0, None)
    play.until(20.0)
    pause = paces.SWEEP_SPACING_SECONDS + paces.SWEEP_STREAM_DOWN_SECONDS
    assert play.times(Reconcile) == [0.0, 2.0, 2.0 + pause, 2.0 + 2 * pause, 2.0 + 3 * pause]


def test_pause_is_at_most_the_data_timeout() -> None:
    play = Play(settings=replace(SETTINGS, data_timeout=7.0))
    play.until(10.0)
    assert play.times(Reconcile) == [0.0, paces.SWEEP_SPACING_SECONDS + 7.0]


@pytest.mark.parametrize(("setting", "limit"), [(3.0, 3.0), (120.0, paces.SILENT_SECONDS)])
def test_data_timeout_shortens_the_silence(setting: float, limit: float) -> None:
    play = Play(Standing((BTC,)), settings=replace(SETTINGS, data_timeout=setting))
    play.read(BTC)
    play.until(20.0)
    assert limit < play.times(AskQuotes)[0] <= limit + 2


def test_wanted_reconciliation_is_spaced() -> None:
    play = Play()
    play.until(0.5)
    play.tell(play.schedule.update_booked, False, QUIET)
    play.until(30.0)
    assert play.times(Reconcile) == [0.0, paces.SWEEP_SPACING_SECONDS]
    play.tell(play.schedule.update_booked, False, QUIET)
    assert play.times(Reconcile)[2:] == [30.0]


def test_want_during_a_round_begins_another() -> None:
    play = Play(slow=(Reconcile,))
    play.until(5.0)
    play.tell(play.schedule.update_booked, False, QUIET)
    play.until(8.0)
    play.tell(play.schedule.reconciled, NOTHING, QUIET, play.utc(), play.now)
    play.until(20.0)
    assert play.times(Reconcile) == [0.0, 8.0 + paces.SWEEP_SPACING_SECONDS]


def test_each_request_is_asked_about() -> None:
    play = Play()
    play.until(10.0)
    for symbol, at in ((BTC, 10.0), (ETH, 13.0)):
        play.until(at)
        play.schedule.request_began(symbol)
        play.tell(play.schedule.request_ended, symbol, BUYING, at)
    play.until(30.0)
    patience = paces.EVENT_PATIENCE_SECONDS
    assert play.times(Reconcile) == [0.0, 10.0 + patience, 13.0 + patience]


def test_failed_request_asks_at_once() -> None:
    play = Play()
    play.until(10.0)
    play.schedule.request_began(BTC)
    play.tell(play.schedule.request_failed, BTC, 10.0)
    assert play.times(Reconcile) == [0.0, 10.0]


def test_unsettled_cycle_asks_at_once() -> None:
    for event in ("request_ended", "update_booked", "refreshed"):
        play = Play()
        play.until(10.0)
        play.schedule.request_began(BTC)
        told = {
            "request_ended": (BTC, UNSETTLED, 10.0),
            "update_booked": (True, UNSETTLED),
            "refreshed": (UNSETTLED, 10.0),
        }
        play.tell(getattr(play.schedule, event), *told[event])
        assert play.times(Reconcile) == [0.0, 10.0], event


def test_understood_update_needs_no_rest() -> None:
    play = Play()
    play.until(10.0)
    play.tell(play.schedule.update_booked, True, BUYING)
    play.until(20.0)
    assert play.times(Reconcile) == [0.0]


def test_unfinished_reconciliation_goes_on() -> None:
    play = Play(slow=(Reconcile,))
    play.tell(play.schedule.reconciled, replace(NOTHING, is_unfinished=True), QUIET, START, 0.0)
    play.until(20.0)
    assert play.times(Reconcile) == [0.0, paces.SWEEP_SPACING_SECONDS]


@pytest.mark.parametrize(
    ("quotes_since", "orders_since", "is_wanted"),
    [
        (0.0, 0.0, False),
        (0.0, None, True),
        (0.0, 9.0, True),  # lost, and back before anybody looked
        (None, 0.0, False),
        (9.0, 0.0, True),
    ],
)
def test_streams_that_change_ask_rest(
    quotes_since: float | None,
    orders_since: float | None,
    is_wanted: bool,
) -> None:
    play = Play()
    play.until(10.0)
    play.tell(play.schedule.streams_are, quotes_since, orders_since)
    assert play.times(Reconcile) == ([0.0, 10.0] if is_wanted else [0.0])


def test_failed_round_is_followed_by_another() -> None:
    play = Play(slow=(Reconcile,))
    play.until(15.0)
    play.tell(play.schedule.reconciliation_failed, 15.0)
    assert play.last(EndRound) == EndRound(went_well=False)
    play.until(100.0)
    pause = paces.SWEEP_SPACING_SECONDS + paces.SWEEP_IDLE_SECONDS
    assert play.times(Reconcile) == [0.0, 15.0 + pause]


# The streams


def test_late_news_renews_the_updates() -> None:
    play = Play()
    play.until(10.0)
    play.found = Found((report_at(play.utc()),), is_unfinished=False)
    play.until(70.0)
    assert "dcabot-1" in play.last(RenewOrders).why


def test_news_from_before_renews_nothing() -> None:
    play = Play()
    play.found = Found((report_at(START - timedelta(seconds=1)),), is_unfinished=False)
    play.until(70.0)
    assert play.last(RenewOrders) is None


def test_late_news_of_a_lost_stream_is_none() -> None:
    play = Play()
    play.until(10.0)
    play.found = Found((report_at(play.utc()),), is_unfinished=False)
    play.tell(play.schedule.streams_are, 0.0, None)
    play.until(70.0)
    assert play.last(RenewOrders) is None


def silent_on_btc() -> Play:
    """ETH is quoted again and again, BTC was quoted once; REST has been asked about BTC."""
    play = Play(slow=(AskQuotes,))
    play.read(BTC)
    for second in range(1, 200):
        play.until(float(second))
        play.read(ETH)
    return play


def test_silent_pair_is_asked_of_rest() -> None:
    play = silent_on_btc()
    assert play.last(AskQuotes) == AskQuotes((BTC,))
    assert paces.SILENT_SECONDS < play.times(AskQuotes)[0] <= paces.SILENT_SECONDS + 2
    assert len(play.times(AskQuotes)) == 1  # while a question is open no other is asked


def test_silent_pair_is_asked_about_every_ten_seconds() -> None:
    play = Play(Standing((BTC,)))
    play.until(60.0)
    pauses = [late - early for early, late in pairwise(play.times(AskQuotes))]
    assert pauses and all(9.9 < pause < 11.1 for pause in pauses)


def test_newer_quote_that_stays_away_renews_the_stream() -> None:
    play = silent_on_btc()
    newer = quote_at(BTC, play.utc())
    play.tell(play.schedule.quotes_told, [newer], play.utc(), play.now)
    assert play.last(RenewQuotes) is None  # the stream may bring it in a moment
    play.until(play.now + 4.0)
    assert len(play.times(AskQuotes)) == 2
    play.tell(play.schedule.quotes_told, [newer], play.utc(), play.now)
    assert BTC in play.last(RenewQuotes).why


def test_newer_quote_that_comes_is_no_mute_stream() -> None:
    play = silent_on_btc()
    newer = quote_at(BTC, play.utc())
    play.tell(play.schedule.quotes_told, [newer], play.utc(), play.now)
    play.read(BTC)
    play.until(play.now + 4.0)
    play.tell(play.schedule.quotes_told, [newer], play.utc(), play.now)
    assert play.last(RenewQuotes) is None


def test_pair_never_quoted_is_asked_of_rest() -> None:
    """The stream has brought nothing of it since it connected, and is silent since then."""
    for connected_at in (0.0, 3.0, 7.5):
        play = Play()
        play.tell(play.schedule.streams_are, None, 0.0)
        play.until(connected_at)
        play.begun.clear()
        play.tell(play.schedule.streams_are, connected_at, 0.0)
        second = connected_at
        while second < connected_at + 8.0:
            play.until(second)
            play.read(ETH)
            second += 0.5
        questions = [(at, one) for at, one in play.begun if isinstance(one, AskQuotes)]
        asked = [at for at, one in questions if one.symbols == (BTC,)]
        assert paces.SILENT_SECONDS < asked[0] - connected_at <= paces.SILENT_SECONDS + 1.5


def test_pair_silent_beside_another_is_asked_of_rest() -> None:
    """REST was asked about the other one just before."""
    play = Play()
    for second in range(1, 40):
        play.until(float(second))
        if second < 8:
            play.read(BTC)
    asked = [at for at, one in play.begun if isinstance(one, AskQuotes) and BTC in one.symbols]
    assert paces.SILENT_SECONDS < asked[0] - 7.0 <= paces.SILENT_SECONDS + 1.5
    pauses = [late - early for early, late in pairwise(asked)]
    assert all(9.9 < pause < 11.1 for pause in pauses)


def test_new_asset_has_its_five_seconds() -> None:
    """It was not subscribed before, so its silence begins with its subscription."""
    play = Play(Standing((ETH,)))
    play.until(100.0)
    play.standing = QUIET
    play.schedule.follow((BTC, ETH))
    play.tell(play.schedule.refreshed, QUIET, play.now)
    play.begun.clear()
    for tenth in range(1000, 1100):
        play.until(tenth / 10)
        play.read(ETH)
    asked = [at for at, one in play.begun if isinstance(one, AskQuotes) and BTC in one.symbols]
    assert paces.SILENT_SECONDS < asked[0] - 100.0 <= paces.SILENT_SECONDS + 1.5


def found_mute(play: Play) -> None:
    newer = quote_at(BTC, play.utc())
    for _ in range(2):
        play.tell(play.schedule.quotes_told, [newer], play.utc(), play.now)
        play.until(play.now + 4.0)


def test_mute_stream_stays_mute_over_its_renewals() -> None:
    """Each new connection brings one quote and no more."""
    play = silent_on_btc()
    found_mute(play)
    for _ in range(5):
        assert play.schedule.mute == (BTC,)
        play.tell(play.schedule.streams_are, None, 0.0)
        play.until(play.now + 3.0)
        assert play.schedule.mute == (BTC,)
        play.tell(play.schedule.streams_are, play.now, 0.0)
        play.read(BTC)
        play.until(play.now + 7.0)
        found_mute(play)


@pytest.mark.parametrize("pause", [0.3, 20.0])
def test_quotes_that_flow_again_end_a_mute_stream(pause: float) -> None:
    play = silent_on_btc()
    found_mute(play)
    play.read(BTC)
    assert play.schedule.mute == (BTC,)
    since = play.now
    while play.schedule.mute:
        assert play.now - since <= 20.0
        play.until(play.now + pause)
        play.read(BTC)
    assert play.now - since >= 5.0


def test_mute_pair_that_is_left_is_forgotten() -> None:
    play = silent_on_btc()
    found_mute(play)
    play.schedule.follow((ETH,))
    assert play.schedule.mute == ()


def test_same_quote_is_a_quiet_market() -> None:
    play = silent_on_btc()
    for _ in range(3):
        play.tell(play.schedule.quotes_told, [quote_at(BTC, START)], play.utc(), play.now)
        play.until(play.now + 20.0)
    assert play.last(RenewQuotes) is None


# Second looks, and a stream that is away


def test_second_look_is_asked_at_once_and_each_second() -> None:
    play = Play()
    play.until(3.2)
    play.read(BTC)
    play.read(ETH)
    play.looks = (BTC,)
    play.schedule.decided(1, play.now, play.looks)
    play.look()
    play.until(6.3)
    assert [round(at, 1) for at in play.times(AskQuotes)] == [3.2, 4.2, 5.2, 6.2]
    assert play.last(AskQuotes) == AskQuotes((BTC,))


def test_pairs_that_wait_for_rest_are_decided_on_each_second() -> None:
    """REST's silence is an answer too."""
    play = Play(slow=(AskQuotes,))
    play.until(3.0)
    play.looks = (BTC,)
    play.schedule.decided(1, play.now, [BTC])
    play.begun.clear()
    play.until(7.0)
    turns = [action for _, action in play.begun if isinstance(action, Decide)]
    assert len([turn for turn in turns if BTC in turn.again]) >= 3


def test_lost_stream_is_stood_in_for_every_two_seconds() -> None:
    play = Play()
    play.until(10.0)
    play.begun.clear()
    play.tell(play.schedule.streams_are, None, 0.0)
    play.until(17.0)
    assert play.times(AskQuotes) == [12.0, 14.0, 16.0]
    assert play.last(AskQuotes) == AskQuotes((BTC, ETH))
    assert play.schedule.away_seconds(play.now) == 7.0
    play.tell(play.schedule.streams_are, 17.0, 0.0)
    assert play.schedule.away_seconds(play.now) == 0.0
    play.until(21.9)
    assert play.times(AskQuotes) == [12.0, 14.0, 16.0]


def test_pair_without_room_on_the_stream_is_not_mute() -> None:
    play = silent_on_btc()
    play.schedule.streams_are(0.0, 0.0, [BTC])
    newer = quote_at(BTC, play.utc())
    for _ in range(3):
        play.tell(play.schedule.quotes_told, [newer], play.utc(), play.now)
        play.until(play.now + 12.0)
    assert play.last(RenewQuotes) is None
    assert len(play.times(AskQuotes)) > 2


def test_short_reconnect_asks_nothing() -> None:
    play = Play()
    play.until(1.0)
    play.tell(play.schedule.streams_are, None, 0.0)
    play.until(2.0)
    assert play.schedule.away_seconds(play.now) == 0.0
    play.tell(play.schedule.streams_are, 2.0, 0.0)
    play.until(6.0)
    assert not play.times(AskQuotes)


def test_answers_are_decided_on() -> None:
    play = Play()
    play.until(10.3)
    play.begun.clear()
    play.tell(play.schedule.quotes_told, [quote_at(ETH, START)], play.utc(), play.now)
    assert play.last(Decide).again == (ETH,)


def test_question_that_failed_is_asked_again() -> None:
    play = Play(slow=(AskQuotes,))
    play.tell(play.schedule.streams_are, None, 0.0)
    play.until(9.0)
    assert len(play.times(AskQuotes)) == 1
    play.tell(play.schedule.quotes_failed)
    play.until(9.1)
    assert len(play.times(AskQuotes)) == 2


def test_nothing_is_missed_from_before_connecting() -> None:
    play = silent_on_btc()
    since = play.now - 1.0
    play.schedule.streams_are(since, 0.0)
    before = START + timedelta(seconds=since - 5.0)
    play.tell(play.schedule.quotes_told, [quote_at(BTC, before)], play.utc(), play.now)
    assert play.last(RenewQuotes) is None


def test_quote_looked_at_again_is_silence() -> None:
    play = Play(Standing((BTC,)))
    for second in range(1, 200):
        play.until(float(second))
        play.schedule.quote_read(quote_at(BTC, START), play.now)
    assert play.times(AskQuotes)


def test_stream_that_was_away_is_not_silent() -> None:
    play = Play()
    play.until(100.0)
    play.tell(play.schedule.streams_are, 100.0, 0.0)
    asked = len(play.times(AskQuotes))
    play.until(100.0 + paces.SILENT_SECONDS)
    assert len(play.times(AskQuotes)) == asked


def test_pair_that_comes_back_is_not_silent() -> None:
    play = silent_on_btc()
    play.tell(play.schedule.quotes_told, (), play.utc(), play.now)
    play.schedule.follow((ETH,))
    play.schedule.follow((BTC, ETH))
    asked = len(play.times(AskQuotes))
    for second in range(200, 200 + int(paces.SILENT_SECONDS)):
        play.until(float(second))
        play.read(ETH)
    assert len(play.times(AskQuotes)) == asked


# Instruments, assets, pulse, health


def test_instruments_are_read_hourly() -> None:
    play = Play()
    play.until(3 * paces.INSTRUMENTS_SECONDS)
    assert len(play.times(LearnInstruments)) == 2


def test_missing_pair_is_looked_for_each_minute() -> None:
    play = Play(replace(QUIET, knows_its_pairs=False))
    play.until(600.0)
    assert len(play.times(LearnInstruments)) == 9


def test_failed_list_of_pairs_is_read_next_time() -> None:
    play = Play(replace(QUIET, knows_its_pairs=False), slow=(LearnInstruments,))
    play.until(130.0)
    (at,) = play.times(LearnInstruments)
    play.tell(play.schedule.reconciliation_failed, play.now)
    play.until(200.0)
    assert len(play.times(LearnInstruments)) == 2
    assert at < play.times(LearnInstruments)[1]


def test_assets_are_read_at_their_pace() -> None:
    play = Play(slow=(Refresh,))
    play.until(100.0)
    assert play.times(Refresh) == [30.0]
    play.tell(play.schedule.refresh_failed, 100.0)
    play.until(131.0)
    assert play.times(Refresh) == [30.0, 130.0]
    assert play.last(Refresh) == Refresh(on_request=False)


def test_sighup_reads_the_assets_at_once() -> None:
    play = Play()
    play.until(3.0)
    play.tell(play.schedule.reload)
    assert play.begun[-1] != (3.0, Refresh(on_request=False))
    assert play.times(Refresh) == [3.0]


def test_sighup_during_a_refresh_reads_again() -> None:
    play = Play(slow=(Refresh,))
    play.until(31.0)
    play.tell(play.schedule.reload)
    assert play.times(Refresh) == [30.0]
    play.tell(play.schedule.refreshed, QUIET, 31.0)
    assert play.times(Refresh) == [30.0, 31.0]
    assert play.last(Refresh) == Refresh(on_request=True)


def test_pulse_beats_after_the_last_one() -> None:
    play = Play(slow=(Beat,))
    play.until(20.25)
    assert play.times(Beat) == [paces.PULSE_SECONDS]
    play.tell(play.schedule.beat_ended, 20.25)
    play.until(26.0)
    assert play.times(Beat) == [5.0, 20.25 + paces.PULSE_SECONDS]


def test_health_is_told_at_its_pace() -> None:
    play = Play()
    play.until(11.0)
    assert play.times(TellHealth) == [0.0, 5.0, 10.0]


# The consumer


def test_consumer_turns_each_second() -> None:
    play = Play()
    play.begun.clear()
    play.until(3.5)
    assert len(play.times(Decide)) == 3


def test_quote_is_decided_on_at_once() -> None:
    play = Play()
    play.until(7.3)
    play.quote(BTC)
    assert play.decided() == [(7.3, "BTC/USD at 7.3")]


def test_only_the_newest_quote_counts() -> None:
    play = Play(slow=(Decide,))
    play.until(7.0)
    play.schedule.decided(4, 7.0)
    play.quote(BTC)
    play.schedule.quote_came(BTC, "newest", make_time(7.1))
    play.until(7.0 + 3 * paces.REST_SECONDS)
    assert play.decided() == []  # the sockets have their time
    play.until(8.0)
    assert [quote for _, quote in play.decided()] == ["newest"]


def test_an_old_quote_replaces_no_newer_one() -> None:
    """While its pair is busy: the newest by its own time is looked at first, then the last."""
    heard = Heard()
    heard.follow([BTC])
    for second in (5, 9, 3, 7, 2):
        heard.put(BTC, second, make_time(second))
    assert heard.take(()) == {BTC: (9, 2)}


def test_two_quotes_of_one_time_are_both_kept() -> None:
    """One of them may be nonsense: the later is looked at first."""
    heard = Heard()
    heard.follow([BTC])
    heard.put(BTC, "true", make_time(5))
    heard.put(BTC, "spike", make_time(5))
    assert heard.take(()) == {BTC: ("spike", "true")}


@given(st.lists(st.none() | st.integers(0, 20), min_size=1, max_size=12))
def test_the_newest_unseen_quote_is_kept(seconds: list[int | None]) -> None:
    """And the last to come, also where times cannot be read: a quote from the future hides none."""
    heard = Heard()
    heard.follow([BTC])
    for second in seconds:
        heard.put(BTC, second, None if second is None else make_time(second))
    kept = heard.take(())[BTC]
    read = [second for second in seconds if second is not None]
    assert seconds[-1] in kept
    assert kept[0] == max(read, default=None)
    assert len(kept) <= 2


def test_end_of_a_step_wakes_at_once() -> None:
    play = Play(slow=(Reconcile,))
    play.schedule.decided(1000, play.now)  # the consumer does not wake anybody now
    play.schedule.reconciliation_failed(play.now)
    assert play.schedule.wakes_at() <= play.now
    assert play.schedule.due(play.now) == [EndRound(went_well=False)]


def test_flood_wakes_once() -> None:
    play = Play()
    woken = [play.schedule.quote_came(BTC, number, play.utc()) for number in range(5)]
    assert woken == [True, False, False, False, False]


def test_busy_asset_is_not_decided_on() -> None:
    play = Play()
    play.until(1.5)
    play.schedule.request_began(BTC)
    play.quote(BTC)
    play.quote(ETH)
    play.until(4.5)
    assert [quote for _, quote in play.decided()] == ["ETH/USD at 1.5"]
    play.tell(play.schedule.request_ended, BTC, BUYING, play.now)
    play.until(4.6)
    assert "BTC/USD at 1.5" in [quote for at, quote in play.decided() if at >= 4.5]


@pytest.mark.parametrize("event", ["update_booked", "reconciled", "refreshed", "request_ended"])
def test_changed_cycles_are_decided_on_again(event: str) -> None:
    play = Play()
    play.until(1.5)
    play.quote(ETH)
    play.until(10.0)
    play.schedule.request_began(BTC)
    told = {
        "update_booked": (True, QUIET),
        "reconciled": (NOTHING, QUIET, START, 10.0),
        "refreshed": (QUIET, 10.0),
        "request_ended": (BTC, QUIET, 10.0),
    }
    play.tell(getattr(play.schedule, event), *told[event])
    assert ETH in play.last(Decide).again


def test_failed_request_pauses_its_asset() -> None:
    play = Play(slow=(Reconcile,))
    play.until(10.25)
    play.schedule.request_began(BTC)
    play.tell(play.schedule.request_failed, BTC, 10.25)
    play.until(10.5)
    play.quote(BTC)
    play.until(20.0)
    assert play.decided() == [(10.25 + paces.RETRY_SECONDS, "BTC/USD at 10.5")]


def test_quotes_of_other_pairs_are_dropped() -> None:
    play = Play(Standing((BTC,)))
    play.quote(ETH)
    play.schedule.follow((BTC, ETH))
    play.until(5.0)
    assert not play.decided()


# The whole


def test_nothing_begins_before_the_start() -> None:
    schedule = Schedule(SETTINGS)
    schedule.reload()
    schedule.streams_are(0.0, 0.0)
    assert schedule.due(1000.0) == []
    assert schedule.wakes_at() == inf


WEIGHTS = {"quote": 3, "begin": 1, "act": 1, "fail": 1, "update": 1, "puzzle": 1, "end": 3}
WEIGHTS |= {"trouble": 1, "connect": 1, "lose": 1, "reload": 1}
EVENTS = [event for event, weight in WEIGHTS.items() for _ in range(weight)]
DELAYS = st.floats(0.0, 70.0) | st.sampled_from((0.0, 0.0, 0.0001, 1.0, 5.0))
STANDINGS = st.sampled_from((QUIET, BUYING, UNSETTLED))
STEP = st.tuples(st.sampled_from(EVENTS), st.sampled_from((BTC, ETH)), STANDINGS, DELAYS)
STEPS = st.lists(STEP, max_size=60)


class AnyPlay(Play):
    """Any events in any order. It checks itself at each look, by rules that it says once more."""

    def __init__(self) -> None:
        self.at_work: list[Action] = []
        self.busy: dict[str, float] = {}
        self.unseen: set[str] = set()
        self.wanted = True  # the streams have just connected
        self.ask_at: list[float] = []
        self.rested_at = 0.0
        self.rest_may_be_asked_at = 0.0
        self.orders_since: float | None = 0.0
        super().__init__(slow=(Reconcile, LearnInstruments, Refresh, Beat))

    @property
    def in_round(self) -> bool:
        steps = (Reconcile, LearnInstruments)
        return any(isinstance(one, steps) for one in self.at_work)

    @property
    def pause_ends(self) -> float:
        """When REST is asked although nothing happened."""
        if self.orders_since is None:
            return self.rest_may_be_asked_at + 3.0
        pauses = {QUIET: 60.0, BUYING: 30.0, UNSETTLED: 5.0}
        return self.rest_may_be_asked_at + pauses[self.standing]

    def look(self) -> None:
        if any(at <= self.now for at in self.ask_at):
            self.wanted = True
            self.ask_at = [at for at in self.ask_at if at > self.now]
        self.busy = {symbol: until for symbol, until in self.busy.items() if until > self.now}
        for action in self.schedule.due(self.now):
            self.begin(action)
        assert self.schedule.wakes_at() > self.now, "it says everything at once"
        turn_at = self.now + paces.TURN_SECONDS
        assert self.schedule.wakes_at() <= turn_at, "the consumer shows that it lives"
        if self.now >= self.rested_at:
            assert self.unseen <= self.busy.keys(), "a quote was lost"
        if not self.in_round and self.now >= self.rest_may_be_asked_at:
            assert not self.wanted, "a wish to ask REST was lost"
            assert self.now < self.pause_ends, "a pause is too long"

    def begin(self, action: Action) -> None:
        self.begun.append((self.now, action))
        match action:
            case Decide():
                looked_at = {*action.quotes, *action.again}
                assert not self.busy.keys() & looked_at, "a busy asset is decided on"
                self.unseen -= action.quotes.keys()
                self.schedule.decided(len(action.quotes), self.now)
                self.rested_at = self.now + paces.REST_SECONDS * len(action.quotes)
            case Reconcile():
                assert not self.in_round, "two rounds at once"
                assert self.now >= self.rest_may_be_asked_at, "too soon after the last round"
                assert self.wanted or self.now >= self.pause_ends, "REST is asked for nothing"
                self.at_work.append(action)
                self.wanted = False
            case LearnInstruments():
                assert not self.in_round, "two steps of a round at once"
                self.at_work.append(action)
            case AskQuotes():
                self.end(action)
            case Refresh() | Beat():
                assert not any(type(one) is type(action) for one in self.at_work), "twice at once"
                self.at_work.append(action)
            case EndRound():
                self.rest_may_be_asked_at = self.now + paces.SWEEP_SPACING_SECONDS

    def play(self, what: str, symbol: str, standing: Standing) -> None:
        schedule = self.schedule
        match what:
            case "quote":
                self.unseen.add(symbol)
                self.quote(symbol)
            case "begin" if symbol not in self.busy:
                self.busy[symbol] = inf
                self.tell(schedule.request_began, symbol)
            case "act" if self.busy.get(symbol) == inf:
                del self.busy[symbol]
                self.ask_at.append(self.now + paces.EVENT_PATIENCE_SECONDS)
                self.changed(standing)
                self.tell(schedule.request_ended, symbol, standing, self.now)
            case "fail" if self.busy.get(symbol) == inf:
                self.wanted = True
                self.busy[symbol] = self.now + paces.RETRY_SECONDS
                self.tell(schedule.request_failed, symbol, self.now)
            case "update" | "puzzle":
                self.changed(standing)
                self.wanted = self.wanted or what == "puzzle"
                self.tell(schedule.update_booked, what == "update", standing)
            case "connect" | "lose":
                before, self.orders_since = self.orders_since, None
                if what == "connect":
                    self.orders_since = self.now
                self.wanted = self.wanted or self.orders_since != before
                self.tell(schedule.streams_are, 0.0, self.orders_since)
            case "reload":
                self.tell(schedule.reload)
            case "end" | "trouble" if self.at_work:
                self.finish(self.at_work.pop(0), standing, what == "trouble")

    def changed(self, standing: Standing) -> None:
        self.standing = standing
        self.wanted = self.wanted or standing.is_unsettled

    def finish(self, action: Action, standing: Standing, is_trouble: bool) -> None:
        match action:
            case Refresh() if is_trouble:
                self.tell(self.schedule.refresh_failed, self.now)
            case Refresh():
                self.changed(standing)
                self.tell(self.schedule.refreshed, standing, self.now)
            case Beat():
                self.tell(self.schedule.beat_ended, self.now)
            case _ if is_trouble:
                self.tell(self.schedule.reconciliation_failed, self.now)
            case Reconcile() | LearnInstruments():
                self.standing = standing
                self.end(action)
                self.look()


def play_any(steps: list[tuple[str, str, Standing, float]]) -> None:
    play = AnyPlay()
    for what, symbol, standing, delay in steps:
        play.play(what, symbol, standing)
        play.until(play.now + delay)
    play.schedule.stop()
    play.schedule.reload()
    play.schedule.streams_are(None, None)
    play.schedule.update_booked(False, UNSETTLED)
    assert play.schedule.due(play.now + 1000.0) == []
    assert play.schedule.wakes_at() == inf


@given(STEPS)
def test_any_events_leave_the_rules_true(steps: list[tuple[str, str, Standing, float]]) -> None:
    play_any(steps)


# Planted bugs: the same plays must see each of them.


def no_question_after_a_request(self: Any, symbol: str, standing: Standing, now: float) -> None:
    del self._busy_until[symbol]
    self._cycles_changed(standing)


def no_question_after_a_puzzle(self: Any, is_understood: bool, standing: Standing) -> None:
    self._cycles_changed(standing)


def no_free_asset_after_trouble(self: Any, symbol: str, now: float) -> None:
    self._reconcile_wanted = True


def no_end_of_a_round_with_trouble(self: Any, now: float) -> None:
    pass


def no_spacing(self: Any, went_well: bool, now: float) -> None:
    self._reconciling, self._round_ended_at = False, now - paces.SWEEP_SPACING_SECONDS
    self._next.append(EndRound(went_well))


def swapped_pauses(self: Any) -> float:
    if self._orders_since is None:
        return paces.SWEEP_STREAM_DOWN_SECONDS
    if self._standing.is_unsettled:
        return paces.SWEEP_UNSETTLED_SECONDS
    is_idle = not self._standing.has_open_orders
    return paces.SWEEP_ORDER_OPEN_SECONDS if is_idle else paces.SWEEP_IDLE_SECONDS


def busy_for_nobody(self: Any, busy: Collection[str]) -> dict[str, Any]:
    taken, self._unseen = self._unseen, {}
    return {symbol: unseen.quotes for symbol, unseen in taken.items()}


@pytest.mark.parametrize(
    ("owner", "name", "bug"),
    [
        (Schedule, "request_ended", no_question_after_a_request),
        (Schedule, "update_booked", no_question_after_a_puzzle),
        (Schedule, "request_failed", no_free_asset_after_trouble),
        (Schedule, "reconciliation_failed", no_end_of_a_round_with_trouble),
        (Schedule, "_end_round", no_spacing),
        (Schedule, "_reconcile_pause", swapped_pauses),
        (Heard, "take", busy_for_nobody),
    ],
)
def test_planted_bug_is_caught(owner: type, name: str, bug: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(owner, name, bug)
    generate = {"max_examples": 1000, "phases": [Phase.generate], "derandomize": True}
    search = settings(**generate, report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        search(given(STEPS)(play_any))()
