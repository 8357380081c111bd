"""How the dashboard says things: numbers, times and states, the same words everywhere.

Counts are exact and thousands are separated. What is not known is a dash, never a zero. Times are UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from core.clock import span as clock_span
from core.health import Health, SourceState
from core.snapshot import JournalStatus, SinkState, SinkStatus, Snapshot
from core.units import size_words
from tui.ink import clip
from tui.sanitise import clean

UNKNOWN = "–"
LONGEST_REASON = 32

# What decides which source is spoken of when there are several: the one in the most trouble.
_TROUBLE = (
    SourceState.STOPPED,
    SourceState.BLOCKED,
    SourceState.WAITING,
    SourceState.STALLED,
    SourceState.CONNECTING,
    SourceState.STARTING,
    SourceState.PAUSED,
    SourceState.QUIET,
    SourceState.LIVE,
)


class Said(msgspec.Struct, frozen=True):
    """A state in words: a sign, the words, the ink, and whether it deserves to be loud."""

    sign: str
    words: str
    ink: str
    loud: bool = False


def count(number: int | None) -> str:
    """An exact count: 12,480."""
    return UNKNOWN if number is None else f"{number:,}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as 17.7 %."""
    return UNKNOWN if share is None else f"{share * 100:.1f} %"


def rate(number: float | None) -> str:
    """A speed with one decimal: 41.2."""
    return UNKNOWN if number is None else f"{number:,.1f}"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 gap`, `2 gaps`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def span(seconds: float | None) -> str:
    """A length of time in its two biggest units: 0.4 s, 23 s, 4 m 05 s, 2 h 14 m, 3 d 4 h."""
    return UNKNOWN if seconds is None else clock_span(seconds)


def seconds_left(until: float, now: float) -> str:
    """A countdown in whole seconds, rounded up, so that it ends at 1 s and not at 0."""
    left = max(int(-(-(until - now) // 1)), 0)
    return f"{left} s" if left < 60 else span(left)


def running(seconds: float) -> str:
    """How long a run lasts: 02:14:07."""
    whole = max(int(seconds), 0)
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}"


def clock(at: float) -> str:
    """A moment of today: 12:41:09."""
    return _clock(int(at))


@lru_cache(64)  # what is on one screen came within seconds
def _clock(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%H:%M:%S")


def minute(at: float) -> str:
    """A moment of today to the minute: 12:41."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")


def when(at: float, now: float) -> str:
    """A moment of the last day by its time, an older one by its day: `at 12:41`, `on Nov 23`."""
    return f"at {minute(at)}" if now - at < 86_400 else datetime.fromtimestamp(at, UTC).strftime("on %b %d")


def moment(at: float) -> str:
    """A moment with its day: 2026-11-24 12:41:09 UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def worst(snapshot: Snapshot) -> Health | None:
    """The source that is in the most trouble."""
    return min(snapshot.health, key=lambda health: _TROUBLE.index(health.state), default=None)


def short(reason: str) -> str:
    """A reason in brief: `X 503 Service Unavailable` is X 503."""
    found = re.match(r"\S+( HTTP)? \d{3}\b", reason)
    return found[0] if found else clip(reason.partition(":")[0], LONGEST_REASON)


def connection(health: Health, now: float) -> Said:
    """One source's state."""
    reason = clean(health.reason)
    because = f" ({short(reason)})" if reason else ""
    if health.slowed_since is not None and health.state.connected:
        return Said("▲", f"SLOWED DOWN {span(now - health.slowed_since)}", "warn", loud=True)
    match health.state:
        case SourceState.LIVE:
            return Said("●", "LIVE", "ok")
        case SourceState.QUIET:
            return Said("○", f"QUIET {span(now - health.since)}", "ok")
        case SourceState.STALLED:
            silent = now - (health.last_byte_at or health.since)
            return Said("▲", f"STALLED {span(silent)}", "warn", loud=True)
        case SourceState.WAITING:
            left = f" {seconds_left(health.wait_until, now)}" if health.wait_until else ""
            return Said("▲", f"WAITING{left}{because}", "warn", loud=True)
        case SourceState.PAUSED:
            return Said("‖", "PAUSED by you", "warn", loud=True)
        case SourceState.BLOCKED:
            return Said("■", f"BLOCKED: {reason}", "bad", loud=True)
        case SourceState.STOPPED:
            return Said("■", f"STOPPED: {reason}" if reason else "STOPPED", "bad", loud=True)
        case _:
            return Said("◌", "CONNECTING", "dim")


def headline(snapshot: Snapshot) -> Said:
    """The state of the whole capture, as the header says it: the connection's, and what else is wrong."""
    said = _of_capture(snapshot)
    if snapshot.stopped:
        return said
    others = [replace(store(sink), words=f"{clean(sink.name)} {store(sink).words}") for sink in snapshot.sinks]
    if all(health.state is not SourceState.BLOCKED for health in snapshot.health):  # else it is said already
        said_of = journal(snapshot.journal)
        others.append(replace(said_of, words=f"JOURNAL {said_of.words}"))
    wrong = [other for other in others if other.loud]
    if not wrong:
        return said
    worst = next((each for each in (said, *wrong) if each.ink == "bad"), wrong[0])
    words = ", ".join(each.words for each in (said, *wrong))
    return Said(said.sign if said.loud and said.ink == worst.ink else worst.sign, words, worst.ink, loud=True)


def _of_capture(snapshot: Snapshot) -> Said:
    if snapshot.stopped:
        return Said("■", f"STOPPED: {clean(snapshot.stopped)}", "bad", loud=True)
    if snapshot.paused:
        return Said("‖", "PAUSED by you", "warn", loud=True)
    health = worst(snapshot)
    return connection(health, snapshot.at) if health else Said("◌", "CONNECTING", "dim")


def journal(status: JournalStatus) -> Said:
    """The journal's state."""
    if status.blocked:
        return Said("■", "BLOCKED", "bad", loud=True)
    if status.low:
        return Said("▲", f"{size_words(status.free or 0)} FREE", "warn", loud=True)
    return Said("●", "ok", "ok")


def store(sink: SinkStatus) -> Said:
    """One sink's state."""
    match sink.state:
        case SinkState.OK if sink.behind:
            return Said("◐", f"{count(sink.behind)} behind", "warn")
        case SinkState.OK:
            return Said("●", "0 behind", "ok")
        case SinkState.DOWN:
            return Said("▲", f"DOWN, {count(sink.behind)} behind", "warn", loud=True)
        case SinkState.REFUSED:
            return Said("■", f"REFUSED, {count(sink.behind)} behind", "bad", loud=True)
        case _:
            return Said("◌", "connecting", "dim")
