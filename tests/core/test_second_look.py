"""A market sale needs two looks: one false bid must not sell everything."""

from datetime import timedelta
from decimal import Decimal

from dcabot.core.second_look import SecondLook, borne_out
from tests.builders import make_quote, make_time

PRICE = Decimal(101)


def began(bid: str = "101", at: float = 0) -> SecondLook:
    return SecondLook(make_quote(bid, "102", at=at), make_time(at))


def test_one_quote_alone_does_not_sell() -> None:
    assert not began().agrees(PRICE)


def test_another_quote_that_reaches_the_price_agrees() -> None:
    look = began().answered(make_quote("101.5", "102", at=0.5), make_time(0.1))
    assert look.agrees(PRICE)


def test_another_quote_below_the_price_contradicts() -> None:
    look = began().answered(make_quote("45", "46", at=0.5), make_time(5))
    assert not look.agrees(PRICE)


def test_an_older_quote_proves_nothing() -> None:
    look = began(at=10).answered(make_quote("105", "106", at=5), make_time(15))
    assert not look.agrees(PRICE)


def test_the_same_quote_agrees_once_it_has_lasted() -> None:
    early = began().answered(make_quote("101", "102", at=0), make_time(1.9))
    late = early.answered(make_quote("101", "102", at=0), make_time(2))
    assert not early.agrees(PRICE)
    assert late.agrees(PRICE)


def test_an_answer_asked_for_before_the_look_is_none() -> None:
    look = began(at=10)
    assert look.answered(make_quote("105", "106", at=11), make_time(9)) == look


def test_the_price_must_be_reached_by_both() -> None:
    look = began("101").answered(make_quote("103", "104", at=1), make_time(1))
    assert look.agrees(PRICE)
    assert not look.agrees(Decimal(102))


def test_no_answer_for_ten_seconds_is_silence() -> None:
    look = began()
    assert not look.is_silent(make_time(9.9))
    assert look.is_silent(make_time(10))
    heard = look.answered(make_quote("45", "46", at=1), make_time(8))
    assert not heard.is_silent(make_time(17.9))
    assert heard.is_silent(make_time(18))


def test_a_quote_of_the_past_bears_itself_out() -> None:
    quote = make_quote("101", "102")
    assert borne_out(quote).agrees(PRICE)
    assert not borne_out(quote).is_silent(quote.at + timedelta(seconds=9))
