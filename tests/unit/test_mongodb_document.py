"""Whatever a post holds, it has a document that a server takes."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.post import Author, Post, Ref
from core.sinks.base import StoredRow
from core.sinks.mongodb_document import MAX_BYTES, MOST_ITEMS, MOST_NAMES, document, encode
from tests.conftest import make_row


def decoded(row: StoredRow, raw: bool = False) -> dict[str, Any]:
    encoded = encode(row, raw=raw)
    assert len(encoded) <= MAX_BYTES
    return dict(bson.decode(encoded, bson.CodecOptions(tz_aware=True)))


def of(post: Post, **changes: Any) -> StoredRow:
    return replace(make_row(7, post=post), **changes)


def test_a_document_has_exactly_the_fields_of_the_design() -> None:
    post = Post(
        source="x",
        id="42",
        text="whole & unescaped",
        created_at=datetime(2026, 11, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        author=Author(id="1", username="who", name="Who 🎵"),
        lang="en",
        tags=("Music",),
        mentions=("justin",),
        links=("https://example.org/",),
        metrics={"like_count": 3},
        refs=(Ref("retweeted", "41"),),
        edit_of="40",
        quoted_text="not stored",
    )
    row = of(post, received_at=1_793_491_200.5, backfilled=True, raw=b'{"id": "42"}')
    assert decoded(row) == {
        "_id": "x:42",
        "source": "x",
        "id": "42",
        "text": "whole & unescaped",
        "created_at": datetime(2026, 11, 1, 10, tzinfo=UTC),
        "received_at": datetime.fromtimestamp(1_793_491_200.5, UTC),
        "author": {"id": "1", "username": "who", "name": "Who 🎵"},
        "lang": "en",
        "tags": ["Music"],
        "mentions": ["justin"],
        "links": ["https://example.org/"],
        "metrics": {"like_count": 3},
        "refs": [{"kind": "retweeted", "id": "41"}],
        "edit_of": "40",
        "matched": ["music"],
        "backfilled": True,
        "capture": "capture-1",
        "seq": 7,
    }


def test_the_raw_line_is_text_if_it_can_be() -> None:
    post = Post(source="x", id="1", text="t")
    assert decoded(of(post, raw="{🎵}".encode()), raw=True)["raw"] == "{🎵}"
    assert decoded(of(post, raw=b"\xff\x00"), raw=True)["raw"] == b"\xff\x00"
    assert "raw" not in decoded(of(post, raw=b"{}"))


@pytest.mark.parametrize("moment", [math.nan, math.inf, -math.inf, 1e20, -1e20])
def test_a_moment_that_no_calendar_has_is_null(moment: float) -> None:
    assert decoded(of(Post(source="x", id="1", text="t"), received_at=moment))["received_at"] is None


@pytest.mark.parametrize(
    ("created_at", "stored"),
    [
        (None, None),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), None),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))), None),
        (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_dates_are_utc_or_null(created_at: datetime | None, stored: datetime | None) -> None:
    assert decoded(of(Post(source="x", id="1", text="t", created_at=created_at)))["created_at"] == stored


@pytest.fixture
def far_from_utc(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=2))])
def test_dates_are_utc_wherever_the_machine_is(zone: timezone | None) -> None:
    made = document(
        of(Post(source="x", id="1", text="t", created_at=datetime(2026, 1, 1, 12, tzinfo=zone))), raw=False
    )
    assert made["created_at"] == datetime(2026, 1, 1, 10 if zone not in (None, UTC) else 12, tzinfo=UTC)
    assert made["received_at"] == datetime(2026, 11, 1, 0, 0, 7, 500_000, UTC)
    assert made["created_at"].tzinfo is made["received_at"].tzinfo is UTC


def test_numbers_end_at_64_bits_and_names_of_metrics_are_field_names() -> None:
    metrics = {"a.b": 2**80, "$set": -(2**80), "": 1, "n\0l": 2, "half\ud800": 3, "likes": 4}
    stored = decoded(of(Post(source="x", id="1", text="t", metrics=metrics), seq=2**70))
    assert stored["metrics"] == {"a_b": 2**63 - 1, "_set": -(2**63), "_": 1, "n_l": 2, "half?": 3, "likes": 4}
    assert stored["seq"] == 2**63 - 1


def test_half_a_surrogate_becomes_a_question_mark() -> None:
    post = Post(source="x", id="1\udfff", text="a\ud83d🎵", author=Author(name="\udfff"), tags=("\ud800",))
    stored = decoded(of(post))
    assert (stored["_id"], stored["text"], stored["author"]["name"], stored["tags"]) == (
        "x:1?",
        "a?🎵",
        "?",
        ["?"],
    )


def test_half_a_surrogate_changes_nothing_else() -> None:
    post = Post(
        source="x", id="1", text="\ud800", created_at=datetime(2026, 1, 1, tzinfo=UTC), metrics={"likes": 3}
    )
    stored = decoded(of(post, backfilled=True, raw=b"\xff"), raw=True)
    assert (stored["created_at"], stored["raw"], stored["metrics"]) == (post.created_at, b"\xff", {"likes": 3})
    assert stored["backfilled"] is True
    assert decoded(of(Post(source="x", id="1", text="\ud800")))["created_at"] is None


def test_a_document_of_exactly_the_limit_is_whole() -> None:
    bare = len(encode(of(Post(source="x", id="1", text="")), raw=False))
    whole = of(Post(source="x", id="1", text="t" * (MAX_BYTES - bare)))
    assert len(encode(whole, raw=False)) == MAX_BYTES
    assert "cut" not in decoded(whole)
    assert decoded(of(Post(source="x", id="1", text="t" * (MAX_BYTES - bare + 1))))["cut"] == ["text"]


def test_half_a_surrogate_in_a_text_that_is_cut_is_one_question_mark() -> None:
    stored = decoded(of(Post(source="x", id="1", text="\ud800" + "t" * MAX_BYTES)))
    assert stored["text"].startswith("?ttt")
    assert stored["cut"] == ["text"]


def test_five_megabytes_are_stored_whole() -> None:
    stored = decoded(of(Post(source="x", id="1", text="🎵" * 1_250_000), raw=b"x" * 5_000_000), raw=True)
    assert len(stored["text"]) == 1_250_000
    assert len(stored["raw"]) == 5_000_000
    assert "cut" not in stored


def test_a_document_too_large_gives_up_the_raw_line_first() -> None:
    stored = decoded(of(Post(source="x", id="1", text="t" * 9_000_000), raw=b"x" * 9_000_000), raw=True)
    assert stored["cut"] == ["raw"]
    assert "raw" not in stored
    assert len(stored["text"]) == 9_000_000


def test_then_the_end_of_the_text() -> None:
    text = "ab🎵" * 4_000_000
    stored = decoded(of(Post(source="x", id="1", text=text), raw=b"x"), raw=True)
    assert stored["cut"] == ["raw", "text"]
    assert text.startswith(stored["text"])
    assert len(stored["text"].encode()) > MAX_BYTES - 2_000


def test_then_whatever_else_is_too_large() -> None:
    post = Post(source="x", id="1", text="t", author=Author(name="n" * 17_000_000), tags=("music",) * 2_000_000)
    stored = decoded(of(post))
    assert stored["author"] == {}
    assert stored["tags"] == []
    assert stored["_id"] == "x:1"


anything = st.text(st.characters(exclude_categories=()), max_size=20)
posts = st.builds(
    Post,
    source=anything,
    id=anything,
    text=anything,
    created_at=st.none() | st.datetimes(timezones=st.none() | st.timezones()),
    author=st.builds(Author, id=anything, username=anything, name=anything),
    lang=anything,
    tags=st.lists(anything, max_size=4).map(tuple),
    metrics=st.dictionaries(anything, st.integers(), max_size=4),
    refs=st.lists(st.builds(Ref, kind=st.just("quoted"), id=anything), max_size=2).map(tuple),
)


@given(post=posts, received_at=st.floats(), seq=st.integers(), raw=st.binary(max_size=50))
@settings(max_examples=300, deadline=None)
def test_every_post_has_a_document(post: Post, received_at: float, seq: int, raw: bytes) -> None:
    row = of(post, received_at=received_at, seq=seq, raw=raw)
    stored = decoded(row, raw=True)
    assert stored.keys() == document(row, raw=True).keys()
    assert all("." not in name and "\0" not in name and name[:1] not in ("", "$") for name in stored["metrics"])
    if not any("\ud800" <= character <= "\udfff" for character in post.text):
        assert stored["text"] == post.text


def test_no_more_names_than_a_server_can_compare() -> None:
    many = {f"count_{number}": number for number in range(MOST_NAMES + 1)}
    some = decoded(of(Post(source="x", id="1", text="t", metrics=many)))
    assert some["metrics"] == dict(list(many.items())[:MOST_NAMES])
    assert some["cut"] == ["metrics"]
    del many["count_0"]
    every = decoded(of(Post(source="x", id="1", text="t", metrics=many)))
    assert every["metrics"] == many
    assert "cut" not in every


def test_whatever_field_is_too_large_is_given_up() -> None:
    large = "l" * (MAX_BYTES + 1)
    for field, value in {"lang": large, "edit_of": large, "author": Author(name=large), "tags": (large,)}.items():
        some = decoded(of(Post(source="x", id="1", text="t" * 1000, **{field: value})))
        assert not some[field]
        assert some["text"] == ""
        assert field in some["cut"]


@pytest.mark.parametrize("field", ["tags", "mentions", "links", "refs"])
def test_no_longer_list_than_a_server_takes_in_time(field: str) -> None:
    items = [Ref("quoted", str(n)) if field == "refs" else str(n) for n in range(MOST_ITEMS + 1)]
    some = decoded(of(Post(source="x", id="1", text="t", **{field: tuple(items)})))
    assert len(some[field]) == MOST_ITEMS
    assert some["cut"] == [field]
    every = decoded(of(Post(source="x", id="1", text="t", **{field: tuple(items[1:])})))
    assert len(every[field]) == MOST_ITEMS
    assert "cut" not in every
