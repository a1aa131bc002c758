"""What README.md says that the code can check."""

import configparser
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dcabot.core.fees import TIERS, cash_fee
from dcabot.core.ladder import ladder
from dcabot.core.states import CYCLE_STEPS, ORDER_STEPS, diagram
from tests.builders import make_asset, make_instrument

README = Path(__file__).parents[1] / "README.md"


def test_the_example_is_what_the_code_makes_of_its_settings() -> None:
    text = README.read_text(encoding="utf-8")
    asset = make_asset(base_notional=20, safety_notional=20, safety_drop_ratio="0.015", take_profit_ratio="0.01")
    rungs = ladder(asset, make_instrument(quantity_step="0.000000001", price_step="0.01"), Decimal(60_000))
    for number, (rung, following) in enumerate(pairwise(rungs[:4])):
        name = f"safety order {number}" if number else "base order"
        spent, held = f"{rung.spent:,.2f} USD", f"{rung.held} BTC"
        prices = (f"{price:,.2f}" for price in (rung.average_price, following.price, rung.take_profit_price))
        assert f"| {' | '.join((name, f'{rung.price:,.2f}', spent, held, *prices))} |" in text
    last = rungs[2]
    sold = last.held * last.take_profit_price
    fee = cash_fee(sold, TIERS[0].taker)
    assert f"| sold for {sold:.2f} USD, less a fee of {fee} | | | | profit {sold - last.spent - fee:.2f} USD |" in text


def test_every_link_leads_somewhere() -> None:
    for page in (README, *README.parent.glob("[CS]*.md"), *(README.parent / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_it_says_why_of_each_dependency_and_of_no_other() -> None:
    metadata = configparser.ConfigParser()
    metadata.read(README.parent / "setup.cfg", encoding="utf-8")
    lines = metadata["options"]["install_requires"].splitlines()
    required = {re.split(r"[ <>=]", line)[0] for line in lines if line and not line.startswith("#")}
    table = README.read_text(encoding="utf-8").split("### Why each dependency\n")[1].split("\nMigrations")[0]
    names = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")][2:]
    assert {name for row in names for name in re.findall(r"[A-Za-z][\w-]+", row)} - {"below"} == required


@pytest.mark.parametrize(("name", "table"), [("order-states", ORDER_STEPS), ("cycle-states", CYCLE_STEPS)])
def test_the_state_diagrams_are_the_tables(name: str, table: Mapping[Any, tuple[Enum, ...]]) -> None:
    text = README.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n```mermaid\n(.*?)\n```\n<!-- /{name} -->", text, re.DOTALL)
    drawn = diagram(table)
    if found is None or found[1] != drawn:
        block = f"<!-- {name} -->\n```mermaid\n{drawn}\n```\n<!-- /{name} -->"
        pytest.fail(f"README.md should hold:\n{block}", pytrace=False)
