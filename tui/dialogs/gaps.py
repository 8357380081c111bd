"""The gaps of this data folder, newest first: when, how long, why, and what became of them. Live while open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from core.snapshot import Gap, Snapshot
from tui.dialogs.sheet import Sheet
from tui.ink import Line, Span, fit, wrap
from tui.keymap import Keys
from tui.sanitise import clean
from tui.words import UNKNOWN, clock, count, moment, plural, span

_FILLED = {"no": ("not filled", "warn"), "partly": ("partly filled", "warn"), "yes": ("filled", "ok")}
WIDE = 74  # cells from which the end has a column too


def gap_state(gap: Gap, snapshot: Snapshot) -> Span:
    """What became of a gap, in words."""
    if gap.end is None:
        return ("still open", "warn")
    if snapshot.filling is not None and snapshot.filling.gap == gap.number:
        return ("being filled", "accent")
    if gap.chosen and gap.filled == "no":
        return ("a pause", "dim")
    return _FILLED[gap.filled]


def draw_gaps(snapshot: Snapshot, width: int) -> list[Line]:
    """What they come to, then each with its reason, in lines of `width` cells."""
    if not snapshot.gaps:
        words = "No gaps: since the first start everything that was sent was received."
        return [((text, "text"),) for text in wrap(words, width)]
    lines = [*_totals(snapshot, width), (), fit(_columns(("start (UTC)", "end", "length"), width), width)]
    for gap in reversed(snapshot.gaps):
        end = UNKNOWN if gap.end is None else clock(gap.end)
        length = span((snapshot.at if gap.end is None else gap.end) - gap.start)
        lines.append(
            fit([*_columns((moment(gap.start)[:19], end, length), width, "text"), gap_state(gap, snapshot)], width)
        )
        for words in _reason(gap, snapshot):
            lines += [(("    ", "dim"), (text, "dim")) for text in wrap(words, width - 4)]
    hidden = snapshot.gap_count - len(snapshot.gaps)
    if hidden > 0:
        lines += [(), *(((text, "dim"),) for text in wrap(f"{count(hidden)} older ones: bieber-tui gaps", width))]
    return lines


def _columns(cells: tuple[str, str, str], width: int, ink: str = "dim") -> list[Span]:
    start, end, length = cells
    middle = f"{end:<10}" if width >= WIDE else ""
    return [(f"{start:<21}{middle}", ink), (f"{length:>10}", "strong" if ink == "text" else ink), ("   ", "dim")]


def _reason(gap: Gap, snapshot: Snapshot) -> list[str]:
    said = clean(gap.reason)
    if gap.fetched:
        said += f"; {plural(gap.fetched, 'post')} fetched"
    filling = snapshot.filling
    now = filling.words if filling is not None and filling.gap == gap.number else ""
    return [said, *(clean(words) for words in (gap.why, now) if words)]


def _totals(snapshot: Snapshot, width: int) -> list[Line]:
    gaps = snapshot.gaps
    whole = sum((snapshot.at if gap.end is None else gap.end) - gap.start for gap in gaps)
    became = Counter("pauses" if gap.chosen and gap.filled == "no" else gap.filled for gap in gaps)
    words = [f"{plural(snapshot.gap_count, 'gap')}, {span(whole)} in all"]
    named = (("filled", "yes"), ("partly", "partly"), ("not filled", "no"), ("pauses", "pauses"))
    words += [f"{name} {count(became[kind])}" for name, kind in named if became[kind]]
    return [((text, "strong"),) for text in wrap(" · ".join(words), width)]


def gaps_sheet(moment_now: Callable[[], Snapshot], keys: Keys) -> Sheet:
    """The gaps as a sheet that stays live."""
    return Sheet("Gaps", lambda width: draw_gaps(moment_now(), width), f"{keys.name('close')} close", live=True)
