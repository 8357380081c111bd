"""The top and the bottom line: what is captured, how it goes, since when; and which keys do what.

Pure: a snapshot and a width in, a Line out. The state is never cut; the query gives way.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from core.snapshot import Snapshot
from tui.actions import ACTIONS, Action
from tui.ink import Line, Span, clip, fit, line_width, spread, take
from tui.keymap import Keys
from tui.sanitise import clean
from tui.words import Said, clock, headline, running, worst

NAME = "bieber-tui"
# The reason of a wait is cut to this many cells before anything else of the header gives way.
LONGEST_STATE = 44
LEAST_BESIDE = 20  # cells that the duration and the query keep on the narrowest screen


def state_span(said: Said, width: int) -> Span:
    """A state with its sign; loud ones as a chip that is seen from across the room."""
    words = f"{said.sign} {said.words}"
    if said.loud:
        return (f" {clip(words, width - 2)} ", f"{said.ink}-chip")
    return (clip(words, width), said.ink)


def draw_header(snapshot: Snapshot, width: int, stopping: bool = False) -> Line:
    """Query, topic, source, state in words, duration of this run, UTC clock."""
    said = _leaving(snapshot) if stopping else headline(snapshot)
    roomy = width >= 100
    right: list[Span] = []
    for chip in ("DEMO" if snapshot.demo else "", snapshot.view.upper()):
        if chip:
            right += [(f" {chip} ", "chip"), ("  ", "dim")]
    health = worst(snapshot)
    if health and width >= 76 and not (snapshot.demo and width < 100):
        right += [(f"{clean(health.source)} · " if not said.loud else f"{clean(health.source)}  ", "dim")]
    right += [state_span(said, min(LONGEST_STATE, width - LEAST_BESIDE))]
    right += [(f"  {running(snapshot.at - snapshot.started_at)}", "text")]
    if width >= 76:
        right += [(f"   {clock(snapshot.at)} UTC" if roomy else f"  {clock(snapshot.at)}", "dim")]
    right += [(" ", "text")]
    room = width - line_width(right)
    left: list[Span] = [(f" {NAME}  ", "accent")] if room > 44 else [(" ", "text")]
    query = _query(snapshot, room - line_width(left) - 2)
    line = spread([*left, *query], right, width)
    # Whatever is wrong colours the whole bar: it is seen from across the room.
    return tuple((text, f"{said.ink}-chip") for text, _ in line) if said.loud else line


def _leaving(snapshot: Snapshot) -> Said:
    return Said("◌", "LEAVING" if snapshot.view else "FLUSHING, then quit", "warn")


def _query(snapshot: Snapshot, room: int) -> list[Span]:
    """Keywords and topic in the room there is; both give way in proportion to their length."""
    keywords, topic = clean(snapshot.keywords), clean(snapshot.topic)
    arrow = " → "
    space = max(room - len(arrow), 0)
    first, second = line_width([(keywords, "")]), line_width([(topic, "")])
    if first + second > space:
        share = max(min(first, space // 2), space - second)
        keywords, topic = clip(keywords, share), clip(topic, space - share)
    return (
        [(keywords, "strong"), (arrow, "dim"), (topic, "strong")]
        if space > 8
        else [(take(keywords, room), "strong")]
    )


def draw_keys(width: int, keys: Keys, on: Set[str] = frozenset(), off: Set[str] = frozenset()) -> Line:
    """The keys that matter, as many as fit.

    `on` names the actions whose label is the other one now, `off` those that can do nothing now.
    """
    labelled = [action for action in ACTIONS if action.label and action.id not in off and keys.of(action.id)]
    kept: set[str] = set()
    used = 1
    for action in sorted(labelled, key=lambda action: action.rank):
        size = line_width(_key(action, keys, on)) + 3
        if used + size > width:
            break
        used += size
        kept.add(action.id)
    spans: list[Span] = [(" ", "dim")]
    for action in labelled:
        if action.id in kept:
            spans += [*_key(action, keys, on), ("   ", "dim")]
    return fit(spans, width)


def _key(action: Action, keys: Keys, on: Set[str]) -> Iterable[Span]:
    label = action.relabel if action.id in on and action.relabel else action.label
    return (keys.name(action.id), f"key@{action.id}"), (f" {label}", f"dim@{action.id}")
