"""What the capture does while its journal takes nothing: it closes the stream, so that nothing is billed, keeps
what was read in memory, and ends or goes on as `journal.when_full` says.

The writer's thread alone calls `met` and `look`, once a round. A lock of another program is no reason to close the
stream: the queue holds what comes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from core.connection import CLOSED, Connection
from core.errors import JournalBlocked, JournalFull
from core.events import EventLog
from core.health import SourceState
from core.journal import Space
from core.snapshot import Level

RETRY_SECONDS = 1.0  # between two tries to commit what is in hand


class Standstill:
    """One capture's standstill.

    `words` say why nothing is taken, `advice` what to do about it; `gap_reason` is set while the stream is to stay
    closed. All are empty when all is well.
    """

    def __init__(
        self,
        when_full: Literal["stop", "pause"],
        space: Space,
        connection: Connection,
        events: EventLog,
        close_stream: Callable[[], None],
        open_stream: Callable[[], bool],
        end: Callable[[JournalBlocked], None],
    ) -> None:
        """`close_stream` is called in every round of a standstill; `open_stream` says whether it could be done.

        `end` ends the capture.
        """
        self._when_full = when_full
        self._space = space
        self._connection = connection
        self._events = events
        self._close_stream = close_stream
        self._open_stream = open_stream
        self._end = end
        self.gap_reason = ""
        self.words = self.advice = ""

    def met(self, error: JournalBlocked, waiting: Callable[[], int]) -> None:
        """A batch could not be committed: `waiting` bytes are in memory."""
        if isinstance(error, JournalFull):
            error = self._space.error(waiting())
        if not self.words and not (error.gap_reason and self._when_full == "stop"):  # then `end` tells it
            self._events.add(Level.ERROR if error.gap_reason else Level.WARNING, error.sentence)
        self.words, self.advice = error.message, error.hint
        if error.gap_reason:
            self._close(error)

    def look(self, waiting: Callable[[], int]) -> None:
        """The batch in hand is committed. Close the stream if room is short, open it again if there is enough."""
        if not self.gap_reason:
            self.words = self.advice = ""
            if self._space.full:
                self.met(self._space.error(waiting()), waiting)
        elif self._when_full == "pause" and self._space.roomy(waiting()) and self._open_stream():
            self._events.add(Level.INFO, "the journal can be written again; the capture goes on")
            self.gap_reason = self.words = self.advice = ""
        else:
            self._hold()

    def _close(self, error: JournalBlocked) -> None:
        if not self.gap_reason:
            self.gap_reason = error.gap_reason
            if self._when_full == "stop":
                self._end(error)
        self._hold()

    def _hold(self) -> None:
        """Again in every round: a source that was only just started forgets an earlier stop."""
        self._close_stream()
        if self._when_full == "pause" and self._connection.health().state not in CLOSED:
            self._connection.report(SourceState.BLOCKED, self.gap_reason)
