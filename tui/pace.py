"""How often the screen is painted: as often as asked, less on a link or machine that cannot keep up.

Two signs tell. A machine that is busy, or a terminal that takes no more bytes, makes ticks come late; then the
pace halves, and comes back after a while of good ones. A slow link behind SSH hides behind megabytes of buffers,
so the terminal is asked for an echo: as long as it does not come back, the last frames have not been shown, and
another one would only make the keys answer late.
"""

from __future__ import annotations

SLOWEST = 2.0  # frames per second
LATE = 1.6  # a tick this many times later than planned is late
GOOD_TICKS = 40

SLACK = 0.25  # seconds that an echo may take longer than the fastest one
LOST = 5.0  # seconds after which an echo is not waited for any more


class Pace:
    """Frames per second, adapted to what the terminal takes."""

    def __init__(self, fps: float) -> None:
        self.wanted = fps
        self.fps = fps
        self._late = 0
        self._good = 0

    @property
    def interval(self) -> float:
        """Seconds between two ticks."""
        return 1.0 / self.fps

    def tick(self, elapsed: float) -> bool:
        """Note the seconds since the last tick; True when the pace changed."""
        if elapsed > self.interval * LATE:
            self._late += 1
            self._good = 0
        else:
            self._good += 1
            self._late = max(self._late - 1, 0)
        if self._late >= 3 and self.fps > SLOWEST:
            self.fps = max(self.fps / 2, SLOWEST)
        elif self._good >= GOOD_TICKS and self.fps < self.wanted:
            self.fps = min(self.fps * 2, self.wanted)
        else:
            return False
        self._late = self._good = 0
        return True


class Echo:
    """Whether the terminal has shown what was sent. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._asked: float | None = None
        self._fastest: float | None = None  # None: it has never answered, and perhaps cannot

    def ask(self, now: float) -> bool:
        """Whether to ask now: one question is under way at a time."""
        if self._asked is not None and now - self._asked < LOST:
            return False
        self._asked = now
        return True

    def answered(self, now: float) -> None:
        """The echo has come."""
        if self._asked is not None:
            took = now - self._asked
            self._fastest = took if self._fastest is None else min(self._fastest, took)
            self._asked = None

    def behind(self, now: float) -> bool:
        """Whether what was sent last is still on its way, so that one more frame would wait behind it."""
        if self._asked is None or self._fastest is None:
            return False
        return self._fastest + SLACK < now - self._asked < LOST
