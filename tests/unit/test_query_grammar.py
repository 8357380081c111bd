"""Every documented query is read, every documented mistake is refused with its place and what to do."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import QueryError
from core.query import parse_keywords, parse_topic
from core.query.grammar import MAX_DEPTH, parse
from core.query.rules import RULE_LENGTH, TOPIC_LENGTH

# X's documents, "build a rule" and "operators".
DOCUMENTED = [
    "cat has:images",
    "cat has:media -grumpy",
    "#meme has:images",
    "#xapiv2",
    '"X data" has:mentions (has:media OR has:links)',
    "snow day #NoSchool",
    "grumpy OR cat OR #meme",
    "cat #meme -grumpy",
    "(grumpy cat) OR (#meme has:images)",
    "skiing -snow -day -noschool",
    "(apple OR iphone) ipad",
    "iphone (ipad OR android)",
    'pepsi OR cola OR "coca cola"',
    "(😃 OR 😡) 😬",
    '("X API" OR #v2) -"filtered stream"',
    '"social media"~5',
    "#thankunext #fanart",
    "(@XDevelopers OR @api) -@x",
    "$twtr OR @XDevelopers -$fb",
    "from:XDevelopers OR from:api",
    "to:XDevelopers OR to:api",
    "retweets_of:XDevelopers",
    'url:"https://developer.x.com"',
    "url_title:snow",
    "url_contains:photos",
    "context:47.*",
    'entity:"Michael Jordan"',
    "conversation_id:1334987486343299072",
    'bio:developer OR bio:"data engineer"',
    "bio_name:phd OR bio_name:md",
    'bio_location:"big apple" OR bio_location:nyc',
    'place:"new york city" OR place:seattle',
    "place_country:US OR place_country:MX",
    "point_radius:[2.355128 48.861118 16km]",
    "bounding_box:[-105.301758 39.964069 -105.178505 40.09455]",
    "data @XDevelopers -is:retweet",
    "from:XDevelopers is:reply",
    '"sentiment analysis" is:quote',
    "#nowplaying is:verified",
    '"mobile games" -is:nullcast',
    "from:XDevelopers -has:hashtags",
    "#stonks has:cashtags",
    "(kittens OR puppies) has:media",
    "#icebucketchallenge has:video_link",
    "#nowplaying @spotify sample:15",
    "recommend #paris lang:en",
    "followers_count:1000..10000",
    "listed_count:10..100",
    'source:"X for iPhone"',
    "in_reply_to_tweet_id:1539382664746020864",
]

ODDITIES = [
    "ORbit",
    "((bla bla))",
    "hello? -beautiful world! -foo",
    "你好，世界",
    '"happy birthday"~3',
    "(happy OR happiness) place_country:GB -birthday -is:retweet",
    "coca-cola",
    "don't",
    "10:30",
    '"or" OR "and"',
    "a(b)c",
    "from:12 context:*.5 embedding_threshold:0.45 cat",
]

# query, position, words of the message, words of the hint
MISTAKES = [
    ("", 0, "empty", "write"),
    ("   ", 0, "empty", "write"),
    ("-hello", 1, "Rules must contain a non-negation term", "without -"),
    ("-a -b", 1, "Rules must contain a non-negation term", ""),
    ("-(a b)", 1, "Rules must contain a non-negation term", ""),
    ("apple OR -ipad", 10, "Rules must contain a non-negation term", "each alternative"),
    ("#", 1, "no viable alternative at character '#'", "#music"),
    ("@", 1, "no viable alternative at character '@'", "@justinbieber"),
    ("$ 5", 1, "no viable alternative at character '$'", "$TWTR"),
    ("-", 1, "no viable alternative at character '-'", "directly before"),
    ("a - b", 3, "no viable alternative at character '-'", "directly before"),
    ("a --b", 3, "no viable alternative at character '-'", "directly before"),
    ("a -OR b", 3, "- negates no term", ""),
    ("hello + world", 7, "no viable alternative at character '+'", "a space means AND"),
    ("cat & dog", 5, "no viable alternative at character '&'", "a space means AND"),
    ("!hello", 1, "no viable alternative at character '!'", "-hello"),
    ("'hello'", 1, "no viable alternative at character '''", '"coca cola"'),
    ("“coca cola”", 1, "no viable alternative at character '“'", "straight quotes"),
    ("a ... b", 3, "no viable alternative at character '.'", "quotes"),
    ("this OR", 6, "OR has nothing on its right", "write another term"),
    ("a OR OR b", 6, "OR has nothing on its left", ""),
    ("(a OR) b", 4, "OR has nothing on its right", ""),
    ("OR bla", 1, "OR has nothing on its left", "write a term"),
    ("(hello (world) bla", 1, "never closed", ")"),
    ("a (", 3, "never closed", ")"),
    ("hello) world", 6, "missing EOF at ')'", "closes nothing"),
    ("a ()", 3, "hold nothing", "remove"),
    ('say "hello', 5, "never closed", '"'),
    ('""', 1, "no word or emoji", ""),
    ('a "?!"', 3, "no word or emoji", ""),
    ('"a b"~7', 6, "1 to 6", "~3"),
    ('"a b"~', 6, "1 to 6", "~3"),
    ("cat and dog", 5, "Ambiguous use of and as a keyword. Use a space to logically join two clauses", ""),
    ("cat or dog", 5, "Ambiguous use of or as a keyword. Use OR", ""),
    ("cat AND dog", 5, "Ambiguous use of and as a keyword", ""),
    ("h:polls cat", 1, "Reference to invalid field 'h'", "has:"),
    ("cat form:me", 5, "Reference to invalid field 'form'", "from:"),
    ("cat Lang:en", 5, "Reference to invalid field 'Lang'", "lower case: lang:en"),
    ("https://x.com/a", 1, "Reference to invalid field 'https'", '"https://x.com/a" in quotes'),
    ("cat has:polls", 5, "Reference to invalid operator 'has:polls'.", "hashtags"),
    ("cat is:", 5, "is: needs a value", "is:retweet"),
    ('cat url:""', 5, "url: needs a value", ""),
    ("cat url:!", 5, "url: needs a value", ""),
    ("cat lang:e", 10, "'e' is no value for lang:", "lang:en"),
    ("cat sample:0", 12, "no value for sample:", "sample:15"),
    ("cat sample:101", 12, "no value for sample:", "sample:15"),
    ("followers_count:5-6", 17, "no value for followers_count:", "1000..10000"),
    ("point_radius:[1 2]", 14, "no value for point_radius:", "16km"),
    ("point_radius:[1 2 3km", 14, "no value for point_radius:", "16km"),
    ("context:*.*", 9, "no value for context:", "47.*"),
    ("#a-b", 1, "no name of that kind", "#music"),
    ("$twtr4you", 1, "no name of that kind", "$TWTR"),
]

# Refused in a rule by X, and good for a topic.
ONLY_A_TOPIC = [
    ("the", 1, "non-stopword"),
    ("love OR the", 9, "non-stopword"),
    ("the is:retweet", 1, "non-stopword"),
    ("has:links OR is:retweet", 1, "standalone"),
    ("cat OR has:links", 8, "standalone"),
    ("lang:en", 1, "standalone"),
    ("@someone@mastodon.example", 1, "no name of a user of X"),
    ("from:alice.bsky.social", 1, "no name of a user of X"),
]

# Good in a rule: X decides. No post carries it.
ONLY_A_RULE = [
    ("cat has:media", 5),
    ("cat -has:images", 6),
    ("cat -is:nullcast", 6),
    ("cat is:verified", 5),
    ("to:XDevelopers", 1),
    ("conversation_id:1", 1),
    ("cat OR place:seattle", 8),
    ("cat sample:15", 5),
    ("followers_count:10", 1),
]


@pytest.mark.parametrize("text", DOCUMENTED + ODDITIES)
def test_every_documented_query_is_read(text):
    assert parse_keywords(text).text == text


@pytest.mark.parametrize("read", [parse_topic, parse_keywords])
@pytest.mark.parametrize(("text", "position", "message", "hint"), MISTAKES)
def test_a_mistake_is_refused_with_its_place_and_a_hint(read, text, position, message, hint):
    with pytest.raises(QueryError) as refused:
        read(text)
    assert message in refused.value.message
    assert refused.value.position == position
    assert refused.value.query == text.strip()
    assert hint in refused.value.hint


@pytest.mark.parametrize("text", ["has:media", "embedding_threshold:0.45"])
def test_documented_operators_do_not_stand_alone_in_a_rule(text):
    with pytest.raises(QueryError, match="cannot be used as a standalone operator"):
        parse_keywords(text)


@pytest.mark.parametrize(("text", "position", "message"), ONLY_A_TOPIC)
def test_what_only_spares_the_index_of_x_is_no_limit_of_a_topic(text, position, message):
    assert parse_topic(text).text == text
    with pytest.raises(QueryError, match=message) as refused:
        parse_keywords(text)
    assert refused.value.position == position


@pytest.mark.parametrize(("text", "position"), ONLY_A_RULE)
def test_what_no_post_carries_is_refused_in_a_topic_and_left_to_x_in_keywords(text, position):
    assert parse_keywords(text).text == text
    with pytest.raises(QueryError, match="cannot be decided") as refused:
        parse_topic(text)
    assert refused.value.position == position
    assert "keywords" in refused.value.hint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("apple OR iphone ipad", "apple OR (iphone ipad)"),
        ("ipad iphone OR android", "(ipad iphone) OR android"),
        ("((a))  ( b )", "a b"),
    ],
)
def test_a_space_binds_tighter_than_or(one, other):
    assert _shape(parse(one)) == _shape(parse(other))
    assert _shape(parse("a b OR c")) != _shape(parse("a (b OR c)"))


def test_a_value_without_quotes_ends_at_the_space():
    assert _shape(parse("bio:software engineer")) != _shape(parse('bio:"software engineer"'))


def _shape(node):
    children = getattr(node, "children", None)
    if children is None:
        return node.written
    return (type(node).__name__, *map(_shape, children))


def test_terms_are_the_positive_ones_as_written_each_once():
    query = parse_topic('Music OR "Justin  Bieber" -(#sad cat) OR #Music lang:en OR Music')
    assert query.terms == ("Music", '"Justin  Bieber"', "#Music", "lang:en")


def test_length_counts_every_character():
    assert parse_keywords("a" * RULE_LENGTH).text
    with pytest.raises(QueryError, match="1,025 characters and 1,024 are allowed"):
        parse_keywords("a" * (RULE_LENGTH + 1))
    assert parse_topic("a" * TOPIC_LENGTH).text


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "a" + ")" * 10_000,
        "-(" * 10_000 + "a" + ")" * 10_000,
        "(a OR " * 5_000,
        "(" * 100_000,
        '"' * 100_001,
        "a " * 50_000,
        "#" * 100_000,
        "-" * 100_000,
        "OR " * 30_000,
        "a:" * 50_000,
        "\U0001f3b5" * 100_000,
    ],
)
def test_a_monstrous_query_is_refused_in_words(text):
    for read in (parse_topic, parse_keywords):
        with pytest.raises(QueryError) as refused:
            read(text)
        assert len(refused.value.message) + len(refused.value.hint) < 400


def test_parentheses_nest_as_deep_as_promised():
    deep = "(a OR " * MAX_DEPTH + "b" + ")" * MAX_DEPTH
    assert parse_topic(deep).terms == ("a", "b")
    with pytest.raises(QueryError, match="inside of each other") as refused:
        parse_topic("(a OR " + deep + ")")
    assert refused.value.position == MAX_DEPTH * 6 + 1


@pytest.mark.parametrize("unit", ["a ", "#a ", '"a b" ', "a OR b ", "(a) ", "-b ", "from:a ", "a-", "🎵 "])
def test_reading_takes_linear_time(unit):
    def seconds(times):
        text = "a " + unit * times + "c"
        best = 9e9
        for _ in range(3):
            start = time.process_time()
            parse(text)
            best = min(best, time.process_time() - start)
        return best

    seconds(10)
    # Eight times the text: 8 if linear, 64 if quadratic.
    assert seconds(8_000) < 30 * max(seconds(1_000), 1e-4)


PIECES = st.sampled_from(
    [
        "a",
        "Music",
        "OR",
        "or",
        "(",
        ")",
        '"',
        "-",
        "#",
        "@",
        "$",
        ":",
        "~3",
        " ",
        "  ",
        "from:",
        "is:retweet",
        "has:",
        "url:",
        "[",
        "]",
        "..",
        "🎵",
        "👍🏽",
        "\u200b",
        "é",
        "你好",
        "!",
        "'",
        "~",
        "*",
        ".",
        "\t",
        "\n",
        "\x00",
        "lang:en",
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=25).map("".join), st.text(max_size=60)))
def test_no_text_makes_reading_fail_but_by_a_query_error(text):
    for read in (parse_topic, parse_keywords):
        try:
            query = read(text)
        except QueryError as refused:
            assert 0 <= refused.position <= len(text.strip())
            assert refused.message
            assert str(refused)
        else:
            assert query.terms
