"""A row of the feed: its post is read from its line when somebody looks, once, and not before."""

from __future__ import annotations

import msgspec
import pytest

from core.post import Post
from core.snapshot import FeedRow, Verdict


def unread(seen: list[bytes]) -> FeedRow:
    def read(raw: bytes) -> Post:
        seen.append(raw)
        return Post(source="x", id="1", text=raw.decode())

    return FeedRow(7, None, Verdict.MATCHED, ("music",), 1.5, True, b"of music", read)


def test_a_post_is_read_once_and_its_line_is_let_go():
    seen: list[bytes] = []
    row = unread(seen)
    other = row.but(verdict=Verdict.DUPLICATE)
    assert seen == []
    assert (row.post.text, row.post.id) == ("of music", "1")
    assert row.post is row.read()
    assert seen == [b"of music"]
    assert (row._raw, row._read) == (b"", None)
    assert (other.post, other.verdict, other.matched) == (row.post, Verdict.DUPLICATE, ("music",))
    assert len(seen) == 2


def test_rows_are_equal_whether_they_were_read_or_not():
    row = unread([])
    read = FeedRow(7, Post(source="x", id="1", text="of music"), Verdict.MATCHED, ("music",), 1.5, True)
    assert row == read
    assert hash(row) == hash(read)
    assert row != read.but(seq=8)
    assert row != read.but(post=Post(source="x", id="2", text=""))


def test_another_post_takes_the_place_of_one_that_nobody_has_read():
    seen: list[bytes] = []
    assert unread(seen).but(post=Post(source="x", id="", text="")).post.text == ""
    assert seen == []


def test_a_row_that_was_read_goes_over_the_wire():
    row = unread([])
    with pytest.raises(TypeError):
        msgspec.msgpack.encode(row)
    row.read()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=FeedRow) == row
