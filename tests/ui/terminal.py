"""The program on a pseudo-terminal of its own, as a person sees and drives it; every byte that it writes is kept."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
import unicodedata
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from tests.conftest import PATIENCE

# Escape sequences and single control characters: CSI and OSC whole, of every other sequence its introducer.
_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[^\[\]]?|[\x00-\x1a\x1c-\x1f\x7f-\x9f]"
)
_NOT_TEXT = frozenset({"Cc", "Cs", "Co", "Cn", "Cf", "Zl", "Zp"})


class Terminal:
    """Runs a program; leaving kills it."""

    def __init__(
        self,
        command: Sequence[str],
        env: dict[str, str],
        *,
        size: tuple[int, int] = (120, 40),
        column: int | None = None,
    ) -> None:
        """`column`: what it tells who asks where its cursor is; None: nothing, as some terminals do."""
        self._column = column
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        os.close(theirs)
        self.written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(120)
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65_536)
            except OSError:
                return
            if not data:
                return
            self.written += data
            if self._column is not None and data.endswith(b"\x1b[6n"):
                os.write(self._ours, b"\x1b[1;%dR" % self._column)

    def press(self, keys: str) -> int:
        """Type; returns how much was written before."""
        before = len(self.written)
        os.write(self._ours, keys.encode())
        return before

    def wait_for(self, seen: str | Callable[[str], object], since: int = 0, seconds: float = PATIENCE) -> None:
        """Wait until that was written after `since`."""
        found = seen if callable(seen) else (lambda text: seen in text)
        end = time.monotonic() + seconds
        while not found(self.text(since)):
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.text()[-2000:]}"
            assert time.monotonic() < end, f"{seen} was not seen in {self.text(since)[-2000:]!r}"
            time.sleep(0.02)

    def text(self, since: int = 0) -> str:
        """What was written, sequences included."""
        return bytes(self.written[since:]).decode("utf-8", "replace")


def sequences(written: bytes) -> list[str]:
    """The escape sequences and control characters of what was written, which must be UTF-8."""
    return _SEQUENCE.findall(written.decode("utf-8"))


def invisible(written: bytes) -> set[str]:
    """The characters outside of sequences that hide, turn or are no characters; a non-joiner is taken for a letter."""
    text = _SEQUENCE.sub("", written.decode("utf-8"))
    return {char for char in set(text) if char != "\u200c" and unicodedata.category(char) in _NOT_TEXT}
