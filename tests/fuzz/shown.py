"""A text on the screen: exactly as wide as its place, and nothing in it that drives or confuses a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from core.filter import Wanted, compile_filter
from core.plain import one_line
from core.post import Author, Post
from core.query import parse_topic
from core.snapshot import FeedRow, Verdict
from tests.hostile import STRINGS
from tui.dialogs.detail import draw_post
from tui.ink import Line, line_width
from tui.row import draw_row

TOPIC = parse_topic('music OR "a b" OR 🎵')
FORBIDDEN = frozenset({"Cc", "Cs", "Co", "Cn", "Cf", "Zl", "Zp"})


def harmless(line: Line) -> None:
    """No control, no half character, nothing that hides or turns text, nothing to click."""
    for text, ink in line:
        assert not {char for char in text if char != "\u200c" and unicodedata.category(char) in FORBIDDEN}
        assert "@" not in ink


def shows(text: str, width: int) -> None:
    """As a row of the feed, as a post in full, and in a log."""
    post = Post(source="x", id="1", text=text, author=Author("1", text, text), tags=(text,), links=(text, text))
    row = FeedRow(1, post, Verdict.MATCHED, ("music",), 0.0)
    line = draw_row(row, width, TOPIC.spans, compile_filter(Wanted(text[:3])).spans)
    assert line_width(line) == width
    harmless(line)
    for line in draw_post(row, width, TOPIC.spans):
        harmless(line)
    assert one_line(text).isprintable()


def check(data: bytes) -> None:
    """The first byte is the width."""
    if data:
        shows(data[1:].decode("utf-8", "replace"), 20 + data[0])


def seeds() -> Iterator[bytes]:
    """Hostile strings."""
    for width, string in enumerate(STRINGS.values()):
        yield bytes([2 * width]) + string[:300].encode("utf-8", "surrogatepass")
