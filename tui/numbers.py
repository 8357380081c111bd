"""The numbers: how many came, how many count, and how fast, in the room there is.

One line where the screen is low or narrow, two at 80 columns, four and more with both plots from 110 columns on.
Numbers stand in columns of fixed width, right-aligned, so that they never jump. Pure: a snapshot in, Lines out.
"""

from __future__ import annotations

from collections.abc import Callable

from core.counters import Counters
from core.snapshot import Series, Snapshot
from tui.ink import Line, Span, fit, line_width, spread
from tui.plot import bars, begun, bucket_size, buckets, nice_top
from tui.words import count, minute, percent, rate

SECONDS_SHOWN = 300  # both plots show the last five minutes

COUNTERS: tuple[tuple[str, str, Callable[[Counters], int]], ...] = (
    ("TOTAL", "TOTAL", lambda counters: counters.consumed),
    ("MATCHED", "MATCHED", lambda counters: counters.matched),
    ("UNIQUE", "UNIQUE", lambda counters: counters.unique),
    ("DUPLICATE", "DUP", lambda counters: counters.duplicate),
    ("PENDING", "PENDING", lambda counters: counters.pending),
)

# The counters by what one misses most where there is no room for all: how many came, how many are safe.
LAST_TO_GO = (0, 2, 4, 1, 3)


def draw_numbers(snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """All numbers in `height` lines of `width` cells."""
    if height <= 1 or width < 76:
        return [_one_line(snapshot, width)]
    if height < 4 or width < 110:
        return [_one_line(snapshot, width), _rates_line(snapshot, width)]
    return _full(snapshot, width, height)


def _known(snapshot: Snapshot, value: int) -> int | None:
    """The value, unless it is a zero and nothing was counted yet: that would claim to know."""
    return value if value or snapshot.run.delivered or snapshot.life.delivered else None


def _number_ink(name: str, value: int) -> str:
    return "warn" if name == "PENDING" and value else "strong"


def _one_line(snapshot: Snapshot, width: int) -> Line:
    """The run's counters on one line; what does not fit is left out whole, never cut."""
    slack = width >= 76
    cells: list[Line] = []
    for index, (_, label, get) in enumerate(COUNTERS):
        value = get(snapshot.run)
        digits = (9 if slack else 7) if index < 3 else (5 if slack else 1)
        number = count(_known(snapshot, value)).rjust(digits)
        cells.append(((label, "dim"), (f" {number}  ", _number_ink(label, value))))
    kept: set[int] = set()
    room = width - 1
    for index in LAST_TO_GO:
        size = line_width(cells[index])
        if size - 2 <= room:
            kept.add(index)
            room -= size
    return fit([(" ", "dim"), *(span for index in sorted(kept) for span in cells[index])], width)


def _rates_line(snapshot: Snapshot, width: int) -> Line:
    """Match rate and posts per second with a plot of one line each."""
    rates = snapshot.rates
    seconds = begun(rates.seconds, snapshot.started_at)
    half = (width - 3) // 2
    plot = half - 19
    left = [
        (" MATCH RATE ", "dim"),
        (percent(rates.match_rate).rjust(7), "strong"),
        (" ", "dim"),
        *match_bars(seconds, plot, 1)[0],
    ]
    right = [
        ("POSTS/S ", "dim"),
        (rate(rates.posts_per_s).rjust(7), "strong"),
        (" ", "dim"),
        *speed_bars(seconds, plot + 3, 1)[0],
    ]
    return fit([*fit(left, half + 2), *right], width)


def speed_bars(series: Series, width: int, height: int) -> list[Line]:
    """Posts per second over the last five minutes."""
    values, top = _speeds(series, width)
    return bars(values, width, height, top, "plot")


def _speeds(series: Series, width: int) -> tuple[list[float | None], float]:
    size = bucket_size(SECONDS_SHOWN, width)
    whole = buckets(series.consumed, series.start, series.step, size)
    values: list[float | None] = [total / (steps * series.step) for total, steps in whole]
    return values, max((value for value in values[-width:] if value), default=1.0)


def match_bars(series: Series, width: int, height: int) -> list[Line]:
    """The share of matched posts over the last five minutes; blank where no post came."""
    values, top = _shares(series, width)
    return bars(values, width, height, top)


def _shares(series: Series, width: int) -> tuple[list[float | None], float]:
    size = bucket_size(SECONDS_SHOWN, width)
    consumed = buckets(series.consumed, series.start, series.step, size)
    matched = buckets(series.matched, series.start, series.step, size)
    values = [kept / came if came else None for (came, _), (kept, _) in zip(consumed, matched, strict=True)]
    return values, min(nice_top(max((value for value in values[-width:] if value), default=1.0)), 1.0)


def _full(snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """Counters of run and life in columns at the left, both plots at the right."""
    column = 12 if width < 160 else 14
    table = _table(snapshot, column)
    left_width = 7 + column * len(COUNTERS)
    plot_width = (width - left_width - 3 - 4 - 1) // 2
    plots_height = height - 2
    rates = snapshot.rates
    seconds = begun(rates.seconds, snapshot.started_at)
    _, top = _shares(seconds, plot_width)
    scale = f"5 min, up to {top * 100:.0f} %" if plot_width >= 34 else f"top {top * 100:.0f} %"
    life = snapshot.life.match_rate
    peak = f"peak {count(rates.peak_per_s)}/s at {minute(rates.peak_at)}" if rates.peak_at else ""
    match = [
        spread([("MATCH RATE", "dim")], [(percent(rates.match_rate), "strong")], plot_width),
        *match_bars(seconds, plot_width, plots_height),
        spread(
            [(f"life {percent(life)}" if life is not None else "", "dim")],
            [(scale if seconds.consumed else "", "faint-text")],
            plot_width,
        ),
    ]
    speed = [
        spread([("POSTS/S", "dim")], [(rate(rates.posts_per_s), "strong")], plot_width),
        *speed_bars(seconds, plot_width, plots_height),
        spread(
            [(peak, "dim")],
            [("5 min" if plot_width >= 26 and seconds.consumed else "", "faint-text")],
            plot_width,
        ),
    ]
    lines: list[Line] = []
    for y in range(height):
        cells = table[y] if y < len(table) else ()
        lines.append(fit([*fit(cells, left_width), ("   ", "dim"), *match[y], ("    ", "dim"), *speed[y]], width))
    return lines


def _table(snapshot: Snapshot, column: int) -> list[Line]:
    """Labels, this run, the whole life, and what was not counted above."""
    run, life = snapshot.run, snapshot.life
    head: list[Span] = [(" " * 7, "dim")]
    now: list[Span] = [(" run   ", "dim")]
    ever: list[Span] = [(" life  ", "dim")]
    for name, _, get in COUNTERS:
        head.append((name.rjust(column), "dim"))
        now.append((count(_known(snapshot, get(run))).rjust(column), _number_ink(name, get(run))))
        ever.append((count(_known(snapshot, get(life))).rjust(column), "dim"))
    rest: list[Span] = [("filtered out ", "dim"), (count(_known(snapshot, run.filtered_out)), "dim")]
    if run.quarantined:
        rest += [("   quarantined ", "warn"), (count(run.quarantined), "warn")]
    width = 7 + column * len(COUNTERS)
    return [tuple(head), tuple(now), tuple(ever), spread([], rest, width)]
