"""`bieber-tui gaps`: rows and totals are those of the record, whatever the format."""

import csv
import io
import json

import pytest

from core.gaps import Window, listed, moment, run, totals
from core.journal import Batch, GapMark, Journal, Record, Session
from core.snapshot import Gap

GAPS = [
    Gap("x", 100.0, 110.0, "cut", "yes", 40, number=1),
    Gap("x", 200.0, 230.0, "stalled", "partly", 5, "the bound", number=2),
    Gap("x", 300.0, None, "X 503", number=3),
]
RECORD = Record([Session("x", 0.0, 290.0, None)], GAPS)
ALL = Window(now=400.0)


def test_totals_add_up_lengths_and_shares_of_the_life():
    total = totals(RECORD, listed(RECORD, ALL), ALL)
    assert (total.gaps, total.open, total.seconds, total.seconds_filled, total.fetched) == (3, 1, 140.0, 10.0, 45)
    assert total.filled == {"no": 1, "partly": 1, "yes": 1}
    assert total.life_seconds == 400.0  # to now, because a gap is open
    assert total.covered == pytest.approx(1 - 140 / 400)
    assert total.covered_or_filled == pytest.approx(1 - 130 / 400)


def test_without_an_open_gap_the_life_ends_with_the_last_byte_or_the_stop():
    killed = Record([Session("x", 0.0, 290.0, None)], GAPS[:2])
    assert totals(killed, killed.gaps, ALL).life_seconds == 290.0
    stopped = Record([Session("x", 0.0, 290.0, 295.0)], GAPS[:2])
    assert totals(stopped, stopped.gaps, ALL).life_seconds == 295.0
    assert totals(Record([], []), [], ALL).covered is None


def test_each_source_has_a_life_of_its_own():
    sessions = [Session("x", 0.0, 100.0, 100.0), Session("bluesky", 100.0, 300.0, 300.0)]
    total = totals(Record(sessions, GAPS[:1]), GAPS[:1], ALL)
    assert total.life_seconds == 300.0


def test_a_window_cuts_gaps_and_life():
    window = Window(since=105.0, until=210.0, now=400.0)
    gaps = listed(RECORD, window)
    assert [gap.number for gap in gaps] == [1, 2]
    total = totals(RECORD, gaps, window)
    assert (total.seconds, total.life_seconds) == (15.0, 105.0)


def test_only_open_ones():
    assert [gap.number for gap in listed(RECORD, ALL, only_open=True)] == [3]


def test_times_are_utc_unless_they_say_otherwise():
    assert moment("1970-01-02") == 86400.0
    assert moment("1970-01-01T01:00:00+01:00") == 0.0


@pytest.fixture
def folder(tmp_path):
    with Journal(tmp_path) as journal:
        session = journal.begin_session(0.0, "x", "bieber")
        marks = [GapMark(10.0, "cut, \x1b[31mred\n and =1+1", last_id="5"), GapMark(12.5), GapMark(20.0, "X 503")]
        journal.commit(Batch("x", gaps=marks, last_byte_at=19.0), session)
    return tmp_path


def written(folder, form, **more):
    out, err = io.StringIO(), io.StringIO()
    assert run(folder, Window(now=30.0), form, out, err, **more) == 0
    return out.getvalue(), err.getvalue()


def test_json_is_one_object_with_rows_and_totals(folder):
    out, err = written(folder, "json")
    answer = json.loads(out)
    assert [(row["start"], row["end"], row["seconds"]) for row in answer["gaps"]] == [
        ("1970-01-01T00:00:10.000Z", "1970-01-01T00:00:12.500Z", 2.5),
        ("1970-01-01T00:00:20.000Z", None, 10.0),
    ]
    assert answer["totals"]["seconds"] == 12.5
    assert answer["gaps"][0]["last_id"] == "5"
    assert err == ""


def test_csv_holds_nothing_but_rows(folder):
    out, err = written(folder, "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["reason"] for row in rows] == ["cut, \x1b[31mred\n and =1+1", "X 503"]
    assert "2 gaps" in err


def test_a_table_is_fit_for_a_terminal(folder):
    out, err = written(folder, "table")
    assert "\x1b" not in out
    assert "still open" in out
    assert "2 gaps, 1 still open, 12.500 s in all" in out
    assert err == ""


def test_a_folder_that_may_not_be_written_is_read_too(folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "2 gaps" in written(folder, "table")[0]
