"""The source of a replay: hands over the recorded lines when their time has come.

It keeps the Source contract, so the capture behind it is the ordinary one. Recorded gaps are reported as they
were: the connection waits, and comes back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from core.errors import ConfigError
from core.health import SourceState
from core.post import Post
from core.replay.clock import ReplayClock
from core.replay.recording import Recorded, Recording
from core.sources import decoder
from core.sources.base import Capabilities, FillOutlet, FillResult, Missing, Outlet

NAP = 0.1  # seconds between two looks at a clock that others may set
REPLAY = "replay"


class Playback:
    """A recording as a Source. `rush_until` is the time up to which nothing is waited for."""

    capabilities = Capabilities(filters_upstream=True)

    def __init__(self, recording: Recording, clock: ReplayClock, on_end: Callable[[], None]) -> None:
        self.name = recording.source
        self._recording = recording
        self._clock = clock
        self._on_end = on_end
        self._decode = decoder(recording.source)
        self._stopped = threading.Event()
        self._wake = threading.Condition()
        self._rush_until = float("-inf")
        self._steps = 0
        self.ended = False
        self.delivered = 0  # lines

    def run(self, outlet: Outlet) -> None:
        """Replay from the beginning; at the end wait to be stopped."""
        outlet.report(SourceState.LIVE, REPLAY)
        for event in self._recording.events():
            if not self._reach(event):
                return
            self._hand_over(event, outlet)
        if self._rush_until > self._clock.now():
            self._clock.set(self._recording.end)
        self.ended = True
        self._on_end()
        self._stopped.wait()

    def rush(self, until: float) -> None:
        """Wait for nothing until that time of the recording."""
        with self._wake:
            self._rush_until = until
            self._wake.notify()

    def step(self) -> None:
        """Hand over one more line though time stands still."""
        with self._wake:
            self._steps += 1
            self._wake.notify()

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()
        with self._wake:
            self._wake.notify()

    def change_keywords(self, keywords: str) -> None:
        """What was captured cannot be changed any more. Raises ConfigError."""
        raise ConfigError(
            "a recording holds what was captured: its keywords cannot be changed",
            "Change the topic: the recording is judged by it anew.",
        )

    def fill(self, missing: Missing, outlet: FillOutlet) -> FillResult:
        """The gaps of a recording stay gaps."""
        return FillResult(missing.gap.filled, "it is a recording")

    def wanted(self, raw: bytes) -> bool:
        """What was recorded was wanted."""
        return True

    def probe(self) -> list[str]:
        """Nothing to ask."""
        return [f"{self._recording.name} can be replayed"]

    def decode(self, raw: bytes) -> Post:
        """As the recorded source does it."""
        return self._decode(raw)

    def _reach(self, event: Recorded) -> bool:
        """Wait until it is time for the event; False when the replay was stopped."""
        with self._wake:
            while not self._stopped.is_set():
                if event.at <= self._rush_until:
                    self._clock.set(max(event.at, self._clock.now()))
                    return True
                if self._rush_until > float("-inf"):
                    self._clock.set(max(self._rush_until, self._clock.now()))
                    self._rush_until = float("-inf")
                if self._steps and self._clock.held:
                    if event.raw is not None:
                        self._steps -= 1
                    self._clock.set(event.at)
                    return True
                self._steps = 0 if not self._clock.held else self._steps
                left = event.at - self._clock.now()
                if self._clock.speed == float("inf") and not self._clock.held:
                    self._clock.set(event.at)
                    return True
                if left <= 0 and not self._clock.held:
                    return True
                self._wake.wait(NAP if self._clock.held else min(left / self._clock.speed, NAP))
        return False

    def _hand_over(self, event: Recorded, outlet: Outlet) -> None:
        if event.raw is not None:
            self.delivered += 1
            outlet.deliver([event.raw], event.at, backfilled=event.backfilled)
            outlet.touch(event.at)
        elif event.reason:
            outlet.report(SourceState.WAITING, event.reason)
        else:
            outlet.report(SourceState.LIVE, REPLAY)
