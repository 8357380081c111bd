"""Outages of a real server at the worst moments: whatever breaks, each row is there once and counted once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pymongo
import pytest

from core.errors import Unavailable
from core.settings import MongodbSettings
from core.sinks.base import Outcome, StoredRow
from core.sinks.mongodb import MongodbSink
from tests.conftest import ROOT, FerretDB, make_row, put, wait_until
from tests.mongodb_proxy import Proxy, cut_behind, slowly

pytestmark = pytest.mark.needs_go

STORED = Outcome.STORED


def sink_of(url: str, timeout: float = 60.0) -> MongodbSink:
    return MongodbSink(url, MongodbSettings(timeout=timeout))


def deliver(sink: MongodbSink, rows: Sequence[StoredRow]) -> list[Outcome]:
    """What the delivery thread does: the same batch again until it is answered."""
    answer: list[Outcome] = []

    def answered() -> bool:
        try:
            answer[:] = put(sink, rows)
        except Unavailable:
            return False
        return True

    wait_until(answered)
    return answer


def numbers(url: str, database: str = "bieber_tui") -> list[int]:
    with pymongo.MongoClient[Any](url) as client:
        return sorted(doc["seq"] for doc in client[database].posts.find({}, {"seq": 1}))


@pytest.fixture
def sink(own_ferretdb: FerretDB) -> Iterator[MongodbSink]:
    sink = sink_of(own_ferretdb.address)
    sink.open()
    yield sink
    sink.close()


def test_outages_between_and_inside_batches_lose_nothing(own_ferretdb: FerretDB, sink: MongodbSink) -> None:
    rows = [make_row(seq) for seq in range(6000)]
    outcomes: list[Outcome] = []
    stop = threading.Event()

    def cut() -> None:
        for pause in (0.02, 0.15, 0.3, 0.07):
            if stop.wait(pause):
                return
            own_ferretdb.kill()
            time.sleep(0.2)
            own_ferretdb.start()

    killer = threading.Thread(target=cut)
    killer.start()
    try:
        for at in range(0, len(rows), 500):
            outcomes += deliver(sink, rows[at : at + 500])
    finally:
        killer.join()
        stop.set()
    assert outcomes == [STORED] * 6000
    assert numbers(own_ferretdb.address) == list(range(6000))


def test_a_batch_that_was_taken_but_not_answered_is_stored_once_and_ours(
    ferretdb: FerretDB, mongodb_url: str
) -> None:
    between = Proxy(ferretdb.port)
    sink = sink_of(mongodb_url.replace(str(ferretdb.port), str(between.port)))
    sink.open()
    rows = [make_row(seq) for seq in range(900)]
    assert put(sink, rows[:300]) == [STORED] * 300
    between.spoil(cut_behind, times=3)
    for cut in (2, 3):  # both inserts of the batch, then one of the two
        with pytest.raises(Unavailable):
            put(sink, rows[300:])
        assert between.met == cut
    assert put(sink, rows[300:]) == [STORED] * 600
    sink.close()
    between.down()
    database = mongodb_url.rpartition("/")[2]
    assert numbers(mongodb_url, database) == list(range(900))


WRITER = """
import sys
from core.settings import MongodbSettings
from core.sinks.mongodb import MongodbSink
from tests.conftest import make_row

sink = MongodbSink(sys.argv[1], MongodbSettings(timeout=60))
sink.open()
print("open", flush=True)
for at in range(0, 50_000, 1000):
    put(sink, [make_row(seq) for seq in range(at, at + 1000)])
    print(at + 1000, flush=True)
"""


@pytest.mark.parametrize("seconds", [0.03, 0.11, 0.31])
def test_a_writer_killed_in_mid_batch_is_continued_exactly_once(mongodb_url: str, seconds: float) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, mongodb_url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "open\n"
    time.sleep(seconds)
    os.kill(writer.pid, signal.SIGKILL)
    answered = [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait()

    cursor = max(answered, default=0)
    database = mongodb_url.rpartition("/")[2]
    found = numbers(mongodb_url, database)
    assert set(range(cursor)) <= set(found), "an answered row is missing"
    sink = sink_of(mongodb_url)
    sink.open()
    end = (len(found) // 1000 + 2) * 1000
    for at in range(cursor, end, 1000):
        assert put(sink, [make_row(seq) for seq in range(at, at + 1000)]) == [STORED] * 1000
    sink.close()
    assert numbers(mongodb_url, database) == list(range(end))


def test_a_collection_whose_making_was_cut_short_takes_no_post_twice(own_ferretdb: FerretDB) -> None:
    """FerretDB makes the table first and the index on _id later: killed in between, it never makes it."""
    sink = sink_of(own_ferretdb.address)
    sink.open()
    own_ferretdb.kill()
    with sqlite3.connect(own_ferretdb.folder / "bieber_tui.sqlite") as db:
        (table, settings), *_ = db.execute("SELECT table_name, settings FROM _ferretdb_collections")
        indexes = [index for index in json.loads(settings)["indexes"] if index["name"] != "_id_"]
        db.execute(
            "UPDATE _ferretdb_collections SET settings = ?",
            (json.dumps({**json.loads(settings), "indexes": indexes}),),
        )
        db.execute(f'DROP INDEX "{table}__id_"')
    own_ferretdb.start()
    assert "has no index on _id" in within(60, sink.open)
    with pymongo.MongoClient[Any](own_ferretdb.address) as client:
        client.bieber_tui.posts.drop()
    sink.open()
    assert put(sink, [make_row(1), make_row(2)]) == put(sink, [make_row(1), make_row(2)]) == [STORED] * 2
    assert numbers(own_ferretdb.address) == [1, 2]
    sink.close()


def within(seconds: float, call: Callable[[], object]) -> str:
    """The words of the Unavailable that `call` ends with in that time."""
    start = time.monotonic()
    with pytest.raises(Unavailable) as unavailable:
        call()
    assert time.monotonic() - start < seconds
    return str(unavailable.value)


def test_a_server_that_hangs_is_left_after_the_timeout(own_ferretdb: FerretDB) -> None:
    sink = sink_of(own_ferretdb.address, timeout=1.0)
    wait_until(lambda: opens(sink))
    own_ferretdb.hang()
    try:
        assert "does not answer in time" in within(60, lambda: put(sink, [make_row(1)]))
        assert "does not answer in time" in within(60, sink_of(own_ferretdb.address, timeout=1.0).open)
    finally:
        own_ferretdb.wake()
    assert deliver(sink, [make_row(1)]) == [STORED]
    sink.close()


def test_looking_up_what_was_refused_may_take_longer_than_an_insert(ferretdb: FerretDB, mongodb_url: str) -> None:
    """FerretDB reads the whole collection for it, which must not end in the same timeout for ever."""
    between = Proxy(ferretdb.port)
    sink = sink_of(mongodb_url.replace(str(ferretdb.port), str(between.port)), timeout=2.0)
    wait_until(lambda: opens(sink))
    assert deliver(sink, [make_row(1)]) == [STORED]
    between.spoil(slowly(5.0), command="find")
    assert deliver(sink, [make_row(1)]) == [STORED]
    assert between.met > 0
    sink.close()
    between.down()


def opens(sink: MongodbSink) -> bool:
    try:
        sink.open()
    except Unavailable:
        return False
    return True


def test_close_ends_a_write_that_a_hung_server_holds(own_ferretdb: FerretDB) -> None:
    sink = sink_of(own_ferretdb.address, timeout=60.0)
    sink.open()
    own_ferretdb.hang()
    try:
        closer = threading.Timer(0.5, sink.close)
        closer.start()
        assert "closed" in within(50, lambda: put(sink, [make_row(1)]))
        closer.join(120)
        assert not closer.is_alive()
    finally:
        own_ferretdb.wake()


HANGS_AND_ENDS = """
import sys
from core.settings import MongodbSettings
from core.sinks.mongodb import MongodbSink
from tests.conftest import make_row, put
import threading, time

sink = MongodbSink(sys.argv[1], MongodbSettings(timeout=60))
sink.open()
print("open", flush=True)
sys.stdin.readline()  # the server hangs from here on
threading.Timer(0.3, sink.close).start()
try:
    put(sink, [make_row(1)])
except Exception as error:
    print(type(error).__name__, flush=True)
"""


def test_a_process_ends_at_once_although_its_server_hangs(own_ferretdb: FerretDB, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS_AND_ENDS, own_ferretdb.address],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    own_ferretdb.hang()
    try:
        start = time.monotonic()
        out, err = process.communicate("\n", timeout=120)
        assert (out, err) == ("Unavailable\n", "")
        assert time.monotonic() - start < 50  # the sink's timeout is 60
    finally:
        own_ferretdb.wake()
