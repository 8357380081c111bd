"""The numbers: how many came, how many count, and how fast, in the room there is.

One line where the screen is low or narrow, two at 80 columns, four and more with both plots from 110 columns on.
Numbers stand in columns of fixed width, right-aligned, so that they never jump. Pure: a snapshot in, Lines out.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from core.counters import Counters
from core.snapshot import Series, Snapshot
from tui.ink import Line, Span, cells, fit, line_width, spread
from tui.plot import PERIODS, bars, bucket_size, counted, nice_top, shares, speeds, spiked
from tui.words import count, minute, percent, rate

COUNTERS: tuple[tuple[str, str, Callable[[Counters], int]], ...] = (
    ("TOTAL", "TOTAL", lambda counters: counters.consumed),
    ("MATCHED", "MATCHED", lambda counters: counters.matched),
    ("UNIQUE", "UNIQUE", lambda counters: counters.unique),
    ("DUPLICATE", "DUP", lambda counters: counters.duplicate),
    ("PENDING", "PENDING", lambda counters: counters.pending),
)

# The counters by what one misses most where there is no room for all: how many came, how many are safe.
LAST_TO_GO = (0, 2, 4, 1, 3)


def draw_numbers(
    snapshot: Snapshot, width: int, height: int, *, life: bool = False, period: int = 0
) -> list[Line]:
    """All numbers in `height` lines of `width` cells.

    `life`: those of the whole life stand first, or alone where there is no room for both. `period`: that of the
    plots, a place in PERIODS.
    """
    if height <= 1 or width < 76:
        return [_one_line(snapshot, width, life)]
    if height < 4 or width < 110:
        return [_one_line(snapshot, width, life), _rates_line(snapshot, width, period)]
    return _full(snapshot, width, height, life, period)


def _known(snapshot: Snapshot, value: int) -> int | None:
    """The value, unless it is a zero and nothing was counted yet: that would claim to know."""
    return value if value or snapshot.run.delivered or snapshot.life.delivered else None


def _number_ink(name: str, value: int) -> str:
    return "warn" if name == "PENDING" and value else "strong"


def _one_line(snapshot: Snapshot, width: int, life: bool) -> Line:
    """The counters on one line; what does not fit is left out whole, never cut."""
    slack = width >= 76
    cells: list[Line] = []
    for index, (_, label, get) in enumerate(COUNTERS):
        value = get(snapshot.life if life else snapshot.run)
        digits = (9 if slack else 7) if index < 3 else (5 if slack else 1)
        number = count(_known(snapshot, value)).rjust(digits)
        cells.append(((label, "dim"), (f" {number}  ", _number_ink(label, value))))
    first: list[Span] = [(" ", "dim"), *([("LIFE", "accent@counters"), ("  ", "dim")] if life else [])]
    kept: set[int] = set()
    room = width - line_width(first)
    for index in LAST_TO_GO:
        size = line_width(cells[index])
        if size - 2 <= room:
            kept.add(index)
            room -= size
    return fit([*first, *(span for index in sorted(kept) for span in cells[index])], width)


def _rates_line(snapshot: Snapshot, width: int, period: int) -> Line:
    """Match rate and posts per second with a plot of one line each."""
    rates = snapshot.rates
    half = (width - 3) // 2
    plot = half - 19
    name = PERIODS[period].name if period else ""
    room = len(name) + 1 if name else 0
    left = [
        (" MATCH RATE ", "dim"),
        (percent(rates.match_rate).rjust(7), "strong"),
        (" ", "dim"),
        *_match_plot(snapshot, period, plot, 1)[0],
    ]
    right = [
        ("POSTS/S ", "dim"),
        (rate(rates.posts_per_s).rjust(7), "strong"),
        (" ", "dim"),
        *_speed_plot(snapshot, period, plot + 3 - room, 1)[0],
        (f" {name}" if name else "", "faint-text@period"),
    ]
    return fit([*fit(left, half + 2), *right], width)


class _Plot(msgspec.Struct, frozen=True):
    """Bars, and the top of their scale."""

    lines: list[Line]
    top: float

    def __getitem__(self, row: int) -> Line:
        return self.lines[row]


def _speed_plot(snapshot: Snapshot, period: int, width: int, height: int) -> _Plot:
    """Posts per second over a period; a sign at the foot of a bar in which a spike began."""
    series, size = _sized(snapshot, period, width)
    values = speeds(series, size, snapshot.at)
    top = max((value for value in values[-width:] if value), default=1.0)
    return _Plot(bars(values, width, height, top, "plot", spiked(snapshot.rates.spikes, series, size)), top)


def _match_plot(snapshot: Snapshot, period: int, width: int, height: int) -> _Plot:
    """The share of matched posts over a period; blank where no post came."""
    series, size = _sized(snapshot, period, width)
    values = shares(series, size)
    top = min(nice_top(max((value for value in values[-width:] if value), default=1.0)), 1.0)
    return _Plot(bars(values, width, height, top), top)


def _sized(snapshot: Snapshot, period: int, width: int) -> tuple[Series, int]:
    series = counted(snapshot, period)
    return series, bucket_size(round(PERIODS[period].seconds / series.step), width)


def _full(snapshot: Snapshot, width: int, height: int, life: bool, period: int) -> list[Line]:
    """Counters of run and life in columns at the left, both plots at the right."""
    column = 12 if width < 160 else 14
    table = _table(snapshot, column, life)
    left_width = 7 + column * len(COUNTERS)
    plot_width = (width - left_width - 3 - 4 - 1) // 2
    plots_height = height - 2
    rates = snapshot.rates
    matched = _match_plot(snapshot, period, plot_width, plots_height)
    name = PERIODS[period].name
    top = f"top {matched.top * 100:.0f} %"
    scale = f"{name}, up to {matched.top * 100:.0f} %" if plot_width >= 34 else name if period else top
    other, share = ("run", snapshot.run.match_rate) if life else ("life", snapshot.life.match_rate)
    peak = f"peak {count(rates.peak_per_s)}/s" if rates.peak_at else ""
    when = f" at {minute(rates.peak_at)}" if rates.peak_at else ""
    any_counted = bool(counted(snapshot, period).consumed)
    match = [
        spread([("MATCH RATE", "dim")], [(percent(rates.match_rate), "strong")], plot_width),
        *matched.lines,
        _foot(
            [f"{other} {percent(share)}" if share is not None else ""], scale if any_counted else "", plot_width
        ),
    ]
    speed = [
        spread([("POSTS/S", "dim")], [(rate(rates.posts_per_s), "strong")], plot_width),
        *_speed_plot(snapshot, period, plot_width, plots_height).lines,
        _foot([peak + when, peak], name if plot_width >= 26 and any_counted else "", plot_width),
    ]
    lines: list[Line] = []
    for y in range(height):
        cells = table[y] if y < len(table) else ()
        lines.append(fit([*fit(cells, left_width), ("   ", "dim"), *match[y], ("    ", "dim"), *speed[y]], width))
    return lines


def _foot(words: list[str], scale: str, width: int) -> Line:
    """The longest of the words that fits under a plot, beside it the scale if there is room: none is cut."""
    said = next((one for one in words if cells(one) <= width), "")
    beside = cells(said) + 2 + cells(scale) <= width
    return spread([(said, "dim")], [(scale if beside else "", "faint-text@period")], width)


def _table(snapshot: Snapshot, column: int, life: bool) -> list[Line]:
    """Labels, this run, the whole life, and what was not counted above; `life` first if that is asked for."""
    head: list[Span] = [(" " * 7, "dim"), *((name.rjust(column), "dim") for name, _, _ in COUNTERS)]
    rows: list[Line] = []
    named = [("run", snapshot.run), ("life", snapshot.life)]
    for name, counters in reversed(named) if life else named:
        row: list[Span] = [(f" {name:<6}", "dim@counters")]
        for label, _, get in COUNTERS:
            value = get(counters)
            ink = "dim" if rows else _number_ink(label, value)
            row.append((count(_known(snapshot, value)).rjust(column), ink))
        rows.append(tuple(row))
    counters = snapshot.life if life else snapshot.run
    rest: list[Span] = [("filtered out ", "dim"), (count(_known(snapshot, counters.filtered_out)), "dim")]
    if counters.quarantined:
        rest += [("   quarantined ", "warn"), (count(counters.quarantined), "warn")]
    return [tuple(head), *rows, spread([], rest, 7 + column * len(COUNTERS))]
