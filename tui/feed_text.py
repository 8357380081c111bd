"""The feed's title, the filter's line, and what stands in the feed while there is nothing to show. Pure."""

from __future__ import annotations

from core.errors import QueryError
from core.filter import Mode, Wanted
from core.snapshot import Snapshot
from tui.ink import Line, Span, clip, fit, line_width, spread, wrap
from tui.keymap import Keys
from tui.ring import Ring, Show
from tui.sanitise import clean
from tui.stored import Stored
from tui.words import clock, count, headline, moment, span, worst

SHOWS = {Show.MATCHED: "matched only", Show.CONTEXT: "matched in context", Show.ALL: "all posts"}
READINGS = {
    Mode.TEXT: ("text", "in author or text, in any case"),
    Mode.WORDS: ("words", "each word whole, in any order"),
    Mode.REGEX: ("regex", "a regular expression"),
    Mode.QUERY: ("query", "as a topic: from:ana -news"),
}
DOT: Span = (" · ", "dim")
ROOM_FOR_READING = 24  # cells from which what is looked for is said with its reading


def wanted_words(wanted: Wanted, room: int) -> list[Span]:
    """What is looked for, in few words; nothing when that is everything."""
    spans: list[Span] = []
    if wanted.starred:
        spans += [("★ only", "accent@starred")]
    if wanted.text:
        spans += [DOT] if spans else []
        if wanted.mode is not Mode.TEXT and room >= ROOM_FOR_READING:
            spans.append((f"{READINGS[wanted.mode][0]} ", "dim"))
        slash = "/" if wanted.mode is Mode.TEXT else ""
        spans.append((clip(f"{slash}{clean(wanted.text)}", max(room - line_width(spans), 6)), "accent"))
    return spans


def draw_title(ring: Ring, stored: Stored | None, now: float, width: int, keys: Keys) -> Line:
    """What the feed shows, and how; frozen, what waits and how to come back."""
    if stored is not None:
        return _stored_title(ring, stored, now, width, keys)
    left: list[Span] = [(" FEED", "title"), (f"  {SHOWS[ring.show]}", "dim@mode")]
    if ring.frozen:
        left += [DOT, ("frozen", "warn"), DOT, (f"+{count(ring.waiting)} new", "accent@newest")]
    else:
        left += [(" · follow", "dim")]
    right: list[Span] = []
    if ring.frozen:
        right = _key(keys, "freeze", "follow", "newest")
    elif ring.wanted:
        right = _key(keys, "clear", "clear", "clear")
    elif width >= 70:
        right = _key(keys, "filter", "filter", "filter")
    if ring.wanted:
        found: Span = (f" {count(ring.found)} found", "text")
        room = width - line_width([*left, *right, DOT, found]) - 2
        left += [DOT, *wanted_words(ring.wanted, room), found]
    return spread(left, right, width)


def _stored_title(ring: Ring, stored: Stored, now: float, width: int, keys: Keys) -> Line:
    left: list[Span] = [
        (" STORED", "title"),
        (f"  {'all posts' if stored.wanted.unmatched else 'matched only'}", "dim@mode"),
    ]
    found: list[Span] = [DOT, (f"{count(len(stored.shown))} found", "text")]
    if stored.searching:
        found.append((" …", "accent"))
    if stored.problem:
        found += [DOT, (clean(stored.problem), "bad")]
    elif stored.place is None:
        found.append((", all searched", "dim"))
    elif stored.back_to is not None:
        back = clock(stored.back_to) if now - stored.back_to < 86_400 else moment(stored.back_to)[:10]
        found.append((f", back to {back}", "dim"))
    if ring.waiting:
        found += [DOT, (f"+{count(ring.waiting)} new", "accent@newest")]
    right = _key(keys, "clear", "live feed", "clear")
    if stored.wanted.text or stored.wanted.starred:
        room = width - line_width([*left, *found, *right, DOT]) - 2
        left += [DOT, *wanted_words(stored.wanted, room)]
    return spread([*left, *found], right, width)


def _key(keys: Keys, action: str, label: str, click: str) -> list[Span]:
    name = keys.name(action)
    return [(name, f"key@{click}"), (f" {label} ", "dim")] if name else []


def draw_reading(mode: Mode, width: int) -> Line:
    """How the filter's text is read, before the field."""
    return fit([(" ", "dim"), (READINGS[mode][0], "key@reading")], width)


def draw_filter_help(mode: Mode, fault: QueryError | None, slow: bool, width: int, keys: Keys) -> Line:
    """What stands behind the filter's field: what is wrong with it, or what it does and what can be pressed."""
    if fault is not None:
        place = f" at {fault.position}" if fault.position else ""
        return fit([("✗ ", "bad"), (f"{clean(fault.message)}{place}", "bad")], width)
    if slow:
        return fit([("▲ ", "warn"), ("takes too long over a post: find less greedily", "warn")], width)
    pressed: list[Span] = []
    for action, label in (("search", "all stored"), ("reading", "other reading"), ("clear", "clear")):
        more = [(keys.name(action), f"key@{action}"), (f" {label}  ", "dim")]
        if keys.name(action) and line_width([*pressed, *more]) <= width:
            pressed += more
    says: Span = (READINGS[mode][1], "dim")
    room = width - line_width(pressed)
    return spread([says] if line_width([says]) + 2 <= room else [], pressed, width)


def draw_empty(snapshot: Snapshot, ring: Ring, stored: Stored | None, width: int, keys: Keys) -> list[Line]:
    """What is being waited for, and what a newcomer can press."""
    room = min(width - 4, 64)
    topic, keywords = clean(snapshot.topic), clean(snapshot.keywords)

    def hint(action: str, words: str) -> Line:
        return ((f"{keys.name(action) or '-':>5}", "key"), (f"   {words}", "dim"))

    if stored is not None:
        if not stored.ended:
            return [(("Searching what is stored …", "text"),), (), hint("clear", "back to the live feed")]
        said = tuple(wanted_words(stored.wanted, room - 30)) or (("to show", "text"),)
        return [(("Nothing is stored: ", "text"), *said), (), hint("clear", "back to the live feed")]
    if ring.wanted:
        return [
            ((f"Nothing in {ring.held:,} posts in memory: ", "text"), *wanted_words(ring.wanted, room - 30)),
            (),
            hint("clear", "clear the filter"),
            hint("filter", "change it; enter searches everything stored"),
        ]
    if snapshot.last_seq and ring.show is not Show.ALL:
        came = f"{snapshot.run.consumed:,} posts came; none of them is about"
        return [
            ((came, "text"),),
            ((clip(topic, room), "strong"),),
            (),
            hint("mode", "show all posts, also those"),
            hint("keywords", "change keywords or topic"),
        ]
    said_state, health = headline(snapshot), worst(snapshot)
    lines: list[Line] = []
    if snapshot.stopped:
        lines += [((text, "bad"),) for text in wrap(f"The capture has ended: {clean(snapshot.stopped)}", room)]
        return [*lines, (), hint("log", "read the event log"), hint("quit", "quit; nothing is lost")]
    if health is not None and health.state.connected:
        lines += [
            (("Waiting for the first post that mentions", "text"),),
            ((clip(keywords, room), "strong"),),
            (),
            ((f"Connected for {span(snapshot.at - health.since)}. Posts appear here as they come;", "dim"),),
            (("a rare keyword can take minutes.", "dim"),),
        ]
    elif snapshot.paused:
        lines.append((("The capture is paused: nothing is received, nothing is billed.", "text"),))
    else:
        lines.append(((f"{said_state.sign} {clip(said_state.words.capitalize(), room)}", said_state.ink),))
        lines.append((("Posts appear here as soon as the connection is there.", "dim"),))
    return [
        *lines,
        (),
        hint("pause", "resume the capture" if snapshot.paused else "pause the capture"),
        hint("keywords", "change keywords or topic"),
        hint("help", "every key, and what the numbers mean"),
        hint("quit", "quit; nothing is lost"),
    ]
