"""The right column, and the status line that stands for it on a small screen.

Connection, store, the last hour, events: quiet when well, in words and with what to do when not.
Pure: a snapshot and a size in, Lines out.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.health import Health, SourceState
from core.snapshot import Event, Gap, JournalStatus, Level, SinkState, SinkStatus, Snapshot
from core.units import size_words
from tui.ink import Line, Span, clip, fit, line_width, spread, wrap
from tui.plot import bars, counted, speeds, spiked
from tui.sanitise import clean
from tui.timeline import draw_timeline, timeline
from tui.window import draw_brief
from tui.words import (
    UNKNOWN,
    Said,
    clock,
    connection,
    count,
    minute,
    plural,
    rate,
    seconds_left,
    span,
    store,
    when,
)
from tui.words import journal as journal_said

HOUR = 3600.0
_LEVELS = {Level.INFO: (" ", "text"), Level.WARNING: ("▲", "warn"), Level.ERROR: ("■", "bad")}


def draw_side(snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """The column in `height` lines of `width` cells, its edge at the left; the events take what remains."""
    room = width - 3
    lines: list[Line] = []
    for health in snapshot.health or (Health("source"),):
        lines += _connection(snapshot, health, room)
        lines.append(())
    for number, sink in enumerate(snapshot.sinks):
        lines += [*([()] if number else []), *_store(sink, snapshot.at, room)]
    if not snapshot.sinks:
        lines += [
            _title("STORE", Said("●", "journal only", "ok"), room),
            ((clip(clean(snapshot.data_dir), room), "dim"),),
        ]
    lines += _journal(snapshot.journal, room)
    lines.append(())
    left = height - len(lines)
    if left >= 10 and snapshot.rates.minutes.consumed:
        lines += _hour(snapshot, room, 2 if height < 45 else 4, 0 if left < 13 else 2 if left < 20 else 3)
        lines.append(())
    remaining = height - len(lines)
    if remaining >= 2:
        lines += draw_events(snapshot.events, room, remaining)
    lines += [()] * (height - len(lines))
    return [fit([("│", "faint"), (" ", "text"), *line], width) for line in lines[:height]]


def _title(name: str, said: Said | None, room: int, note: str = "") -> Line:
    right: list[Span] = []
    if said is not None:
        right = (
            [(f" {said.sign} {said.words} ", f"{said.ink}-chip")]
            if said.loud
            else [
                (said.sign, said.ink),
                (f" {said.words}", "text"),
            ]
        )
    elif note:
        right = [(note, "faint-text")]
    return spread([(name, "title")], right, room)


def _pair(left: tuple[str, str], right: tuple[str, str], room: int) -> Line:
    """Two labelled values in two columns, values right-aligned, so that the eye finds them in a line."""
    gap = 3
    half = (room - gap) // 2
    first = spread([(left[0], "dim")], [(left[1], "text")], half)
    return (*first, (" " * gap, "dim"), *spread([(right[0], "dim")], [(right[1], "text")], room - gap - half))


def _connection(snapshot: Snapshot, health: Health, room: int) -> list[Line]:
    now = snapshot.at
    said = connection(health, now)
    if said.loud:
        title = Said(said.sign, said.words.split(" (")[0].split(":")[0], said.ink, loud=True)
    elif health.state is SourceState.LIVE:
        title = Said(said.sign, f"live {span(now - health.since)}", said.ink)
    else:
        title = Said(said.sign, said.words.lower(), said.ink)
    name = "CONNECTION" if len(snapshot.health) < 2 else clean(health.source).upper()
    lines = [_title(name, title, room)]
    if said.loud and health.reason and health.state is not SourceState.PAUSED:
        lines += [((text, said.ink),) for text in wrap(clean(health.reason), room)[:3]]
    silent = None if health.last_byte_at is None else now - health.last_byte_at
    lines.append(_pair(("last byte", span(silent)), ("lag", span(health.lag)), room))
    queue = f"{health.queue:,}" if not health.queue_limit else f"{health.queue:,}/{health.queue_limit:,}"
    lines.append(_pair(("reconnects", count(health.reconnects)), ("queue", queue), room))
    if health.rate_limit is not None:
        limit = health.rate_limit
        words = f"{limit.remaining:,} of {limit.limit:,} until {minute(limit.reset_at)}"
        lines.append(spread([("rate limit", "dim")], [(words, "text" if limit.remaining else "warn")], room))
    cells = hour_cells(room)
    strip = draw_timeline(timeline(snapshot, health, cells, HOUR))
    lines.append((*strip, ("60 min".rjust(room - cells), "faint-text")))
    lines += _last_gap(snapshot, room)
    return lines


def gap_words(gap: Gap, snapshot: Snapshot) -> str:
    """A gap: how long, when, filled or not."""
    length = span((gap.end if gap.end is not None else snapshot.at) - gap.start)
    if gap.end is None:
        state = "still open"
    elif snapshot.filling is not None and snapshot.filling.gap == gap.number:
        state = "being filled"
    else:
        state = {"no": "not filled", "partly": "partly filled", "yes": "filled"}[gap.filled]
    return f"{length} {when(gap.start, snapshot.at)}, {state}"


def _last_gap(snapshot: Snapshot, room: int) -> list[Line]:
    if not snapshot.gaps:
        return [(("no gaps" if not snapshot.gap_count else plural(snapshot.gap_count, "gap"), "dim"),)]
    filling = snapshot.filling
    # The gap that is being filled is the news; else the newest one is.
    shown = next((gap for gap in snapshot.gaps if filling and gap.number == filling.gap), snapshot.gaps[-1])
    words = shown.reason if filling is None else filling.words
    return [
        spread([(plural(snapshot.gap_count, "gap"), "dim")], [(gap_words(shown, snapshot), "text")], room),
        ((f"  {clip(clean(words), room - 2)}", "dim"),),
    ]


def _store(sink: SinkStatus, now: float, room: int) -> list[Line]:
    said = store(sink)
    lines = [
        _title("STORE" if sink.of_record else "ALSO TO", said, room),
        ((f"{clean(sink.name)} ", "text"), (clip(clean(sink.target), room - len(sink.name) - 1), "dim")),
    ]
    if sink.error:
        lines += [
            ((text, said.ink if said.ink in {"warn", "bad"} else "warn"),)
            for text in wrap(clean(sink.error), room)[:5]
        ]
    if sink.state is SinkState.DOWN:
        again = f"again in {seconds_left(sink.retry_at, now)}" if sink.retry_at is not None else "trying again"
        lines.append(spread([("the journal keeps it", "dim")], [(again, "text")], room))
        return lines
    slowest = UNKNOWN if sink.write_ms is None else f"{sink.write_ms:,.0f} ms"
    lines.append(_pair(("posts/s", rate(sink.rate)), ("slowest", slowest), room))
    lines.append(_pair(("stored", count(sink.stored)), ("duplicate", count(sink.duplicate)), room))
    return lines


def _journal(journal: JournalStatus, room: int) -> list[Line]:
    """The journal and its disk: loud when it takes nothing, or soon will not."""
    if not (journal.blocked or journal.low):
        return [_sizes(journal, room)] if journal.size is not None else []
    said = journal_said(journal)
    lines = [(), _title("JOURNAL", said, room)]
    for words in (journal.blocked, journal.advice):
        lines += [((text, said.ink),) for text in wrap(clean(words), room) if text]
    return [*lines, _sizes(journal, room)]


def _sizes(journal: JournalStatus, room: int) -> Line:
    size = UNKNOWN if journal.size is None else size_words(journal.size)
    free = "" if journal.free is None else f", {size_words(journal.free)} free"
    return spread([("journal", "dim")], [(f"{size}{free}", "text")], room)


def _hour(snapshot: Snapshot, room: int, height: int, names: int) -> list[Line]:
    """Matched posts per minute over the last hour, and in `names` lines what they speak of and who writes them."""
    series = counted(snapshot, 1)
    cells = hour_cells(room)
    size = 60 // cells
    values = speeds(replace(series, consumed=series.matched), size, snapshot.at)
    minutes = [None if value is None else value * 60 for value in values]
    top = max((value for value in minutes[-cells:] if value), default=0.0)
    notes = [f"{top:,.0f}" if top else "", "/min" if top else "", *[""] * height]
    window = snapshot.window
    title = [("LAST 60 MIN", "title@window"), (f"  slide {window.slide / 60:.0f} min", "dim")]
    whole, matched = f"{sum(series.matched):,} of {sum(series.consumed):,}", f"{sum(series.matched):,}"
    lines = [
        spread(title, [(whole if line_width(title) + len(whole) < room else matched, "text")], room),
        *(
            (*line, (note.rjust(room - cells), "faint-text"))
            for line, note in zip(
                bars(minutes, cells, height, top or 1.0, marked=spiked(snapshot.rates.spikes, series, size)),
                notes,
                strict=False,
            )
        ),
    ]
    brief = [draw_brief(window, kind, room) for kind in ("tags", "authors", "words")[:names]]
    return [*lines, *(line for line in brief if line)]


def hour_cells(room: int) -> int:
    """Cells for an hour, a whole number of minutes each, with room for a caption at their right."""
    return 60 if room >= 67 else 30


def draw_events(events: Sequence[Event], room: int, height: int) -> list[Line]:
    """The newest events first, whole lines, wrapped; the last one that fits may be cut."""
    lines: list[Line] = [spread([("EVENTS", "title")], [("l", "key@log"), (" all", "faint-text")], room)]
    if not events:
        lines.append((("nothing yet", "dim"),))
    for event in reversed(events):
        if len(lines) >= height:
            break
        lines += event_lines(event, room)
    return lines[:height]


def event_lines(event: Event, room: int) -> list[Line]:
    """One event: time, sign, words; further lines are indented."""
    mark, ink = _LEVELS[event.level]
    words = "bad" if event.level is Level.ERROR else "text"
    indent = 11
    texts = wrap(clean(event.text), room - indent)
    first: Line = ((clock(event.at), "dim"), (f" {mark} ", ink), (texts[0], words))
    return [first, *(((" " * indent, "dim"), (text, words)) for text in texts[1:])]


def draw_status(snapshot: Snapshot, width: int) -> Line:
    """One line for the whole column: trouble first, then connection and store."""
    now = snapshot.at
    parts: list[list[Span]] = []
    for sink in snapshot.sinks:
        said = store(sink)
        label = f"{clean(sink.name)} {said.words}"
        if said.loud:
            error = f" {clean(sink.error)}" if sink.error else ""
            parts.insert(0, [(f" {said.sign} {label} ", f"{said.ink}-chip"), (error, said.ink)])
        else:
            parts.append([(said.sign, said.ink), (f" {label}", "text")])
    if not snapshot.sinks:
        parts.append([("●", "ok"), (" journal only", "text")])
    journal = journal_said(snapshot.journal)
    if journal.loud:
        why = " ".join(filter(None, (snapshot.journal.blocked, snapshot.journal.advice)))
        parts.insert(
            0,
            [
                (f" {journal.sign} journal {journal.words} ", f"{journal.ink}-chip"),
                (f" {clean(why)}", journal.ink),
            ],
        )
    for health in snapshot.health[:1]:
        silent = None if health.last_byte_at is None else now - health.last_byte_at
        parts.append([("last byte ", "dim"), (span(silent), "text")])
        parts.append([("reconnects ", "dim"), (count(health.reconnects), "text")])
        parts.append([("gaps ", "dim"), (count(snapshot.gap_count), "text")])
        if health.rate_limit is not None:
            parts.append([("limit ", "dim"), (f"{health.rate_limit.remaining}/{health.rate_limit.limit}", "text")])
        if health.lag is not None:
            parts.append([("lag ", "dim"), (span(health.lag), "text")])
    spans: list[Span] = [(" ", "dim")]
    for index, part in enumerate(parts):
        gap: list[Span] = [("   ", "faint")] if index else []
        if index and line_width(spans) + line_width(gap) + line_width(part) > width - 1:
            break
        spans += [*gap, *part]
    return fit(spans, width)


def in_trouble(snapshot: Snapshot) -> bool:
    """Whether the status line says something that must be seen even where there is hardly room."""
    return any(store(sink).loud for sink in snapshot.sinks) or journal_said(snapshot.journal).loud
