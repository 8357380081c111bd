"""A source's connection as the capture sees it: takes the source's lines and news, keeps its health and its gaps.

This is the Outlet that a source is given. Lines and the marks where a gap begins or ends go through one queue in
the order in which they happened, so that the writer commits them in that order too. Nothing here ever raises into
the source.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import NamedTuple

from core.clock import Clock
from core.events import EventLog
from core.health import Health, RateLimit, SourceState
from core.journal import Deletion, GapMark
from core.lines import LineQueue
from core.snapshot import Level


class Line(NamedTuple):
    """One line as the source handed it over."""

    raw: bytes
    at: float
    backfilled: bool


Item = Line | GapMark | Deletion


class Connection:
    """The Outlet of one source."""

    def __init__(self, source: str, queue: LineQueue[Item], events: EventLog, clock: Clock) -> None:
        self._queue = queue
        self._events = events
        self._clock = clock
        self._lock = threading.Lock()
        self._started_at = clock.now()
        self._health = Health(source=source, since=self._started_at, queue_limit=queue.limit)
        self._last_byte_at: float | None = None
        self._last_post_at: float | None = None
        self._was_connected = False  # in this run
        self._gap_open = False
        self.lag: float | None = None
        self.expecting_end = False  # the user asked for it: what the source says while it ends opens no gap

    # -- what the source calls

    def deliver(self, raw: bytes, received_at: float, *, backfilled: bool = False) -> None:
        """One line, as it came."""
        self._last_post_at = received_at
        self._queue.put(Line(raw, received_at, backfilled), len(raw))

    def touch(self, at: float) -> None:
        """A byte arrived."""
        self._last_byte_at = at

    def report(self, state: SourceState, reason: str = "", *, wait_until: float | None = None) -> None:
        """The connection's state changed."""
        if self.expecting_end and state is not SourceState.PAUSED:
            if state is not SourceState.STOPPED:
                return
            reason = reason or "stopped"
        now = self._clock.now()
        with self._lock:
            before = self._health
            if state is SourceState.CONNECTING:
                self._health = replace(self._health, connects=before.connects + 1)
            if state is not before.state or reason != before.reason:
                since = now if state is not before.state else before.since
                self._health = replace(self._health, state=state, reason=reason, since=since)
            self._health = replace(self._health, wait_until=wait_until)
            mark = self._mark(before, state, reason, now)
        if mark is not None:
            self._queue.put(mark)
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
        self._queue.put(Deletion(self._clock.now(), post, author))

    # -- what the capture calls

    def health(self) -> Health:
        """The connection's health as it stands."""
        with self._lock:
            return replace(
                self._health,
                last_byte_at=self._last_byte_at,
                last_post_at=self._last_post_at,
                lag=self.lag,
                queue=len(self._queue),
            )

    @property
    def last_byte_at(self) -> float | None:
        """When the last byte arrived in this run (seconds since 1970)."""
        return self._last_byte_at

    @property
    def reconnects(self) -> int:
        """Connections made in this run after the first one."""
        return self._health.reconnects

    def _mark(self, before: Health, state: SourceState, reason: str, now: float) -> GapMark | None:
        """The gap that this change begins or ends. Called with the lock held."""
        if state.connected:
            if before.state.connected:
                return None
            self._last_byte_at = now  # the answer's first bytes
            if self._was_connected:
                self._health = replace(self._health, reconnects=before.reconnects + 1)
            self._was_connected, self._gap_open = True, False
            return GapMark(now)
        if self._gap_open:
            return None
        if state is SourceState.STOPPED and self.expecting_end:
            return None  # the next run of this capture notes the span since then
        if state in (SourceState.STARTING, SourceState.CONNECTING) and not before.state.connected:
            return None  # the first attempt of a run
        self._gap_open = True
        # Before the first connection nothing was received since the run began.
        return GapMark(self._last_byte_at or self._started_at, reason or "connection lost")

    def _tell(
        self, before: SourceState, state: SourceState, reason: str, wait_until: float | None, now: float
    ) -> None:
        """One line in the event log for each change that a person would want to know."""
        if state is SourceState.LIVE and not before.connected:
            self._events.add(Level.INFO, "connected" if self.reconnects == 0 else "connected again")
        elif state is SourceState.WAITING:
            seconds = max((wait_until or now) - now, 0.0)
            wait = f"trying again in {seconds:.0f} s" if seconds >= 1 else "trying again"
            self._events.add(Level.WARNING, f"{reason or 'connection lost'}; {wait}")
        elif state is SourceState.STALLED and before is not state:
            self._events.add(Level.WARNING, f"stalled: {reason}")
        elif state is SourceState.PAUSED and before is not state:
            self._events.add(Level.INFO, "capture paused")
