"""The writer: lines from the queue become posts, verdicts, and one durable transaction a batch.

Runs in one thread. Order matters and is always the same: decode, match, commit, and only then count and show; so
nothing is ever shown or counted that a crash could take back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b

from core.connection import Connection, Line
from core.errors import Undecodable
from core.feed import Feed
from core.journal import Batch, Entry, GapMark, Journal, Rejected, Tally
from core.ledger import Ledger
from core.lines import LineQueue
from core.post import Post
from core.query import Query
from core.rates import RateHistory
from core.settings import Settings
from core.snapshot import FeedRow, Verdict

TICK = 0.25  # seconds between two looks at the time when no line comes
QUARANTINE_REASON_LENGTH = 200
SHOWN = 30_000  # characters of a post that a front end gets to show: the longest of X whole, no monster of 5 MB


class Ingest:
    """The writer of one capture. `topic` may be exchanged at any time; a batch is judged by one topic."""

    def __init__(
        self,
        journal: Journal,
        session: int,
        connection: Connection,
        queue: LineQueue[Line | GapMark],
        decode: Callable[[bytes], Post],
        topic: Query,
        ledger: Ledger,
        feed: Feed,
        rates: RateHistory,
        settings: Settings,
        source: str,
        max_posts: int | None = None,
    ) -> None:
        self._journal = journal
        self._session = session
        self._connection = connection
        self._queue = queue
        self._decode = decode
        self.topic = topic
        self._ledger = ledger
        self._feed = feed
        self._rates = rates
        self._settings = settings
        self._source = source
        self._left = max_posts  # posts that may still be consumed in this run; None: no limit
        self._seen_byte_at: float | None = None
        self.marked = False  # a gap began or ended since somebody looked
        self.committed_seq = journal.last_seq()  # rows up to here are counted, sinks may have them

    @property
    def full(self) -> bool:
        """Whether the run has consumed as many posts as it was asked for."""
        return self._left == 0

    def step(self) -> int:
        """Take and commit one batch; waits for a line a moment. Returns the number of items taken.

        Raises JournalError; then nothing of the batch was counted.
        """
        last_byte_at = self._connection.last_byte_at
        items = self._queue.take(self._settings.journal.batch_size, TICK, self._settings.journal.batch_age)
        batch = Batch(self._source)
        rows: list[FeedRow] = []
        for item in items:
            if isinstance(item, GapMark):
                batch.gaps.append(item)
            elif not self.full:
                self._take(item, batch, rows)
                batch.last_byte_at = item.at
        if not items and last_byte_at != self._seen_byte_at:
            # Nothing waits, so every line up to that byte is durable: a crash's gap will begin there.
            batch.last_byte_at = self._seen_byte_at = last_byte_at
        if batch:
            self._commit(batch, rows)
        return len(items)

    def _take(self, line: Line, batch: Batch, rows: list[FeedRow]) -> None:
        """Decode and judge one line."""
        batch.delivered += 1
        try:
            post = self._decode(line.raw)
        except Undecodable as error:
            reason = str(error)[:QUARANTINE_REASON_LENGTH]
            batch.quarantined.append(Rejected("", line.at, reason, line.raw))
            return
        batch.consumed += 1
        if self._left is not None:
            self._left -= 1
        matched = self.topic.match(post, quoted=self._settings.match.quoted)
        verdict = Verdict.FILTERED if matched is None else Verdict.MATCHED
        seq = self._feed.last_seq + len(rows) + 1
        rows.append(FeedRow(seq, post.within(SHOWN), verdict, matched or (), line.at, line.backfilled))
        if matched is not None:
            batch.entries.append(Entry(post.id, line.at, text_hash(post.text), matched, line.backfilled, line.raw))
        elif self._settings.journal.scope == "all":
            batch.filtered.append(Rejected(post.id, line.at, "", line.raw))

    def _commit(self, batch: Batch, rows: list[FeedRow]) -> None:
        fresh = self._journal.commit(batch, self._session)
        inserted = sum(fresh)
        self.marked = self.marked or bool(batch.gaps)
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
        if rows:
            self._show(rows, fresh)

    def _show(self, rows: list[FeedRow], fresh: list[bool]) -> None:
        """Hand the batch to the feed and the rates, now that it is durable."""
        news = iter(fresh)
        shown = []
        matched: dict[int, int] = {}
        consumed: dict[int, int] = {}
        for row in rows:
            second = int(row.received_at)
            consumed[second] = consumed.get(second, 0) + 1
            if row.verdict is Verdict.MATCHED:
                matched[second] = matched.get(second, 0) + 1
                if not next(news):
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
