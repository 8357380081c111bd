"""Lines of text with meaning instead of colours, measured in terminal cells.

A Line is a tuple of spans, each a text and the name of its ink. Everything the dashboard draws is made of Lines by
pure functions; only `painted.py` turns ink into the colours of the theme. Texts given to these functions are clean
(see sanitise.py), so a text's width is the sum of its characters' widths.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.cells import get_character_cell_size

from core.utf8 import beyond_ascii, utf8

Span = tuple[str, str]
Line = tuple[Span, ...]

# Every ink, and what it is for. The stylesheet gives each a colour; none is told from another by colour alone.
INKS = (
    "text",  # what is read
    "strong",  # the number one looks for
    "dim",  # labels, and posts that do not count
    "dim-match",  # a term of the topic inside such a post
    "author",  # who wrote a post
    "faint",  # rules and base lines
    "faint-text",  # captions of plots
    "plot",  # bars that are not the accent's
    "accent",  # the one accent: the name, plots
    "title",  # the name of a section
    "match",  # a term of the topic inside a post
    "hit",  # what the filter found
    "ok",  # well
    "warn",  # waiting, behind
    "bad",  # stopped, lost
    "warn-chip",  # the same two, loud
    "bad-chip",
    "chip",  # a quiet label: DEMO
    "key",  # a key one can press
)

KNOWN_LENGTH = 600  # characters of the longest text whose width is remembered: a row of the feed, no monster
ON_LOUD = frozenset(("hit", "chip", "warn-chip", "bad-chip"))  # inks with a background of their own


def cells(text: str) -> int:
    """Cells that a text takes. Rich asks for each character, and hardly one is beyond ASCII."""
    if text.isascii():
        return len(text)
    return known_cells(text) if len(text) <= KNOWN_LENGTH else _count(text)


@lru_cache(1024)
def known_cells(text: str) -> int:
    """The same, remembered: a text is measured several times until it is drawn."""
    return _count(text)


def _count(text: str) -> int:
    rest = beyond_ascii(utf8(text))
    return len(text) - len(rest) + sum(map(get_character_cell_size, rest))


def line_width(line: Iterable[Span]) -> int:
    """Cells that the line takes."""
    return sum(cells(text) for text, _ in line)


def take(text: str, width: int) -> str:
    """The longest beginning of the text that fits into `width` cells, never half a character."""
    if width <= 0:
        return ""
    if cells(text) <= width:
        return text
    used = 0
    for index, char in enumerate(text):
        used += get_character_cell_size(char)
        if used > width:
            return text[:index]
    return text


def clip(text: str, width: int) -> str:
    """The text in at most `width` cells, ending in an ellipsis when something was cut off."""
    if cells(text) <= width:
        return text
    return take(text, width - 1).rstrip() + "…" if width > 0 else ""


def pad(text: str, width: int) -> str:
    """The text in exactly `width` cells, left-aligned."""
    text = clip(text, width)
    return text + " " * (width - cells(text))


def fit(line: Iterable[Span], width: int) -> Line:
    """The line in exactly `width` cells: cut with an ellipsis, or filled with blanks."""
    spans = [span for span in line if span[0]]
    last = max((index for index, (text, _) in enumerate(spans) if text.strip()), default=0)
    room = width
    fitted: list[Span] = []
    for index, (whole, ink) in enumerate(spans):
        text = whole
        rest = index < last
        if not rest and cells(text) > room:
            text = text.rstrip() or " " * room  # blanks at the end are not worth an ellipsis
        size = cells(text)
        if size > room or (size == room and rest):
            cut = take(text, room - 1).rstrip() + "…" if room > 0 else ""
            fitted.append((cut, ink))
            room -= cells(cut)
            break
        fitted.append((text, ink))
        room -= size
    if room > 0:
        fitted.append((" " * room, "text"))
    return tuple(fitted)


def spread(left: Iterable[Span], right: Iterable[Span], width: int) -> Line:
    """Two lines on one: the right one whole at the right edge, the left one in what remains."""
    edge = tuple(right)
    edge = fit(edge, min(line_width(edge), width))
    return (*fit(left, width - line_width(edge)), *edge)


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, broken between words where there are any."""
    lines: list[str] = []
    current, used = "", 0
    for word in text.split(" "):
        last, size = word, cells(word)
        if current and used + 1 + size <= width:
            current, used = f"{current} {word}", used + 1 + size
            continue
        if current:
            lines.append(current)
        if size > width > 0:
            *whole, last = _pieces(word, width)
            lines += whole
            size = cells(last)
        current, used = last, size
    lines.append(current)
    return lines


def _pieces(word: str, width: int) -> list[str]:
    """A word in pieces of at most `width` cells, a character that is wider alone. Linear in its length."""
    pieces: list[str] = []
    start = used = 0
    for index, char in enumerate(word):
        size = get_character_cell_size(char)
        if used + size > width and index > start:
            pieces.append(word[start:index])
            start = index
            used = 0
        used += size
    return [*pieces, word[start:]]
