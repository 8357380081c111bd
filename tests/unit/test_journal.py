"""The journal keeps every matched post once, and its counters, gaps and cursors agree with it after any kill."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.errors import JournalError
from core.journal import Batch, Entry, GapMark, Journal, Rejected, Settled, Tally
from core.journal.journal import AT_ONCE, LONG, _portions
from core.journal.records import checksum
from core.journal.schema import VERSION


def entry(id_: str, text_hash: int = 1, raw: bytes = b"{}") -> Entry:
    return Entry(id_, 100.0, text_hash, ("music",), backfilled=False, raw=raw)


def batch(*entries: Entry, **more) -> Batch:
    return Batch("x", delivered=len(entries), consumed=len(entries), entries=list(entries), **more)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "data") as journal:
        yield journal


def test_once_closed_the_file_alone_holds_everything_also_while_somebody_reads(tmp_path):
    """For whoever copies journal.sqlite and not its log."""
    journal = Journal(tmp_path)
    journal.commit(batch(entry("1")), journal.begin_session(0.0, "x"))
    reader = journal.reader()
    assert len(reader.rows_after(0, 10)) == 1
    journal.close()
    (tmp_path / "copy.sqlite").write_bytes(journal.path.read_bytes())
    assert sqlite3.connect(tmp_path / "copy.sqlite").execute("SELECT id FROM posts").fetchall() == [("1",)]
    reader.close()


def test_a_post_is_there_once_however_often_it_is_delivered(journal):
    session = journal.begin_session(0.0, "x")
    assert journal.commit(batch(entry("1"), entry("2"), entry("1")), session) == [True, True, False]
    assert journal.commit(batch(entry("2")), session) == [False]
    assert [row.id for row in journal.reader().rows_after(0, 10)] == ["1", "2"]
    assert journal.tallies() == {"x": Tally(4, 4, 0, 4, 2, 2)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 150), st.integers(1, 2), st.sampled_from([2, LONG, LONG + 1])), max_size=200
        ),
        max_size=3,
    )
)
@example(
    [
        [(number, 1, 2) for number in range(2 * AT_ONCE)],
        [(AT_ONCE, 2, 2), *((number, 1, 2) for number in range(150))],
    ]
)
def test_a_batch_of_any_size_is_added_as_if_its_posts_came_one_by_one(batches):
    with TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
        session = journal.begin_session(0.0, "x")
        journal._db.execute("INSERT INTO removed VALUES ('x', '7', 1, 0), ('y', '8', 1, 0)")
        known: dict[int, tuple[int, str]] = {}
        versions = {("7", 1)}
        for posts in batches:
            expected = []
            for number, text_hash, _ in posts:
                expected.append(number != 7 and number not in known)
                if expected[-1]:
                    known[number] = (text_hash, str(number))
                if number == 7 or known[number][0] != text_hash:
                    versions.add((str(number), text_hash))
            entries = [entry(str(number), text_hash, b" " * size) for number, text_hash, size in posts]
            assert journal.commit(batch(*entries), session) == expected
        found = journal._db.execute(
            "SELECT text_hash, id, checksum, received_at, backfilled, raw FROM posts ORDER BY seq"
        )
        rows = found.fetchall()
        assert [row[:2] for row in rows] == [*known.values()]
        assert all(row[2] == checksum("x", row[1], row[3], '["music"]', bool(row[4]), row[5]) for row in rows)
        found = journal._db.execute("SELECT id, text_hash FROM versions").fetchall()
        assert {("7", 1), *found} == versions
        assert len(set(found)) == len(found)


@pytest.mark.parametrize(("length", "sizes"), [(LONG, [64, 64, 2, 1]), (LONG + 1, [1] * 131)])
def test_posts_are_added_in_few_kinds_of_portions_and_long_ones_alone(length, sizes):
    entries = [entry(str(number)) for number in range(130)] + [entry("long", raw=b" " * length)]
    portions = list(_portions(entries))
    assert [len(portion) for portion in portions] == sizes
    assert [one for portion in portions for one in portion] == entries


def test_the_same_id_of_another_source_is_another_post(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(batch(entry("1")), session)
    assert journal.commit(Batch("bluesky", 1, 1, [entry("1")]), session) == [True]


def test_a_later_version_with_other_text_is_kept_beside_the_first(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(batch(entry("1", 7, b"first")), session)
    for _ in range(2):
        journal.commit(batch(entry("1", 7, b"again"), entry("1", 8, b"edited")), session)
    assert [row.raw for row in journal.reader().rows_after(0, 10)] == [b"first"]
    kept = sqlite3.connect(journal.path).execute("SELECT id, raw FROM versions").fetchall()
    assert kept == [("1", b"edited")]


def test_quarantined_lines_are_kept_with_their_reason(journal):
    session = journal.begin_session(0.0, "x")
    rejected = [Rejected("", 5.0, "not JSON", b"{oops")]
    journal.commit(Batch("x", delivered=1, quarantined=rejected), session)
    kept = sqlite3.connect(journal.path).execute("SELECT reason, raw FROM quarantine").fetchall()
    assert kept == [("not JSON", b"{oops")]
    assert journal.tallies()["x"].quarantined == 1


def test_scope_all_keeps_what_was_filtered_out(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(Batch("x", 1, 1, filtered=[Rejected("9", 5.0, "", b"raw")]), session)
    assert sqlite3.connect(journal.path).execute("SELECT id, raw FROM filtered").fetchall() == [("9", b"raw")]


def test_a_gap_opens_once_and_closes_once(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(Batch("x", gaps=[GapMark(10.0, "X 503"), GapMark(11.0, "refused"), GapMark(12.0)]), session)
    journal.commit(Batch("x", gaps=[GapMark(13.0), GapMark(20.0, "paused")]), session)
    assert [(gap.start, gap.end, gap.reason) for gap in journal.gaps()] == [
        (10.0, 12.0, "X 503"),
        (20.0, None, "paused"),
    ]
    assert journal.gap_count() == 2
    assert len(journal.gaps(limit=1)) == 1


def test_the_span_between_two_runs_is_a_gap_from_the_last_durable_byte(tmp_path):
    with Journal(tmp_path) as journal:
        session = journal.begin_session(0.0, "x")
        journal.commit(Batch("x", last_byte_at=50.0), session)
        journal.end_session(session, 51.0, "stopped by you")
        journal.begin_session(60.0, "x")
        gap = journal.gaps()[0]
        assert (gap.start, gap.end, gap.reason) == (50.0, None, "not running: stopped by you")


def test_a_kill_is_found_at_the_next_start(tmp_path):
    with Journal(tmp_path) as journal:
        session = journal.begin_session(0.0, "x")
        journal.commit(Batch("x", last_byte_at=50.0), session)
    with Journal(tmp_path) as journal:
        journal.begin_session(60.0, "x")
        assert "crashed" in journal.gaps()[0].reason


def test_a_run_that_never_heard_a_byte_and_was_stopped_leaves_no_gap_to_the_next(tmp_path):
    with Journal(tmp_path) as journal:
        journal.end_session(journal.begin_session(0.0, "x"), 50.0, "stopped by you")
        journal.begin_session(60.0, "x")
        assert journal.gaps() == []


def test_a_run_that_was_killed_before_anything_was_durable_is_missing_from_its_start(tmp_path):
    with Journal(tmp_path) as journal:
        journal.begin_session(7.0, "x")
        journal.begin_session(60.0, "x")
        assert [(gap.start, gap.reason) for gap in journal.gaps()] == [(7.0, "crashed or was killed")]


def test_a_sinks_cursor_and_counts_move_together(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(batch(entry("1"), entry("2"), entry("3")), session)
    journal.settle("db/posts", 2, {"x": Settled(1, 1)})
    journal.settle("db/posts", 3, {"x": Settled(1, 0)})
    assert journal.sink_cursor("db/posts") == 3
    assert journal.settled("db/posts") == {"x": Settled(2, 1)}
    assert journal.sink_cursor("another") == 0
    assert journal.settled("another") == {}


def test_large_rows_come_in_smaller_helpings(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(batch(*(entry(str(number), raw=b"x" * 5_000_000) for number in range(4))), session)
    assert len(journal.reader().rows_after(0, 1000)) == 2


def test_row_numbers_are_never_given_twice(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(batch(entry("1"), entry("2")), session)
    db = sqlite3.connect(journal.path)
    db.execute("DELETE FROM posts")
    db.commit()
    journal.commit(batch(entry("3")), session)
    assert journal.last_seq() == 3


def test_the_cursor_of_a_source_is_kept(journal):
    session = journal.begin_session(0.0, "x")
    assert journal.cursor("x") is None
    journal.commit(Batch("x", cursor="17"), session)
    assert journal.cursor("x") == "17"


def test_only_the_owner_can_read_the_files(tmp_path):
    with Journal(tmp_path / "data") as journal:
        journal.begin_session(0.0, "x")
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_a_failed_batch_leaves_nothing_behind(journal):
    session = journal.begin_session(0.0, "x")
    bad = Entry("2", 100.0, 1 << 80, (), backfilled=False, raw=b"")  # a number that SQLite cannot hold
    with pytest.raises(OverflowError):
        journal.commit(batch(entry("1"), bad), session)
    assert journal.tallies() == {}
    assert journal.commit(batch(entry("1")), session) == [True]


def test_the_capture_keeps_its_name(tmp_path):
    with Journal(tmp_path) as journal:
        name = journal.capture_id
    with Journal(tmp_path) as journal:
        assert journal.capture_id == name


def test_a_newer_schema_is_refused_in_words_and_left_untouched(tmp_path):
    with Journal(tmp_path) as journal:
        path = journal.path
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match=f"schema {VERSION + 1}"):
        Journal(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be one" * 100, b"SQLite format 3\0"]
)
def test_a_file_that_is_no_journal_is_refused_in_words(tmp_path, content):
    (tmp_path / "journal.sqlite").write_bytes(content)
    with pytest.raises(JournalError, match="journal"):
        Journal(tmp_path)


def test_somebody_elses_database_is_refused_and_left_untouched(tmp_path):
    db = sqlite3.connect(tmp_path / "journal.sqlite")
    db.execute("CREATE TABLE cookies (name)")
    db.commit()
    db.close()
    with pytest.raises(JournalError, match="not a journal"):
        Journal(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(tmp_path / "file" / "data")


def test_a_kill_between_two_batches_keeps_counters_and_posts_in_step(tmp_path):
    """SIGKILL at a random moment of writing: the counters say what the posts say, and every answer holds."""
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from core.journal import Batch, Entry, Journal
        journal = Journal(Path(sys.argv[1]))
        session = journal.begin_session(0.0, "x")
        start = journal.last_seq()
        for number in range(start, start + 100_000):
            entries = [Entry(f"{number}-{i}", 1.0, 1, (), False, b"raw") for i in range(3)]
            journal.commit(Batch("x", 3, 3, entries), session)
            print(number, flush=True)
        """
    )
    answered = 0
    for lines in (1, 7, 20):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        answered += 3 * (lines + len(process.stdout.read().splitlines()))
        process.wait()
        with Journal(tmp_path) as journal:
            posts = sqlite3.connect(journal.path).execute("SELECT count(*) FROM posts").fetchone()[0]
            tally = journal.tallies()["x"]
        assert posts == tally.inserted == tally.consumed == tally.delivered
        assert posts >= answered
        answered = posts
