"""How it goes, in full: connection, waits, lag, queue, stores, journal, limits, the last trouble. Live while open.

Trouble comes first, with what to do about it; when all is well the first line says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from core.health import Health, SourceState, Stretch
from core.snapshot import JournalStatus, Level, SinkState, SinkStatus, Snapshot
from core.units import age_words, size_words
from tui.dialogs.gaps import gap_state
from tui.dialogs.sheet import Sheet
from tui.ink import Line, Span, fit, wrap
from tui.keymap import Keys
from tui.sanitise import clean
from tui.side import event_lines
from tui.timeline import SIGNS, draw_legend, draw_timeline, kind_of, timeline
from tui.words import (
    UNKNOWN,
    Said,
    clock,
    connection,
    count,
    headline,
    journal,
    minute,
    plural,
    rate,
    seconds_left,
    span,
    store,
    when,
)

LABEL = 14
CHANGES = 6  # of the connection's state that are listed
TROUBLES = 4  # events
GAPS = 3


def draw_health(snapshot: Snapshot, width: int, keys: Keys) -> list[Line]:
    """Everything, in lines of `width` cells."""
    lines = [*_summary(snapshot, width), ()]
    for health in snapshot.health:
        lines += [*_connection(snapshot, health, width), ()]
    for sink in snapshot.sinks:
        lines += [*_store(sink, snapshot.at, width), ()]
    lines += [*_journal(snapshot, width), ()]
    lines += _gaps(snapshot, width, keys)
    troubles = [event for event in snapshot.events if event.level is not Level.INFO][-TROUBLES:]
    if troubles:
        lines += [(), _head("LAST TROUBLE", f"{keys.name('log')} has every event")]
        for event in reversed(troubles):
            lines += event_lines(event, width)
    return [fit(line, width) if line else line for line in lines]


def _summary(snapshot: Snapshot, width: int) -> list[Line]:
    """The state in words; when something is wrong, what to do."""
    said = headline(snapshot)
    if not said.loud:
        words = f"{said.words[:1]}{said.words[1:].lower()}: all is well"
        return [((f"{said.sign} ", said.ink), (words, "strong"))]
    lines: list[Line] = [((f" {said.sign} {text} ", f"{said.ink}-chip"),) for text in wrap(said.words, width - 4)]
    for words in _advice(snapshot):
        lines += [((text, "text"),) for text in wrap(clean(words), width)]
    return lines


def _advice(snapshot: Snapshot) -> Iterable[str]:
    """What is wrong in full, and what to do about it."""
    if snapshot.paused:
        yield "Nothing is received and nothing is billed; resuming it opens the stream again."
    for health in snapshot.health:
        if health.state is SourceState.WAITING:
            left = seconds_left(health.wait_until, snapshot.at) if health.wait_until else "a moment"
            yield f"{health.reason or 'The connection was lost'}: tried again by itself in {left}."
        elif health.state is SourceState.STALLED:
            yield "It is connected again by itself; the span counts as a gap."
        elif health.reason and health.state in (SourceState.STOPPED, SourceState.BLOCKED):
            yield health.reason
        if health.slowed_since is not None:
            yield (
                "Posts come faster than they are written. Nothing is lost while the source waits; if it lasts, it "
                "closes the connection: narrow the keywords, or use a faster disk."
            )
    yield from filter(None, (snapshot.advice, snapshot.journal.blocked, snapshot.journal.advice))
    for sink in snapshot.sinks:
        if sink.state in (SinkState.DOWN, SinkState.REFUSED):
            yield f"{sink.name}: {sink.error}"
            yield "The capture goes on; the journal keeps what waits, and it drains by itself once it is taken."


def _head(name: str, note: str = "", said: Said | None = None) -> Line:
    spans: list[Span] = [(name, "title")]
    if said is not None and said.loud:
        spans += [("  ", "dim"), (f" {said.sign} {said.words} ", f"{said.ink}-chip")]
    elif said is not None:
        spans += [("  ", "dim"), (said.sign, said.ink), (f" {said.words}", "text")]
    return (*spans, (f"  {note}" if note else "", "dim"))


def _row(label: str, value: str, width: int, note: str = "", ink: str = "text") -> list[Line]:
    if note:
        return [((f"  {label:<{LABEL}}", "dim"), (value, ink), (f"  {note}", "dim"))]
    first, *rest = wrap(value, width - LABEL - 2)
    return [
        ((f"  {label:<{LABEL}}", "dim"), (first, ink)),
        *(((" " * (LABEL + 2), "dim"), (text, ink)) for text in rest),
    ]


def _connection(snapshot: Snapshot, health: Health, width: int) -> list[Line]:
    now = snapshot.at
    said = connection(health, now)
    short = Said(said.sign, said.words.split(" (")[0].split(":")[0], said.ink, said.loud)
    lines = [_head(f"CONNECTION  {clean(health.source)}", f"for {span(now - health.since)}", short)]
    room = width - LABEL - 2
    cells = next((cells for cells in (60, 30) if cells <= room), 20)
    strips = [(name, timeline(snapshot, health, cells, seconds)) for name, seconds in _STRIPS]
    for name, kinds in strips:
        lines.append(((f"  {name:<{LABEL}}", "dim"), *draw_timeline(kinds)))
    lines.append(((" " * (LABEL + 2), "dim"), *draw_legend([kind for _, kinds in strips for kind in kinds])))
    if health.state is SourceState.WAITING and health.wait_until:
        lines += _row("next try", f"in {seconds_left(health.wait_until, now)}", width, clean(health.reason))
    silent = UNKNOWN if health.last_byte_at is None else f"{span(now - health.last_byte_at)} ago"
    post = UNKNOWN if health.last_post_at is None else f"{span(now - health.last_post_at)} ago"
    lines += _row("last byte", silent, width, f"last post {post}")
    lines += _row("lag", span(health.lag), width, "from a post's creation to its arrival")
    queue = count(health.queue) + (f" of {count(health.queue_limit)}" if health.queue_limit else "")
    lines += _row("queue", queue, width, "lines read and not yet decoded")
    lines += _row(
        "connections", count(health.connects), width, f"{plural(health.reconnects, 'reconnect')} in this run"
    )
    if health.rate_limit is not None:
        limit = health.rate_limit
        left = f"{count(limit.remaining)} of {count(limit.limit)} connects left"
        until = f"until {minute(limit.reset_at)}, in {seconds_left(limit.reset_at, now)}"
        lines += _row("rate limit", left, width, until, "text" if limit.remaining else "warn")
    return lines + _changes(health.past, now)


_STRIPS = (("last 60 min", 3600.0), ("last 24 h", 86_400.0))


def _changes(past: tuple[Stretch, ...], now: float) -> list[Line]:
    """The last changes of state, newest first: when, what, for how long, why."""
    lines: list[Line] = []
    for number in range(len(past) - 1, -1, -1):
        stretch = past[number]
        length = (past[number + 1].since if number + 1 < len(past) else now) - stretch.since
        if length < 0.05 and stretch.state in (SourceState.STARTING, SourceState.CONNECTING):
            continue  # on the way to the next one
        sign = SIGNS[kind_of(stretch.state, slowed=stretch.slowed)]
        name = "slowed down" if stretch.slowed and stretch.state.connected else stretch.state.value
        why = f"  {clean(stretch.reason)}" if stretch.reason else ""
        label = "" if lines else "changes"
        lines.append(
            (
                (f"  {label:<{LABEL}}", "dim"),
                (f"{clock(stretch.since)}  ", "dim"),
                (sign.char, sign.ink),
                (f" {name:<11} {span(length):>9}", "text"),
                (why, "dim"),
            )
        )
        if len(lines) == CHANGES:
            break
    return lines


def _store(sink: SinkStatus, now: float, width: int) -> list[Line]:
    head = _head(f"{'STORE' if sink.of_record else 'ALSO TO'}  {clean(sink.name)}", "", store(sink))
    lines = [head, *_row("target", clean(sink.target), width)]
    if sink.error:
        lines += _row("error", clean(sink.error), width, ink="bad" if sink.state is SinkState.REFUSED else "warn")
    if sink.retry_at is not None:
        lines += _row("next try", f"in {seconds_left(sink.retry_at, now)}", width)
    caught = f", caught up in {span(sink.behind / sink.rate)}" if sink.behind and sink.rate else ""
    lines += _row("behind by", plural(sink.behind, "post"), width, f"{rate(sink.rate)} posts/s{caught}")
    slowest = UNKNOWN if sink.write_ms is None else f"{sink.write_ms:,.0f} ms"
    lines += _row("slowest write", slowest, width, "of the last 100")
    lines += _row("stored", count(sink.stored), width, f"duplicates {count(sink.duplicate)}")
    return lines


def _journal(snapshot: Snapshot, width: int) -> list[Line]:
    status: JournalStatus = snapshot.journal
    lines = [_head("JOURNAL", "", journal(status)), *_row("folder", clean(snapshot.data_dir), width)]
    size = UNKNOWN if status.size is None else size_words(status.size)
    free = "" if status.free is None else f"{size_words(status.free)} free on its disk"
    lines += _row("size", size, width, free)
    if status.seconds_left is not None:
        lines += _row("disk full in", age_words(status.seconds_left), width, "at the present rate")
    return lines


def _gaps(snapshot: Snapshot, width: int, keys: Keys) -> list[Line]:
    lines = [_head("GAPS", f"{keys.name('gaps')} lists them" if snapshot.gaps else "")]
    lines[0] = (*lines[0][:1], (f"  {count(snapshot.gap_count)}", "text"), *lines[0][1:])
    for gap in snapshot.gaps[: -GAPS - 1 : -1]:
        length = span((snapshot.at if gap.end is None else gap.end) - gap.start)
        state, ink = gap_state(gap, snapshot)
        at = when(gap.start, snapshot.at)
        lines.append(
            (
                (f"  {at:<{LABEL}}", "dim"),
                (f"{length:>9}  ", "text"),
                (state, ink),
                (f"  {clean(gap.reason)}", "dim"),
            )
        )
    return lines


def health_sheet(moment: Callable[[], Snapshot], keys: Keys) -> Sheet:
    """How it goes, as a sheet that stays live."""
    return Sheet(
        "How it goes", lambda width: draw_health(moment(), width, keys), f"{keys.name('close')} close", live=True
    )
