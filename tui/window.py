"""The last hour in lists and plots: what the posts speak of, who writes them, how fast they come.

Pure: a snapshot and a size in, Lines out. The plots show five minutes, an hour or a day; what was not counted (the
time before the first run) is blank, and a spike has a mark below its bar. Names can be clicked: each opens the
feed with only its posts.
"""

from __future__ import annotations

from core.filter import Mode, Wanted
from core.snapshot import Series, Snapshot, Top, Window
from tui.ink import Line, Span, fit, line_width, pad, spread
from tui.language import is_one_term
from tui.plot import PERIODS, SPIKE, bars, bucket_size, counted, nice_top, shares, speeds, spiked
from tui.sanitise import clean
from tui.words import UNKNOWN, count, minute, percent

NAMES = {"tags": "TAGS", "authors": "AUTHORS", "links": "LINKS", "languages": "LANGUAGES", "words": "WORDS"}
KINDS = tuple(NAMES)
SIDE_BY_SIDE = 100  # cells from which all kinds are shown beside each other
NAME_ROOM, LEAST_BAR = 24, 8  # cells of a name, and of a bar beside it, where there is room for both
BOTH_PLOTS = 8  # lines from which the match rate has a plot of its own


def draw_window(snapshot: Snapshot, period: int, kind: str, row: int, width: int, height: int) -> list[Line]:
    """Plots over lists, in `height` lines (10 at least) of `width` cells, the cursor in `row` of `kind`."""
    plots = height // 2 if height >= 2 * BOTH_PLOTS + 2 else max(height // 3, 3)
    plots = max(min(plots, height - len_of_lists(snapshot.window) - 1), min(plots, BOTH_PLOTS))
    return [
        *draw_plots(snapshot, period, width, plots),
        fit((), width),
        *draw_tops(snapshot, kind, row, width, height - plots - 1),
    ]


def len_of_lists(window: Window) -> int:
    """Lines that the lists would take with every name."""
    return 3 + max((len(top.names) for top in window.tops), default=1)


def draw_plots(snapshot: Snapshot, period: int, width: int, height: int) -> list[Line]:
    """Posts per second over a period, and the match rate where there is room, in `height` lines (3 at least)."""
    series = counted(snapshot, period)
    steps = PERIODS[period].seconds // int(series.step)
    size, wide = bucket_size(steps, width), max(width // steps, 1)
    fast = speeds(series, size, snapshot.at)
    shown = width // wide
    top = nice_top(max((speed for speed in fast[-shown:] if speed), default=1.0))
    spikes = snapshot.rates.spikes
    tabs = _tabs([(one.name, f"period {one.name}") for one in PERIODS], period)
    scale: Span = (f"up to {top:,.4g}", "faint-text")
    if height < BOTH_PLOTS:
        feet = [place * wide + wide // 2 for place in spiked(spikes, series, size)]
        lines = bars(_widened(fast, wide), width, height - 1, top, "plot", feet)
        return [spread(tabs, [("POSTS/S  ", "dim"), scale], width), *lines]
    shared = shares(series, size)
    most = min(nice_top(max((share for share in shared[-shown:] if share), default=1.0)), 1.0)
    half = (height - 4) // 2
    return [
        fit(tabs, width),
        spread([("POSTS/S", "dim")], [scale], width),
        *bars(_widened(fast, wide), width, height - 4 - half, top, "plot"),
        _marks(spikes, series, size, wide, width),
        spread([("MATCH RATE", "dim")], [(f"up to {percent(most)}", "faint-text")], width),
        *bars(_widened(shared, wide), width, half, most),
    ]


def _widened(values: list[float | None], wide: int) -> list[float | None]:
    """Each value so many times: a bar of so many cells."""
    return [value for value in values for _ in range(wide)]


def _tabs(named: list[tuple[str, str]], chosen: int) -> list[Span]:
    """Names to choose from, each with the action that a click does."""
    spans: list[Span] = []
    for number, (name, action) in enumerate(named):
        spans += [(f" {name} ", f"{'chip' if number == chosen else 'dim'}@{action}"), (" ", "dim")]
    return spans


def _marks(spikes: tuple[float, ...], series: Series, size: int, wide: int, width: int) -> Line:
    """A sign under each bar in which a spike began, and what the signs are."""
    cells = [" "] * width
    bucket = round(series.start / series.step) // size
    buckets = (round(series.start / series.step) + len(series.consumed) - 1) // size - bucket + 1
    for place in spiked(spikes, series, size):
        cell = width - (buckets - place) * wide + wide // 2
        if 0 <= cell < width:
            cells[cell] = SPIKE
    if SPIKE not in cells:
        return fit((), width)
    note = f" spike, the last at {minute(spikes[-1])}"
    text = "".join(cells)
    free = (
        text.find(SPIKE) if text.rstrip().endswith(SPIKE) and text.rfind(SPIKE) > width - len(note) - 2 else width
    )
    if free > len(note) + 3 and free < width:
        return fit([(f"{SPIKE}{note}", "warn"), (text[len(note) + 1 :], "warn")], width)
    place = text.rfind(SPIKE)
    return fit([(text[: place + 1], "warn"), (note, "faint-text")], width)


def shown_names(window: Window, kind: str) -> tuple[tuple[str, int], ...]:
    """The names of a kind, the commonest first."""
    return next((top.names for top in window.tops if top.kind == kind), ())


def draw_tops(snapshot: Snapshot, kind: str, row: int, width: int, height: int) -> list[Line]:
    """The lists of the window, the cursor in row `row` of `kind`, in `height` lines of `width` cells."""
    window = snapshot.window
    posts = f"{count(window.posts)} posts about the topic since {minute(window.start)}"
    if width < 70:
        posts = f"{count(window.posts)} posts since {minute(window.start)}"
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
    kinds = [top.kind for top in tops]
    tabs = _tabs([(NAMES[name], f"window {name}") for name in kinds], kinds.index(kind))
    chosen = tops[kinds.index(kind)]
    note: list[Span] = [("" if chosen.exact else "about", "warn")]
    return [head, spread(tabs, note, width), *_list(chosen, row, width, height - 1)[1:]][:height]


def _beside(cells: list[Line], gap: int) -> list[Span]:
    line: list[Span] = []
    for index, cell in enumerate(cells):
        line += [*([(" " * gap, "dim")] if index else []), *cell]
    return line


def _list(top: Top, row: int | None, width: int, height: int) -> list[Line]:
    """One kind: its name, then a line for each name with its count, a bar where it fits; the cursor is in view."""
    title: list[Span] = [
        (NAMES.get(top.kind, top.kind.upper()), f"{'title' if row is not None else 'dim'}@window {top.kind}")
    ]
    lines = [spread(title, [("" if top.exact else "about", "warn")], width)]
    if not top.names:
        lines.append(fit([(UNKNOWN, "dim")], width))
    most = max((number for _, number in top.names), default=1)
    digits_room = len(count(most))
    longest = max((line_width([(clean(name), "")]) for name, _ in top.names), default=0)
    named = min(max(longest, NAME_ROOM), width - digits_room - 4 - LEAST_BAR)
    bar_room = width - named - digits_room - 4 if named >= NAME_ROOM else 0
    room = height - 1
    first = max(min((row or 0) - room + 1, len(top.names) - room), 0)
    for index, (name, number) in enumerate(top.names[first : first + room], first):
        digits = count(number)
        at, action = index == row, f"only {top.kind} {name}"
        size = named if bar_room else width - len(digits) - 2
        bar = f"  {_bar(number / most, bar_room)}" if bar_room else ""
        lines.append(
            fit(
                [
                    ("▶" if at else " ", "accent"),
                    (pad(clean(name), size), f"{'hit' if at else 'text'}@{action}"),
                    (bar, f"plot@{action}"),
                    (digits.rjust(width - 1 - size - len(bar)), f"strong@{action}"),
                ],
                width,
            )
        )
    return [*lines, *[fit((), width)] * (height - len(lines))][:height]


def _bar(share: float, width: int) -> str:
    """A share of 0 to 1 as a bar; anything above nothing is seen."""
    return ("▅" * max(round(share * width), 1)).ljust(width)


def draw_brief(window: Window, kind: str, width: int) -> Line:
    """The commonest names of a kind on one line, as many as fit whole."""
    spans: list[Span] = []
    for name, number in shown_names(window, kind):
        shown = clean(name)
        more: list[Span] = [("  ", "dim")] if spans else []
        more += [(shown, f"text@only {kind} {name}"), (f" {count(number)}", "dim")]
        if line_width([*spans, *more]) > width:
            break
        spans += more
    return tuple(spans)


def wanted_of(kind: str, name: str) -> Wanted:
    """What to look for to see only the posts of one name, as exactly as it was counted where that can be said.

    For a thread: the first time this imports the query language.
    """
    plain = name[1:] if name[:1] in "@#" else name
    query = {
        "tags": name,
        "authors": f"from:{plain}",
        "links": f'url:"{name}"',
        "languages": f"lang:{name}",
        "words": name,
    }.get(kind, name)
    return Wanted(query, Mode.QUERY) if is_one_term(query) else Wanted(name)
