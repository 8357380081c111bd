"""The player: a capture over a recording, with the calls of a capture and those of a player besides.

Each pass runs in a data folder of its own that is thrown away with it, so that going back, or judging everything
by another topic, is simply a new pass that rushes to where it should be. The recording itself is only read.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from msgspec import structs
from msgspec.structs import replace

from core.archive import Found, Record
from core.capture import Capture
from core.errors import BieberTuiError
from core.filter import Wanted
from core.query import parse_keywords, parse_topic
from core.replay.clock import ReplayClock
from core.replay.playback import Playback
from core.replay.recording import Recording
from core.settings import Settings
from core.snapshot import Snapshot

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0)


class Player:
    """One replay. Build it, `start()`, and always `stop()`."""

    def __init__(self, recording: Recording, settings: Settings, speed: float, *, ends: bool) -> None:
        """`ends`: the capture ends with the recording; otherwise its last moment stays to be looked at.

        Raises ConfigError for a topic that cannot be used.
        """
        parse_topic(settings.topic)
        self._recording = recording
        self._settings = structs.replace(settings, store=None)
        self._ends = ends
        self._folder = tempfile.TemporaryDirectory(prefix="bieber-tui-replay-")
        self._pass = 0
        self._stopped = False
        self._lock = threading.RLock()
        self._clock = ReplayClock(recording.start, speed)
        self._playback, self.capture = self._open()
        self.archive = _PresentArchive(self)

    def _open(self) -> tuple[Playback, Capture]:
        """A new pass, from the beginning."""
        self._pass += 1
        playback = Playback(self._recording, self._clock, self._at_end)
        folder = Path(self._folder.name) / f"pass-{self._pass}"
        settings = structs.replace(self._settings, data_dir=folder)
        return playback, Capture.open(settings, clock=self._clock, source=playback)

    def start(self) -> None:
        """Begin to play."""
        self.capture.start()

    # -- what every capture has

    def snapshot(self, since: int = 0) -> Snapshot:
        """The present moment of the replay."""
        clock = self._clock
        snapshot = self.capture.snapshot(since)
        words = "replay, max" if clock.speed == float("inf") else f"replay {clock.speed:g}×"
        if self._playback.ended and snapshot.run.delivered == self._playback.delivered:
            words = "replay, end"
        return replace(snapshot, paused=clock.held, view=words, epoch=self._pass)

    def pause(self) -> None:
        """Hold the replay's time."""
        self._clock.hold()

    def resume(self) -> None:
        """Let it run again."""
        self._clock.release()

    def change_query(self, keywords: str, topic: str) -> None:
        """Judge the recording by another topic, from its beginning to the present moment.

        Raises QueryError, or ConfigError for other keywords.
        """
        wanted = parse_topic(topic)
        if parse_keywords(keywords).text != self.capture.snapshot().keywords:
            self._playback.change_keywords(keywords)
        self._settings = structs.replace(self._settings, topic=wanted.text)
        self._again(self._clock.now())

    def stop(self) -> None:
        """End the replay. Twice is harmless."""
        with self._lock:
            self.capture.stop()
            if not self._stopped:
                self._stopped = True
                self._folder.cleanup()

    # -- what only a replay has

    def step(self) -> None:
        """Hold, and take one more post."""
        self._clock.hold()
        self._playback.step()

    def seek(self, seconds: float) -> None:
        """Go so many seconds of the recording forward, or back when negative."""
        with self._lock:
            target = min(max(self._clock.now() + seconds, self._recording.start), self._recording.end)
            if seconds >= 0 and not self._playback.ended:
                self._playback.rush(target)
            else:
                self._again(target)

    def change_speed(self, steps: int) -> None:
        """So many steps faster, or slower when negative."""
        speeds = [
            speed for speed in SPEEDS if (speed > self._clock.speed) == (steps > 0) and speed != self._clock.speed
        ]
        if speeds:
            self._clock.run_at(speeds[0] if steps > 0 else speeds[-1])

    def _again(self, target: float) -> None:
        """A new pass up to that time."""
        with self._lock:
            if self._stopped:
                raise BieberTuiError("the replay has ended")
            self.capture.stop()
            self._clock.set(self._recording.start)
            self._playback, capture = self._open()
            self._playback.rush(target)
            capture.start()
            self.capture = capture

    def _at_end(self) -> None:
        if self._ends:
            self.capture.finish("end of the recording")


class _PresentArchive:
    """What the present pass has stored, whichever that is when it is asked."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def search(self, wanted: Wanted, place: str, limit: int) -> Found:
        """As core.archive.Archive."""
        return self._player.capture.archive.search(wanted, place, limit)

    def lookup(self, source: str, id_: str) -> Record | None:
        """As core.archive.Archive."""
        return self._player.capture.archive.lookup(source, id_)

    def stars(self) -> frozenset[str]:
        """As core.archive.Archive. Stars are lost with the pass."""
        return self._player.capture.archive.stars()

    def star(self, source: str, id_: str, on: bool) -> None:
        """As core.archive.Archive."""
        self._player.capture.archive.star(source, id_, on)
