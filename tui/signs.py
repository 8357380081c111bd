"""The spacing vowel signs of Indic scripts (हि, को), shown as this terminal draws them.

Unicode's tables count no cell for such a sign, and so does Rich; most terminals give it one (tmux 3.3a does for
all but four), some none. A wrong guess moves every column to the right of it. So the terminal is asked, once and
before the dashboard starts: it writes two words and tells where its cursor is. When it counts one cell a sign,
Rich is told to do the same; when it counts none, they agree already. A terminal that does not answer, or that
counts in some third way, gets the sign's letter instead (sanitise.py), which is one cell everywhere.

The answer of a distant terminal takes its time, and so does loading the dashboard: it is loaded meanwhile, so
this file loads nothing that is big.
"""

from __future__ import annotations

import os
import re
import select
import termios
import time
import tty
import unicodedata
from contextlib import suppress
from functools import cache
from typing import Any, Self

PATIENCE = 0.3  # seconds that a terminal has to answer, a distant one too
PROBE = "हिन्दी को"  # eight cells if its three spacing signs have one each, else five
_ANSWER = re.compile(rb"\x1b\[\d+;(\d+)R")


# Where Unicode has put scripts with such signs: a look at all of its characters would take longer than drawing the
# first frame does.
_PLACES = ((0x900, 0x1D00), (0xA800, 0xAC00), (0x11000, 0x12000), (0x16F00, 0x17000), (0x1D100, 0x1D200))


@cache
def spacing_signs() -> frozenset[str]:
    """The signs of one cell or none. Tone marks of East Asia are wider, and no part of this."""
    return frozenset(char for first, end in _PLACES for char in map(chr, range(first, end)) if is_spacing(char))


def is_spacing(char: str) -> bool:
    """Whether the character is such a sign."""
    return unicodedata.category(char) == "Mc" and unicodedata.east_asian_width(char) == "N"


class Question:
    """The terminal is asked on entering; on leaving, what was written is erased. What is typed meanwhile is lost.

    Ctrl+C is not: it sends its signal as ever.
    """

    def __init__(self, keyboard: int, screen: int) -> None:
        """The terminal's two descriptors."""
        self._keyboard = keyboard
        self._screen = screen
        self._deadline = 0.0
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        try:
            before = termios.tcgetattr(self._keyboard)
            tty.setcbreak(self._keyboard, termios.TCSADRAIN)
            self._before = before
            os.write(self._screen, b"\r" + PROBE.encode() + b"\x1b[6n")
            self._deadline = time.monotonic() + PATIENCE
        except (OSError, termios.error):
            pass  # no terminal after all: then there is no answer
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            return
        with suppress(OSError, termios.error):
            os.write(self._screen, b"\r\x1b[K")
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._before)

    def settle(self) -> None:
        """Wait for the answer, if need be, and show signs from now on as this terminal draws them."""
        from tui import sanitise  # noqa: PLC0415 - see above

        cells = self._cells()
        if cells == 0 or (cells == 1 and count_one_cell()):
            sanitise.show_signs(spacing_signs())

    def _cells(self) -> int | None:
        """How many cells the terminal gives a spacing sign: 1, 0, or None when it does not say."""
        from rich.cells import get_character_cell_size  # noqa: PLC0415

        try:
            column = _column(self._keyboard, self._deadline)
        except OSError:
            return None
        none = sum(map(get_character_cell_size, PROBE))
        return {none: 0, none + sum(map(is_spacing, PROBE)): 1}.get((column or 0) - 1)


def _column(keyboard: int, deadline: float) -> int | None:
    """The column that the terminal tells, from 1."""
    said = b""
    while not (found := _ANSWER.search(said)):
        if not select.select([keyboard], [], [], max(deadline - time.monotonic(), 0.0))[0]:
            return None
        data = os.read(keyboard, 1024)
        if not data:
            return None
        said += data
    return int(found[1])


def count_one_cell() -> bool:
    """Have Rich, and so Textual and everything that is drawn, count one cell for a spacing sign.

    False when this Rich keeps its tables in some other way: then nothing was changed.
    """
    from rich.cells import cached_cell_len, get_character_cell_size  # noqa: PLC0415

    from tui.ink import known_cells  # noqa: PLC0415

    try:
        from rich._unicode_data import load  # noqa: PLC0415 - Rich has no public way to say this

        widths = load().widths
    except (ImportError, AttributeError):
        return False
    if not isinstance(widths, list):
        return False
    counted: list[tuple[int, int, int]] = []
    for first, last, width in widths:
        counted += _without_signs(first, last) if width == 0 else [(first, last, width)]
    widths[:] = counted
    for known in (get_character_cell_size, cached_cell_len, known_cells):
        known.cache_clear()
    return get_character_cell_size("\u093f") == 1


def _without_signs(first: int, last: int) -> list[tuple[int, int, int]]:
    """A range of characters of no cell in pieces, without the spacing signs in it."""
    pieces: list[tuple[int, int, int]] = []
    start = first
    for code in range(first, last + 2):
        if code > last or is_spacing(chr(code)):
            if start < code:
                pieces.append((start, code - 1, 0))
            start = code + 1
    return pieces
