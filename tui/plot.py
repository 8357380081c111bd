"""Plots out of block characters: pure, in whole cells, eight steps to a cell.

A bar stands for a span of time that begins at a multiple of its own length, so a bar never changes once its span
is over: the plot slides, it does not shimmer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil, log10

import msgspec

from core.snapshot import Series, Snapshot
from tui.ink import Line, Span

BLOCKS = " ▁▂▃▄▅▆▇█"
SPIKE = "▲"


def bucket_size(steps: int, width: int) -> int:
    """Steps of a series that one bar must hold for `steps` of them to fit into `width` bars."""
    return max(ceil(steps / max(width, 1)), 1)


def buckets(values: Sequence[int], start: float, step: float, size: int) -> list[tuple[int, int]]:
    """The series in buckets of `size` steps aligned to absolute time: (sum, steps) each, oldest first."""
    out: list[tuple[int, int]] = []
    first = round(start / step)
    previous = None
    for index, value in enumerate(values):
        place = (first + index) // size
        if place == previous:
            total, steps = out[-1]
            out[-1] = (total + value, steps + 1)
        else:
            out.append((value, 1))
            previous = place
    return out


class Period(msgspec.Struct, frozen=True):
    """A length of time that plots can show."""

    name: str
    seconds: int


PERIODS = (Period("5 min", 300), Period("60 min", 3600), Period("24 h", 86_400))


def counted(snapshot: Snapshot, period: int) -> Series:
    """The counts of a period, without the steps before anything was counted: what is not known is not zero.

    The second that is not over is left out too: it would be a dip at the edge.
    """
    rates = snapshot.rates
    series = (rates.seconds, rates.minutes, rates.day)[period]
    end = max(len(series.consumed) - (period == 0), 0)
    first = next((index for index, value in enumerate(series.consumed[:end]) if value), end)
    begun = max(int((snapshot.started_at - series.start) // series.step), 0)
    skip = min(first, begun)
    return Series(
        series.step, series.start + skip * series.step, series.consumed[skip:end], series.matched[skip:end]
    )


def speeds(series: Series, size: int, now: float) -> list[float | None]:
    """Posts per second in each bucket of `size` steps; of a step that is not over, what of it has passed."""
    whole = buckets(series.consumed, series.start, series.step, size)
    end = series.start + len(series.consumed) * series.step
    to_come = min(max(end - now, 0.0), series.step * 0.9)
    return [
        total / (steps * series.step - (to_come if place == len(whole) else 0.0))
        for place, (total, steps) in enumerate(whole, 1)
    ]


def shares(series: Series, size: int) -> list[float | None]:
    """The share of matched posts in each bucket of `size` steps; None where no post came."""
    came = buckets(series.consumed, series.start, series.step, size)
    kept = buckets(series.matched, series.start, series.step, size)
    return [matched / total if total else None for (total, _), (matched, _) in zip(came, kept, strict=True)]


def spiked(spikes: Sequence[float], series: Series, size: int) -> frozenset[int]:
    """The places of the buckets in which a spike began."""
    first = round(series.start / series.step) // size
    last = round(series.start / series.step + len(series.consumed) - 1) // size
    places = (int(at / series.step) // size for at in spikes if at >= series.start)
    return frozenset(place - first for place in places if place <= last)


def nice_top(value: float) -> float:
    """The smallest round number (1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten) that is not below `value`."""
    if value <= 0:
        return 1.0
    power = 10.0 ** int(log10(value) if value >= 1 else log10(value) - 1)
    return next(
        factor * power for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 20) if factor * power >= value * 0.999999
    )


def bars(
    values: Sequence[float | None],
    width: int,
    height: int,
    top: float,
    ink: str = "accent",
    marked: Collection[int] = (),
) -> list[Line]:
    """Bars of the newest `width` values, newest at the right, as `height` lines from the top down.

    None (nothing known) is blank; zero is a faint base line; anything above zero is at least one step high. The
    values at the places `marked` have a sign at their foot: a spike began there.
    """
    shown = list(values)[-width:] if width > 0 else []
    feet = {place - len(values) + len(shown) for place in marked}
    levels = [_level(value, height, top) for value in shown]
    lines: list[Line] = []
    for row in range(height - 1, -1, -1):
        spans: list[Span] = [(" " * (width - len(shown)), "faint")]
        for place, (value, level) in enumerate(zip(shown, levels, strict=True)):
            base = row == 0 and value is not None and level == 0
            char = "▁" if base else BLOCKS[min(max(level - 8 * row, 0), 8)]
            kind = "faint" if base else ink
            if row == 0 and place in feet:
                char, kind = SPIKE, "warn"
            if spans[-1][1] == kind:
                spans[-1] = (spans[-1][0] + char, kind)
            else:
                spans.append((char, kind))
        lines.append(tuple(part for part in spans if part[0]))
    return lines


def _level(value: float | None, height: int, top: float) -> int:
    """The height of a bar in eighths of a cell."""
    if not value or value < 0:
        return 0
    return min(max(round(value / top * height * 8), 1), height * 8)
