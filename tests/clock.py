"""A clock that a test holds in its hand."""

from __future__ import annotations

import threading
import time


class HeldClock:
    """Time stands still until the test moves it; a wait moves it by itself."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.time = now
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        if event.is_set():
            return True
        self.time += seconds
        return False


class FastClock:
    """Time runs `factor` times as fast, so that an hour of back-off takes seconds."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._began, self._start = time.time(), time.monotonic()

    def now(self) -> float:
        return self._began + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._start) * self._factor

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(seconds, 0.0) / self._factor)
