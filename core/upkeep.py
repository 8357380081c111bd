"""Upkeep: looks after the journal while a capture runs, in a thread of its own.

Every few seconds: how much room its disk has left and how long that lasts, whether its files are still where they
were opened, and what `journal.keep` does not keep. Removing takes a third of the time at most: the writer is never
kept waiting for longer than one small step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from core.clock import Clock
from core.errors import BieberTuiError, JournalBlocked, JournalError
from core.events import EventLog
from core.journal import Journal, Retention, Space
from core.snapshot import JournalStatus, Level
from core.units import room_words, size_words

LOOK_SECONDS = 5.0


class Upkeep:
    """The thread of one journal. `status` is how it stood at the last look."""

    def __init__(
        self,
        journal: Journal,
        space: Space,
        events: EventLog,
        clock: Clock,
        retention: Retention,
        on_error: Callable[[BieberTuiError], None],
    ) -> None:
        """`on_error` hears of a journal that cannot be gone on with."""
        self._journal = journal
        self._space = space
        self._events = events
        self._clock = clock
        self._retention = retention
        self._on_error = on_error
        self._held_by = ""
        self._stop = threading.Event()
        self._warned_at: int | None = None  # bytes that were free at the last warning
        self.status = JournalStatus()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Look once, and then again and again."""
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """End, waiting at most `deadline` seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(deadline)

    def _run(self) -> None:
        try:
            while True:
                try:
                    self._look()
                    self._retain()
                except JournalBlocked:
                    pass  # the writer tells of it
                if self._clock.wait(self._stop, LOOK_SECONDS):
                    return
        except JournalError as error:
            self._on_error(error)
        except Exception as error:  # noqa: BLE001 - a bug must end the capture loudly
            self._on_error(BieberTuiError(f"the journal's upkeep failed by a bug: {error!r}"))

    def _look(self) -> None:
        self._journal.check_place()
        self.status = self._space.look(self._clock.monotonic(), self._journal.used_bytes())
        self._warn(self.status)

    def _retain(self) -> None:
        """Step by step until there is nothing to remove, twice as long idle as at work."""
        while not self._stop.is_set():
            began = time.perf_counter()
            step = self._retention.step(self._clock.now())
            if step.held_by != self._held_by:
                self._held_by = step.held_by
                if step.held_by:
                    self._events.add(Level.WARNING, held_words(step.held_by, step.held_at))
            if not step:
                return
            self._stop.wait(2 * (time.perf_counter() - began))

    def _warn(self, status: JournalStatus) -> None:
        """Once when room gets short, again whenever half of it is gone, and when there is enough again."""
        free = status.free or 0
        if not status.low:
            if self._warned_at is not None:
                self._events.add(Level.INFO, f"the journal's disk has room again: {size_words(free)} free")
            self._warned_at = None
        elif self._warned_at is None or free <= self._warned_at // 2:
            self._warned_at = free
            self._events.add(Level.WARNING, f"the journal's disk gets full: {room_words(status)}")


def held_words(target: str, seq: int) -> str:
    """Why old posts stay, and what to do about it."""
    return (
        f"journal.keep removes nothing that {target} does not have, and that has got to row {seq:,}. If that "
        f"store is gone for good: bieber-tui compact --drop-store {target}"
    )
