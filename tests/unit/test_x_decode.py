"""A line of X becomes a Post whatever shape it has, or is Undecodable with a reason, and nothing else ever."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Undecodable
from core.post import Author, Post, Ref
from core.sources.x import decode as module
from core.sources.x.decode import decode


def line(**data) -> bytes:
    return json.dumps({"data": {"id": "17", "text": "music", **data}}).encode()


RETWEET = {
    "data": {
        "id": "2", "text": "RT @radio: a very long text abo…", "author_id": "9",
        "referenced_tweets": [{"type": "retweeted", "id": "1"}],
        "entities": {"mentions": [{"username": "radio"}], "hashtags": [{"tag": "abo"}]},
    },
    "includes": {
        "users": [{"id": "9", "username": "ana", "name": "Ana"}],
        "tweets": [{"id": "1", "text": "a very long text about #music &amp; more",
                    "entities": {"hashtags": [{"tag": "music"}],
                                 "urls": [{"url": "https://t.co/a", "expanded_url": "https://example.org/song"}]}}],
    },
}  # fmt: skip


def test_a_retweet_has_the_whole_text_of_its_original_and_both_ones_mentions():
    post = decode(json.dumps(RETWEET).encode())
    assert post.text == "a very long text about #music & more"
    assert (post.tags, post.mentions, post.links) == (("music",), ("radio",), ("https://example.org/song",))
    assert post.refs == (Ref("retweeted", "1"),)
    assert post.author == Author("9", "ana", "Ana")


def test_a_retweet_without_its_original_keeps_the_text_that_there_is():
    assert decode(json.dumps({"data": RETWEET["data"]}).encode()).text == "RT @radio: a very long text abo…"


def test_a_long_post_has_the_text_and_the_words_of_its_note():
    note = {"text": "long &lt;3 #deep", "entities": {"hashtags": [{"tag": "deep"}]}}
    post = decode(line(text="long…", note_tweet=note, entities={"hashtags": [{"tag": "cut"}]}))
    assert (post.text, post.tags) == ("long <3 #deep", ("deep",))


def test_a_quote_keeps_the_quoted_text_apart():
    item = {
        "data": {"id": "2", "text": "look", "referenced_tweets": [{"type": "quoted", "id": "1"}]},
        "includes": {"tweets": [{"id": "1", "text": "music"}]},
    }
    post = decode(json.dumps(item).encode())
    assert (post.text, post.quoted_text) == ("look", "music")


@pytest.mark.parametrize(
    ("data", "field", "value"),
    [
        ({"id": 17}, "id", "17"),
        ({"text": "a &amp;#8217; b"}, "text", "a &#8217; b"),  # resolved once: it was escaped twice
        ({"text": "a\u2028b\x00"}, "text", "a\u2028b\x00"),
        ({"edit_history_tweet_ids": ["5", "17"]}, "edit_of", "5"),
        ({"edit_history_tweet_ids": ["17"]}, "edit_of", ""),
        ({"created_at": "2026-08-22T10:00:00.000Z"}, "created_at", datetime(2026, 8, 22, 10, tzinfo=UTC)),
        ({"created_at": "yesterday"}, "created_at", None),
        ({"created_at": "99999-01-01T00:00:00Z"}, "created_at", None),
        ({"created_at": 5}, "created_at", None),
        ({"public_metrics": {"like_count": 3, "odd": "x", "huge": 10**30}}, "metrics", {"like_count": 3}),
        ({"public_metrics": []}, "metrics", {}),
        ({"lang": None}, "lang", ""),
        ({"lang": 7}, "lang", ""),
        ({"author_id": 9}, "author", Author("9")),
        ({"entities": None, "text": "by #Music @ana https://example.org/a."}, "tags", ("Music",)),
        ({"text": "by #Music @ana https://example.org/a."}, "mentions", ("ana",)),
        ({"text": "by #Music @ana https://example.org/a."}, "links", ("https://example.org/a",)),
        ({"entities": {"hashtags": []}, "text": "by #Music"}, "tags", ()),
        ({"entities": {"hashtags": [{"tag": 5}, None, {"tag": "x"}]}}, "tags", ("x",)),
        ({"referenced_tweets": "none"}, "refs", ()),
    ],
)
def test_fields(data, field, value):
    assert getattr(decode(line(**data)), field) == value


def test_a_lone_surrogate_becomes_a_replacement_character():
    assert decode(b'{"data":{"id":"1","text":"a\\ud800b"}}').text == "a\ufffdb"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"data":{"id":"1","te', "not valid JSON"),
        (b"3", "no post"),
        (b"[]", "no post"),
        (b'{"hello":1}', "no post"),
        (b'{"data":[]}', "no post"),
        (b'{"data":{"text":"a"}}', "no id"),
        (b'{"data":{"id":"","text":"a"}}', "no id"),
        (b'{"data":{"id":"1"}}', "no text"),
        (b'{"data":{"id":"1","text":null}}', "no text"),
        (b'{"data":{"id":"1","text":"\xff"}}', "UTF-8"),
        (b'{"data":{"id":"1","text":NaN}}', "JSON"),
        (b'{"data":' + b"[" * 100_000 + b"}", "JSON"),
        (b'{"data":{"id":"' + b"1" * 5000 + b'","text":"a"}}', "too long"),
    ],
)
def test_what_is_no_post_has_its_reason(raw, reason):
    with pytest.raises(Undecodable, match=reason):
        decode(raw)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(raw):
    try:
        decode(raw)
    except Undecodable:
        pass


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "text", "tag", "username", "tweets", "users", "type"]), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["id", "text", "author_id", "created_at", "lang", "entities", "note_tweet", "public_metrics",
          "referenced_tweets", "edit_history_tweet_ids"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), ANY), ANY)
def test_wrong_types_in_any_field_never_cost_a_usable_post(data, includes):
    raw = json.dumps({"data": {**data, "id": "17", "text": "music"}, "includes": includes}).encode()
    try:
        post = decode(raw)
    except Undecodable as error:
        assert "JSON" in str(error)  # NaN and the like
    else:
        assert post.id == "17"
        assert (post.text + post.lang + post.quoted_text + "".join(post.tags)).encode()


def test_both_ways_give_the_same_post(monkeypatch):
    from core.simulator.options import SimulatorOptions
    from core.simulator.server import Simulator
    from tests.integration.test_main_job import whole
    from tests.x_server import Running, Tape, XSource, settings, wait_for

    with Simulator(SimulatorOptions(rate=0, posts=200)) as sim:
        with Running(XSource(settings(sim.url, bearer_token=sim.options.tokens[0]), "music"), Tape()) as running:
            wait_for(lambda: len(running.tape.lines) >= 200)
        lines = running.tape.lines
        assert len(whole(sim)) == 200
    fast = [decode(raw) for raw in lines]
    monkeypatch.setattr(module, "_fast", type("Never", (), {"decode": staticmethod(_never)}))
    assert [decode(raw) for raw in lines] == fast
    assert all(isinstance(post, Post) for post in fast)
    assert len({post.lang for post in fast}) > 5


def _never(raw):
    raise ValueError
