"""Whole cycles as they happen. The words are in runner.py."""

from tests.scenarios.runner import scenario


@scenario
def test_a_whole_cycle() -> None:
    """
    rules base=20 safety=20 step=2% take_profit=1% cooldown=300 quantity_step=0.0001
    quote 100.00/100.10  -> buy base 0.1998 @ 100.1
    quote 100.00/100.10  -> nothing
    fill  base           -> held 0.1993005 average 100.1
    # what Alpaca kept is not known before the position was read; until then nothing is sold
    quote 101.11/101.20  -> nothing
    sweep                -> held 0.1998 average 100.1
    quote 101.10/101.20  -> nothing
    quote 101.11/101.20  -> sell 0.1998
    quote 102.00/102.10  -> nothing
    fill  sell           -> complete at 102, cooldown
    quote 102.00/102.10  -> nothing
    wait  299
    sweep                -> nothing
    wait  1
    sweep                -> watching
    quote 103.00/103.10  -> buy base 0.1939 @ 103.1
    """


@scenario
def test_two_safety_orders_bring_the_average_down() -> None:
    """
    rules base=20 safety=40 safeties=2 step=2% take_profit=1% quantity_step=0.0001
    quote  99.90/100.00  -> buy base 0.2 @ 100
    fill  base           -> held 0.1995 average 100
    quote  97.90/98.01   -> nothing
    quote  97.90/98.00   -> buy safety 0.4081 @ 98
    quote  90.00/90.00   -> nothing
    fill  safety @ 97.50 -> held 0.60657975 average 98.3222331854, 1 safety
    # the next one hangs on the last fill, 97.50, not on the limit and not on the average
    quote  95.50/95.56   -> nothing
    quote  95.50/95.55   -> buy safety 0.4186 @ 95.55
    fill  safety         -> held 1.02413325 average 97.1919548067, 2 safety
    quote  50.00/50.00   -> nothing
    sweep                -> held 1.0267 average 97.1919548067
    quote  98.16/98.20   -> nothing
    quote  98.17/98.20   -> sell 1.0267
    fill  sell           -> complete at 98.17, cooldown
    """


@scenario
def test_a_partly_filled_base_order_is_a_held_position() -> None:
    """
    rules base=20 safety=20 step=2% take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    part  base 0.05        -> held 0.049875 average 100
    quote  90.00/90.00     -> nothing
    wait  300
    sweep                  -> cancel base
    canceled base          -> watching
    sweep                  -> held 0.05 average 100
    quote  97.90/98.00     -> buy safety 0.204 @ 98
    expired safety         -> watching
    quote 101.00/101.10    -> sell 0.05
    fill  sell             -> complete at 101, cooldown
    """


@scenario
def test_a_partly_filled_safety_order_counts_as_one() -> None:
    """
    rules base=20 safety=20 safeties=1 step=2% take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    quote  97.90/98.00     -> buy safety 0.204 @ 98
    part  safety 0.001     -> held 0.2004975 average 99.9900497513, 1 safety
    wait  300
    sweep                  -> cancel safety
    canceled safety        -> watching
    sweep                  -> held 0.201 average 99.9900497513
    quote  90.00/90.00     -> nothing
    """


@scenario
def test_an_open_buy_is_cancelled_before_the_sale() -> None:
    """
    rules base=20 safety=20 step=2% take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    quote  97.90/98.00     -> buy safety 0.204 @ 98
    # Alpaca would refuse the sale beside it as a wash trade
    quote 101.00/101.10    -> cancel safety
    quote 101.00/101.10    -> nothing
    wait  30
    quote 101.00/101.10    -> cancel safety
    part  safety 0.1       -> held 0.29925 average 99.3333333334, 1 safety
    canceled safety        -> watching
    quote 101.00/101.10    -> nothing
    sweep                  -> held 0.3 average 99.3333333334
    quote 101.00/101.10    -> sell 0.3
    fill  sell             -> complete at 101, cooldown
    """


@scenario
def test_a_sale_that_ends_early_is_sold_on() -> None:
    """
    rules base=200 take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 2 @ 100
    fill  base             -> held 1.995 average 100
    sweep                  -> held 2 average 100
    quote 101.00/101.10    -> sell 2
    part  sell 0.5         -> held 1.5 average 100
    canceled sell          -> watching
    quote 100.90/101.10    -> nothing
    quote 101.00/101.10    -> sell 1.5
    rejected sell          -> watching
    quote 101.00/101.10    -> nothing
    wait  1
    quote 101.00/101.10    -> sell 1.5
    # it rests at the price collar
    part  sell 1           -> held 0.5 average 100
    quote  90.00/90.10     -> nothing
    wait  60
    quote  90.00/90.10     -> cancel take_profit
    canceled sell          -> watching
    quote 101.00/101.10    -> sell 0.5
    fill  sell             -> complete at 101, cooldown
    """


@scenario
def test_less_than_a_dollar_left_of_a_sale_completes_the_cycle_and_goes_to_the_next() -> None:
    """
    rules base=20 take_profit=1% cooldown=0 quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2 average 100
    quote 101.00/101.10    -> sell 0.2
    part  sell 0.1902      -> held 0.0098 average 100
    canceled sell          -> complete at 101, cooldown
    sweep                  -> watching
    quote 100.00/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2098 average 100
    """


@scenario
def test_a_cooldown_ends_early_when_the_price_falls() -> None:
    """
    rules base=20 take_profit=1% cooldown=300 restart=2% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2 average 100
    quote 101.00/101.10    -> sell 0.2
    fill  sell             -> complete at 101, cooldown
    quote  98.90/98.99     -> nothing
    quote  98.90/98.98     -> buy base 0.202 @ 98.98
    # an order that ends unfilled leaves the cooldown over
    wait  300
    sweep                  -> cancel base
    canceled base          -> watching
    quote 110.00/110.00    -> buy base 0.1818 @ 110
    """


@scenario
def test_a_disabled_asset_sells_and_does_not_buy() -> None:
    """
    rules base=20 safety=20 step=2% take_profit=1% cooldown=60 restart=2% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2 average 100
    disable
    quote  50.00/50.00     -> nothing
    quote 101.00/101.10    -> sell 0.2
    fill  sell             -> complete at 101, cooldown
    quote  50.00/50.00     -> nothing
    wait  60
    sweep                  -> watching
    quote  50.00/50.00     -> nothing
    enable
    quote  50.00/50.00     -> buy base 0.4 @ 50
    """


@scenario
def test_settings_changed_within_a_cycle_apply_from_the_next_decision() -> None:
    """
    rules base=20 safety=20 safeties=1 step=2% take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2 average 100
    rules take_profit=3% step=5%
    quote 101.00/101.10    -> nothing
    quote  98.00/98.00     -> nothing
    rules safety=30 step=2%
    quote  98.00/98.00     -> buy safety 0.3061 @ 98
    fill  safety           -> held 0.50533475 average 98.7903576369, 1 safety
    rules safeties=0
    quote  90.00/90.00     -> nothing
    sweep                  -> held 0.5061 average 98.7903576369
    rules take_profit=0.6%
    quote  99.39/99.50     -> sell 0.5061
    """


@scenario
def test_refused_orders_back_off_and_do_not_hold_up_the_sale() -> None:
    """
    rules base=20 safety=20 step=2% take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    refuse base insufficient balance for USD -> watching
    quote  99.90/100.00    -> nothing
    wait  1
    quote  99.90/100.00    -> buy base 0.2 @ 100
    refuse base insufficient balance for USD -> watching
    wait  1
    quote  99.90/100.00    -> nothing
    wait  1
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2 average 100
    quote  98.00/98.00     -> buy safety 0.204 @ 98
    refuse safety insufficient balance for USD -> watching
    quote 101.00/101.10    -> sell 0.2
    """


@scenario
def test_a_request_that_never_arrived_is_void_and_cancelled_when_it_surfaces_after_all() -> None:
    """
    rules base=20 take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    lose  base
    quote  99.90/100.00    -> nothing
    wait  119
    sweep                  -> nothing
    wait  1
    sweep                  -> watching
    surface base           -> cancel base
    quote  99.90/100.00    -> nothing
    canceled base          -> watching
    quote  99.90/100.00    -> buy base 0.2 @ 100
    """


@scenario
def test_a_void_order_that_was_filled_after_all_is_found_and_sold() -> None:
    """
    rules base=20 safety=20 take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    lose  base
    wait  120
    sweep                  -> watching
    surface base           -> cancel base
    unheard fill base
    sweep                  -> held 0.2 average 100
    quote 101.00/101.10    -> sell 0.2
    """


@scenario
def test_coins_that_are_gone_without_a_cause_suspend_until_they_are_back() -> None:
    """
    rules base=20 safety=20 step=2% take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2 average 100
    position 0
    # one odd look is no fact
    sweep                  -> nothing
    wait  4
    sweep                  -> nothing
    wait  1
    sweep                  -> suspended
    quote  102.00/102.10   -> nothing
    quote  97.00/97.10     -> nothing
    wait  100000
    sweep                  -> nothing
    quote  97.00/97.10     -> nothing
    position 0.2
    sweep                  -> trades on
    quote  102.00/102.10   -> sell 0.2
    """


@scenario
def test_coins_sold_outside_end_the_cycle_and_disable() -> None:
    """
    rules base=20 take_profit=1% cooldown=300 quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2 average 100
    position 0
    sweep                  -> nothing
    wait  5
    left  0.2
    sweep                  -> sold outside, cooldown
    quote  50.00/50.10     -> nothing
    wait  1000
    sweep                  -> watching
    quote  50.00/50.10     -> nothing
    """


@scenario
def test_a_part_sold_outside_leaves_average_and_rungs() -> None:
    """
    rules base=20 safety=20 step=2% take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2 average 100
    position 0.05
    sweep                  -> nothing
    wait  5
    left  0.15
    sweep                  -> held 0.05 average 100
    quote  101.00/101.10   -> sell 0.05
    """


@scenario
def test_a_position_that_vanishes_for_one_look_changes_nothing() -> None:
    """
    rules base=20 take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    fill  base             -> held 0.1995 average 100
    sweep                  -> held 0.2 average 100
    position 0
    sweep                  -> nothing
    position 0.2
    wait  5
    sweep                  -> nothing
    position 0
    sweep                  -> nothing
    wait  5
    position 0.1
    sweep                  -> suspended
    """


@scenario
def test_the_fee_is_read_from_the_position_and_exactly_that_is_sold() -> None:
    """
    rules base=20 safety=20 step=2% take_profit=1% fee=0.25%
    quote  99.90/100.10    -> buy base 0.199800199 @ 100.1
    fill  base             -> held 0.199300698 average 100.1
    sweep                  -> nothing
    rules fee=0.15%
    quote  98.00/98.00     -> buy safety 0.204081632 @ 98
    fill  safety           -> held 0.402872125 average 99.0388692576, 1 safety
    sweep                  -> held 0.403076207 average 99.0388692576
    quote 101.00/101.10    -> sell 0.403076207
    fill  sell             -> complete at 101, cooldown
    """


@scenario
def test_coins_that_no_cycle_owns_hold_the_base_order_until_they_are_gone() -> None:
    """
    rules base=20 take_profit=1% quantity_step=0.0001
    position 0.5
    quote 99.90/100.00 -> says foreign coins: Alpaca shows 0.5 BTC/USD that no cycle bought; no base order beside them
    position 0.01
    quote  99.90/100.00    -> buy base 0.2 @ 100
    """


@scenario
def test_a_restart_between_the_request_and_its_answer_buys_once() -> None:
    """
    rules base=20 take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    unanswered base
    quote  99.90/100.00    -> nothing
    restart                -> nothing
    quote  99.90/100.00    -> nothing
    unheard fill base
    restart                -> held 0.2 average 100
    restart                -> nothing
    quote 101.00/101.10    -> sell 0.2
    unanswered sell
    unheard fill sell
    restart                -> complete at 101, cooldown
    restart                -> nothing
    """


@scenario
def test_an_accepted_order_that_alpaca_forgets_is_void_at_the_second_look() -> None:
    """
    rules base=20 take_profit=1% quantity_step=0.0001
    quote  99.90/100.00    -> buy base 0.2 @ 100
    wait  200
    quote  99.90/100.00    -> nothing
    deny  base
    sweep                  -> nothing
    quote  99.90/100.00    -> nothing
    wait  5
    sweep                  -> watching
    quote  99.90/100.00    -> buy base 0.2 @ 100
    """
