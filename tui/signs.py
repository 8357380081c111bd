"""The spacing vowel signs of Indic scripts (हि, को), shown as this terminal draws them.

Unicode's tables count no cell for such a sign, and so does Rich; most terminals give it one (tmux 3.3a does for
all but four), some none. A wrong guess moves every column to the right of it. So the terminal is asked, once
and before the dashboard starts: it writes two words and tells where its cursor is. When it counts one cell a
sign, Rich is told to do the same; when it counts none, they agree already. A terminal that does not answer, or
that counts in some third way, gets the sign's letter instead (sanitise.py), which is one cell everywhere.
"""

from __future__ import annotations

import os
import re
import select
import termios
import time
import tty
import unicodedata
from functools import cache

from rich.cells import cached_cell_len, get_character_cell_size

from tui import sanitise

PATIENCE = 0.3  # seconds that a terminal has to answer, a distant one too
PROBE = "हिन्दी को"  # eight cells if its three spacing signs have one each, else five
_ANSWER = re.compile(rb"\x1b\[\d+;(\d+)R")


@cache
def spacing_signs() -> frozenset[str]:
    """The signs of one cell or none. Tone marks of East Asia are wider, and no part of this."""
    every = map(chr, (*range(0x300, 0x1E950),))
    return frozenset(
        char for char in every if unicodedata.category(char) == "Mc" and unicodedata.east_asian_width(char) == "N"
    )


def settle(keyboard: int, screen: int) -> None:
    """Ask the terminal, and show signs from now on as it draws them. Takes its two descriptors."""
    cells = ask(keyboard, screen)
    if cells == 0 or (cells == 1 and count_one_cell()):
        sanitise.show_signs(spacing_signs())


def ask(keyboard: int, screen: int) -> int | None:
    """How many cells the terminal gives a spacing sign: 1, 0, or None when it does not say. Erases what it wrote.

    What is typed meanwhile is lost.
    """
    try:
        before = termios.tcgetattr(keyboard)
        try:
            tty.setraw(keyboard)
            os.write(screen, b"\r" + PROBE.encode() + b"\x1b[6n")
            column = _column(keyboard)
            os.write(screen, b"\r\x1b[K")
        finally:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
    except (OSError, termios.error):
        return None
    none = sum(map(get_character_cell_size, PROBE))
    return {none: 0, none + sum(char in spacing_signs() for char in PROBE): 1}.get((column or 0) - 1)


def _column(keyboard: int) -> int | None:
    """The column that the terminal tells, from 1."""
    said = b""
    deadline = time.monotonic() + PATIENCE
    while not (found := _ANSWER.search(said)):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([keyboard], [], [], left)[0]:
            return None
        said += os.read(keyboard, 1024)
    return int(found[1])


def count_one_cell() -> bool:
    """Have Rich, and so Textual and everything that is drawn, count one cell for a spacing sign.

    False when this Rich keeps its tables in some other way: then nothing was changed.
    """
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
    get_character_cell_size.cache_clear()
    cached_cell_len.cache_clear()
    return get_character_cell_size("\u093f") == 1


def _without_signs(first: int, last: int) -> list[tuple[int, int, int]]:
    """A range of characters of no cell in pieces, without the spacing signs in it."""
    pieces: list[tuple[int, int, int]] = []
    start = first
    for code in range(first, last + 2):
        if code > last or chr(code) in spacing_signs():
            if start < code:
                pieces.append((start, code - 1, 0))
            start = code + 1
    return pieces
