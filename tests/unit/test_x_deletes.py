"""What X announces is recognised in every shape that X documents, and nothing else is taken for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sources.x import deletes
from core.sources.x.deletes import Announced, announced, surely_a_post
from tests.x_server import post

AT = "2022-12-23T12:34:56.789Z"


@pytest.mark.parametrize("kind", ["delete", "drop"])
def test_a_post_that_is_deleted_or_dropped(kind):
    message = {"data": {kind: {"tweet": {"id": "601430178305220608", "author_id": "3198"}, "event_at": AT}}}
    assert announced(json.dumps(message).encode()) == Announced(post="601430178305220608")


def test_a_deleted_post_that_somebody_quoted():
    body = {"event_at": AT, "quote_tweet_id": "7", "tweet": {"author_id": "1", "id": "6"}}
    assert announced(json.dumps({"data": {"delete": body}}).encode()) == Announced(post="6")


def test_a_deleted_post_as_version_1_1_says_it():
    status = {"id": 1234, "id_str": "1234", "user_id": 3, "user_id_str": "3"}
    assert announced(json.dumps({"delete": {"status": status, "timestamp_ms": "1"}}).encode()) == Announced(
        post="1234"
    )


@pytest.mark.parametrize("kind", ["user_delete", "user_protect", "user_suspend"])
def test_an_author_whose_posts_are_to_go(kind):
    message = {"data": {kind: {"user": {"id": "2244994945"}, "event_at": AT}}}
    assert announced(json.dumps(message, indent=1).encode()) == Announced(author="2244994945")


@pytest.mark.parametrize(
    "message",
    [
        {"data": {"undrop": {"tweet": {"id": "1", "author_id": "2"}, "event_at": AT}}},
        {"data": {"withheld": {"tweet": {"id": "1", "author_id": "2"}, "withheld_in_countries": ["DE"]}}},
        {"data": {"scrub_geo": {"user": {"id": "1"}, "up_to_tweet_id": "9"}}},
        {"data": {"user_undelete": {"user": {"id": "1"}}}},
        {"scrub_geo": {"user_id": 1, "up_to_status_id": 9}},
        {"status_withheld": {"id": 1, "user_id": 2, "withheld_in_countries": ["DE"]}},
    ],
)
def test_what_asks_nothing_of_a_store_is_recognised_and_does_nothing(message):
    assert announced(json.dumps(message).encode()) == Announced()


@pytest.mark.parametrize(
    "line",
    [
        post(1),
        b'{"data":{"id":"1","text":"\\"delete\\": {"}}',
        b'{"delete":1}',
        b'{"data":{"delete":{"tweet":{"id":"../x"}}}}',
        b'{"data":{"delete":{"tweet":[]}}}',
        b'{"data":{"user_delete":{"user":{"id":true}}}}',
        b'{"delete":{"status":',
        b'{"notice":{"level":"info"}}',
        b"",
    ],
)
def test_any_other_line_is_delivered(line):
    assert announced(line) is None


bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tweet", "status", "user", "id", "id_str", "data", "delete"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(st.sampled_from(["delete", "drop", "user_delete", "undrop"]), bodies, st.booleans(), bodies)
def test_nothing_makes_it_raise(kind, body, nested, beside):
    message = {"data": {kind: body, "x": beside}} if nested else {kind: body, "data": beside}
    found = announced(json.dumps(message).encode())
    assert found is None or not (found.post and found.author)


@pytest.mark.parametrize("kind", [*deletes._OF_POST, *deletes._OF_AUTHOR, *deletes._NOTHING_TO_DO])
@pytest.mark.parametrize("form", ['{"data":{"%s":{}}}', ' { "data" : { "%s" : {"id":"1"}}}', '{"%s":{}}'])
def test_no_message_is_taken_for_a_post_at_first_look(kind, form):
    assert not surely_a_post((form % kind).encode())


@pytest.mark.parametrize(
    "line", [b'{"errors":[{}]}', b'{"title":"x","type":"y"}', b'{"data":{}}', b'{"data":null}', b"{}"]
)
def test_what_may_be_an_error_object_is_not_taken_for_a_post_at_first_look(line):
    assert not surely_a_post(line)


def test_posts_are_known_at_first_look():
    assert surely_a_post(post(1))
    assert surely_a_post(b' { "data" : { "author_id" : "1" }}')
