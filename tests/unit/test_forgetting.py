"""Forgetting reaches all that somebody has said, survives a kill at any of its steps, and keeps the numbers true."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from core import sources
from core.clock import SystemClock
from core.counters import Counters
from core.delivery import Delivery
from core.eraser import Eraser
from core.errors import JournalError, StoreRefused, Unavailable
from core.events import EventLog
from core.feed import Feed
from core.forget import erase_from_journal, erase_from_sink
from core.journal import Batch, Deletion, Entry, Forgetting, Journal, Rejected, Settled, Visit
from core.journal.recover import recover
from core.journal.schema import VERSION
from core.ledger import Ledger
from core.opinion import text_hash
from core.privacy import Privacy
from core.sinks.base import Outcome
from core.snapshot import FeedRow, Verdict
from tests.conftest import wait_until

ANNA, BERT, CARL = "20000001", "20000002", "20000003"
USERS = {ANNA: "anna_sings", BERT: "bert_drums", CARL: "carl_reads"}


def line(
    id: str, author: str, text: str = "music", *, of: tuple[str, str, str] | None = None, **more: Any
) -> bytes:
    """A post; `of` is (kind, id, author) of the post that it retweets, quotes or answers."""
    data: dict[str, Any] = {"id": id, "text": text, "author_id": author, "edit_history_tweet_ids": [id], **more}
    users, tweets = [{"id": author, "username": USERS[author], "name": USERS[author].title()}], []
    if of:
        data["referenced_tweets"] = [{"type": of[0], "id": of[1]}]
        tweets.append({"id": of[1], "text": f"words of {USERS[of[2]]}", "author_id": of[2]})
        users.append({"id": of[2], "username": USERS[of[2]], "name": USERS[of[2]].title()})
    return json.dumps({"data": data, "includes": {"users": users, "tweets": tweets}}).encode()


LINES = {
    "1": line("1", ANNA),
    "2": line("2", BERT),
    "3": line("3", BERT, of=("retweeted", "1", ANNA)),
    "4": line("4", CARL, "what @anna_sings says", of=("quoted", "1", ANNA)),
    "5": line("5", ANNA, of=("retweeted", "2", BERT)),
    "6": line("6", CARL, "@anna_sings no", in_reply_to_user_id=ANNA),
    "7": line("7", ANNA),
}


def fill(journal: Journal, session: int, ids: str) -> None:
    entries = [Entry(id, 1.0, int(id), ("music",), backfilled=False, raw=LINES[id]) for id in ids]
    journal.commit(Batch("x", len(ids), len(ids), entries), session)


class DictSink:
    """A store in memory that outlives the sink; it can be down, refuse, or take a write and not answer."""

    name = "dict"
    target = "memory"

    def __init__(self, stored: dict[str, dict[str, Any]]) -> None:
        self.stored = stored
        self.fault: Exception | None = None

    def open(self) -> None:
        self._fail()

    def prepare(self, rows):
        return rows

    def write(self, rows):
        self._fail()
        for row in rows:
            self.stored.setdefault(
                row.post.key, {"id": row.post.id, "author": row.post.author.id, "by": row.capture}
            )
        return [Outcome.STORED] * len(rows)

    def holds(self, source, authors, posts):
        self._fail()
        return [
            (doc["id"], doc["by"])
            for doc in self.stored.values()
            if doc["author"] in authors or doc["id"] in posts
        ]

    def forget(self, posts, lines):
        self._fail()
        for key in posts:
            self.stored.pop(key, None)

    def close(self) -> None: ...

    def _fail(self) -> None:
        if self.fault:
            raise self.fault


def settle(journal: Journal, store: DictSink, upto: int) -> None:
    """The sink has taken all rows up to a number."""
    reader = journal.reader()
    rows = [row for row in reader.rows_after(journal.sink_cursor("memory"), 100) if row.seq <= upto]
    reader.close()
    for row in rows:
        post = sources.decoder("x")(row.raw)
        store.stored[post.key] = {"id": post.id, "author": post.author.id, "by": journal.capture_id}
    if rows:
        journal.settle("memory", rows[-1].seq, {"x": Settled(len(rows), 0)})


def ids(journal: Journal) -> list[str]:
    reader = journal.reader()
    found = [row.id for row in reader.rows_after(0, 100)]
    reader.close()
    return found


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path) as journal:
        yield journal


@pytest.fixture
def filled(journal):
    fill(journal, journal.begin_session(0.0, "x"), "1234567")
    return journal


def in_files(folder: Path, *words: str) -> list[str]:
    found = b"".join(path.read_bytes() for path in folder.iterdir())
    return [word for word in words if word.encode() in found]


def test_an_author_goes_with_their_posts_and_retweets_of_them_and_out_of_the_lines_of_others(filled, tmp_path):
    forgetting = Forgetting(filled)
    forgetting.ask("x", [("author", ANNA)], 1.0)
    assert erase_from_journal(forgetting, sources.people)
    assert ids(filled) == ["2", "4", "6"]
    filled.trim()
    assert in_files(tmp_path, ANNA, "words of anna", "Anna_Sings") == []
    reader = filled.reader()
    left = {row.id: sources.decoder("x")(row.raw) for row in reader.rows_after(0, 10)}
    reader.close()
    assert left["4"].text == "what @anna_sings says"  # Carl's words stay as they are
    assert left["2"] == sources.decoder("x")(LINES["2"])
    assert forgetting.asked() == []
    assert forgetting.forgotten() == {"x": 4}


def test_a_post_goes_with_its_retweets_and_out_of_quotes(filled, tmp_path):
    forgetting = Forgetting(filled)
    forgetting.ask("x", [("post", "1")], 1.0)
    erase_from_journal(forgetting, sources.people)
    filled.trim()
    assert ids(filled) == ["2", "4", "5", "6", "7"]
    assert in_files(tmp_path, "words of anna") == []


def test_later_versions_filtered_posts_and_quarantined_lines_go_too(journal):
    session = journal.begin_session(0.0, "x")
    edited = line("9", ANNA, "better music", edit_history_tweet_ids=["1", "9"])
    journal.commit(
        Batch(
            "x",
            delivered=9,
            consumed=7,
            entries=[
                Entry("1", 1.0, 1, (), backfilled=False, raw=LINES["1"]),
                Entry("1", 1.0, 8, (), backfilled=False, raw=line("1", ANNA, "other text")),
                Entry("9", 1.0, 9, (), backfilled=False, raw=edited),
            ],
            filtered=[Rejected("2", 1.0, "", LINES["2"]), Rejected("7", 1.0, "", LINES["7"])],
            quarantined=[
                Rejected("", 1.0, "no id", b'{"data":{"author_id":"%s"}}' % ANNA.encode()),
                Rejected("", 1.0, "no id", b'{"data":{"author_id":"9%s9"}}' % ANNA.encode()),
            ],
        ),
        session,
    )
    forgetting = Forgetting(journal)
    forgetting.ask("x", [("author", ANNA)], 1.0)
    erase_from_journal(forgetting, sources.people)
    count = lambda table: journal._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: E731
    assert (count("posts"), count("versions"), count("filtered"), count("quarantine")) == (0, 0, 1, 1)


def test_an_announced_deletion_is_durable_with_its_batch_and_takes_that_post(filled):
    session = filled.begin_session(2.0, "x")
    filled.commit(Batch("x", deletions=[Deletion(2.0, post="1"), Deletion(2.0, post="404")], cursor="c"), session)
    forgetting = Forgetting(filled)
    assert [(subject.id, subject.thorough) for subject in forgetting.asked()] == [("1", False)]
    erase_from_journal(forgetting, sources.people)
    assert ids(filled) == ["2", "3", "4", "5", "6", "7"]
    assert forgetting.tombstones().has("post", "x", "1")
    assert not forgetting.tombstones().has("post", "x", "404")  # nothing is remembered of what was never here


def test_an_announced_author_goes_and_may_come_back(filled):
    session = filled.begin_session(2.0, "x")
    filled.commit(Batch("x", deletions=[Deletion(2.0, author=ANNA)]), session)
    forgetting = Forgetting(filled)
    erase_from_journal(forgetting, sources.people)
    assert ids(filled) == ["2", "4", "6"]
    assert not forgetting.tombstones()


def test_tombstones_cannot_be_read_but_asked(filled, tmp_path):
    forgetting = Forgetting(filled)
    forgetting.ask("x", [("author", "77777777"), ("post", "88888888")], 1.0)
    erase_from_journal(forgetting, sources.people)
    filled.trim()
    assert in_files(tmp_path, "77777777", "88888888") == []
    tombstones = forgetting.tombstones()
    assert tombstones.has("author", "x", "77777777")
    assert tombstones.has("post", "x", "88888888")
    assert not tombstones.has("author", "x", "88888888")
    assert not tombstones.has("author", "bluesky", "77777777")
    assert not tombstones.has("author", "x", "")


def test_the_forgotten_are_not_taken_again_and_others_without_them(filled):
    forgetting = Forgetting(filled)
    forgetting.ask("x", [("author", ANNA)], 1.0)
    privacy = Privacy("x", sources.decoder("x"), sources.people("x"), forgetting.tombstones())
    assert [id for id in LINES if privacy.take(LINES[id]).kept is None] == ["1", "3", "5", "7"]
    taken = privacy.take(LINES["4"])
    assert ANNA.encode() not in taken.raw
    assert privacy.take(LINES["2"]).raw is LINES["2"]
    assert privacy.unreadable(LINES["1"]) == b""
    # A retweet whose original X did not give: it names the author first.
    bare = line("8", BERT, "RT @anna_sings: m…", entities={"mentions": [{"username": "anna_sings", "id": ANNA}]},
                referenced_tweets=[{"type": "retweeted", "id": "1"}])  # fmt: skip
    assert privacy.take(bare).kept is None


class Killed(BaseException):
    pass


def test_a_kill_at_any_step_leaves_it_to_be_finished_and_nothing_is_counted_twice(tmp_path, monkeypatch):
    """Two rows are in the store, two were taken by it without an answer, three wait; then every step is cut off."""
    at = 0
    while True:
        folder = tmp_path / str(at)
        stored: dict[str, dict[str, Any]] = {}
        finished = _forget_with_a_kill_at(at, folder, stored, monkeypatch)
        with Journal(folder) as journal:
            forgetting, sink = Forgetting(journal), DictSink(stored)
            asked = bool(forgetting.tombstones())
            erase_from_journal(forgetting, sources.people)
            erase_from_sink(forgetting, sink, journal.capture_id)
            settle(journal, sink, 7)
            journal.trim()
            ledger = Ledger(journal.tallies(), journal.settled("memory"), forgetting.forgotten("memory"))
            life = ledger.totals.life
            assert life.imbalance() == ""
            assert life.pending == 0
            ours = [doc for doc in stored.values() if doc["by"] == journal.capture_id]
            assert life.unique - life.forgotten == len(ours), at
            assert {"id": "1", "author": ANNA, "by": "another"} not in stored.values() or not asked
            assert sorted(doc["id"] for doc in ours) == (
                ["2", "4", "6"] if asked else ["2", "3", "4", "5", "6", "7"]
            )
            if asked:
                assert in_files(folder, ANNA) == []
        if finished:
            break
        at += 1
    assert at > 8  # so many steps there are


def _forget_with_a_kill_at(at: int, folder: Path, stored: dict[str, Any], monkeypatch) -> bool:
    """The whole work, cut off before the step of that number; whether it came to its end."""
    with Journal(folder) as journal:
        forgetting, sink = Forgetting(journal), DictSink(stored)
        forgetting.know("memory")
        stored["x:1"] = {"id": "1", "author": ANNA, "by": "another"}  # another capture was first
        session = journal.begin_session(0.0, "x")
        fill(journal, session, "1")
        journal.settle("memory", 1, {"x": Settled(0, 1)})
        fill(journal, session, "234567")
        settle(journal, sink, 3)
        for id, author in (("4", CARL), ("5", ANNA)):  # taken, and the answer was lost
            stored[f"x:{id}"] = {"id": id, "author": author, "by": journal.capture_id}
        left = [at]
        with monkeypatch.context() as patch:
            for owner, name in ((journal, "_transaction"), (sink, "holds"), (sink, "forget")):
                patch.setattr(owner, name, _counting(getattr(owner, name), left))
            try:
                forgetting.ask("x", [("author", ANNA)], 1.0)
                erase_from_journal(forgetting, sources.people)
                erase_from_sink(forgetting, sink, journal.capture_id)
            except Killed:
                return False
        return True


def _counting(call, left: list[int]):
    def counted(*args, **more):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return call(*args, **more)

    return counted


class Running:
    """A capture's parts around an eraser: a delivery with its thread, and what was told."""

    def __init__(self, journal: Journal, sink: DictSink) -> None:
        self.events = EventLog(SystemClock())
        self.batch = 0
        forgetting = Forgetting(journal)
        forgetting.know("memory")
        self.privacy = Privacy("x", sources.decoder("x"), sources.people("x"), forgetting.tombstones())
        self.ledger = Ledger(journal.tallies(), journal.settled("memory"), forgetting.forgotten("memory"))
        self.feed = Feed(100)
        decode = sources.decoder("x")
        self.feed.extend([FeedRow(int(id), decode(LINES[id]), Verdict.MATCHED, (), 1.0) for id in LINES])
        self.eraser = Eraser(
            journal, sources.people, self.privacy, self.ledger, self.feed, self.events,
            batches=self.next_batch, on_bug=pytest.fail,
        )  # fmt: skip
        self.delivery = Delivery(
            sink, journal, decode=lambda source, raw: sources.decoder(source)(raw), limit=journal.last_seq,
            on_settled=self.ledger.settled, on_refused=pytest.fail, events=self.events, clock=SystemClock(),
            batch_size=2, forget=self.eraser.visit,
        )  # fmt: skip
        self.eraser.deliveries = [self.delivery]

    def next_batch(self) -> int:
        self.batch += 1
        return self.batch

    @property
    def life(self) -> Counters:
        assert self.ledger.totals.life.imbalance() == ""
        return self.ledger.totals.life

    def said(self, words: str) -> bool:
        return any(words in event.text for event in self.events.recent())

    def __enter__(self) -> Running:
        self.delivery.start()
        self.eraser.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.eraser.stop(5)
        self.delivery.stop(time.monotonic() + 5)


def test_while_a_capture_runs_a_request_is_found_and_done_and_nobody_is_named(filled):
    sink = DictSink({})
    with Running(filled, sink) as running:
        wait_until(lambda: len(sink.stored) == 7)
        Forgetting(filled).ask("x", [("author", ANNA)], 1.0)
        wait_until(lambda: running.said("dict has forgotten"))
        assert sorted(doc["id"] for doc in sink.stored.values()) == ["2", "4", "6"]
        assert running.life.forgotten == 4
        assert running.privacy.author(ANNA)
        assert not running.said(ANNA)
        assert {row.post.author.id for row in running.feed.since(0)[0]} == {"", BERT, CARL}
        assert running.delivery.status(7).behind == 0


def test_a_store_that_refuses_to_forget_is_told_and_still_gets_posts(filled):
    class Appending(DictSink):
        def holds(self, source, authors, posts):
            raise StoreRefused("not allowed to delete", "Grant it.")

    sink = Appending({})
    with Running(filled, sink) as running:
        wait_until(lambda: len(sink.stored) == 7)
        Forgetting(filled).ask("x", [("author", ANNA)], 1.0)
        wait_until(lambda: running.said("does not forget"))
        fill(filled, 1, "1")  # a repetition: nothing new
        assert running.delivery.status(7).state.value == "ok"
    assert Forgetting(filled).waiting_targets() == ["memory"]


def test_a_store_that_is_down_does_it_when_it_is_back(filled):
    sink = DictSink({})
    with Running(filled, sink) as running:
        wait_until(lambda: len(sink.stored) == 7)
        sink.fault = Unavailable("down")
        Forgetting(filled).ask("x", [("author", ANNA)], 1.0)
        wait_until(lambda: running.delivery.status(7).state.value == "down")
        wait_until(lambda: running.said("forgotten as asked"))
        assert len(sink.stored) == 7
        sink.fault = None
        wait_until(lambda: len(sink.stored) == 3)


def test_a_row_that_is_on_its_way_is_waited_for(filled):
    """Nobody removes a row that a sink is writing: it would be stored after it was forgotten."""
    writing, go_on = threading.Event(), threading.Event()

    class Slow(DictSink):
        def write(self, rows):
            writing.set()
            go_on.wait(120)
            return super().write(rows)

    sink = Slow({})
    with Running(filled, sink) as running:
        assert writing.wait(120)
        Forgetting(filled).ask("x", [("author", ANNA)], 1.0)
        wait_until(lambda: running.privacy.author(ANNA))
        assert len(ids(filled)) == 7
        go_on.set()
        wait_until(lambda: running.said("dict has forgotten"))
        wait_until(lambda: len(sink.stored) == 3)


def test_what_a_killed_run_left_undone_is_done_by_the_next(filled):
    forgetting = Forgetting(filled)
    forgetting.know("memory")
    forgetting.ask("x", [("author", ANNA)], 1.0)
    erase_from_journal(forgetting, sources.people)
    sink = DictSink({"x:1": {"id": "1", "author": ANNA, "by": filled.capture_id}})
    with Running(filled, sink) as running:
        wait_until(lambda: running.said("dict has forgotten"))
        wait_until(lambda: sorted(doc["id"] for doc in sink.stored.values()) == ["2", "4", "6"])
        wait_until(lambda: running.life.pending == 0)
        assert (running.life.unique, running.life.forgotten) == (7, 4)
    assert forgetting.waiting_targets() == []


def test_what_retention_has_left_of_a_post_goes_too(filled):
    forgetting = Forgetting(filled)
    with filled._transaction() as db:
        db.execute(
            "INSERT INTO removed SELECT source, id, text_hash, received_at FROM posts WHERE id IN ('1', '2')"
        )
        db.execute("DELETE FROM posts WHERE id IN ('1', '2')")
    forgetting.know("memory")
    forgetting.ask("x", [("post", "2")], 1.0)
    sink = DictSink({"x:1": {"id": "1", "author": ANNA, "by": filled.capture_id}})
    erase_from_journal(forgetting, sources.people)
    erase_from_sink(forgetting, sink, filled.capture_id)
    left = "SELECT id FROM removed ORDER BY id"
    assert filled._db.execute(left).fetchall() == [("1",)]
    # An announced deletion of a post that only the store has any more.
    filled.commit(Batch("x", deletions=[Deletion(2.0, post="1")]), filled.begin_session(2.0, "x"))
    erase_from_journal(forgetting, sources.people)
    erase_from_sink(forgetting, sink, filled.capture_id)
    assert filled._db.execute(left).fetchall() == []
    assert sink.stored == {}
    assert forgetting.forgotten("memory") == {"x": 2}  # and one that was waiting for it: a retweet of the other


def test_a_store_that_comes_later_owes_nothing_of_what_is_forgotten(filled):
    """Forgotten while the journal kept the record: with a store, the equations still hold, and nothing is pending."""
    forgetting = Forgetting(filled)
    forgetting.ask("x", [("author", ANNA)], 1.0)
    erase_from_journal(forgetting, sources.people)
    for _ in range(2):
        forgetting.know("memory")
    sink = DictSink({})
    settle(filled, sink, 7)
    life = Ledger(filled.tallies(), filled.settled("memory"), forgetting.forgotten("memory")).totals.life
    assert life.imbalance() == ""
    assert (life.unique, life.forgotten, life.pending, len(sink.stored)) == (7, 4, 0, 3)


def test_a_store_that_is_dropped_is_asked_for_nothing(filled):
    forgetting = Forgetting(filled)
    forgetting.know("memory")
    forgetting.ask("x", [("author", ANNA)], 1.0, also=["elsewhere"])
    erase_from_journal(forgetting, sources.people)
    assert forgetting.waiting_targets() == ["elsewhere", "memory"]
    filled.drop_target("memory")
    assert forgetting.waiting_targets() == ["elsewhere"]
    assert filled.targets() == []  # a store that was only asked is not one that is fed
    whole, _ = forgetting.to_remove("elsewhere")
    assert sorted(whole) == [("x", "1"), ("x", "3"), ("x", "5"), ("x", "7")]
    filled.drop_target("elsewhere")
    assert filled._db.execute("SELECT count(*) FROM forget").fetchone() == (0,)


def proven(source: str, raw: bytes) -> int:
    return text_hash(sources.decoder(source)(raw).text)


def test_a_line_without_them_still_adds_up(tmp_path):
    """A row whose line was changed is read again without being taken for damaged, also by recover."""
    with Journal(tmp_path) as journal:
        fill(journal, journal.begin_session(0.0, "x"), "1234567")
        forgetting = Forgetting(journal)
        forgetting.ask("x", [("author", ANNA)], 1.0)
        erase_from_journal(forgetting, sources.people)
        reader = journal.reader()
        rows = {row.id: row.raw for row in reader.rows_after(0, 10)}
        reader.close()
        assert rows["4"] != LINES["4"]
    assert recover(tmp_path, proven, 5.0).whole


def test_recovery_knows_the_forgotten_from_the_lost(tmp_path):
    with Journal(tmp_path) as journal:
        fill(journal, journal.begin_session(0.0, "x"), "1234567")
        forgetting = Forgetting(journal)
        forgetting.ask("x", [("author", ANNA)], 1.0)
        erase_from_journal(forgetting, sources.people)
        journal.end_session(1, 2.0, "stopped")
        index = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_posts_1'"
        page = 4096 * (journal._db.execute(index).fetchone()[0] - 1)
    file = bytearray((tmp_path / "journal.sqlite").read_bytes())
    file[page + 8 : page + 40] = b"\xff" * 32  # of an index: no row is lost
    (tmp_path / "journal.sqlite").write_bytes(file)
    recovered = recover(tmp_path, proven, 5.0)
    assert not recovered.whole
    assert not any(recovered.lost.values())
    with Journal(tmp_path) as journal:
        forgetting = Forgetting(journal)
        assert forgetting.tombstones().has("author", "x", ANNA)
        life = Ledger(journal.tallies(), None, forgetting.forgotten()).totals.life
        assert (life.unique, life.forgotten) == (7, 4)
        assert ids(journal) == ["2", "4", "6"]


def test_a_visitor_leaves_a_request_and_nothing_else(filled, tmp_path):
    progress = (tmp_path / "journal.progress").read_bytes()
    with Visit(tmp_path) as visit:
        assert visit.tallies() == filled.tallies()
        Forgetting(visit).ask("x", [("author", ANNA)], 1.0)
        assert Forgetting(visit).tombstones().has("author", "x", ANNA)
    assert (tmp_path / "journal.progress").read_bytes() == progress
    assert [subject.id for subject in Forgetting(filled).asked()] == [ANNA]
    with pytest.raises(JournalError):
        Visit(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    filled._db.execute(f"PRAGMA user_version = {VERSION - 1}")
    with pytest.raises(JournalError, match="another version"):
        Visit(tmp_path)
