"""The event log: everything that happened in this run, newest first."""

from __future__ import annotations

from core.snapshot import Gap, Snapshot
from tui.dialogs.sheet import Sheet
from tui.ink import Line
from tui.keymap import Keys
from tui.sanitise import clean
from tui.side import event_lines, gap_words
from tui.words import plural

GAPS_SHOWN = 50


def draw_log(snapshot: Snapshot, width: int) -> list[Line]:
    """Events, then the last gaps of the life, in lines of `width` cells."""
    lines: list[Line] = []
    for event in reversed(snapshot.events):
        lines += event_lines(event, width)
    if not lines:
        lines.append((("Nothing has happened yet.", "dim"),))
    if snapshot.gaps:
        lines += [(), ((plural(snapshot.gap_count, "gap"), "title"), ("  in this data folder", "dim"))]
        lines += [_gap(gap, snapshot) for gap in snapshot.gaps[: -GAPS_SHOWN - 1 : -1]]
    return lines


def _gap(gap: Gap, snapshot: Snapshot) -> Line:
    why = f"; {clean(gap.why)}" if gap.why else ""
    return (
        (f"{clean(gap.source)}  ", "dim"),
        (gap_words(gap, snapshot), "text"),
        (f"  {clean(gap.reason)}{why}", "dim"),
    )


def log_sheet(snapshot: Snapshot, keys: Keys) -> Sheet:
    """The log of this moment as a sheet."""
    return Sheet("Event log", lambda width: draw_log(snapshot, width), f"{keys.name('close')} close")
