"""A query: read, or refused with a place; asked, both ways of matching agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.errors import QueryError
from core.post import Author, Post
from core.query import Query, parse_keywords, parse_topic


def read(text: str, parse: Callable[[str], Query]) -> Query | None:
    """The query, which says again what it says; None when it was refused, with its place."""
    try:
        query = parse(text)
    except QueryError as error:
        assert 0 <= error.position <= len(error.query) + 1
        assert error.message
        assert str(error)
        return None
    assert parse(query.text).tree == query.tree
    assert query.terms
    assert all(term in query.text for term in query.terms)
    return query


def agree(query: Query, post: Post) -> None:
    """Both ways give one verdict, in the query's order; what is marked is in the text."""
    for quoted in (False, True):
        verdict = query.match(post, quoted=quoted)
        assert verdict == query.match_plain(post, quoted=quoted)
        if verdict is not None:
            assert list(verdict) == [term for term in query.terms if term in verdict]
    end = 0
    for first, last in query.spans(post.text):
        assert end <= first < last <= len(post.text)
        end = last


def check(data: bytes) -> None:
    """A line is the query, the lines behind it are what it is asked of."""
    text, _, rest = data.decode("utf-8", "surrogateescape" if data[:1] == b"\0" else "replace").partition("\n")
    read(text, parse_keywords)
    topic = read(text, parse_topic)
    if topic is None:
        return
    first, *more = [*rest.split("\n"), text]
    agree(topic, Post(source="x", id="1", text=first))
    agree(
        topic,
        Post(
            source="x",
            id="1",
            text=text,
            quoted_text=rest,
            tags=tuple(filter(None, more)),
            mentions=(first,),
            links=(rest, "https://example.org/" + text),
            author=Author("1", first, text),
            lang="en",
        ),
    )


def seeds() -> Iterator[bytes]:
    """Queries of the documentation with what they find."""
    for query in (
        "music OR #music",
        '"justin bieber" (lang:en OR lang:es) -is:retweet',
        '"new album"~3 @jb $BIEB has:links url:"https://example.org" url_contains:a',
        '🎵 OR 👍🏽 OR "love 🎤" OR \'x',
        "point_radius:[2.355128 48.861118 16km] a -(b OR c)",
        "from:a in_reply_to_tweet_id:7 sample:15 followers_count:1..2",
        "हिन्दी OR 好 OR e\u0301 OR straße OR ﬁ",
    ):
        yield f"{query}\nnew music album by justin-bieber 🎵👍🏽 https://example.org/love 8pm".encode()
        yield f"{query}\n{query}\n{query}".encode()
