"""Lines, areas and marks as SVG. Numbers become pixels here, and nothing else: floats are good enough for that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float64]

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1200, 76, 18, 12, 26
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
STEPS_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360)
STEPS_DAYS = (1, 2, 5, 7, 14, 30, 61, 91, 182, 365)
TICKS_X, TICKS_Y = 10, 5


@dataclass(frozen=True, slots=True)
class Frame:
    """The place of a chart: times and values that it spans, and its height in pixels."""

    begin: datetime
    end: datetime
    low: float
    high: float
    height: int

    def x(self, seconds: Pixels) -> Pixels:
        """Pixels of seconds since the beginning."""
        span = (self.end - self.begin) / timedelta(seconds=1)
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / span

    def y(self, values: Pixels) -> Pixels:
        plot = self.height - TOP - BOTTOM
        return TOP + plot * (1 - (values - self.low) / (self.high - self.low))


def frame(begin: datetime, end: datetime, values: Sequence[Pixels], height: int) -> Frame:
    """A frame that holds all of these values with a little air."""
    low = min((one.min() for one in values if len(one)), default=0.0)
    high = max((one.max() for one in values if len(one)), default=0.0)
    air = (high - low) * 0.06 or abs(high) * 0.01 or 1.0
    return Frame(begin, end, low - air, high + air, height)


def line(place: Frame, seconds: Pixels, values: Pixels, look: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(place.x(seconds), place.y(values), strict=True))
    return f'<polyline class="{look}" points="{points}"/>'


def band(place: Frame, seconds: Pixels, low: Pixels, high: Pixels, look: str) -> str:
    """The room between two lines."""
    x, up, down = place.x(seconds), place.y(high), place.y(low)
    there = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, up, strict=True))
    back = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[::-1], down[::-1], strict=True))
    return f'<polygon class="{look}" points="{there} {back}"/>'


def stairs(place: Frame, seconds: Pixels, values: Pixels, look: str, ground: float | None = None) -> str:
    """A value that holds until the next one; with a `ground`, the area above it."""
    if not len(values):
        return ""
    x, y = place.x(seconds), place.y(values)
    steps = "".join(f"H{a:.1f}V{b:.1f}" for a, b in zip(x[1:], y[1:], strict=True))
    path = f"M{x[0]:.1f} {y[0]:.1f}{steps}"
    if ground is not None:
        base = place.y(np.array([ground]))[0]
        path = f"M{x[0]:.1f} {base:.1f}V{y[0]:.1f}{steps}V{base:.1f}Z"
    return f'<path class="{look}" d="{path}"/>'


def mark(point: tuple[float, float], size: float, look: str, is_up: bool, words: str) -> str:
    """A triangle under a buy or above a sell, and what it was for who points at it."""
    x, y = point
    tip, base = (y + 3, y + 3 + 2 * size) if is_up else (y - 3, y - 3 - 2 * size)
    shape = f"M{x:.1f} {tip:.1f}L{x - size:.1f} {base:.1f}H{x + size:.1f}Z"
    return f'<path class="{look}" d="{shape}"><title>{words}</title></path>'


def axes(place: Frame, unit: str = "") -> str:
    """Lines at round values and at midnights, with their names."""
    parts = []
    for value, words in _round_values(place.low, place.high):
        y = place.y(np.array([value]))[0]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{words}{unit}</text>')
    foot = place.height - BOTTOM
    for at, words in _round_times(place.begin, place.end):
        x = place.x(np.array([(at - place.begin) / timedelta(seconds=1)]))[0]
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{foot}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{foot + 17}" text-anchor="middle">{words}</text>')
    return "".join(parts)


def svg(place: Frame, name: str, *parts: str) -> str:
    return (
        f'<svg id="{name}" viewBox="0 0 {WIDTH} {place.height}" role="img" aria-label="{name}">'
        f'{"".join(parts)}<line class="cursor" x1="-9" x2="-9" y1="{TOP}" y2="{place.height - BOTTOM}"/></svg>'
    )


def _round_values(low: float, high: float) -> Iterator[tuple[float, str]]:
    """Some values of the form 1, 2 or 5 times a power of ten."""
    rough = (high - low) / TICKS_Y
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    decimals = max(0, -int(np.floor(np.log10(step))))
    value = np.ceil(low / step) * step
    while value <= high:
        yield (
            value,
            f"{value + 0.0:,.{decimals}f}".replace("-0", "0") if abs(value) < step / 2 else f"{value:,.{decimals}f}",
        )
        value += step


def _round_times(begin: datetime, end: datetime) -> Iterator[tuple[datetime, str]]:
    span = end - begin
    if span < 2 * DAY:
        step = next(MINUTE * minutes for minutes in STEPS_MINUTES if span <= MINUTE * minutes * TICKS_X)
    else:
        days = next((days for days in STEPS_DAYS if span / DAY / days <= TICKS_X), STEPS_DAYS[-1])
        step = DAY * days
    day = "%d %b" if span < 300 * DAY else "%d %b %Y"
    at = datetime(begin.year, begin.month, begin.day, tzinfo=timezone.utc)
    while at <= end:
        if at >= begin:
            yield at, f"{at:%H:%M}" if at.hour or at.minute else f"{at:{day}}"
        at += step
