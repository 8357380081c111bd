"""Combining marks, and a bound on how many may follow each other.

Unicode's normal forms sort the marks of a character, and Python sorts them by insertion: 5 MB of two marks in turn
would take hours. Whoever normalises text from outside bounds it here first. No language puts even ten marks on
one character, so nothing that anybody wrote is changed.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import chain

# Where marks are: not in the blocks of ideographs, syllables and private use, which are half of all there is.
_BLOCKS = (
    *(range(0x300, 0x3400), range(0xA000, 0xAC00), range(0xFB00, 0x17000)),
    *(range(0x1BC00, 0x1E950), range(0xE0100, 0xE01F0)),
)

MOST = 512  # marks in a row; a shorter text need not be looked at, and that many are sorted in a tenth of a ms


@cache
def mark_ranges() -> str:
    """All marks as ranges for the inside of a class of a regular expression."""
    ranges: list[list[int]] = []
    for code in chain.from_iterable(_BLOCKS):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


@cache
def _flood() -> re.Pattern[str]:
    # With the Japanese voice marks of half width, which are letters that become marks.
    mark = f"[{mark_ranges()}\uff9e\uff9f]"
    return re.compile(f"({mark}{{{MOST}}}){mark}+")


def bounded(text: str) -> str:
    """`text` without the marks that follow MOST others. It distributes over texts joined by a line feed."""
    return text if len(text) <= MOST or text.isascii() else _flood().sub(r"\1", text)
