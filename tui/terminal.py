"""A terminal that may go away or stand still: an SSH session that drops or stalls, a tmux that is killed.

Textual writes from a thread behind a short queue. When the terminal is gone that thread dies of the first error;
when it takes no more bytes, the thread waits; in both cases the queue fills and the program blocks for ever, also
in the midst of leaving. Seen with Textual 8.2.8: tmux sends SIGHUP and then SIGCONT, on which Textual starts to
write again. So writing never fails and never waits here: what goes to a lost terminal goes nowhere, and the app,
which looks once a second, leaves in its own time; what a terminal does not take is kept, the app sends no more
frames as long as it `lags`, and who leaves waits for it only shortly.
"""

from __future__ import annotations

import os
import termios
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import IO, Any, cast

from textual.drivers.linux_driver import LinuxDriver

PATIENCE = 0.4  # seconds that leaving waits for a terminal that takes nothing


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


class Writer(threading.Thread):
    """Writes to the terminal, and is the only one that ever waits for it."""

    def __init__(self, file: LastingFile) -> None:
        super().__init__(daemon=True, name="terminal")
        self._file = file
        self._texts: SimpleQueue[str | None] = SimpleQueue()
        self._busy = False

    @property
    def lags(self) -> bool:
        """Whether the terminal has not taken everything yet."""
        return self._busy or not self._texts.empty()

    def write(self, text: str) -> None:
        """Write the text when its turn comes; never waits."""
        self._texts.put(text)

    def run(self) -> None:
        """The thread."""
        while (text := self._texts.get()) is not None:
            self._busy = True
            self._file.write(text)
            if self._texts.empty():
                self._file.flush()
            self._busy = False
        self._file.flush()

    def end(self) -> None:
        """Write what is left, and end. What the terminal does not take in that time is thrown away."""
        self._texts.put(None)
        self.join(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while self.is_alive() and time.monotonic() < deadline:
            with suppress(OSError, termios.error):
                termios.tcflush(self._file.fileno(), termios.TCOFLUSH)  # now the thread can write on
            self.join(0.02)


class LastingDriver(LinuxDriver):
    """Textual's own driver, over a terminal that may go away or stand still."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lasting = LastingFile(cast("IO[str]", self._file))
        self._file = cast("Any", self._lasting)
        self._writer = Writer(self._lasting)

    def start_application_mode(self) -> None:
        """Take the terminal; also after a suspension."""
        self._writer = Writer(self._lasting)
        self._writer.start()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def lags(self) -> bool:
        """Whether the terminal has not taken everything yet, so that one more frame would only wait."""
        return self._writer.lags

    def write(self, data: str) -> None:
        """Write to the terminal, past Textual's own thread."""
        self._writer.write(data)

    def close(self) -> None:
        """End the writing."""
        super().close()
        self._writer.end()

    def ask_echo(self, number: int) -> None:
        """Ask where the cursor is; Textual hands the answer on as an event.

        For the question it is put into the column `number`, which tells the answers apart, and into the second
        line: answers about the first one read like keys.
        """
        self.write(f"\x1b7\x1b[2;{number}H\x1b[6n\x1b8")
