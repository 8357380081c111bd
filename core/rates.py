"""Speed of a run: posts per second and match rate, over time.

Posts count at the time they were received. Keeps a bucket a second for 5 minutes, a bucket a minute for 60, and a
bucket for six minutes of the last 24 hours; the latter two outlive the run, by what the journal kept of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from core.snapshot import Rates, Series

SECONDS = 300
MINUTES = 60
DAY_STEP, DAY = 360, 240  # six minutes, 24 hours of them
_WINDOW = 10  # seconds that the current rates are taken over


class _Buckets:
    """Counts per step, the newest `size` steps."""

    def __init__(self, step: int, size: int) -> None:
        self.step = step
        self._counts: deque[list[int]] = deque([[0, 0] for _ in range(size)], maxlen=size)
        self._last: int | None = None  # number of the newest step

    def advance(self, at: float) -> None:
        """Move to the step of that time."""
        number = int(at // self.step)
        if self._last is None:
            self._last = number
        for _ in range(min(max(number - self._last, 0), len(self._counts))):
            self._counts.append([0, 0])
        self._last = max(self._last, number)

    def add(self, at: float, consumed: int, matched: int) -> int:
        """Count posts of that time; returns the consumed ones of its step. Older than the oldest is forgotten."""
        self.advance(at)
        assert self._last is not None
        back = self._last - int(at // self.step)
        if back >= len(self._counts):
            return 0
        bucket = self._counts[-1 - back]
        bucket[0] += consumed
        bucket[1] += matched
        return bucket[0]

    def series(self) -> Series:
        """The counts as they stand."""
        start = ((self._last or 0) - len(self._counts) + 1) * self.step
        return Series(
            float(self.step),
            float(start),
            tuple(consumed for consumed, _ in self._counts),
            tuple(matched for _, matched in self._counts),
        )


class RateHistory:
    """Fed by the writer, read by any thread."""

    def __init__(self, started_at: float) -> None:
        self._lock = threading.Lock()
        self._started_at = started_at
        self._seconds = _Buckets(1, SECONDS)
        self._minutes = _Buckets(60, MINUTES)
        self._day = _Buckets(DAY_STEP, DAY)
        self._any = False
        self._peak = 0
        self._peak_at: float | None = None

    def add(self, at: float, consumed: int, matched: int) -> None:
        """Posts were received at that time (seconds since 1970)."""
        with self._lock:
            self._any = True
            in_second = self._seconds.add(at, consumed, matched)
            if in_second > self._peak:
                self._peak_at, self._peak = float(int(at)), in_second
            self._minutes.add(at, consumed, matched)
            self._day.add(at, consumed, matched)

    def restore(self, minutes: Iterable[tuple[float, int, int]]) -> None:
        """Earlier runs received so many posts, so many of them matched, in the minutes that began then."""
        with self._lock:
            for at, consumed, matched in minutes:
                self._minutes.add(at, consumed, matched)
                self._day.add(at, consumed, matched)

    def rates(self, now: float) -> Rates:
        """The rates as they stand at `now`."""
        with self._lock:
            self._seconds.advance(now)
            self._minutes.advance(now)
            self._day.advance(now)
            seconds, minutes = self._seconds.series(), self._minutes.series()
            window = min(_WINDOW, max(int(now) - int(self._started_at), 1))
            consumed = sum(seconds.consumed[-1 - window : -1])
            matched = sum(seconds.matched[-1 - window : -1])
            return Rates(
                posts_per_s=consumed / window if self._any else None,
                match_rate=matched / consumed if consumed else None,
                peak_per_s=self._peak,
                peak_at=self._peak_at,
                seconds=seconds,
                minutes=minutes,
                day=self._day.series(),
            )
