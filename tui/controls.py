"""Controls: all that the dashboard needs of a capture. `core.capture.Capture` has exactly these."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from core.snapshot import Snapshot


class Controls(Protocol):
    """One running capture, seen from the screen."""

    def snapshot(self, since: int) -> Snapshot:
        """The present moment, with the posts after sequence number `since`. Costs microseconds, never blocks."""

    def pause(self) -> None:
        """Close the stream; the span counts as a gap with the reason "paused"."""

    def resume(self) -> None:
        """Open the stream again."""

    def change_query(self, keywords: str, topic: str) -> None:
        """Capture and keep something else from now on. Blocks on the network.

        Raises BieberTuiError (refused: the old query stays) or Unavailable (the other side cannot be had now).
        """

    def stop(self) -> None:
        """Flush and close everything. Blocks up to 2 s; twice is harmless."""


@runtime_checkable
class Playable(Controls, Protocol):
    """A recording that is replayed: pause and resume hold it, and it can be moved through besides."""

    def step(self) -> None:
        """Hold, and take one more post."""

    def seek(self, seconds: float) -> None:
        """Go so many seconds of the recording forward, or back when negative. May take a second."""

    def change_speed(self, steps: int) -> None:
        """So many steps faster, or slower when negative."""
