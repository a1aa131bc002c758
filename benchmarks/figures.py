"""Figures, the ratios between them, and the table they end in."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from rich.table import Table


class Limit(Enum):
    """Which side of the limit is good."""

    MOST = "at most"
    LEAST = "at least"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was measured on the floor and on dcabot, run by run.

    Without a floor the limit is of dcabot's figure itself, not of the ratio.
    """

    what: str
    unit: str
    floor: tuple[float, ...]
    dcabot: tuple[float, ...]
    bound: float
    limit: Limit = Limit.MOST

    @property
    def judged(self) -> float:
        """The median of what the limit is about. Ratios are taken within each run, then their median."""
        pairs = zip(self.dcabot, self.floor, strict=True) if self.floor else [(one, 1.0) for one in self.dcabot]
        return statistics.median(mine / theirs for mine, theirs in pairs)

    @property
    def is_met(self) -> bool:
        return self.judged <= self.bound if self.limit is Limit.MOST else self.judged >= self.bound


def joined(runs: Sequence[Sequence[Figure]]) -> list[Figure]:
    """The figures of several runs as one each."""
    return [
        Figure(
            same[0].what,
            same[0].unit,
            sum((one.floor for one in same), ()),
            sum((one.dcabot for one in same), ()),
            same[0].bound,
            same[0].limit,
        )
        for same in zip(*runs, strict=True)
    ]


def percentile(samples: Sequence[float], share: float) -> float:
    """The nearest rank: the smallest sample that at least this share of them does not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def table(figures: Sequence[Figure], title: str) -> Table:
    shown = Table("what", "floor", "dcabot", "ratio", "limit", "", title=title, title_justify="left")
    for column in shown.columns[1:5]:
        column.justify = "right"
    for one in figures:
        shown.add_row(
            one.what,
            f"{statistics.median(one.floor):,.2f} {one.unit}" if one.floor else "-",
            f"{statistics.median(one.dcabot):,.2f} {one.unit}",
            f"{one.judged:.2f}" if one.floor else "-",
            f"{one.limit.value} {one.bound:g}{'' if one.floor else ' ' + one.unit}",
            "[green]met" if one.is_met else "[red]missed",
        )
    return shown
