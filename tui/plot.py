"""Plots out of block characters: pure, in whole cells, eight steps to a cell.

A bar stands for a span of time that begins at a multiple of its own length, so a bar never changes once its span
is over: the plot slides, it does not shimmer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from core.snapshot import Series
from tui.ink import Line, Span

BLOCKS = " ▁▂▃▄▅▆▇█"


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


def begun(series: Series, started_at: float, *, whole: bool = True) -> Series:
    """The series without the steps before the run: they are not known, so they are not drawn as zero.

    `whole` leaves out the steps that are in the run in part only, the first one and the one that is not over.
    """
    before = (started_at - series.start) / series.step
    skip = min(max(ceil(before) if whole else floor(before), 0), len(series.consumed))
    end = len(series.consumed) - whole
    return Series(
        series.step, series.start + skip * series.step, series.consumed[skip:end], series.matched[skip:end]
    )


def nice_top(value: float) -> float:
    """The smallest round number (1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten) that is not below `value`."""
    if value <= 0:
        return 1.0
    power = 10.0 ** int(log10(value) if value >= 1 else log10(value) - 1)
    return next(
        factor * power for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 20) if factor * power >= value * 0.999999
    )


def bars(values: Sequence[float | None], width: int, height: int, top: float, ink: str = "accent") -> list[Line]:
    """Bars of the newest `width` values, newest at the right, as `height` lines from the top down.

    None (nothing known) is blank; zero is a faint base line; anything above zero is at least one step high.
    """
    shown = list(values)[-width:] if width > 0 else []
    levels = [_level(value, height, top) for value in shown]
    lines: list[Line] = []
    for row in range(height - 1, -1, -1):
        spans: list[Span] = [(" " * (width - len(shown)), "faint")]
        for value, level in zip(shown, levels, strict=True):
            base = row == 0 and value is not None and level == 0
            char = "▁" if base else BLOCKS[min(max(level - 8 * row, 0), 8)]
            kind = "faint" if base else ink
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
