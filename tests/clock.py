"""A clock that a test holds in its hand."""

from __future__ import annotations

import threading


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
