"""How long to wait before the next connection, as X documents it, and how many connections there may be.

Pure: time and randomness are passed in. Rules from X's documentation of handling disconnections:
network errors wait not at all the first time, then 0.25 s more each time up to 16 s; HTTP errors 5 s doubling to
320 s; 429 from 60 s doubling (here to 900 s, X's window). 50 connects are allowed in 15 minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

WINDOW = 900.0  # seconds that X counts connects over
ALLOWED = 50  # connects in a window, until X names another number
FEWEST, MOST = 10, 1_000_000  # numbers that X can mean
BURST_SHARE = 5  # a fifth of them may come at once
HEALTHY_AFTER = 60.0  # seconds of bytes after which a connection has proved that all is well


class Schedule(Enum):
    """Which of X's three schedules a failure falls under."""

    NETWORK = "network"
    HTTP = "http"
    RATE = "rate"


class Backoff:
    """Counts failures by schedule and says how long to wait after each."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random  # uniform in 0..1
        self._failures = dict.fromkeys(Schedule, 0)

    def wait(self, schedule: Schedule) -> float:
        """Seconds to wait after one more failure: the documented time, or down to half of it by jitter."""
        count = self._failures[schedule]
        self._failures[schedule] = count + 1
        match schedule:
            case Schedule.NETWORK:
                seconds = min(0.25 * count, 16.0)
            case Schedule.HTTP:
                seconds = min(5.0 * 2.0 ** min(count, 16), 320.0)
            case Schedule.RATE:
                seconds = min(60.0 * 2.0 ** min(count, 16), WINDOW)
        return seconds * (0.5 + 0.5 * self._random())

    def told(self, seconds: float) -> float:
        """Seconds to wait when the server named them: never less, a little more so that not all come at once."""
        return seconds + 0.1 + 2.0 * self._random()

    def reset(self) -> None:
        """A connection was healthy: the next failure is a first one."""
        self._failures = dict.fromkeys(Schedule, 0)


class ConnectBudget:
    """A token bucket over connects: a short burst is free, then one each 22.5 s.

    In any span of T seconds at most `burst` + T * (`allowed` - `burst`) / WINDOW tokens are taken: 10 in 5 s, and
    50 in 15 minutes, unless X allows another number. Times are of a clock that never goes back.
    """

    def __init__(self) -> None:
        self.allowed = ALLOWED
        self.tokens = float(self.burst)
        self._at: float | None = None

    @property
    def burst(self) -> int:
        """Connects that may come at once."""
        return self.allowed // BURST_SHARE

    @property
    def _per_second(self) -> float:
        return (self.allowed - self.burst) / WINDOW

    def resume(self, tokens: float, allowed: int, age: float) -> None:
        """Go on from what an earlier process left `age` seconds ago. Call it before anything is taken."""
        self.learn(allowed)
        self.tokens = min(max(tokens, 0.0) + max(age, 0.0) * self._per_second, float(self.burst))

    def learn(self, allowed: int) -> None:
        """X says how many connects it allows in a window."""
        before, self.allowed = self.burst, min(max(allowed, FEWEST), MOST)
        self.tokens = max(min(self.tokens + self.burst - before, float(self.burst)), 0.0)

    def wait(self, now: float) -> float:
        """Seconds until the next connect is allowed; 0 when it is allowed now."""
        self._refill(now)
        # A hair more than needed: after a wait of exactly this long the token must be whole.
        return 0.0 if self.tokens >= 1 else (1 - self.tokens) / self._per_second + 1e-6

    def take(self, now: float) -> None:
        """A connect is made. Only to be called when `wait` says 0."""
        self._refill(now)
        self.tokens -= 1

    def _refill(self, now: float) -> None:
        if self._at is not None:
            earned = max(now - self._at, 0.0) * self._per_second
            self.tokens = min(self.tokens + earned, float(self.burst))
        self._at = now
