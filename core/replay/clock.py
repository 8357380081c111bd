"""The time of a replay: it runs at a speed of its own, can be held, and is set when the replay rushes forward."""

from __future__ import annotations

import threading
import time


class ReplayClock:
    """A Clock whose `now` is the recording's time; intervals stay those of the machine."""

    def __init__(self, start: float, speed: float) -> None:
        """`speed` is in recorded seconds per second; infinity waits for nothing."""
        self._lock = threading.Lock()
        self._at = start
        self._since = time.monotonic()
        self._speed = speed
        self._held = False

    def now(self) -> float:
        """Seconds since 1970 in the recording's time."""
        with self._lock:
            return self._now()

    def monotonic(self) -> float:
        """Seconds of the machine's clock that never goes back."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Sleep until `event` is set (True) or `seconds` of the machine's time have passed (False)."""
        return event.wait(max(seconds, 0.0))

    @property
    def speed(self) -> float:
        """Recorded seconds per second."""
        return self._speed

    @property
    def held(self) -> bool:
        """Whether time stands still."""
        return self._held

    def set(self, at: float) -> None:
        """It is that time now."""
        with self._lock:
            self._at, self._since = at, time.monotonic()

    def hold(self) -> None:
        """Stand still."""
        with self._lock:
            self._at, self._since = self._now(), time.monotonic()
            self._held = True

    def release(self) -> None:
        """Run on."""
        with self._lock:
            self._since = time.monotonic()
            self._held = False

    def run_at(self, speed: float) -> None:
        """Run at another speed from now on."""
        with self._lock:
            self._at, self._since = self._now(), time.monotonic()
            self._speed = speed

    def _now(self) -> float:
        if self._held or self._speed == float("inf"):
            return self._at
        return self._at + (time.monotonic() - self._since) * self._speed
