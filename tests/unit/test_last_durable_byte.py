"""The gap of a crash begins at the last byte whose posts are durable: not earlier, and never later."""

from __future__ import annotations

from core.connection import Connection
from core.events import EventLog
from core.feed import Feed
from core.health import SourceState
from core.ingest import Ingest
from core.journal import Journal, Tombstones
from core.ledger import Ledger
from core.lines import LineQueue
from core.post import Post
from core.privacy import Privacy
from core.query import parse_topic
from core.rates import RateHistory
from core.settings import JournalSettings, Settings
from core.sources import people
from core.windows import Windows
from tests.clock import HeldClock


def decode(raw: bytes) -> Post:
    return Post(source="x", id=raw.decode(), text="music")


class Desk:
    """A writer that takes a step when it is told to, over a journal that is killed by being opened again."""

    def __init__(self, folder, max_posts: int | None = None, batch_size: int = 500):
        self.folder = folder
        self.clock = HeldClock(1000.0)
        self.journal = Journal(folder)
        queue: LineQueue = LineQueue()
        events = EventLog(self.clock)
        self.connection = Connection("x", queue, events, self.clock)
        settings = Settings(journal=JournalSettings(batch_age=0.001, batch_size=batch_size))
        self.ingest = Ingest(
            self.journal,
            self.journal.begin_session(self.clock.now(), "x"),
            self.connection,
            queue,
            Privacy("x", decode, people("x"), Tombstones(b"", frozenset())),
            parse_topic("music"),
            Ledger({}, None),
            Feed(100),
            RateHistory(0.0),
            Windows(0.0),
            settings,
            "x",
            max_posts=max_posts,
        )

    def at(self, moment: float) -> Desk:
        self.clock.time = moment
        return self

    def hear(self, *ids: str, backfilled: bool = False) -> Desk:
        """Posts that were read together, with all that had come by then."""
        for id_ in ids:
            self.connection.deliver([id_.encode()], self.clock.now(), backfilled=backfilled)
        if not backfilled:
            self.connection.touch(self.clock.now())
        return self

    def connected(self, moment: float) -> Desk:
        for state in (SourceState.CONNECTING, SourceState.LIVE):
            self.at(moment).connection.report(state)
        return self

    def killed(self):
        """The gaps that the next run finds."""
        self.journal.close()
        with Journal(self.folder) as journal:
            journal.begin_session(self.clock.now() + 100, "x")
            return [(gap.start, gap.end, gap.reason) for gap in journal.gaps()]


CRASHED = "crashed or was killed"


def test_killed_before_anything_was_durable_all_of_the_first_run_is_a_gap(tmp_path):
    desk = Desk(tmp_path)
    desk.connected(1001.0)
    desk.hear("1")
    assert desk.killed() == [(1000.0, None, CRASHED)]


def test_killed_right_after_the_connection_was_noted_a_gap_begins_there(tmp_path):
    """What X sends between the note and the first durable post is in it."""
    desk = Desk(tmp_path)
    desk.connected(1001.0)
    desk.ingest.step()
    desk.at(1002.0).hear("1")
    assert desk.killed() == [(1001.0, None, CRASHED)]


def test_killed_after_a_reconnect_was_noted_the_old_gap_has_ended_and_a_new_one_begins(tmp_path):
    desk = Desk(tmp_path)
    desk.connected(1001.0)
    desk.at(1002.0).hear("1")
    desk.connection.report(SourceState.WAITING, "X 503")
    desk.at(1010.0).connection.report(SourceState.LIVE)
    desk.ingest.step()
    desk.at(1011.0).hear("2")
    assert desk.killed() == [(1002.0, 1010.0, "X 503"), (1010.0, None, CRASHED)]


def test_posts_behind_the_last_one_that_was_asked_for_are_in_the_gap(tmp_path):
    desk = Desk(tmp_path, max_posts=2)
    desk.connected(1001.0)
    desk.at(1002.0).hear("1", "2").at(1003.0).hear("3")
    desk.ingest.step()
    assert desk.ingest.full
    desk.ingest.step()
    assert desk.killed() == [(1002.0, None, CRASHED)]


def test_a_reconnect_behind_the_last_one_that_was_asked_for_is_in_the_gap_too(tmp_path):
    desk = Desk(tmp_path, max_posts=2)
    desk.connected(1001.0)
    desk.at(1002.0).hear("1", "2").at(1003.0).hear("3")
    desk.connection.report(SourceState.WAITING, "X 503")
    desk.at(1004.0).connection.report(SourceState.LIVE)
    desk.ingest.step()
    assert desk.ingest.full
    assert desk.killed() == [(1002.0, None, CRASHED)]


def test_posts_that_were_fetched_afterwards_say_nothing_of_the_stream(tmp_path):
    desk = Desk(tmp_path)
    desk.connected(1001.0)
    desk.at(1002.0).hear("2").at(1005.0).hear("1", backfilled=True)
    desk.ingest.step()
    assert desk.killed() == [(1002.0, None, CRASHED)]


def test_a_keep_alive_moves_it_once_all_that_came_before_is_durable(tmp_path):
    desk = Desk(tmp_path)
    desk.connected(1001.0)
    desk.at(1002.0).hear("1")
    desk.at(1003.0).connection.touch(1003.0)
    desk.ingest.step()
    assert desk.ingest.step() == 0
    assert desk.killed() == [(1003.0, None, CRASHED)]


def test_a_connection_that_ends_behind_the_last_post_that_was_asked_for_moves_nothing(tmp_path):
    """What came between that post and the end of the connection was not taken: it is in the gap too."""
    desk = Desk(tmp_path, max_posts=2)
    desk.connected(1001.0)
    desk.at(1002.0).hear("1", "2").at(1003.0).hear("3")
    desk.connection.report(SourceState.WAITING, "the connection was cut")
    desk.ingest.step()
    desk.ingest.step()
    assert desk.killed() == [(1002.0, None, CRASHED)]


def test_posts_that_were_read_together_are_durable_together_or_in_the_gap(tmp_path):
    """Killed between two batches: a post of the second one was sent before the last one of the first was read."""
    desk = Desk(tmp_path, batch_size=2).connected(1001.0)
    desk.at(1002.0).hear("1")
    desk.at(1003.0).hear("2", "3", "4")
    assert [desk.ingest.step() for _ in range(2)] == [2, 2]  # the mark and 1; 2 and 3
    assert desk.killed() == [(1002.0, None, CRASHED)]


def test_when_nothing_waits_the_last_moment_is_durable_with_the_last_post(tmp_path):
    desk = Desk(tmp_path).connected(1001.0)
    desk.at(1002.0).hear("1", "2")
    desk.ingest.step()
    assert desk.killed() == [(1002.0, None, CRASHED)]


def test_what_is_behind_the_last_post_that_was_asked_for_moves_nothing_later_either(tmp_path):
    desk = Desk(tmp_path, max_posts=1).connected(1001.0)
    desk.at(1002.0).hear("1").ingest.step()
    desk.at(1003.0).connection.touch(1003.0)  # a keep-alive: nothing was left out by then
    desk.ingest.step()
    desk.at(1004.0).hear("2").ingest.step()
    desk.at(1005.0).hear("3").ingest.step()
    desk.ingest.step()
    assert desk.killed() == [(1003.0, None, CRASHED)]


def test_a_gap_begins_where_the_one_before_it_ends_and_no_earlier(tmp_path):
    """The second run's connection was asked for within the gap that it ended; it brought nothing."""
    desk = Desk(tmp_path).connected(1001.0)
    desk.ingest.step()
    desk.journal.close()
    desk = Desk(tmp_path)
    desk.at(1010.0).connection.report(SourceState.CONNECTING)
    desk.at(1012.0).connection.report(SourceState.LIVE)
    desk.ingest.step()
    assert desk.killed() == [(1001.0, 1012.0, CRASHED), (1012.0, None, CRASHED)]


def test_a_fetched_post_behind_the_last_one_that_was_asked_for_leaves_nothing_of_the_stream_out(tmp_path):
    desk = Desk(tmp_path, max_posts=1).connected(1001.0)
    desk.at(1002.0).hear("1").at(1003.0).hear("2", backfilled=True)
    desk.ingest.step()
    desk.at(1004.0).connection.touch(1004.0)  # a keep-alive
    desk.ingest.step()
    assert desk.killed() == [(1004.0, None, CRASHED)]


def test_a_connection_that_ends_right_behind_the_last_post_that_was_asked_for_is_in_the_gap(tmp_path):
    """All that had come by then was taken: the gap begins there."""
    desk = Desk(tmp_path, max_posts=2)
    desk.connected(1001.0)
    desk.at(1002.0).hear("1", "2")
    desk.at(1003.0).connection.touch(1003.0)
    desk.connection.report(SourceState.WAITING, "the connection was cut")
    desk.ingest.step()
    desk.ingest.step()
    assert desk.killed() == [(1003.0, None, CRASHED)]


def test_a_connection_that_comes_back_behind_the_last_post_that_was_asked_for_moves_nothing(tmp_path):
    desk = Desk(tmp_path, max_posts=1).connected(1001.0)
    desk.at(1002.0).hear("1")
    desk.ingest.step()
    desk.at(1003.0).connection.report(SourceState.WAITING, "the connection was cut")
    desk.connected(1004.0)
    desk.ingest.step()
    assert desk.killed() == [(1002.0, None, CRASHED)]
