"""The eraser: serves requests to forget while a capture runs, in a thread of its own, and keeps the numbers true.

It looks for requests twice a second: `bieber-tui forget` leaves them in the journal, and so does the writer when
the source announces a deletion. The journal's part is done here, a sink's in the sink's own thread. Neither an
event nor an error names who is forgotten.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from core.delivery import Delivery
from core.errors import BieberTuiError, JournalBlocked, JournalError, StoreRefused
from core.events import EventLog
from core.feed import Feed
from core.forget import erase_from_journal, erase_from_sink
from core.journal import Forgetting, Journal, Removed
from core.ledger import Ledger
from core.privacy import Privacy
from core.sinks.base import Sink
from core.snapshot import Level
from core.sources.base import People

POLL = 0.5  # seconds between two looks for requests
REFUSED_WAIT = 60.0  # seconds until a sink that has refused to forget is asked again


class Eraser:
    """The thread of one capture. What is not done when it ends is done by the next run."""

    def __init__(
        self,
        journal: Journal,
        people: Callable[[str], People],
        privacy: Privacy,
        ledger: Ledger,
        feed: Feed,
        events: EventLog,
        *,
        batches: Callable[[], int],
        on_bug: Callable[[BieberTuiError], None],
    ) -> None:
        """`batches()` rises with every batch that the writer has committed, or found empty."""
        self._journal = journal
        self._forgetting = Forgetting(journal)
        self._people = people
        self._privacy = privacy
        self._ledger = ledger
        self._feed = feed
        self._events = events
        self._batches = batches
        self._on_bug = on_bug
        self.deliveries: Sequence[Delivery] = ()  # of the capture
        self._stop = threading.Event()
        self._trim = True  # the write-ahead log may hold what was removed, by a run that was killed too
        self._not_before: dict[str, float] = {}  # by sink: it refused to forget
        self._due = set(self._forgetting.waiting_targets())
        self._removed = 0
        self._thread = threading.Thread(target=self._run, name="eraser", daemon=True)

    def start(self) -> None:
        """Begin to look for requests."""
        self._thread.start()

    def stop(self, patience: float) -> None:
        """End, waiting at most so many seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def visit(self, sink: Sink) -> None:
        """Called by each sink's thread before it writes: let the sink forget what it was asked to.

        Raises Unavailable. A refusal is told, and asked again later: it does not keep posts from being delivered.
        """
        if sink.target not in self._due or time.monotonic() < self._not_before.get(sink.target, 0.0):
            return
        of_record = any(delivery.of_record and delivery.target == sink.target for delivery in self.deliveries)
        count = self._ledger.forgotten if of_record else lambda source, posts: None
        try:
            done = erase_from_sink(self._forgetting, sink, self._journal.capture_id, count)
        except JournalError:
            raise  # no word of the sink's
        except StoreRefused as error:
            self._not_before[sink.target] = time.monotonic() + REFUSED_WAIT
            self._events.add(Level.ERROR, f"{sink.name} does not forget what it was asked to: {error.message}")
            return
        self._due.discard(sink.target)
        if done:
            self._trim = True
            self._events.add(Level.INFO, f"{sink.name} has forgotten what it was asked to")

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._serve()
                except JournalBlocked:
                    pass  # the writer tells of it; it is tried again
                except JournalError as error:
                    self._events.add(Level.ERROR, f"forgetting failed, and is tried again: {error.message}")
                self._stop.wait(POLL)
        except Exception as error:  # noqa: BLE001 - a bug here must not look as if all were forgotten
            self._on_bug(BieberTuiError(f"forgetting failed by a bug: {error!r}"))

    def _serve(self) -> None:
        if self._forgetting.asked():
            self._privacy.tombstones = self._forgetting.tombstones()
            if not self._wait_for_batch():
                return
            self._removed = 0
            done = erase_from_journal(
                self._forgetting,
                self._people,
                still=self._still,
                on_removed=self._count,
                stopping=self._stop.is_set,
            )
            if done:
                self._due |= set(self._forgetting.waiting_targets())
                self._trim = True
                self._events.add(Level.INFO, f"forgotten as asked: {self._removed:,} posts of the journal")
        if self._trim:
            self._trim = not self._journal.trim()

    def _wait_for_batch(self) -> bool:
        """Until every post that was let in before the tombstones were known is in the journal."""
        seen = self._batches()
        while self._batches() <= seen:
            if self._stop.wait(0.02):
                return False
        return True

    @contextmanager
    def _still(self) -> Iterator[None]:
        """While no sink writes rows that it has read."""
        with ExitStack() as stack:
            for delivery in self.deliveries:
                stack.enter_context(delivery.still())
            yield

    def _count(self, removed: Removed) -> None:
        """Rows are gone from the journal: for the store of record they were unique, and are forgotten."""
        self._removed += len(removed.rows)
        of_record = removed.rows
        for delivery in self.deliveries:
            pending = removed.pending.get(delivery.target, [])
            delivery.forgotten(pending)
            if delivery.of_record:
                of_record = pending  # what it has already it is asked to give up, and counted then
        for source, posts in Counter(source for _, source in of_record).items():
            self._ledger.forgotten(source, posts)
        self._feed.blank(lambda post: post.key in removed.keys or self._privacy.is_forgotten(post))
