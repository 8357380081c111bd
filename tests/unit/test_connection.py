"""Every interruption is a gap that begins with the last byte, and none is invented."""

import pytest

from core.connection import Connection, Line
from core.events import EventLog
from core.health import RateLimit, SourceState
from core.journal import GapMark
from core.lines import LineQueue
from tests.clock import HeldClock


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


def test_a_refusal_leaves_the_gap_open(connection, queue, clock):
    connect(connection, clock, 101)
    connection.touch(140.0)
    connection.report(SourceState.STOPPED, "token refused")
    assert marks(queue)[1:] == [GapMark(140.0, "token refused")]


def test_lines_and_marks_keep_their_order(connection, queue, clock):
    connect(connection, clock, 101)
    connection.deliver(b"one", 102.0)
    connection.report(SourceState.WAITING, "cut")
    connect(connection, clock, 103)
    connection.deliver(b"two", 104.0, backfilled=True)
    kinds = [item.raw if isinstance(item, Line) else item.reason for item in queue.take(100, 0, 0)]
    assert kinds == ["", b"one", "cut", "", b"two"]


def test_health_tells_the_wait_the_window_and_the_queue(connection, clock):
    connection.report(SourceState.WAITING, "X 429", wait_until=160.0)
    connection.rate_limit(RateLimit(50, 48, 900.0))
    connection.deliver(b"line", 101.0)
    health = connection.health()
    assert health.wait_until == 160.0
    assert health.rate_limit == RateLimit(50, 48, 900.0)
    assert health.queue == 2  # the mark of the gap, and the line
    assert health.last_post_at == 101.0
