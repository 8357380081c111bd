"""What the journal says of itself: its rows, its figures, what it knows of each sink."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from core.errors import JournalDamaged, JournalError
from core.journal import Batch, Entry, GapMark, Journal, PageMark, Rejected, Row, Settled, Tally
from core.journal.retention import _UP_TO
from core.journal.schema import APPLICATION_ID, STEPS, VERSION


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path) as journal:
        yield journal


def entry(id_: str, at: float = 100.0, raw: bytes = b"{}", **more) -> Entry:
    return Entry(
        id_, at, more.get("text_hash", 1), more.get("matched", ("music",)), more.get("backfilled", False), raw
    )


def commit(journal, *entries: Entry, source: str = "x", **more) -> None:
    batch = Batch(source, len(entries), len(entries), list(entries), **more)
    journal.commit(batch, journal.begin_session(0.0, source))


def column(journal, query: str):
    with sqlite3.connect(journal.path) as db:
        return [value for (value,) in db.execute(query)]


# Rows


def test_a_row_holds_all_that_was_given(journal):
    commit(journal, entry("1", 12.5, b"raw", matched=("música", "🎵"), backfilled=True), entry("2", 13.0))
    reader = journal.reader()
    first = Row(1, "x", "1", 12.5, ("música", "🎵"), True, b"raw")
    assert reader.rows_after(0, 10) == [first, Row(2, "x", "2", 13.0, ("music",), False, b"{}")]
    assert reader.rows_after(0, 1) == [first]
    assert [row.id for row in reader.rows_after(1, 10)] == ["2"]
    assert list(reader.rows_since("x", 12.5))[1] == first
    assert column(journal, "SELECT matched FROM posts") == [
        '["música", "🎵"]',
        '["music"]',
    ]  # to be read by people
    reader.close()


def test_any_thread_may_write_and_read(journal):
    failures: list[BaseException] = []
    reader = journal.reader()

    def work():
        try:
            commit(journal, entry("1"))
            assert len(reader.rows_after(0, 10)) == 1
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


def test_the_newest_rows_of_a_source_come_first_and_none_that_is_older(journal):
    commit(journal, entry("1", 10.0), entry("2", 20.0))
    commit(journal, entry("b", 25.0), source="bluesky")
    commit(journal, entry("3", 30.0), entry("4", 20.0))
    reader = journal.reader()
    assert [row.id for row in reader.rows_since("x", 20.0)] == ["4", "3", "2"]
    assert [row.id for row in reader.rows_since("x", 20.5)] == []
    assert [row.id for row in reader.rows_since("bluesky", 0.0)] == ["b"]


def test_rows_are_read_backwards_and_those_with_a_star_alone(journal):
    other = [Rejected("8", 5.0, "", b"other"), Rejected("9", 6.0, "", b"another")]
    commit(journal, entry("1"), entry("2", 12.5, b"raw"), entry("3"), filtered=other)
    reader = journal.reader()
    second, eighth = Row(2, "x", "2", 12.5, ("music",), False, b"raw"), Row(1, "x", "8", 5.0, (), False, b"other")
    assert [row.id for row in reader.rows_before(4, 10)] == ["3", "2", "1"]
    assert reader.rows_before(3, 1) == [second]
    assert [row.id for row in reader.filtered_before(3, 10)] == ["9", "8"]
    assert reader.filtered_before(2, 10) == [eighth]
    assert [row.id for row in reader.filtered_before(3, 1)] == ["9"]
    for _ in range(2):
        journal.star("x", "2", 50.0)
    for source, id_ in (("x", "8"), ("x", "3"), ("bluesky", "1")):
        journal.star(source, id_, 60.0)
    journal.star("x", "3", None)
    assert sorted(journal.stars()) == [("bluesky", "1"), ("x", "2"), ("x", "8")]
    assert column(journal, "SELECT at FROM stars WHERE id = '2'") == [50.0]
    assert reader.rows_before(9, 10, starred=True) == [second]
    assert reader.rows_before(2, 10, starred=True) == []
    assert reader.filtered_before(9, 10, starred=True) == [eighth]
    assert reader.find("x", "2") == (second, True)
    assert reader.find("x", "8") == (eighth, False)
    assert (reader.find("x", "7"), reader.find("bluesky", "2")) == (None, None)


def test_a_reader_cannot_write(journal):
    with pytest.raises(sqlite3.OperationalError):
        journal.reader()._db.execute("DELETE FROM posts")


def test_one_read_ends_with_the_row_that_fills_it(journal, monkeypatch):
    monkeypatch.setattr("core.journal.journal._READ_BYTES", 10)
    commit(journal, *(entry(str(number), raw=b"x" * size) for number, size in enumerate([4, 5, 1, 20, 1, 9, 9])))
    reader, seq, helpings = journal.reader(), 0, []
    while rows := reader.rows_after(seq, 100):
        helpings.append([len(row.raw) for row in rows])
        seq = rows[-1].seq
    assert helpings == [[4, 5, 1], [20], [1, 9], [9]]


def test_a_row_that_does_not_hold_what_was_written_is_not_handed_out(journal):
    commit(journal, entry("1"), entry("2"))
    for change in (
        "raw = CAST('other' AS BLOB)",
        "id = 'other'",
        "received_at = 1",
        "backfilled = 1",
        "matched = '[]'",
    ):
        with sqlite3.connect(journal.path) as db:
            db.execute(f"UPDATE posts SET {change} WHERE seq = 2")
        with pytest.raises(JournalDamaged, match="row 2"):
            journal.reader().rows_after(0, 10)
        with sqlite3.connect(journal.path) as db:
            db.execute("UPDATE posts SET raw = CAST('{}' AS BLOB), id = '2', received_at = 100.0, backfilled = 0,"
                       " matched = '[\"music\"]' WHERE seq = 2")  # fmt: skip
        assert len(journal.reader().rows_after(0, 10)) == 2


def test_everything_of_a_batch_is_there_with_its_source_and_its_moment(journal):
    commit(
        journal, entry("1", 12.5, text_hash=7),
        filtered=[Rejected("8", 5.0, "", b"other"), Rejected("8", 6.0, "", b"again")],
        quarantined=[Rejected("", 6.0, "not JSON", b"{oops")],
    )  # fmt: skip
    commit(journal, entry("1", 13.5, b"edited", text_hash=8))
    commit(journal, entry("1", 14.5, b"again", text_hash=8))
    with sqlite3.connect(journal.path) as db:
        assert db.execute("SELECT * FROM filtered").fetchall() == [("x", "8", 5.0, b"other")]
        assert db.execute("SELECT * FROM quarantine").fetchall() == [("x", 6.0, "not JSON", b"{oops")]
        assert db.execute("SELECT * FROM versions").fetchall() == [("x", "1", 13.5, 8, b"edited")]


def test_what_retention_removed_is_known_again_and_only_another_text_is_kept(journal):
    commit(journal, entry("1"))
    with sqlite3.connect(journal.path) as db:
        db.execute("DELETE FROM posts")
        db.execute("INSERT INTO removed VALUES ('x', '1', 7, 100.0)")
    batch = Batch("x", 2, 2, [entry("1", text_hash=7), entry("1", text_hash=8)])
    assert journal.commit(batch, journal.begin_session(0.0, "x")) == [False, False]
    commit(journal, entry("1", text_hash=7), source="bluesky")
    assert column(journal, "SELECT source FROM posts") == ["bluesky"]
    assert column(journal, "SELECT text_hash FROM versions") == [8]


# Figures


def test_counts_add_up_over_batches_and_sources(journal):
    session = journal.begin_session(0.0, "x")
    rejected = [Rejected("", 1.0, "not JSON", b"")]
    for _ in range(2):
        journal.commit(Batch("x", 9, 8, [entry("1"), entry("2")], quarantined=rejected), session)
    journal.commit(Batch("bluesky", 5, 4, [entry("1")], quarantined=rejected), session)
    assert journal.tallies() == {"x": Tally(18, 16, 2, 4, 2, 2), "bluesky": Tally(5, 4, 1, 1, 1, 0)}


def test_minutes_add_up_and_are_read_in_order_from_a_moment_on(journal):
    commit(journal, minutes={120: (3, 1), 60: (5, 2)}, last_byte_at=1.0)
    commit(journal, minutes={120: (10, 4), 180: (1, 0)}, last_byte_at=1.0)
    commit(journal, minutes={120: (7, 7)}, last_byte_at=1.0, source="bluesky")
    assert journal.minutes("x", 60.0) == [(60, 5, 2), (120, 13, 5), (180, 1, 0)]
    assert journal.minutes("x", 60.5) == [(120, 13, 5), (180, 1, 0)]


def test_the_cursor_of_a_source_is_replaced(journal):
    for place in ("17", "18"):
        commit(journal, cursor=place)
    assert (journal.cursor("x"), journal.cursor("bluesky")) == ("18", None)


def test_a_batch_without_a_moment_keeps_the_last_one(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(Batch("x", last_byte_at=50.0, last_id="9"), session)
    journal.commit(Batch("x", 1, 1), session)
    assert column(journal, "SELECT last_byte_at FROM sessions") == [50.0]
    assert journal.last_id(session) == "9"


def test_a_run_is_noted_with_its_begin_and_its_end(journal):
    session = journal.begin_session(7.0, "x", "bieber")
    assert journal.begin_session(8.0, "bluesky") == session + 1
    journal.end_session(session, 50.0, "stopped by you")
    with sqlite3.connect(journal.path) as db:
        rows = db.execute(
            "SELECT session, started_at, ended_at, reason, source, keywords FROM sessions"
        ).fetchall()
    assert rows == [(1, 7.0, 50.0, "stopped by you", "x", "bieber"), (2, 8.0, None, None, "bluesky", "")]


def test_the_size_in_use_is_that_of_the_pages_that_hold_something(journal):
    commit(journal, *(entry(str(number), raw=bytes(100_000)) for number in range(20)))
    full = journal.used_bytes()
    assert 2_000_000 < full < 3_000_000
    assert full % 4096 == 0
    with sqlite3.connect(journal.path) as db:
        db.execute("DELETE FROM posts")
    assert journal.used_bytes() < 200_000


def test_the_log_is_trimmed_unless_somebody_reads(journal):
    commit(journal, entry("1"))
    log = journal.path.with_name("journal.sqlite-wal")
    assert log.stat().st_size > 0
    other = sqlite3.connect(journal.path)
    other.execute("BEGIN")
    other.execute("SELECT * FROM posts").fetchall()
    commit(journal, entry("2"))
    assert journal.trim() is False
    other.close()
    assert journal.trim() is True
    assert log.stat().st_size == 0


def test_nothing_is_written_any_more_into_a_file_that_was_taken_away(journal):
    session = journal.begin_session(0.0, "x")
    journal.check_place()
    journal.path.rename(journal.path.with_name("moved"))
    with pytest.raises(JournalError, match="was deleted, moved or replaced"):
        journal.check_place()
    with pytest.raises(JournalError, match="was deleted, moved or replaced"):
        journal.commit(Batch("x", 1, 1, [entry("1")]), session)


# Sinks


def test_a_sink_that_is_dropped_is_known_no_more_and_the_others_are(journal):
    commit(journal, entry("1"), entry("2"))
    for target in ("b", "a", "c"):
        journal.settle(target, 2, {"x": Settled(1, 1)})
    assert journal.targets() == ["a", "b", "c"]
    assert journal.drop_target("b") is True
    assert journal.drop_target("b") is False
    assert journal.targets() == ["a", "c"]
    assert (journal.sink_cursor("b"), journal.settled("b")) == (0, {})
    assert (journal.sink_cursor("a"), journal.settled("a")) == (2, {"x": Settled(1, 1)})


def test_a_sink_that_was_only_asked_to_forget_is_dropped_too(journal):
    with sqlite3.connect(journal.path) as db:
        db.execute("INSERT INTO forgotten VALUES ('b', 'x', 1)")
    assert journal.drop_target("b") is True
    assert column(journal, "SELECT target FROM forgotten") == []


def test_posts_that_retention_removed_are_out_of_reach_for_a_sink_that_comes_later(journal):
    with sqlite3.connect(journal.path) as db:
        db.execute("INSERT INTO removed VALUES ('x', '1', 7, 100.0)")
        db.execute("INSERT INTO meta VALUES (?, '5')", (_UP_TO,))
    assert (journal.out_of_reach(0), journal.out_of_reach(4), journal.out_of_reach(5)) == (1, 1, 0)


# The span between two runs


def test_the_first_run_knows_no_post_and_one_that_ended_without_a_word_was_stopped(journal):
    session = journal.begin_session(0.0, "x")
    assert journal.last_id(session) == ""
    journal.commit(Batch("x", last_byte_at=50.0, last_id="9"), session)
    journal.end_session(session, 51.0, "")
    assert journal.last_id(journal.begin_session(60.0, "x")) == "9"
    assert [(gap.start, gap.reason) for gap in journal.gaps()] == [(50.0, "not running: stopped")]


# Pages of a fill


def test_a_page_counts_for_its_own_gap_and_day(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    marks = [GapMark(10.0, "cut"), GapMark(12.0), GapMark(20.0, "cut"), GapMark(22.0)]
    journal.commit(Batch("x", gaps=[*marks, PageMark(2, 100, "150", "200", 86_400.0 * 3 + 5)]), session)
    journal.end_fill(2, "partly", "credits", "200")
    told = [(gap.fetched, gap.reached, gap.filled, gap.why, gap.first_id) for gap in journal.gaps()]
    assert told == [(0, "", "no", "", ""), (100, "150", "partly", "credits", "200")]
    assert column(journal, "SELECT day FROM fetched") == ["1970-01-04"]
    assert [gap.number for gap in journal.gaps(limit=1)] == [2]


# How a journal is opened


def test_a_new_journal_is_durable_and_knows_itself(journal):
    def pragma(db, name):
        return db.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma(journal._db, "synchronous") == 2  # FULL: a commit waits for the disk
    assert pragma(journal._db, "journal_mode") == "wal"
    assert pragma(journal._db, "auto_vacuum") == 2  # INCREMENTAL
    assert pragma(journal._db, "secure_delete") == 1
    assert pragma(journal._db, "foreign_keys") == 1
    assert pragma(journal._db, "busy_timeout") == 1000
    assert journal._db.isolation_level is None  # a transaction begins where the journal says so
    assert pragma(journal._db, "user_version") == VERSION == len(STEPS)
    assert pragma(journal._db, "application_id") == APPLICATION_ID
    assert column(journal, "SELECT value FROM meta WHERE key = 'capture_id'") == [journal.capture_id]
    assert len(journal.capture_id) == 32


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_journal_of_any_older_version_is_brought_to_this_one_and_keeps_its_posts(tmp_path, version):
    db = sqlite3.connect(tmp_path / "journal.sqlite")
    for number, step in enumerate(STEPS[:version], 1):
        db.executescript(
            f"BEGIN; {step} PRAGMA user_version = {number}; PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
        )
    db.execute(
        "INSERT INTO posts (source, id, received_at, text_hash, matched, backfilled, raw)"
        " VALUES ('x', '1', 1.0, 1, '[\"music\"]', 1, x'7b7d')"
    )
    db.commit()
    db.close()
    with Journal(tmp_path) as journal:
        assert journal.reader().rows_after(0, 10) == [Row(1, "x", "1", 1.0, ("music",), True, b"{}")]
        commit(journal, entry("2"))
        assert journal.last_seq() == 2


def test_a_journal_that_cannot_be_opened_is_left_without_a_lock(tmp_path):
    with Journal(tmp_path) as journal:
        path = journal.path
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(JournalError) as refused:
        Journal(tmp_path)
    assert (
        refused.value.message
        == f"the journal {path} has schema {VERSION + 1}; this bieber-tui knows schemas up to {VERSION}"
    )
    assert (
        refused.value.hint == "A newer bieber-tui wrote it, and it was left untouched. Install that version again."
    )
    with closing(sqlite3.connect(path, timeout=0)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute(f"PRAGMA user_version = {VERSION}")
    Journal(tmp_path).close()


def test_somebody_elses_file_is_told_word_by_word(tmp_path):
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cookies (name)")
    with pytest.raises(JournalError) as refused:
        Journal(tmp_path)
    assert refused.value.message == f"{path} is a SQLite file, but not a journal of bieber-tui"
    assert refused.value.hint == "It was left untouched. Name another data folder with --data-dir."
