"""The writer, step by step: nothing is counted or shown before it is durable, and everything is counted once."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from core import windows
from core.connection import Connection, Line
from core.counters import Counters
from core.draft import QUARANTINE_REASON_LENGTH
from core.errors import JournalError, Undecodable
from core.events import EventLog
from core.feed import Feed
from core.health import SourceState
from core.ingest import Ingest
from core.journal import Journal, PageMark, Tombstones
from core.ledger import Ledger
from core.lines import LineQueue
from core.opinion import SHOWN, opinion_of, text_hash, think
from core.post import Post
from core.privacy import Privacy
from core.query import parse_topic
from core.rates import RateHistory
from core.second import Second
from core.settings import JournalSettings, MatchSettings, Settings
from core.snapshot import Verdict
from core.sources import people
from core.windows import Windows
from tests.clock import HeldClock

NOW = 1_000_200.0


def decode(raw: bytes) -> Post:
    """`id text`, or what cannot be read."""
    id_, _, text = raw.decode().partition(" ")
    if not text:
        raise Undecodable(f"no text: {'x' * 300}")
    made = datetime.fromtimestamp(NOW - 3, UTC) if "dated" in text else None
    return Post(source="x", id=id_, text=text, quoted_text="music" if "quoting" in text else "", created_at=made)


class Desk:
    """A writer in the test's hand."""

    def __init__(self, folder, max_posts=None, wanted=lambda _: True, second=None, **settings):
        self.clock = HeldClock(NOW)
        self.journal = Journal(folder)
        self.queue: LineQueue = LineQueue()
        self.connection = Connection("x", self.queue, EventLog(self.clock), self.clock)
        self.ledger, self.feed = Ledger({}, None), Feed(100)
        self.rates, self.windows = RateHistory(NOW - 60), Windows(NOW - 60)
        self.session = self.journal.begin_session(NOW, "x", "music")
        self.ingest = Ingest(
            self.journal, self.session, self.connection, self.queue,
            Privacy("x", decode, people("x"), Tombstones(b"", frozenset())), parse_topic("music"),
            self.ledger, self.feed, self.rates, self.windows,
            Settings(**{"journal": JournalSettings(batch_age=0.001), **settings}), "x", max_posts=max_posts, wanted=wanted,
            second=second,
        )  # fmt: skip

    def hear(self, *lines: str, at: float = NOW, backfilled: bool = False) -> Desk:
        for line in lines:
            self.connection.deliver([line.encode()], at, backfilled=backfilled)
        return self

    def step(self) -> int:
        return self.ingest.step()

    @property
    def run(self) -> Counters:
        return self.ledger.totals.run

    def shown(self):
        return [(row.post.id, row.verdict) for row in self.feed.since(0)[0]]

    def table(self, name: str, columns: str):
        with sqlite3.connect(self.journal.path) as db:
            return db.execute(f"SELECT {columns} FROM {name}").fetchall()


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_a_batch_is_judged_counted_and_shown_in_its_order(desk):
    desk.hear("1 music", "2 jazz", "3", "1 music", "4 love music")
    assert desk.step() == 5
    assert desk.run == Counters(5, 4, 1, 3, 1, unique=2, duplicate=1)
    assert desk.shown() == [
        ("1", Verdict.MATCHED), ("2", Verdict.FILTERED), ("1", Verdict.DUPLICATE), ("4", Verdict.MATCHED)
    ]  # fmt: skip
    rows, last = desk.feed.since(0)
    assert [row.seq for row in rows] == [1, 2, 3, 4]
    assert last == 4
    assert [row.matched for row in rows] == [("music",), (), ("music",), ("music",)]
    assert {row.received_at for row in rows} == {NOW}
    assert desk.ingest.committed_seq == desk.journal.last_seq() > 0
    desk.hear("5 music").step()
    assert [row.seq for row in desk.feed.since(4)[0]] == [5]
    assert desk.ingest.batches == 2


def test_what_is_counted_is_shown_already(desk, monkeypatch):
    shown = []
    count = desk.ledger.committed
    monkeypatch.setattr(desk.ledger, "committed", lambda *args: (shown.append(desk.shown()), count(*args)))
    desk.hear("1 music", "2 jazz").step()
    assert shown == [[("1", Verdict.MATCHED), ("2", Verdict.FILTERED)]]


def test_rows_of_the_journal_hold_the_line_as_it_came(desk):
    desk.hear("7 music é", at=NOW + 1.5).step()
    desk.hear("8 old music", at=NOW + 2, backfilled=True).step()
    rows = desk.journal.reader().rows_after(0, 10)
    assert [(row.id, row.raw, row.received_at, row.matched, row.backfilled) for row in rows] == [
        ("7", "7 music é".encode(), NOW + 1.5, ("music",), False),
        ("8", b"8 old music", NOW + 2, ("music",), True),
    ]
    assert desk.table("posts", "id, text_hash") == [
        ("7", text_hash("music é")),
        ("8", text_hash("old music")),
    ]
    assert [row.backfilled for row in desk.feed.since(0)[0]] == [False, True]


def test_what_cannot_be_read_is_kept_with_a_short_reason(desk):
    desk.hear("broken", at=NOW + 4).step()
    [(received_at, reason, raw)] = desk.table("quarantine", "received_at, reason, raw")
    assert (received_at, raw) == (NOW + 4, b"broken")
    assert reason == ("no text: " + "x" * 300)[:QUARANTINE_REASON_LENGTH]
    assert desk.run == Counters(1, 0, 1)
    assert desk.shown() == []


def test_other_posts_are_kept_only_when_asked(tmp_path):
    for scope, kept in (("matched", []), ("all", [("2", b"2 jazz")])):
        desk = Desk(tmp_path / scope, journal=JournalSettings(scope=scope, batch_age=0.001))
        desk.hear("1 music", "2 jazz").step()
        assert desk.table("filtered", "id, raw") == kept


def test_quoted_text_counts_by_setting(tmp_path):
    for quoted, matched in ((False, 0), (True, 1)):
        desk = Desk(tmp_path / str(quoted), match=MatchSettings(quoted=quoted))
        desk.hear("1 quoting").step()
        assert desk.run.matched == matched


def test_a_line_that_the_capture_does_not_want_is_filtered_out(tmp_path):
    desk = Desk(tmp_path, wanted=lambda raw: raw != b"2 music")
    desk.hear("1 music", "2 music").step()
    assert desk.shown() == [("1", Verdict.MATCHED), ("2", Verdict.FILTERED)]
    assert desk.run == Counters(2, 2, 0, 1, 1, unique=1)


def no_room(*_):
    raise JournalError("no room")


def test_nothing_is_counted_or_shown_of_a_batch_that_was_not_written_and_it_is_tried_again(desk, monkeypatch):
    desk.hear("1 music", "2 jazz", "3")
    with monkeypatch.context() as patch:
        patch.setattr(desk.journal, "commit", no_room)
        for _ in range(2):
            with pytest.raises(JournalError):
                desk.step()
    assert desk.run == Counters()
    assert desk.shown() == []
    assert desk.ingest.waiting() == len("1 music") + len("3")
    assert desk.ingest.batches == 0
    desk.hear("4 music")
    assert desk.ingest.waiting() == len("1 music") + len("3") + len("4 music")
    assert desk.step() == 3
    assert desk.run == Counters(3, 2, 1, 1, 1, unique=1)
    assert desk.step() == 1
    assert desk.run.unique == 2
    assert desk.ingest.waiting() == 0


def test_what_was_begun_behind_a_batch_that_is_not_written_waits_with_it(tmp_path, monkeypatch):
    desk = Desk(tmp_path, journal=JournalSettings(batch_age=0.001, batch_size=2))
    monkeypatch.setattr(desk.journal, "commit", no_room)
    desk.hear("1 music", "2 music", "3 music", "4 music", "5 music")
    with pytest.raises(JournalError):
        desk.step()
    assert desk.ingest.waiting() == 5 * len("1 music")  # two of the batch, two behind it, one in the queue


def test_with_scope_all_what_is_filtered_waits_too(tmp_path, monkeypatch):
    desk = Desk(tmp_path, journal=JournalSettings(scope="all", batch_age=0.001))
    monkeypatch.setattr(desk.journal, "commit", no_room)
    desk.hear("2 jazz")
    with pytest.raises(JournalError):
        desk.step()
    assert desk.ingest.waiting() == len("2 jazz")


def test_the_run_takes_as_many_posts_as_it_was_asked_for_duplicates_and_others_included(tmp_path):
    desk = Desk(tmp_path, max_posts=3)
    assert not desk.ingest.full
    desk.hear("1 music", "broken", "1 music")
    desk.step()
    assert not desk.ingest.full
    desk.hear("2 jazz", "3 music", "4")
    assert desk.step() == 3
    assert desk.ingest.full
    assert desk.run == Counters(4, 3, 1, 2, 1, unique=1, duplicate=1)


def test_a_topic_that_is_exchanged_judges_the_next_batch(desk):
    desk.hear("1 jazz").step()
    desk.ingest.topic = parse_topic("jazz")
    desk.hear("2 jazz").step()
    assert desk.shown() == [("1", Verdict.FILTERED), ("2", Verdict.MATCHED)]


def test_a_post_too_long_to_show_is_shown_cut_and_kept_whole(desk):
    desk.hear("1 music " + "a" * (2 * SHOWN)).step()
    [row] = desk.feed.since(0)[0]
    assert len(row.post.text) == SHOWN
    assert len(desk.journal.reader().rows_after(0, 1)[0].raw) > 2 * SHOWN


def test_the_lag_is_that_of_the_newest_post_with_a_time_and_not_of_a_fill(desk):
    desk.hear("1 music dated", at=NOW + 2).step()
    assert desk.connection.lag == pytest.approx(5.0)
    desk.hear("2 music dated", at=NOW + 90, backfilled=True).step()
    assert desk.connection.lag == pytest.approx(5.0)
    desk.hear("3 music", at=NOW + 99).step()
    assert desk.connection.lag == pytest.approx(5.0)


def test_rates_are_those_of_the_stream(desk):
    desk.hear("1 music", "2 jazz").step()
    desk.hear("3 music", at=NOW + 1).hear("4 music", at=NOW + 1, backfilled=True).step()
    rates = desk.rates.rates(NOW + 1)
    assert sum(rates.seconds.consumed) == 3
    assert sum(rates.seconds.matched) == 2
    assert rates.seconds.consumed[-2:] == (2, 1)
    assert rates.seconds.matched[-2:] == (1, 1)
    desk.hear("5 jazz", "6 jazz", at=NOW + 2).step()
    assert desk.rates.rates(NOW + 2).seconds.matched[-1] == 0
    desk.hear("7 jazz", at=NOW + 3).hear("8 music", "9 jazz", at=NOW + 4).step()  # two seconds in one batch
    minute = int(NOW // 60) * 60
    assert desk.table("minutes", "at, consumed, matched") == [(minute, 8, 3)]


def test_a_gap_is_told_once_and_bounds_are_durable(desk):
    desk.connection.report(SourceState.LIVE)
    desk.step()
    assert desk.ingest.marked
    desk.hear("8 music").step()  # the first one behind the gap bounds it
    desk.ingest.marked = False
    desk.hear("10 music").step()
    assert not desk.ingest.marked
    assert desk.journal.last_id(desk.session) == "10"
    desk.hear("9 music").step()
    assert desk.journal.last_id(desk.session) == "10"
    desk.connection.report(SourceState.WAITING, "X 503")
    desk.step()
    assert desk.ingest.marked
    [gap] = desk.journal.gaps()
    assert (gap.reason, gap.end) == ("X 503", None)


def test_the_first_post_of_the_stream_behind_a_gap_bounds_it(desk):
    assert not desk.ingest.marked
    desk.connection.report(SourceState.LIVE)
    desk.hear("8 music").connection.report(SourceState.WAITING, "X 503")
    desk.clock.time = NOW + 20
    desk.connection.report(SourceState.LIVE)
    desk.hear("9 old", at=NOW + 20, backfilled=True).hear("10 jazz", at=NOW + 20.5).step()
    [gap] = desk.journal.gaps()
    assert (gap.start, gap.end, gap.last_id, gap.first_id) == (NOW, NOW + 20, "8", "10")


def test_other_keywords_are_noted_with_the_newest_post_of_the_old_ones_also_behind_the_last_post(tmp_path):
    desk = Desk(tmp_path, max_posts=1)
    desk.connection.report(SourceState.LIVE)
    desk.hear("8 music").connection.report(SourceState.WAITING, "X 503")
    desk.hear("9 music")
    desk.connection.keywords_changed("swift")
    desk.step()
    assert desk.table("sessions", "keywords") == [("swift",)]
    assert desk.journal.gaps() == []  # what was not taken is in the gap before the next run

    desk = Desk(tmp_path / "more")
    desk.connection.report(SourceState.LIVE)
    desk.hear("8 music").connection.report(SourceState.WAITING, "X 503")
    desk.connection.keywords_changed("swift")
    desk.step()
    assert [(gap.keywords, gap.last_id, gap.reason) for gap in desk.journal.gaps()] == [
        ("music", "8", "X 503"), ("swift", "", "X 503")
    ]  # fmt: skip
    desk.hear("9 swift").step()
    assert desk.journal.last_id(desk.session) == "9"


def test_a_deletion_that_the_source_announces_is_noted_with_the_batch(desk):
    desk.hear("8 music").connection.deleted(post="8")
    desk.step()
    assert desk.table("forget", "kind, id, thorough") == [("post", "8", 0)]


def test_a_line_that_had_to_wait_says_up_to_when_all_is_there(desk):
    desk.queue.put(Line(b"1 music", NOW + 30, backfilled=False, until=NOW + 10))
    desk.step()
    assert desk.table("sessions", "last_byte_at") == [(NOW + 10,)]


def test_a_page_of_a_fill_is_told_when_it_is_durable_and_only_then(desk):
    told = []
    page = PageMark(1, 1, "5", "9", NOW)
    desk.queue.put(page)
    desk.step()  # nobody listens yet
    desk.ingest.on_page = lambda: told.append(desk.table("fetched", "posts"))
    desk.hear("8 music").step()
    assert told == []
    desk.queue.put(page)
    desk.step()
    assert told == [[(2,)]]


def test_a_post_that_was_fetched_afterwards_counts_in_its_own_window(desk):
    """A window is of the time when a post was received; for a post of a fill that says nothing."""
    desk.hear("1 music dated #a", at=NOW + 4000, backfilled=True).step()
    desk.hear("2 music dated #b", at=NOW + 4000).hear("3 music #c", at=NOW + 4000, backfilled=True).step()
    desk.windows.refresh(NOW + 4000)
    assert desk.windows.view.posts == 2


def test_an_idle_step_notes_the_last_byte_once(desk):
    writes = []
    commit = desk.journal.commit
    desk.journal.commit = lambda batch, session: writes.append(batch.last_byte_at) or commit(batch, session)
    desk.connection.touch(NOW + 7)
    for _ in range(3):
        assert desk.step() == 0
    assert writes == [NOW + 7]
    desk.connection.touch(NOW + 8)
    desk.step()
    assert writes == [NOW + 7, NOW + 8]
    assert desk.ingest.batches == 4


def test_the_hash_tells_texts_apart_and_is_the_same_everywhere():
    assert text_hash("music") == -6_601_319_749_341_515_842
    assert text_hash("a") == 4_681_665_781_835_383_343
    assert text_hash("\ud800") == 4_758_185_216_457_903_464


@pytest.mark.parametrize(("took", "waits"), [(0.001, 0.02), (0.01, 0.04), (5.0, 0.1)])
def test_a_batch_waits_for_lines_in_proportion_to_the_last_commit_within_bounds(
    tmp_path, monkeypatch, took, waits
):
    desk = Desk(tmp_path, journal=JournalSettings(batch_age=0.1))
    moment, asked = [100.0], []
    commit, take = desk.journal.commit, desk.queue.take

    def slowly(*given):
        moment[0] += took
        return commit(*given)

    def noted(most, wait, linger):
        asked.append(linger)
        return take(most, wait, 0.0)

    monkeypatch.setattr("core.ingest.time", SimpleNamespace(monotonic=lambda: moment[0]))
    monkeypatch.setattr(desk.journal, "commit", slowly)
    monkeypatch.setattr(desk.queue, "take", noted)
    desk.hear("1 music").step()
    desk.hear("2 music").step()
    assert asked == [pytest.approx(0.1), pytest.approx(waits)]


class Asked(Second):
    """A second process that has no opinion; it notes when it was asked."""

    def __init__(self, desk: list[Desk]) -> None:
        self.desk, self.noted = desk, []

    def share(self, topic, items, waiting):
        self.waiting = waiting
        return items

    def ask(self, topic, lines):
        self.noted.append(
            ([line.decode().partition(" ")[0] for line in lines], self.waiting, len(self.desk[0].shown()))
        )

    def answer(self):
        return None


class Counting(Second):
    """A second process that thinks of every line, in the desk's own form."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def share(self, topic, items, waiting):
        return items

    def ask(self, topic, lines):
        self.lines = list(lines)

    def answer(self):
        return think(self._judge, self.lines)

    @staticmethod
    def _judge(lines):
        posts = map(decode, lines)
        return [opinion_of(post, post, ("music",) if "music" in post.text else None) for post in posts]


@pytest.mark.parametrize("room", [100, 2])  # names that a pane takes
def test_the_window_counts_what_another_has_counted_and_no_post_twice(tmp_path, monkeypatch, room):
    monkeypatch.setattr(windows, "PANE_NAMES", room)
    views = []
    for second in (Counting(), None):
        desk = Desk(tmp_path / str(len(views)), second=second)
        desk.hear("1 music aa bb", "2 jazz", "1 music aa bb", "3 music aa").step()
        desk.hear("3 music aa", "4 music cc", "1 music zz").step()
        desk.hear("5 music dd").step()
        assert [verdict for _, verdict in desk.shown()].count(Verdict.DUPLICATE) == 3
        desk.windows.refresh(NOW)
        views.append(desk.windows.view)
    assert views[0] == views[1]
    assert views[0].posts == 4
    if room == 100:
        assert dict(views[0].tops[-1].names) == {"music": 4, "aa": 2, "bb": 1, "cc": 1, "dd": 1}


def test_what_was_counted_together_and_is_not_of_one_window_is_counted_one_by_one(tmp_path):
    desk = Desk(tmp_path, second=Counting())
    desk.hear("1 music aa").hear("2 music aa", at=NOW + 400).hear("3 music dated", at=NOW + 4000, backfilled=True)
    assert desk.step() == 3
    desk.windows.refresh(NOW + 400)
    assert desk.windows.view.posts == 3
    assert dict(desk.windows.view.tops[-1].names) == {"music": 3, "aa": 2, "dated": 1}


def test_a_full_batch_that_waits_begins_before_the_one_in_hand_is_done(tmp_path):
    known: list[Desk] = []
    second = Asked(known)
    desk = Desk(tmp_path, second=second, journal=JournalSettings(batch_age=0.001, batch_size=2))
    known.append(desk)
    desk.hear("1 music", "2 jazz", "3 music", "4 music", "5 music")
    assert desk.step() == 2
    assert second.noted == [(["1", "2"], 3, 0), (["3", "4"], 1, 0)]  # asked, and nothing was shown yet
    assert desk.ingest.waiting() == len(b"3 music") * 3  # two in hand, one in the queue
    assert desk.step() == 2
    assert second.noted[2:] == []  # what is behind fills no batch
    assert desk.ingest.waiting() == len(b"5 music")
    assert desk.step() == 1
    assert [id_ for id_, _ in desk.shown()] == list("12345")
    assert desk.run == Counters(5, 5, 0, 4, 1, unique=4)


def test_no_more_full_batches_begin_than_it_answers_in_turn(tmp_path):
    known: list[Desk] = []
    second = Asked(known)
    desk = Desk(tmp_path, second=second, journal=JournalSettings(batch_age=0.001, batch_size=2))
    known.append(desk)
    desk.hear(*(f"{number} music" for number in range(1, 10)))
    assert desk.step() == 2
    assert [lines for lines, _, _ in second.noted] == [["1", "2"], ["3", "4"], ["5", "6"]]
    assert desk.ingest.waiting() == len(b"3 music") * 7
    assert desk.step() == 2
    assert [lines for lines, _, _ in second.noted[3:]] == [["7", "8"]]
    assert [desk.step(), desk.step(), desk.step()] == [2, 2, 1]
    assert [id_ for id_, _ in desk.shown()] == list("123456789")


def test_what_is_in_hand_behind_a_batch_is_not_durable_with_it(tmp_path):
    """Killed between the two, the gap begins before the lines of the second."""
    desk = Desk(tmp_path, journal=JournalSettings(batch_age=0.001, batch_size=2))
    desk.hear("1 music", "2 jazz", at=NOW + 1)
    desk.connection.touch(NOW + 1)
    desk.hear("3 music", "4 music", at=NOW + 2)
    desk.connection.touch(NOW + 2)
    desk.step()
    assert desk.table("sessions", "last_byte_at")[-1] == (NOW + 1,)
    desk.step()
    assert desk.table("sessions", "last_byte_at")[-1] == (NOW + 2,)


def test_what_is_in_hand_behind_the_last_post_that_was_asked_for_is_left_out(tmp_path):
    desk = Desk(tmp_path, max_posts=3, journal=JournalSettings(batch_age=0.001, batch_size=2))
    desk.hear("1 music", "2 jazz", "3 music", "4 music")
    assert [desk.step(), desk.step()] == [2, 2]
    assert desk.ingest.full
    assert [id_ for id_, _ in desk.shown()] == list("123")


def test_half_of_what_the_queue_holds_is_a_full_batch_too(tmp_path):
    known: list[Desk] = []
    second = Asked(known)
    desk = Desk(tmp_path, second=second, journal=JournalSettings(batch_age=0.001, batch_size=1000))
    known.append(desk)
    desk.queue.limit = 6
    desk.hear("1 music")
    take = desk.queue.take
    desk.queue.take = lambda most, wait, linger: take(
        1 if wait else most, wait, linger
    )  # the first one comes alone
    desk.hear("2 music", "3 music").step()
    assert second.noted == [(["1"], 2, 0)]
    desk.hear("4 music", "5 music").step()
    assert second.noted[1:] == [(["2"], 3, 1), (["3", "4", "5"], 0, 1)]
