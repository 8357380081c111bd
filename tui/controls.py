"""Controls: all that the dashboard needs of a capture. `core.capture.Capture` has exactly these.

Only `snapshot` may be called on the event loop; every other call may block on a disk or a network and is made in a
thread. Arguments and answers are plain data, so that the capture may be another process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from core.filter import Wanted
from core.snapshot import Snapshot

if TYPE_CHECKING:  # the journal is not needed to draw the first frame
    from core.archive import Found, Record


class Archive(Protocol):
    """Everything that the capture has stored. The calls raise BieberTuiError, or Unavailable: try again."""

    def search(self, wanted: Wanted, place: str, limit: int) -> Found:
        """Up to `limit` posts that are wanted, from `place` (empty: the newest) back in time; bounded in time."""

    def lookup(self, source: str, id_: str) -> Record | None:
        """One post with the line that the source sent; None when it is not stored."""

    def stars(self) -> frozenset[str]:
        """The keys (`source:id`) of all posts that have a star."""

    def star(self, source: str, id_: str, on: bool) -> None:
        """Give a post a star, or take it away, durably."""


class Controls(Protocol):
    """One running capture, seen from the screen."""

    @property
    def archive(self) -> Archive:
        """Everything that it has stored."""

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
