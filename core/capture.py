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
from contextlib import closing

import msgspec
from msgspec.structs import asdict, replace

from core import crashpoint, sinks, sources
from core.archive import Archive
from core.attach.server import ControlSocket
from core.clock import Clock, SystemClock, iso
from core.collector import look_less_often
from core.connection import Connection, Line
from core.counters import Counters
from core.crashpoint import Point
from core.delivery import Delivery
from core.eraser import Eraser
from core.errors import (
    BieberTuiError,
    JournalBlocked,
    JournalError,
    SourceRefused,
    StoreRefused,
    Undecodable,
)
from core.events import EventLog
from core.feed import Feed
from core.fill import Filler
from core.health import SourceState
from core.ingest import Ingest
from core.journal import Forgetting, Journal, Mark, Retention, Space
from core.ledger import Ledger
from core.lines import LineQueue
from core.owner import Owner
from core.post import Post
from core.privacy import Privacy, open_pseudonyms
from core.private import exposed
from core.query import parse_keywords, parse_topic
from core.rates import RateHistory
from core.second import Second
from core.settings import Settings, config_dir
from core.sinks.base import Sink
from core.snapshot import Gap, Level, SinkState, Snapshot
from core.sources.base import Source
from core.spikes import Spikes
from core.standstill import RETRY_SECONDS, Standstill
from core.units import parse_keep
from core.upkeep import Upkeep
from core.windows import LENGTH, Windows, names_of

STOP_SECONDS = 1.5  # whatever hangs: the process is to end within two seconds, and has to leave too
GAPS_SHOWN = 1000
ROWS_READ_BACK = 100_000  # of earlier runs, for the window


class Limits(msgspec.Struct, frozen=True):
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
        if open_to_others := exposed(settings.data_dir):
            self._events.add(Level.WARNING, open_to_others)
        self._queue: LineQueue[Line | Mark] = LineQueue()
        self._connection = Connection(source.name, self._queue, self._events, clock)
        self._started_at = clock.now()
        self._rates = RateHistory(self._started_at)
        self._spikes = Spikes()
        self._windows = Windows(self._started_at)
        self._windows.ignore((settings.keywords, settings.topic))
        self._earlier: Windows | None = None  # what earlier runs have left of the window, once it is read
        self._rates.restore(journal.minutes(source.name, self._started_at - 86_400))
        self._feed = Feed(settings.ui.feed_size)
        self._first_of_run = journal.last_seq()  # rows up to here are of earlier runs
        self._session = journal.begin_session(self._started_at, source.name, self._keywords)
        self.archive = Archive(journal, _decode, clock)
        forgetting = Forgetting(journal)
        if sink:
            forgetting.know(sink.target)
        self._ledger = Ledger(
            journal.tallies(),
            journal.settled(sink.target) if sink else None,
            forgetting.forgotten(sink.target) if sink else forgetting.forgotten(),
        )
        privacy = Privacy(
            source.name,
            source.decode,
            sources.people(source.name),
            forgetting.tombstones(),
            open_pseudonyms(settings.privacy, journal, config_dir(), settings.data_dir),
            sources.glance(source.name),
        )
        when = settings.match.second_process if sources.glance(source.name) else "never"
        self._second = Second(source.name, when, self._events, quoted=settings.match.quoted)
        self._ingest = Ingest(
            journal=journal,
            session=self._session,
            connection=self._connection,
            queue=self._queue,
            privacy=privacy,
            wanted=source.wanted,
            topic=parse_topic(settings.topic),
            ledger=self._ledger,
            feed=self._feed,
            rates=self._rates,
            windows=self._windows,
            settings=settings,
            source=source.name,
            late=source.capabilities.late,
            max_posts=limits.max_posts,
            second=self._second,
        )
        self._eraser = Eraser(
            journal,
            sources.people,
            privacy,
            self._ledger,
            self._feed,
            self._events,
            batches=lambda: self._ingest.batches,
            on_bug=self._end,
        )
        self._filler = Filler(source, journal, self._queue, self._events, clock, self._look_at_gaps)
        self._ingest.on_page = self._filler.page_is_durable
        self._deliveries = [self._delivery(sink)] if sink else []
        self._eraser.deliveries = self._deliveries
        space = Space(journal.path, settings.journal.min_free)
        retention = Retention(journal, parse_keep(settings.journal.keep), [sink.target] if sink else [])
        self._upkeep = Upkeep(journal, space, self._events, clock, retention, on_error=self._end)
        self._standstill = Standstill(
            settings.journal.when_full,
            space,
            self._connection,
            self._events,
            close_stream=self._close_stream,
            open_stream=self._open_stream,
            end=self._end,
        )
        self._control = threading.RLock()  # one command at a time
        self._reader: threading.Thread | None = None
        self._writer = threading.Thread(target=self._write, name="writer", daemon=True)
        self._closing = threading.Event()
        self._control_socket = ControlSocket(settings.data_dir, self, lambda: self.finish("stopped by a viewer"))
        self._looked_at = 0  # the second that spikes were last looked for in
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
        limits: Limits = Limits(),  # noqa: B008 - frozen
        *,
        clock: Clock | None = None,
        demo: bool = False,
        source: Source | None = None,
    ) -> Capture:
        """Take the data folder and open the journal; nothing connects yet.

        `source` takes the place of source and sink of the settings. Raises what `parts` raises, AlreadyOwned or
        JournalError.
        """
        source, sink = (source, None) if source else cls.parts(settings)
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
            forget=self._eraser.visit,
        )

    # -- commands

    def start(self) -> None:
        """Begin to capture."""
        look_less_often()
        for delivery in self._deliveries:
            delivery.start()
        self._upkeep.start()
        self._standstill.look(lambda: 0)  # a disk that is full already costs no connection
        if not self._standstill.gap_reason:
            self._start_reader()
        self._writer.start()
        self._eraser.start()
        threading.Thread(target=self._read_window, name="window", daemon=True).start()
        if self._source.capabilities.fill:
            self._filler.start()
        try:
            self._control_socket.start()
        except OSError as error:
            self._events.add(Level.WARNING, f"nobody can attach: no socket in the data folder ({error.strerror})")

    def pause(self) -> None:
        """Close the stream and fetch nothing: nothing is billed, the span becomes a gap. Twice is harmless."""
        with self._control:
            if self._paused or self._closing.is_set():
                return
            self._paused = True
            self._stop_reader(2.0)
            crashpoint.reach(Point.PAUSING)
            self._connection.report(SourceState.PAUSED, "paused by you")

    def resume(self) -> None:
        """Connect again after a pause. Harmless when there was none."""
        with self._control:
            if not self._paused or self._closing.is_set():
                return
            self._paused = False
            if self._standstill.gap_reason:
                self._connection.report(SourceState.BLOCKED, self._standstill.gap_reason)
                self._events.add(Level.WARNING, f"the capture goes on later: {self._standstill.words}")
                return
            crashpoint.reach(Point.RESUMING)
            self._events.add(Level.INFO, "capture resumed")
            self._start_reader()
            self._filler.release()

    def change_query(self, keywords: str, topic: str) -> None:
        """Capture and keep something else from now on.

        The topic changes with the next batch, the keywords when the source has taken them. Raises QueryError,
        SourceRefused or Unavailable; then nothing was changed.
        """
        wanted, kept = parse_keywords(keywords), parse_topic(topic)
        with self._control:
            if wanted.text != self._keywords:
                self._source.change_keywords(wanted.text)
                self._connection.keywords_changed(wanted.text)
                self._events.add(Level.INFO, f"keywords are now {wanted.text}")
                self._keywords = wanted.text
            if kept.text != self._ingest.topic.text:
                self._ingest.topic = kept
                self._events.add(Level.INFO, f"topic is now {kept.text}")
            self._windows.ignore((wanted.text, kept.text))

    def stop(self, reason: str = "stopped by you") -> None:
        """End within two seconds: close the stream, commit what was read, let the sinks take what they can.

        What they cannot take stays pending in the journal. Twice is harmless.
        """
        deadline = time.monotonic() + STOP_SECONDS
        self._connection.expecting_end = True
        self._filler.hold()
        self._source.stop()  # also ends a command that waits for the source, and holds the lock
        with self._control:
            if self._closing.is_set():
                return
            self._stop_reader(1.0)
            self._closing.set()
            self._control_socket.close()
            self._queue.close()
            self._filler.stop(0.5)
            self._second.close()  # what is left is soon judged
            if self._writer.is_alive():  # a capture that nobody wants any more may never have been started
                self._writer.join(max(deadline - time.monotonic(), 0.5))
            self._eraser.stop(0.5)
            for delivery in self._deliveries:
                delivery.stop(deadline)
            self._upkeep.stop(max(deadline - time.monotonic(), 0.1))
            self._stopped = self._stopped or reason
            self._connection.ended(self._stopped)
            try:
                self._read_gaps(everything=True)
                self._journal.end_session(self._session, self._clock.now(), self._stopped)
                self._journal.close()
            except JournalError as error:
                # The next run will see that this one did not end well, and begin its gap at the last durable byte.
                self._end(error)
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
            rates=replace(self._rates.rates(now), spikes=self._spikes.starts),
            window=self._windows.view,
            rows=rows,
            last_seq=last_seq,
            stopped=self._stopped,
            advice=self.error.hint if self.error is not None else "",
            journal=replace(self._upkeep.status, blocked=self._standstill.words, advice=self._standstill.advice),
            filling=self._filler.filling,
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
                    "fetched": gap.fetched,
                    "why": gap.why or None,
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
        """Ask until reader and fill have ended: a source that was only just started forgets an earlier stop."""
        self._connection.expecting_end = True
        self._filler.hold()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            reading = self._reader is not None and self._reader.is_alive()
            if not reading and not self._filler.busy:
                return
            self._source.stop()
            if reading and self._reader is not None:
                self._reader.join(0.1)
            else:
                time.sleep(0.01)

    def _close_stream(self) -> None:
        """Ask source and fill to stop, without waiting for them."""
        self._connection.expecting_end = True
        self._filler.hold()
        self._source.stop()

    def _open_stream(self) -> bool:
        """Start the source again after a standstill; False when that cannot be done just now."""
        if not self._control.acquire(blocking=False):
            return False
        try:
            if self._reader is not None and self._reader.is_alive():
                return False
            if not self._paused and not self._closing.is_set():
                self._start_reader()
                self._filler.release()
            return True
        finally:
            self._control.release()

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
                taken, blocked = 0, False
                try:
                    taken = self._ingest.step()
                    self._standstill.look(self._ingest.waiting)
                except JournalBlocked as error:
                    blocked = True
                    self._standstill.met(error, self._ingest.waiting)
                if taken:
                    for delivery in self._deliveries:
                        delivery.wake()
                if self._ingest.marked:
                    self._ingest.marked = False
                    self._read_gaps()
                    self._filler.wake()
                if self._ingest.full and not full:
                    full = True
                    self._close_stream()
                if full and self._ledger.totals.run.pending == 0:
                    self.finish(f"reached --max-posts {self._limits.max_posts}")
                elif full:
                    self._give_up_on_refusal()
                now = self._clock.now()
                self._watch_numbers(now)
                elapsed = now - self._started_at
                if self._limits.duration is not None and elapsed >= self._limits.duration:
                    self.finish(f"reached --duration {self._limits.duration:g}")
                if self._closing.is_set() and (blocked or (not taken and not len(self._queue))):
                    return  # what is in hand by now was never acknowledged, and the next run's gap covers it
                if blocked:
                    self._clock.wait(self._closing, RETRY_SECONDS)
        except StoreRefused as error:
            self._close_stream()
            self._end(error)
        except Exception as error:  # noqa: BLE001 - as above
            self._end(BieberTuiError(f"the writer failed by a bug: {error!r}"))

    def _look_at_gaps(self) -> None:
        self._ingest.marked = True

    def _read_gaps(self, *, everything: bool = False) -> None:
        limit = -1 if everything else GAPS_SHOWN
        self._gaps, self._gap_count = tuple(self._journal.gaps(limit)), self._journal.gap_count()

    def _read_window(self) -> None:
        """Count what earlier runs have received in the last hour, beside all that matters more."""
        earlier = Windows(self._started_at)
        try:
            with (
                closing(self._journal.reader()) as reader,
                closing(reader.rows_since(self._source.name, self._started_at - LENGTH)) as rows,
            ):
                for number, row in enumerate(rows):
                    if self._closing.is_set():
                        return
                    if number >= ROWS_READ_BACK:
                        earlier.cut_short()
                        break
                    if row.seq <= self._first_of_run:
                        earlier.add(names_of(self._source.decode(row.raw)), row.received_at)
            self._earlier = earlier
        except (JournalError, Undecodable) as error:
            self._events.add(Level.WARNING, f"the window begins with this run: {error}")

    def _watch_numbers(self, now: float) -> None:
        """Bring the window up to date, and tell of spikes."""
        if self._earlier is not None:
            self._windows.absorb(self._earlier)
            self._earlier = None
        self._windows.refresh(now)
        if int(now) != self._looked_at:
            self._looked_at = int(now)
            if said := self._spikes.look(self._rates.rates(now).seconds, now):
                self._events.add(Level.WARNING if self._spikes.going_on else Level.INFO, said)

    def _give_up_on_refusal(self) -> None:
        """Whoever waits for the last posts to be settled waits in vain when the store of record has refused."""
        for status in (delivery.status(0) for delivery in self._deliveries):
            if status.of_record and status.state is SinkState.REFUSED:
                self._end(StoreRefused(status.error, "What it did not take is pending in the journal."))

    def finish(self, reason: str) -> None:
        """The capture has done what it was asked for; whoever started it stops it. Returns at once."""
        if not self.ended.is_set():
            self._stopped = reason
            self.ended.set()

    def _end(self, error: BieberTuiError) -> None:
        """The capture cannot go on."""
        if self.error is None:
            self.error = error
            self._stopped = error.message
            self._events.add(Level.ERROR, error.sentence)
        self.ended.set()
