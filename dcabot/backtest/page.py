"""The result as one HTML page with charts, which needs nothing but itself."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from html import escape
from importlib.resources import files

import numpy as np

from dcabot.backtest import charts
from dcabot.backtest.candles import Candles, Column
from dcabot.backtest.charts import Pixels
from dcabot.backtest.figures import Figures, Fill, Result, settings
from dcabot.backtest.run import Influence
from dcabot.backtest.walk import Walk
from dcabot.core.model import Side
from dcabot.core.money import text
from dcabot.core.report import CycleReport

POINTS = 1100  # on a line: about one for each pixel
MARKS_MAX = 4000  # beyond, the page would be slow and the marks a wall
MANY = 200  # marks; smaller ones then
CYCLES_MAX = 500
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Series:
    """What the lines show, at the end of each of some spans of candles. Seconds count from the beginning."""

    seconds: Pixels
    close: Pixels
    high: Pixels
    low: Pixels
    profit: Pixels
    hold: Pixels


@dataclass(frozen=True, slots=True)
class Told:
    """What has to be known of a result besides its figures."""

    assumptions: Mapping[str, str]
    notes: Sequence[str] = ()  # about the prices
    influences: Sequence[Influence] = ()


def page(walk: Walk, result: Result, told: Told) -> str:
    """The whole page."""
    figures = result.figures
    series = _series(walk.candles, result)
    template = files("dcabot.backtest").joinpath("page.html").read_text(encoding="utf-8")
    parts = {
        "title": f"{figures.symbol} backtest",
        "symbol": escape(figures.symbol),
        "period": f"{figures.begins_at:%d %B %Y} to {figures.ends_at:%d %B %Y}, {figures.candles:,} candles",
        "notes": _notes([*told.notes, *([f"Kept from trading, last: {figures.note}"] if figures.note else [])]),
        "tiles": _tiles(figures),
        "price": _price_chart(result, series),
        "capital": _capital_chart(result, series),
        "profit": _profit_chart(result, series),
        "settings": _pairs(settings(walk.bot.asset)),
        "assumptions": _pairs(told.assumptions),
        "figures": _pairs(_more(figures)),
        "influences": _influences(figures, told.influences),
        "cycles": _cycles(result),
        "data": json.dumps(_data(result, series), separators=(",", ":")).replace("<", "\\u003c"),
    }
    for name, words in parts.items():
        template = template.replace(f"{{{{{name}}}}}", words)
    return template


# --- series ---


def _series(candles: Candles, result: Result) -> Series:
    length = len(candles)
    starts = np.unique(np.linspace(0, length - 1, min(length, POINTS)).astype(np.int64))
    ends = np.append(starts[1:], length) - 1
    unit = np.array([candles.unit], dtype=np.float64)
    close = candles.close[ends] * unit
    at = candles.at[ends] + candles.seconds * 1_000_000
    seconds = (at - candles.at[0]) / 1_000_000
    profit = _profit_at(result, at, close)
    capital = np.array([result.figures.capital], dtype=np.float64)
    return Series(
        seconds,
        close,
        np.maximum.reduceat(candles.high, starts) * unit,
        np.minimum.reduceat(candles.low, starts) * unit,
        profit,
        capital * (close / (candles.open[0] * unit) - 1),
    )


def _profit_at(result: Result, at: Column, close: Pixels) -> Pixels:
    """Flow and what is held at its price."""
    if not result.fills:
        return np.zeros(len(at))
    times = np.array([(fill.at - result.figures.begins_at) // SECOND for fill in result.fills])
    flow, held = (
        np.array([Decimal(0), *(getattr(fill, name) for fill in result.fills)], dtype=np.float64)
        for name in ("flow", "held")
    )
    place = np.searchsorted(times, (at - at[0]) / 1_000_000 + _first_end(result, at), side="right")
    found: Pixels = flow[place] + held[place] * close
    return found


def _first_end(result: Result, at: Column) -> float:
    """Seconds from the beginning to the first point."""
    first = int(at[0])
    begin = (result.figures.begins_at - datetime.fromtimestamp(0, result.figures.begins_at.tzinfo)) // SECOND
    return first / 1_000_000 - begin


def _seconds(result: Result, at: datetime) -> float:
    return (at - result.figures.begins_at) / SECOND


# --- charts ---


def _price_chart(result: Result, series: Series) -> str:
    figures = result.figures
    paid = np.array([fill.price for fill in result.fills], dtype=np.float64)  # half a spread beyond the prices
    place = charts.frame(figures.begins_at, figures.ends_at, [series.low, series.high, paid], 430)
    shown = result.fills if len(result.fills) <= MARKS_MAX else ()
    return charts.svg(
        place,
        "price",
        charts.axes(place),
        charts.band(place, series.seconds, series.low, series.high, "band"),
        charts.line(place, series.seconds, series.close, "close"),
        *_averages(result, place),
        *(_mark(result, place, fill) for fill in shown),
    )


def _averages(result: Result, place: charts.Frame) -> Iterator[str]:
    """The average price of each cycle, from its first buy to its sale."""
    seconds: list[float] = []
    prices: list[Decimal] = []
    for fill in result.fills:
        seconds.append(_seconds(result, fill.at))
        prices.append(fill.average_price)
        if fill.side is Side.SELL:
            yield charts.stairs(place, np.array(seconds), np.array(prices, dtype=np.float64), "average")
            seconds, prices = [], []
    if seconds:
        seconds.append(_seconds(result, result.figures.ends_at))
        prices.append(prices[-1])
        yield charts.stairs(place, np.array(seconds), np.array(prices, dtype=np.float64), "average")


def _mark(result: Result, place: charts.Frame, fill: Fill) -> str:
    x = place.x(np.array([_seconds(result, fill.at)]))[0]
    y = place.y(np.array([fill.price], dtype=np.float64))[0]
    is_buy = fill.side is Side.BUY
    name = "take profit" if not is_buy else f"{fill.purpose.value} order"
    words = f"{fill.at:%d %b %H:%M} {name}: {fill.side.value} {text(fill.quantity)} at {fill.price:,.10g}"
    size = 4.5 if len(result.fills) < MANY else 2.6
    return charts.mark((x, y), size, fill.purpose.value, is_buy, words)


def _capital_chart(result: Result, series: Series) -> str:
    figures = result.figures
    seconds = np.array([0.0, *(_seconds(result, fill.at) for fill in result.fills), series.seconds[-1]])
    last = result.fills[-1].invested if result.fills else Decimal(0)
    values = np.array([Decimal(0), *(fill.invested for fill in result.fills), last], dtype=np.float64)
    capital = np.array([figures.capital], dtype=np.float64)
    place = charts.frame(figures.begins_at, figures.ends_at, [values, capital], 190)
    limit = charts.line(place, np.array([0.0, series.seconds[-1]]), np.repeat(capital, 2), "limit")
    return charts.svg(
        place, "capital", charts.axes(place), charts.stairs(place, seconds, values, "invested", 0.0), limit
    )


def _profit_chart(result: Result, series: Series) -> str:
    figures = result.figures
    sold = [fill for fill in result.fills if fill.side is Side.SELL]
    seconds = np.array([0.0, *(_seconds(result, fill.at) for fill in sold), series.seconds[-1]])
    last = sold[-1].flow if sold else Decimal(0)
    realised = np.array([Decimal(0), *(fill.flow for fill in sold), last], dtype=np.float64)
    place = charts.frame(figures.begins_at, figures.ends_at, [series.profit, series.hold, realised], 260)
    zero = charts.line(place, np.array([0.0, series.seconds[-1]]), np.zeros(2), "zero")
    return charts.svg(
        place,
        "profit",
        charts.axes(place),
        zero,
        charts.line(place, series.seconds, series.hold, "hold"),
        charts.line(place, series.seconds, series.profit, "total"),
        charts.stairs(place, seconds, realised, "realised"),
    )


def _data(result: Result, series: Series) -> dict[str, object]:
    """What the pointer shows: one row for each point."""
    times = [_seconds(result, fill.at) for fill in result.fills]
    invested = [0.0, *np.array([fill.invested for fill in result.fills], dtype=np.float64).round(2).tolist()]
    places = np.searchsorted(np.array(times), series.seconds, side="right")
    return {
        "begin": f"{result.figures.begins_at:%Y-%m-%dT%H:%M:%SZ}",
        "left": charts.LEFT,
        "right": charts.RIGHT,
        "width": charts.WIDTH,
        "seconds": series.seconds.astype(np.int64).tolist(),
        "close": [f"{value:,.8g}" for value in series.close.tolist()],
        "profit": series.profit.round(2).tolist(),
        "hold": series.hold.round(2).tolist(),
        "invested": [invested[place] for place in places.tolist()],
    }


# --- figures ---


def _usd(amount: Decimal) -> str:
    return f"{amount:+,.2f}" if amount else "0.00"


def _tiles(figures: Figures) -> str:
    share = figures.of_capital(figures.profit)
    tiles = [
        ("profit", _usd(figures.profit), f"USD, {share:+.2%} of capital", figures.profit),
        ("buy and hold instead", _usd(figures.buy_and_hold), "USD, the same capital", figures.buy_and_hold),
        ("daily buying instead", _usd(figures.periodic), "USD, the same capital", figures.periodic),
        ("cycles completed", f"{figures.cycles:,}", f"{figures.safety_orders:,} safety orders", Decimal(0)),
        ("deepest drawdown", f"{figures.deepest_fall:,.2f}", "USD below its best", -figures.deepest_fall),
        ("largest capital in use", f"{figures.capital_used:,.2f}", f"USD of {figures.capital:,.2f}", Decimal(0)),
    ]
    return "".join(
        f'<div class="tile"><span>{name}</span><b class="{_sign(sign)}">{value}</b><small>{note}</small></div>'
        for name, value, note, sign in tiles
    )


def _sign(amount: Decimal) -> str:
    return "good" if amount > 0 else "bad" if amount < 0 else "plain"


def _more(figures: Figures) -> dict[str, str]:
    share = figures.out_of_safety / figures.length if figures.length else 0
    return {
        "of completed cycles": f"{_usd(figures.realised)} USD",
        "of what is held": f"{_usd(figures.unrealised)} USD",
        "fees, in the profit": f"{figures.fees:,.2f} USD",
        "longest cycle": _span(figures.longest_cycle),
        "no safety order left": f"{_span(figures.out_of_safety)}, {share:.0%} of the time",
        "held at the end": f"{text(figures.held)}, worth {figures.held_worth:,.2f} USD",
        "fingerprint of all fills": figures.fingerprint,
    }


def _span(duration: timedelta) -> str:
    hours, minutes = duration.seconds // 3600, duration.seconds % 3600 // 60
    return f"{duration.days} d {hours} h" if duration.days else f"{hours} h {minutes} min"


def _pairs(pairs: Mapping[str, str]) -> str:
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs.items())


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="note">{escape(note)}.</p>' for note in notes)


def _influences(figures: Figures, influences: Sequence[Influence]) -> str:
    return "".join(
        f"<tr><td>{escape(one.choice)}</td><td>{_usd(one.figures.profit)}</td>"
        f'<td class="{_sign(by := one.figures.profit - figures.profit)}">{_usd(by)}</td>'
        f"<td>{one.figures.cycles:,}</td></tr>"
        for one in influences
    )


def _cycles(result: Result) -> str:
    shown = [_cycle(one, f"{one.closed_at:%Y-%m-%d %H:%M}", one.profit) for one in result.cycles[:CYCLES_MAX]]
    more = len(result.cycles) - CYCLES_MAX
    if more > 0:
        shown.append(f'<tr><td colspan="8">and {more:,} more: --cycles lists them all</td></tr>')
    if result.open_cycle:
        shown.append(_cycle(result.open_cycle, "still open, as if sold now", result.figures.unrealised))
    return "".join(shown)


def _cycle(one: CycleReport, closed: str, profit: Decimal) -> str:
    return (
        f"<tr><td>{one.cycle_id}</td><td>{one.opened_at:%Y-%m-%d %H:%M}</td><td>{closed}</td>"
        f"<td>{_span(one.duration)}</td><td>{one.orders}</td><td>{one.spent:,.2f}</td><td>{one.sold:,.2f}</td>"
        f'<td class="{_sign(profit)}">{_usd(profit)}</td></tr>'
    )
