"""A terminal of 40 lines with a program on it, which answers where its cursor is, as real ones do."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from typing import Self

from bench.stream import TOKEN

PATIENCE = 60.0  # seconds
_QUESTION = re.compile(rb"(?:\x1b\[(\d+);(\d+)H)?\x1b\[6n")


def environ() -> dict[str, str]:
    """As users start it: without PYTHONDONTWRITEBYTECODE above all, since what is installed is compiled."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BIEBER_TUI_", "PYTHON"))}
    return kept | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "BIEBER_TUI_X__BEARER_TOKEN": TOKEN}


class Terminal:
    """Runs Python with these arguments; as a context manager, which ends it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environ(),
        )  # fmt: skip
        os.close(theirs)
        self.seen = b""
        self._answered = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        deadline = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def read(self, seconds: float) -> None:
        """Take what comes next, waiting at most so long."""
        if not select.select([self._ours], [], [], max(seconds, 0.0))[0]:
            return
        try:
            self.seen += os.read(self._ours, 65536)
        except OSError:  # the other end is closed
            time.sleep(0.01)
        for question in _QUESTION.finditer(self.seen, self._answered):
            os.write(self._ours, b"\x1b[%b;%bR" % (question[1] or b"1", question[2] or b"9"))
            self._answered = question.end()

    def watch(self, seconds: float) -> None:
        """Read for so long, and forget it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)
        self.seen, self._answered = b"", 0

    def chunks(self, seconds: float) -> list[tuple[float, bytes]]:
        """Read for so long: what came, each with the moment in seconds since 1970."""
        came: list[tuple[float, bytes]] = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            before = len(self.seen)
            self.read(left)
            if len(self.seen) > before:
                came.append((time.time(), self.seen[before:]))
            if self._answered == len(self.seen):  # a frame ends with a question
                self.seen, self._answered = b"", 0
        return came

    def until(self, *words: bytes) -> float:
        """Milliseconds from the start of the process until all the words have come. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE
        while not all(word in self.seen for word in words):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"not on the screen: {words}; but {self.seen[-1000:]!r}")
            self.read(1.0)
        return (time.monotonic() - self.began) * 1000

    def press(self, key: bytes) -> None:
        """Type."""
        os.write(self._ours, key)
