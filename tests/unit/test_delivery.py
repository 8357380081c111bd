"""A sink gets every row once and in order; one that fails falls behind, and nothing is lost."""

import threading
import time
from itertools import accumulate, chain, repeat
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from core.errors import JournalError, StoreRefused, Unavailable
from core.journal import Batch, Entry, Journal, Settled
from core.post import Post
from core.sinks.base import Outcome, StoredRow
from core.snapshot import Level, SinkState, SinkStatus
from tests.clock import HeldClock
from tests.conftest import PATIENCE
from tests.unit.delivery_desk import Desk, ListSink, fill


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path) as journal:
        yield journal


def test_rows_arrive_in_order_and_are_counted_for_their_run(journal):
    session = journal.begin_session(0.0, "x")
    fill(journal, session, "1", "2", "3")
    sink = ListSink()
    desk = Desk(journal, sink)
    fill(journal, session, "4", "5")
    desk.delivery.start()
    desk.until(lambda: desk.run.stored == 2)
    desk.stop()
    assert list(sink.taken.items()) == [("x:1", 1), ("x:2", 2), ("x:3", 3), ("x:4", 4), ("x:5", 5)]
    assert desk.earlier == Settled(3, 0)
    assert journal.sink_cursor("memory") == 5
    assert journal.settled("memory") == {"x": Settled(5, 0)}
    assert sink.closed.is_set()


def test_an_outage_loses_nothing_and_is_told_once(journal):
    session = journal.begin_session(0.0, "x")
    sink = ListSink()
    sink.faults = [Unavailable("no answer"), Unavailable("no answer")]
    desk = Desk(journal, sink)
    fill(journal, session, "1", "2", "3")
    desk.delivery.start()
    desk.until(lambda: desk.delivery.status(3).state is SinkState.DOWN)
    assert desk.delivery.status(3).behind == 3
    desk.until(lambda: desk.delivery.status(3).state is SinkState.OK and desk.run.stored == 3)
    desk.stop()
    assert [event.text for event in desk.events.recent()] == ["list: no answer", "list is back"]
    assert desk.delivery.status(3).behind == 0


def test_a_write_whose_answer_was_lost_counts_as_our_own(journal):
    session = journal.begin_session(0.0, "x")
    sink = ListSink()
    desk = Desk(journal, sink)
    fill(journal, session, "1", "2")
    sink.lost_answer = True
    sink.open = lambda: None  # the fault is for the write
    sink.faults = [Unavailable("cut after writing")]
    desk.delivery.start()
    desk.until(lambda: desk.run.stored == 2)
    desk.stop()
    assert desk.run == Settled(2, 0)


def test_posts_that_somebody_else_stored_are_duplicates(journal):
    session = journal.begin_session(0.0, "x")
    sink = ListSink()
    sink.taken["x:2"] = 999
    desk = Desk(journal, sink)
    fill(journal, session, "1", "2")
    desk.delivery.start()
    desk.until(lambda: desk.run == Settled(1, 1))
    desk.stop()
    assert (desk.delivery.status(2).stored, desk.delivery.status(2).duplicate) == (1, 1)


def test_a_refusal_at_the_start_is_handed_up(journal):
    sink = ListSink()
    sink.faults = [StoreRefused("wrong password", "mend it")]
    desk = Desk(journal, sink)
    desk.delivery.start()
    desk.until(lambda: desk.refused)
    assert desk.delivery.status(0).state is SinkState.REFUSED
    assert "wrong password" in desk.delivery.status(0).error
    desk.stop()


def test_a_refusal_in_mid_run_does_not_end_the_capture(journal):
    session = journal.begin_session(0.0, "x")
    sink = ListSink()
    desk = Desk(journal, sink)
    fill(journal, session, "1")
    desk.delivery.start()
    desk.until(lambda: desk.run.stored == 1)
    sink.faults = [StoreRefused("rights were taken away")]
    fill(journal, session, "2")
    desk.delivery.wake()
    desk.until(lambda: desk.delivery.status(2).state is SinkState.REFUSED)
    assert desk.refused == []
    desk.stop()
    assert journal.sink_cursor("memory") == 1


def test_a_stuck_sink_does_not_hold_up_the_stop(journal):
    session = journal.begin_session(0.0, "x")
    sink = ListSink()
    hang = threading.Event()
    sink.write = lambda rows: hang.wait(120) and []
    desk = Desk(journal, sink)
    fill(journal, session, "1")
    desk.delivery.start()
    began = time.monotonic()
    desk.delivery.stop(time.monotonic() + 0.3)
    assert time.monotonic() - began < 10
    assert journal.sink_cursor("memory") == 0
    hang.set()


def test_a_bug_in_a_sink_is_loud(journal):
    session = journal.begin_session(0.0, "x")
    sink = ListSink()
    sink.write = lambda rows: 1 / 0
    desk = Desk(journal, sink)
    fill(journal, session, "1")
    desk.delivery.start()
    desk.until(lambda: desk.refused)
    assert "ZeroDivisionError" in str(desk.refused[0])
    desk.stop()


def test_a_stop_in_the_midst_of_a_backlog_ends_in_time_and_calls_no_healthy_sink_down(journal):
    session = journal.begin_session(0.0, "x")
    sink = ListSink()
    write = sink.write

    def slowly(rows):
        time.sleep(0.05)
        return write(rows)

    sink.write = slowly
    desk = Desk(journal, sink)
    fill(journal, session, *(str(number) for number in range(1000)))
    desk.delivery.start()
    desk.until(lambda: desk.run.stored > 0)
    desk.delivery.stop(time.monotonic() + 0.5)
    in_time = not desk.delivery._thread.is_alive()
    desk.until(lambda: not desk.delivery._thread.is_alive())
    status = desk.delivery.status(1000)
    if in_time:  # a machine that stood still meanwhile may see an answer that comes too late
        assert (status.state, status.error) == (SinkState.OK, "")
    assert status.behind == 1000 - desk.run.stored > 0
    assert journal.sink_cursor("memory") == desk.run.stored


def test_a_sink_that_is_down_keeps_its_own_words_when_it_is_closed_in_the_midst_of_one_more_try(journal):
    sink = ListSink()
    calls = []

    def connect():
        calls.append(1)
        if len(calls) > 1:
            sink.closed.wait(120)
            raise Unavailable("the connection was closed")
        raise Unavailable("connection refused")

    sink.open = connect
    desk = Desk(journal, sink)
    desk.delivery.start()
    desk.until(lambda: len(calls) > 1)
    desk.delivery.stop(time.monotonic() + 0.1)
    desk.until(lambda: not desk.delivery._thread.is_alive())
    assert desk.delivery.status(0).error == "connection refused"


# What a sink is given, and when its cursor moves


def test_a_sink_gets_all_that_the_journal_knows_of_a_post(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(Batch("x", 1, 1, [Entry("7", 12.5, 1, ("music",), backfilled=True, raw=b"7")]), session)
    sink = ListSink()
    Desk(journal, sink).deliver()
    post = Post(source="x", id="7", text="")
    assert sink.rows == [StoredRow(journal.capture_id, 1, post, ("music",), 12.5, True, b"7")]


def test_the_cursor_moves_behind_each_batch_and_never_before_it(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3", "4", "5")
    sink = ListSink()
    desk = Desk(journal, sink, forget=lambda store: sink.calls.append(f"forget at {store.name}"))
    write, seen = sink.write, []

    def look(rows):
        seen.append((journal.sink_cursor("memory"), desk.delivery._lock.locked()))
        return write(rows)

    sink.write = look
    desk.deliver()
    assert sink.calls == ["open", "forget at list", [1, 2], [3, 4], [5]]
    assert seen == [(0, True), (2, True), (4, True)]
    assert not desk.delivery._lock.locked()


class BusySink(ListSink):
    """Says what it is asked for, in order; a write waits until the rows behind it are ready, if it is told to."""

    def __init__(self, waits=()):
        super().__init__()
        self.asked: list[tuple[str, list[int]]] = []
        self.early: list[list[int]] = []  # rows that were made ready beside a write
        self.waits = set(waits)  # the first rows of the writes that wait
        self.ready = threading.Semaphore(0)

    def prepare(self, rows):
        self.asked.append(("prepare", [row.seq for row in rows]))
        if threading.current_thread().name == "ahead-list":
            self.early.append([row.seq for row in rows])
        self.ready.release()
        return rows

    def write(self, rows):
        self.ready.acquire()  # that of these rows
        if rows[0].seq in self.waits:
            assert self.ready.acquire(timeout=PATIENCE)  # that of the next ones
            self.ready.release()
        self.asked.append(("write", [row.seq for row in rows]))
        return super().write(rows)


def test_the_next_rows_are_made_ready_while_the_sink_writes_when_a_whole_batch_waits(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3", "4", "5")
    sink = BusySink(waits=[1])
    desk = Desk(journal, sink)
    desk.deliver()
    assert sink.asked == [
        ("prepare", [1, 2]), ("prepare", [3, 4]), ("write", [1, 2]),
        ("write", [3, 4]), ("prepare", [5]), ("write", [5]),
    ]  # fmt: skip
    assert sink.early == [[3, 4]]  # one row that waits is no batch: a quiet capture starts no threads
    assert desk.run + desk.earlier == Settled(stored=5)
    assert journal.sink_cursor("memory") == 5


def test_a_row_that_is_removed_after_it_was_made_ready_is_never_written(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3", "4", "5")
    sink = BusySink(waits=[1])
    looks = []

    def limit():
        looks.append(1)
        if len(looks) == 2:  # the first batch is settled, and the second one is ready
            with desk.delivery.still():
                assert ("prepare", [3, 4]) in sink.asked
                journal._db.execute("DELETE FROM posts WHERE id = '3'")
        return 5

    desk = Desk(journal, sink, limit=limit)
    desk.deliver()
    assert [rows for what, rows in sink.asked if what == "write"] == [[1, 2], [4, 5]]


def test_rows_that_are_gone_are_not_waited_for(journal):
    """Numbers up to the limit that nobody has any more: they were forgotten."""
    fill(journal, journal.begin_session(0.0, "x"), "1", "2")
    sink = BusySink()
    desk = Desk(journal, sink, limit=lambda: 9)
    desk.deliver()
    assert sink.calls == ["open", [1, 2]]
    assert sink.asked == [("prepare", [1, 2]), ("write", [1, 2])]
    assert (desk.refused, desk.delivery.status(2).error) == ([], "")


def test_after_a_failed_write_nothing_that_was_made_ready_is_used(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3", "4")
    sink = BusySink(waits=[1])
    sink.faults = [None, Unavailable("gone")]
    desk = Desk(journal, sink, clock=HeldClock(50.0))
    desk.delivery.start()
    desk.until(lambda: len(sink.taken) == 4)
    desk.stop()
    assert [rows for what, rows in sink.asked if what == "write"] == [[1, 2], [1, 2], [3, 4]]
    assert desk.run + desk.earlier == Settled(stored=4)


def test_rows_that_cannot_be_made_ready_do_not_spoil_the_write_before_them(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3", "4")
    sink = BusySink()
    tried = []

    def decode(source, raw):
        if raw == b"3":
            tried.append(threading.current_thread().name)
            raise JournalError("row 3 cannot be read")
        return Post(source=source, id=raw.decode(), text="")

    desk = Desk(journal, sink, decode=decode)
    desk.delivery.start()
    desk.until(lambda: desk.refused)
    desk.stop()
    assert tried == ["ahead-list", "sink-list"]  # and whoever needs the row says so, once
    assert [str(error) for error in desk.refused] == ["row 3 cannot be read"]
    assert journal.sink_cursor("memory") == 2


def test_no_row_is_delivered_that_is_not_counted_yet(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3", "4", "5")
    sink = ListSink()
    desk = Desk(journal, sink, limit=lambda: 3)
    desk.deliver()
    assert sink.calls == ["open", [1, 2], [3]]
    assert journal.sink_cursor("memory") == 3
    assert desk.delivery.status(5).behind == 2


def test_new_rows_are_found_without_a_call_too(journal):
    session = journal.begin_session(0.0, "x")
    sink = ListSink()
    desk = Desk(journal, sink)
    desk.delivery.start()
    desk.until(lambda: desk.delivery.status(0).state is SinkState.OK)
    fill(journal, session, "1")
    desk.until(lambda: desk.run.stored == 1)
    desk.stop()


def test_a_sink_goes_on_where_it_was_and_counts_its_whole_life(journal):
    session = journal.begin_session(0.0, "x")
    fill(journal, session, "1", "2", "3")
    journal.settle("memory", 2, {"x": Settled(1, 1), "bluesky": Settled(5, 7)})
    sink, clock = ListSink(), HeldClock(50.0)
    desk = Desk(journal, sink, clock=clock)
    assert desk.delivery.status(15) == SinkStatus(
        "list", "memory", True, since=50.0, stored=6, duplicate=8, behind=1, rate=0.0, write_ms=None
    )
    assert (desk.delivery.target, desk.delivery.of_record) == ("memory", True)
    desk.deliver()
    assert sink.calls == ["open", [3]]
    status = desk.delivery.status(15)
    assert (status.stored, status.duplicate, status.behind) == (7, 8, 0)


def test_a_sink_that_keeps_no_record_counts_for_itself_only(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3")
    desk = Desk(journal, ListSink(), of_record=False)
    desk.deliver()
    assert (desk.run, desk.earlier) == (Settled(), Settled())
    assert not desk.delivery.of_record
    assert desk.delivery.status(3).stored == 3


def test_answers_are_counted_by_source(journal):
    session = journal.begin_session(0.0, "x")
    fill(journal, session, "1")
    journal.commit(Batch("bluesky", 1, 1, [Entry("b", 1.0, 1, (), backfilled=False, raw=b"b")]), session)
    sink = ListSink()
    sink.taken["bluesky:b"] = 999
    desk = Desk(journal, sink)
    desk.deliver()
    assert journal.settled("memory") == {"x": Settled(1, 0), "bluesky": Settled(0, 1)}


def test_an_answer_that_is_not_one_for_each_row_is_not_taken(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2")
    sink = ListSink()
    sink.write = lambda rows: [Outcome.STORED]
    desk = Desk(journal, sink)
    desk.deliver()
    assert journal.sink_cursor("memory") == 0
    assert desk.run == desk.earlier == Settled()
    assert desk.refused


def test_rows_that_were_forgotten_on_their_way_count_for_their_run(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2")
    desk = Desk(journal, ListSink())
    desk.delivery.forgotten([(2, "x"), (3, "x"), (4, "x"), (4, "bluesky")])
    assert (desk.run, desk.earlier) == (Settled(2, 0), Settled(1, 0))
    assert desk.delivery.status(9).stored == 4


def test_what_retention_had_removed_is_told_and_is_not_waited_for(journal, monkeypatch):
    monkeypatch.setattr(journal, "out_of_reach", lambda seq: 1200 if seq == 0 else 0)
    desk = Desk(journal, ListSink())
    assert desk.told() == [
        (
            Level.WARNING,
            "list: 1,200 posts were removed from the journal (journal.keep) before this store was there to get them",
        )
    ]
    assert desk.delivery.status(1203).behind == 3
    assert desk.delivery.status(3).behind == 0


# What its status says


def test_the_rate_is_that_of_the_last_ten_seconds_and_the_slowest_write_is_told(journal, monkeypatch):
    ticks = iter([0.0, 0.25, 1.0, 1.5, 2.0, 2.125])
    monkeypatch.setattr("core.delivery.time.perf_counter", lambda: next(ticks))
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3", "4", "5")
    clock = HeldClock(100.0)
    desk = Desk(journal, ListSink(), clock=clock)
    desk.deliver()
    assert (desk.delivery.status(5).rate, desk.delivery.status(5).write_ms) == (0.5, 500.0)
    clock.time = 110.0
    assert desk.delivery.status(5).rate == 0.5
    clock.time = 110.1
    assert desk.delivery.status(5).rate == 0.0


def test_a_slow_write_is_told_until_a_hundred_others_were_faster(journal, monkeypatch):
    took = chain([0.25], repeat(0.125))
    ticks = accumulate(chain.from_iterable((1.0, seconds) for seconds in took))
    monkeypatch.setattr("core.delivery.time.perf_counter", lambda: next(ticks))
    session = journal.begin_session(0.0, "x")
    fill(journal, session, *(str(number) for number in range(200)))
    desk = Desk(journal, ListSink())
    told = []
    desk.delivery.start()
    for end in ("a hundredth", "the next"):
        desk.until(lambda: desk.delivery.status(0).stored == journal.last_seq())
        told.append(desk.delivery.status(0).write_ms)
        fill(journal, session, end)
        desk.delivery.wake()
    desk.stop()
    assert told == [250.0, 125.0]


def test_months_of_batches_keep_no_more_than_the_last_ten_seconds(journal):
    fill(journal, journal.begin_session(0.0, "x"), *(str(number) for number in range(60)))
    sink, clock = ListSink(), HeldClock(100.0)
    desk = Desk(journal, sink, clock=clock)
    write, kept = sink.write, []

    def later(rows):
        clock.time += 2.5
        kept.append(len(desk.delivery._recent))
        return write(rows)

    sink.write = later
    desk.deliver()
    assert max(kept) == 5  # those at 0, 2.5, 5, 7.5 and 10 s


# The end


@pytest.mark.parametrize(("seconds", "written"), [(0.5, 2), (6.0, 2), (6.5, 4), (10.0, 5)])
def test_a_write_that_could_outlast_a_stop_is_not_begun(journal, monkeypatch, seconds, written):
    """Each takes two seconds; the next may take twice as long as the one before."""
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3", "4", "5")
    moment = [100.0]
    monkeypatch.setattr(
        "core.delivery.time", SimpleNamespace(monotonic=lambda: moment[0], perf_counter=lambda: moment[0])
    )
    sink = ListSink()
    desk, write = Desk(journal, sink), sink.write

    def slowly(rows):
        moment[0] += 2.0
        return write(rows)

    sink.write = slowly
    desk.delivery._deadline = 100.0 + seconds
    desk.delivery._deliver(journal.reader().rows_after)
    assert journal.sink_cursor("memory") == written


def test_a_store_that_does_not_answer_is_said_to_be_down_and_one_that_does_not_close_is_left_behind(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1")
    sink, clock, hang = ListSink(), HeldClock(100.0), threading.Event()
    sink.write = lambda rows: hang.wait(PATIENCE) and []
    sink.close = lambda: hang.wait(PATIENCE)
    desk = Desk(journal, sink, clock=clock)
    desk.delivery.start()
    desk.until(lambda: desk.delivery.status(1).state is SinkState.OK)
    began = time.monotonic()
    desk.delivery.stop(began + 0.2)
    left = {thread.name: thread.daemon for thread in threading.enumerate() if thread.name.endswith("-list")}
    assert left == {"sink-list": True, "close-list": True}  # they do not keep the process from its end
    assert 0.2 <= time.monotonic() - began < PATIENCE / 2
    status = replace(desk.delivery.status(1), write_ms=None)
    assert status == SinkStatus(
        "list", "memory", True, SinkState.DOWN, 100.0, behind=1, retry_at=100.0,
        error="it had not answered when the capture was stopped",
    )  # fmt: skip
    hang.set()
