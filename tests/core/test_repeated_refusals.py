"""Rule 8, the log's side: a refusal that repeats is said once, and again when it changes."""

from dataclasses import replace

from dcabot.core.lifecycle import on_refused, on_report
from dcabot.core.model import Cycle, Decision, OrderStatus
from dcabot.core.money import ZERO
from dcabot.core.snapshot import Refused
from dcabot.core.strategy import Market, on_quote
from tests.builders import make_asset, make_cycle, make_instrument, make_quote, make_report, make_time

POOR = "HTTP 403: insufficient balance for USD (requested: {}, available: 3.2)"


def tried(cycle: Cycle, seconds: int) -> Decision:
    """One more base order."""
    market = Market(make_instrument(), make_quote(at=seconds), ZERO, make_time(seconds))
    decision = on_quote(make_asset(), cycle, market)
    assert decision is not None
    return decision


def refused(decision: Decision, why: str, seconds: int) -> Decision:
    answer = on_refused(decision.cycle, decision.submit[0].client_order_id, Refused(why), make_time(seconds))
    assert answer is not None
    return answer


def test_the_first_refusal_is_said_and_its_repetitions_are_not() -> None:
    first = tried(make_cycle(), 0)
    said = refused(first, POOR.format("20.1"), 0)
    again = tried(said.cycle, 10)
    silent = refused(again, POOR.format("20.2"), 10)
    assert [decision.quiet for decision in (first, said, again, silent)] == [False, False, True, True]


def test_another_reason_is_said() -> None:
    said = refused(tried(make_cycle(), 0), POOR.format("20.1"), 0)
    other = refused(tried(said.cycle, 10), "no connection: connection refused", 10)
    assert not other.quiet


def test_the_try_that_succeeds_is_said() -> None:
    said = refused(tried(make_cycle(), 0), POOR.format("20.1"), 0)
    again = tried(said.cycle, 10)
    accepted = on_report(again.cycle, make_report(again.submit[0], OrderStatus.ACCEPTED, at=10), make_time(10))
    assert accepted is not None
    assert not accepted.quiet


def test_an_order_that_is_accepted_and_rejected_again_and_again_is_said_once() -> None:
    cycle, quiet = make_cycle(), []
    for seconds in (0, 10):
        decision = tried(cycle, seconds)
        order = replace(decision.submit[0], order_id=None)
        for status in (OrderStatus.ACCEPTED, OrderStatus.REJECTED):
            answer = on_report(decision.cycle, make_report(order, status, at=seconds), make_time(seconds))
            assert answer is not None
            decision = answer
            quiet.append(decision.quiet)
        cycle = decision.cycle
    assert quiet == [False, False, True, True]
