"""Bytes into lines, as X frames them: one JSON object a line, ended by CR LF; an empty line is a keep-alive.

Only a line feed ends a line (U+2028 and its like are text). The time is linear in the bytes, however long a line
is and however it is cut into chunks. A line without its end was never delivered.
"""

from __future__ import annotations

MIB = 1024 * 1024
LONGEST_LINE = 32 * MIB
KEPT_OF_LONGER = MIB  # of a line that is longer than that: enough to see in quarantine what it was


class Lines:
    """Collects chunks and hands out whole lines, without their ends."""

    def __init__(self, longest: int = LONGEST_LINE, kept: int = KEPT_OF_LONGER) -> None:
        self._longest = longest
        self._kept = kept
        self._parts: list[bytes] = []  # of the line that has not ended yet
        self._size = 0
        self._skipping = False  # the rest of a line that was too long

    @property
    def midway(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._parts)

    @property
    def idle(self) -> bool:
        """Whether the next byte begins a line."""
        return not self._parts and not self._skipping

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end within `data`, the oldest first; a keep-alive is an empty one.

        A line longer than the limit is handed out once, cut to its beginning.
        """
        whole = data.split(b"\n")
        rest = whole.pop()
        if whole:
            if self._skipping:
                del whole[0]
                self._skipping = False
            elif self._parts:
                self._parts.append(whole[0])
                whole[0] = b"".join(self._parts)
                self._parts.clear()
                self._size = 0
            whole = [line[:-1] if line.endswith(b"\r") else line for line in whole]
        if rest and not self._skipping:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > self._longest:
                whole.append(b"".join(self._parts)[: self._kept])
                self._parts.clear()
                self._size = 0
                self._skipping = True
        return whole
