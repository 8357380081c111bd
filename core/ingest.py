"""The writer: lines from the queue become posts, verdicts, and one durable transaction a batch.

Runs in one thread. Order matters and is always the same: decode, match (draft.py), commit, and only then show and
count; so nothing is ever shown or counted that a crash could take back. While the journal cannot be written, the
batch stays in hand and is tried again before another one is taken.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from core import crashpoint
from core.bounds import Bounds
from core.connection import Connection, Line
from core.crashpoint import Point
from core.draft import Begun, Draft, Drafter
from core.feed import Feed
from core.journal import Journal, Mark, PageMark, Tally
from core.ledger import Ledger
from core.lines import LineQueue
from core.privacy import Privacy
from core.query import Query
from core.rates import RateHistory
from core.second import DEPTH, Second
from core.settings import Settings
from core.snapshot import FeedRow, Verdict
from core.windows import Windows, names_of

TICK = 0.25  # seconds between two looks at the time when no line comes
# A batch waits for more lines this many times as long as the last commit took: so a fast disk makes posts durable
# soon, and a slow one is never asked for more than a fifth of its time. journal.batch_age bounds it, and so does a
# least time: to write a disk a hundred times a second for months would wear it out, and nobody would notice.
LINGER, LEAST_LINGER = 4, 0.02


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
        second: Second | None = None,
    ) -> None:
        """`late` is the number of seconds by which posts may come out of order."""
        self._journal = journal
        self._session = session
        self._connection = connection
        self._queue = queue
        self._ledger = ledger
        self._feed = feed
        self._rates = rates
        self._windows = windows
        self._settings = settings
        self._source = source
        self._drafter = Drafter(
            source,
            privacy,
            topic,
            Bounds(journal.last_id(session), late),
            wanted=wanted,
            quoted=settings.match.quoted,
            keep_all=settings.journal.scope == "all",
            most=max_posts,
            second=second,
        )
        self._noted_until: float | None = None  # up to then all that came is durable
        self._held: Draft | None = None  # taken, not committed yet
        self._ahead: deque[Begun] = deque()  # taken behind it
        self._commit_seconds = settings.journal.batch_age  # that the last commit took
        self.marked = False  # a gap began or ended since somebody looked
        self.on_page: Callable[[], None] = lambda: None  # called when a page of a fill is durable
        self.batches = 0  # rises with every step that is done
        self.committed_seq = journal.last_seq()  # rows up to here are counted, sinks may have them

    @property
    def full(self) -> bool:
        """Whether the run has consumed as many posts as it was asked for."""
        return self._drafter.full

    @property
    def topic(self) -> Query:
        """What the next batch is judged by; may be exchanged by any thread."""
        return self._drafter.topic

    @topic.setter
    def topic(self, topic: Query) -> None:
        self._drafter.topic = topic

    def waiting(self) -> int:
        """Bytes of lines that were read and are not committed."""
        held = sum(len(item.raw) for begun in self._ahead for item in begun.items if isinstance(item, Line))
        if self._held is not None:
            batch = self._held.batch
            held += sum(len(entry.raw) for entry in batch.entries)
            held += sum(len(line.raw) for line in (*batch.filtered, *batch.quarantined))
        return self._queue.bytes + held

    def step(self) -> int:
        """Take and commit one batch; waits for a line a moment. Returns the number of items taken.

        Raises JournalError; then nothing of the batch was counted. After JournalBlocked the batch stays in hand,
        and the next step tries it again before it takes another one.
        """
        if self._held is None:
            self._held = self._next_draft()
        draft = self._held
        if draft.batch:
            self._commit(draft)
        else:
            self._held = None
        self.batches += 1
        return draft.taken

    def _next_draft(self) -> Draft:
        begun = self._ahead.popleft() if self._ahead else self._begin()
        draft = self._drafter.finish(begun, self._feed.last_seq, self._look_ahead)
        until = self._connection.complete_until
        if until != self._noted_until and not self._ahead and not len(self._queue) and not self._drafter.left_out:
            # All that was in the queue at that moment is in hand: with this batch, a crash's gap will begin there.
            draft.batch.last_byte_at = self._noted_until = until
        return draft

    def _begin(self) -> Begun:
        linger = min(max(LINGER * self._commit_seconds, LEAST_LINGER), self._settings.journal.batch_age)
        items = self._queue.take(self._settings.journal.batch_size, TICK, linger)
        return self._drafter.begin(items, len(self._queue))

    def _look_ahead(self) -> None:
        """Full batches wait: let the second process work on them while this one is finished and committed."""
        size = min(self._settings.journal.batch_size, self._queue.limit // 2)
        while len(self._ahead) < DEPTH and len(self._queue) >= size:
            self._ahead.append(self._drafter.begin(self._queue.take(size, 0, 0), len(self._queue)))

    def _commit(self, draft: Draft) -> None:
        batch = draft.batch
        crashpoint.reach(Point.BEFORE_TRANSACTION)
        began = time.monotonic()
        fresh = self._journal.commit(batch, self._session)
        self._commit_seconds = time.monotonic() - began
        self._held = None
        crashpoint.reach(Point.COMMITTED)
        inserted = sum(fresh)
        self.marked = self.marked or bool(batch.gaps)
        if any(isinstance(mark, PageMark) for mark in batch.gaps):
            self.on_page()
        # What is counted is shown already: whoever reads the counters first and then the rows misses none of them.
        if draft.rows:
            self._show(draft, fresh)
            crashpoint.reach(Point.SHOWN)
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

    def _show(self, draft: Draft, fresh: list[bool]) -> None:
        """Hand the batch to the feed and the rates, now that it is durable."""
        rows = draft.rows
        for place, new in zip(draft.matched, fresh, strict=True):
            if not new:
                rows[place] = rows[place].but(verdict=Verdict.DUPLICATE)
        self._count(draft, fresh)
        for second, (consumed, matched) in draft.seconds.items():
            self._rates.add(second, consumed, matched)
        newest = rows[-1]
        if not newest.backfilled and (made := newest.post.created_at) is not None:
            self._connection.lag = newest.received_at - made.timestamp()
        self._feed.extend(rows)

    def _count(self, draft: Draft, fresh: list[bool]) -> None:
        """Count what is in the new posts in their windows."""
        rows, counts = draft.rows, draft.counts
        told = [*zip(draft.matched, draft.names, fresh, strict=True)]
        arrivals = [(names, _arrived(rows[place])) for place, names, new in told if new and names is not None]
        if counts is not None:
            repeated = [rows[place] for place, names, new in told if not new and names is None]
            if repeated:
                counts = counts.without(names_of(row.post) for row in repeated)
        if counts is None or not self._windows.add_counts(counts, rows[-1].received_at):
            apart = [rows[place] for place, names, new in told if new and names is None]
            arrivals += [(names_of(row.post), _arrived(row)) for row in apart]
        self._windows.add_all(arrivals)


def _arrived(row: FeedRow) -> float:
    """When the post of a row came; one that was fetched afterwards would have come when it was made."""
    made = row.post.created_at if row.backfilled else None
    return row.received_at if made is None else made.timestamp()
