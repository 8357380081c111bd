"""A line of X's stream: a post that keeps its promises, or Undecodable with a reason."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import bson

from core.errors import Undecodable
from core.post import Post
from core.query import parse_topic
from core.sinks.base import StoredRow
from core.sinks.mongodb_document import MAX_BYTES, encode
from core.sources.x.decode import LONGEST_ID, decode
from tests import hostile

TOPIC = parse_topic('"music end" OR "music 🎵" OR "end music"~4 OR url:example OR @jb OR $ab OR lang:en OR a')


def strings(post: Post) -> list[str]:
    """Every text of a post."""
    return [
        *(post.id, post.text, post.lang, post.edit_of, post.quoted_text),
        *(post.author.id, post.author.username, post.author.name),
        *post.tags,
        *post.mentions,
        *post.links,
        *post.metrics,
        *(ref.id for ref in post.refs),
    ]


def check(data: bytes) -> None:
    """Decode, match, and encode for MongoDB."""
    try:
        post = decode(data)
    except Undecodable as reason:
        assert str(reason).isprintable()
        return
    assert 0 < len(post.id) <= LONGEST_ID
    assert post.id == post.id.strip()
    assert post.text
    assert not [text for text in strings(post) if any(unicodedata.category(char) == "Cs" for char in text)]
    assert all(-(2**63) < number < 2**63 for number in post.metrics.values())
    assert post.created_at is None or post.created_at.utcoffset() is not None
    assert decode(data) == post
    assert TOPIC.match(post) == TOPIC.match_plain(post)
    encoded = encode(StoredRow("capture", 1, post, (), 1.0, False, data), raw=True)
    assert len(encoded) <= MAX_BYTES
    assert bson.decode(encoded)["_id"] == post.key


def seeds() -> Iterator[bytes]:
    """Lines to start from."""
    yield from (line.raw for line in hostile.every() if len(line.raw) < 3_000)
