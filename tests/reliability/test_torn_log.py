"""What the loss of power can leave of the journal: the write-ahead log cut off anywhere, a checkpoint done in part.

A SIGKILL leaves all that was handed to the kernel; the loss of power leaves what was synced, and perhaps some of what
was not. That cannot be played here, but its results can: every beginning of the log, and every mixture of old and
new pages. Whatever is left, the journal opens, is one of the states that were committed, and no older than the last
one that was acknowledged within what is left.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from core.journal import Batch, Entry, GapMark, Journal, Rejected, Settled

WAL_HEADER, FRAME = 32, 24 + 4096
SYNC_FULL = 2
QUERIES = (
    "SELECT seq, source, id, length(raw) FROM posts", "SELECT id FROM filtered", "SELECT reason FROM quarantine",
    "SELECT * FROM counters", 'SELECT start, "end", reason FROM gaps', "SELECT * FROM sessions",
    "SELECT * FROM sink_cursors", "SELECT * FROM settled", "SELECT * FROM meta",
)  # fmt: skip


class History(NamedTuple):
    """A journal as it grew: the file before the log was written into it, the log, and the file after that."""

    before: bytes
    log: bytes
    after: bytes
    states: list[Any]  # each that was committed, in order; the first is nothing
    acknowledged: list[float]  # how long the log was when each was told to be durable


def state_of(folder: Path) -> Any:
    """All that has to agree, as SQL says it; None before there are tables."""
    db = sqlite3.connect(folder / "journal.sqlite")
    try:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'posts'").fetchone():
            return None
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [db.execute(query).fetchall() for query in QUERIES]
    finally:
        db.close()


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> History:
    folder = tmp_path_factory.mktemp("history")
    states: list[Any] = [None, [[]] * len(QUERIES)]  # no tables; tables and nothing in them
    acknowledged = [0.0, float("inf")]
    journal = Journal(folder)

    def note() -> None:
        look = folder / "look"  # another file, so that looking at it cannot write the log into the journal
        look.mkdir()
        for name in ("journal.sqlite", "journal.sqlite-wal"):
            shutil.copy(folder / name, look)
        states.append(state_of(look))
        acknowledged.append((folder / "journal.sqlite-wal").stat().st_size)
        shutil.rmtree(look)

    before = journal.path.read_bytes()
    note()
    session = journal.begin_session(0.0, "x")
    note()
    for number in range(8):
        entries = [Entry(f"{number}-{i}", 1.0, 1, ("music",), False, b"r" * 3000 * (i % 3)) for i in range(4)]
        batch = Batch(
            "x", 7, 6, entries, [Rejected(f"f{number}", 1.0, "", b"x")], [Rejected("", 1.0, "not JSON", b"{")],
            [GapMark(number, "cut" if number % 2 else "")], str(number), float(number),
        )  # fmt: skip
        journal.commit(batch, session)
        note()
        journal.settle("db", number + 1, {"x": Settled(1, 0)})
        note()
    journal.end_session(session, 9.0, "stopped")
    note()
    log = (folder / "journal.sqlite-wal").read_bytes()
    journal.close()  # writes the log into the file
    return History(before, log, journal.path.read_bytes(), states, acknowledged)


def left(folder: Path, file: bytes, log: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "journal.sqlite").write_bytes(file)
    (folder / "journal.sqlite-wal").write_bytes(log)
    return folder


def test_the_log_was_long_enough_to_be_worth_cutting(history):
    assert len(history.log) > 60 * FRAME
    assert len(history.states) == 21


def test_cut_off_anywhere_the_journal_is_a_state_that_was_committed_and_has_all_that_was_acknowledged(
    history, tmp_path
):
    ends = range(WAL_HEADER, len(history.log) + 1, FRAME)
    found = set()
    for cut in sorted({0, 1, WAL_HEADER - 1, *(end + off for end in ends for off in (-1, 0, 1, 30, 2000))}):
        folder = left(tmp_path / "cut", history.before, history.log[:cut])
        state = state_of(folder)
        assert state in history.states, f"cut at {cut}: no state that was ever committed"
        place = history.states.index(state)
        durable = max(number for number, size in enumerate(history.acknowledged) if size <= cut)
        assert place >= durable, f"cut at {cut}: state {durable} was acknowledged, {place} is there"
        found.add(place)
    assert found == set(range(len(history.states)))  # none was passed over


def test_a_byte_that_was_not_written_right_ends_the_log_there(history, tmp_path):
    for number in range(0, (len(history.log) - WAL_HEADER) // FRAME, 7):
        at = WAL_HEADER + number * FRAME + 1000
        torn = history.log[:at] + bytes([history.log[at] ^ 1]) + history.log[at + 1 :]
        state = state_of(left(tmp_path / "torn", history.before, torn))
        durable = max(place for place, size in enumerate(history.acknowledged) if size <= at)
        assert history.states.index(state) >= durable


def test_a_checkpoint_that_was_done_in_part_is_finished(history, tmp_path):
    """Any of the new pages may be in the file already: the whole log is still there, and wins."""
    pages = len(history.after) // 4096
    for done in range(pages + 1):
        mixed = history.after[: done * 4096] + history.before[done * 4096 :]
        assert state_of(left(tmp_path / "mixed", mixed, history.log)) == history.states[-1]


def test_the_program_goes_on_from_every_state(history, tmp_path):
    for end in range(WAL_HEADER, len(history.log) + 1, 5 * FRAME):
        folder = left(tmp_path / "on", history.before, history.log[:end])
        with Journal(folder) as journal:
            tally = journal.tallies().get("x")
            posts = len(journal.reader().rows_after(0, 1000))
            session = journal.begin_session(100.0, "x")
            assert posts == (tally.inserted if tally else 0)
            assert tally is None or (tally.delivered, tally.matched) == (tally.consumed + tally.quarantined, posts)
            batch = Batch("x", 1, 1, [Entry("new", 1.0, 1, (), False, b"")])
            assert journal.commit(batch, session) == [True]


def test_every_commit_is_synced_before_it_is_acknowledged(tmp_path):
    """FULL: SQLite syncs the log at each commit. That the disk keeps what it synced is the disk's promise."""
    with Journal(tmp_path) as journal:
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (SYNC_FULL,)
        assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


ACKNOWLEDGE = """
import os, sys
from pathlib import Path
from core.journal import Batch, Entry, Journal
journal = Journal(Path(sys.argv[1]))
session = journal.begin_session(0.0, "x")
for number in range(5):
    journal.commit(Batch("x", 1, 1, [Entry(str(number), 1.0, 1, (), False, b"raw")]), session)
    os.write(1, b"acknowledged\\n")
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_kernel_was_asked_to_sync_between_each_write_to_the_log_and_its_acknowledgement(tmp_path):
    trace = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-o", trace, "-y", "-e", "trace=fsync,fdatasync,pwrite64,write",
         sys.executable, "-c", ACKNOWLEDGE, tmp_path / "data"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        pytest.skip("this machine does not let strace trace")
    assert done.stdout.count("acknowledged") == 5, done.stderr
    dirty, acknowledged = False, 0
    for call in trace.read_text().splitlines():
        if call.startswith("pwrite64") and "journal.sqlite-wal" in call:
            dirty = True
        elif call.startswith(("fsync", "fdatasync")) and "journal.sqlite-wal" in call:
            dirty = False
        elif call.startswith("write") and "acknowledged" in call:
            assert not dirty, "acknowledged before it was synced"
            acknowledged += 1
    assert acknowledged == 5
