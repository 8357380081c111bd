"""Room for the journal: told before it is gone, closed at the reserve, opened when there is enough again."""

import errno
import os
from types import SimpleNamespace

import pytest

from core.connection import Connection
from core.errors import JournalBlocked, JournalBusy, JournalFull
from core.events import EventLog
from core.health import SourceState
from core.journal import Journal, Retention, Space
from core.journal.space import full_words
from core.lines import LineQueue
from core.standstill import Standstill
from core.units import Keep, room_words
from core.upkeep import Upkeep
from tests.clock import HeldClock


@pytest.fixture
def disk(monkeypatch):
    """The disk as the system reports it: `free` and `inodes` can be set."""
    disk = SimpleNamespace(free=10**9, inodes=1000)

    def statvfs(_):
        if disk.free < 0:
            raise OSError(errno.EIO, "Input/output error")
        return SimpleNamespace(f_bavail=disk.free, f_frsize=1, f_favail=disk.inodes)

    monkeypatch.setattr(os, "statvfs", statvfs)
    return disk


def test_a_tenth_of_min_free_is_the_reserve(disk, tmp_path):
    space = Space(tmp_path / "journal.sqlite", 200_000_000)
    states = []
    for disk.free in (200_000_001, 199_999_999, 20_000_001, 19_999_999):
        states.append((space.look(0.0, 1).low, space.full))
    assert states == [(False, False), (True, False), (True, False), (True, True)]
    assert not space.roomy(0)
    disk.free = 40_000_000
    assert space.roomy(0)
    assert not space.roomy(1)  # what waits in memory needs room first
    disk.free = -1  # a disk that cannot be asked: the next write will say why
    assert not space.full
    assert not space.roomy(0)


def test_how_long_the_room_lasts_is_told_from_the_growth_of_the_last_hour(disk, tmp_path):
    space = Space(tmp_path / "journal.sqlite", 200_000_000)
    disk.free = 110_000_000
    assert space.look(0.0, 1_000_000).seconds_left is None
    assert space.look(59.0, 1_500_000).seconds_left is None
    status = space.look(100.0, 2_000_000)
    assert status.seconds_left == pytest.approx(90_000_000 / 10_000)
    assert room_words(status) == "110 MB free, about 2 h left at the present rate"
    assert space.look(200.0, 1_000_000).seconds_left is None  # it does not grow
    space.look(4000.0, 5_000_000)
    assert space.look(7500.0, 5_350_000).seconds_left == pytest.approx(90_000_000 / 100)


def test_the_words_say_how_much_to_free_or_why_free_room_is_not_taken(disk, tmp_path):
    disk.free = 3_000_000
    message, hint = full_words(tmp_path, 10_000_000)
    assert "3 MB are free" in message
    assert "Free at least 7 MB there (7,000,000 bytes)" in hint
    disk.free = 10**9
    assert "quota" in full_words(tmp_path, 10_000_000)[1]
    disk.inodes = 0
    assert "inodes" in full_words(tmp_path, 10_000_000)[1]
    disk.free = -1
    assert "Input/output error" in full_words(tmp_path, 10_000_000)[1]


def test_warned_once_then_whenever_half_of_it_is_gone_and_when_there_is_room_again(disk, tmp_path):
    clock = HeldClock()
    events = EventLog(clock)
    with Journal(tmp_path) as journal:
        space, retention = Space(journal.path, 200_000_000), Retention(journal, Keep())
        upkeep = Upkeep(journal, space, events, clock, retention, on_error=pytest.fail)
        for disk.free in (300_000_000, 150_000_000, 140_000_000, 75_000_000, 74_000_000, 900_000_000):
            upkeep._look()
    said = [event.text for event in events.recent()]
    assert [text.split(": ")[1].split(" free")[0] for text in said] == ["150 MB", "75 MB", "900 MB"]
    assert "room again" in said[-1]


class Desk:
    """A standstill with what it did."""

    def __init__(self, when_full, space):
        clock = HeldClock()
        self.queue = LineQueue()
        self.events = EventLog(clock)
        self.connection = Connection("x", self.queue, self.events, clock)
        self.connection.report(SourceState.LIVE)
        self.closed = self.opened = 0
        self.may_open = True
        self.ended = []
        self.standstill = Standstill(
            when_full,
            space,
            self.connection,
            self.events,
            close_stream=self.close,
            open_stream=self.open,
            end=self.ended.append,
        )

    def close(self):
        self.closed += 1
        self.connection.expecting_end = True

    def open(self):
        self.opened += self.may_open
        return self.may_open

    def marks(self):
        return [mark.reason for mark in self.queue.take(10, 0, 0)]


def test_paused_at_the_reserve_until_there_is_twice_as_much(disk, tmp_path):
    desk = Desk("pause", Space(tmp_path / "journal.sqlite", 200_000_000))
    standstill = desk.standstill
    standstill.look(lambda: 0)
    assert (desk.closed, standstill.words) == (0, "")
    disk.free = 19_000_000
    standstill.look(lambda: 0)
    assert desk.closed == 1
    assert desk.connection.health().state is SourceState.BLOCKED
    disk.free = 39_000_000
    standstill.look(lambda: 0)
    assert (desk.closed, desk.opened) == (2, 0)  # a source that was only just started forgets an earlier stop
    disk.free = 50_000_000
    desk.may_open = False
    standstill.look(lambda: 0)
    assert standstill.gap_reason == "disk full"
    desk.may_open = True
    standstill.look(lambda: 0)
    assert (desk.opened, standstill.gap_reason, standstill.words) == (1, "", "")
    assert desk.marks() == ["", "disk full"]
    assert desk.ended == []


def test_a_commit_that_finds_the_disk_full_closes_the_stream_and_is_told_once(disk, tmp_path):
    desk = Desk("pause", Space(tmp_path / "journal.sqlite", 0))
    disk.free = 0
    for _ in range(3):
        desk.standstill.met(JournalFull("full"), lambda: 2_000_000)
    assert desk.closed == 3
    errors = [event.text for event in desk.events.recent() if "full" in event.text]
    assert len(errors) == 1
    assert "(5,000,000 bytes)" in errors[0]  # a megabyte, and twice what waits


def test_stopped_at_once_by_default(disk, tmp_path):
    desk = Desk("stop", Space(tmp_path / "journal.sqlite", 200_000_000))
    disk.free = 1
    for _ in range(2):
        desk.standstill.look(lambda: 0)
    assert [type(error) for error in desk.ended] == [JournalFull]
    disk.free = 10**9
    desk.standstill.look(lambda: 0)
    assert desk.opened == 0


def test_an_error_of_the_disk_is_a_gap_of_its_own_kind(disk, tmp_path):
    desk = Desk("pause", Space(tmp_path / "journal.sqlite", 0))
    desk.standstill.met(JournalBlocked("an error"), lambda: 0)
    assert desk.marks() == ["", "the journal could not be written"]


def test_a_lock_closes_nothing(disk, tmp_path):
    desk = Desk("stop", Space(tmp_path / "journal.sqlite", 200_000_000))
    desk.standstill.met(JournalBusy("locked"), lambda: 0)
    assert desk.standstill.words == "locked"
    desk.standstill.look(lambda: 0)
    assert (desk.closed, desk.ended, desk.standstill.words) == (0, [], "")
