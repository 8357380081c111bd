"""The words of a text, by NLTK's TweetTokenizer. What a query may find is decided here and nowhere else.

`normalise` makes spellings equal that look equal: invisible characters go, Unicode's compatibility forms (NFKC)
become plain ones, case is folded. TweetTokenizer then reads tags, mentions, addresses, e-mail addresses and emoji.
The units of a text are

- words: runs of letters, marks, digits and `_`. All other characters separate words, also inside a token
  (`coca-cola` is two). A border of tokens is no border of words: the tokenizer sees the emoticon `:p` in
  `genre:pop` and `8p` in `8pm`, and the words are genre, pop and 8pm all the same;
- emoji: a symbol is a unit of its own, one with a skin tone and a flag are one unit;
- borders of links: the words of a link count, but no phrase begins outside of it and ends inside.

So the words of a text are exactly `word_pattern().findall(normalise(text))`, without any tokenizer; match.py
builds its fast path on that, and a property test holds it. The tokenizer decides what phrases and emoji are.

Its expressions take quadratic time on some junk ("a.a.a.a."). It therefore reads a text in runs without a space,
at most PIECE characters at a time: a link longer than that ends there, an emoji may be cut there, words are not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from core.marks import bounded, mark_ranges
from core.utf8 import beyond_ascii, utf8

PIECE = 256

_UNSEEN = "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
_INVISIBLE = re.compile(f"[{_UNSEEN}]+")
# NFKC would make the sign in "music™" the letters "tm" and glue them to the word; U+2800 looks like a space.
_BLANK = re.compile("[\u2120\u2122\u2800]")
# Every character that `normalise` turns into a letter, digit or `_` of ASCII, and some more.
_TO_ASCII = (
    "\u00aa\u00b2\u00b3\u00b9\u00ba\u00bc-\u00be\u00df\u0130-\u0133\u013f-\u0149\u017f\u01c4-\u01f3\u02b0-\u02e3"
    "\u1d2c-\u1dbb\u1e9a-\u1e9e\u2070-\u209c\u20a8\u2100-\u2189\u2460-\u24ea\u2c7c\u2c7d\u3250-\u33ff"
    "\ua7f2-\ua7f4\ufb00-\ufb06\ufe33-\ufe4f\uff10-\uff5a"
    "\U000107a5\U0001d400-\U0001d7ff\U0001f100-\U0001f190\U0001fbf0-\U0001fbf9"
)
_ODD = re.compile(f"[{_UNSEEN}{_TO_ASCII}]")
_BECOMES_ASCII = re.compile(f"[{_TO_ASCII}]")
_UNSEEN_ONE = re.compile(f"[{_UNSEEN}]")
# Not every character that `normalise` only turns into lower case, wherever it stands, but those of most posts.
_SETTLED = (
    "\u00a1-\u00a7\u00a9\u00ab\u00ae\u00b0\u00b1\u00b6\u00b7\u00bb\u00bf-\u00de\u00e0-\u012f\u0131\u0134-\u013e\u014a-\u017e"
    "\u03a4-\u03af\u03b1-\u03c1\u03c3-\u03cf\u0400-\u0482\u048a-\u052f\u05d0-\u05ea\u061d-\u064a\u0660-\u066f"
    "\u0904-\u0939\u0e01-\u0e30\u2012-\u2016\u2018-\u2023\u2190-\u222b\u2600-\u27bf\u3001-\u3029\u3041-\u3096\u30a0-\u30fe"
    "\u4e00-\u9fff\uac00-\ud7a3\U0001f1e6-\U0001f1ff\U0001f300-\U0001f6d7\U0001f900-\U0001faff"
)
_UNSETTLED = re.compile(f"[^{_SETTLED}]")
_ASCII_RUN = re.compile(rb"[a-z0-9_]+")
_RUN = re.compile(rf"\S{{1,{PIECE}}}")
_LINK = re.compile(r"https?:/|[a-z0-9.\-]{1,255}\.[a-z]{2,13}/")
_EMOJI_FROM = "\U0001f000"


class Unit(NamedTuple):
    """A word or an emoji at `start:end` of a normalised text; an empty text is the border of a link."""

    text: str
    start: int
    end: int


def normalise(text: str) -> str:
    """`text` in the one spelling that is compared. It distributes over texts joined by a line feed."""
    if text.isascii():
        return text.lower()
    rest = beyond_ascii(utf8(text))
    if _INVISIBLE.search(rest):
        text, rest = _INVISIBLE.sub("", text), _INVISIBLE.sub("", rest)
    if _UNSETTLED.search(rest) is None:
        return text.lower()
    if _BLANK.search(rest):
        text = _BLANK.sub(" ", text)
    text = bounded(text)
    # Folding can undo NFKC, so it comes in between, as in Unicode's own NFKC_Casefold.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


# Whether one of some needles may stand in UTF-8 of lower case.
Sieve = Callable[[bytes], bool]


def parts_in(needles: Sequence[bytes]) -> Sieve:
    """Whether one of the needles is a part of it."""
    if len(needles) == 1:
        return lambda low, needle=needles[0]: needle in low  # type: ignore[misc]
    return lambda low: any(map(low.__contains__, needles))


def words_in(needles: Sequence[bytes], *, at_once: bool) -> Sieve:
    """Whether one of the needles stands in it, and no letter, digit or `_` of ASCII beside it.

    `at_once` looks all words up instead of searching the needles one by one: for many of them.
    """
    if at_once:
        table = frozenset(needles)
        return lambda low: not table.isdisjoint(_ASCII_RUN.findall(low))
    # The word comes first: it is what `re` can look for fast.
    whole = re.compile(b"|".join(rb"%b(?![a-z0-9_])(?<![a-z0-9_]%b)" % (needle, needle) for needle in needles))
    if len(needles) == 1:
        return lambda low: whole.search(low) is not None
    part = parts_in(needles)
    return lambda low: part(low) and whole.search(low) is not None


@lru_cache(4096)
def alone_in_ascii(word: str) -> re.Pattern[bytes] | None:
    """What finds a word of ASCII in `lowered(text)` where it surely is one of `words(normalise(text))`.

    Left and right of it stands nothing, or what is ASCII and part of no word: `normalise` never joins that to a
    letter, nor takes it away. None for another kind of word.
    """
    if not _ASCII_RUN.fullmatch(low := utf8(word)):
        return None
    # The word comes first: it is what `re` can look for fast.
    return re.compile(rb"%b(?![a-z0-9_\x80-\xff])(?<![a-z0-9_\x80-\xff]%b)" % (low, low))


def surely_lacks(text: str, low: bytes, sieve: Sieve) -> bool:
    """Whether none of the sieve's needles is a part of `normalise(text)`, found out without normalising it.

    `low` is `lowered(text)`.

    With words_in: whether none is a word there, at least by what is beside it in ASCII. A letter or digit of ASCII
    is part of a word whatever follows it.

    The needles are letters, digits and `_` of ASCII in lower case. One of those in the normal form was itself in
    the text, or one of _TO_ASCII; and two come together only when what stood between them was invisible. So a text
    with neither has no needle that it does not have in lower case. False says nothing.
    """
    if sieve(low):
        return False
    if text.isascii() or _ODD.search(rest := beyond_ascii(low)) is None:
        return True
    return _BECOMES_ASCII.search(rest) is None and not _hides_in_ascii(text, set(_UNSEEN_ONE.findall(rest)))


def _hides_in_ascii(text: str, unseen: Iterable[str]) -> bool:
    """Whether one of these characters stands behind a letter, digit or `_` of ASCII."""
    for char in unseen:
        at = text.find(char)
        while at >= 0:
            before = text[at - 1 : at]
            if before.isascii() and (before.isalnum() or before == "_"):
                return True
            at = text.find(char, at + 1)
    return False


@cache
def word_pattern() -> re.Pattern[str]:
    r"""What a word is, in normalised text: `\w` and the marks that Python's `\w` lacks (vowel signs, accents)."""
    return re.compile(rf"[\w{mark_ranges()}]+")


_ASCII_WORD = re.compile(r"\w+", re.ASCII)


def words(normal: str) -> list[str]:
    """The words of a normalised text, in order."""
    return (_ASCII_WORD if normal.isascii() else word_pattern()).findall(normal)


def is_emoji(char: str) -> bool:
    """Whether a character that is part of no word can be looked for: emoji and other pictures."""
    return char >= _EMOJI_FROM or (char > "\x7f" and unicodedata.category(char) == "So")


@cache
def _tweet_tokenizer() -> Any:
    """TweetTokenizer's expression, which tells where a token stands; loaded late since NLTK takes 0.2 s.

    `tokenize()` would resolve HTML entities a second time ("rock&music;" loses its word) and shorten repeated
    characters, and its tokens could not be found again in the text.
    """
    from nltk.tokenize.casual import TweetTokenizer  # noqa: PLC0415

    return TweetTokenizer().WORD_RE


def has_emoji(normal: str) -> bool:
    """Whether there is an emoji in a normalised text."""
    return not normal.isascii() and any(map(is_emoji, word_pattern().sub("", normal)))


def _tokens(normal: str, *, everywhere: bool) -> Iterator[tuple[str, int]]:
    """The tokens of a normalised text, each with its place.

    No token crosses a space, a link has a slash, and words do not depend on tokens: a run with neither slash nor
    emoji gives the same units in one piece. Unless `everywhere`, the tokenizer is spared those.
    """
    if not everywhere and "/" not in normal and normal.isascii():
        yield normal, 0
        return
    read_to = -1  # where the last piece ended that the tokenizer read: what goes on there may be a link's rest
    for run in _RUN.finditer(normal):
        piece = run.group()
        if not everywhere and run.start() != read_to and "/" not in piece and not has_emoji(piece):
            yield piece, run.start()
            continue
        read_to = run.end()
        # The time limit that NLTK sets would fire when the machine sleeps; the length is the limit here.
        for match in _tweet_tokenizer().finditer(piece, timeout=None):
            yield match.group(), run.start() + match.start()


def units(normal: str, *, everywhere: bool = False) -> list[Unit]:
    """The words, emoji and borders of links of a normalised text, in order.

    `everywhere` has the tokenizer read every part, also where the outcome is known without it.
    """
    found: list[Unit] = []
    word_end = -1  # where the last word ended, as long as it can grow
    leaving = False  # a link's end was passed and its border is not noted yet
    pattern = word_pattern()
    for token, start in _tokens(normal, everywhere=everywhere):
        joined = start == word_end and pattern.match(token) is not None  # goes on with the last word
        link = _LINK.match(token) is not None and not joined
        if leaving and not joined:
            found.append(Unit("", start, start))
            leaving = False
        if link:
            found.append(Unit("", start, start))
        at = 0
        for match in pattern.finditer(token):
            _add_emoji(found, token[at : match.start()], start + at, whole=False)
            at = match.end()
            if joined and match.start() == 0:
                grown = found.pop()
                found.append(Unit(grown.text + match.group(), grown.start, start + at))
            else:
                found.append(Unit(match.group(), start + match.start(), start + at))
            word_end = start + at
        _add_emoji(found, token[at:], start + at, whole=at == 0)
        leaving = leaving or link
    return found


def _add_emoji(found: list[Unit], between: str, start: int, *, whole: bool) -> None:
    """Add what is no word: a token of emoji only is one unit, otherwise every emoji in it is."""
    if not between or between.isascii():
        return
    if whole and all(map(is_emoji, between)):
        found.append(Unit(between, start, start + len(between)))
        return
    found += [Unit(char, start + i, start + i + 1) for i, char in enumerate(between) if is_emoji(char)]


def parts(term: str) -> tuple[str, ...]:
    """The units of a term of a query: its words and emoji in order, nothing between them."""
    normal = normalise(term)
    if not has_emoji(normal):
        return tuple(words(normal))
    return tuple(unit.text for unit in units(normal) if unit.text)
