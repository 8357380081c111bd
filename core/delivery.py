"""Delivery: one thread a sink carries the journal's rows to it, in order, at its own pace.

Reads from the sink's durable cursor, writes, and only then moves the cursor; a kill in between means that the sink
sees the rows again and says that they are its own. A sink that is down is tried again with growing waits while the
capture goes on; the journal holds what waits.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from core import crashpoint
from core.clock import Clock
from core.crashpoint import Point
from core.errors import BieberTuiError, JournalBlocked, JournalError, StoreRefused, Unavailable
from core.events import EventLog
from core.journal import Journal, JournalReader, Row, Settled
from core.post import Post
from core.sinks.base import Outcome, Sink, StoredRow
from core.snapshot import Level, SinkState, SinkStatus

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between tries while a sink is down
REFUSED_WAIT = 60.0  # seconds until a sink that refused in mid-run is asked again: rights may have been mended
_RATE_WINDOW = 10.0

SettledCall = Callable[[dict[str, Settled], dict[str, Settled]], None]


class _Load(msgspec.Struct, frozen=True):
    """Rows, and what the sink has made of them."""

    rows: list[Row]
    prepared: Any


class Delivery:
    """The thread of one sink."""

    def __init__(
        self,
        sink: Sink,
        journal: Journal,
        decode: Callable[[str, bytes], Post],
        limit: Callable[[], int],
        on_settled: SettledCall | None,
        on_refused: Callable[[BieberTuiError], None],
        events: EventLog,
        clock: Clock,
        batch_size: int,
        forget: Callable[[Sink], None] = lambda _: None,
    ) -> None:
        """`limit()` is the newest row that may be delivered; `on_settled` makes this the sink of record.

        `on_refused` hears of a refusal before the first success (the user set it up wrong), and of a journal that
        cannot be read. `forget` is called before anything is written: the sink forgets what it was asked to.
        """
        self._sink = sink
        self._journal = journal
        self._decode = decode
        self._limit = limit
        self._on_settled = on_settled
        self._on_refused = on_refused
        self._events = events
        self._clock = clock
        self._batch_size = batch_size
        self._forget = forget
        self.target = sink.target
        self.of_record = on_settled is not None
        self._lock = threading.Lock()  # held while rows are on their way
        self._ahead: _Load | None = None  # the rows behind the cursor, got ready while the sink wrote those before
        self._first_of_run = journal.last_seq() + 1
        self._cursor = journal.sink_cursor(sink.target)
        settled = journal.settled(sink.target)
        self._status = SinkStatus(
            sink.name,
            sink.target,
            of_record=self.of_record,
            since=clock.now(),
            stored=sum(counts.stored for counts in settled.values()),
            duplicate=sum(counts.duplicate for counts in settled.values()),
        )
        self._out_of_reach = journal.out_of_reach(self._cursor)  # rows that it will never get
        if self._out_of_reach:
            events.add(
                Level.WARNING,
                f"{sink.name}: {self._out_of_reach:,} posts were removed from the journal (journal.keep) before "
                "this store was there to get them",
            )
        self._recent: deque[tuple[float, int]] = deque()
        self._write_ms: deque[float] = deque(maxlen=100)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._deadline = float("inf")
        self._was_ok = False
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """New rows were committed."""
        self._wake.set()

    def stop(self, deadline: float) -> None:
        """Deliver what waits if the sink takes it, until `deadline` (monotonic seconds); then let go.

        A thread that is stuck in a write is left behind: what it has written will be recognised as our own.
        """
        self._deadline = deadline
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(max(deadline - time.monotonic(), 0.0))
        if self._thread.is_alive() and not self._status.error:
            self._say_down(SinkState.DOWN, "it had not answered when the capture was stopped", 0.0)
        closer = threading.Thread(target=self._sink.close, name=f"close-{self._sink.name}", daemon=True)
        closer.start()
        closer.join(max(deadline - time.monotonic(), 0.1))

    def status(self, inserted: int) -> SinkStatus:
        """How the sink is; `inserted` are the rows that the journal has ever taken."""
        status = self._status
        now = self._clock.monotonic()
        rate = sum(count for at, count in list(self._recent) if now - at <= _RATE_WINDOW) / _RATE_WINDOW
        slowest = max(list(self._write_ms), default=None)
        behind = max(inserted - status.stored - status.duplicate - self._out_of_reach, 0)
        return replace(status, behind=behind, rate=rate, write_ms=slowest)

    def _run(self) -> None:
        wait = FIRST_WAIT
        opened = False
        reader: JournalReader | None = None
        try:
            while True:
                before = self._cursor
                try:
                    reader = reader or self._journal.reader()
                    if not opened:
                        self._sink.open()
                        opened = True
                        self._say_ok()
                    self._forget(self._sink)
                    self._deliver(reader.rows_after)
                    wait = FIRST_WAIT
                    if self._stop.is_set():
                        return
                    self._wake.wait(1.0)
                    self._wake.clear()
                except (Unavailable, JournalBlocked) as error:
                    if self._cursor > before:
                        wait = FIRST_WAIT  # it has worked meanwhile, though not to the end of what waits
                    # When it is the journal that cannot note what the sink has answered, the sink gets the same
                    # rows again and says that they are ours.
                    opened = opened and isinstance(error, JournalBlocked)
                    if not (self._stop.is_set() and self._status.state is SinkState.DOWN):
                        self._say_down(SinkState.DOWN, str(error), wait)
                    if self._stop.is_set():
                        return
                    self._clock.wait(self._stop, wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                    wait = min(wait * 2, LONGEST_WAIT)
                except JournalError as error:
                    self._say_down(SinkState.REFUSED, str(error), 0.0)
                    self._on_refused(error)
                    return
                except StoreRefused as error:
                    opened = False
                    self._say_down(SinkState.REFUSED, str(error), REFUSED_WAIT)
                    if not self._was_ok:
                        self._on_refused(error)
                    if self._clock.wait(self._stop, REFUSED_WAIT):
                        return
        except Exception as error:  # noqa: BLE001 - a bug here must be seen, and must not look like health
            self._say_down(SinkState.REFUSED, f"a bug in bieber-tui: {error!r}", REFUSED_WAIT)
            self._on_refused(BieberTuiError(f"the sink {self._sink.name} failed by a bug: {error!r}"))
        finally:
            if reader is not None:
                reader.close()

    def _deliver(self, rows_after: Callable[[int, int], list[Row]]) -> None:
        """Write batch after batch until nothing waits, or until the next one would outlast a stop."""
        last = 0.0  # seconds that the batch before took, from the journal to the note that it is there
        while (start := time.monotonic()) + 2 * last < self._deadline:
            limit = self._limit()
            if self._cursor >= limit:
                return
            with self._lock:
                load, self._ahead = self._ahead or self._load(rows_after, self._cursor, limit), None
                if load is None:
                    return
                crashpoint.reach(Point.SINK_READ)
                outcomes, ahead = self._write(load, rows_after, limit)
                crashpoint.reach(Point.SINK_WRITTEN)
                self._settle(load.rows, outcomes)
                self._ahead = ahead
            self._say_ok()
            last = time.monotonic() - start

    @contextmanager
    def still(self) -> Iterator[None]:
        """While no row is on its way: none was read that is not written and settled, so rows may be removed."""
        with self._lock:
            self._ahead = None
            yield

    def _load(self, rows_after: Callable[[int, int], list[Row]], cursor: int, limit: int) -> _Load | None:
        """The next rows, ready for the sink."""
        rows = [row for row in rows_after(cursor, self._batch_size) if row.seq <= limit]
        return _Load(rows, self._sink.prepare([self._stored(row) for row in rows])) if rows else None

    def _write(
        self, load: _Load, rows_after: Callable[[int, int], list[Row]], limit: int
    ) -> tuple[list[Outcome], _Load | None]:
        """Have it written, and when a whole batch waits behind it, get that one ready while the sink works."""
        ahead: list[_Load | None] = []
        last = load.rows[-1].seq

        def look_ahead() -> None:
            with suppress(Exception):  # whoever needs these rows meets it again
                ahead.append(self._load(rows_after, last, limit))

        thread = threading.Thread(target=look_ahead, name=f"ahead-{self._sink.name}")  # a daemon, like this one
        began = time.perf_counter()
        if limit - last >= self._batch_size:
            thread.start()
        try:
            outcomes = self._sink.write(load.prepared)
            self._write_ms.append((time.perf_counter() - began) * 1000)
        finally:
            if thread.ident is not None:
                thread.join()  # one thread at a time may read
        return outcomes, ahead[0] if ahead else None

    def _stored(self, row: Row) -> StoredRow:
        return StoredRow(
            capture=self._journal.capture_id,
            seq=row.seq,
            post=self._decode(row.source, row.raw),
            matched=row.matched,
            received_at=row.received_at,
            backfilled=row.backfilled,
            raw=row.raw,
        )

    def _settle(self, rows: list[Row], outcomes: list[Outcome]) -> None:
        counted = Counter(
            (row.seq >= self._first_of_run, row.source, outcome)
            for row, outcome in zip(rows, outcomes, strict=True)
        )
        run: dict[str, Settled] = {}
        earlier: dict[str, Settled] = {}
        for (of_run, source, outcome), count in counted.items():
            counts = run if of_run else earlier
            one = Settled(stored=count) if outcome is Outcome.STORED else Settled(duplicate=count)
            counts[source] = counts.get(source, Settled()) + one
        both = {source: run.get(source, Settled()) + earlier.get(source, Settled()) for source in {*run, *earlier}}
        self._journal.settle(self._sink.target, rows[-1].seq, both)
        crashpoint.reach(Point.CURSOR_MOVED)
        self._cursor = rows[-1].seq
        self._note(run, earlier)
        now = self._clock.monotonic()
        self._recent.append((now, len(rows)))
        while self._recent and now - self._recent[0][0] > _RATE_WINDOW:
            self._recent.popleft()

    def forgotten(self, rows: Sequence[tuple[int, str]]) -> None:
        """Rows (seq, source) are gone before they were written: the journal has settled them as stored."""
        run: dict[str, Settled] = {}
        earlier: dict[str, Settled] = {}
        for seq, source in rows:
            counts = run if seq >= self._first_of_run else earlier
            counts[source] = counts.get(source, Settled()) + Settled(stored=1)
        self._note(run, earlier)

    def _note(self, run: dict[str, Settled], earlier: dict[str, Settled]) -> None:
        """Count what the journal has settled."""
        if self._on_settled is not None:
            self._on_settled(run, earlier)
        both = [*run.values(), *earlier.values()]
        self._status = replace(
            self._status,
            stored=self._status.stored + sum(counts.stored for counts in both),
            duplicate=self._status.duplicate + sum(counts.duplicate for counts in both),
        )

    def _say_ok(self) -> None:
        before = self._status.state
        if before is SinkState.OK:
            return
        self._status = replace(self._status, state=SinkState.OK, since=self._clock.now(), error="", retry_at=None)
        if before is SinkState.STARTING:
            self._events.add(Level.INFO, f"{self._sink.name} {self._sink.target} is ready")
        else:
            self._events.add(Level.INFO, f"{self._sink.name} is back")
        self._was_ok = True

    def _say_down(self, state: SinkState, error: str, wait: float) -> None:
        now = self._clock.now()
        if self._status.state is not state or self._status.error != error:
            level = Level.WARNING if state is SinkState.DOWN else Level.ERROR
            self._events.add(level, f"{self._sink.name}: {error}")
            self._status = replace(self._status, since=now)
        self._status = replace(self._status, state=state, error=error, retry_at=now + wait)
