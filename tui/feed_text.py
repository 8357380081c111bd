"""The feed's title, and what stands in the feed while there is nothing to show. Pure."""

from __future__ import annotations

from core.snapshot import Snapshot
from tui.ink import Line, Span, clip, spread, wrap
from tui.ring import Ring
from tui.sanitise import clean
from tui.words import count, headline, span, worst


def draw_title(ring: Ring, width: int) -> Line:
    """What the feed shows, and how; frozen, what waits and how to come back."""
    shows = "matched only" if ring.only_matched else "all posts"
    left: list[Span] = [(" FEED", "title"), (f"  {shows}", "dim@mode")]
    if ring.frozen:
        left += [
            (" · ", "dim"),
            ("frozen", "warn"),
            (" · ", "dim"),
            (f"+{count(ring.waiting)} new", "accent@newest"),
        ]
    else:
        left += [(" · follow", "dim")]
    if ring.needle:
        left += [
            (" · ", "dim"),
            (f"/{clean(ring.needle)}", "accent"),
            (f" {count(len(ring.shown))} found", "text"),
        ]
    right: list[Span] = []
    if ring.frozen:
        right = [("space", "key@newest"), (" follow ", "dim")]
    elif ring.needle:
        right = [("esc", "key@clear"), (" clear ", "dim")]
    elif width >= 70:
        right = [("/", "key@filter"), (" filter ", "dim")]
    return spread(left, right, width)


def draw_empty(snapshot: Snapshot, ring: Ring, width: int) -> list[Line]:
    """What is being waited for, and what a newcomer can press."""
    room = min(width - 4, 64)
    topic, keywords = clean(snapshot.topic), clean(snapshot.keywords)
    if ring.needle:
        return [
            ((f"Nothing in {ring.held:,} posts has ", "text"), (clip(clean(ring.needle), room - 30), "accent")),
            (),
            _hint("esc", "clear the filter"),
        ]
    if snapshot.last_seq and ring.only_matched:
        came = f"{snapshot.run.consumed:,} posts came; none of them is about"
        return [
            ((came, "text"),),
            ((clip(topic, room), "strong"),),
            (),
            _hint("t", "show all posts, also those"),
            _hint("k", "change keywords or topic"),
        ]
    said, health = headline(snapshot), worst(snapshot)
    lines: list[Line] = []
    if snapshot.stopped:
        lines += [((text, "bad"),) for text in wrap(f"The capture has ended: {clean(snapshot.stopped)}", room)]
    elif health is not None and health.state.connected:
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
        lines.append(((f"{said.sign} {clip(said.words.capitalize(), room)}", said.ink),))
        lines.append((("Posts appear here as soon as the connection is there.", "dim"),))
    if snapshot.stopped:
        return [*lines, (), _hint("l", "read the event log"), _hint("q", "quit; nothing is lost")]
    return [
        *lines,
        (),
        _hint("p", "resume the capture" if snapshot.paused else "pause the capture"),
        _hint("k", "change keywords or topic"),
        _hint("?", "every key, and what the numbers mean"),
        _hint("q", "quit; nothing is lost"),
    ]


def _hint(key: str, words: str) -> Line:
    return ((f"{key:>5}", "key"), (f"   {words}", "dim"))
