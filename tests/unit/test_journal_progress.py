"""The note beside the journal: how far it had got, so that the loss of its end is seen."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from contextlib import closing

import pytest

from core.errors import JournalDamaged
from core.journal import Batch, Entry, Journal, Settled, Tally
from core.journal.progress import (
    FILE_NAME,
    Position,
    Progress,
    ProgressFile,
    check_progress,
    read_progress,
)


def entry(id_: str) -> Entry:
    return Entry(id_, 100.0, 1, ("music",), backfilled=False, raw=b"{}")


def commit(journal, *entries: Entry) -> None:
    journal.commit(Batch("x", len(entries), len(entries), list(entries)), journal.begin_session(0.0, "x"))


NOTED = Progress(
    "c" * 32,
    7,
    12.5,
    {"x": Tally(9, 8, 1, 7, 6, 1)},
    {"db/posts": Position(5, {"x": Settled(4, 1)}), "b": Position(2)},
)


@pytest.fixture
def noted(tmp_path):
    file = ProgressFile(tmp_path)
    file.write(NOTED)
    file.close()
    return tmp_path / FILE_NAME


def test_a_note_is_closed_once_however_often_it_is_asked_to(tmp_path, monkeypatch):
    file, close, closed = ProgressFile(tmp_path), os.close, []
    monkeypatch.setattr("core.journal.progress.os.close", closed.append)
    file.close()
    file.close()
    [descriptor] = closed
    close(descriptor)


def test_what_was_noted_is_read_again(noted):
    assert read_progress(noted.parent) == NOTED
    assert noted.stat().st_size == 4096
    assert noted.read_bytes().endswith(b" \n")


def test_a_shorter_note_leaves_nothing_of_a_longer_one(tmp_path):
    file = ProgressFile(tmp_path)
    many = {f"sink{number}": Position(number) for number in range(500)}
    file.write(Progress("c", 1, None, {}, many))
    assert read_progress(tmp_path) == Progress("c", 1, None, {}, many)
    file.write(NOTED)
    assert read_progress(tmp_path) == NOTED
    assert (tmp_path / FILE_NAME).stat().st_size == 4096
    file.close()


def signed(value) -> bytes:
    text = json.dumps(value).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"00000000 {}", b"zz {}", signed([]), signed({}), signed({"tallies": {}, "sinks": {}}), signed(None),
        signed({"tallies": {"x": {"odd": 1}}, "sinks": {}, "capture": "c", "seq": 1, "last_byte_at": 1}),
        signed({"tallies": {}, "sinks": {"b": {}}, "capture": "c", "seq": 1, "last_byte_at": 1}),
    ],
)  # fmt: skip
def test_a_note_that_cannot_be_trusted_is_none(noted, content):
    noted.write_bytes(content)
    assert read_progress(noted.parent) is None


def test_a_note_of_which_one_byte_is_another_is_none(noted):
    whole = noted.read_bytes()
    noted.write_bytes(whole.replace(b'"seq": 7', b'"seq": 8'))
    assert read_progress(noted.parent) is None
    noted.unlink()
    assert read_progress(noted.parent) is None


def test_the_loss_of_the_end_is_told_word_by_word(tmp_path):
    progress = Progress("c", 4_200, None, {}, {})
    hint = (
        "Was its -wal file taken away, or an old copy put back? If you have the missing file, put it there again."
        " `bieber-tui recover` accepts the loss: it notes a gap, and the capture goes on with what is there. To"
        " begin a new journal instead, move the whole folder away."
    )
    for capture, what in (("c", "has lost its end"), (None, "is gone")):
        with pytest.raises(JournalDamaged) as lost:
            check_progress(progress, capture, 1_199, tmp_path)
        assert lost.value.message == (
            f"the journal {tmp_path} {what}: it had got to row 4,200 and ends at 1,199 (3,001 fewer)"
        )
        assert lost.value.hint == hint
    check_progress(progress, "c", 4_200, tmp_path)
    check_progress(progress, "another", 0, tmp_path)
    check_progress(None, "c", 0, tmp_path)


def emptied(path, _):
    path.write_bytes(b"")


def without_tables(path, _):
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE t (x); DROP TABLE t;")


def an_old_copy(path, old):
    path.write_bytes(old)


def another_captures(path, _):
    path.unlink()
    with Journal(path.parent / "other") as other:
        taken = other.path
    taken.rename(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (emptied, "is gone: it had got to row 3 and ends at 0 (3 fewer)"),
        (without_tables, "is gone: it had got to row 3 and ends at 0 (3 fewer)"),
        (an_old_copy, "has lost its end: it had got to row 3 and ends at 1 (2 fewer)"),
        (another_captures, None),  # that one is whole, as far as anybody knows
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_journal_that_ends_before_it_did_is_refused(tmp_path, change, said):
    with Journal(tmp_path) as journal:
        commit(journal, entry("1"))
        path = journal.path
    old = path.read_bytes()
    with Journal(tmp_path) as journal:
        commit(journal, entry("2"), entry("3"))
    change(path, old)
    if said is None:
        Journal(tmp_path).close()
        return
    with pytest.raises(JournalDamaged) as lost:
        Journal(tmp_path)
    assert lost.value.message == f"the journal {path} {said}"


def test_no_new_journal_is_begun_where_one_was_taken_away(tmp_path):
    with Journal(tmp_path) as journal:
        commit(journal, entry("1"))
        path = journal.path
    path.unlink()
    with pytest.raises(JournalDamaged, match="is gone: it had got to row 1 and ends at 0"):
        Journal(tmp_path)
    assert not path.exists()


def test_a_run_notes_its_progress_at_its_begin_once_a_second_and_at_its_end(tmp_path, monkeypatch):
    now = [50.0]
    monkeypatch.setattr("core.journal.journal.time.monotonic", lambda: now[0])
    journal = Journal(tmp_path)
    assert read_progress(tmp_path) is None
    session = journal.begin_session(0.0, "x")
    assert read_progress(tmp_path) == Progress(journal.capture_id, 0)

    def seq_after(seconds: float) -> int:
        now[0] += seconds
        journal.commit(Batch("x", 1, 1, [entry(str(now[0]))], last_byte_at=now[0]), session)
        noted = read_progress(tmp_path)
        assert noted is not None
        return noted.seq

    assert [seq_after(seconds) for seconds in (0.5, 0.5, 0.9, 0.2, 0.5)] == [0, 2, 2, 4, 4]
    journal.settle("b", 3, {"x": Settled(2, 1)})
    journal.close()
    sinks = {"b": Position(3, {"x": Settled(2, 1)})}
    assert read_progress(tmp_path) == Progress(
        journal.capture_id, 5, now[0], {"x": Tally(5, 5, 0, 5, 5, 0)}, sinks
    )
