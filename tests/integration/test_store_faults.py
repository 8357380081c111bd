"""The store fails, in every way that a MongoDB server can: what the person is told, and that the numbers stay exact.

Each case runs the whole capture, from X over HTTP to a real server behind a proxy that spoils inserts. The oracle
is what the simulator sent: which documents are there, whose they are, and what is unique, duplicate and pending.
Twenty of the posts were stored by somebody else before.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from core.capture import Capture
from core.secret import SecretStr
from core.settings import MongodbSettings, Settings, XSettings
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from core.snapshot import SinkState
from core.sources.x.decode import decode
from tests import mongodb_proxy as proxy
from tests.clock import FastClock
from tests.conftest import wait_until
from tests.integration.test_main_job import collection, expected, whole
from tests.mongodb_proxy import Act, Link, Message, Proxy

pytestmark = pytest.mark.needs_go

POSTS = 200
BATCH = 30
THEIRS = 20

NOT_PRIMARY = proxy.refuse(10107, "not primary")
DISK_FULL = (14031, "Cannot write to disk, out of disk space")


@dataclass(frozen=True)
class Case:
    """The inserts in the middle of a run meet these acts, one after the other; then all is well again."""

    acts: tuple[Act, ...]
    words: str = ""  # that the person is told; nothing is said when it is empty
    state: SinkState = SinkState.DOWN


def in_turn(acts: tuple[Act, ...]) -> Act:
    left = iter(acts)

    def act(link: Link, message: Message) -> None:
        next(left)(link, message)

    return act


CASES = {
    "the answer is lost, the posts are not": Case((proxy.lose_answer,) * 2, "does not answer in time"),
    "the server hangs": Case((proxy.hang,) * 2, "does not answer in time"),
    "cut between the write and its answer": Case((proxy.cut_behind,) * 3, "the connection to MongoDB at"),
    "reset within an insert": Case((proxy.reset_within,) * 3, "the connection to MongoDB at"),
    "the primary steps down in mid-batch": Case(
        (proxy.half_and_refuse(11602, "operation was interrupted"), NOT_PRIMARY, NOT_PRIMARY), "usually elected"
    ),
    "the server shuts down behind the write": Case(
        (proxy.store_and_refuse(91, "The server is in quiesce mode and will shut down"),), "usually elected"
    ),
    "some posts of a batch meet the loss of the primary": Case(
        (proxy.some_fail(189, "primary stepped down"), proxy.some_fail(10107, "not primary")), "usually elected"
    ),
    "the database's disk is full": Case((proxy.refuse(*DISK_FULL),) * 3, "has no room left"),
    "the disk gets full in mid-batch": Case(
        (proxy.half_and_refuse(*DISK_FULL), proxy.some_fail(*DISK_FULL)), "Free space there"
    ),
    "the quota is used up": Case(
        (proxy.refuse(8000, "you are over your space quota, using 512 MB of 512 MB"),), "has no room left"
    ),
    "no majority": Case(
        (proxy.no_majority(64, "waiting for replication timed out"),) * 2, "not on a majority of its members"
    ),
    "something unheard of": Case((proxy.refuse(4711, "a cosmic ray"),), "error 4711: a cosmic ray"),
    "slow": Case((proxy.slowly(0.3),) * 3),
    "the rights are taken away": Case(
        (proxy.refuse(13, "not authorized on db to execute command insert"),), "readWrite", SinkState.REFUSED
    ),
    "a validation rule refuses some posts": Case(
        (proxy.some_fail(121, "Document failed validation"),), "validation rule", SinkState.REFUSED
    ),
}


def options(**more) -> SimulatorOptions:
    return SimulatorOptions(
        **{"rate": 0, "delivery_cap": 500.0, "posts": POSTS, "match": 1.0, "duplicates": 0.1, "payload": "small", "seed": 7,
           "start_time": 1_793_000_000.0, **more}
    )  # fmt: skip


class Run:
    """One capture in this process, over the simulator, into the store behind the proxy."""

    def __init__(self, sim: Simulator, folder, url: str | None, factor: float = 30.0) -> None:
        self.sim = sim
        self.capture = Capture.open(
            Settings(
                x=XSettings(base_url=sim.url, bearer_token=SecretStr(sim.options.tokens[0])),
                data_dir=folder,
                store=SecretStr(url) if url else None,
                mongodb=MongodbSettings(timeout=0.8, batch_size=BATCH),
            ),
            clock=FastClock(factor),
        )
        self.states: set[SinkState] = set()
        self.capture.start()

    @property
    def sink(self):
        status = self.capture.snapshot().sinks[0]
        self.states.add(status.state)
        return status

    def said(self) -> str:
        return "\n".join(event.text for event in self.capture.snapshot().events)

    def settled(self) -> bool:
        """Everything was received, and the store has answered for all of it."""
        run, state = self.capture.snapshot().run, self.sink.state
        received = self.sim.finished and run.delivered == len(whole(self.sim))
        return received and run.pending == 0 and state is SinkState.OK

    def stop(self) -> dict:
        self.capture.stop()
        return self.capture.report()


@pytest.fixture
def server(ferretdb, mongodb_url) -> Iterator[tuple[Proxy, str, str]]:
    """The proxy, the address of the database behind it, and the one beside it."""
    between = Proxy(ferretdb.port)
    yield between, mongodb_url.replace(str(ferretdb.port), str(between.port)), mongodb_url
    between.down()


@pytest.fixture(scope="module")
def ids(tmp_path_factory) -> list[str]:
    """The posts that the simulator sends: the same in every run."""
    with Simulator(options()) as sim:
        run = Run(sim, tmp_path_factory.mktemp("ids"), None)
        wait_until(lambda: sim.finished)
        run.stop()
        return sorted(expected(sim))


def store_theirs(url: str, ids: list[str]) -> set[str]:
    theirs = set(ids[5 :: POSTS // THEIRS])
    collection(url).insert_many(
        [{"_id": f"x:{id_}", "id": id_, "capture": "theirs", "seq": seq} for seq, id_ in enumerate(theirs)]
    )
    return theirs


def exact(sim: Simulator, url: str, report: dict, theirs: set[str]) -> None:
    """Documents, owners and counters against what was sent."""
    lines = Counter(sent.post for sent in whole(sim))
    documents = list(collection(url).find({}, {"id": 1, "capture": 1, "seq": 1}))
    assert sorted(document["id"] for document in documents) == sorted(expected(sim))
    ours = [document for document in documents if document["capture"] != "theirs"]
    assert len({document["seq"] for document in ours}) == len(ours) == len(expected(sim)) - len(theirs)
    run = report["run"]
    assert run["consumed"] == run["matched"] == sum(lines.values())
    assert run["unique"] == report["sinks"]["mongodb"]["stored"] == len(ours)
    assert run["duplicate"] == run["matched"] - run["unique"]
    assert run["pending"] == report["sinks"]["mongodb"]["behind"] == 0
    assert report["gaps"] == []  # the reader never noticed


@pytest.mark.parametrize("name", CASES)
def test_a_fault_in_mid_run_is_told_and_costs_nothing(server, tmp_path, ids, name):
    case = CASES[name]
    between, address, direct = server
    theirs = store_theirs(direct, ids)
    with Simulator(options()) as sim:
        between.spoil(in_turn(case.acts), times=len(case.acts), after=1)
        run = Run(sim, tmp_path / "data", address)
        if case.words:
            wait_until(lambda: run.sink.state is case.state or run.settled())
            assert case.words in run.sink.error or between.met == len(case.acts)
        wait_until(run.settled)
        assert between.met == len(case.acts)
        said = run.said()
        exact(sim, direct, run.stop(), theirs)
    assert run.capture.error is None
    if case.words:
        assert case.words in said
        assert "mongodb is back" in said
    else:
        assert SinkState.DOWN not in run.states


def test_down_for_an_hour_in_mid_stream(server, tmp_path):
    """The time is a thousand times as fast; posts come all the while."""
    between, address, direct = server
    with Simulator(options(delivery_cap=60.0)) as sim:
        run = Run(sim, tmp_path / "data", address, factor=1000.0)
        wait_until(lambda: run.sink.stored >= 30)
        between.down()
        wait_until(lambda: "does not listen" in run.sink.error)
        since = run.sink.since
        consumed = run.capture.snapshot().run.consumed
        wait_until(lambda: run.capture.snapshot().at > since + 3600)
        snapshot = run.capture.snapshot()
        assert snapshot.run.consumed > consumed
        assert snapshot.run.pending >= snapshot.run.consumed - consumed - 60 > 0
        assert snapshot.health[0].state.connected
        between.up()
        wait_until(run.settled)
        exact(sim, direct, run.stop(), set())
    assert sum("does not listen" in event.text for event in run.capture.snapshot().events) == 1  # told once


def test_down_at_the_start(server, tmp_path, ids):
    between, address, direct = server
    theirs = store_theirs(direct, ids)
    between.down()
    with Simulator(options()) as sim:
        run = Run(sim, tmp_path / "data", address)
        wait_until(lambda: sim.finished and run.capture.snapshot().run.consumed == len(whole(sim)))
        wait_until(lambda: "does not listen" in run.sink.error)
        assert run.capture.snapshot().run.pending == POSTS
        between.up()
        wait_until(run.settled)
        exact(sim, direct, run.stop(), theirs)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (proxy.refuse(13, "not authorized on db to execute command create"), "readWrite"),
        (proxy.refuse(18, "Authentication failed."), "password"),
        (proxy.refuse(73, "Invalid namespace specified"), "mongodb.collection"),
    ],
)
def test_a_refusal_at_the_start_ends_the_capture_and_the_journal_has_what_came(server, tmp_path, act, words):
    between, address, _ = server
    between.spoil(act, command="create")
    with Simulator(options()) as sim:
        run = Run(sim, tmp_path / "data", address)
        assert run.capture.ended.wait(120)
        report = run.stop()
    assert run.capture.error is not None
    assert run.capture.error.exit_code == 4
    assert words in str(run.capture.error)
    assert report["run"]["pending"] == report["run"]["matched"] - report["run"]["duplicate"]


def test_stopped_while_it_fails_what_waits_is_pending_and_the_next_run_delivers_it(server, tmp_path, ids):
    """The answers are lost until the stop: the server has posts that we do not know it has."""
    between, address, direct = server
    theirs = store_theirs(direct, ids)
    with Simulator(options()) as sim:
        run = Run(sim, tmp_path / "data", address)
        wait_until(lambda: run.sink.stored >= BATCH)
        between.spoil(proxy.lose_answer)
        wait_until(lambda: sim.finished and run.capture.snapshot().run.consumed == len(whole(sim)))
        report = run.stop()
        assert run.capture.error is None
        first = report["run"]
        assert first["matched"] == first["unique"] + first["duplicate"] + first["pending"]
        assert first["pending"] > 0
        stored = [document["capture"] for document in collection(direct).find({}, {"capture": 1})]
        assert len(stored) - len(theirs) > first["unique"]  # it has more than it could say
        between.heal()
        again = Run(sim, tmp_path / "data", address)
        wait_until(lambda: again.capture.snapshot().life.pending == 0)
        life = again.stop()["life"]
    ours = [document["id"] for document in collection(direct).find({"capture": {"$ne": "theirs"}}, {"id": 1})]
    assert life["unique"] == len(ours) == POSTS - len(theirs)
    assert life["matched"] == life["unique"] + life["duplicate"]
    assert collection(direct).count_documents({}) == POSTS


def test_a_journal_that_is_damaged_in_mid_run_ends_the_capture_and_no_wrong_post_is_stored(server, tmp_path):
    """What waits for the store is damaged on the disk meanwhile: found before it gets there."""
    between, address, direct = server
    with Simulator(options()) as sim:
        run = Run(sim, tmp_path / "data", address)
        wait_until(lambda: run.sink.stored >= BATCH)
        between.down()
        wait_until(lambda: sim.finished and run.capture.snapshot().run.consumed == len(whole(sim)))
        path = tmp_path / "data" / "journal.sqlite"
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        data = path.read_bytes()
        spoilt = sorted(expected(sim))[-20:]
        for id_ in spoilt:  # one bit of each of the last lines
            at = data.index(b'"text":', data.index(f'"id":"{id_}"'.encode())) + 12
            with path.open("r+b") as file:
                file.seek(at)
                file.write(bytes([data[at] ^ 1]))
        between.up()
        assert run.capture.ended.wait(120)
        report = run.stop()
    error = run.capture.error
    assert error is not None
    assert error.exit_code == 4
    assert "does not hold what was written" in str(error)
    assert "bieber-tui recover" in str(error)
    documents = collection(direct).find({}, {"id": 1, "text": 1})
    texts = {post.id: post.text for post in (decode(sent.raw) for sent in whole(sim))}
    assert all(texts[document["id"]] == document["text"] for document in documents)
    assert report["run"]["pending"] >= len(spoilt)
