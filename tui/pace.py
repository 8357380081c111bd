"""How often the screen is painted: as often as asked, less on a link or machine that cannot keep up.

A terminal over a slow link blocks the painting; ticks then come late, and painting as often as before would only
make the keys answer late too. So the pace halves when ticks run late and comes back after a while of good ones.
"""

from __future__ import annotations

SLOWEST = 2.0  # frames per second
LATE = 1.6  # a tick this many times later than planned is late
GOOD_TICKS = 40


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
