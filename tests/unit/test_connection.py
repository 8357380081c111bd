"""Every interruption is a gap that begins with the last byte, and none is invented."""

import threading
import time
from contextlib import contextmanager

import pytest

from core import crashpoint
from core.clock import SystemClock
from core.connection import Connection, Line
from core.crashpoint import Point
from core.events import EventLog
from core.health import RateLimit, SourceState
from core.journal import GapMark, KeywordsMark
from core.lines import LineQueue
from tests.clock import HeldClock
from tests.conftest import wait_until


@pytest.fixture
def clock():
    return HeldClock(100.0)


@pytest.fixture
def queue():
    return LineQueue()


@pytest.fixture
def connection(queue, clock):
    return Connection("x", queue, EventLog(clock), clock)


def marks(queue):
    return [item for item in queue.take(1000, 0, 0) if isinstance(item, GapMark)]


def connect(connection, clock, at):
    clock.time = at
    connection.report(SourceState.CONNECTING)
    connection.report(SourceState.LIVE)


def test_a_first_connection_that_works_leaves_no_gap(connection, queue, clock):
    connect(connection, clock, 101)
    assert [mark.reason for mark in marks(queue)] == [""]  # closes whatever an earlier run left open
    assert connection.health().connects == 1
    assert connection.health().reconnects == 0


def test_a_cut_is_a_gap_from_the_last_byte_to_the_next_connection(connection, queue, clock):
    connect(connection, clock, 101)
    connection.touch(150.0)
    clock.time = 172.0
    connection.report(SourceState.STALLED, "no byte for 22 s")
    connection.report(SourceState.WAITING, "no byte for 22 s", wait_until=173.0)
    connect(connection, clock, 175)
    assert marks(queue)[1:] == [GapMark(150.0, "no byte for 22 s"), GapMark(175.0)]
    assert connection.health().reconnects == 1


def test_a_cut_that_is_mended_at_once_is_a_gap_too(connection, queue, clock):
    connect(connection, clock, 101)
    connection.touch(150.0)
    clock.time = 150.5
    connection.report(SourceState.CONNECTING, "X closed the connection")
    connection.report(SourceState.LIVE)
    assert marks(queue)[1:] == [GapMark(150.0, "X closed the connection"), GapMark(150.5)]


def test_every_line_passes_the_crash_point_behind_it(connection, monkeypatch):
    passed = []
    monkeypatch.setattr(crashpoint, "reach", lambda point, times=1: passed.append((point, times)))
    connection.deliver([b"1", b"2", b"3"], 101.0)
    assert passed == [(Point.LINE_READ, 3)]


def events(connection):
    return [event.text for event in connection._events.recent()]


def test_a_pause_is_no_loss_and_the_connection_after_it_no_reconnect(connection, queue, clock):
    connect(connection, clock, 101)
    connection.touch(120.0)
    connection.report(SourceState.PAUSED, "paused by you")
    connect(connection, clock, 130)
    assert connection.reconnects == 0
    assert events(connection) == ["connected", "capture paused", "connected again after 10 s: paused by you"]


def test_a_pause_after_a_loss_does_not_hide_the_loss(connection, queue, clock):
    connect(connection, clock, 101)
    connection.touch(110.0)
    connection.report(SourceState.WAITING, "X 503", wait_until=120.0)
    clock.time = 115.0
    connection.report(SourceState.PAUSED, "paused by you")
    connect(connection, clock, 130)
    assert connection.reconnects == 1
    assert marks(queue)[1:] == [GapMark(110.0, "X 503"), GapMark(115.0, "paused by you", True), GapMark(130)]


def test_the_log_says_how_long_a_loss_lasted_and_why_also_when_it_is_mended_at_once(connection, clock):
    connect(connection, clock, 101)
    connection.touch(150.0)
    clock.time = 150.5
    connection.report(SourceState.CONNECTING, "cut in mid-stream")
    connection.report(SourceState.LIVE)
    assert events(connection) == ["connected", "connected again after 0.5 s: cut in mid-stream"]


def test_a_loss_of_a_moment_is_said_to_be_one(connection, clock):
    connect(connection, clock, 101)
    connection.touch(150.0)
    clock.time = 150.01
    connection.report(SourceState.CONNECTING, "cut")
    connection.report(SourceState.LIVE)
    assert events(connection)[1] == "connected again after less than 0.1 s: cut"


def test_a_first_connection_that_took_more_than_one_try_is_a_gap_and_says_so(connection, queue, clock):
    connection.report(SourceState.CONNECTING)
    clock.time = 110.0
    connection.report(SourceState.CONNECTING, "no answer in time")
    clock.time = 112.0
    connection.report(SourceState.LIVE)
    assert marks(queue) == [GapMark(100.0, "no answer in time"), GapMark(112.0)]
    assert connection.reconnects == 0
    assert events(connection) == ["connected after 12 s: no answer in time"]


def test_quiet_is_connected(connection, queue, clock):
    connect(connection, clock, 101)
    connection.report(SourceState.QUIET)
    connection.report(SourceState.LIVE)
    assert len(marks(queue)) == 1
    assert connection.health().reconnects == 0


def test_a_first_connection_that_fails_is_a_gap_from_the_start_of_the_run(connection, queue, clock):
    connection.report(SourceState.CONNECTING)
    clock.time = 105
    connection.report(SourceState.WAITING, "X 503", wait_until=110)
    connection.report(SourceState.CONNECTING)
    connection.report(SourceState.WAITING, "X 500", wait_until=120)
    assert marks(queue) == [GapMark(100.0, "X 503")]


def test_a_first_connection_that_fails_and_is_tried_again_at_once_is_a_gap_too(connection, queue, clock):
    clock.time = 102.0
    connection.report(SourceState.CONNECTING)
    clock.time = 112.0
    connection.report(SourceState.CONNECTING, "X did not answer within 10 s")
    clock.time = 113.0
    connection.report(SourceState.LIVE)
    assert marks(queue) == [GapMark(100.0, "X did not answer within 10 s"), GapMark(113.0)]


def test_a_stop_by_the_user_opens_no_gap_in_this_run(connection, queue, clock):
    connect(connection, clock, 101)
    connection.expecting_end = True
    connection.report(SourceState.WAITING, "socket closed")
    connection.report(SourceState.STOPPED)
    assert len(marks(queue)) == 1
    assert connection.health().state is SourceState.STOPPED


def test_a_pause_is_a_gap_whatever_the_source_says_while_it_ends(connection, queue, clock):
    connect(connection, clock, 101)
    connection.touch(120.0)
    connection.expecting_end = True
    connection.report(SourceState.WAITING, "socket closed")
    connection.report(SourceState.PAUSED, "paused by you")
    connection.expecting_end = False
    connect(connection, clock, 130)
    assert marks(queue)[1:] == [GapMark(120.0, "paused by you", chosen=True), GapMark(130)]


def test_a_connection_that_opens_while_it_is_being_closed_ends_the_gap_that_was_open(connection, queue, clock):
    """Its posts are kept, so they are in no gap."""
    connection.expecting_end = True
    connect(connection, clock, 101)
    connection.deliver([b"one"], 102.0)
    connection.touch(102.0)
    connection.report(SourceState.PAUSED, "paused by you")
    assert marks(queue) == [GapMark(101.0), GapMark(102.0, "paused by you", chosen=True)]


def pause_and_fail_to_resume(connection, clock):
    connect(connection, clock, 101)
    connection.touch(120.0)
    connection.report(SourceState.PAUSED, "paused by you")
    clock.time = 130
    connection.report(SourceState.CONNECTING)
    clock.time = 131
    connection.report(SourceState.WAITING, "X 503", wait_until=136)


def test_a_pause_ends_with_the_attempt_to_resume_it_also_when_that_fails(connection, queue, clock):
    pause_and_fail_to_resume(connection, clock)
    connect(connection, clock, 140)
    expected = [GapMark(120.0, "paused by you", chosen=True), GapMark(130, "X 503"), GapMark(140)]
    assert marks(queue)[1:] == expected


def test_a_pause_that_follows_a_failed_resume_is_another_one(connection, queue, clock):
    pause_and_fail_to_resume(connection, clock)
    clock.time = 135
    connection.report(SourceState.PAUSED, "paused by you")
    connect(connection, clock, 140)
    assert [(mark.at, mark.chosen) for mark in marks(queue)[1:]] == [
        (120.0, True), (130, False), (135, True), (140, False),
    ]  # fmt: skip


def test_a_second_pause_before_the_first_was_over_goes_on(connection, queue, clock):
    connect(connection, clock, 101)
    connection.touch(120.0)
    connection.report(SourceState.PAUSED, "paused by you")
    clock.time = 130
    connection.report(SourceState.CONNECTING)
    connection.report(SourceState.PAUSED, "paused by you")
    clock.time = 150
    connection.report(SourceState.CONNECTING)
    connection.report(SourceState.WAITING, "X 503", wait_until=160)
    assert marks(queue)[1:] == [GapMark(120.0, "paused by you", chosen=True), GapMark(150, "X 503")]


def test_other_keywords_are_noted_in_the_order_in_which_they_came(connection, queue, clock):
    connection.deliver([b"one"], 101.0)
    connection.keywords_changed("new")
    connection.deliver([b"two"], 102.0)
    assert queue.take(10, 0, 0)[1] == KeywordsMark(100.0, "new")


def test_a_refusal_leaves_the_gap_open(connection, queue, clock):
    connect(connection, clock, 101)
    connection.touch(140.0)
    connection.report(SourceState.STOPPED, "token refused")
    assert marks(queue)[1:] == [GapMark(140.0, "token refused")]


def test_lines_and_marks_keep_their_order(connection, queue, clock):
    connect(connection, clock, 101)
    connection.deliver([b"one"], 102.0)
    connection.report(SourceState.WAITING, "cut")
    connect(connection, clock, 103)
    connection.deliver([b"two"], 104.0, backfilled=True)
    kinds = [item.raw if isinstance(item, Line) else item.reason for item in queue.take(100, 0, 0)]
    assert kinds == ["", b"one", "cut", "", b"two"]


def test_health_tells_the_wait_the_window_and_the_queue(connection, clock):
    connection.report(SourceState.WAITING, "X 429", wait_until=160.0)
    connection.rate_limit(RateLimit(50, 48, 900.0))
    connection.deliver([b"line"], 101.0)
    health = connection.health()
    assert health.wait_until == 160.0
    assert health.rate_limit == RateLimit(50, 48, 900.0)
    assert health.queue == 2  # the mark of the gap, and the line
    assert health.last_post_at == 101.0


# A writer that cannot follow


@pytest.fixture
def short_queue(monkeypatch):
    monkeypatch.setattr("core.connection.SLOWED_AFTER", 0.3)
    return LineQueue(limit=10)


def deliver(connection, count):
    for number in range(count):
        connection.touch(float(number))
        connection.deliver([b"line %d" % number], float(number))


@contextmanager
def reading(connection, count):
    """A source in a thread of its own that hands over so many lines."""
    reader = threading.Thread(target=deliver, args=(connection, count))
    reader.start()
    yield reader
    reader.join(120)
    assert not reader.is_alive()


def test_a_writer_that_stands_still_is_told_while_it_lasts_and_when_it_is_over(short_queue):
    connection = Connection("x", short_queue, EventLog(SystemClock()), SystemClock())
    connection.report(SourceState.LIVE)
    assert connection.health().slowed_since is None
    with reading(connection, 12):
        wait_until(lambda: connection.health().slowed_since is not None)
        health = connection.health()
        assert (health.queue, health.queue_fill) == (10, 1.0)
        assert "slowed down" in events(connection)[-1]
        taken = short_queue.take(8, 0, 0)
    assert connection.health().slowed_since is None
    assert [stretch.slowed for stretch in connection.health().past][-3:] == [False, True, False]
    assert "keeps up again after" in events(connection)[-1]
    taken += short_queue.take(10, 0, 0)
    assert [item.raw for item in taken if isinstance(item, Line)] == [b"line %d" % number for number in range(12)]


def test_a_moment_of_waiting_is_not_worth_a_word(short_queue, monkeypatch):
    monkeypatch.setattr("core.connection.SLOWED_AFTER", 600.0)  # whatever the machine makes of a moment
    connection = Connection("x", short_queue, EventLog(SystemClock()), SystemClock())
    with reading(connection, 11):
        wait_until(lambda: len(short_queue) == 10)
        time.sleep(0.05)
        short_queue.take(10, 0, 0)
    assert connection.health().slowed_since is None
    assert events(connection) == []


def test_a_source_that_is_to_end_does_not_wait_and_what_it_read_is_kept_in_order(short_queue):
    connection = Connection("x", short_queue, EventLog(SystemClock()), SystemClock())
    with reading(connection, 30):
        wait_until(lambda: len(short_queue) == 10)
        connection.expecting_end = True
    assert [item.raw for item in short_queue.take(99, 0, 0)] == [b"line %d" % number for number in range(30)]


def test_a_change_of_the_connection_is_never_held_up_by_a_full_queue(short_queue):
    connection = Connection("x", short_queue, EventLog(SystemClock()), SystemClock())
    deliver(connection, 10)
    connection.report(SourceState.CONNECTING)
    connection.report(SourceState.WAITING, "cut")
    assert short_queue.take(99, 0, 0)[10:] == [GapMark(9.0, "cut")]


def test_a_queue_that_is_closed_lets_a_waiting_source_go(short_queue):
    connection = Connection("x", short_queue, EventLog(SystemClock()), SystemClock())
    with reading(connection, 30):
        wait_until(lambda: len(short_queue) == 10)
        short_queue.close()


def reads(connection, at, *, more=False):
    """A line was read at that moment, and handed over."""
    connection.deliver([b"line"], at)
    connection.touch(at, more=more)


def test_a_gap_begins_when_all_that_had_come_was_read_for_the_last_time(connection, queue, clock):
    """What is read later may have waited in the kernel for as long, and what comes behind it too."""
    connect(connection, clock, 101)
    reads(connection, 150.0)
    reads(connection, 200.0, more=True)
    reads(connection, 230.5, more=True)
    connection.report(SourceState.CONNECTING, "reset")
    assert connection.health().last_byte_at == 230.5
    *lines, mark = queue.take(99, 0, 0)[1:]
    assert mark == GapMark(150.0, "reset")
    assert [line.until for line in lines] == [101.0, 150.0, 150.0]


def test_a_source_that_has_read_all_that_had_come_is_not_behind_any_more(connection, queue, clock):
    connect(connection, clock, 101)
    reads(connection, 200.0, more=True)
    assert connection.complete_until == 101.0
    reads(connection, 230.5)
    assert connection.complete_until == 230.5
    connection.report(SourceState.CONNECTING, "reset")
    assert queue.take(99, 0, 0)[-1] == GapMark(230.5, "reset")


def test_what_the_first_connection_may_have_brought_is_only_behind_the_moment_when_it_was_asked_for(
    connection, clock
):
    """X streams from its answer on, which a busy machine may hear of late."""
    clock.time = 110.0
    connection.report(SourceState.CONNECTING)
    clock.time = 112.0
    connection.report(SourceState.LIVE)
    assert (connection.complete_until, connection.health().last_byte_at) == (110.0, 112.0)


def test_behind_a_gap_a_new_connection_begins_where_the_gap_ends(connection, queue, clock):
    connect(connection, clock, 101)
    connection.report(SourceState.CONNECTING, "reset")
    clock.time = 140.0
    connection.report(SourceState.LIVE)
    connection.touch(141.0, more=True)
    assert connection.complete_until == 140.0
    assert queue.take(99, 0, 0)[-1] == GapMark(140.0)


def states(connection):
    return [(stretch.since, stretch.state.value) for stretch in connection.health().past]


def test_the_states_of_the_last_hour_are_remembered_with_their_times(connection, queue, clock):
    connect(connection, clock, 101)
    clock.time = 150.0
    connection.report(SourceState.WAITING, "X 503", wait_until=155.0)
    connection.report(SourceState.WAITING, "X 503", wait_until=160.0)  # the same wait, longer
    connect(connection, clock, 160)
    assert states(connection) == [
        (100.0, "starting"), (101, "connecting"), (101, "live"), (150.0, "waiting"), (160, "connecting"), (160, "live"),
    ]  # fmt: skip
    assert [stretch.reason for stretch in connection.health().past if stretch.reason] == ["X 503"]


def test_states_of_more_than_an_hour_ago_are_let_go_but_for_the_one_that_reaches_into_it(connection, queue, clock):
    connect(connection, clock, 101)
    for number in range(100):
        clock.time = 200.0 + number * 60
        connection.report(SourceState.QUIET if number % 2 else SourceState.LIVE)
    past = connection.health().past
    assert past[0].since <= clock.time - 3600 < past[1].since
    for number in range(1000):
        connection.report(SourceState.QUIET if number % 2 else SourceState.LIVE)
    assert len(connection.health().past) <= 300


def test_the_stop_of_a_source_for_a_pause_is_part_of_the_pause(connection, queue, clock):
    connect(connection, clock, 101)
    clock.time = 150.0
    connection.expecting_end = True
    connection.report(SourceState.STOPPED)
    clock.time = 150.2
    connection.report(SourceState.PAUSED, "paused by you")
    assert states(connection)[-2:] == [(101, "live"), (150.0, "paused")]
