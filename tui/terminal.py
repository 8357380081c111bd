"""A terminal that may go away: an SSH session that drops, a tmux that is killed, a window that is closed.

Textual writes from a thread behind a short queue. When the terminal is gone that thread dies of the first error,
the queue fills, and the program blocks for ever in the midst of leaving. Seen with Textual 8.2.8: tmux sends
SIGHUP and then SIGCONT, on which Textual starts to write again. So writing never fails here: what goes to a lost
terminal goes nowhere, and the app, which looks once a second, leaves in its own time.
"""

from __future__ import annotations

import os
from typing import IO, Any, cast

from textual.drivers.linux_driver import LinuxDriver


class LastingFile:
    """A file to write to whose loss is no error. `fileno` and the rest are the file's own."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Write the text, or drop it when nobody can read it."""
        try:
            return self._file.write(text)
        except OSError:
            self._let_go()
            return len(text)

    def flush(self) -> None:
        """Flush; what cannot be written is dropped."""
        try:
            self._file.flush()
        except OSError:
            self._let_go()

    def _let_go(self) -> None:
        """Point the file at nothing: what is buffered, and what others still write to it, must not fail either."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._file.fileno())
        os.close(nothing)


class LastingDriver(LinuxDriver):
    """Textual's own driver, over a terminal that may go away."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file = cast("Any", LastingFile(cast("IO[str]", self._file)))

    def ask_echo(self, number: int) -> None:
        """Ask where the cursor is; Textual hands the answer on as an event.

        For the question it is put into the column `number`, which tells the answers apart, and into the second
        line: answers about the first one read like keys.
        """
        self.write(f"\x1b7\x1b[2;{number}H\x1b[6n\x1b8")
