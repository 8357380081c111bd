"""The last hour in lists and plots: what the posts speak of, who writes them, how fast they come.

Pure: a snapshot and a size in, Lines out. The plots show five minutes, an hour or a day; what was not counted (the
time before the first run) is blank, and a spike has a mark above its bar.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.snapshot import Rates, Series, Snapshot, Top, Window
from tui.ink import Line, Span, clip, fit, line_width, pad, spread
from tui.plot import bars, bucket_size, buckets, nice_top
from tui.sanitise import clean
from tui.words import UNKNOWN, count, minute, percent

NAMES = {"tags": "TAGS", "authors": "AUTHORS", "links": "LINKS", "languages": "LANGUAGES", "words": "WORDS"}
SIDE_BY_SIDE = 100  # cells from which all kinds are shown beside each other


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time that the plots can show."""

    name: str
    seconds: int


SPANS = (Period("5 min", 300), Period("60 min", 3600), Period("24 h", 86_400))


def series_of(rates: Rates, span: int) -> Series:
    """The counts that are drawn for the span of that number."""
    return (rates.seconds, rates.minutes, rates.day)[span]


def draw_plots(snapshot: Snapshot, span: int, width: int, height: int) -> list[Line]:
    """Posts per second and match rate over a span, in `height` lines (8 at least) of `width` cells."""
    rates = snapshot.rates
    series = _known(series_of(rates, span), snapshot.started_at)
    steps = SPANS[span].seconds // int(series.step)
    size = bucket_size(steps, width)
    came = buckets(series.consumed, series.start, series.step, size)
    kept = buckets(series.matched, series.start, series.step, size)
    speeds: list[float | None] = [total / (number * series.step) for total, number in came]
    shares = [matched / total if total else None for (total, _), (matched, _) in zip(came, kept, strict=True)]
    top = nice_top(max((speed for speed in speeds[-width:] if speed), default=1.0))
    most = min(nice_top(max((share for share in shares[-width:] if share), default=1.0)), 1.0)
    tabs: list[Span] = []
    for number, one in enumerate(SPANS):
        tabs += [(f" {one.name} ", "chip" if number == span else "dim"), (" ", "dim")]
    half = (height - 4) // 2
    lines = [fit(tabs, width)]
    lines.append(spread([("POSTS/S", "dim")], [(f"up to {top:,.4g}", "faint-text")], width))
    lines += bars(speeds, width, height - 4 - half, top, "plot")
    lines.append(_marks(rates.spikes, series, size, width))
    lines.append(spread([("MATCH RATE", "dim")], [(f"up to {percent(most)}", "faint-text")], width))
    lines += bars(shares, width, half, most)
    return lines[:height]


def _known(series: Series, started_at: float) -> Series:
    """The series without the steps before anything was counted, by this run or by earlier ones."""
    first = next((index for index, value in enumerate(series.consumed) if value), len(series.consumed))
    begun = max(int((started_at - series.start) // series.step), 0)
    skip = min(first, begun)
    return Series(series.step, series.start + skip * series.step, series.consumed[skip:], series.matched[skip:])


def _marks(spikes: tuple[float, ...], series: Series, size: int, width: int) -> Line:
    """A sign under each bar in which a spike began, and what the signs are."""
    cells = [" "] * width
    last = round(series.start / series.step + len(series.consumed) - 1) // size
    for at in spikes:
        place = width - 1 - (last - int(at / series.step) // size)
        if 0 <= place < width:
            cells[place] = "▲"
    if "▲" not in cells:
        return fit((), width)
    note = f" spike, the last at {minute(spikes[-1])}"
    text = "".join(cells)
    free = text.find("▲") if text.rstrip().endswith("▲") and text.rfind("▲") > width - len(note) - 2 else width
    if free > len(note) + 3 and free < width:
        return fit([(f"▲{note}", "warn"), (text[len(note) + 1 :], "warn")], width)
    place = text.rfind("▲")
    return fit([(text[: place + 1], "warn"), (note, "faint-text")], width)


def shown_names(window: Window, kind: str) -> tuple[tuple[str, int], ...]:
    """The names of a kind, the commonest first."""
    return next((top.names for top in window.tops if top.kind == kind), ())


def draw_tops(snapshot: Snapshot, kind: str, row: int, width: int, height: int) -> list[Line]:
    """The lists of the window, the cursor in row `row` of `kind`, in `height` lines of `width` cells."""
    window = snapshot.window
    posts = f"{count(window.posts)} posts about the topic since {minute(window.start)}"
    head = spread(
        [("LAST 60 MIN", "title"), (f"  slides by {window.slide / 60:.0f} min", "dim")], [(posts, "text")], width
    )
    tops = window.tops or tuple(Top(name) for name in NAMES)
    if width >= SIDE_BY_SIDE:
        gap = 2
        column = (width - gap * (len(tops) - 1)) // len(tops)
        columns = [_list(top, row if top.kind == kind else None, column, height - 2) for top in tops]
        rows = [tuple(_beside([lines[y] for lines in columns], gap)) for y in range(height - 2)]
        return [head, fit((), width), *(fit(line, width) for line in rows)]
    tabs: list[Span] = []
    for top in tops:
        tabs += [(f" {NAMES[top.kind]} ", "chip" if top.kind == kind else "dim"), (" ", "dim")]
    chosen = next((top for top in tops if top.kind == kind), tops[0])
    return [head, fit(tabs, width), *_list(chosen, row, width, height - 2)[1:], fit((), width)][:height]


def _beside(cells: list[Line], gap: int) -> list[Span]:
    line: list[Span] = []
    for index, cell in enumerate(cells):
        line += [*([(" " * gap, "dim")] if index else []), *cell]
    return line


def _list(top: Top, row: int | None, width: int, height: int) -> list[Line]:
    """One kind: its name, then a line for each name with its count and a bar; the cursor's row stays in view."""
    title: list[Span] = [(NAMES.get(top.kind, top.kind.upper()), "title" if row is not None else "dim")]
    lines = [spread(title, [("" if top.exact else "about", "warn")], width)]
    if not top.names:
        lines.append(fit([(UNKNOWN, "dim")], width))
    most = max((number for _, number in top.names), default=1)
    room = height - 1
    first = max(min((row or 0) - room + 1, len(top.names) - room), 0)
    for index, (name, number) in enumerate(top.names[first : first + room], first):
        digits = count(number)
        text = clip(clean(name), width - len(digits) - 2)
        filled = round(number / most * (width - 2))
        at = index == row
        body = pad(text, width - len(digits) - 2) + " " + digits
        cut = _cells(body, filled)
        mark = ("▶" if at else " ", "accent")
        lines.append(
            fit([mark, (body[:cut], "hit" if at else "strong"), (body[cut:], "hit" if at else "dim")], width)
        )
    return [*lines, *[fit((), width)] * (height - len(lines))][:height]


def _cells(text: str, cells: int) -> int:
    """Characters of the text that fit into so many cells."""
    used = 0
    for index, char in enumerate(text):
        used += line_width([(char, "")])
        if used > cells:
            return index
    return len(text)


def filter_of(kind: str, name: str) -> str:
    """What to filter the feed by to see only the posts of one name."""
    return f"lang:{name}" if kind == "languages" else name
