"""How often the screen is painted: as often as asked, less on a link or machine that cannot keep up.

Two signs tell. A machine that is busy, or a terminal that takes no more bytes, makes ticks come late; then the
pace halves, and comes back after a while of good ones. A slow link behind SSH hides behind megabytes of buffers,
so the terminal is asked for an echo: as long as it does not come back, the last frames have not been shown, and
another one would only make the keys answer late.
"""

from __future__ import annotations

from collections import deque

SLOWEST = 2.0  # frames per second
LATE = 1.6  # a tick this many times later than planned is late
GOOD_TICKS = 40

SILENT = 3.0  # seconds after which a terminal that never answered is taken for one that cannot
LOST = 30.0  # seconds after which a terminal that has answered is not waited for any more
NUMBERS = 60  # questions are numbered up to that: the number is a column of the narrowest screen


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
        self._asked: deque[tuple[int, float]] = deque(maxlen=NUMBERS)  # questions without an answer, and when
        self._number = 0
        self._first = 0.0
        self._answers = False  # it has answered once

    def ask(self, now: float) -> int:
        """A frame was sent, and the question after it, which has this number."""
        if not self._number:
            self._first = now
        self._number = self._number % NUMBERS + 1
        self._asked.append((self._number, now))
        return self._number

    def answered(self, number: int) -> None:
        """That question has its answer, and so has every earlier one, whether it came or was lost."""
        if any(asked == number for asked, _ in self._asked):
            self._answers = True
            while self._asked.popleft()[0] != number:
                pass

    def behind(self, now: float) -> bool:
        """Whether the last frame is still on its way, so that one more would only wait behind it."""
        if not self._asked:
            return False
        return now - self._asked[-1][1] < LOST if self._answers else now - self._first < SILENT
