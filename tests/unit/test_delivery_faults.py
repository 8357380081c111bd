"""A sink that fails is tried again with growing waits, the user reads why, and what the journal holds is kept."""

from __future__ import annotations

import random

import pytest

from core.errors import JournalBlocked, JournalError, StoreRefused, Unavailable
from core.journal import Journal, Settled
from core.snapshot import Level, SinkState
from tests.clock import HeldClock
from tests.unit.delivery_desk import Desk, ListSink, fill


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path) as journal:
        yield journal


class Watch(HeldClock):
    """A clock that lets no wait last, and looks at the delivery's status at the begin of each."""

    def __init__(self, now):
        super().__init__(now)
        self.look = lambda: None
        self.seen = []

    def wait(self, event, seconds):
        self.seen.append(self.look())
        return super().wait(event, seconds)


@pytest.fixture
def watch(monkeypatch):
    def shortest(least, most):
        assert (least, most) == (0.5, 1.0)  # the jitter's share of a wait
        return least

    monkeypatch.setattr(random, "uniform", shortest)
    return Watch(100.0)


def watched(journal, sink, watch, **more):
    desk = Desk(journal, sink, clock=watch, **more)
    watch.look = lambda: desk.delivery.status(journal.last_seq())
    return desk


def test_a_sink_that_is_down_is_tried_again_with_growing_waits_and_quickly_again_once_it_was_there(journal, watch):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3")
    sink = ListSink()
    sink.faults = [Unavailable("gone")] * 8 + [None, None, Unavailable("cut"), None, None, Unavailable("cut")]
    desk = watched(journal, sink, watch)
    desk.delivery.start()
    desk.until(lambda: desk.earlier.stored == 3)
    desk.stop()
    assert watch.waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 0.25]
    assert sink.calls == [*["open"] * 9, [1, 2], [3], "open", [3]]
    assert [status.state for status in watch.seen] == [SinkState.DOWN] * 9
    assert [status.since for status in watch.seen] == [100.0] * 8 + [145.75]  # since it is down, not since a try
    assert [status.retry_at for status in watch.seen[:3]] == [100.5, 101.25, 102.75]
    assert desk.told() == [
        (Level.WARNING, "list: gone"),
        (Level.INFO, "list is back"),
        (Level.WARNING, "list: cut"),
        (Level.INFO, "list is back"),
    ]
    status = desk.delivery.status(3)
    assert (status.state, status.error, status.retry_at, status.since) == (SinkState.OK, "", None, 146.0)


def test_waits_double_from_one_failed_write_to_the_next(journal, watch):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2")
    sink = ListSink()
    sink.faults = [None, Unavailable("cut"), None, Unavailable("cut")]
    desk = watched(journal, sink, watch)
    desk.delivery.start()
    desk.until(lambda: desk.earlier.stored == 2)
    desk.stop()
    assert watch.waits == [0.25, 0.5]


def test_a_sink_that_works_is_told_to_be_ready_once(journal, watch):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2", "3", "4")
    desk = watched(journal, ListSink(), watch)
    desk.deliver()
    assert desk.told() == [(Level.INFO, "list memory is ready")]
    assert watch.waits == []


def test_a_journal_that_is_blocked_does_not_open_the_sink_again_and_the_rows_are_its_own(journal, watch):
    fill(journal, journal.begin_session(0.0, "x"), "1", "2")
    sink = ListSink()
    settle, faults = journal.settle, [JournalBlocked("no room")]

    def blocked(*values):
        if faults:
            raise faults.pop()
        settle(*values)

    journal.settle = blocked
    desk = watched(journal, sink, watch)
    desk.delivery.start()
    desk.until(lambda: desk.earlier.stored == 2)
    desk.stop()
    assert sink.calls == ["open", [1, 2], [1, 2]]
    assert journal.settled("memory") == {"x": Settled(2, 0)}
    assert desk.told()[1:] == [(Level.WARNING, "list: no room"), (Level.INFO, "list is back")]


def test_a_journal_that_cannot_be_read_ends_the_delivery_and_is_handed_up(journal, watch):
    reader, error = journal.reader(), JournalError("damaged")
    journal.reader = lambda: reader
    reader.rows_after = lambda *_: (_ for _ in ()).throw(error)
    fill(journal, journal.begin_session(0.0, "x"), "1")
    desk = watched(journal, ListSink(), watch)
    desk.delivery.start()
    desk.until(lambda: not desk.delivery._thread.is_alive())
    assert desk.refused == [error]
    status = desk.delivery.status(1)
    assert (status.state, status.error, status.retry_at) == (SinkState.REFUSED, "damaged", 100.0)
    assert desk.told()[-1] == (Level.ERROR, "list: damaged")


def test_the_delivery_reads_by_one_connection_and_closes_it(journal, watch):
    fill(journal, journal.begin_session(0.0, "x"), "1")
    made, make = [], journal.reader
    journal.reader = lambda: made.append(make()) or made[-1]
    sink = ListSink()
    sink.faults = [Unavailable("gone"), None, Unavailable("cut")]
    desk = watched(journal, sink, watch)
    desk.delivery.start()
    desk.until(lambda: desk.earlier.stored == 1)
    desk.stop()
    [reader] = made
    with pytest.raises(Exception, match="closed database"):
        reader._db.execute("SELECT 1")


def test_a_store_that_refuses_is_asked_again_every_minute_and_handed_up_until_it_has_worked_once(journal, watch):
    fill(journal, journal.begin_session(0.0, "x"), "1")
    sink = ListSink()
    sink.faults = [StoreRefused("no rights"), StoreRefused("no rights"), None, StoreRefused("taken away")]
    desk = watched(journal, sink, watch)
    desk.delivery.start()
    desk.until(lambda: desk.earlier.stored == 1)
    desk.stop()
    assert watch.waits == [60.0, 60.0, 60.0]
    assert sink.calls == ["open", "open", "open", [1], "open", [1]]
    assert [str(error) for error in desk.refused] == ["no rights", "no rights"]
    assert [(status.state, status.error, status.retry_at) for status in watch.seen] == [
        (SinkState.REFUSED, "no rights", 160.0),
        (SinkState.REFUSED, "no rights", 220.0),
        (SinkState.REFUSED, "taken away", 280.0),
    ]
    assert desk.told() == [
        (Level.ERROR, "list: no rights"),
        (Level.INFO, "list is back"),
        (Level.ERROR, "list: taken away"),
        (Level.INFO, "list is back"),
    ]


def test_a_stop_ends_the_wait_for_a_store_that_refused(journal):
    sink = ListSink()
    sink.faults = [StoreRefused("no rights")]
    desk = Desk(journal, sink)
    desk.delivery.start()
    desk.until(lambda: desk.refused)
    desk.stop()
    assert not desk.delivery._thread.is_alive()
    assert sink.calls == ["open"]


def test_a_bug_is_told_as_one(journal, watch):
    fill(journal, journal.begin_session(0.0, "x"), "1")
    sink = ListSink()
    sink.write = lambda rows: 1 / 0
    desk = watched(journal, sink, watch)
    desk.deliver()
    said = "a bug in bieber-tui: ZeroDivisionError('division by zero')"
    status = desk.delivery.status(1)
    assert (status.state, status.error, status.retry_at) == (SinkState.REFUSED, said, 160.0)
    assert desk.told()[-1] == (Level.ERROR, f"list: {said}")
    assert [str(error) for error in desk.refused] == [
        "the sink list failed by a bug: ZeroDivisionError('division by zero')"
    ]


def test_a_fault_of_another_kind_with_the_same_words_is_told_too(journal, watch):
    sink = ListSink()
    sink.faults = [Unavailable("gone"), StoreRefused("gone"), StoreRefused("gone"), Unavailable("gone, too")]
    desk = watched(journal, sink, watch)
    desk.delivery.start()
    desk.until(lambda: desk.delivery.status(0).state is SinkState.OK)
    desk.stop()
    assert desk.told() == [
        (Level.WARNING, "list: gone"),
        (Level.ERROR, "list: gone"),
        (Level.WARNING, "list: gone, too"),
        (Level.INFO, "list is back"),
    ]
    assert [status.since for status in watch.seen] == [100.0, 100.25, 100.25, 220.25]
