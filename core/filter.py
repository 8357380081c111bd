"""Which posts somebody wants to see: a text in one of four readings, for the feed's memory and all that is stored.

    Wanted("new al")                        the author or the text has these characters in it, in any case
    Wanted("al new", Mode.WORDS)            it has these words, each whole, in any order
    Wanted(r"album(s|)\\b", Mode.REGEX)      this regular expression finds something in it
    Wanted("from:ana lang:es", Mode.QUERY)  the query language of keywords and topics says yes

`compile_filter` reads a Wanted, or says what is wrong with it. A Filter never hangs: an expression that takes too
long over a post finds nothing more, and says so (`slow`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Any

import msgspec

from core.errors import QueryError
from core.post import Post

# Seconds that a regular expression may take over one text, and how often it may take longer until it is given up.
PATIENCE = 0.02
STRIKES = 3

Span = tuple[int, int]


class Mode(StrEnum):
    """How the text of a filter is read."""

    TEXT = "text"
    WORDS = "words"
    REGEX = "regex"
    QUERY = "query"


class Wanted(msgspec.Struct, frozen=True):
    """What somebody wants to see; plain data that can be sent to a capture. Empty: everything."""

    text: str = ""
    mode: Mode = Mode.TEXT
    starred: bool = False  # only posts that have a star
    unmatched: bool = False  # among what is stored: also posts that are not about the topic

    def __bool__(self) -> bool:
        return bool(self.text or self.starred)


def haystack(post: Post) -> str:
    """What is searched: the author as the feed names him, and the text."""
    author = post.author
    return f"@{author.username} {author.name}\n{post.text}"


class Filter(ABC):
    """A Wanted that was read and found good. May be used from any thread."""

    slow = False  # it took too long and was given up

    @abstractmethod
    def matches(self, post: Post) -> bool:
        """Whether the post is wanted. Stars are not asked for here: a Post does not know of them."""

    @abstractmethod
    def spans(self, text: str) -> list[Span]:
        """The ranges of characters of a displayed text that made it match, in order."""


class _Everything(Filter):
    def matches(self, post: Post) -> bool:
        return True

    def spans(self, text: str) -> list[Span]:
        return []


class _Text(Filter):
    def __init__(self, text: str) -> None:
        self._needle = text.casefold()

    def matches(self, post: Post) -> bool:
        return self._needle in haystack(post).casefold()

    def spans(self, text: str) -> list[Span]:
        folded = text.casefold()
        if len(folded) != len(text):
            return []  # places in the two differ: nothing is better than something wrong
        found: list[Span] = []
        place = folded.find(self._needle)
        while place >= 0:
            end = place + len(self._needle)
            found.append((place, end))
            place = folded.find(self._needle, end)
        return found


class _Words(Filter):
    def __init__(self, text: str) -> None:
        words = dict.fromkeys(text.casefold().split())
        self._each = [re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE) for word in words]

    def matches(self, post: Post) -> bool:
        text = haystack(post).casefold()
        return all(word.search(text) for word in self._each)

    def spans(self, text: str) -> list[Span]:
        return sorted(match.span() for word in self._each for match in word.finditer(text))


class _Regex(Filter):
    """Python's `re` can neither be stopped nor lets other threads run meanwhile; the `regex` package does both."""

    def __init__(self, text: str) -> None:
        import regex  # noqa: PLC0415 - costs 30 ms, and most filters are plain texts

        try:
            self._pattern: Any = regex.compile(text, regex.IGNORECASE | regex.MULTILINE)
        except regex.error as error:
            position = 0 if error.pos is None else error.pos + 1
            raise QueryError(
                str(error.msg), position, text, "A backslash takes a sign as itself: \\( \\+ \\?"
            ) from None
        self._strikes = 0

    def matches(self, post: Post) -> bool:
        text = haystack(post)
        return bool(self._patiently(lambda: self._pattern.search(text, timeout=PATIENCE, concurrent=True)))

    def spans(self, text: str) -> list[Span]:
        found = self._patiently(
            lambda: [match.span() for match in self._pattern.finditer(text, timeout=PATIENCE, concurrent=True)]
        )
        return [(start, end) for start, end in found or [] if start < end]

    def _patiently(self, search: Any) -> Any:
        if self.slow:
            return None
        try:
            return search()
        except TimeoutError:
            self._strikes += 1
            self.slow = self._strikes >= STRIKES
            return None


class _Query(Filter):
    def __init__(self, text: str) -> None:
        from core.query import parse_topic  # noqa: PLC0415 - brings NLTK with it

        self._query = parse_topic(text)

    def matches(self, post: Post) -> bool:
        return self._query.match(post) is not None

    def spans(self, text: str) -> list[Span]:
        return self._query.spans(text)


def compile_filter(wanted: Wanted) -> Filter:
    """Read a Wanted. Raises QueryError with position and hint. The first query imports NLTK (0.3 s)."""
    text = wanted.text.strip() if wanted.mode in (Mode.WORDS, Mode.QUERY) else wanted.text
    if not text:
        return _Everything()
    match wanted.mode:
        case Mode.TEXT:
            return _Text(text)
        case Mode.WORDS:
            return _Words(text)
        case Mode.REGEX:
            return _Regex(text)
        case Mode.QUERY:
            return _Query(text)
