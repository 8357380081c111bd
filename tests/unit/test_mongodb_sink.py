"""What the MongoDB store asks of the driver, exactly, and what it makes of each answer.

The driver is a script here: a real server (tests/contract/test_sinks.py, tests/integration/test_mongodb_*.py) does not
show which write concern it was asked for, and cannot be made to fail at every step.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo import ReadPreference
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    OperationFailure,
    ServerSelectionTimeoutError,
)

from core.errors import StoreRefused, Unavailable
from core.settings import MongodbSettings, Settings
from core.sinks import mongodb as module
from core.sinks.base import Outcome
from core.sinks.mongodb import INDEXES, MongodbSink, from_settings
from core.sinks.mongodb_document import encode
from tests.conftest import PATIENCE, make_row, put, wait_until

STORED, DUPLICATE = Outcome.STORED, Outcome.DUPLICATE


class Server:
    """Keeps documents by their `_id` and every call in order; `faults` are raised by the next calls of a name."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.faults: dict[str, list[Exception | None]] = {}
        self.clients: list[Client] = []
        self.seen: list[Any] = []  # what the driver's monitors met
        self.patience: list[float] = []
        self.build: dict[str, Any] = {"version": "7.0.1"}
        self.indexes: list[dict[str, Any]] = [{"tags": 1, "_id": 1}, {"_id": 1}]  # their keys
        self.before: dict[str, Any] = {}  # called at the begin of a call of that name

    def called(self, name: str, *values: Any) -> None:
        self.calls.append((name, *values))
        self.before.get(name, lambda: None)()
        faults = self.faults.get(name)
        if faults and (fault := faults.pop(0)) is not None:
            raise fault

    def asked(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]

    def stored(self, key: str, capture: str = "capture-1", seq: int = 1, **more: Any) -> None:
        self.documents[key] = {"_id": key, "capture": capture, "seq": seq, "id": key.partition(":")[2], **more}


class Posts:
    def __init__(self, server: Server, place: str) -> None:
        self._server, self._place = server, place
        self.database = SimpleNamespace(command=lambda words: server.called(f"{words} {place}"))

    def create_indexes(self, indexes):
        self._server.called("create_indexes", self._place, *indexes)

    def list_indexes(self):
        self._server.called("list_indexes", self._place)
        return [{"name": "whatever", "key": key} for key in self._server.indexes]

    def insert_many(self, documents, **options):
        found = [dict(document) for document in documents]
        self._server.called("insert_many", self._place, [one["_id"] for one in found], options)
        faults = []
        for index, one in enumerate(found):
            if one["_id"] in self._server.documents:
                faults.append({"index": index, "code": 11000, "errmsg": "duplicate"})
            else:
                self._server.documents[one["_id"]] = one
        if faults:
            raise BulkWriteError({"writeErrors": faults, "writeConcernErrors": []})

    def find(self, wanted, fields, **options):
        self._server.called("find", self._place, wanted, fields, options)
        keys = wanted.get("_id", {}).get("$in")
        return [one for key, one in self._server.documents.items() if keys is None or key in keys]

    def delete_many(self, wanted):
        self._server.called("delete_many", self._place, wanted)

    def update_many(self, wanted, change):
        self._server.called("update_many", self._place, wanted, change)


class Client:
    def __init__(self, server: Server, url: str, options: dict[str, Any]) -> None:
        self.server, self.url, self.options = server, url, options
        self.admin = SimpleNamespace(command=self.command)
        self.closed = 0
        errors = {place: SimpleNamespace(error=error) for place, error in enumerate(server.seen)}
        self.topology_description = SimpleNamespace(server_descriptions=lambda: errors)

    def command(self, words):
        self.server.called(words)
        return self.server.build

    def get_default_database(self, name):
        server = self.server

        class Database:
            def __getitem__(self, collection):
                return Posts(server, f"{name}.{collection}")

            def create_collection(self, collection, **options):
                server.called("create_collection", f"{name}.{collection}", options)

            def get_collection(self, collection, read_preference):
                return Posts(server, f"{name}.{collection} at the {read_preference.mongos_mode}")

        return Database()

    def close(self):
        self.closed += 1
        self.server.called("close")


PLACE = "tweets.seen at the primary"


@pytest.fixture
def server(monkeypatch) -> Server:
    server = Server()

    def connect(url, **options):
        server.clients.append(Client(server, url, options))
        return server.clients[-1]

    @contextmanager
    def timeout(seconds: float) -> Iterator[None]:
        server.patience.append(seconds)
        yield

    monkeypatch.setattr(module, "MongoClient", connect)
    monkeypatch.setattr(module, "pymongo", SimpleNamespace(timeout=timeout))
    return server


def sink_of(url: str = "mongodb://h/tweets", **settings: Any) -> MongodbSink:
    return MongodbSink(url, MongodbSettings(collection="seen", **settings))


@pytest.fixture
def sink(server) -> MongodbSink:
    sink = sink_of()
    sink.open()
    server.calls.clear()
    return sink


# What is asked for


@pytest.mark.parametrize(
    ("seconds", "wait", "write"), [(5.0, 5000, 4000), (0.5, 500, 400), (0.0016, 2, 1), (0.0001, 1, 1)]
)
def test_a_write_is_answered_by_a_majority_on_disk_or_not_in_time(server, seconds, wait, write):
    sink_of(timeout=seconds).open()
    [client] = server.clients
    assert client.url == "mongodb://h/tweets"
    assert client.options == {
        "connect": False,
        "serverSelectionTimeoutMS": wait,
        "connectTimeoutMS": wait,
        "socketTimeoutMS": wait,
        "wTimeoutMS": write,
        "w": "majority",
        "journal": True,
        "retryWrites": False,
        "retryReads": False,
        "appname": "bieber-tui",
    }


def test_opening_makes_each_index_by_itself(server):
    sink = sink_of()
    sink.open()
    made = [("create_indexes", "tweets.seen", index) for index in INDEXES]
    assert server.calls == [("buildInfo",), *made, ("list_indexes", "tweets.seen")]
    assert (sink.name, sink.target, repr(sink)) == ("mongodb", "h/tweets.seen", "MongodbSink(h/tweets.seen)")


def test_an_index_that_somebody_else_made_is_good_enough_and_any_other_failure_is_none(server):
    server.faults["create_indexes"] = [OperationFailure("there", 85), None, OperationFailure("there", 86)]
    sink_of().open()
    assert len(server.asked("create_indexes")) == len(INDEXES)
    server.faults["create_indexes"] = [None, OperationFailure("not authorized", 13)]
    with pytest.raises(StoreRefused, match="may not write"):
        sink_of().open()
    assert [client.closed for client in server.clients] == [0, 1]


def test_ferretdb_which_uses_no_index_gets_none(server):
    server.build = {"version": "7.0.42", "ferretdbVersion": "v1.24.0"}
    sink = sink_of()
    sink.open()
    made = ("create_collection", "tweets.seen", {"check_exists": False})
    assert server.calls == [("buildInfo",), made, ("list_indexes", "tweets.seen")]
    server.faults["create_collection"] = [OperationFailure("there", 48), OperationFailure("not authorized", 13)]
    sink.open()
    with pytest.raises(StoreRefused, match="may not write"):
        sink.open()


def test_a_collection_that_would_take_a_post_twice_is_not_written_to(server):
    """It has no index on _id alone."""
    del server.indexes[1]
    sink = sink_of()
    with pytest.raises(Unavailable, match=r"collection tweets\.seen at h has no index on _id.*db\.seen\.drop\(\)"):
        sink.open()
    with pytest.raises(Unavailable, match="no connection"):
        put(sink, [make_row(1)])
    assert [client.closed for client in server.clients] == [1]
    server.faults["list_indexes"] = [OperationFailure("not authorized", 13)]
    with pytest.raises(StoreRefused, match="may not write"):
        sink_of().open()


def test_the_settings_size_of_an_insert_is_kept_and_nothing_waits_for_the_first_failure(server):
    sink = sink_of(batch_size=2)
    sink.open()
    assert put(sink, [make_row(seq) for seq in range(1, 6)]) == [STORED] * 5
    assert sorted(len(keys) for _, keys, _ in server.asked("insert_many")) == [1, 2, 2]
    assert {(place, options["ordered"]) for place, _, options in server.asked("insert_many")} == {(PLACE, False)}


def test_an_insert_weighs_no_more_than_goes_through_in_time(server, sink, monkeypatch):
    weight = len(encode(make_row(1), raw=False))
    for bound, sizes in ((3 * weight, [1, 3, 3]), (3 * weight - 1, [1, 2, 2, 2]), (1, [1] * 7)):
        monkeypatch.setattr(module, "INSERT_BYTES", bound)
        server.calls.clear()
        server.documents.clear()
        put(sink, [make_row(seq) for seq in range(1, 8)])
        assert sorted(len(keys) for _, keys, _ in server.asked("insert_many")) == sizes


def test_two_inserts_are_on_their_way_at_a_time_and_no_more(server, sink, monkeypatch):
    meet = threading.Barrier(2, timeout=PATIENCE)
    under_way: list[int] = []

    def insert():
        under_way.append(1)
        meet.wait()  # none is answered before both are there
        assert len(under_way) == 2
        meet.wait()
        under_way.clear()
        meet.wait()

    server.before["insert_many"] = insert
    monkeypatch.setattr(module, "FEW", 2)
    rows = [make_row(seq) for seq in range(1, 8)]
    assert [len(part) for part, _ in sink.prepare(rows)] == [4, 3]
    server.stored(rows[1].post.key, capture="another")
    assert put(sink, rows) == [STORED, DUPLICATE] + [STORED] * 5
    with_four = sink_of(batch_size=2)
    with_four.open()
    assert put(with_four, [make_row(seq) for seq in range(11, 19)]) == [STORED] * 8
    assert len(sink.prepare(rows[:2])) == 1  # they are sooner inserted than shared out


@pytest.mark.parametrize("broken", [0, 1])
def test_when_one_of_two_inserts_fails_the_other_is_waited_for(sink, hang, monkeypatch, broken):
    """What is sent again meets none of it on its way."""
    monkeypatch.setattr(module, "FEW", 1)
    answered = []
    met = threading.Event()

    def insert(part, documents):
        if part[0].seq == broken:
            met.set()
            raise Unavailable("broken")
        hang.wait(PATIENCE)
        answered.append(part[0].seq)

    monkeypatch.setattr(sink, "_insert", insert)
    thread, told = waiting(lambda: put(sink, [make_row(seq) for seq in (0, 1)]))
    assert met.wait(PATIENCE)
    thread.join(0.1)
    assert told == []
    hang.set()
    thread.join(PATIENCE)
    assert (answered, told) == ([1 - broken], ["broken"])


def test_the_raw_line_is_stored_by_setting(server):
    for raw in (False, True):
        sink = from_settings("mongodb://h/db", Settings(mongodb=MongodbSettings(raw=raw)))
        sink.open()
        server.documents.clear()
        put(sink, [make_row(1, raw=b"{raw}")])
        [stored] = server.documents.values()
        assert stored.get("raw") == ("{raw}" if raw else None)
    assert sink.target == "h/db.posts"


# What an answer means


def test_who_stored_a_post_before_decides_what_it_is(server, sink):
    rows = [make_row(seq) for seq in range(1, 6)]
    keys = [row.post.key for row in rows]
    server.stored(keys[1], "capture-1", 2)  # ours, by an earlier try
    server.stored(keys[2], "capture-2", 3)
    server.stored(keys[3], "capture-1", 9)  # by another row of ours
    server.documents[keys[4]] = {"_id": keys[4]}  # by a program that notes nothing
    assert put(sink, rows) == [STORED, STORED, DUPLICATE, DUPLICATE, DUPLICATE]
    [(place, wanted, fields, options)] = server.asked("find")
    assert (place, fields, options) == (PLACE, ("capture", "seq"), {"limit": 4, "batch_size": 5})
    assert sorted(wanted["_id"]["$in"]) == keys[1:]
    assert server.patience == [60.0]  # twelve times the timeout


def test_a_post_twice_in_one_insert_is_looked_up_once(server, sink):
    first, again = make_row(1), make_row(2, post=make_row(1).post)
    assert put(sink, [first, again, again]) == [STORED, DUPLICATE, DUPLICATE]
    assert [(wanted, options) for _, wanted, _, options in server.asked("find")] == [
        ({"_id": {"$in": [first.post.key]}}, {"limit": 1, "batch_size": 2})
    ]


def test_a_post_that_went_while_it_was_looked_up_is_sent_again(server, sink):
    row = make_row(1)
    server.stored(row.post.key)
    server.before["find"] = server.documents.clear
    with pytest.raises(Unavailable) as gone:
        put(sink, [row])
    assert str(gone.value) == (
        "posts were deleted from the collection while they were looked up; they are sent again"
    )


def test_a_failure_is_told_by_what_the_monitors_met(server):
    server.seen = [None, AutoReconnect("h: [Errno 111] Connection refused")]
    failure = ServerSelectionTimeoutError("something, Timeout: 5s")
    sink = sink_of()
    server.faults["buildInfo"] = [failure]
    with pytest.raises(Unavailable, match="does not listen"):
        sink.open()
    assert server.clients[0].closed == 1
    with pytest.raises(Unavailable, match=r"^there is no connection to MongoDB at h yet$"):
        put(sink, [make_row(1)])
    sink.open()
    for fault in (failure, OSError("broken"), AutoReconnect("broken")):
        server.faults |= {"insert_many": [fault], "ping tweets.seen at the primary": [fault]}
        words = "does not listen" if fault is failure else "broke"
        with pytest.raises(Unavailable, match=words):
            put(sink, [make_row(1)])
        with pytest.raises(Unavailable, match=words):
            sink.forget(["x:1"], [])


def test_a_name_that_was_found_once_is_no_typing_error(server):
    def unknown() -> ConfigurationError:
        error = ConfigurationError("The DNS query name does not exist")
        error.__cause__ = type("NXDOMAIN", (Exception,), {})()
        return error

    sink = sink_of("mongodb+srv://c0.ab1.mongodb.net/tweets")
    server.faults["buildInfo"] = [unknown(), None, unknown()]
    with pytest.raises(StoreRefused):
        sink.open()
    sink.open()
    with pytest.raises(Unavailable):
        sink.open()
    server.faults["insert_many"] = [unknown()]
    server.faults["buildInfo"] = []
    sink.open()
    for ask in (lambda: put(sink, [make_row(1)]), lambda: sink.holds("x", ["1"], [])):
        server.faults |= {"insert_many": [unknown()], "ping tweets.seen at the primary": [unknown()]}
        with pytest.raises(Unavailable):
            ask()


def test_opening_again_lets_go_of_the_connection_before(server, sink):
    sink.open()
    assert [client.closed for client in server.clients] == [1, 0]
    assert put(sink, [make_row(1)]) == [STORED]


# What is forgotten


def test_nothing_is_asked_for_nobody(server, sink):
    assert sink.holds("x", [], []) == []
    sink.forget([], [])
    assert server.calls == []


def test_what_is_held_is_asked_for_once_and_looked_at_again(server, sink):
    server.stored("x:1", author={"id": "a"})
    server.stored("x:2", "capture-2", author={"id": "b"}, edit_of="8")
    server.stored(
        "x:3", author={"id": "b"}, refs=[{"kind": "quoted", "id": "7"}, {"kind": "retweeted", "id": "8"}]
    )
    server.stored("x:4", author={"id": "b"}, refs=[{"kind": "quoted", "id": "8"}])
    server.stored("x:8", author=None, refs=None)
    server.documents["x:9"] = {"_id": "x:9", "id": 9, "author": {"id": "a"}}
    assert sink.holds("x", ["b2", "a"], ["8", "7b"]) == [
        ("1", "capture-1"), ("2", "capture-2"), ("3", "capture-1"), ("8", "capture-1"), ("9", "")
    ]  # fmt: skip
    any_of = [
        {"author.id": {"$in": ["a", "b2"]}},
        {"_id": {"$in": ["x:7b", "x:8"]}},
        {"edit_of": {"$in": ["7b", "8"]}},
        {"refs.id": {"$in": ["7b", "8"]}},
    ]
    fields = ("id", "capture", "author.id", "edit_of", "refs")
    assert server.calls == [
        ("ping tweets.seen at the primary",),
        ("find", PLACE, {"source": "x", "$or": any_of}, fields, {}),
    ]
    assert server.patience == [600.0]  # it may go through the whole collection
    sink.holds("x", ["a"], [])
    sink.holds("x", [], ["8"])
    assert [wanted["$or"] for _, wanted, _, _ in server.asked("find")[1:]] == [
        [{"author.id": {"$in": ["a"]}}],
        [{"_id": {"$in": ["x:8"]}}, {"edit_of": {"$in": ["8"]}}, {"refs.id": {"$in": ["8"]}}],
    ]


def test_posts_and_raw_lines_are_forgotten_in_parts(server, sink, monkeypatch):
    monkeypatch.setattr(module, "KEYS_AT_ONCE", 2)
    sink.forget(["a", "b", "c"], ["d", "e", "f", "g"])
    ping = ("ping tweets.seen at the primary",)
    assert server.calls == [
        ping, ("delete_many", PLACE, {"_id": {"$in": ["a", "b"]}}),
        ping, ("delete_many", PLACE, {"_id": {"$in": ["c"]}}),
        ping, ("update_many", PLACE, {"_id": {"$in": ["d", "e"]}}, {"$unset": {"raw": ""}}),
        ping, ("update_many", PLACE, {"_id": {"$in": ["f", "g"]}}, {"$unset": {"raw": ""}}),
    ]  # fmt: skip
    assert ReadPreference.PRIMARY.mongos_mode == "primary"


# The end


def test_a_sink_that_is_closed_takes_nothing_any_more(server, sink):
    sink.close()
    sink.close()
    assert [client.closed for client in server.clients] == [1]
    for ask in (sink.open, lambda: put(sink, [make_row(1)]), lambda: sink.forget(["x:1"], [])):
        with pytest.raises(Unavailable, match=r"^the connection to MongoDB was closed$"):
            ask()
    assert len(server.clients) == 1


@pytest.mark.parametrize("fault", [OSError("broken"), AutoReconnect("broken")])
def test_a_goodbye_that_fails_is_none_of_anybodys_business(server, sink, fault, monkeypatch):
    loud: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", loud.append)
    server.faults["close"] = [fault]
    sink.close()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "mongodb-close"])
    assert loud == []


def waiting(ask) -> tuple[threading.Thread, list[str]]:
    """A thread that asks, and what it was told in the end."""
    told: list[str] = []

    def run() -> None:
        try:
            ask()
        except Unavailable as failure:
            told.append(str(failure))

    thread = threading.Thread(target=run)
    thread.start()
    return thread, told


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_closing_ends_a_write_that_a_server_holds_and_the_thread_is_left_behind(server, sink, hang):
    entered = threading.Event()
    server.before["insert_many"] = lambda: entered.set() or hang.wait(PATIENCE)
    server.before["close"] = lambda: hang.wait(PATIENCE)
    thread, told = waiting(lambda: put(sink, [make_row(1)]))
    assert entered.wait(PATIENCE)
    names = {one.name: one.daemon for one in threading.enumerate()}
    assert names["mongodb-sink"] is True
    sink.close()
    thread.join(PATIENCE)
    assert told == ["the connection to MongoDB was closed while it was waited for"]
    names = {one.name: one.daemon for one in threading.enumerate()}
    assert names["mongodb-close"] is True
    assert server.clients[0].closed == 1


def test_a_connection_that_comes_about_behind_the_end_is_let_go_of(server, hang):
    entered = threading.Event()
    server.before["buildInfo"] = lambda: entered.set() or hang.wait(PATIENCE)
    sink = sink_of()
    thread, told = waiting(sink.open)
    assert entered.wait(PATIENCE)
    sink.close()
    thread.join(PATIENCE)
    assert told == ["the connection to MongoDB was closed while it was waited for"]
    assert server.clients[0].closed == 0
    hang.set()
    wait_until(lambda: server.clients[0].closed == 1)
    assert sink._client is None


def test_an_answer_that_comes_behind_the_end_is_not_told(server, sink, hang, monkeypatch):
    """Neither a result nor an error: both are known when the row is sent again."""
    loud: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", loud.append)
    for fault in (None, AutoReconnect("broken")):
        hang.clear()
        server.faults["insert_many"] = [fault]
        entered = threading.Event()
        server.before["insert_many"] = lambda entered=entered: entered.set() or hang.wait(PATIENCE)
        one = sink_of()
        one.open()
        thread, told = waiting(lambda one=one: put(one, [make_row(1)]))
        assert entered.wait(PATIENCE)
        one.close()
        thread.join(PATIENCE)
        assert len(told) == 1
        hang.set()
        wait_until(lambda: not [left for left in threading.enumerate() if left.name == "mongodb-sink"])
    assert loud == []


def test_a_bug_is_handed_up_as_it_is(server, sink):
    server.faults["insert_many"] = [ZeroDivisionError("a bug")]
    with pytest.raises(ZeroDivisionError, match="a bug"):
        put(sink, [make_row(1)])
    assert put(sink, [make_row(1)]) == [STORED]
