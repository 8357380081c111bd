"""A sink gets every row once and in order; one that fails falls behind, and nothing is lost."""

import threading
import time

import pytest

from core.clock import SystemClock
from core.delivery import Delivery
from core.errors import StoreRefused, Unavailable
from core.events import EventLog
from core.journal import Batch, Entry, Journal, Settled
from core.post import Post
from core.sinks.base import Outcome
from core.snapshot import SinkState


class ListSink:
    """A sink in memory that fails when it is told to; `taken` is what it durably has."""

    name = "list"
    target = "memory"

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.faults: list[Exception] = []  # raised by the next calls, the write having happened or not
        self.lost_answer = False
        self.closed = threading.Event()

    def open(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    def write(self, rows):
        if self.faults and not self.lost_answer:
            raise self.faults.pop(0)
        outcomes = []
        for row in rows:
            mine = self.taken.setdefault(row.post.key, row.seq) == row.seq
            outcomes.append(Outcome.STORED if mine else Outcome.DUPLICATE)
        if self.faults:
            raise self.faults.pop(0)
        return outcomes

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path) as journal:
        yield journal


def fill(journal, session, *ids):
    entries = [Entry(id_, 1.0, 1, (), backfilled=False, raw=id_.encode()) for id_ in ids]
    journal.commit(Batch("x", len(ids), len(ids), entries), session)


class Desk:
    """A delivery with what it told."""

    def __init__(self, journal, sink, of_record=True):
        self.run = Settled()
        self.earlier = Settled()
        self.refused: list[Exception] = []
        self.events = EventLog(SystemClock())
        self.delivery = Delivery(
            sink,
            journal,
            decode=lambda source, raw: Post(source=source, id=raw.decode(), text=""),
            limit=journal.last_seq,
            on_settled=self.settled if of_record else None,
            on_refused=self.refused.append,
            events=self.events,
            clock=SystemClock(),
            batch_size=2,
        )

    def settled(self, run, earlier):
        self.run += run.get("x", Settled())
        self.earlier += earlier.get("x", Settled())

    def until(self, condition):
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self):
        self.delivery.stop(time.monotonic() + 5)


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
    sink.write = lambda rows: hang.wait(60) and []
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
            sink.closed.wait(60)
            raise Unavailable("the connection was closed")
        raise Unavailable("connection refused")

    sink.open = connect
    desk = Desk(journal, sink)
    desk.delivery.start()
    desk.until(lambda: len(calls) > 1)
    desk.delivery.stop(time.monotonic() + 0.1)
    desk.until(lambda: not desk.delivery._thread.is_alive())
    assert desk.delivery.status(0).error == "connection refused"
