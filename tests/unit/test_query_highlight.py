"""Where the terms stand: in the text as it is shown, and only where match finds them."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import QueryError
from core.post import Post
from core.query import highlight, parse_keywords, parse_topic
from core.query.highlight import _aligned
from core.query.text import normalise
from tests.strategies import QUERIES, TERMS, TEXTS


@pytest.mark.parametrize(
    ("query", "text", "shown"),
    [
        ("music", "Music, pop-music and musical", ["Music", "music"]),
        ("music", "mu\u200bsic 🎵 ｍｕｓｉｃ 𝗺𝘂𝘀𝗶𝗰’s", ["mu\u200bsic", "ｍｕｓｉｃ", "𝗺𝘂𝘀𝗶𝗰"]),
        ("music OR #music", "#Music @music", ["#Music", "music"]),
        (
            "#music OR @music OR $twtr",
            "#music #musical @music @music_ $TWTR a#music",
            ["#music", "@music", "$TWTR"],
        ),
        ('"justin bieber"', "Justin-Bieber, justin  bieber; justin x bieber", ["Justin-Bieber", "justin  bieber"]),
        ('"la la"', "la la la la la", ["la la", "la la"]),
        ('"love music"', "love https://x.com music; love music", ["love music"]),
        ('"social media"~2', "media of the social media and media", ["social media"]),
        ('"happy birthday"~3', "happy 25th birthday", ["happy 25th birthday"]),
        ("straße", "STRASSE straße", ["STRASSE", "straße"]),
        ("café", "cafe\u0301 CAFÉ cafe", ["cafe\u0301", "CAFÉ"]),
        ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8 한국", ["\u1112\u1161\u11ab\u1100\u116e\u11a8", "한국"]),
        ("🎵 👍🏽 👩‍🎤", "🎵👍🏽👍 👩‍🎤", ["🎵", "👍🏽", "👩‍🎤"]),
        ("cat -dog", "cat dog", ["cat"]),
        ("cat lang:en -(a b)", "cat a b en", ["cat"]),
        ('"justin bieber" OR bieber', "justin bieber bieber", ["justin bieber", "bieber"]),
        ("ﬁne", "fine ﬁne", ["fine", "ﬁne"]),
        ("x²", "x2", ["x2"]),
    ],
)
def test_spans_are_ranges_of_the_shown_text(query, text, shown):
    assert [text[start:end] for start, end in parse_topic(query).spans(text)] == shown


def test_keywords_with_operators_of_x_can_be_highlighted():
    assert parse_keywords("cat has:media").spans("a cat") == [(2, 5)]


@settings(max_examples=800, deadline=None)
@given(
    TEXTS,
    st.sampled_from(["music", "a", '"justin bieber"', '"a b"', "🎵", "é", "ss", "fi", '"music a"~4', "http"]),
)
def test_spans_agree_with_the_verdict(text, query):
    topic = parse_topic(query)
    spans = topic.spans(text)
    assert bool(spans) == (topic.match(Post(source="x", id="1", text=text)) is not None)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


@given(
    text=st.one_of(TEXTS, QUERIES, st.lists(TERMS, max_size=4).map(" ".join)),
    query=st.one_of(QUERIES, st.lists(TERMS, min_size=1, max_size=3).map(" OR ".join)),
)
@settings(max_examples=800, deadline=None)
def test_what_is_found_at_a_glance_is_what_the_tokenizer_finds(text, query):
    try:
        finder = parse_keywords(query)._highlighter
    except QueryError:
        return
    found = finder.spans(text)
    finder._needles = finder._units_for = frozenset(("",))  # which every text has
    assert finder.spans(text) == found


@settings(max_examples=500, deadline=None)
@given(st.one_of(TEXTS, st.text(alphabet="e\u0301\u0323\u1112\u1161\u11abｶﾞ\u200bﬁ \u0d47\u0d3e\n", max_size=12)))
def test_every_character_that_is_compared_has_its_place_in_the_text(text):
    normal = normalise(text)
    starts, ends = _aligned(text, normal)
    assert len(starts) == len(ends) == len(normal)


@settings(max_examples=500, deadline=None)
@given(st.one_of(TEXTS, st.text(alphabet="aE\u0301音Éİß…⏎ｶﾞ\u200bﬁ \u0d47\u0d3e\udfff", max_size=12)))
def test_characters_are_taken_one_by_one_only_where_clusters_come_to_the_same(text):
    normal = normalise(text)
    quick = [list(places) for places in _aligned(text, normal)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(highlight, "_is_lowered", lambda *_: False)
        patch.setattr(highlight, "_one_for_one", dict.fromkeys(map(ord, text), "\udfff\udfff"))
        assert [list(places) for places in _aligned(text, normal)] == quick


@pytest.mark.parametrize("unit", ["music ", "la ", "#music", "é/", "🎵", "e\u0301"])
def test_highlighting_takes_linear_time(unit):
    topic = parse_topic('music OR #music OR "la la la la b" OR "music la"~6 OR "🎵 🎵 a"')

    def seconds(length):
        text = unit * (length // len(unit))
        best = 9e9
        for _ in range(3):
            start = time.process_time()
            topic.spans(text)
            best = min(best, time.process_time() - start)
        return best

    seconds(100)
    # Eight times the text: 8 if linear, 64 if quadratic.
    assert seconds(32_000) < 30 * max(seconds(4_000), 1e-4)
