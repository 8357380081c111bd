"""Does a post match? A tree is compiled once into tests, which look at a post through a View.

A View has what the tests ask for, computed when it is first asked for. PlainView takes everything from
TweetTokenizer's tokens. View, the fast one, takes the same from less, and is the same by construction:

- the words of a text are the runs of word characters, whatever the tokens are (text.py);
- a phrase needs all of its words, and an emoji its character, before the order of the units is asked for;
- that order needs the tokenizer only where a slash or an emoji stands (text.py);
- a match needs one of the `needles` of the query as a part of the normalised text, so that most posts are
  refused by a search for substrings, and most of these before they are normalised (text.py).

A single word is looked for where it may stand (`has_word`), and a few alternatives are tried one by one. Many are
looked up, not tried: `a OR b OR ...` keeps a table from a word that each needs to its test, and costs as much as
the post has words, not as the query has terms. (Those without any word, such as emoji or `lang:`, are tried.)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import methodcaller
from typing import Any, Generic, Literal, TypeVar

from core.post import Content, RefKind
from core.query.operators import answers_locally
from core.query.rules import undecidable
from core.query.text import (
    Unit,
    alone_in_ascii,
    normalise,
    parts,
    parts_in,
    surely_lacks,
    units,
    word_pattern,
    words,
    words_in,
)
from core.query.tree import And, Entity, Node, Not, Operator, Or, Term, Words
from core.utf8 import lowered

# More needles or alternatives than this are not searched one by one: the table of words is faster then.
MAX_NEEDLES = 12

# Combinations of terms whose names are kept: most posts match by the same few.
MOST_NAMED = 1000

# Between two units of a sequence; no unit holds it. The border of a link is an empty unit.
BETWEEN = "\x1f"

_CASHTAG = re.compile(r"(?<![\w$])\$([a-z]{1,6}(?:[._][a-z]{1,2})?)(?!\w)")
_ASCII_NEEDLE = re.compile("[a-z0-9_]+")
_LINK_IN_TEXT = re.compile(r"https?://\S+")


_NO_NAMES: frozenset[str] = frozenset()

T = TypeVar("T")


class _once(Generic[T]):
    """functools.cached_property without its lock, which costs more than most of what a View holds."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__

    def __get__(self, view: Any, _: type) -> T:
        value = view.__dict__[self._name] = self._compute(view)
        return value


def _texts_of(post: Content, quoted: bool) -> tuple[str, ...]:
    return (post.text, post.quoted_text) if quoted and post.quoted_text else (post.text,)


def _segments(post: Content, texts: tuple[str, ...]) -> tuple[str, ...]:
    return (*texts, *post.tags, *post.mentions, *post.links)


class View:
    """One post as the tests see it. All strings are normalised."""

    def __init__(self, post: Content, texts: tuple[str, ...], low: bytes) -> None:
        """`low`: the first text, `lowered`, where most words are that are found."""
        self.post = post
        self._texts = texts
        self.low = low

    @_once
    def normal(self) -> str:
        """All segments in lines."""
        return normalise("\n".join(self.segments))

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of the post that hold words; no phrase goes from one into the next."""
        return _segments(self.post, self._texts)

    @_once
    def words(self) -> frozenset[str]:
        """Every word of every segment."""
        return frozenset(words(self.normal))

    def has_word(self, word: str) -> bool:
        """Whether that is one of the words: it stands somewhere, and no word character before or behind it.

        Most words of ASCII stand between two characters of ASCII, which nothing has to be normalised for.
        """
        if (alone := alone_in_ascii(word)) is not None and alone.search(self.low) is not None:
            return True
        normal = self.normal
        at = normal.find(word)
        while at >= 0:
            end = at + len(word)
            if not _goes_on(normal[at - 1 : at]) and not _goes_on(normal[end : end + 1]):
                return True
            at = normal.find(word, at + 1)
        return False

    def units(self) -> Iterator[list[Unit]]:
        """The units of each segment."""
        return (units(normalise(segment)) for segment in self.segments)

    @_once
    def sequence(self) -> str:
        """Every unit of every segment in order, BETWEEN them."""
        return sequence(unit.text for segment in self.units() for unit in (*segment, Unit("", 0, 0)))

    @_once
    def tags(self) -> frozenset[str]:
        """The names of the tags."""
        return frozenset(map(normalise, self.post.tags)) if self.post.tags else _NO_NAMES

    @_once
    def mentions(self) -> frozenset[str]:
        """The names of those mentioned."""
        return frozenset(map(normalise, self.post.mentions))

    @_once
    def authors(self) -> frozenset[str]:
        """The author's name and id."""
        return frozenset((normalise(self.post.author.username), self.post.author.id)) - {""}

    @_once
    def cashtags(self) -> frozenset[str]:
        """The cashtags that stand in the text."""
        return frozenset(name for text in self._texts for name in _CASHTAG.findall(normalise(text)))

    @_once
    def links(self) -> str:
        """The words of the post's links and of the addresses in its text, a border between two links."""
        written = (link for text in self._texts for link in _LINK_IN_TEXT.findall(normalise(text)))
        return sequence(
            word for link in (*map(normalise, self.post.links), *written) for word in (*words(link), "")
        )


class PlainView(View):
    """The same without any short cut: everything is taken from the tokens."""

    def __init__(self, post: Content, texts: tuple[str, ...]) -> None:
        super().__init__(post, texts, b"")

    @_once
    def words(self) -> frozenset[str]:
        """Every word of every segment, from the tokens."""
        return frozenset(unit.text for segment in self.units() for unit in segment)

    def has_word(self, word: str) -> bool:
        """Whether that is one of the words."""
        return word in self.words

    def units(self) -> Iterator[list[Unit]]:
        """The units of each segment, the tokenizer asked everywhere."""
        return (units(normalise(segment), everywhere=True) for segment in self.segments)


def _goes_on(char: str) -> bool:
    """Whether a character, if there is one, is part of the word that it touches."""
    return bool(char) and (
        char.isalnum() or char == "_" or (not char.isascii() and word_pattern().match(char) is not None)
    )


def sequence(texts: Iterable[str]) -> str:
    """Units as one string, in which a phrase is a part."""
    return BETWEEN + BETWEEN.join(texts) + BETWEEN


# The numbers of the positive terms that matched, or None: no match.
Hits = frozenset[int] | None
Test = Callable[[View], Hits]
# Where a table of alternatives looks a key up.
Table = Literal["words", "tags", "mentions", "authors"]

_NOTHING: frozenset[int] = frozenset()


class Matcher:
    """A compiled query. Raises QueryError for a term that no Post can answer."""

    def __init__(self, text: str, node: Node, positive: Iterable[Term]) -> None:
        self._text = text
        self.terms = tuple(dict.fromkeys(term.written for term in positive))
        self._named: dict[frozenset[int], tuple[str, ...]] = {}  # what _names has answered
        self._number = {written: number for number, written in enumerate(self.terms)}
        self._test = self._compile(node)
        found = _needles(node) or ()
        few = len(found) <= MAX_NEEDLES
        encoded = [needle.encode() for needle in found]
        plain = bool(found) and all(map(_ASCII_NEEDLE.fullmatch, found))
        self._sieve = parts_in(encoded) if plain and few else None
        self._needles = found if few and not plain else ()  # that no sieve looks for
        # A link may begin within a word: its https is no whole one.
        linked = bool({"http", "https"} & {*found})
        self._glance = words_in(encoded, at_once=not few) if plain and not linked else self._sieve

    def match(self, post: Content, *, quoted: bool = False) -> tuple[str, ...] | None:
        """The terms that matched, in the query's order, or None."""
        if self._sieve is not None:
            whole = "\n".join(_segments(post, _texts_of(post, quoted)))
            if surely_lacks(whole, lowered(whole), self._sieve):
                return None
        return self.match_rest(post, lowered(post.text), quoted)

    def match_rest(self, post: Content, low: bytes, quoted: bool) -> tuple[str, ...] | None:
        """The same for what `lacks` has let through; `low` is its text, `lowered`."""
        view = View(post, _texts_of(post, quoted), low)
        if self._needles and not any(needle in view.normal for needle in self._needles):
            return None
        return self._names(self._test(view))

    def lacks(self, whole: str, low: bytes) -> bool:
        """Whether surely no post matches whose segments are parts of `whole` that no word of ASCII touches.

        `low` is `lowered(whole)`.

        A needle is a whole word, or a whole name, wherever it makes a post match. So one that ASCII goes on with
        is none, and most of those who write "musical" are spared the rest.
        """
        return self._glance is not None and surely_lacks(whole, low, self._glance)

    def match_plain(self, post: Content, *, quoted: bool = False) -> tuple[str, ...] | None:
        """The same without any short cut: the definition that the fast path is held to."""
        return self._names(self._test(PlainView(post, _texts_of(post, quoted))))

    def _names(self, hits: Hits) -> tuple[str, ...] | None:
        if hits is None:
            return None
        if (names := self._named.get(hits)) is None:
            names = tuple(self.terms[number] for number in sorted(hits))
            if len(self._named) < MOST_NAMED:
                self._named[hits] = names
        return names

    def _compile(self, node: Node) -> Test:
        match node:
            case And(children):
                return _all([self._compile(child) for child in children])
            case Or(children):
                return _any([(_key(child), self._compile(child)) for child in children])
            case Not(_, child):
                return _none(self._compile(child))
            case _:
                # A term that stands only in a negation has no number: its hits are thrown away.
                number = self._number.get(node.written)
                return _leaf(self._decides(node), _NOTHING if number is None else frozenset((number,)))

    def _decides(self, term: Term) -> Callable[[View], bool]:
        match term:
            case Words():
                return _decide_words(term)
            case Entity(kind=kind, name=name):
                table = {"#": "tags", "@": "mentions", "$": "cashtags"}[kind]
                wanted = normalise(name)
                return lambda view: wanted in getattr(view, table)
            case Operator(name=name, value=value):
                if not answers_locally(name, value):
                    raise undecidable(term, self._text)
                return _decide_operator(name, value)


def _all(tests: list[Test]) -> Test:
    def test(view: View) -> Hits:
        matched = []
        for one in tests:
            found = one(view)
            if found is None:
                return None
            matched.append(found)
        return _NOTHING.union(*matched)

    return test


def _any(alternatives: list[tuple[tuple[Table, str] | None, Test]]) -> Test:
    if len(alternatives) <= MAX_NEEDLES:
        few = [one for _, one in alternatives]

        def try_all(view: View) -> Hits:
            hits: Hits = None
            for one in few:
                if (found := one(view)) is not None:
                    hits = found if hits is None else hits | found
            return hits

        return try_all
    tables: dict[Table, dict[str, list[Test]]] = {}
    others = []
    for key, one in alternatives:
        if key is None:
            others.append(one)
        else:
            tables.setdefault(key[0], {}).setdefault(key[1], []).append(one)
    keys = {table: frozenset(tests) for table, tests in tables.items()}

    def test(view: View) -> Hits:
        matched: list[frozenset[int]] = []
        for table, tests in tables.items():
            for key in keys[table] & getattr(view, table):
                matched += [found for one in tests[key] if (found := one(view)) is not None]
        matched += [found for one in others if (found := one(view)) is not None]
        return _NOTHING.union(*matched) if matched else None

    return test


def _none(one: Test) -> Test:
    return lambda view: _NOTHING if one(view) is None else None


def _leaf(decide: Callable[[View], bool], hits: frozenset[int]) -> Test:
    return lambda view: hits if decide(view) else None


def _word_parts(term: Words) -> list[str]:
    return [part for part in term.parts if words(part)]


def _key(node: Node) -> tuple[Table, str] | None:
    """A table of the view, and what must be in it for the node to match."""
    match node:
        case Words() if found := _word_parts(node):
            return "words", max(found, key=len)
        case Entity(kind="#", name=name):
            return "tags", normalise(name)
        case Entity(kind="@", name=name):
            return "mentions", normalise(name)
        case Operator(name="from", value=value):
            return "authors", _user(value)
        case _:
            return None


def _needles(node: Node) -> tuple[str, ...] | None:
    """Strings of which one is a part of the normalised text of every post that matches; None: nothing is sure."""
    match node:
        case Words():
            return (max(node.parts, key=len),)
        case Entity(name=name):
            return (normalise(name),)
        case Operator(name="url", value=value) if found := parts(value):
            return (max(found, key=len),)
        case And(children):
            # The shortest list with the longest strings lets the fewest posts through.
            sure = [those for child in children if (those := _needles(child))]
            return min(sure, key=lambda found: (len(found), -min(map(len, found))), default=None)
        case Or(children):
            lists = [_needles(child) for child in children]
            if None in lists:
                return None
            return tuple(dict.fromkeys(needle for needles in lists if needles for needle in needles))
        case _:
            return None


def _decide_words(term: Words) -> Callable[[View], bool]:
    wanted = term.parts
    if len(wanted) == 1 and words(wanted[0]):
        return _has_word(wanted[0])
    needed = frozenset(_word_parts(term))
    pictures = [part for part in wanted if not words(part)]

    def possible(view: View) -> bool:
        return all(map(view.has_word, needed)) and all(picture in view.normal for picture in pictures)

    if term.within is not None:
        distance = term.within
        return lambda view: (
            possible(view)
            and any(next(near(segment, wanted, distance), None) is not None for segment in view.units())
        )
    phrase = sequence(wanted)
    return lambda view: possible(view) and phrase in view.sequence


def _has_word(word: str) -> Callable[[View], bool]:
    """View.has_word; a post that matches has it most often where it is found at once."""
    if (alone := alone_in_ascii(word)) is None:
        return methodcaller("has_word", word)
    search = alone.search
    return lambda view: search(view.low) is not None or view.has_word(word)


def near(found: list[Unit], wanted: tuple[str, ...], within: int) -> Iterator[tuple[int, int]]:
    """The places (indexes of the first and last unit) where all of `wanted` stand close to each other.

    In the query's order, `within` other units may stand between them in all; in any other order two fewer,
    since turning two words around takes two steps (X, "proximity operator").
    """
    count = len(wanted)
    needed = Counter(wanted)
    for first, unit in enumerate(found):
        if unit.text not in needed:
            continue
        window = [one.text for one in found[first : first + count + within]]
        if "" in window:
            window = window[: window.index("")]
        at = -1
        if unit.text == wanted[0]:
            try:
                for word in wanted:
                    at = window.index(word, at + 1)
            except ValueError:
                at = -1
        if at < 0 and within >= 2:
            left = Counter(needed)
            for place, word in enumerate(window[: count + within - 2]):
                left[word] -= 1
                if not +left:
                    at = place
                    break
        if at >= 0:
            yield first, first + at


def _user(value: str) -> str:
    return normalise(value.removeprefix("@"))


def _decide_operator(name: str, value: str) -> Callable[[View], bool]:
    match name:
        case "from":
            user = _user(value)
            return lambda view: user in view.authors
        case "lang":
            language = value.lower()
            return lambda view: (view.post.lang.lower() + "-").startswith(language + "-")
        case "is":
            kinds: dict[str, RefKind] = {"retweet": "retweeted", "reply": "replied_to", "quote": "quoted"}
            kind = kinds[value]
            return lambda view: any(ref.kind == kind for ref in view.post.refs)
        case "in_reply_to_tweet_id":
            return lambda view: view.post.ref("replied_to") == value
        case "retweets_of_tweet_id":
            return lambda view: view.post.ref("retweeted") == value
        case "url":
            address = sequence(parts(value))
            return lambda view: address in view.links
        case "url_contains":
            piece = normalise(value)
            return lambda view: any(piece in normalise(link) for link in view.post.links)
        case _:  # has:
            return {
                "hashtags": lambda view: bool(view.post.tags),
                "mentions": lambda view: bool(view.post.mentions),
                "links": lambda view: bool(view.post.links),
                "cashtags": lambda view: bool(view.cashtags),
                "symbols": lambda view: bool(view.cashtags),
            }[value]
