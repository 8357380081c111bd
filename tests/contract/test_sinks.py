"""What every sink promises (core/sinks/base.py), tried on a real store of each kind.

A new sink adds its harness to HARNESSES and changes nothing else here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import pymongo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Unavailable
from core.post import Author, Post, Ref
from core.settings import MongodbSettings, Settings
from core.sinks import open_sink
from core.sinks.base import Outcome, Sink, StoredRow
from tests.conftest import FerretDB, make_row, put, wait_until

T = TypeVar("T")
STORED, DUPLICATE = Outcome.STORED, Outcome.DUPLICATE


class Harness(Protocol):
    """A store under test: empty at first, and to be taken away and given back."""

    def sink(self, patience: float = 60.0) -> Sink:
        """A new sink into the store, not open yet; it gives an answer so many seconds."""

    def stored(self) -> list[tuple[str, str, int]]:
        """Everything in the store, as (key, capture, seq), sorted."""

    def clear(self) -> None: ...
    def take_away(self) -> None: ...
    def give_back(self) -> None: ...


class MongodbHarness:
    def __init__(self, server: FerretDB) -> None:
        self._server = server
        self._url = f"{server.address}/contract"

    def sink(self, patience: float = 60.0) -> Sink:
        return open_sink(self._url, Settings(mongodb=MongodbSettings(timeout=patience, batch_size=100)))

    def stored(self) -> list[tuple[str, str, int]]:
        with pymongo.MongoClient[Any](self._url) as client:
            return sorted((doc["_id"], doc["capture"], doc["seq"]) for doc in client.contract.posts.find())

    def clear(self) -> None:
        with pymongo.MongoClient[Any](self._url) as client:
            client.contract.posts.delete_many({})

    def take_away(self) -> None:
        self._server.kill()

    def give_back(self) -> None:
        self._server.start()


HARNESSES = {"mongodb": (MongodbHarness, "own_ferretdb")}


@pytest.fixture(params=[pytest.param("mongodb", marks=pytest.mark.needs_go)])
def store(request: pytest.FixtureRequest) -> Harness:
    harness, server = HARNESSES[request.param]
    return harness(request.getfixturevalue(server))


@pytest.fixture
def sink(store: Harness) -> Iterator[Sink]:
    sink = store.sink()
    sink.open()
    yield sink
    sink.close()


@pytest.fixture
def hasty(store: Harness) -> Iterator[Sink]:
    """A sink that soon gives up on a store that is away. On a busy machine also on one that is there: see `in_time`."""
    sink = store.sink(2.0)
    in_time(sink.open)
    yield sink
    sink.close()


def in_time(call: Callable[[], T]) -> T:
    """What the delivery does: the same again until it is answered."""
    answers: list[T] = []

    def answered() -> bool:
        try:
            answers.append(call())
        except Unavailable:
            return False
        return True

    wait_until(answered)
    return answers[0]


def test_every_row_is_stored_and_answered(store: Harness, sink: Sink) -> None:
    rows = [make_row(seq) for seq in range(250)]
    assert put(sink, rows) == [STORED] * 250
    assert store.stored() == sorted((row.post.key, row.capture, row.seq) for row in rows)


def test_rows_sent_again_are_there_once_and_stay_ours(store: Harness, sink: Sink) -> None:
    rows = [make_row(seq) for seq in range(250)]
    put(sink, rows[:120])
    assert put(sink, rows) == [STORED] * 250
    assert put(sink, rows) == [STORED] * 250
    assert len(store.stored()) == 250


def test_a_post_of_another_capture_is_a_duplicate(store: Harness, sink: Sink) -> None:
    theirs = [make_row(seq, capture="theirs") for seq in (1, 3)]
    put(sink, theirs)
    ours = [make_row(seq, capture="ours") for seq in range(5)]
    for _ in range(2):  # and stays one when it is sent again
        assert put(sink, ours) == [STORED, DUPLICATE, STORED, DUPLICATE, STORED]
    assert [(capture, seq) for _, capture, seq in store.stored()] == [
        ("ours", 0), ("theirs", 1), ("ours", 2), ("theirs", 3), ("ours", 4),
    ]  # fmt: skip


def test_a_post_twice_in_one_batch_is_stored_by_the_first(store: Harness, sink: Sink) -> None:
    first, other = make_row(1), make_row(2)
    again = make_row(3, post=first.post)
    for _ in range(2):
        assert put(sink, [first, other, again]) == [STORED, STORED, DUPLICATE]
    assert len(store.stored()) == 2


def test_the_same_row_twice_in_one_batch_is_ours_both_times(store: Harness, sink: Sink) -> None:
    assert put(sink, [make_row(1), make_row(1)]) == [STORED, STORED]
    assert len(store.stored()) == 1


def test_a_post_with_another_number_of_this_capture_is_a_duplicate(store: Harness, sink: Sink) -> None:
    put(sink, [make_row(1)])
    assert put(sink, [make_row(2, post=make_row(1).post)]) == [DUPLICATE]
    assert [seq for _, _, seq in store.stored()] == [1]


def test_an_empty_batch_has_no_outcomes(store: Harness, sink: Sink) -> None:
    assert put(sink, []) == []
    assert store.stored() == []


def test_a_store_that_comes_back_takes_the_rows(store: Harness, hasty: Sink) -> None:
    rows = [make_row(seq) for seq in range(10)]
    assert in_time(lambda: put(hasty, rows[:5])) == [STORED] * 5
    store.take_away()
    for _ in range(2):
        with pytest.raises(Unavailable) as unavailable:
            put(hasty, rows)
        assert hasty.target.partition("/")[0] in str(unavailable.value)
    store.give_back()
    assert in_time(lambda: put(hasty, rows)) == [STORED] * 10
    assert len(store.stored()) == 10


def test_a_store_that_is_down_at_first_can_be_opened_later(store: Harness) -> None:
    sink = store.sink(2.0)
    store.take_away()
    with pytest.raises(Unavailable):
        sink.open()
    with pytest.raises(Unavailable):
        put(sink, [make_row(1)])
    store.give_back()
    in_time(sink.open)
    in_time(sink.open)
    assert in_time(lambda: put(sink, [make_row(1)])) == [STORED]
    sink.close()


def test_a_closed_sink_is_unavailable_and_closes_again(store: Harness) -> None:
    never_opened = store.sink()
    never_opened.close()
    sink = store.sink()
    sink.open()
    sink.close()
    sink.close()
    for call in (sink.open, lambda: put(sink, [make_row(1)]), never_opened.open):
        with pytest.raises(Unavailable):
            call()


def test_two_sinks_at_once_store_each_post_once(store: Harness) -> None:
    counted: dict[str, int] = {}

    def deliver(capture: str) -> None:
        sink = store.sink()
        sink.open()
        rows = [make_row(seq, capture=capture) for seq in range(600)]
        outcomes = [outcome for at in range(0, 600, 50) for outcome in put(sink, rows[at : at + 50])]
        counted[capture] = outcomes.count(STORED)
        sink.close()

    threads = [threading.Thread(target=deliver, args=(capture,)) for capture in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = store.stored()
    assert len(stored) == 600
    for capture in ("left", "right"):
        assert counted[capture] == sum(owner == capture for _, owner, _ in stored)


HOSTILE = [
    Post(source="x", id="1", text=""),
    Post(source="x", id="2", text="\x1b[31m[bold]red[/]\x00\u202e\u200b" * 100),
    Post(source="x", id="3", text="🎵" * 1_250_000),
    Post(source="x", id="not a number \0 $ . ' \" 🎵", text="id"),
    Post(source="x", id="5", text="half a surrogate \ud83d", author=Author(name="\udfff")),
    Post(source="x", id="6", text="n", metrics={"a.b": 2**80, "$set": -(2**80), "": 0, "nul\0": 1, "_id": 7}),
    Post(source="x", id="7", text="t", tags=("", "a\0b", "#"), mentions=("$where",), links=("javascript:1",)),
    Post(source="x", id="8", text="r", refs=(Ref("quoted", "9" * 10_000),), edit_of="1"),
    Post(source="x", id="9" * 20_000, text="long id"),
    Post(source="x", id="10", text="many", tags=tuple(map(str, range(20_000)))),
]


def test_no_post_is_refused_for_its_content(store: Harness, sink: Sink) -> None:
    rows = [make_row(seq, post=post, raw=b"\xff\x00") for seq, post in enumerate(HOSTILE)]
    assert put(sink, rows) == [STORED] * len(rows)
    assert put(sink, rows) == [STORED] * len(rows)
    assert len(store.stored()) == len(rows)


def test_what_is_held_of_authors_and_posts_is_told_with_who_stored_it(store: Harness, sink: Sink) -> None:
    def row(seq: int, id: str, author: str, capture: str = "ours", **more: Any) -> StoredRow:
        post = Post(source="x", id=id, text="t", author=Author(id=author), **more)
        return make_row(seq, capture=capture, post=post)

    put(
        sink,
        [
            row(1, "1", "a"),
            row(2, "2", "b"),
            row(3, "3", "b", refs=(Ref("retweeted", "1"),)),
            row(4, "4", "b", refs=(Ref("quoted", "1"), Ref("retweeted", "9"))),
            row(5, "5", "b", edit_of="1"),
            row(6, "6", "a", capture="theirs"),
        ],
    )
    assert sorted(sink.holds("x", ["a"], [])) == [("1", "ours"), ("6", "theirs")]
    assert sorted(sink.holds("x", [], ["1"])) == [("1", "ours"), ("3", "ours"), ("5", "ours")]
    assert sorted(sink.holds("x", ["a"], ["2", "404"])) == [("1", "ours"), ("2", "ours"), ("6", "theirs")]
    assert sink.holds("x", [], []) == sink.holds("bluesky", ["a"], ["1"]) == []


def test_forgotten_posts_are_gone_and_others_stay(store: Harness, sink: Sink) -> None:
    rows = [make_row(seq) for seq in range(2500)]
    put(sink, rows)
    sink.forget([row.post.key for row in rows[:2200]] + ["x:never-there"], [rows[2300].post.key])
    assert len(store.stored()) == 300
    sink.forget([rows[0].post.key], [])  # once more is no error
    assert put(sink, rows[:1]) == [STORED]


def test_a_store_that_is_away_forgets_when_it_is_back(store: Harness, hasty: Sink) -> None:
    in_time(lambda: put(hasty, [make_row(1)]))
    store.take_away()
    with pytest.raises(Unavailable):
        hasty.holds("x", ["1"], [])
    with pytest.raises(Unavailable):
        hasty.forget([make_row(1).post.key], [])
    store.give_back()
    in_time(lambda: hasty.forget([make_row(1).post.key], []))
    assert store.stored() == []


captures = st.sampled_from(["a", "b"])
batches = st.lists(
    st.tuples(captures, st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8)), max_size=6
)


@given(batches=batches)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_batches_in_any_order_agree_with_a_dictionary(
    store: Harness, sink: Sink, batches: list[tuple[str, list[tuple[int, int]]]]
) -> None:
    store.clear()
    owners: dict[str, tuple[str, int]] = {}
    for capture, numbers in batches:
        rows = [
            make_row(seq, capture=capture, post=Post(source="x", id=str(post), text="t")) for seq, post in numbers
        ]
        expected = [
            STORED if owners.setdefault(row.post.key, (capture, row.seq)) == (capture, row.seq) else DUPLICATE
            for row in rows
        ]
        assert put(sink, rows) == expected
    assert store.stored() == sorted((key, *owner) for key, owner in owners.items())
