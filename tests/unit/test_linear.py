"""No input takes quadratic time: eight times the input takes about eight times as long, never sixty-four.

The margin is wide (30 times), the times are of the processor, the best of three counts: a busy machine does not
make a test fail. What is bounded in length (a query) is tried up to its bound.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from core.errors import QueryError, Undecodable
from core.marks import MOST, bounded
from core.post import Post
from core.query import TOPIC_LENGTH, parse_topic
from core.query.text import normalise
from core.snapshot import FeedRow, Verdict
from core.sources.x.answers import in_stream, of_http
from core.sources.x.decode import decode
from core.sources.x.framing import Lines
from tui.dialogs.detail import draw_post
from tui.sanitise import clean, clean_lines

TIMES, MARGIN = 8, 30
SHORTEST = 5e-4  # seconds below which a clock says little


def seconds(work: Callable[[str], object], text: str, rounds: int) -> float:
    best = float("inf")
    gc.disable()  # its rounds grow with what the test holds, not with what is measured
    try:
        for _ in range(rounds):
            start = time.process_time()
            work(text)
            best = min(best, time.process_time() - start)
    finally:
        gc.enable()
    return best


def takes_linear_time(
    work: Callable[[str], object], unit: str, longest: int, before: str = "", after: str = ""
) -> None:
    def filled(length: int) -> str:
        return before + unit * (length // len(unit)) + after

    work(filled(100))  # what is loaded and compiled once
    for rounds in (3, 10, 30):  # the more others disturb the measuring, the more of it
        few = seconds(work, filled(longest // TIMES), rounds)
        if (many := seconds(work, filled(longest), rounds)) < MARGIN * max(few, SHORTEST):
            break
    assert many < MARGIN * max(few, SHORTEST)


JUNK = [
    *("a", "0", " ", "(", ")", "()", "[", "<", "<a", "@", "#", "@a", "#a", "$a", ".", "..", "a.", "a.b@", "a-", "--", "-"),
    *("'", '"', "\\", "/", "//", ":", "://", "http://", "https://a.co/", "a.co/(", "&", "&#", "&amp;", "&#1", "%", "_", "+1"),
    *("\n", "\r", "\t", "\0", "\x1b[", "é", "e\u0301", "\u0301\u0316", "\u0f73", "\u200b", "\u202e", "ﷺ", "ΐ", "好", "हि"),
    *("🎵", "👍🏽", "👩\u200d", "🇨", "🎵a/", "a.co/«", "music ", "music 🎵 ", "a/.", "1-", "ｶﾞ", "\uff9e", "\u1100\u1161"),
]  # fmt: skip


def as_post(text: str) -> bytes:
    return json.dumps({"data": {"id": "1", "text": "t" + text}}).encode()


@pytest.mark.parametrize("junk", JUNK, ids=ascii)
def test_reading_a_post(junk):
    takes_linear_time(lambda text: decode(as_post(text)), junk, 80_000)


@pytest.mark.parametrize("junk", JUNK, ids=ascii)
def test_normalising_a_text(junk):
    takes_linear_time(normalise, junk, 80_000)


TOPIC = parse_topic('"music junk" OR "music 🎵"~4 OR #music OR 🎤 OR "\U0001f3b5 \U0001f3a4" OR $a OR url:junk')


@pytest.mark.parametrize("junk", JUNK, ids=ascii)
def test_matching_and_marking_a_post(junk):
    def look(text: str) -> None:
        TOPIC.match(Post(source="x", id="1", text=text, tags=(text[:50],)))
        TOPIC.spans(text)

    takes_linear_time(look, junk, 16_000, "junk music 🎤 🎵 ", " 🎵")


@pytest.mark.parametrize("junk", JUNK, ids=ascii)
def test_showing_a_post(junk):
    def show(text: str) -> None:
        clean(text)
        clean_lines(text)
        post = Post(source="x", id="1", text=text, quoted_text=text, tags=tuple(text[:2_000]), links=(text,))
        draw_post(FeedRow(1, post, Verdict.MATCHED, (), 0.0), 80, None)

    takes_linear_time(show, junk, 16_000)


@pytest.mark.parametrize(
    ("unit", "before", "after"),
    [
        ("[", "", ""),
        ('{"a":', "", ""),
        ('{"data":', "", ""),
        ("[],", "[", "1]"),
        (" ", '{"data":', "{}}"),
        (" ", "", '{"errors":1}'),
        (" ", '{"title" ', ":1}"),
        (
            '{"id":"1","username":"u"},',
            '{"data":{"id":"1","text":"t","author_id":"2"},"includes":{"users":[',
            "{}]}}",
        ),
        ('{"id":"1","text":"u"},', '{"data":{"id":"1","text":"t"},"includes":{"tweets":[', "{}]}}"),
        (
            '{"type":"retweeted","id":"2"},',
            '{"data":{"id":"1","text":"t","referenced_tweets":[',
            '{}]},"includes":{"tweets":[{"id":"2"}]}}',
        ),
        ('{"tag":"a"},', '{"data":{"id":"1","text":"t","entities":{"hashtags":[', "{}]}}}"),
        ('"a":1,', '{"data":{"id":"1","text":"t","public_metrics":{', '"b":1}}}'),
        ('"text":"t",', '{"data":{"id":"1",', '"text":7}}'),
        ("9", '{"data":{"id":"1","text":"t"},"x":', "}"),
        ("9", '{"data":{"id":', ',"text":"t"}}'),
        ("\\\\", '{"errors":"', '"}'),
        ("\\ud800", '{"errors":"', '"}'),
        ('{"errors":', "", "1"),
        ('{"title":"t","detail":"d"},', '{"errors":[', "{}]}"),
    ],
    ids=ascii,
)
def test_reading_json_of_any_shape(unit, before, after):
    def read(text: str) -> None:
        line = text.encode()
        in_stream(line)
        of_http(500, "", {}, line, 0.0)
        with suppress(Undecodable):
            decode(line)

    takes_linear_time(read, unit, 320_000, before, after)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_cutting_a_stream_into_lines(size):
    def cut(text: str) -> None:
        data = text.encode()
        lines = Lines(longest=100_000)
        for start in range(0, len(data), size):
            lines.feed(data[start : start + size])

    for unit in ("a", "\n", "a\r\n", "\r"):
        takes_linear_time(cut, unit, 160_000)


@pytest.mark.parametrize(
    ("unit", "before", "after"),
    [
        *(
            (unit, "", "")
            for unit in ("(", ")", "()", "(a ", "(a) ", "-", "-a ", "-(", '"', '"a', '""', '"a b" ', "a ", "a")
        ),
        *(
            (unit, "", "")
            for unit in ("a OR ", "OR ", "a OR b ", "and ", "#", "#a ", "#a", "@a.", "@a-b ", "$a ", "$AB.", "🎵")
        ),
        *(
            (unit, "", "")
            for unit in (":", "a:", "from:", "from:a ", "from:a.", "lang:en ", "url:a ", "url_contains:a ")
        ),
        *(
            (unit, "", "")
            for unit in (
                "é",
                "\u0301",
                "\u0301\u0316",
                "a\u0301\u0316",
                "a-",
                "a'",
                "a.",
                "a/",
                "~",
                "\t",
                "\ud800",
            )
        ),
        ("a OR ", "", "a"),
        ('"a b" OR ', "", "c"),
        ("🎵 OR ", "", "c"),
        ("a (b OR ", "", "c"),
        ("(a OR -", "", "b"),
        ("a ", '"', '"'),
        ("a ", '"', '"~6'),
        ("a b ", '"', '"~2 OR c'),
        (" ", "url:", "a"),
        (" ", 'url:"', '"'),
        ("a", "", ":x"),
        ("_", "a", ":x"),
        ("1", "followers_count:", ""),
        ("1..", "followers_count:", ""),
        ("-aa", "lang:en", ""),
        ("1 ", "point_radius:[", "]"),
        (" ", "point_radius:[1", "2 3km]"),
        (" 1", "bounding_box:[", "]"),
        ("1", "context:", ".*"),
        ("0", "embedding_threshold:0.", "x"),
    ],
    ids=ascii,
)
def test_reading_a_query_and_asking_it(unit, before, after):
    post = Post(source="x", id="1", text="a b c 🎵 " * 200, tags=("a",), links=("https://a.co/b",))

    def ask(text: str) -> None:
        with suppress(QueryError):
            query = parse_topic(text)
            query.match(post)
            query.spans(post.text[:200])

    takes_linear_time(ask, unit, TOPIC_LENGTH - len(before) - len(after), before, after)


def test_marks_that_follow_many_others_are_dropped_and_nothing_else_is():
    flood = "\u0301\u0316" * MOST
    assert bounded(f"a{flood}b{flood[:MOST]}c") == f"a{flood[:MOST]}b{flood[:MOST]}c"
    assert bounded("\u0f73" * 9_000) == "\u0f73" * MOST
    assert bounded("ｶ" + "ﾞ" * 9_000) == "ｶ" + "ﾞ" * MOST
    for text in ("", "a" * 9_000, "é" * 9_000, "e\u0301" * 9_000, "हिन्दी " * 900, "👍🏽" * 900):
        assert bounded(text) == text
