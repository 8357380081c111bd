"""Where the terms of a query stand in a displayed text: places in the text as it is, not as it is compared."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate

from core.marks import mark_ranges
from core.query.match import BETWEEN, near, sequence
from core.query.text import Unit, normalise, units, word_pattern, words
from core.query.tree import Entity, Term, Words
from core.utf8 import beyond_ascii, utf8

# A character and what may melt into it: marks, invisible characters, Korean vowels, Japanese voice marks.
_CLUSTER_TAIL = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\u1160-\u11ff\uff9e\uff9f"
_KNOWN = 4096  # characters that are remembered

Span = tuple[int, int]


class Highlighter:
    """Finds the positive terms of one query in texts."""

    def __init__(self, positive: Iterable[Term]) -> None:
        self._single: set[str] = set()
        self._phrases: set[tuple[str, ...]] = set()
        self._near: set[tuple[tuple[str, ...], int]] = set()
        self._names: set[str] = set()
        for term in positive:
            match term:
                case Words(parts=parts, within=int(within)):
                    self._near.add((parts, within))
                case Words(parts=(one,)):
                    self._single.add(one)
                case Words(parts=parts):
                    self._phrases.add(parts)
                case Entity(kind=kind, name=name):
                    self._names.add(kind + normalise(name))
                case _:
                    pass  # an operator asks for something that is not in the text
        phrases = (*self._phrases, *(parts for parts, _ in self._near))
        # A unit is a part of the normalised text, so a text without any of these has no term in it. Which words
        # there are is known without the tokenizer; emoji and phrases need it.
        emoji = {one for one in self._single if not _is_word(one)}
        self._units_for = frozenset((*emoji, *(max(parts, key=len) for parts in phrases)))
        self._needles = self._units_for | self._single | self._names
        self._words = {one for one in self._single if words(one) == [one]}

    def spans(self, text: str) -> list[Span]:
        """The ranges of code points (start, end) that terms matched, in order, none touching another's inside."""
        normal = normalise(text)
        if not any(needle in normal for needle in self._needles):
            return []
        starts, ends = _aligned(text, normal)
        if any(needle in normal for needle in self._units_for):
            places = self._in_units(units(normal))
        else:
            places = [place for word in self._words for place in _alone(word, normal)]
        places += (place for name in self._names for place in _alone(name, normal))
        return _merged((starts[start], ends[end - 1]) for start, end in places)

    def _in_units(self, found: list[Unit]) -> list[Span]:
        """Where words, emoji and phrases stand."""
        places = [(unit.start, unit.end) for unit in found if unit.text in self._single]
        for parts, within in self._near:
            places += [(found[first].start, found[last].end) for first, last in near(found, parts, within)]
        if self._phrases:
            joined = sequence(unit.text for unit in found)
            # Where each unit begins in `joined`: a separator stands before each.
            begins = list(accumulate((len(unit.text) + 1 for unit in found), initial=0))
            for parts in self._phrases:
                phrase = sequence(parts)
                at = joined.find(phrase)
                while at >= 0:
                    first = bisect_right(begins, at) - 1
                    places.append((found[first].start, found[first + len(parts) - 1].end))
                    at = joined.find(phrase, at + len(phrase) - len(BETWEEN))
        return places


def _alone(name: str, normal: str) -> Iterator[Span]:
    """Where the name stands with no letter beside it."""
    at = normal.find(name)
    while at >= 0:
        end = at + len(name)
        if not (_is_word(normal[end : end + 1]) or (at and _is_word(normal[at - 1]))):
            yield at, end
        at = normal.find(name, end)


@lru_cache(maxsize=1024)
def _is_word(char: str) -> bool:
    return word_pattern().match(char) is not None


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


_NONE = "\udfff"


class _OneForOne(dict[int, str]):
    """Characters as they are compared, for `str.translate`. A character that may melt into its neighbour, or
    becomes none or several, is none that any text has."""

    def __missing__(self, code: int) -> str:
        normal = normalise(chr(code))
        if len(self) >= _KNOWN:
            self.clear()
        self[code] = _NONE if len(normal) != 1 or re.match(_tail(), chr(code)) else normal
        return self[code]


_one_for_one = _OneForOne()


def _is_lowered(text: str, normal: str) -> bool:
    """Whether each character became one in its place, which is that of `lower`. Few have to be looked up."""
    return text.lower() == normal and all(_one_for_one[ord(char)] != _NONE for char in beyond_ascii(utf8(text)))


def _tail() -> str:
    return f"[{mark_ranges()}{_CLUSTER_TAIL}]"


def _aligned(text: str, normal: str) -> tuple[list[int] | range, list[int] | range]:
    """For each character of the normalised text where in `text` it comes from: starts and ends."""
    if text.isascii() or _is_lowered(text, normal) or text.translate(_one_for_one) == normal:  # as most are
        return range(len(text)), range(1, len(text) + 1)
    # Where a cluster turns out to be too small, take whole runs, then the whole text.
    tail = _tail()
    for pattern in (rf"[\x00-\x7f]+(?!{tail})|(?s:.){tail}*", r"\s|\S+", r"(?s:.+)"):
        pieces: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for match in re.finditer(pattern, text):
            piece = normalise(match.group())
            pieces.append(piece)
            if match.group().isascii():
                starts += range(*match.span())
                ends += range(match.start() + 1, match.end() + 1)
                continue
            starts += [match.start()] * len(piece)
            ends += [match.end()] * len(piece)
        if "".join(pieces) == normal:
            break
    return starts, ends
