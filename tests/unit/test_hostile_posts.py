"""Every hostile line through every step that works on one post: nothing raises, nothing hangs, nothing is lost."""

from __future__ import annotations

import unicodedata

import bson
import pytest

from core.errors import Undecodable
from core.filter import Wanted, compile_filter
from core.opinion import SHOWN, text_hash
from core.post import Author, Post, Ref
from core.query import LONGEST_POST, parse_topic
from core.sinks.base import StoredRow
from core.sinks.mongodb_document import MAX_BYTES, encode
from core.snapshot import FeedRow, Verdict
from core.sources.x.answers import in_stream
from core.sources.x.decode import decode
from tests import hostile
from tui.dialogs.detail import draw_post
from tui.ink import line_width
from tui.row import draw_row

WORD = parse_topic("music OR #music")
MUSIC = compile_filter(Wanted("music")).spans
EVERYTHING = parse_topic(
    '"music end" OR "music 🎵" OR "end music"~4 OR url:example OR @jb OR $ab OR has:cashtags OR 🎤'
)

# What must never be in a line that is drawn: controls, half characters, and what turns or hides text. A non-joiner
# may stand between two letters.
FORBIDDEN = frozenset({"Cc", "Cs", "Co", "Cn", "Cf", "Zl", "Zp"})


def raw_characters(text: str) -> set[str]:
    return {char for char in text if char != "\u200c" and unicodedata.category(char) in FORBIDDEN}


def through_the_steps(line: hostile.Line) -> None:
    assert in_stream(line.raw) is None, "taken for an error of X"
    try:
        post = decode(line.raw)
    except Undecodable as error:
        assert str(error).isprintable()
        assert not line.consumed, str(error)
        return
    assert line.consumed
    assert post.id == post.id.strip()
    assert decode(line.raw) == post
    matched = WORD.match(post)
    EVERYTHING.match(post)
    text_hash(post.text)
    stored = StoredRow("capture", 1, post, matched or (), 1_793_000_000.0, False, line.raw)
    for raw in (False, True):
        encoded = encode(stored, raw=raw)
        assert len(encoded) <= MAX_BYTES
        assert bson.decode(encoded)["_id"] == f"x:{post.id}".encode("utf-8", "replace").decode()
    row = FeedRow(1, post.within(SHOWN), Verdict.MATCHED, matched or (), 1_793_000_000.0)
    lines = [draw_row(row, 100, EVERYTHING.spans, MUSIC), *draw_post(row, 100, EVERYTHING.spans)]
    assert line_width(lines[0]) == 100
    for drawn in lines:
        assert not raw_characters("".join(text for text, _ in drawn))
        assert all("@" not in ink for _, ink in drawn), "a text to click"


@pytest.mark.parametrize(
    "lines", [hostile.hostile_strings, hostile.broken, hostile.wrong_types], ids=lambda lines: lines.__name__
)
def test_a_hostile_line_is_a_post_or_has_a_reason(lines):
    failed = {}
    for line in lines():
        try:
            through_the_steps(line)
        except Exception as error:
            failed[line.name] = repr(error)[:300]
    assert not failed


@pytest.mark.parametrize("line", [pytest.param(line, id=line.name) for line in hostile.heavy(500_000)])
def test_a_huge_line_is_a_post_or_has_a_reason(line):
    through_the_steps(line)  # what takes quadratic time does not end within the time limit of a test


def monster() -> Post:
    return Post(
        source="x",
        id="1",
        text="t" * 300,
        author=Author("5", "u" * 50, "n" * 50),
        quoted_text="q" * 300,
        tags=("a",) * 30 + ("b" * 100,) * 3,
        mentions=("m",) * 1000,
        links=("l" * 1000,),
        metrics={f"count {number}": number for number in range(1000)},
        refs=tuple(Ref("quoted", str(number)) for number in range(1000)),
    )


def characters(post: Post) -> int:
    words = (*post.tags, *post.mentions, *post.links, *post.metrics)
    return sum(map(len, (post.text, post.quoted_text, post.author.username, post.author.name, *words)))


@pytest.mark.parametrize("most", [0, 1, 299, 300, 320, 400, 700, 760, 900, 1100, 3000, 10_000])
def test_a_post_within_bounds_is_its_beginning(most):
    whole = monster()
    part = whole.within(most)
    assert characters(part) + len(part.refs) <= most
    assert (part.id, part.author.id, part.created_at) == (whole.id, whole.author.id, whole.created_at)
    assert whole.text.startswith(part.text)
    assert len(part.text) == min(300, most)
    for name in ("tags", "mentions", "links"):
        some, every = getattr(part, name), getattr(whole, name)
        assert some[:-1] == every[: len(some[:-1])]
        assert not some or every[len(some) - 1].startswith(some[-1])
    assert part.metrics.items() <= whole.metrics.items()
    assert part.refs == whole.refs[: len(part.refs)]


def test_a_post_that_fits_is_the_post_itself():
    for post in (Post(source="x", id="1", text=""), Post(source="x", id="1", text="music" * 5_000, tags=("a",))):
        assert post.within(SHOWN) is post
    whole = monster()
    assert whole.within(100_000) is whole


def test_a_post_is_looked_at_to_its_bound_and_stored_whole():
    late = Post(source="x", id="1", text="a " * (LONGEST_POST // 2) + "music")
    assert parse_topic("music").match(late) is None
    assert parse_topic("a").match(late) == ("a",)
    assert parse_topic("music").match_plain(late) is None
    just = Post(source="x", id="1", text=late.text[2:])
    assert parse_topic("mus").match(just) is None
    assert parse_topic("music").match(Post(source="x", id="1", text=late.text[6:])) == ("music",)
