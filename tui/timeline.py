"""The connection's last hour, or day, as a strip: what state it was in, a sign and an ink for each.

Low is well, high is trouble; where a cell holds several states, the worst is shown. States are known for the last
hour of this run; before that, gaps are, and whether posts were counted. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import msgspec

from core.health import Health, SourceState
from core.snapshot import Series, Snapshot
from tui.ink import Span


class Kind(IntEnum):
    """What the strip shows, from well to worst."""

    UNKNOWN = 0
    LIVE = 1
    QUIET = 2
    SLOWED = 3
    PAUSED = 4
    STALLED = 5
    WAITING = 6
    GAP = 7
    STOPPED = 8


class Sign(msgspec.Struct, frozen=True):
    """How a kind is drawn, and what it is called."""

    char: str
    ink: str
    words: str


SIGNS = {
    Kind.UNKNOWN: Sign("·", "faint", "not known"),
    Kind.LIVE: Sign("▃", "plot", "live"),
    Kind.QUIET: Sign("▁", "plot", "quiet"),
    Kind.SLOWED: Sign("◐", "warn", "slowed down"),
    Kind.PAUSED: Sign("‖", "warn", "paused"),
    Kind.STALLED: Sign("▲", "warn", "stalled"),
    Kind.WAITING: Sign("▆", "warn", "waiting"),
    Kind.GAP: Sign("█", "bad", "gap"),
    Kind.STOPPED: Sign("■", "bad", "stopped"),
}
_KINDS = {
    SourceState.STARTING: Kind.UNKNOWN,
    SourceState.CONNECTING: Kind.GAP,
    SourceState.LIVE: Kind.LIVE,
    SourceState.QUIET: Kind.QUIET,
    SourceState.STALLED: Kind.STALLED,
    SourceState.WAITING: Kind.WAITING,
    SourceState.PAUSED: Kind.PAUSED,
    SourceState.BLOCKED: Kind.STOPPED,
    SourceState.STOPPED: Kind.STOPPED,
}


def kind_of(state: SourceState, *, slowed: bool = False) -> Kind:
    """What a state is on the strip."""
    return Kind.SLOWED if slowed and state.connected else _KINDS[state]


def timeline(snapshot: Snapshot, health: Health, cells: int, seconds: float) -> list[Kind]:
    """The worst kind in each of `cells` equal parts of the last `seconds`, oldest first."""
    begin, each = snapshot.at - seconds, seconds / cells
    kinds = [Kind.UNKNOWN] * cells
    for start, end, kind in _spans(snapshot, health):
        if end < begin:
            continue
        first = max(int((start - begin) // each), 0)
        last = max(-int(-(end - begin) // each), first + 1)  # however short, it is seen
        for place in range(first, min(last, cells)):
            kinds[place] = max(kinds[place], kind)
    return kinds


def _spans(snapshot: Snapshot, health: Health) -> Iterator[tuple[float, float, Kind]]:
    """Everything that is known, as spans in any order."""
    past = health.past
    known = past[0].since if past else snapshot.at
    for series in (snapshot.rates.day, snapshot.rates.minutes):
        yield from _counted(series, known)
    # Between the start of a run and the first state that is still remembered it was live, where it was no gap.
    yield snapshot.started_at, known, Kind.LIVE if snapshot.run.delivered else Kind.UNKNOWN
    for gap in snapshot.gaps:
        if gap.source == health.source and gap.start < known:
            end = snapshot.at if gap.end is None else gap.end
            yield gap.start, min(end, known), Kind.PAUSED if gap.chosen else Kind.GAP
    connected = False
    for number, stretch in enumerate(past):
        end = past[number + 1].since if number + 1 < len(past) else snapshot.at
        kind = kind_of(stretch.state, slowed=stretch.slowed)
        connected = connected or stretch.state.connected
        if stretch.state is SourceState.CONNECTING and not connected and number < 2:
            kind = Kind.UNKNOWN  # the first connection of a run
        yield stretch.since, max(end, stretch.since), kind
    if not past or past[-1].state is not health.state:  # of a capture that is gone, the last moment is known
        yield health.since, snapshot.at, kind_of(health.state, slowed=health.slowed_since is not None)


def _counted(series: Series, until: float) -> Iterator[tuple[float, float, Kind]]:
    for number, value in enumerate(series.consumed):
        start = series.start + number * series.step
        if value and start < until:
            yield start, min(start + series.step, until), Kind.LIVE


def draw_timeline(kinds: list[Kind]) -> list[Span]:
    """The strip."""
    spans: list[Span] = []
    for kind in kinds:
        sign = SIGNS[kind]
        if spans and spans[-1][1] == sign.ink:
            spans[-1] = (spans[-1][0] + sign.char, sign.ink)
        else:
            spans.append((sign.char, sign.ink))
    return spans


def draw_legend(kinds: list[Kind]) -> list[Span]:
    """What the signs of these strips mean."""
    spans: list[Span] = []
    for kind in sorted(set(kinds)):
        sign = SIGNS[kind]
        spans += [("   " if spans else "", "dim"), (sign.char, sign.ink), (f" {sign.words}", "dim")]
    return spans
