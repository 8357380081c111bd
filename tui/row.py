"""One post as one row of the feed: sign, time, author, and the text from its start.

12:41:08  @melody_k      JB just dropped the new music video 🎵 #music
12:41:06  @r4dio       = a duplicate is dim and has this sign
12:41:05  @ana         · a post that is not about the topic
12:40:11  @pop_daily   « fetched afterwards to fill a gap
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.snapshot import FeedRow, Verdict
from tui.ink import Line, Span, clip, fit, pad
from tui.sanitise import clean
from tui.words import clock, minute

Finder = Callable[[str], Iterable[tuple[int, int]]]

SIGNS = {Verdict.MATCHED: " ", Verdict.DUPLICATE: "=", Verdict.FILTERED: "·"}
BACKFILLED = "«"
CURSOR = "▌"

# A row is one line: no more of a post than this is ever looked at to draw it.
MOST_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the feed at a width, in cells."""

    author: int
    seconds: bool

    @classmethod
    def of(cls, width: int) -> Columns:
        """What fits: the text always gets the most."""
        if width < 64:
            return cls(author=10, seconds=False)
        return cls(author=14 if width < 100 else 18, seconds=True)


def sign(row: FeedRow) -> str:
    """What the row is, as one character."""
    return BACKFILLED if row.backfilled and row.verdict is Verdict.MATCHED else SIGNS[row.verdict]


def author_name(row: FeedRow) -> str:
    """The author as the feed names him."""
    author = row.post.author
    username, name = author.username[:MOST_CHARACTERS], author.name[:MOST_CHARACTERS]
    return f"@{clean(username)}" if username else clean(name) or "–"


def draw_row(
    row: FeedRow, width: int, terms: Finder | None = None, needle: str = "", cursor: bool = False
) -> Line:
    """The row in exactly `width` cells. `terms` finds the topic's terms in a text, `needle` is the filter."""
    columns = Columns.of(width)
    quiet = row.verdict is not Verdict.MATCHED
    at = clock(row.received_at) if columns.seconds else minute(row.received_at)
    gap = "  " if columns.seconds else " "
    text = clean(row.post.text[:MOST_CHARACTERS])
    found = terms if terms is not None and row.verdict is not Verdict.FILTERED else None
    spans: list[Span] = [
        (CURSOR if cursor else " ", "accent"),
        (f"{at}{gap}", "dim"),
        (pad(clip(author_name(row), columns.author), columns.author), "dim" if quiet else "author"),
        (f" {sign(row)} ", "dim"),
        *marked(text, found, needle, "dim" if quiet else "text", "dim-match" if quiet else "match"),
    ]
    return fit(spans, width)


def marked(text: str, terms: Finder | None, needle: str, ink: str, match_ink: str = "match") -> list[Span]:
    """The text with the topic's terms and the filter's hits in their own inks; a hit wins over a term."""
    inks = [ink] * len(text)
    if terms is not None:
        for start, end in terms(text):
            inks[start:end] = [match_ink] * (end - start)
    if needle:
        folded = text.casefold()
        if len(folded) == len(text):  # else places in the two differ: the row is shown without marks
            place = folded.find(needle)
            while place >= 0:
                inks[place : place + len(needle)] = ["hit"] * len(needle)
                place = folded.find(needle, place + len(needle))
    spans: list[Span] = []
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or inks[end] != inks[start]:
            spans.append((text[start:end], inks[start]))
            start = end
    return spans
