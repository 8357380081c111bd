"""A damaged, cut, replaced or foreign journal is refused in words and left as it is; what is read is never wrong."""

import random
import shutil
import sqlite3
import struct
from contextlib import closing

import pytest

from core.errors import JournalDamaged, JournalError
from core.journal import Batch, Entry, Journal, Settled, Tally
from core.journal.progress import FILE_NAME as PROGRESS
from core.journal.progress import read_progress
from core.journal.records import checksum
from core.journal.schema import VERSION
from tests.conftest import ROOT

NAME, WAL = "journal.sqlite", "journal.sqlite-wal"


def raw(number: int) -> bytes:
    """Raw lines of every size: within a page, and over several."""
    return random.Random(number).randbytes((number * 977) % 9000 + 1)


def fill(journal: Journal, session: int, start: int, count: int) -> None:
    for at in range(start, start + count, 20):
        numbers = range(at, min(at + 20, start + count))
        entries = [Entry(f"id{n}", float(n), n, ("music",), backfilled=False, raw=raw(n)) for n in numbers]
        journal.commit(Batch("x", len(entries), len(entries), entries, last_byte_at=float(at)), session)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The folder of a journal of 100 posts whose run ended well. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("ended")
    with Journal(folder) as journal:
        session = journal.begin_session(0.0, "x")
        fill(journal, session, 0, 100)
        journal.settle("mongo", 50, {"x": Settled(50, 0)})
        journal.end_session(session, 100.0, "stopped")
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder as a kill leaves it: some posts in the file, the newest in the write-ahead log alone."""
    folder = tmp_path_factory.mktemp("killed")
    with Journal(tmp_path_factory.mktemp("alive")) as journal:
        session = journal.begin_session(0.0, "x")
        fill(journal, session, 0, 60)
        journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        fill(journal, session, 60, 40)
        journal._note_progress(at_once=True)
        for name in (NAME, WAL, PROGRESS):
            shutil.copy(journal.path.with_name(name), folder)
    return folder


def copy(folder, to):
    shutil.copytree(folder, to)
    return to


def read(folder) -> dict[int, bytes]:
    """All posts as the journal hands them out."""
    with Journal(folder) as journal:
        reader = journal.reader()
        try:
            rows = reader.rows_after(0, 10_000)
            return {int(row.id[2:]): row.raw for row in rows}
        finally:
            reader.close()


def refusal(folder) -> JournalError:
    """Opening is refused in words that name the file, and changes nothing."""
    before = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    with pytest.raises(JournalError) as refused:
        Journal(folder)
    assert refused.value.exit_code == 4
    assert str(folder) in refused.value.message
    assert refused.value.hint
    after = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    assert {name: after[name] for name in before} == before
    return refused.value


def test_what_a_kill_leaves_is_whole(killed, tmp_path):
    assert read(copy(killed, tmp_path / "copy")) == {n: raw(n) for n in range(100)}


def test_a_file_cut_at_any_length_is_refused(ended, tmp_path):
    whole = (ended / NAME).read_bytes()
    folder = copy(ended, tmp_path / "copy")
    lengths = [
        0,
        1,
        15,
        16,
        99,
        100,
        4095,
        4096,
        *range(5000, len(whole) - 1, 9973),
        len(whole) - 4096,
        len(whole) - 1,
    ]
    for length in lengths:
        (folder / NAME).write_bytes(whole[:length])
        error = refusal(folder)
        assert isinstance(error, JournalDamaged), length
        assert "recover" in error.hint


def test_a_file_cut_under_a_write_ahead_log_is_refused(killed, tmp_path):
    """SQLite takes the file's length from the log then, and would find zeros much later."""
    folder = copy(killed, tmp_path / "copy")
    whole = (folder / NAME).read_bytes()
    for length in (5000, len(whole) // 2 + 7, len(whole) - 1):
        (folder / NAME).write_bytes(whole[:length])
        assert "was cut to" in refusal(folder).message


def test_a_crash_in_the_middle_of_a_checkpoint_is_not_taken_for_damage(killed, tmp_path):
    """The first pages were copied to the file, the others are in the log only: the header is ahead of the file."""
    folder = copy(killed, tmp_path / "copy")
    finished = copy(killed, tmp_path / "finished")
    with closing(sqlite3.connect(finished / NAME)) as db, db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    first = (finished / NAME).read_bytes()[:4096]
    before = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(first + before[4096:])
    assert struct.unpack(">I", first[28:32])[0] * 4096 > len(before)
    assert read(folder) == {n: raw(n) for n in range(100)}


def test_a_write_ahead_log_cut_at_any_length_or_gone_does_not_go_unnoticed(killed, tmp_path):
    log = (killed / WAL).read_bytes()
    for number, length in enumerate([None, 0, 31, 32, *range(100, len(log), len(log) // 12), len(log) - 1]):
        folder = copy(killed, tmp_path / str(number))
        if length is None:
            (folder / WAL).unlink()
        else:
            (folder / WAL).write_bytes(log[:length])
        error = refusal_of_lost_end(folder)
        assert "row 100" in error.message
        assert "recover" in error.hint


def refusal_of_lost_end(folder) -> JournalDamaged:
    # The file itself may change here: SQLite brings what is left of the log into it.
    with pytest.raises(JournalDamaged) as refused:
        Journal(folder)
    return refused.value


def test_an_old_copy_put_back_does_not_go_unnoticed(ended, tmp_path):
    folder = copy(ended, tmp_path / "copy")
    with Journal(folder) as journal:
        fill(journal, journal.begin_session(0.0, "x"), 100, 20)
    shutil.copy(ended / NAME, folder / NAME)
    assert "20 fewer" in refusal_of_lost_end(folder).message


def test_a_journal_that_is_gone_is_not_silently_begun_anew(ended, tmp_path):
    folder = copy(ended, tmp_path / "copy")
    (folder / NAME).unlink()
    with pytest.raises(JournalDamaged, match="is gone"):
        Journal(folder)
    assert not (folder / NAME).exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"00000000 {}", None])
def test_a_mark_that_cannot_be_read_stops_nothing(ended, tmp_path, content):
    folder = copy(ended, tmp_path / "copy")
    if content is None:
        (folder / PROGRESS).unlink()
    else:
        (folder / PROGRESS).write_bytes(content)
    assert len(read(folder)) == 100
    progress = read_progress(folder)
    assert progress is not None
    assert (progress.seq, progress.tallies["x"].inserted) == (100, 100)


def test_the_mark_of_another_capture_says_nothing(ended, tmp_path):
    folder = copy(ended, tmp_path / "copy")
    with Journal(tmp_path / "other") as other:
        fill(other, other.begin_session(0.0, "x"), 0, 200)
    shutil.copy(tmp_path / "other" / PROGRESS, folder)
    assert len(read(folder)) == 100


def damaged_copies(folder, to, change):
    """A copy of the journal for each of its pages, with that page changed."""
    pages = (folder / NAME).stat().st_size // 4096
    for page in range(1, pages + 1):
        copied = copy(folder, to / str(page))
        with (copied / NAME).open("r+b") as file:
            file.seek((page - 1) * 4096)
            content = file.read(4096)
            file.seek((page - 1) * 4096)
            file.write(change(content))
        yield page, copied


def flip(content: bytes) -> bytes:
    at = random.Random(content).randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :]


@pytest.mark.parametrize(
    "change", [lambda content: bytes(4096), flip, lambda content: random.Random(7).randbytes(4096)]
)
def test_whatever_page_is_damaged_no_wrong_post_is_ever_handed_out(ended, tmp_path, change):
    refused = 0
    for page, folder in damaged_copies(ended, tmp_path, change):
        try:
            found = read(folder)
        except JournalError as error:
            refused += 1
            assert error.exit_code == 4, page
        else:
            assert found.items() <= {n: raw(n) for n in range(100)}.items(), page
    assert refused > 50


def test_after_a_bad_end_a_small_journal_is_read_whole(killed, tmp_path):
    """A page of nothing but an index, which no post is read through: found at the start all the same."""
    with closing(sqlite3.connect(f"file:{killed / NAME}?mode=ro&immutable=1", uri=True)) as db, db:
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'versions_of'").fetchone()[0]
    folder = copy(killed, tmp_path / "copy")
    with (folder / NAME).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    with pytest.raises(JournalDamaged):
        Journal(folder)


def test_a_post_that_was_changed_on_the_disk_reaches_no_sink(tmp_path):
    with Journal(tmp_path) as journal:
        fill(journal, journal.begin_session(0.0, "x"), 0, 200)
        db = sqlite3.connect(journal.path)
        db.execute("UPDATE posts SET raw = x'00' WHERE seq = 30")
        db.commit()
        db.close()
        reader = journal.reader()
        assert len(reader.rows_after(0, 29)) == 29
        with pytest.raises(JournalDamaged, match="row 30"):
            reader.rows_after(0, 100)
        reader.close()


@pytest.mark.parametrize("name", [NAME, WAL])
def test_a_file_that_is_deleted_while_it_is_written_loses_nothing(tmp_path, name):
    with Journal(tmp_path / "data") as journal:
        session = journal.begin_session(0.0, "x")
        fill(journal, session, 0, 50)
        journal.check_place()
        (tmp_path / "data" / name).unlink()
        fill(journal, session, 50, 50)
        for write in (journal.check_place, lambda: fill(journal, session, 100, 1)):
            with pytest.raises(JournalError, match="deleted"):
                write()
    assert read(tmp_path / "data") == {n: raw(n) for n in range(100)}


def test_a_folder_that_is_deleted_or_replaced_while_it_is_written_loses_nothing(tmp_path, ended):
    for number, replace in enumerate((False, True)):
        folder = tmp_path / str(number)
        with Journal(folder) as journal:
            fill(journal, journal.begin_session(0.0, "x"), 0, 50)
            shutil.rmtree(folder)
            if replace:
                copy(ended, folder)
            with pytest.raises(JournalError) as told:
                journal.check_place()
        if replace:
            saved = next(folder.glob("journal.saved-*"))
            assert str(saved) in told.value.hint
            saved.rename(folder / NAME)
            (folder / PROGRESS).unlink()
        assert read(folder) == {n: raw(n) for n in range(50)}


def test_a_journal_of_the_first_version_comes_forward_with_all_it_holds(tmp_path):
    """The file was written by the program when it had schema 1."""
    old = sqlite3.connect(tmp_path / NAME)
    old.executescript((ROOT / "tests" / "data" / "journal-v1.sql").read_text())
    tables = [name for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    before = {table: old.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    old.close()
    with Journal(tmp_path) as journal:
        assert journal.tallies() == {"x": Tally(14, 13, 1, 6, 5, 1)}
        assert journal.sink_cursor("127.0.0.1:27017/bieber_tui.posts") == before["sink_cursors"][0][1]
        assert journal.cursor("x") == "cursor-7"
        assert journal.last_seq() == dict(before["sqlite_sequence"])["posts"]
        assert len(journal.reader().rows_after(0, 100)) == 5
        assert journal.commit(Batch("x", 2, 2, [entry(before["posts"][0][2]), entry("new")]), 1) == [False, True]
    new = sqlite3.connect(tmp_path / NAME)
    assert new.execute("PRAGMA user_version").fetchone() == (VERSION,)
    for table in tables:
        rows = new.execute(f"SELECT * FROM {table}").fetchall()
        if table not in ("counters", "sqlite_sequence"):
            # Newer columns come after the old ones.
            width = len(before[table][0])
            assert [row[:width] for row in rows[: len(before[table])]] == before[table], table


def entry(id_: str) -> Entry:
    return Entry(id_, 1.0, 1, (), backfilled=False, raw=b"{}")


def test_a_newer_version_is_refused_and_left_untouched(ended, tmp_path):
    folder = copy(ended, tmp_path / "copy")
    db = sqlite3.connect(folder / NAME)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    error = refusal(folder)
    assert f"schema {VERSION + 1}" in error.message
    assert "Install that version" in error.hint


def test_somebody_elses_database_is_left_untouched_to_the_byte(tmp_path):
    db = sqlite3.connect(tmp_path / NAME)
    db.execute("CREATE TABLE cookies (name)")
    db.commit()
    db.close()
    assert "not a journal" in refusal(tmp_path).message


def test_a_checksum_is_the_same_for_ever():
    """A journal of years ago is held to it."""
    assert checksum("x", "7", 1764457421.1234567, '["music"]', True, b"{}") == 647643971
    assert checksum("x", "7", 0.5, "[]", False, b"{}") == 3876533837
