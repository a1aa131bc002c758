"""Section 9 of the contract, as far as it is about prices: which quotes may decide."""

from datetime import timedelta
from decimal import Decimal

import pytest

from dcabot.core.model import Quote
from dcabot.core.quotes import Screen, Seen, impossible, remembered, screen, stale
from tests.builders import SYMBOL, make_quote, make_time

MINUTE = timedelta(seconds=60)
FAR = make_time(10**7)  # no quote is too far in the future


def after(*quotes: Quote) -> Screen:
    seen = Screen()
    for quote in quotes:
        seen = screen(seen, quote, FAR)
    return seen


def test_the_first_quote_is_believed() -> None:
    assert after(make_quote()) == Screen(believed=make_quote(), compared=False)


@pytest.mark.parametrize(
    ("bid", "ask", "said"),
    [
        ("0", "100", "a price of zero or below"),
        ("100", "0", "a price of zero or below"),
        ("-1", "100", "a price of zero or below"),
        ("100", "-1", "a price of zero or below"),
        ("100.01", "100", "the bid is above the ask"),
        ("NaN", "100", "a price that is no number"),
        ("100", "Infinity", "a price that is no number"),
    ],
)
def test_section_9_an_impossible_price_is_named_and_decides_nothing(bid: str, ask: str, said: str) -> None:
    quote = make_quote(bid, ask)
    assert impossible(quote).startswith(f"BTC/USD: {said}")
    assert after(quote) == Screen(fault=impossible(quote))


def test_section_9_an_impossible_price_does_not_shake_belief_in_the_last_good_one() -> None:
    seen = after(make_quote(), make_quote("0", "0", at=1))
    assert seen.believed == make_quote()
    assert screen(seen, make_quote(at=2), FAR).fault == ""


@pytest.mark.parametrize("price", ["100", "0.5", "0.00000001"])
def test_a_bid_equal_to_the_ask_is_possible_at_any_price_above_zero(price: str) -> None:
    assert impossible(make_quote(price, price)) == ""


@pytest.mark.parametrize(("bid", "ask"), [("49", "50"), ("150", "150"), ("50", "100"), ("100", "150")])
def test_section_9_a_jump_of_half_the_price_in_one_quote_decides_nothing(bid: str, ask: str) -> None:
    seen = after(make_quote("100", "100"), make_quote(bid, ask, at=1))
    assert seen.fault.startswith(f"BTC/USD: the price jumped from 100 to {ask} in one quote")
    assert seen.believed == make_quote("100", "100")


@pytest.mark.parametrize(("bid", "ask"), [("50.01", "50.01"), ("50.01", "149.99"), ("149.99", "149.99")])
def test_a_change_of_less_than_half_decides_at_once(bid: str, ask: str) -> None:
    assert after(make_quote("100", "100"), make_quote(bid, ask, at=1)).fault == ""


def test_section_9_after_a_lone_jump_the_next_good_quote_decides_and_the_jump_is_forgotten() -> None:
    good = make_quote("100", "100", at=2)
    assert after(make_quote("100", "100"), make_quote("10", "10", at=1), good) == Screen(believed=good)


def test_section_9_a_jump_is_believed_when_quotes_agree_with_it_for_ten_seconds() -> None:
    seen = after(make_quote("100", "100"), make_quote("40", "40", at=1), make_quote("41", "41", at=10))
    assert seen.fault
    crash = make_quote("40", "40", at=11)
    assert screen(seen, crash, FAR) == Screen(believed=crash)


def test_section_9_jumps_that_do_not_agree_with_each_other_are_never_believed() -> None:
    seen = after(make_quote("100", "100"))
    for at in range(1, 60):
        seen = screen(seen, make_quote("10", "10", at=at) if at % 2 else make_quote("1000", "1000", at=at), FAR)
        assert seen.fault


def test_section_9_a_jump_whose_time_is_in_the_future_does_not_keep_those_of_now_from_being_believed() -> None:
    seen = after(make_quote("100", "100"), make_quote("40", "40", at=10**6), make_quote("40", "40", at=1))
    assert seen.fault
    assert screen(seen, make_quote("40", "40", at=10.9), FAR).fault
    assert not screen(seen, make_quote("40", "40", at=11), FAR).fault


def test_section_9_a_stale_quote_decides_nothing() -> None:
    quote = make_quote(at=0)
    assert not stale(quote, make_time(60), MINUTE)
    assert stale(quote, make_time(60.001), MINUTE)


def test_section_9_a_quote_from_the_far_future_decides_nothing() -> None:
    assert stale(make_quote(at=61), make_time(0), MINUTE)
    assert not stale(make_quote(at=1), make_time(0), MINUTE)


def test_the_first_quote_after_a_start_is_compared_with_the_last_price_we_traded_at() -> None:
    before = remembered(SYMBOL, Decimal(100))
    assert screen(before, make_quote("160", "160.10", at=1), FAR).fault
    assert not screen(before, make_quote("120", "120.10", at=1), FAR).fault
    assert not screen(remembered(SYMBOL, None), make_quote("160", "160.10", at=1), FAR).fault


# The newest quote, and whether it is a price of now

LATEST = make_time(60)


def streamed(*quotes: Quote) -> Seen:
    seen = Seen()
    for quote in quotes:
        seen = seen.streamed(quote, LATEST)
    return seen


def test_a_quote_older_than_the_newest_changes_nothing() -> None:
    new, old = make_quote("100", "101", at=10), make_quote("120", "121", at=9)
    seen = streamed(new, old)
    assert seen.newest == new
    assert seen.screen.fault == ""


def test_the_same_time_is_not_older() -> None:
    first, second = make_quote("100", "101", at=10), make_quote("102", "103", at=10)
    assert streamed(first, second).newest == second


@pytest.mark.parametrize("false", [make_quote("0", "1", at=20), make_quote("10", "10", at=20), make_quote(at=61)])
def test_an_impossible_doubted_or_future_quote_is_never_the_newest(false: Quote) -> None:
    seen = streamed(make_quote(at=10), false)
    assert seen.newest == make_quote(at=10)
    assert seen.screen.fault
    assert seen.streamed(make_quote("101", "102", at=11), LATEST).newest == make_quote("101", "102", at=11)


def test_a_first_quote_may_be_older_than_what_is_remembered() -> None:
    seen = Seen(remembered(SYMBOL, Decimal(100))).streamed(make_quote(at=-3600), LATEST)
    assert seen.newest == make_quote(at=-3600)


def test_a_young_quote_of_a_living_stream_is_usable() -> None:
    seen = streamed(make_quote(at=0))
    assert seen.is_usable(make_time(60), MINUTE)
    assert not seen.is_usable(make_time(61), MINUTE)
    assert not seen.cut_off().is_usable(make_time(1), MINUTE)
    assert not Seen().is_usable(make_time(1), MINUTE)


def test_no_quote_from_before_a_pause_is_usable() -> None:
    quote = make_quote(at=0)
    seen = streamed(quote).answered(quote, make_time(1), LATEST).unfollowed()
    assert not seen.is_usable(make_time(2), MINUTE)
    assert seen.streamed(make_quote("900", "901", at=2), LATEST).screen.fault  # still compared with it
    assert seen.answered(quote, make_time(2), LATEST).is_usable(make_time(2), MINUTE)
    assert seen.streamed(make_quote(at=2), LATEST).is_usable(make_time(2), MINUTE)


def test_an_old_quote_is_usable_while_rest_shows_the_same() -> None:
    seen = streamed(make_quote(at=0)).answered(make_quote(at=0), make_time(600), LATEST)
    assert seen.is_usable(make_time(610), MINUTE)
    assert not seen.is_usable(make_time(616), MINUTE)
    assert seen.is_live


def test_a_newer_quote_of_rest_stands_in_for_the_stream() -> None:
    seen = streamed(make_quote(at=0)).cut_off()
    seen = seen.answered(make_quote("105", "106", at=5), make_time(6), LATEST)
    assert seen.newest == make_quote("105", "106", at=5)
    assert not seen.is_live
    assert seen.is_usable(make_time(7), MINUTE)
    assert not seen.is_usable(make_time(30), MINUTE)
    assert seen.streamed(make_quote(at=6), LATEST).is_live


def test_an_older_answer_of_rest_decides_nothing() -> None:
    seen = streamed(make_quote(at=10)).answered(make_quote("105", "106", at=9), make_time(11), LATEST)
    assert seen.newest == make_quote(at=10)
    assert seen.is_live
    assert not seen.cut_off().is_usable(make_time(12), MINUTE)
