"""What a connection tells: its health, the event log, and what it hands to a writer that is slow."""

from __future__ import annotations

import pytest

from core.connection import Connection, Line
from core.events import EventLog
from core.health import Health, SourceState, Stretch
from core.journal import Deletion, GapMark, KeywordsMark
from core.lines import LineQueue
from core.snapshot import Level
from tests.clock import HeldClock

CONNECTING, LIVE, WAITING = SourceState.CONNECTING, SourceState.LIVE, SourceState.WAITING
STALLED, PAUSED, STOPPED = SourceState.STALLED, SourceState.PAUSED, SourceState.STOPPED


class Queue(LineQueue):
    """A queue whose waits for room take no time: whoever holds the clock says what happens meanwhile."""

    def while_waiting(self):
        raise AssertionError("nothing was to wait")

    def put(self, item, size=0, *, wait=None, over=False):
        if wait != 0.0 and not over and self.fill >= 1:
            self.while_waiting()
            wait = 0.0
        return super().put(item, size, wait=wait, over=over)


@pytest.fixture
def clock():
    return HeldClock(100.0)


@pytest.fixture
def queue():
    return Queue(limit=4)


@pytest.fixture
def connection(queue, clock):
    return Connection("x", queue, EventLog(clock), clock)


def told(connection):
    return [(event.level, event.text) for event in connection._events.recent()]


def connect(connection, clock, at):
    clock.time = at
    connection.report(CONNECTING)
    connection.report(LIVE)


# Its health


def test_before_anything_happened(connection):
    assert connection.health() == Health(
        "x", since=100.0, queue_limit=4, past=(Stretch(100.0, SourceState.STARTING),)
    )


def test_a_state_is_told_with_its_reason_and_since_when(connection, clock):
    connect(connection, clock, 101.0)
    connection.lag = 2.5
    health = connection.health()
    assert (health.state, health.since, health.connects, health.last_byte_at) == (LIVE, 101.0, 1, 101.0)
    assert health.lag == 2.5
    clock.time = 110.0
    connection.report(WAITING, "X 503", wait_until=120.0)
    clock.time = 115.0
    connection.report(WAITING, "X 500", wait_until=130.0)
    health = connection.health()
    assert (health.state, health.reason, health.since, health.wait_until) == (WAITING, "X 500", 110.0, 130.0)
    connect(connection, clock, 120.0)
    health = connection.health()
    assert (health.state, health.reason, health.since, health.wait_until) == (LIVE, "", 120.0, None)
    assert (health.connects, health.reconnects) == (2, 1)


def test_the_end_is_told_with_its_reason(connection, clock):
    connection.expecting_end = True
    connection.report(STOPPED, "socket closed")
    assert connection.health().reason == "socket closed"
    connection.report(STOPPED)
    assert connection.health().reason == "stopped"
    clock.time = 130.0
    connection.report(PAUSED, "paused by you", wait_until=150.0)
    connection.ended("disk full")
    health = connection.health()
    assert (health.state, health.reason, health.since, health.wait_until) == (STOPPED, "disk full", 130.0, None)


def test_a_connection_after_an_end_that_was_asked_for_is_no_reconnect(connection, clock):
    connect(connection, clock, 101.0)
    connection.expecting_end = True
    connection.report(STOPPED)
    connection.expecting_end = False
    connect(connection, clock, 110.0)
    assert connection.reconnects == 0


# The last hour


def past(connection):
    return [(stretch.since, stretch.state, stretch.slowed) for stretch in connection.health().past]


def test_a_stretch_of_an_hour_ago_is_let_go(connection, clock):
    for clock.time, state in ((200.0, CONNECTING), (300.0, LIVE), (3799.0, SourceState.QUIET)):
        connection.report(state)
    assert past(connection)[0] == (100.0, SourceState.STARTING, False)
    clock.time = 3800.0
    connection.report(LIVE)
    assert past(connection) == [
        (200.0, CONNECTING, False), (300.0, LIVE, False), (3799.0, SourceState.QUIET, False), (3800.0, LIVE, False)
    ]  # fmt: skip


def test_an_hour_in_one_stretch_is_that_stretch_alone(connection, clock):
    """A stop by us and what follows it are one; what was before them is an hour ago."""
    clock.time = 110.0
    connection.report(STOPPED)
    clock.time = 5000.0
    connection.report(LIVE)
    assert past(connection) == [(110.0, LIVE, False)]


def test_a_state_that_is_reported_again_goes_on(connection, clock):
    for clock.time in (110.0, 120.0, 130.0):
        connection.report(WAITING, "X 503", wait_until=clock.time + 10)
    assert past(connection) == [(100.0, SourceState.STARTING, False), (110.0, WAITING, False)]


def test_of_a_wild_hour_the_newest_stretches_are_kept(connection, clock):
    for number in range(1000):
        connection.report(SourceState.QUIET if number % 2 else LIVE)
    assert len(past(connection)) == 300


def test_a_reader_that_had_to_wait_is_a_stretch_of_its_own(connection, queue, clock):
    fill(connection)
    slowly(queue, clock, 3)
    wait = queue.while_waiting

    def changes():
        wait()
        if clock.time == 100.5:
            connection.report(CONNECTING)

    queue.while_waiting = changes
    connection.deliver([b"four"], 100.0)
    connection.deliver([b"five"], 101.5)
    assert past(connection) == [
        (100.0, SourceState.STARTING, False),
        (100.5, CONNECTING, False),
        (100.5, CONNECTING, True),
    ]
    clock.time = 110.0
    queue.take(3, 0, 0)
    connection.health()
    assert past(connection)[3:] == [(110.0, CONNECTING, False)]


# The event log


@pytest.mark.parametrize(
    ("reason", "wait", "words"),
    [
        ("X 503", 10.0, "X 503; trying again in 10 s"),
        ("X 503", 1.5, "X 503; trying again in 2 s"),
        ("X 503", 1.0, "X 503; trying again in 1 s"),
        ("X 503", 0.5, "X 503; trying again"),
        ("X 503", -5.0, "X 503; trying again"),
        ("", None, "connection lost; trying again"),
    ],
)
def test_a_wait_is_told_with_its_reason_and_its_length(connection, clock, reason, wait, words):
    connection.report(WAITING, reason, wait_until=None if wait is None else clock.time + wait)
    assert told(connection) == [(Level.WARNING, words)]


def test_a_stall_is_told_once(connection, clock):
    connect(connection, clock, 101.0)
    connection.report(STALLED, "no byte for 22 s")
    connection.report(STALLED, "no byte for 23 s")
    assert told(connection)[1:] == [(Level.WARNING, "stalled: no byte for 22 s")]


def test_what_the_source_has_to_say_is_in_the_log(connection):
    connection.event(Level.ERROR, "a rule is missing")
    assert told(connection) == [(Level.ERROR, "a rule is missing")]


# Gaps


def test_a_loss_without_a_reason_is_a_gap_all_the_same(connection, queue, clock):
    connect(connection, clock, 101.0)
    clock.time = 105.0
    connection.report(CONNECTING)  # at once, and without a word
    assert queue.take(9, 0, 0)[1:] == [GapMark(101.0, "connection lost")]


def test_a_first_try_that_ends_without_a_reason_is_a_gap_too(connection, queue):
    connection.report(CONNECTING)
    connection.report(WAITING)
    assert queue.take(9, 0, 0) == [GapMark(100.0, "connection lost")]


def test_a_pause_ends_with_the_first_of_several_tries_to_resume_it(connection, queue, clock):
    connect(connection, clock, 101.0)
    connection.report(PAUSED, "paused by you")
    for clock.time in (130.0, 135.0):
        connection.report(CONNECTING)
    connection.report(WAITING, "X 503")
    assert queue.take(9, 0, 0)[1:] == [GapMark(101.0, "paused by you", chosen=True), GapMark(130.0, "X 503")]


# What is handed over, and a writer that is slow


def test_lines_are_counted_with_their_bytes(connection, queue):
    connection.deliver([b"1234"], 101.0)
    connection.deliver([b"56"], 102.0, backfilled=True)
    assert queue.bytes == 6
    assert queue.take(9, 0, 0) == [Line(b"1234", 101.0, backfilled=False), Line(b"56", 102.0, backfilled=True)]


def test_deletions_are_handed_over_with_their_moment(connection, queue):
    connection.deleted(post="8")
    connection.deleted(author="9")
    assert queue.take(9, 0, 0) == [Deletion(100.0, post="8"), Deletion(100.0, author="9")]


def test_other_keywords_wait_for_no_room(connection, queue):
    fill(connection)
    connection.keywords_changed("swift")
    assert connection.health().queue_fill == 1.0
    assert queue.take(9, 0, 0)[4:] == [KeywordsMark(100.0, "swift")]


def fill(connection):
    for number in range(4):
        connection.deliver([b"%d" % number], 100.0)


def slowly(queue, clock, slices):
    """Room comes after so many slices of half a second."""
    left = [slices]

    def wait():
        clock.time += 0.5
        left[0] -= 1
        if left[0] == 0:
            queue.take(3, 0, 0)

    queue.while_waiting = wait


def slowed(lines):
    words = f"slowed down: posts come faster than they are written; {lines} lines wait, and what comes after them waits"
    return (Level.WARNING, f"{words} at the source")


def test_a_wait_of_a_second_is_told(connection, queue, clock):
    fill(connection)
    slowly(queue, clock, 2)
    connection.deliver([b"four"], 100.0)
    assert told(connection) == [slowed(2)]
    assert queue.bytes == len("3" + "four")


def test_a_writer_that_is_slow_is_told_while_it_lasts_and_once_it_has_caught_up(connection, queue, clock):
    fill(connection)
    slowly(queue, clock, 4)
    connection.deliver([b"four"], 100.0)
    connection.deliver([b"five"], 102.0)
    assert connection.health().slowed_since == 100.0
    assert told(connection) == [slowed(4)]
    clock.time = 107.0
    queue.take(1, 0, 0)
    assert connection.health().slowed_since is None  # half empty
    caught_up = (Level.INFO, "keeps up again after 7.0 s; the source waited 2.0 s of it")
    assert told(connection) == [slowed(4), caught_up]
    connection.deliver([b"six"], 107.0)
    connection.deliver([b"seven"], 107.0)
    slowly(queue, clock, 1)
    connection.deliver([b"a moment"], 107.0)
    connection.deliver([b"more"], 107.0)
    assert connection.health().slowed_since is None
    assert told(connection) == [slowed(4), caught_up]


def test_what_came_while_the_source_waited_may_be_missing(connection, queue, clock):
    fill(connection)
    slowly(queue, clock, 2)
    connection.deliver([b"four"], 99.0)
    connection.touch(99.0)
    assert clock.time > 99.0
    assert connection.complete_until == 99.0


def test_a_deletion_waits_for_room_as_a_line_does(connection, queue, clock):
    fill(connection)
    slowly(queue, clock, 2)
    clock.time = 102.0
    connection.deleted(post="8")
    assert queue.bytes == len("3")
    assert queue.take(9, 0, 0)[1:] == [Deletion(102.0, post="8")]


def test_a_source_that_is_to_end_waits_for_no_room(connection, queue):
    fill(connection)
    connection.expecting_end = True
    connection.deliver([b"four"], 100.0)
    connection.deleted(post="8")
    assert queue.take(9, 0, 0)[4:] == [Line(b"four", 100.0, backfilled=False), Deletion(100.0, post="8")]


def test_lines_that_come_together_go_in_together_and_wait_together_in_their_order(connection, queue, clock):
    taken = []

    def while_waiting():
        taken.extend(queue.take(3, 0, 0))

    queue.while_waiting = while_waiting
    connection.report(LIVE)
    queue.take(9, 0, 0)  # the mark
    lines = [b"%d" % number for number in range(9)]
    connection.deliver(lines, 101.0)
    taken += queue.take(9, 0, 0)
    assert [line.raw for line in taken] == lines
    assert {line.at for line in taken} == {101.0}


def test_lines_that_find_the_queue_closed_are_left(connection, queue):
    queue.close()
    connection.deliver([b"1", b"2"], 101.0)
    assert queue.take(9, 0, 0) == []
