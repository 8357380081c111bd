"""A line of X's stream as a Post: the shapes that were captured, everything that can be wrong, and no crash."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Undecodable
from core.post import Author, Post, Ref
from core.simulator.posts import Item, Produced, make, snowflake
from core.simulator.shape import Shape, encode
from core.sources.x.decode import decode, extract
from core.sources.x.stream import FIELDS

BASE: dict[str, Any] = {
    "id": "1500000000000000001",
    "text": "Bieber &amp; music #Bieber @justin https://t.co/a",
    "edit_history_tweet_ids": ["1500000000000000001"],
    "author_id": "27260086",
    "created_at": "2026-08-22T10:00:00.000Z",
    "lang": "en",
    "entities": {
        "hashtags": [{"start": 0, "end": 7, "tag": "Bieber"}],
        "mentions": [{"start": 0, "end": 7, "username": "justin", "id": "5"}],
        "urls": [{"url": "https://t.co/a", "expanded_url": "https://e.org/x", "unwound_url": "https://e.org/y"}],
    },
    "public_metrics": {"like_count": 3, "retweet_count": 0},
    "referenced_tweets": [{"type": "replied_to", "id": "1400000000000000001"}],
}
INCLUDES = {"users": [{"id": "27260086", "username": "justin", "name": "J &amp; B 🎵"}]}


def line(data: Any = None, /, **more: Any) -> bytes:
    return json.dumps({"data": BASE if data is None else data, **more}).encode()


def with_(**fields: Any) -> Post:
    return decode(line({**BASE, **fields}, includes=INCLUDES))


def without(*names: str) -> Post:
    return decode(line({name: value for name, value in BASE.items() if name not in names}))


def test_a_whole_post_fills_every_field():
    assert with_() == Post(
        source="x",
        id="1500000000000000001",
        text="Bieber & music #Bieber @justin https://t.co/a",
        created_at=datetime(2026, 8, 22, 10, tzinfo=UTC),
        author=Author("27260086", "justin", "J &amp; B 🎵"),
        lang="en",
        tags=("Bieber",),
        mentions=("justin",),
        links=("https://e.org/x", "https://e.org/y"),
        metrics={"like_count": 3, "retweet_count": 0},
        refs=(Ref("replied_to", "1400000000000000001"),),
    )


def test_id_and_text_are_all_that_a_post_needs():
    assert decode(b'{"data":{"id":"1","text":"t"}}') == Post(source="x", id="1", text="t")


# Texts


def _retweet(original: dict[str, Any] | None) -> Post:
    outer = {
        "id": "2",
        "text": "RT @artist: the beginning of a long …",
        "referenced_tweets": [{"type": "retweeted", "id": "1"}],
        "entities": {"mentions": [{"username": "artist"}]},
    }
    return decode(line(outer, includes={"tweets": [original]} if original else None))


def test_a_cut_retweet_has_the_words_of_its_original():
    post = _retweet(
        {
            "id": "1",
            "text": "the beginning of a long &lt;song&gt; #Music",
            "entities": {"hashtags": [{"tag": "Music"}], "mentions": [{"username": "other"}]},
        }
    )
    assert (post.id, post.text) == ("2", "the beginning of a long <song> #Music")
    assert (post.tags, post.mentions) == (("Music",), ("artist", "other"))
    assert post.ref("retweeted") == "1"


def test_a_retweet_of_a_long_post_has_the_text_of_its_note():
    note = {"text": "the beginning of a long text and its #End", "entities": {"hashtags": [{"tag": "End"}]}}
    post = _retweet({"id": "1", "text": "the beginning …", "note_tweet": note})
    assert (post.text, post.tags) == (note["text"], ("End",))


@pytest.mark.parametrize("original", [None, {"id": "9", "text": "another"}, {"id": "1"}, {"id": "1", "text": ""}])
def test_a_retweet_without_its_original_keeps_its_own_text(original):
    assert _retweet(original).text == "RT @artist: the beginning of a long …"


def test_a_retweet_of_a_quote_knows_the_quoted_text():
    original = {"id": "1", "text": "look", "referenced_tweets": [{"type": "quoted", "id": "0"}]}
    outer = {"id": "2", "text": "RT look", "referenced_tweets": [{"type": "retweeted", "id": "1"}]}
    post = decode(line(outer, includes={"tweets": [{"id": "0", "text": "quoted music"}, original]}))
    assert (post.text, post.quoted_text) == ("look", "quoted music")
    assert post.ref("quoted") == ""


def test_a_long_post_is_whole_with_the_entities_of_its_note():
    note = {"text": "short and &amp;amp; the rest", "entities": {"hashtags": [{"tag": "Rest"}]}}
    post = with_(text="short and …", note_tweet=note)
    assert (post.text, post.tags) == ("short and &amp; the rest", ("Rest",))


def test_a_note_without_entities_gives_the_tags_of_its_text_too():
    post = with_(note_tweet={"text": "#Bieber and far behind #Later by @late"})
    assert (post.tags, post.mentions) == (("Bieber", "Later"), ("justin", "late"))


@pytest.mark.parametrize("note", [None, {}, {"text": None}, {"text": ""}, {"text": 7}, [], "note"])
def test_a_note_without_text_leaves_the_text_as_it_is(note):
    assert with_(note_tweet=note).text == with_().text


def test_a_quoted_text_is_kept_apart():
    refs = [{"type": "quoted", "id": "77"}]
    quoted = {"id": "77", "text": "cut", "note_tweet": {"text": "whole &lt;quoted&gt; text"}}
    post = decode(line({**BASE, "referenced_tweets": refs}, includes={"tweets": [quoted]}))
    assert post.quoted_text == "whole <quoted> text"
    assert post.text == with_().text


@pytest.mark.parametrize(
    ("history", "edit_of"),
    [
        (["1", "1500000000000000001"], "1"),
        ([1, 1500000000000000001], "1"),
        (["1500000000000000001"], ""),
        ([], ""),
        (None, ""),
        ("1", ""),
        ([None, "1"], "1"),
    ],
)
def test_an_edit_names_its_first_version(history, edit_of):
    assert with_(edit_history_tweet_ids=history).edit_of == edit_of


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("a &amp; b &lt;c&gt;", "a & b <c>"),
        ("&amp;amp; &amp;#8217; &amp;lt;", "&amp; &#8217; &lt;"),
        ("&#39; &quot; &#x1F3B5;", "' \" 🎵"),
        ("&#xD83D; &#0;", "\ufffd \ufffd"),
        ("&nosuch; & &", "&nosuch; & &"),
        ("&#" + "9" * 5000 + "; &amp;amp;", "&#" + "9" * 5000 + "; &amp;"),
    ],
)
def test_html_escapes_are_resolved_once(escaped, text):
    assert with_(text=escaped).text == text


def test_odd_characters_arrive_as_they_were_sent():
    text = "a\u2028b\u2029c\x00d\x1b[31me\u200c\ufeff\u2066🎵"
    assert with_(text=text).text == text
    raw = json.dumps({"data": {"id": "1", "text": text}}, ensure_ascii=False).encode()
    assert decode(raw.replace(b"\x00", b"\\u0000").replace(b"\x1b", b"\\u001b")).text == text


def test_a_lone_surrogate_becomes_a_replacement_character_everywhere():
    bad, good = "x\ud83dy", "x\ufffdy"
    data = {
        **BASE, "text": bad, "lang": bad, "note_tweet": None, "public_metrics": {bad: 1},
        "entities": {"hashtags": [{"tag": bad}], "mentions": [{"username": bad}], "urls": [{"url": bad}]},
    }  # fmt: skip
    users = [{"id": BASE["author_id"], "username": bad, "name": bad}]
    post = decode(line(data, includes={"users": users}))
    assert (post.text, post.lang, post.tags, post.mentions, post.links) == (good, good, (good,), (good,), (good,))
    assert (post.author.username, post.author.name, post.metrics) == (good, good, {good: 1})
    msgspec.json.encode(post)


# Ids and rules


def test_ids_may_be_numbers_everywhere():
    data = {
        "id": 1500000000000000001, "text": "t", "author_id": 5, "edit_history_tweet_ids": [3],
        "referenced_tweets": [{"type": "quoted", "id": 4}],
    }  # fmt: skip
    includes = {"users": [{"id": 5, "username": "five"}], "tweets": [{"id": 4, "text": "four"}]}
    post = decode(line(data, includes=includes, matching_rules=[{"id": 1234567890123456789, "tag": "t"}]))
    assert (post.id, post.author.username, post.edit_of) == ("1500000000000000001", "five", "3")
    assert (post.refs, post.quoted_text) == ((Ref("quoted", "4"),), "four")


@pytest.mark.parametrize(
    "rules",
    [
        [{"id": "1", "tag": "t"}],
        [{"id": 1}],
        [{"id": "1", "tag": ""}],
        [{"id": "1", "tag": None}],
        [{"id": str(n)} for n in range(4)],
        [],
        None,
        "rules",
        [None],
    ],
)
def test_whatever_is_said_of_the_matching_rules_the_post_is_the_same(rules):
    assert decode(line(matching_rules=rules, includes=INCLUDES)) == with_()


def test_partial_errors_beside_the_data_change_nothing():
    error = {"resource_id": "1", "title": "Not Found Error", "type": "resource-not-found"}
    assert decode(line(errors=[error], includes=INCLUDES)) == with_()


def test_the_order_of_fields_is_of_no_matter():
    shuffled = json.dumps(
        {"matching_rules": [], "includes": INCLUDES, "data": dict(reversed(BASE.items()))}
    ).encode()
    assert decode(shuffled) == with_()


# What is absent, null or wrong


def test_without_entities_the_words_are_taken_from_the_text():
    post = without("entities")
    assert (post.tags, post.mentions, post.links) == (("Bieber",), ("justin",), ("https://t.co/a",))


def test_empty_entities_mean_that_there_are_none():
    post = with_(entities={})
    assert (post.tags, post.mentions, post.links) == ((), (), ())


@pytest.mark.parametrize(
    ("text", "tags", "mentions", "links"),
    [
        ("#2016 #a1 ＃全角 x#no &#39; /#no", ("a1", "全角"), (), ()),
        ("@a_b, mail@x.org @toolongforaname_x .@no ＠wide", (), ("a_b", "wide"), ()),
        ("(https://e.org/#a) HTTP://E.ORG/b.", (), (), ("https://e.org/#a", "HTTP://E.ORG/b")),
        ("#one #one @x @x", ("one",), ("x",), ()),
        ("", (), (), ()),
    ],
)
def test_words_of_a_text_are_what_a_reader_sees(text, tags, mentions, links):
    assert extract(text) == (tags, mentions, links)


@settings(max_examples=1500, deadline=None)
@given(st.text(alphabet="aZ_9é#＃@＠&/. \n\u0301", max_size=20))
def test_tags_and_mentions_are_what_their_borders_make_them(text):
    """By the plain expressions, which ask at every place what stands before it."""
    tags, mentions, _ = extract(text)
    named = [tag for tag in re.findall(r"(?<![\w&/#＃])[#＃](\w+)", text) if any(map(str.isalpha, tag))]
    assert tags == tuple(dict.fromkeys(named))
    found = re.findall(r"(?<![\w/.@＠])[@＠]([A-Za-z0-9_]{1,15})(?![\w@＠])", text)
    assert mentions == tuple(dict.fromkeys(found))


def test_nulls_everywhere_leave_id_and_text():
    names = [name for name in BASE if name not in ("id", "text")]
    data = {"id": "1", "text": "t", **dict.fromkeys([*names, "note_tweet"])}
    assert decode(line(data, includes=None, errors=None, matching_rules=None)) == Post(
        source="x", id="1", text="t"
    )
    inner = {
        "entities": {"hashtags": None, "mentions": [{"username": None}], "urls": [{}]},
        "referenced_tweets": [{"type": None, "id": None}], "public_metrics": {"like_count": None},
        "note_tweet": {"text": None, "entities": None}, "edit_history_tweet_ids": [None],
    }  # fmt: skip
    includes: Any = {"users": [None, {"id": None, "username": None}], "tweets": None}
    assert decode(line({"id": "1", "text": "t", **inner}, includes=includes)) == Post(source="x", id="1", text="t")


WRONG: list[Any] = [
    True,
    7,
    -1.5,
    "wrong",
    [],
    {},
    [7],
    ["a", None],
    [[]],
    [{}],
    {"a": "b"},
    {"a": [1]},
    10**30,
    1e300,
]
OPTIONAL = {
    "author_id": "author", "created_at": "created_at", "lang": "lang", "public_metrics": "metrics",
    "referenced_tweets": "refs", "edit_history_tweet_ids": "edit_of", "note_tweet": "text",
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("field", OPTIONAL)
def test_a_field_of_the_wrong_type_is_dropped_alone(field, wrong):
    expected, got = msgspec.structs.asdict(with_()), msgspec.structs.asdict(with_(**{field: wrong}))
    touched = OPTIONAL[field]
    assert {k: v for k, v in got.items() if k != touched} == {k: v for k, v in expected.items() if k != touched}


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("kind", ["hashtags", "mentions", "urls"])
def test_entities_of_the_wrong_type_are_dropped_and_the_others_stay(kind, wrong):
    post = with_(entities={**BASE["entities"], kind: wrong})
    fields = {"hashtags": post.tags, "mentions": post.mentions, "urls": post.links}
    whole = {"hashtags": ("Bieber",), "mentions": ("justin",), "urls": ("https://e.org/x", "https://e.org/y")}
    assert fields == whole | {kind: ()}


def test_of_a_list_only_what_is_wrong_is_dropped():
    tags = [7, {"tag": 7}, {"tag": "Good"}, None, {"tag": ["x"]}, {"tag": "Too"}]
    assert with_(entities={"hashtags": tags}).tags == ("Good", "Too")
    assert with_(public_metrics={"a": "1", "b": 2, "c": 1.5, "d": True, "e": None}).metrics == {"b": 2}
    refs = [
        {"type": "quoted", "id": "1"},
        "x",
        {"type": "liked", "id": "2"},
        {"type": "quoted"},
        {"type": 1, "id": "2"},
    ]
    assert with_(referenced_tweets=refs).refs == (Ref("quoted", "1"),)


@pytest.mark.parametrize("includes", WRONG, ids=repr)
def test_includes_of_the_wrong_type_cost_only_what_they_would_have_told(includes):
    for one in (includes, {"users": includes, "tweets": includes}):
        post = decode(line(includes=one))
        assert (post.text, post.author) == (with_().text, Author("27260086"))


@pytest.mark.parametrize(
    "number", ["1" + "0" * 30, "-1" + "0" * 30, "9223372036854775808", "1e400", "-1e400", "9" * 5000]
)
def test_a_number_that_no_store_can_hold_is_dropped(number):
    raw = line({**BASE, "public_metrics": {"huge": "HUGE", "like_count": 3}}, includes=INCLUDES)
    assert decode(raw.replace(b'"HUGE"', number.encode())).metrics == {"like_count": 3}


def test_the_largest_number_is_kept():
    assert with_(public_metrics={"a": 2**63 - 1, "b": -(2**63 - 1)}).metrics == {"a": 2**63 - 1, "b": -(2**63 - 1)}


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "2026-13-41T00:00:00Z", "2026-08-22T10:00:00", "0001-01-01T00:00:00+23:00",
     "9999-12-31T23:59:59-23:00", "2026-08-22T10:00:00.000Zzz", "\x00", "20" * 500, "２０２６-08-22T10:00:00Z"],
)  # fmt: skip
def test_a_date_that_is_none_is_not_guessed(date):
    assert with_(created_at=date).created_at is None


@pytest.mark.parametrize(
    "date", ["2026-08-22T12:00:00+02:00", "2026-08-22T10:00:00Z", "2026-08-22T10:00:00.000000Z"]
)
def test_a_date_with_a_zone_is_the_same_moment_in_utc(date):
    moment = with_(created_at=date).created_at
    assert moment == datetime(2026, 8, 22, 10, tzinfo=UTC)
    assert moment is not None
    assert moment.tzinfo is UTC


# What is no post

DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not valid JSON"),
        (b'{"data":{"id":"1","text":"half a po', "not valid JSON"),
        (b'{"data":{"id":"1","text":"t"}} trailing', "not valid JSON"),
        (b"{'data': 1}", "not valid JSON"),
        (b"42", "no post"),
        (b'"text"', "no post"),
        (b"null", "no post"),
        (b"true", "no post"),
        (b"[]", "no post"),
        (b'[{"data":{"id":"1","text":"t"}}]', "no post"),
        (b'{"notice":{"level":"info"}}', "no post"),
        (b"{}", "no post"),
        (b'{"data":null}', "no post"),
        (b'{"data":[{"id":"1","text":"t"}]}', "no post"),
        (b'{"data":"t"}', "no post"),
        (b'{"data":{}}', "no id"),
        (b'{"data":{"text":"t"}}', "no id"),
        (b'{"data":{"id":null,"text":"t"}}', "no id"),
        (b'{"data":{"id":"","text":"t"}}', "no id"),
        (b'{"data":{"id":"  ","text":"t"}}', "no id"),
        (b'{"data":{"id":true,"text":"t"}}', "no id"),
        (b'{"data":{"id":["1"],"text":"t"}}', "no id"),
        (b'{"data":{"id":"' + b"1" * 101 + b'","text":"t"}}', "too long"),
        (b'{"data":{"id":"1"}}', "no text"),
        (b'{"data":{"id":"1","text":null}}', "no text"),
        (b'{"data":{"id":"1","text":""}}', "no text"),
        (b'{"data":{"id":"1","text":7}}', "no text"),
        (b'{"data":{"id":"1","text":"\xff"}}', "not valid UTF-8"),
        (b'{"data":{"id":"1","text":"\xed\xa0\xbd"}}', "not valid UTF-8"),
        (b'{"data":{"id":"1","text":"t"},"unread":"\xff"}', "not valid UTF-8"),
        (b'{"data":{"id":' + b"9" * 5000 + b',"text":"t"}}', "no id"),
        (b'{"data":{"id":"1","text":"t","lang":NaN}}', "NaN"),
        (b'{"data":{"id":"1","text":"t","public_metrics":{"a":Infinity}}}', "Infinity"),
        (DEEP, "nested too deeply"),
        (b'{"data":{"id":"1","text":"t","entities":' + DEEP + b"}}", "nested too deeply"),
        (b'{"data":' * 100_000, "nested too deeply"),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_a_line_that_is_no_post_says_why(raw, words):
    with pytest.raises(Undecodable) as caught:
        decode(raw)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


# Whatever comes


def test_long_lists_of_references_take_no_quadratic_time():
    refs = [{"type": "retweeted", "id": str(n)} for n in range(50_000)]
    others = [{"id": f"a{n}", "text": "y"} for n in range(50_000)]
    post = decode(line({**BASE, "referenced_tweets": refs}, includes={"tweets": others}))
    assert len(post.refs) == 50_000  # in seconds, not hours


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from(["&", "amp", ";", "lt", "gt", "&amp;", "&lt;", "&gt;", "#", "38", "quot", "a", " "]))
)
def test_references_are_resolved_as_html_says(pieces):
    text = "a" + "".join(pieces)
    assert decode(line({**BASE, "text": text})).text == html.unescape(text)


@pytest.mark.parametrize("part", ["#", "@", "#1", "@a", "https://", "https://a)", "&#", "&amp", "\u200b#", "#a@"])
def test_no_text_takes_quadratic_time(part):
    extract(part * 200_000)
    decode(line({"id": "1", "text": part * 200_000}))


def _decodes_or_says_why(raw: bytes) -> Post | None:
    try:
        post = decode(raw)
    except Undecodable as error:
        assert str(error)
        return None
    again = msgspec.json.decode(msgspec.json.encode(post), type=Post)  # encodable as UTF-8, in every field
    assert again == post
    assert post.id
    assert post.text
    assert all(abs(value) < 2**63 for value in post.metrics.values())
    return post


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=st.binary(max_size=200))
def test_no_bytes_raise_anything_but_undecodable(raw):
    _decodes_or_says_why(raw)


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud83d", "1", "retweeted", "quoted"])
)
_any_json = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8
)  # fmt: skip


@st.composite
def _mutated(draw: st.DrawFn, value: Any) -> Any:
    """The value with some of its parts replaced by anything or left out."""
    fate = draw(st.integers(0, 14))
    if fate == 0:
        return draw(_any_json)
    if isinstance(value, dict):
        return {key: draw(_mutated(inner)) for key, inner in value.items() if draw(st.integers(0, 14))}
    if isinstance(value, list):
        return [draw(_mutated(inner)) for inner in value]
    return value


RICH = {
    "data": {**BASE, "note_tweet": {"text": "note", "entities": BASE["entities"]},
             "referenced_tweets": [{"type": "retweeted", "id": "1"}, {"type": "quoted", "id": "3"}]},
    "includes": {**INCLUDES, "tweets": [{**BASE, "id": "1"}, {"id": "3", "text": "q"}]},
    "matching_rules": [{"id": 1, "tag": None}],
}  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=_mutated(RICH))
def test_no_mutated_post_raises_anything_but_undecodable(value):
    raw = json.dumps(value).encode()
    assert _decodes_or_says_why(raw) == _decodes_or_says_why(raw)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_damaged_line_raises_anything_but_undecodable(data):
    raw = bytearray(json.dumps(RICH).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    _decodes_or_says_why(bytes(raw[: data.draw(st.integers(0, len(raw)))]))


# Lines of the simulator

SHAPE = Shape.of(
    {
        "tweet.fields": ",".join(FIELDS["tweet_fields"]),
        "user.fields": ",".join(FIELDS["user_fields"]),
        "expansions": ",".join(FIELDS["expansions"]),
    }
)


def _simulated(count: int = 400) -> list[tuple[Item, dict[str, Any]]]:
    made = []
    for n in range(count):
        at = 1_790_000_000.0 + n
        edit_of = (snowflake(at - 60, n), n - 1) if n % 10 == 9 else None
        item = make(7, Produced(n, snowflake(at, n), at, at, "Justin Bieber", n % 3 == 0, edit_of))
        made.append((item, SHAPE.describe(item)))
    return made


def test_posts_of_the_simulator_are_read_whole():
    kinds = set()
    for item, answer in _simulated():
        post = decode(encode(answer))
        assert post.text == item.full_text
        assert (post.tags, post.quoted_text) == (tuple(dict.fromkeys(item.tags)), item.quoted_text)
        assert post.mentions == tuple(dict.fromkeys(item.mentions))
        assert post.links == tuple(dict.fromkeys(item.links))
        kinds |= {ref.kind for ref in post.refs} | ({"long"} if "note_tweet" in item.data else set())
        kinds |= {"edit"} if post.edit_of else set()
    assert kinds == {"retweeted", "quoted", "replied_to", "long", "edit"}


def test_the_fast_and_the_lenient_way_give_the_same_post():
    for _, answer in _simulated():
        # An element of the wrong type, which the fast way does not take and the lenient one drops.
        spoilt = json.loads(json.dumps(answer))
        spoilt["data"].setdefault("referenced_tweets", []).append(7)
        assert decode(encode(spoilt)) == decode(encode(answer))
