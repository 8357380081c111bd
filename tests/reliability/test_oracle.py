"""The oracle sees: each thing that may never happen is done to a good record by hand, and it has to object."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from pathlib import Path
from typing import NamedTuple

import pytest

from core.journal import FILE_NAME, Batch, GapMark, Journal
from core.journal.gaps import KILLED
from core.simulator.record import SentRecord
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.integration.test_main_job import Program, journal_ids, options, whole
from tests.reliability.oracle import Disagreement, Kept, books, judge, read, read_log


class Good(NamedTuple):
    """Two runs, the first one killed, with what the simulator sent and what a store could have."""

    data: Path
    sent: list[SentRecord]
    documents: list[dict]


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Good:
    folder = tmp_path_factory.mktemp("good")
    data, log = folder / "data", folder / "sent.ndjson"
    more = {"rate": 400, "match": 0.5, "duplicates": 0.1, "start_time": None, "log": log}
    with Simulator(options(**more)) as sim:
        program = Program(sim, data, "--set", "journal.scope=all", crash="in-transaction:5")
        assert program.end()[0] == -signal.SIGKILL
        wait_until(lambda: sim.connections[0].ended)
        sent_before = len(whole(sim))
        program = Program(sim, data, "--set", "journal.scope=all")
        wait_until(lambda: len(whole(sim)) > sent_before + 100)
        wait_until(lambda: whole(sim)[sent_before].post in ids(data))
        assert program.stop()[0] == 0
    kept = read(data)
    documents = [
        {"_id": f"x:{row.id}", "seq": row.seq, "capture": kept.capture} for row in kept.rows.values() if row.seq
    ]
    with sqlite3.connect(data / "journal.sqlite") as db:
        db.execute("INSERT INTO sink_cursors SELECT 'store', max(seq) FROM posts")
        db.execute("INSERT INTO settled SELECT 'store', 'x', count(*), 0 FROM posts")
    return Good(data, read_log(log), documents)


def ids(data: Path) -> set[str]:
    with sqlite3.connect(data / "journal.sqlite") as db:
        return {*journal_ids(data), *(row[0] for row in db.execute("SELECT id FROM filtered"))}


def test_a_good_record_is_good(good):
    figures = judge(good.sent, good.data, good.documents)
    assert figures.runs == 2
    assert figures.runs_cut == figures.gaps == 1
    assert figures.posts_in_gaps > 0
    assert figures.posts_sent > figures.posts_kept > 100
    assert figures.posts_missing == 0


FIFTH = "(SELECT seq FROM posts ORDER BY seq LIMIT 1 OFFSET 5)"
TAMPERED = {
    "a post is gone, and the counters say so": (
        f"DELETE FROM posts WHERE seq = {FIFTH}; UPDATE counters SET inserted = inserted - 1, repeated = repeated + 1",
        "lost in the midst",
    ),
    "a post is gone": (f"DELETE FROM posts WHERE seq = {FIFTH}", "posts are counted"),
    "a post is invented": (
        f"UPDATE posts SET id = '17' WHERE seq = {FIFTH}", "was never sent",
    ),
    "a line is another": (f"UPDATE posts SET raw = CAST(raw || ' ' AS BLOB) WHERE seq = {FIFTH}", "never sent whole"),
    "a line counted twice": ("UPDATE counters SET delivered = delivered + 1", "delivered:"),
    "twenty lines counted that were not read": (
        "UPDATE counters SET delivered = delivered + 20, consumed = consumed + 20", "the wire says",
    ),
    "no gap": ("DELETE FROM gaps", "no gap between"),
    "no gap, and one run": ("DELETE FROM gaps; DELETE FROM sessions WHERE session = 1", "a gap lacks"),
    "a gap that begins late": ("UPDATE gaps SET start = start + 0.001", "does not begin at"),
    "a gap that begins early": ("UPDATE gaps SET start = start - 0.001", "does not begin at"),
    "a gap that begins behind what is missing, and a journal that agrees": (
        'UPDATE gaps SET start = "end"; UPDATE sessions SET last_byte_at = (SELECT start FROM gaps) WHERE session = 1',
        "is missing before",
    ),
    "a gap that ends late": ('UPDATE gaps SET "end" = "end" + 0.05', "a gap lacks"),
    "a gap with another reason": ("UPDATE gaps SET reason = 'X closed the connection'", "a gap that is not ours"),
    "a gap that says it was filled": ("UPDATE gaps SET filled = 'yes'", "says that it was filled"),
    "two gaps for one": (
        "INSERT INTO gaps (source, start, \"end\", reason) SELECT source, start, \"end\", reason FROM gaps",
        "reaches into",
    ),
    "a cursor that is ahead": ("DELETE FROM settled", "settled:"),
    "a quarantined line is gone": ("UPDATE counters SET quarantined = quarantined + 1, delivered = delivered + 1", "quarantined lines"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_it_objects_to(good, tmp_path, what):
    sql, words = TAMPERED[what]
    data = tmp_path / "data"
    shutil.copytree(good.data, data)
    with sqlite3.connect(data / "journal.sqlite") as db:
        db.executescript(sql)
    with pytest.raises(Disagreement, match=words):
        judge(good.sent, data, good.documents)


def test_a_gap_may_follow_another_that_began_behind_the_last_line(tmp_path):
    """Killed right after a reconnect: the journal knows the end of that gap, and no line behind it."""

    def run(at: float, *batches: Batch) -> None:
        journal = Journal(tmp_path)
        session = journal.begin_session(at, "x", "k")
        for batch in batches:
            journal.commit(batch, session)
        journal.close()

    def faults(sql: str) -> list[str]:
        with sqlite3.connect(tmp_path / FILE_NAME) as db:
            db.execute(sql)
        return books(read(tmp_path))

    run(100.0, Batch("x", last_byte_at=101.0))
    run(
        110.0,
        Batch("x", last_byte_at=110.5, gaps=[GapMark(111.0, "")]),
        Batch("x", gaps=[GapMark(112.0, "the connection was cut"), GapMark(113.0, "")]),
    )
    run(120.0)
    kept = read(tmp_path)
    assert [gap[:3] for gap in kept.gaps] == [
        (101.0, 111.0, KILLED), (112.0, 113.0, "the connection was cut"), (113.0, float("inf"), KILLED),
    ]  # fmt: skip
    assert kept.runs[1].last_byte_at == 110.5
    assert books(kept) == []
    assert any("does not begin at 110.5" in one for one in faults("UPDATE gaps SET start = 113.1 WHERE gap = 3"))
    assert any("does not begin at 114" in one for one in faults("UPDATE sessions SET last_byte_at = 114.0"))


def test_it_objects_to_a_document_that_is_gone(good):
    with pytest.raises(Disagreement, match="lacks 1 posts"):
        judge(good.sent, good.data, good.documents[1:])


def test_it_objects_to_a_document_that_the_journal_has_not(good):
    capture = good.documents[0]["capture"]
    with pytest.raises(Disagreement, match="the journal has not"):
        judge(good.sent, good.data, [*good.documents, {"_id": "x:17", "seq": 10**6, "capture": capture}])


def test_it_objects_to_a_number_that_two_documents_have(good):
    with pytest.raises(Disagreement, match="one number"):
        judge(good.sent, good.data, [*good.documents, {**good.documents[0], "_id": "x:17"}])


def test_a_document_of_another_capture_is_a_duplicate_to_ours(good, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(good.data, data)
    with sqlite3.connect(data / "journal.sqlite") as db:
        db.execute("UPDATE settled SET stored = stored - 1, duplicate = 1")
    theirs = {**good.documents[0], "capture": "another", "seq": 1}
    assert judge(good.sent, data, [theirs, *good.documents[1:]]).posts_missing == 0


def test_it_leaves_the_files_as_a_kill_left_them(good, tmp_path):
    """The write-ahead log too: the next start has to meet it."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(good.data / "journal.sqlite", data)
    db = sqlite3.connect(data / "journal.sqlite")
    db.execute("UPDATE meta SET value = value")
    db.commit()
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    assert isinstance(read(data), Kept)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before
    db.close()
