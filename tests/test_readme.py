"""What README.md says that the code can check."""

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from dcabot.core.states import CYCLE_STEPS, ORDER_STEPS, diagram

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize(("name", "table"), [("order-states", ORDER_STEPS), ("cycle-states", CYCLE_STEPS)])
def test_the_state_diagrams_are_the_tables(name: str, table: Mapping[Any, tuple[Enum, ...]]) -> None:
    text = README.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n```mermaid\n(.*?)\n```\n<!-- /{name} -->", text, re.DOTALL)
    drawn = diagram(table)
    if found is None or found[1] != drawn:
        block = f"<!-- {name} -->\n```mermaid\n{drawn}\n```\n<!-- /{name} -->"
        pytest.fail(f"README.md should hold:\n{block}", pytrace=False)
