"""A gap has one reason, one set of keywords, and the posts that bound it, whatever happens in which order."""

import sqlite3
from datetime import datetime

import pytest
from msgspec.structs import replace

from core.bounds import Bounds, newer
from core.journal import (
    AfterMark,
    Batch,
    GapMark,
    Journal,
    KeywordsMark,
    PageMark,
    look,
)
from core.journal.schema import _V1, APPLICATION_ID
from core.post import Post, Ref


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path) as journal:
        yield journal


def note(journal, session, *marks, **more):
    journal.commit(Batch("x", gaps=list(marks), **more), session)


def told(journal, *names):
    return [tuple(getattr(gap, name) for name in names) for gap in journal.gaps()]


# What bounds a gap


def post(id, **more):
    return Post(source="x", id=id, text="t", **more)


def test_ids_rise_with_their_length_and_then_as_text():
    assert newer("10", "9")
    assert newer("11", "10")
    assert newer("1", "")
    assert not newer("9", "9")


def test_a_gap_is_bounded_by_the_newest_post_before_it_and_a_newer_one_well_after_it():
    bounds = Bounds("", late=5)
    for id in ("101", "103", "102"):
        assert bounds.seen(post(id), 10.0) is None
    assert bounds.interrupted(GapMark(11.0, "cut")).last_id == "103"
    bounds.interrupted(GapMark(20.0))
    assert bounds.seen(post("104"), 24.0) is None  # not well after it
    assert bounds.seen(post("103"), 26.0) is None  # an old one again
    assert bounds.seen(post("105", refs=(Ref("retweeted", "1"),)), 26.0) is None  # search has no retweets
    assert bounds.seen(post("106"), 26.0) == AfterMark("106")
    assert bounds.seen(post("107"), 27.0) is None


def test_a_post_before_a_pause_bounds_no_gap_behind_it():
    bounds = Bounds("100", late=5)
    assert bounds.interrupted(GapMark(10.0, "paused", chosen=True)).last_id == "100"
    bounds.interrupted(GapMark(20.0))
    assert bounds.interrupted(GapMark(21.0, "cut")).last_id == ""


def test_a_connection_that_was_not_paused_keeps_the_post_before_it():
    bounds = Bounds("100", late=5)
    for _ in range(2):
        bounds.interrupted(GapMark(20.0))
    assert bounds.interrupted(GapMark(21.0, "cut")).last_id == "100"


def test_a_post_of_other_keywords_bounds_no_gap():
    bounds = Bounds("100", late=5)
    assert bounds.changed(KeywordsMark(10.0, "new")).last_id == "100"
    assert bounds.interrupted(GapMark(11.0, "cut")).last_id == ""


# What the journal makes of it


def test_a_gap_has_the_keywords_in_force_and_the_posts_around_it(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    note(journal, session, GapMark(10.0, "cut", last_id="100"), GapMark(12.0), AfterMark("107"))
    note(journal, session, AfterMark("109"))
    assert told(journal, "keywords", "last_id", "first_id") == [("bieber", "100", "107")]


def test_a_post_that_is_no_newer_than_the_last_one_does_not_end_a_span(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    note(journal, session, GapMark(10.0, "cut", last_id="100"), GapMark(12.0), AfterMark("99"))
    assert told(journal, "first_id") == [("",)]


def test_gaps_in_a_row_end_at_the_same_post(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    cuts = [GapMark(10.0, "cut", last_id="100"), GapMark(12.0), GapMark(13.0, "cut", last_id="101"), GapMark(14.0)]
    note(journal, session, *cuts, AfterMark("110"))
    assert told(journal, "last_id", "first_id") == [("100", "110"), ("101", "110")]


def test_a_pause_during_a_back_off_is_a_gap_of_its_own(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    note(journal, session, GapMark(10.0, "X 503", last_id="100"))
    note(journal, session, GapMark(20.0, "paused by you", chosen=True, last_id="100"))
    note(journal, session, GapMark(30.0, "X 503", last_id="100"))
    note(journal, session, GapMark(40.0), AfterMark("150"))
    assert told(journal, "start", "end", "reason", "chosen", "first_id") == [
        (10.0, 20.0, "X 503", False, ""),  # what came after the pause does not bound it
        (20.0, 30.0, "paused by you", True, "150"),
        (30.0, 40.0, "X 503", False, "150"),
    ]
    assert told(journal, "last_id") == [("100",), ("",), ("",)]


def test_what_was_seen_before_a_pause_ends_the_span_of_the_gap_before_it(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    note(journal, session, GapMark(10.0, "cut", last_id="100"), GapMark(11.0))
    note(journal, session, GapMark(12.0, "paused by you", chosen=True, last_id="104"))
    assert told(journal, "reason", "first_id") == [("cut", "104"), ("paused by you", "")]


def test_other_keywords_split_an_open_gap(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    note(
        journal, session, GapMark(10.0, "X 503", last_id="100"), KeywordsMark(15.0, "swift", "100"), GapMark(20.0)
    )
    note(journal, session, AfterMark("150"), GapMark(30.0, "cut", last_id="160"))
    assert told(journal, "start", "end", "reason", "keywords", "last_id", "first_id") == [
        (10.0, 15.0, "X 503", "bieber", "100", ""),
        (15.0, 20.0, "X 503", "swift", "", "150"),
        (30.0, None, "cut", "swift", "160", ""),
    ]


def test_a_run_with_other_keywords_splits_the_gap_that_it_ends(tmp_path):
    with Journal(tmp_path) as journal:
        session = journal.begin_session(0.0, "x", "bieber")
        note(journal, session, last_byte_at=50.0, last_id="100")
        journal.end_session(session, 51.0, "stopped by you")
        session = journal.begin_session(60.0, "x", "swift")
        note(journal, session, GapMark(61.0))
        assert told(journal, "start", "end", "keywords", "last_id") == [
            (50.0, 60.0, "bieber", "100"),
            (60.0, 61.0, "swift", ""),
        ]


def test_the_newest_post_outlives_a_kill(tmp_path):
    with Journal(tmp_path) as journal:
        session = journal.begin_session(0.0, "x", "bieber")
        note(journal, session, last_byte_at=50.0, last_id="100")
    with Journal(tmp_path) as journal:
        session = journal.begin_session(60.0, "x", "bieber")
        assert journal.last_id(session) == "100"
        assert told(journal, "reason", "last_id") == [("crashed or was killed", "100")]


def test_a_run_that_follows_a_pause_does_not_take_the_post_before_it_for_a_bound(tmp_path):
    with Journal(tmp_path) as journal:
        session = journal.begin_session(0.0, "x", "bieber")
        note(
            journal,
            session,
            GapMark(10.0, "paused by you", chosen=True, last_id="9"),
            last_byte_at=9.0,
            last_id="9",
        )
    with Journal(tmp_path) as journal:
        session = journal.begin_session(60.0, "x", "bieber")
        assert journal.last_id(session) == ""
        assert told(journal, "reason", "end") == [("paused by you; then crashed or was killed", None)]
    with Journal(tmp_path) as journal:
        journal.begin_session(70.0, "x", "bieber")
        assert told(journal, "reason") == [("paused by you; then crashed or was killed",)]  # told once


def test_another_source_in_the_same_folder_has_gaps_of_its_own(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    note(journal, session, last_byte_at=50.0, last_id="100")
    journal.begin_session(60.0, "bluesky", "bieber")
    assert journal.gaps() == []
    journal.begin_session(70.0, "x", "bieber")
    assert told(journal, "source", "start") == [("x", 50.0)]


def test_a_page_moves_the_place_and_the_counts_with_the_posts(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    note(journal, session, GapMark(10.0, "cut", last_id="100"), GapMark(12.0), AfterMark("200"))
    day = datetime(2026, 11, 24).timestamp()
    note(journal, session, PageMark(1, 100, "150", "200", day))
    note(journal, session, PageMark(1, 7, "101", "200", day))
    gap = journal.gaps()[0]
    assert (gap.filled, gap.fetched, gap.reached) == ("partly", 107, "101")
    reader = journal.reader()
    assert (reader.fetched_on("x", day), reader.fetched_on("x", day + 86400)) == (107, 0)
    journal.end_fill(1, "yes", "", "200")
    assert reader.gaps("x") == [replace(gap, filled="yes", why="")]
    reader.close()


def test_a_bound_that_comes_after_the_fill_says_nothing_of_what_was_fetched(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    note(journal, session, GapMark(10.0, "cut", last_id="100"), GapMark(12.0))
    journal.end_fill(1, "yes", "", "150")  # nothing had been seen after it: all that there was up to 150
    note(journal, session, AfterMark("200"))
    assert told(journal, "first_id") == [("150",)]
    note(journal, session, GapMark(20.0, "cut", last_id="210"), GapMark(22.0), AfterMark("300"))
    journal.end_fill(2, "yes", "", "")  # the bound came while the fill asked without one, and found nothing
    assert told(journal, "first_id") == [("150",), ("",)]
    note(journal, session, AfterMark("310"))
    assert told(journal, "first_id") == [("150",), ("",)]


def test_a_fill_that_could_not_begin_leaves_the_bound(journal):
    session = journal.begin_session(0.0, "x", "bieber")
    note(journal, session, GapMark(10.0, "cut", last_id="100"), GapMark(12.0), AfterMark("200"))
    journal.end_fill(1, "no", "credits", "")
    assert told(journal, "filled", "why", "first_id") == [("no", "credits", "200")]


def test_a_journal_of_the_first_version_keeps_its_gaps(tmp_path):
    path = tmp_path / "journal.sqlite"
    db = sqlite3.connect(path)
    db.executescript(f"{_V1} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")
    db.execute("INSERT INTO sessions (started_at, last_byte_at, ended_at) VALUES (1.0, 30.0, 31.0)")
    db.execute("INSERT INTO gaps (source, start, \"end\", reason) VALUES ('x', 10.0, 20.0, 'cut')")
    db.commit()
    db.close()
    before = look(tmp_path)
    assert before is not None
    assert [(gap.start, gap.reason, gap.keywords) for gap in before.gaps] == [(10.0, "cut", "")]
    with Journal(tmp_path) as journal:
        session = journal.begin_session(60.0, "x", "bieber")
        note(journal, session, GapMark(61.0), AfterMark("200"))
        assert told(journal, "start", "first_id", "keywords") == [
            (10.0, "", ""),
            (30.0, "", ""),
            (60.0, "200", "bieber"),
        ]
