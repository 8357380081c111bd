"""One post as one row of the feed: sign, time, author, and the text from its start.

12:41:08  @melody_k      JB just dropped the new music video 🎵 #music
12:41:06  @r4dio       = a duplicate is dim and has this sign
12:41:05  @ana         · a post that is not about the topic
12:40:11  @pop_daily   « fetched afterwards to fill a gap
12:40:09 ★@ana           a post that somebody marked
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec

from core.snapshot import FeedRow, Verdict
from tui.ink import Line, Span, cells, clip, fit, line_width, pad
from tui.sanitise import clean
from tui.words import clock, minute

Finder = Callable[[str], Iterable[tuple[int, int]]]

SIGNS = {Verdict.MATCHED: " ", Verdict.DUPLICATE: "=", Verdict.FILTERED: "·"}
BACKFILLED = "«"
CURSOR = "▌"
STAR = "★"

# A row is one line: no more of a post than this is ever looked at to draw it.
MOST_CHARACTERS = 600

LEAD = 12  # cells that are shown before what was found


class Columns(msgspec.Struct, frozen=True):
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
    row: FeedRow,
    width: int,
    terms: Finder | None = None,
    hits: Finder | None = None,
    *,
    cursor: bool = False,
    starred: bool = False,
    aside: bool = False,
) -> Line:
    """The row in exactly `width` cells.

    `terms` finds the topic's terms in a text, `hits` what the filter looks for. A row that is only there for
    context (`aside`) is dim and has no marks of the filter. A text begins at its start, unless that would leave
    what the filter found outside of the row.
    """
    columns = Columns.of(width)
    quiet = aside or row.verdict is not Verdict.MATCHED
    at = clock(row.received_at) if columns.seconds else minute(row.received_at)
    text = clean(row.post.text[:MOST_CHARACTERS])
    found = terms if terms is not None and row.verdict is not Verdict.FILTERED else None
    shown_hits = None if aside else hits
    name = pad(clip(author_name(row), columns.author), columns.author)
    lead: list[Span] = [
        (CURSOR, "accent") if cursor else (" ", "dim"),
        (f"{at} " if columns.seconds else at, "dim"),
        (STAR, "accent") if starred else (" ", "dim"),
        *marked(name, None, shown_hits, "dim" if quiet else "author"),
        (f" {sign(row)} ", "dim"),
    ]
    words = marked(text, found, shown_hits, "dim" if quiet else "text", "dim-match" if quiet else "match")
    return fit([*lead, *from_hit(words, width - line_width(lead))], width)


def from_hit(spans: list[Span], width: int) -> list[Span]:
    """The spans from their start, or from a little before the first hit when that would not be seen in `width`."""
    first = next((number for number, (_, ink) in enumerate(spans) if ink == "hit"), None)
    if first is None or line_width(spans[: first + 1]) < width:
        return spans
    before = "".join(text for text, _ in spans[:first])
    start = len(before)
    while start and cells(before[start - 1 :]) <= LEAD:
        start -= 1
    if start == 0:
        return spans
    blank = before.find(" ", start)
    start = blank + 1 if 0 <= blank < len(before) - 1 else start  # at the start of a word, when there is one
    kept: list[Span] = [("…", "dim")]
    for text, ink in spans:
        if start < len(text):
            kept.append((text[max(start, 0) :], ink))
        start -= len(text)
    return kept


def marked(text: str, terms: Finder | None, hits: Finder | None, ink: str, match_ink: str = "match") -> list[Span]:
    """The text with the topic's terms and the filter's hits in their own inks; a hit wins over a term."""
    inks = [ink] * len(text)
    edges = {0, len(text)}
    for find, mark in ((terms, match_ink), (hits, "hit")):
        if find is not None:
            for start, end in find(text):
                inks[start:end] = [mark] * (end - start)
                edges.update((start, end))
    spans: list[Span] = []
    for start, end in pairwise(sorted(edges)):
        if spans and spans[-1][1] == inks[start]:
            spans[-1] = (spans[-1][0] + text[start:end], inks[start])
        else:
            spans.append((text[start:end], inks[start]))
    return spans
