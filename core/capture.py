"""Capture: wires source, query, journal and sinks, owns their threads, and answers `snapshot()`.

    reader (source) → bounded queue → writer (decode, match, journal) → one thread a sink

It is the only part that knows all four. Front ends, whichever they are, have five calls: `snapshot`, `pause`,
`resume`, `change_query` and `stop`; and `archive` for what is stored. The reader never waits for a sink or for a
screen, and no error of theirs reaches it. When the capture ends by itself (a refusal, --max-posts, --duration) it
sets `ended`; whoever started it then calls `stop()`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass

from core import sinks, sources
from core.archive import Archive
from core.clock import Clock, SystemClock, iso
from core.connection import Connection, Line
from core.counters import Counters
from core.delivery import Delivery
from core.errors import BieberTuiError, SourceRefused, StoreRefused
from core.events import EventLog
from core.feed import Feed
from core.health import SourceState
from core.ingest import Ingest
from core.journal import GapMark, Journal
from core.ledger import Ledger
from core.lines import LineQueue
from core.owner import Owner
from core.post import Post
from core.query import parse_keywords, parse_topic
from core.rates import RateHistory
from core.settings import Settings
from core.sinks.base import Sink
from core.snapshot import Gap, Level, SinkState, Snapshot
from core.sources.base import Source

STOP_SECONDS = 1.8  # a stop ends within two seconds, whatever hangs
GAPS_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends by itself. None: never."""

    max_posts: int | None = None  # consumed posts of this run, second deliveries included
    duration: float | None = None  # seconds


def _decode(source: str, raw: bytes) -> Post:
    return sources.decoder(source)(raw)


class Capture:
    """One capture. Build it with `open`, then `start()`, and always `stop()`."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        sink: Sink | None,
        owner: Owner,
        journal: Journal,
        limits: Limits,
        clock: Clock,
        demo: bool,
    ) -> None:
        self._settings = settings
        self._source = source
        self._owner = owner
        self._journal = journal
        self._limits = limits
        self._clock = clock
        self._demo = demo
        self._keywords = parse_keywords(settings.keywords).text
        self._events = EventLog(clock)
        self._queue: LineQueue[Line | GapMark] = LineQueue()
        self._connection = Connection(source.name, self._queue, self._events, clock)
        self._started_at = clock.now()
        self._rates = RateHistory(self._started_at)
        self._feed = Feed(settings.ui.feed_size)
        self._session = journal.begin_session(self._started_at, source.name)
        self.archive = Archive(journal, _decode, clock)
        self._ledger = Ledger(journal.tallies(), journal.settled(sink.target) if sink else None)
        self._ingest = Ingest(
            journal=journal,
            session=self._session,
            connection=self._connection,
            queue=self._queue,
            decode=source.decode,
            topic=parse_topic(settings.topic),
            ledger=self._ledger,
            feed=self._feed,
            rates=self._rates,
            settings=settings,
            source=source.name,
            max_posts=limits.max_posts,
        )
        self._deliveries = [self._delivery(sink)] if sink else []
        self._control = threading.RLock()  # one command at a time
        self._reader: threading.Thread | None = None
        self._writer = threading.Thread(target=self._write, name="writer", daemon=True)
        self._closing = threading.Event()
        self._paused = False
        self._stopped = ""
        self._gaps: tuple[Gap, ...] = ()
        self._gap_count = 0
        self._read_gaps()
        self.ended = threading.Event()  # the capture ended by itself: call stop()
        self.error: BieberTuiError | None = None  # why, if it was not asked to

    @classmethod
    def open(
        cls,
        settings: Settings,
        limits: Limits = Limits(),
        *,
        clock: Clock | None = None,
        demo: bool = False,
    ) -> Capture:
        """Take the data folder and open the journal; nothing connects yet.

        Raises what `parts` raises, AlreadyOwned or JournalError.
        """
        source, sink = cls.parts(settings)
        owner = Owner(settings.data_dir)
        try:
            journal = Journal(settings.data_dir)
            return cls(settings, source, sink, owner, journal, limits, clock or SystemClock(), demo)
        except BaseException:
            owner.release()
            raise

    @staticmethod
    def parts(settings: Settings) -> tuple[Source, Sink | None]:
        """The source and the sink that the settings ask for: all that can be checked before anything is touched.

        Raises ConfigError: a bad query, missing credentials, an unknown source or store.
        """
        parse_topic(settings.topic)
        source = sources.create(settings.source, settings, parse_keywords(settings.keywords).text)
        store = settings.store.get_secret_value() if settings.store else None
        return source, sinks.open_sink(store, settings) if store else None

    def _delivery(self, sink: Sink) -> Delivery:
        return Delivery(
            sink,
            self._journal,
            decode=_decode,
            limit=lambda: self._ingest.committed_seq,
            on_settled=self._ledger.settled,
            on_refused=self._end,
            events=self._events,
            clock=self._clock,
            batch_size=self._settings.mongodb.batch_size,
        )

    # -- commands

    def start(self) -> None:
        """Begin to capture."""
        for delivery in self._deliveries:
            delivery.start()
        self._writer.start()
        self._start_reader()

    def pause(self) -> None:
        """Close the stream, so that nothing is billed; the span becomes a gap. Twice is harmless."""
        with self._control:
            if self._paused or self._closing.is_set():
                return
            self._paused = True
            self._stop_reader(2.0)
            self._connection.report(SourceState.PAUSED, "paused by you")

    def resume(self) -> None:
        """Connect again after a pause. Harmless when there was none."""
        with self._control:
            if not self._paused or self._closing.is_set():
                return
            self._paused = False
            self._events.add(Level.INFO, "capture resumed")
            self._start_reader()

    def change_query(self, keywords: str, topic: str) -> None:
        """Capture and keep something else from now on.

        The topic changes with the next batch, the keywords when the source has taken them. Raises QueryError,
        SourceRefused or Unavailable; then nothing was changed.
        """
        wanted, kept = parse_keywords(keywords), parse_topic(topic)
        with self._control:
            if wanted.text != self._keywords:
                self._source.change_keywords(wanted.text)
                self._events.add(Level.INFO, f"keywords are now {wanted.text}")
                self._keywords = wanted.text
            if kept.text != self._ingest.topic.text:
                self._ingest.topic = kept
                self._events.add(Level.INFO, f"topic is now {kept.text}")

    def stop(self, reason: str = "stopped by you") -> None:
        """End within two seconds: close the stream, commit what was read, let the sinks take what they can.

        What they cannot take stays pending in the journal. Twice is harmless.
        """
        deadline = time.monotonic() + STOP_SECONDS
        self._connection.expecting_end = True
        self._source.stop()  # also ends a command that waits for the source, and holds the lock
        with self._control:
            if self._closing.is_set():
                return
            self._stop_reader(1.0)
            self._closing.set()
            self._queue.close()
            self._writer.join(max(deadline - time.monotonic(), 0.5))
            for delivery in self._deliveries:
                delivery.stop(deadline)
            self._stopped = self._stopped or reason
            self._connection.report(SourceState.STOPPED, self._stopped)
            self._read_gaps()
            self._journal.end_session(self._session, self._clock.now(), self._stopped)
            self._journal.close()
            self._owner.release()

    # -- answers

    def snapshot(self, since: int = 0) -> Snapshot:
        """This moment, with the feed's rows after number `since`. Costs microseconds, never waits for ingest."""
        now = self._clock.now()
        totals = self._ledger.totals
        rows, last_seq = self._feed.since(since)
        return Snapshot(
            at=now,
            started_at=self._started_at,
            keywords=self._keywords,
            topic=self._ingest.topic.text,
            demo=self._demo,
            paused=self._paused,
            data_dir=str(self._settings.data_dir),
            run=totals.run,
            life=totals.life,
            per_source=totals.per_source,
            health=(self._connection.health(),),
            sinks=tuple(delivery.status(self._ledger.inserted) for delivery in self._deliveries),
            gaps=self._gaps,
            gap_count=self._gap_count,
            events=self._events.recent(),
            rates=self._rates.rates(now),
            rows=rows,
            last_seq=last_seq,
            stopped=self._stopped,
        )

    def report(self) -> dict[str, object]:
        """The final report, ready for JSON. Meant for after `stop()`."""
        snapshot = self.snapshot(since=self._feed.last_seq)
        return {
            "run": asdict(snapshot.run),
            "life": asdict(snapshot.life),
            "gaps": [
                {
                    "start": iso(gap.start),
                    "end": None if gap.end is None else iso(gap.end),
                    "reason": gap.reason,
                    "filled": gap.filled,
                }
                for gap in self._gaps
            ],
            "sources": {
                health.source: {
                    **asdict(snapshot.per_source.get(health.source, Counters())),
                    "reconnects": health.reconnects,
                }
                for health in snapshot.health
            },
            "sinks": {
                status.name: {
                    "behind": status.behind,
                    "stored": status.stored,
                    "duplicate": status.duplicate,
                    "error": status.error or None,
                }
                for status in snapshot.sinks
            },
            "stopped": snapshot.stopped,
        }

    # -- threads

    def _start_reader(self) -> None:
        self._connection.expecting_end = False
        self._reader = threading.Thread(target=self._read, name=f"source-{self._source.name}", daemon=True)
        self._reader.start()

    def _stop_reader(self, patience: float) -> None:
        """Ask until the thread has ended: a source that was only just started forgets an earlier stop."""
        self._connection.expecting_end = True
        deadline = time.monotonic() + patience
        while self._reader is not None and self._reader.is_alive() and time.monotonic() < deadline:
            self._source.stop()
            self._reader.join(0.1)

    def _read(self) -> None:
        """The reader's thread."""
        try:
            self._source.run(self._connection)
        except SourceRefused as error:
            self._connection.report(SourceState.STOPPED, error.message)
            self._end(error)
        except Exception as error:  # noqa: BLE001 - a bug must end the capture loudly, with what it has on disk
            self._connection.report(SourceState.STOPPED, f"a bug in bieber-tui: {error!r}")
            self._end(BieberTuiError(f"the source {self._source.name} failed by a bug: {error!r}"))

    def _write(self) -> None:
        """The writer's thread: commits until the queue is closed and empty."""
        full = False
        try:
            while True:
                taken = self._ingest.step()
                if taken:
                    for delivery in self._deliveries:
                        delivery.wake()
                if self._ingest.marked:
                    self._ingest.marked = False
                    self._read_gaps()
                if self._ingest.full and not full:
                    full = True
                    self._connection.expecting_end = True
                    self._source.stop()
                if full and self._ledger.totals.run.pending == 0:
                    self._finish(f"reached --max-posts {self._limits.max_posts}")
                elif full:
                    self._give_up_on_refusal()
                elapsed = self._clock.now() - self._started_at
                if self._limits.duration is not None and elapsed >= self._limits.duration:
                    self._finish(f"reached --duration {self._limits.duration:g}")
                if self._closing.is_set() and not taken and not len(self._queue):
                    return
        except StoreRefused as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 - as above
            self._end(BieberTuiError(f"the writer failed by a bug: {error!r}"))

    def _read_gaps(self) -> None:
        self._gaps, self._gap_count = tuple(self._journal.gaps(GAPS_SHOWN)), self._journal.gap_count()

    def _give_up_on_refusal(self) -> None:
        """Whoever waits for the last posts to be settled waits in vain when the store of record has refused."""
        for status in (delivery.status(0) for delivery in self._deliveries):
            if status.of_record and status.state is SinkState.REFUSED:
                self._end(StoreRefused(status.error, "What it did not take is pending in the journal."))

    def _finish(self, reason: str) -> None:
        """The capture has done what it was asked for."""
        if not self.ended.is_set():
            self._stopped = reason
            self.ended.set()

    def _end(self, error: BieberTuiError) -> None:
        """The capture cannot go on."""
        if self.error is None:
            self.error = error
            self._stopped = error.message
            self._events.add(Level.ERROR, str(error))
        self.ended.set()
