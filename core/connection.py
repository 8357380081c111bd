"""A source's connection as the capture sees it: takes the source's lines and news, keeps its health and its gaps.

This is the Outlet that a source is given. Lines and the marks where a gap begins or ends go through one queue in
the order in which they happened, so that the writer commits them in that order too. Nothing here ever raises into
the source.

A gap begins at the last moment up to which everything had come and was handed over. That is a moment at which the
source had read all that was there, over a connection that was still up: what is read later may have waited in the
kernel, while the source waited for room in the queue or a busy machine did not let it run.

A full queue makes the source wait: that is said in the health and in the event log as soon as it has lasted a
second, and again when the queue is half empty. A source that is to end never waits: what it has read is taken.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from core import crashpoint
from core.clock import Clock, span
from core.crashpoint import Point
from core.events import EventLog
from core.health import Health, RateLimit, SourceState, Stretch
from core.journal import Deletion, GapMark, KeywordsMark, Mark
from core.lines import LineQueue
from core.snapshot import Level

SLOWED_AFTER = 1.0  # seconds that the source has waited until that is worth a word
ROOM_SLICE = 0.1  # seconds between two looks at whether the source is to end, while the queue is full
SLOWED = "posts come faster than they are written"
PAST_SECONDS = 3600.0
PAST_KEPT = 300  # stretches; a connection that is lost every few seconds has more in an hour
CLOSED = (SourceState.PAUSED, SourceState.BLOCKED)  # said by the capture, which then stops the source


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line as the source handed it over."""

    raw: bytes
    at: float
    backfilled: bool
    until: float | None = None  # up to then everything before this line had come; None: up to `at`


class Connection:
    """The Outlet of one source."""

    def __init__(self, source: str, queue: LineQueue[Line | Mark], events: EventLog, clock: Clock) -> None:
        self._queue = queue
        self._events = events
        self._clock = clock
        self._lock = threading.Lock()
        self._started_at = clock.now()
        first = Stretch(self._started_at, SourceState.STARTING)
        self._health = Health(source=source, since=self._started_at, queue_limit=queue.limit, past=(first,))
        self._last_byte_at: float | None = None
        self._last_post_at: float | None = None
        self._was_connected = False  # in this run
        self._gap: GapMark | None = None  # the open one, as far as this run knows
        self._resumed_at: float | None = None  # since then the open gap is no pause any more
        self._lost = False  # the gap began with the loss of a connection, not with a pause
        self._waited = 0.0  # seconds that the source has waited for room since the queue was last half empty
        self._asked_at = self._started_at  # when the newest connection was asked for
        # Up to when all that was sent has come in this run (seconds since 1970); it is in the queue at least.
        self.complete_until: float | None = None
        self.lag: float | None = None
        self.expecting_end = False  # the user asked for it: what the source says while it ends opens no gap

    # -- what the source calls

    def deliver(self, lines: Sequence[bytes], received_at: float, *, backfilled: bool = False) -> None:
        """Lines, as they came at that moment."""
        self._last_post_at = received_at
        while lines:
            items = [Line(raw, received_at, backfilled, self.complete_until) for raw in lines]
            taken = self._queue.put_all(items, [len(raw) for raw in lines])
            crashpoint.reach(Point.LINE_READ, taken)
            if taken == len(lines) or self._queue.closed:
                return
            self._wait_for_room(items[taken], len(lines[taken]))
            lines = lines[taken + 1 :]

    def touch(self, at: float, *, more: bool = False) -> None:
        """Whole lines arrived, and all of them are delivered."""
        if not more:
            self.complete_until = at
        self._last_byte_at = at
        if self._waited:
            self._look_whether_it_keeps_up()

    def report(self, state: SourceState, reason: str = "", *, wait_until: float | None = None) -> None:
        """The connection's state changed."""
        if self.expecting_end and state not in CLOSED and not state.connected:
            if state is not SourceState.STOPPED or self._health.state in CLOSED:
                return
            reason = reason or "stopped"
        self._enter(state, reason, wait_until)

    def _enter(self, state: SourceState, reason: str, wait_until: float | None) -> None:
        now = self._clock.now()
        with self._lock:
            before = self._health
            if state is SourceState.CONNECTING:
                self._asked_at = now
                self._health = replace(self._health, connects=before.connects + 1)
            if state is not before.state or reason != before.reason:
                since = now if state is not before.state else before.since
                self._health = replace(self._health, state=state, reason=reason, since=since)
            self._health = replace(self._health, wait_until=wait_until)
            self._remember(now)
            gap, again = self._gap, self._was_connected
            mark = self._mark(before, state, reason, now)
        if mark is not None:
            self._queue.put(mark, over=True)
        if state is SourceState.LIVE and not before.state.connected:
            self._tell_connected(gap, now, again=again)
        else:
            self._tell(before.state, state, reason, wait_until, now)

    def rate_limit(self, window: RateLimit) -> None:
        """The source told its window for connects."""
        with self._lock:
            self._health = replace(self._health, rate_limit=window)

    def event(self, level: Level, text: str) -> None:
        """Something worth a line in the event log."""
        self._events.add(level, text)

    def deleted(self, *, post: str = "", author: str = "") -> None:
        """The source announced that something is to be kept no longer."""
        deletion = Deletion(self._clock.now(), post, author)
        if not self._queue.put(deletion, wait=0.0):
            self._wait_for_room(deletion, 0)

    # -- what the capture calls

    def ended(self, reason: str) -> None:
        """The capture is over, whatever state the source was left in."""
        self._enter(SourceState.STOPPED, reason, None)

    def keywords_changed(self, keywords: str) -> None:
        """The source captures something else from now on."""
        self._queue.put(KeywordsMark(self._clock.now(), keywords), over=True)

    def health(self) -> Health:
        """The connection's health as it stands."""
        if self._waited:
            self._look_whether_it_keeps_up()
        with self._lock:
            return replace(
                self._health,
                last_byte_at=self._last_byte_at,
                last_post_at=self._last_post_at,
                lag=self.lag,
                queue=len(self._queue),
                queue_fill=min(self._queue.fill, 1.0),
            )

    @property
    def reconnects(self) -> int:
        """Connections made in this run after one was lost."""
        return self._health.reconnects

    def _wait_for_room(self, item: Line | Deletion, size: int) -> None:
        """Hand over what found the queue full."""
        since = self._clock.monotonic()
        while True:
            done = self._queue.put(item, size, wait=ROOM_SLICE, over=self.expecting_end)
            now = self._clock.monotonic()
            self._waited += now - since
            since = now
            if self._waited >= SLOWED_AFTER and self._health.slowed_since is None:
                with self._lock:
                    slowed_since = self._clock.now() - self._waited
                    self._health = replace(self._health, slowed_since=slowed_since)
                    self._remember(slowed_since)
                waiting = f"{len(self._queue):,} lines wait, and what comes after them waits at the source"
                self._events.add(Level.WARNING, f"slowed down: {SLOWED}; {waiting}")
            if done or self._queue.closed:
                return

    def _look_whether_it_keeps_up(self) -> None:
        """The source has waited for the writer: note when that is over."""
        if self._queue.fill > 0.5:
            return
        with self._lock:
            since, waited = self._health.slowed_since, self._waited
            self._health = replace(self._health, slowed_since=None)
            self._remember(self._clock.now())
            self._waited = 0.0
        if since is not None:
            length = span(self._clock.now() - since)
            self._events.add(Level.INFO, f"keeps up again after {length}; the source waited {span(waited)} of it")

    def _remember(self, since: float) -> None:
        """Begin a new stretch if the state is another one since that time. Called with the lock held."""
        health = self._health
        last = health.past[-1]
        stretch = Stretch(max(since, last.since), health.state, health.slowed_since is not None, health.reason)
        if replace(stretch, since=last.since) == last:
            return
        before = health.past
        if last.state is SourceState.STOPPED:  # it goes on, so it was stopped by us: for a pause, say
            stretch, before = replace(stretch, since=last.since), before[:-1]
        past = [*before, stretch][-PAST_KEPT:]
        while len(past) > 1 and past[1].since <= since - PAST_SECONDS:
            del past[0]
        self._health = replace(health, past=tuple(past))

    def _mark(self, before: Health, state: SourceState, reason: str, now: float) -> GapMark | None:
        """The gap that this change begins or ends. Called with the lock held."""
        if state.connected:
            if before.state.connected:
                return None
            self._last_byte_at = now  # the answer's first bytes
            if self._lost:
                self._health = replace(self._health, reconnects=before.reconnects + 1)
            # An open gap holds what was sent up to now. Without one, this connection may already have brought
            # something that nobody has read, but nothing from before it was asked for.
            self.complete_until = self._asked_at if self._gap is None else now
            self._was_connected, self._gap, self._resumed_at, self._lost = True, None, None, False
            return GapMark(now)
        if state is SourceState.STOPPED and self.expecting_end:
            return None  # the next run of this capture notes the span since then
        if state in (SourceState.STARTING, SourceState.CONNECTING) and not before.state.connected:
            if self._gap is not None and self._gap.chosen and self._resumed_at is None:
                self._resumed_at = now
            if not reason:
                return None  # a first attempt, which may succeed; any other has a reason
        return self._open(now, reason, chosen=state is SourceState.PAUSED)

    def _open(self, now: float, reason: str, *, chosen: bool) -> GapMark | None:
        """The mark of a gap that begins, or of a gap that falls in two because the user paused or resumed."""
        # Before the first connection nothing was received since the run began.
        at = self.complete_until or self._started_at
        resumed_at, self._resumed_at = self._resumed_at, None
        if self._gap is None:
            self._lost = self._was_connected and not chosen
        elif self._gap.chosen == chosen:
            return None
        else:
            at = resumed_at or now
        self._gap = GapMark(at, reason or "connection lost", chosen)
        return self._gap

    def _tell_connected(self, gap: GapMark | None, now: float, *, again: bool) -> None:
        """The connection is there: what gap of this run that ends, if any."""
        words = "connected again" if again else "connected"
        if gap is not None:
            length = span(now - gap.at) if now - gap.at >= 0.05 else "less than 0.1 s"
            words = f"{words} after {length}: {gap.reason}"
        self._events.add(Level.INFO, words)

    def _tell(
        self, before: SourceState, state: SourceState, reason: str, wait_until: float | None, now: float
    ) -> None:
        """One line in the event log for each change that a person would want to know."""
        if state is SourceState.WAITING:
            seconds = max((wait_until or now) - now, 0.0)
            wait = f"trying again in {seconds:.0f} s" if seconds >= 1 else "trying again"
            self._events.add(Level.WARNING, f"{reason or 'connection lost'}; {wait}")
        elif state is SourceState.STALLED and before is not state:
            self._events.add(Level.WARNING, f"stalled: {reason}")
        elif state is SourceState.PAUSED and before is not state:
            self._events.add(Level.INFO, "capture paused")
