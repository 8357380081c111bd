"""The event log of a run: what happened, in words, the newest 500."""

from __future__ import annotations

import threading
from collections import deque

from core.clock import Clock
from core.snapshot import Event, Level

KEPT = 500


class EventLog:
    """Events from any thread; `recent()` is a frozen copy that is made only when something is new."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._recent: tuple[Event, ...] | None = ()
        self._seq = 0

    def add(self, level: Level, text: str) -> None:
        """Note an event that happens now."""
        with self._lock:
            self._seq += 1
            self._events.append(Event(self._seq, self._clock.now(), level, text))
            self._recent = None

    def recent(self) -> tuple[Event, ...]:
        """The newest events, oldest first."""
        with self._lock:
            if self._recent is None:
                self._recent = tuple(self._events)
            return self._recent
