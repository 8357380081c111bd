"""The collection is useful to query: dates, tags and authors, and the indexes for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pymongo
import pytest
from pymongo.collection import Collection

from core.post import Post
from core.settings import MongodbSettings
from core.sinks.base import Outcome
from core.sinks.mongodb import INDEXES, MongodbSink, make_indexes
from tests.conftest import make_row, put

pytestmark = pytest.mark.needs_go


@pytest.fixture
def posts(mongodb_url: str) -> Iterator[Collection[Any]]:
    with pymongo.MongoClient[Any](mongodb_url, tz_aware=True) as client:
        yield client.get_default_database()["posts"]


@pytest.fixture
def sink(mongodb_url: str) -> Iterator[MongodbSink]:
    sink = MongodbSink(mongodb_url, MongodbSettings(raw=True))
    sink.open()
    yield sink
    sink.close()


def test_posts_are_found_by_time_tag_author_and_topic(sink: MongodbSink, posts: Collection[Any]) -> None:
    rows = [make_row(seq) for seq in range(120)]
    tagged = Post(source="x", id="1", text="t", tags=("Belieber", "music"))
    put(sink, [*rows, make_row(500, post=tagged)])

    start, end = datetime(2026, 11, 1, 0, 0, 10, tzinfo=UTC), datetime(2026, 11, 1, 0, 0, 20, tzinfo=UTC)
    found = posts.find({"created_at": {"$gte": start, "$lt": end}}).sort("created_at", 1)
    assert [post["seq"] for post in found] == list(range(10, 20))
    assert posts.count_documents({"tags": "Belieber"}) == 1
    assert posts.count_documents({"tags": "music"}) == 121
    assert posts.count_documents({"author.username": "user3"}) == 17
    assert posts.count_documents({"matched": "music", "lang": "en"}) == 120
    assert posts.count_documents({"metrics.like_count": {"$gte": 100}}) == 20
    newest = posts.find_one({}, sort=[("received_at", -1)])
    assert newest is not None
    assert newest["seq"] == 500
    by_author = posts.aggregate([{"$group": {"_id": "$author.username", "n": {"$sum": 1}}}])
    assert {group["_id"]: group["n"] for group in by_author}["user0"] == 18


def test_what_is_read_back_is_what_was_captured(sink: MongodbSink, posts: Collection[Any]) -> None:
    text = "a\0b 🎵\u202e" + "x" * 5_000_000
    post = Post(source="x", id="1", text=text, metrics={"huge": 2**63 - 1, "small": -(2**63)})
    assert put(sink, [make_row(2**40, post=post, raw=b"\xff\x00")]) == [Outcome.STORED]
    stored = posts.find_one({"_id": "x:1"})
    assert stored is not None
    assert stored["text"] == text
    assert stored["metrics"] == {"huge": 2**63 - 1, "small": -(2**63)}
    assert stored["raw"] == b"\xff\x00"
    assert stored["seq"] == 2**40
    assert stored["created_at"] is None


def keys_of(posts: Collection[Any]) -> set[tuple[tuple[str, int], ...]]:
    return {tuple(index["key"]) for index in posts.index_information().values()}


def test_ferretdb_has_the_index_that_it_uses_and_opening_again_changes_nothing(
    sink: MongodbSink, posts: Collection[Any]
) -> None:
    assert keys_of(posts) == {(("_id", 1),)}
    put(sink, [make_row(1)])
    sink.open()
    assert keys_of(posts) == {(("_id", 1),)}
    assert posts.count_documents({}) == 1


def test_the_indexes_of_other_servers_can_be_made_and_one_of_the_users_own_is_good_enough(
    posts: Collection[Any],
) -> None:
    posts.create_index([("created_at", -1)], name="mine")
    for _ in range(2):
        make_indexes(posts)
        wanted = {tuple(index.document["key"].items()) for index in INDEXES}
        assert keys_of(posts) == wanted | {(("_id", 1),)}
    assert "mine" in posts.index_information()


def test_the_collection_of_the_settings_takes_the_posts(mongodb_url: str, posts: Collection[Any]) -> None:
    sink = MongodbSink(mongodb_url, MongodbSettings(collection="seen"))
    sink.open()
    put(sink, [make_row(1)])
    sink.close()
    assert posts.database["seen"].count_documents({}) == 1
    assert posts.count_documents({}) == 0


def test_a_batch_larger_than_one_insert_may_be_is_taken_in_parts(
    sink: MongodbSink, posts: Collection[Any]
) -> None:
    rows = [make_row(seq, post=Post(source="x", id=str(seq), text="x" * 700_000)) for seq in range(10)]
    assert put(sink, rows) == [Outcome.STORED] * 10
    assert put(sink, rows) == [Outcome.STORED] * 10
    assert posts.count_documents({}) == 10


def test_the_raw_line_alone_can_be_taken_out(sink: MongodbSink, posts: Collection[Any]) -> None:
    put(sink, [make_row(seq, raw=b"somebody else's words") for seq in range(3)])
    sink.forget([], ["x:1500000000000000000", "x:1500000000000000001"])
    left = {document["seq"]: document for document in posts.find()}
    assert "raw" not in left[0]
    assert left[1]["text"] == "post 1 about #music by @justin"
    assert left[2]["raw"] == "somebody else's words"
