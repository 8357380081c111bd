"""The writer: lines from the queue become posts, verdicts, and one durable transaction a batch.

Runs in one thread. Order matters and is always the same: decode, match, commit, and only then count and show; so
nothing is ever shown or counted that a crash could take back. While the journal cannot be written, the batch stays
in hand and is tried again before another one is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b

from core import crashpoint
from core.bounds import Bounds
from core.connection import Connection, Line
from core.crashpoint import Point
from core.errors import Undecodable
from core.feed import Feed
from core.journal import Batch, Deletion, Entry, GapMark, Journal, KeywordsMark, Mark, PageMark, Rejected, Tally
from core.ledger import Ledger
from core.lines import LineQueue
from core.privacy import Privacy
from core.query import Query
from core.rates import RateHistory
from core.settings import Settings
from core.snapshot import FeedRow, Verdict
from core.windows import Windows

TICK = 0.25  # seconds between two looks at the time when no line comes
QUARANTINE_REASON_LENGTH = 200
SHOWN = 30_000  # characters of a post that a front end gets to show: the longest of X whole, no monster of 5 MB

Match = Callable[..., tuple[str, ...] | None]  # a topic's verdict on a post: the terms that matched, or None


class Ingest:
    """The writer of one capture. `topic` may be exchanged at any time; a batch is judged by one topic."""

    def __init__(
        self,
        journal: Journal,
        session: int,
        connection: Connection,
        queue: LineQueue[Line | Mark],
        privacy: Privacy,
        topic: Query,
        ledger: Ledger,
        feed: Feed,
        rates: RateHistory,
        windows: Windows,
        settings: Settings,
        source: str,
        late: float = 0.0,
        max_posts: int | None = None,
        wanted: Callable[[bytes], bool] = lambda _: True,
    ) -> None:
        """`late` is the number of seconds by which posts may come out of order."""
        self._journal = journal
        self._session = session
        self._connection = connection
        self._queue = queue
        self._privacy = privacy
        self._decode = crashpoint.after(Point.DECODED, privacy.take)
        self._wanted = wanted
        self.topic = topic
        self._ledger = ledger
        self._feed = feed
        self._rates = rates
        self._windows = windows
        self._settings = settings
        self._source = source
        self._bounds = Bounds(journal.last_id(session), late)
        self._left = max_posts  # posts that may still be consumed in this run; None: no limit
        self._seen_byte_at: float | None = None
        self._held: tuple[Batch, list[FeedRow], int] | None = None  # taken, not committed yet
        self.marked = False  # a gap began or ended since somebody looked
        self.on_page: Callable[[], None] = lambda: None  # called when a page of a fill is durable
        self.batches = 0  # rises with every step that is done
        self.committed_seq = journal.last_seq()  # rows up to here are counted, sinks may have them

    @property
    def full(self) -> bool:
        """Whether the run has consumed as many posts as it was asked for."""
        return self._left == 0

    @property
    def waiting(self) -> int:
        """Bytes of lines that were read and are not committed."""
        held = 0
        if self._held is not None:
            batch = self._held[0]
            held = sum(len(entry.raw) for entry in batch.entries)
            held += sum(len(line.raw) for line in (*batch.filtered, *batch.quarantined))
        return self._queue.bytes + held

    def step(self) -> int:
        """Take and commit one batch; waits for a line a moment. Returns the number of items taken.

        Raises JournalError; then nothing of the batch was counted. After JournalBlocked the batch stays in hand,
        and the next step tries it again before it takes another one.
        """
        if self._held is None:
            self._held = self._next_batch()
        batch, rows, taken = self._held
        if batch:
            self._commit(batch, rows)
        else:
            self._held = None
        self.batches += 1
        return taken

    def _next_batch(self) -> tuple[Batch, list[FeedRow], int]:
        last_byte_at = self._connection.last_byte_at
        items = self._queue.take(self._settings.journal.batch_size, TICK, self._settings.journal.batch_age)
        batch = Batch(self._source)
        rows: list[FeedRow] = []
        take = crashpoint.after(Point.IN_BATCH, self._take)
        match = crashpoint.after(Point.MATCHED, self.topic.match)
        for item in items:
            if self.full and not isinstance(item, KeywordsMark):
                continue  # as if never read: its span belongs to the gap before the next run
            if isinstance(item, Line):
                take(item, match, batch, rows)
            else:
                self._mark(item, batch)
        if not items and not self.full and last_byte_at != self._seen_byte_at:
            # Nothing waits, so every line up to that byte is durable: a crash's gap will begin there.
            batch.last_byte_at = self._seen_byte_at = last_byte_at
        batch.last_id = self._bounds.newest
        for row in rows:
            if not row.backfilled:  # rates are those of the stream
                minute = int(row.received_at // 60) * 60
                consumed, matched = batch.minutes.get(minute, (0, 0))
                batch.minutes[minute] = (consumed + 1, matched + (row.verdict is Verdict.MATCHED))
        return batch, rows, len(items)

    def _mark(self, mark: Mark, batch: Batch) -> None:
        """Take what the connection or a fill noted, with what is known of the posts around it."""
        if isinstance(mark, GapMark):
            mark = self._bounds.interrupted(mark)
            if not mark.reason:
                batch.last_byte_at = mark.at  # connected: a crash's gap cannot begin earlier
        elif isinstance(mark, KeywordsMark):
            mark = self._bounds.changed(mark)
        elif isinstance(mark, Deletion):
            batch.deletions.append(self._privacy.deletion(mark))
            return
        batch.gaps.append(mark)

    def _take(self, line: Line, match: Match, batch: Batch, rows: list[FeedRow]) -> None:
        """Decode and judge one line."""
        batch.delivered += 1
        if not line.backfilled:
            batch.last_byte_at = line.at if line.until is None else line.until
        try:
            taken = self._decode(line.raw)
        except Undecodable as error:
            reason = str(error)[:QUARANTINE_REASON_LENGTH]
            batch.quarantined.append(Rejected("", line.at, reason, self._privacy.unreadable(line.raw)))
            return
        batch.consumed += 1
        if not line.backfilled and (after := self._bounds.seen(taken.judged, line.at)) is not None:
            batch.gaps.append(after)
        if self._left is not None:
            self._left -= 1
        if taken.kept is None:
            return  # forgotten: it counts as filtered out, and nobody sees it
        post, raw = taken.kept, taken.raw
        matched = match(taken.judged, quoted=self._settings.match.quoted)
        if matched is not None and not self._wanted(line.raw):
            matched = None
        verdict = Verdict.FILTERED if matched is None else Verdict.MATCHED
        seq = self._feed.last_seq + len(rows) + 1
        rows.append(FeedRow(seq, post.within(SHOWN), verdict, matched or (), line.at, line.backfilled))
        if matched is not None:
            batch.entries.append(Entry(post.id, line.at, text_hash(post.text), matched, line.backfilled, raw))
        elif self._settings.journal.scope == "all":
            batch.filtered.append(Rejected(post.id, line.at, "", raw))

    def _commit(self, batch: Batch, rows: list[FeedRow]) -> None:
        crashpoint.reach(Point.BEFORE_TRANSACTION)
        fresh = self._journal.commit(batch, self._session)
        self._held = None
        crashpoint.reach(Point.COMMITTED)
        inserted = sum(fresh)
        self.marked = self.marked or bool(batch.gaps)
        if any(isinstance(mark, PageMark) for mark in batch.gaps):
            self.on_page()
        if batch.delivered:
            self._ledger.committed(
                self._source,
                Tally(
                    delivered=batch.delivered,
                    consumed=batch.consumed,
                    quarantined=len(batch.quarantined),
                    matched=len(batch.entries),
                    inserted=inserted,
                    repeated=len(batch.entries) - inserted,
                ),
            )
            if inserted:
                self.committed_seq = self._journal.last_seq()
        crashpoint.reach(Point.COUNTED)
        if rows:
            self._show(rows, fresh)
            crashpoint.reach(Point.SHOWN)

    def _show(self, rows: list[FeedRow], fresh: list[bool]) -> None:
        """Hand the batch to the feed and the rates, now that it is durable."""
        news = iter(fresh)
        shown = []
        matched: dict[int, int] = {}
        consumed: dict[int, int] = {}
        for row in rows:
            second = int(row.received_at)
            if not row.backfilled:  # rates are those of the stream
                consumed[second] = consumed.get(second, 0) + 1
            if row.verdict is Verdict.MATCHED:
                if not row.backfilled:
                    matched[second] = matched.get(second, 0) + 1
                if next(news):
                    made = row.post.created_at
                    late = row.backfilled and made is not None
                    self._windows.add(row.post, made.timestamp() if late and made else row.received_at)
                else:
                    row = replace(row, verdict=Verdict.DUPLICATE)  # noqa: PLW2901 - the same row, corrected
            shown.append(row)
        for second, count in consumed.items():
            self._rates.add(second, count, matched.get(second, 0))
        newest = rows[-1]
        if newest.post.created_at is not None and not newest.backfilled:
            self._connection.lag = newest.received_at - newest.post.created_at.timestamp()
        self._feed.extend(shown)


def text_hash(text: str) -> int:
    """A signed 64-bit hash of a text, the same in every run and on every machine."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
