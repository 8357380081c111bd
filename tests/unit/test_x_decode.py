"""A line of X's stream as a Post, whatever the line holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Undecodable
from core.post import Author, Post, Ref
from core.sources.x.decode import decode, extract


def line(data: dict[str, Any], **includes: Any) -> bytes:
    return json.dumps({"data": {"id": "1", "text": "t", **data}, "includes": includes}).encode()


FULL = {
    "id": "1519781379172495360",
    "text": "Justin &amp; music &lt;3 #Music @jb https://t.co/x",
    "author_id": "44196397",
    "created_at": "2026-08-22T10:00:00.123Z",
    "lang": "en",
    "edit_history_tweet_ids": ["1519781379172495000", "1519781379172495360"],
    "public_metrics": {"like_count": 3, "retweet_count": 0},
    "entities": {
        "hashtags": [{"start": 24, "end": 30, "tag": "Music"}],
        "mentions": [{"start": 31, "end": 34, "username": "jb", "id": "5"}],
        "urls": [{"url": "https://t.co/x", "expanded_url": "https://bit.ly/y", "unwound_url": "https://z.org/"}],
    },
    "referenced_tweets": [{"type": "quoted", "id": "77"}, {"type": "replied_to", "id": "78"}],
}
INCLUDES = {
    "users": [{"id": "9", "username": "no"}, {"id": "44196397", "username": "fan", "name": "A Fan 🎵"}],
    "tweets": [{"id": "77", "text": "short…", "note_tweet": {"text": "the whole &gt; quoted"}}],
}
POST = Post(
    source="x",
    id="1519781379172495360",
    text="Justin & music <3 #Music @jb https://t.co/x",
    created_at=datetime(2026, 8, 22, 10, 0, 0, 123000, UTC),
    author=Author("44196397", "fan", "A Fan 🎵"),
    lang="en",
    tags=("Music",),
    mentions=("jb",),
    links=("https://bit.ly/y", "https://z.org/"),
    metrics={"like_count": 3, "retweet_count": 0},
    refs=(Ref("quoted", "77"), Ref("replied_to", "78")),
    edit_of="1519781379172495000",
    quoted_text="the whole > quoted",
)


def test_every_field_is_read():
    assert decode(json.dumps({"data": FULL, "includes": INCLUDES}).encode()) == POST


def test_the_order_of_fields_is_nothing():
    shuffled = {
        "includes": INCLUDES,
        "matching_rules": [{"id": 7, "tag": None}],
        "data": dict(reversed(FULL.items())),
    }
    assert decode(json.dumps(shuffled).encode()) == POST


def test_one_wrong_field_costs_only_itself():
    broken = {"data": {**FULL, "lang": 7}, "includes": {**INCLUDES, "media": 3}}
    assert decode(json.dumps(broken).encode()) == Post(
        **{**{f: getattr(POST, f) for f in POST.__struct_fields__}, "lang": ""}
    )


@pytest.mark.parametrize(
    "wrong", [None, 3, 1.5, True, "word", [], {}, [None], [3], ["a"], [[]], [{}], {"a": {}}], ids=repr
)
@pytest.mark.parametrize("name", [name for name in FULL if name not in ("id", "text")])
def test_no_wrong_type_in_any_field_loses_the_post(name, wrong):
    post = decode(json.dumps({"data": {**FULL, name: wrong}, "includes": INCLUDES}).encode())
    assert (post.id, post.text) == (POST.id, POST.text)
    untouched = {"lang", "metrics", "created_at"} - {name, {"public_metrics": "metrics"}.get(name, name)}
    assert all(getattr(post, field) == getattr(POST, field) for field in untouched)


def test_numbers_as_ids_are_ids():
    post = decode(
        line({"id": 15, "author_id": 3, "edit_history_tweet_ids": [14, 15]}, users=[{"id": "3", "name": "n"}])
    )
    assert (post.id, post.author, post.edit_of) == ("15", Author("3", "", "n"), "14")


def test_a_long_post_is_its_note_with_the_entities_of_the_note():
    post = decode(
        line(
            {
                "text": "beginning… #one",
                "note_tweet": {
                    "text": "the whole &amp; #one #two",
                    "entities": {"hashtags": [{"tag": "one"}, {"tag": "two"}]},
                },
                "entities": {"hashtags": [{"tag": "one"}]},
            }
        )
    )
    assert post.text == "the whole & #one #two"
    assert post.tags == ("one", "two")


def test_tags_beyond_the_short_text_are_found_when_the_note_has_no_entities():
    note = {"text": "#one and #two by @b", "entities": None}
    post = decode(line({"text": "#one", "note_tweet": note, "entities": {"hashtags": [{"tag": "one"}]}}))
    assert (post.tags, post.mentions) == (("one", "two"), ("b",))


RETWEET = {
    "text": "RT @jb: Baby, baby, ba…",
    "referenced_tweets": [{"type": "retweeted", "id": "5"}],
    "entities": {"mentions": [{"username": "jb"}]},
    "author_id": "2",
}


def test_a_retweet_has_the_whole_text_and_the_tags_of_the_original_and_its_own_author():
    original = {
        "id": "5",
        "text": "Baby, baby, baby #music @x",
        "author_id": "3",
        "entities": {"hashtags": [{"tag": "music"}], "mentions": [{"username": "x"}]},
    }
    post = decode(line(RETWEET, tweets=[original], users=[{"id": "2", "username": "fan"}]))
    assert post.text == "Baby, baby, baby #music @x"
    assert (post.tags, post.mentions) == (("music",), ("jb", "x"))
    assert post.author.username == "fan"
    assert post.ref("retweeted") == "5"


def test_a_retweet_of_a_long_post_has_its_note():
    original = {"id": "5", "text": "Baby…", "note_tweet": {"text": "Baby " * 100}}
    assert decode(line(RETWEET, tweets=[original])).text == "Baby " * 100


@pytest.mark.parametrize("tweets", [[], [{"id": "6", "text": "other"}], [{"id": "5"}], None])
def test_a_retweet_whose_original_is_missing_keeps_the_outer_text(tweets):
    assert decode(line(RETWEET, tweets=tweets)).text == "RT @jb: Baby, baby, ba…"


def test_entities_are_resolved_once_and_no_more():
    assert decode(line({"text": "&amp;#8217; &amp;lt; &#39;"})).text == "&#8217; &lt; '"


def test_a_reference_of_thousands_of_digits_is_text():
    assert decode(line({"text": "a &amp; &#" + "9" * 5000 + ";"})).text.startswith("a & &#99")


@pytest.mark.parametrize(
    "given_time",
    [
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "",
        "no",
    ],
)
def test_a_time_that_is_none_is_none(given_time):
    assert decode(line({"created_at": given_time})).created_at is None


def test_numbers_that_no_store_holds_are_left_out():
    metrics = {"a": 2**63, "b": -(2**64), "c": 10**30, "d": 1.5, "e": None, "f": True, "g": 2**63 - 1}
    assert decode(line({"public_metrics": metrics})).metrics == {"g": 2**63 - 1}


def test_lone_surrogates_become_replacement_characters_and_pairs_stay():
    raw = rb'{"data":{"id":"1","text":"a\ud800b \ud83c\udfb5","entities":{"hashtags":[{"tag":"x\udfff"}]}}}'
    post = decode(raw)
    assert (post.text, post.tags) == ("a\ufffdb 🎵", ("x\ufffd",))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not valid JSON"),
        (b'{"data":{"id":"1","text":"cut', "not valid JSON"),
        (b'{"data":{"id":"1","text":"x"}} more', "not valid JSON"),
        (b'{"data":{"id":"1","text":"x"},"z":NaN}', "not valid JSON"),
        (b'{"data":{"id":' + b"9" * 5000 + b',"text":"x"}}', "not valid JSON"),
        (b'{"data":{"id":"1","text":"\xff"}}', "not valid UTF-8"),
        (b'{"data":{"id":"1","text":"x"},"z":"\xff"}', "not valid UTF-8"),
        (b'{"z":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"3", "holds no post"),
        (b"null", "holds no post"),
        (b'[{"data":{}}]', "holds no post"),
        (b'{"data":null}', "holds no post"),
        (b'{"warning":{"code":"FALLING_BEHIND"}}', "holds no post"),
        (b'{"data":{"text":"x"}}', "no id"),
        (b'{"data":{"id":" ","text":"x"}}', "no id"),
        (b'{"data":{"id":true,"text":"x"}}', "no id"),
        (b'{"data":{"id":"' + b"1" * 101 + b'","text":"x"}}', "too long"),
        (b'{"data":{"id":"1"}}', "no text"),
        (b'{"data":{"id":"1","text":""}}', "no text"),
        (b'{"data":{"id":"1","text":null}}', "no text"),
    ],
)
def test_what_is_no_post_says_why(raw, words):
    with pytest.raises(Undecodable, match=words):
        decode(raw)


def test_hostile_lists_take_no_quadratic_time():
    many = [{"type": "retweeted", "id": str(n)} for n in range(50_000)]
    post = decode(line({"referenced_tweets": many}, tweets=[{"id": f"a{n}", "text": "y"} for n in range(50_000)]))
    assert len(post.refs) == 50_000  # in seconds, not hours


@pytest.mark.parametrize(
    ("text", "tags", "mentions", "links"),
    [
        ("#music and #Ünïcode_1, ＃全角", ("music", "Ünïcode_1", "全角"), (), ()),
        ("#1 a#b /#c ##d &#e; #", (), (), ()),
        ("@jb, (@b) .@c x@d.org @@e @a_name_that_is_too_long", (), ("jb", "b"), ()),
        ("see https://a.org/#x, http://b.org/@y). end", (), (), ("https://a.org/#x", "http://b.org/@y")),
        ("#twice #twice @a @a", ("twice",), ("a",), ()),
    ],
)
def test_tags_mentions_and_links_are_found_in_a_text_without_entities(text, tags, mentions, links):
    assert extract(text) == (tags, mentions, links)
    assert decode(line({"text": text})).tags == tags


@pytest.mark.parametrize("part", ["#", "@", "#1", "@a", "https://", "https://a)", "&#", "&amp", "\u200b#", "#a@"])
def test_no_text_takes_quadratic_time(part):
    extract(part * 200_000)
    decode(line({"text": part * 200_000}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw) -> bytes:
    """A true line with some of its values replaced, anywhere."""
    item = json.loads(
        json.dumps({"data": {**FULL, **RETWEET}, "includes": {**INCLUDES, "tweets": [{**FULL, "id": "5"}]}})
    )
    for _ in range(draw(st.integers(1, 4))):
        place: Any = item
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            place[key] = draw(JSON)
            break
    return json.dumps(item, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def check(raw: bytes) -> None:
    try:
        post = decode(raw)
    except Undecodable as reason:
        assert str(reason)
        return
    assert post.id and post.text
    words = [
        post.id,
        post.text,
        post.lang,
        post.quoted_text,
        post.edit_of,
        *post.tags,
        *post.mentions,
        *post.links,
    ]
    words += [post.author.id, post.author.username, post.author.name, *post.metrics]
    "".join(words).encode()  # no lone surrogate anywhere
    assert post.created_at is None or post.created_at.utcoffset() is not None


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_no_mutation_of_a_post_raises_anything_else(raw):
    check(raw)


@settings(max_examples=300, deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_raise_anything_else(raw):
    check(raw)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_cut_or_changed_byte_raises_anything_else(data):
    raw = bytearray(json.dumps({"data": FULL, "includes": INCLUDES}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
