"""The filler: has the source fetch the posts of gaps that have ended, one gap after the other, oldest first.

What it fetches goes through the queue, the writer and the journal like any other post, one page at a time: the
next page is asked for only when the last one is durable and while no lines wait, so that the stream is never
slowed. A gap's place moves in the transaction that holds the page's posts: a kill costs no more than one page
fetched again. Nothing is fetched while the capture is paused. No error here ever ends a capture.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from core import crashpoint
from core.bounds import newer
from core.clock import Clock, iso
from core.connection import Line
from core.crashpoint import Point
from core.errors import BieberTuiError
from core.events import EventLog
from core.journal import Journal, JournalReader, Mark, PageMark
from core.lines import LineQueue
from core.snapshot import Filling, Gap, Level
from core.sources.base import FillResult, Missing, Source

LOOK_EVERY = 0.5  # seconds between two looks whether a gap can be filled now
AGAIN_AFTER = 900.0  # seconds until a fill that was cut short for now is tried again
ROOMY = 10  # lines that may wait for the writer while a page is handed over: more is the stream's business


class Filler:
    """The thread that fills gaps. `hold` and `release` belong to a pause."""

    def __init__(
        self,
        source: Source,
        journal: Journal,
        queue: LineQueue[Line | Mark],
        events: EventLog,
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` hears when a gap of the journal was changed other than through the queue."""
        self._source = source
        self._journal = journal
        self._queue = queue
        self.events = events
        self._clock = clock
        self._on_change = on_change
        self._wake = threading.Event()
        self._stopping = False
        self._held = threading.Event()
        self._durable = threading.Event()  # the page that was handed over is
        self._again: dict[int, float] = {}  # gaps that were looked at in this run: when to look again (monotonic)
        self.filling: Filling | None = None
        self._thread = threading.Thread(target=self._run, name=f"fill-{source.name}", daemon=True)

    def start(self) -> None:
        """Begin to fill."""
        self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """A gap began, ended or got its bounds."""
        self._wake.set()

    def page_is_durable(self) -> None:
        """The writer has committed the page that was handed over last."""
        self._durable.set()

    def hold(self) -> None:
        """Fetch nothing until `release`. Whoever calls it also stops the source."""
        self._held.set()

    def release(self) -> None:
        """Go on."""
        self._held.clear()
        self.wake()

    @property
    def busy(self) -> bool:
        """Whether a gap is being filled at this moment."""
        return self.filling is not None

    def stop(self, patience: float) -> None:
        """End the thread; whoever calls it has held it and stopped the source."""
        self._stopping = True
        self.hold()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(patience)

    def _run(self) -> None:
        reader: JournalReader | None = None
        try:
            reader = self._journal.reader()
            gaps: list[Gap] = []
            while not self._stopping:
                if self._wake.is_set():
                    self._wake.clear()
                    gaps = reader.gaps(self._source.name)
                missing = None if self._held.is_set() else self._next(gaps, reader)
                if missing is None:
                    self._wake.wait(LOOK_EVERY)
                else:
                    self.filling = Filling(missing.gap.number, "being filled")
                    self._fill(missing)
                    self.filling = None
                    self._wake.set()
        except Exception as error:  # noqa: BLE001 - gaps stay gaps; the capture goes on
            words = str(error) if isinstance(error, BieberTuiError) else f"a bug in bieber-tui: {error!r}"
            self.events.add(Level.ERROR, f"gaps are not filled any more in this run: {words}")
        finally:
            self.filling = None
            if reader is not None:
                reader.close()

    def _next(self, gaps: list[Gap], reader: JournalReader) -> Missing | None:
        """The oldest gap whose posts can be fetched now."""
        now, elapsed = self._clock.now(), self._clock.monotonic()
        for index, gap in enumerate(gaps):
            if gap.end is None or gap.filled == "yes" or not gap.keywords:
                continue
            if self._again.get(gap.number, 0.0) > elapsed or gap.end + self._source.capabilities.fill_after > now:
                continue
            until = None
            if not gap.first_id:
                until = next((other.start for other in gaps[index + 1 :] if _differ(gap, other)), None)
            if not gap.first_id and until is None and gaps[-1].end is None:
                continue  # the connection is down again: what it brings first will bound this gap
            return Missing(
                gap,
                covered=_covered(gap, gaps[:index]),
                since=max((other.end or 0.0 for other in gaps[:index] if _differ(gap, other)), default=None),
                until=until,
                fetched_today=reader.fetched_on(self._source.name, now),
            )
        return None

    def _fill(self, missing: Missing) -> None:
        gap = missing.gap
        outlet = _Outlet(self, gap)
        if self._held.is_set():
            return  # a pause that came between the look and now
        result = self._source.fill(missing, outlet)
        if self._held.is_set() and result.retry:
            return  # the pause cut it short, and the journal knows how far it got
        self._again[gap.number] = self._clock.monotonic() + (AGAIN_AFTER if result.retry else float("inf"))
        crashpoint.reach(Point.FILL_ENDED)
        if outlet.fetched or (result.filled, result.why) != (gap.filled, gap.why):
            self._journal.end_fill(gap.number, result.filled, result.why, result.first_id)
            self._on_change()
            if outlet.worked:
                self._tell(gap, result, gap.fetched + outlet.fetched)

    def _tell(self, gap: Gap, result: FillResult, fetched: int) -> None:
        state = {"no": "cannot be filled", "partly": "is partly filled", "yes": "is filled"}[result.filled]
        words = f"the gap of {iso(gap.start)} {state}: {fetched:,} posts fetched"
        level = Level.INFO if result.filled == "yes" else Level.WARNING
        self.events.add(level, f"{words}; {result.why}" if result.why else words)

    def hand_over(self, gap: Gap, lines: Sequence[bytes], reached: str, first_id: str) -> bool:
        """Put a page into the queue and wait until it is durable; False when the fill is to end."""
        crashpoint.reach(Point.PAGE_FETCHED)
        while len(self._queue) > ROOMY:
            if self._held.wait(0.05):
                return False
        now = self._clock.now()
        self._durable.clear()
        for line in lines:
            self._queue.put(Line(line, now, backfilled=True), len(line))
        self._queue.put(PageMark(gap.number, len(lines), reached, first_id, now))
        patience = 10  # looks that a page is given when a pause or a stop comes: the writer is fast
        while not self._durable.wait(0.05):
            patience -= self._held.is_set()
            if patience <= 0:
                return False
        return not self._held.is_set()


class _Outlet:
    """The FillOutlet of one fill."""

    def __init__(self, filler: Filler, gap: Gap) -> None:
        self._filler = filler
        self._gap = gap
        self.fetched = 0
        self.worked = False  # the source asked for something

    def page(self, lines: Sequence[bytes], reached: str, first_id: str) -> bool:
        """Hand over fetched posts and wait until they are durable."""
        self.fetched += len(lines)
        return self._filler.hand_over(self._gap, lines, reached, first_id)

    def progress(self, words: str) -> None:
        """What the fill is doing."""
        self.worked = True
        self._filler.filling = Filling(self._gap.number, words)

    def event(self, level: Level, text: str) -> None:
        """Something worth a line in the event log."""
        self._filler.events.add(level, text)


def _differ(gap: Gap, other: Gap) -> bool:
    """Whether the other gap's posts are not meant when this one is filled: a pause, or other keywords."""
    return other.chosen > gap.chosen or other.keywords != gap.keywords


def _covered(gap: Gap, earlier: Sequence[Gap]) -> str:
    """Up to which post the fills of earlier gaps have fetched everything, with the same keywords."""
    reached = ""
    for other in earlier:
        if other.filled == "yes" and other.keywords == gap.keywords and newer(other.first_id, reached):
            reached = other.first_id
    return reached
