"""Windows: what the matched posts of the last 60 minutes speak of, who writes them, and what they link to.

A window slides in panes of five minutes. Each new post about the topic counts once, at the time when it was
received (one that was fetched afterwards, at the time when it was written). Counts are exact while a pane holds no
more than PANE_NAMES different names of a kind; beyond that the rarest are let go, and the kind is not exact.

Written by the writer thread alone; `view` is a frozen answer that any thread may read.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import chain, groupby
from operator import attrgetter, itemgetter

import msgspec

from core.post import Content
from core.snapshot import Top, Window
from core.utf8 import lowered

LENGTH = 3600  # seconds
SLIDE = 300  # seconds
PANE_NAMES = 10_000
TOP = 20
KNOWN = 16_384  # runs of characters whose words are remembered: 4 MB, at worst 13
KNOWN_LENGTH = 64  # bytes of the longest of them
VIEW_EVERY = 5.0  # seconds between two views

KINDS = ("tags", "authors", "links", "languages", "words")
_OF_KIND = tuple((kind, attrgetter(kind)) for kind in KINDS)

_WORD = re.compile(r"[^\W\d_][\w'’]+")
_PROSE = re.compile(rf"https?://\S+|[@#]\w+|({_WORD.pattern})")  # what is no link, tag or name is a word
# X's own stopwords, and the commonest words of its commonest languages: they say nothing of what is spoken of.
_COMMON = """
a an at and are but by com for from had has have her him his how http https if in is it its just like me my not of
on or our out rt she so that the their them then they this to too via was we were what when who will with you your
de la el que en los las un una por con para del se al lo como su mi me te es y o no si ya pero más
da do dos das um uma com não mais em na nos nas os as ao eu ele ela e
le les des une est et pas dans pour sur qui ce il elle au aux je tu nous vous
der die das und ist nicht ein eine zu den von mit auf für ich es im dem
yang di ke dan ini itu untuk
"""
_SILENT = frozenset({*_COMMON.split(), ""})  # "" stands for what is no word


class Names(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a window counts of a post, each name once."""

    tags: Collection[str]
    authors: Collection[str]
    links: Collection[str]
    languages: Collection[str]
    words: Collection[str]


class Counts(msgspec.Struct, array_like=True, gc=False):
    """How many of some posts have each name, by KINDS. Of so many posts there are far fewer names than in them."""

    posts: int
    names: list[dict[str, int]]

    @classmethod
    def of(cls, posts: Sequence[Names]) -> Counts:
        """The counts of these posts together."""
        return cls(len(posts), [Counter(chain.from_iterable(map(of_kind, posts))) for _, of_kind in _OF_KIND])

    def without(self, posts: Iterable[Names]) -> Counts:
        """The counts of all the posts but these, which are among them."""
        left = [dict(counts) for counts in self.names]
        number = self.posts
        for post in posts:
            number -= 1
            for counts, (_, of_kind) in zip(left, _OF_KIND, strict=True):
                for name in of_kind(post):
                    if counts[name] == 1:
                        del counts[name]
                    else:
                        counts[name] -= 1
        return Counts(number, left)


def names_of(post: Content, low: bytes | None = None) -> Names:
    """The names in a post. Pure. `low`: its text, `lowered`, if that is at hand."""
    runs = (lowered(post.text) if low is None else low).split()  # no word goes on beyond a space
    words = {*map(_word, runs)}
    if _SEVERAL in words:
        words.discard(_SEVERAL)
        for run in runs:
            if _word(run) is _SEVERAL:
                words.update(_words_in(run))
    words.discard(_NONE)
    tags, links, author, lang = post.tags, post.links, post.author.username, post.lang
    return Names(
        {f"#{tag.casefold()}" for tag in tags} if tags else (),
        (f"@{author}",) if author else (),
        {*links} if links else (),
        (lang,) if lang else (),
        words,
    )


def _words_in(run: bytes) -> list[str]:
    """The words that are counted in a run of characters without a space."""
    # Folded, the capital i with a dot would be an i and a mark that is part of no word.
    folded = run.decode("utf-8", "surrogatepass").replace("İ", "i").casefold()
    return [word for word in _PROSE.findall(folded) if word not in _SILENT]


class _Known(dict[bytes, str]):
    """The one word that is counted in a run; or _NONE, or _SEVERAL.

    Those that were read are remembered: most of a text is what others have written too.
    """

    def __missing__(self, run: bytes) -> str:
        words = _words_in(run)
        word = words[0] if len(words) == 1 else _SEVERAL if words else _NONE
        if len(run) <= KNOWN_LENGTH:
            if len(self) >= KNOWN:
                self.clear()
            self[run] = word
        return word


_NONE, _SEVERAL = "", " "  # no words
_word = _Known().__getitem__


class _Pane(msgspec.Struct):
    """Five minutes."""

    number: int
    posts: int = 0
    names: dict[str, Counter[str]] = msgspec.field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    pruned: set[str] = set()


def _has_room(counter: Mapping[str, int], names: Collection[str]) -> bool:
    """Whether a pane's counter takes all of these names."""
    return len(counter) + len(names) <= PANE_NAMES or (
        len(counter) + sum(name not in counter for name in set(names)) <= PANE_NAMES
    )


class Windows:
    """The panes of the last hour."""

    def __init__(self, now: float) -> None:
        self._panes: deque[_Pane] = deque()
        self._closed: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}  # of all panes but the newest
        self._silent: frozenset[str] = frozenset()  # words that are not shown
        self._viewed_at = float("-inf")
        self.view = self._look(now)

    def ignore(self, words: Iterable[str]) -> None:
        """Words that are in every post anyway: those of the query."""
        self._silent = frozenset(word.casefold() for text in words for word in _WORD.findall(text))

    def add(self, names: Names, at: float) -> None:
        """One post about the topic, received or (fetched afterwards) written at that time."""
        self.add_all(((names, at),))

    def add_all(self, arrivals: Iterable[tuple[Names, float]]) -> None:
        """The same for many at once, which is cheaper: what is in the posts and their times, in order."""
        for number, group in groupby(arrivals, key=lambda arrival: int(arrival[1] // SLIDE)):
            pane = self._pane(number)
            if pane is None:
                continue
            posts = [names for names, _ in group]
            pane.posts += len(posts)
            for kind, of_kind in _OF_KIND:
                self._count(pane, kind, [*map(of_kind, posts)])

    def add_counts(self, counts: Counts, at: float) -> bool:
        """The same for posts of one pane that were counted together, received at that time.

        False: there are more names than the pane takes. No post was added then; add them one by one.
        """
        pane = self._pane(int(at // SLIDE))
        if pane is None:
            return True
        kinds = [*zip(KINDS, counts.names, strict=True)]
        if not all(_has_room(pane.names[kind], names) for kind, names in kinds):
            return False
        pane.posts += counts.posts
        for kind, names in kinds:
            self._add(pane, kind, names)
        return True

    def _count(self, pane: _Pane, kind: str, names: Sequence[Collection[str]]) -> None:
        """Count the names of that kind of some posts. A pane lets go of names at the post that was too much."""
        together = list(chain.from_iterable(names))
        if _has_room(pane.names[kind], together):
            self._add(pane, kind, together)
            return
        for of_post in names:
            self._add(pane, kind, of_post)
            if len(pane.names[kind]) > PANE_NAMES:
                self._prune(pane, kind)

    def _prune(self, pane: _Pane, kind: str) -> None:
        """Let the rarer half of a pane's names go."""
        kept = dict(nlargest(PANE_NAMES // 2, pane.names[kind].items(), key=itemgetter(1, 0)))
        if pane is not self._panes[-1]:
            self._take_off(kind, ((name, count) for name, count in pane.names[kind].items() if name not in kept))
        pane.names[kind] = Counter(kept)
        pane.pruned.add(kind)

    def _add(self, pane: _Pane, kind: str, names: Iterable[str] | Mapping[str, int]) -> None:
        """Count them in the pane; the newest, to which nearly all goes, is counted there alone."""
        pane.names[kind].update(names)
        if pane is not self._panes[-1]:
            self._closed[kind].update(names)

    def _take_off(self, kind: str, names: Iterable[tuple[str, int]]) -> None:
        closed = self._closed[kind]
        for name, count in names:
            closed[name] -= count
            if closed[name] <= 0:
                del closed[name]

    def cut_short(self) -> None:
        """There was more to count than could be counted."""
        for pane in self._panes:
            pane.pruned.update(KINDS)

    def absorb(self, earlier: Windows) -> None:
        """Add what another one has counted."""
        for theirs in earlier._panes:
            pane = self._pane(theirs.number)
            if pane is None:
                continue
            pane.posts += theirs.posts
            pane.pruned |= theirs.pruned
            for kind, counter in theirs.names.items():
                self._add(pane, kind, counter)

    def refresh(self, now: float) -> None:
        """Bring the view up to date, every five seconds at most."""
        if not 0 <= now - self._viewed_at < VIEW_EVERY:
            self._viewed_at = now
            self.view = self._look(now)

    def _pane(self, number: int) -> _Pane | None:
        """The pane of that number; None when it is older than the window."""
        if not self._panes or number > self._panes[-1].number:
            for kind, counter in (self._panes[-1].names if self._panes else {}).items():
                self._closed[kind].update(counter)
            self._panes.append(_Pane(number))
            self._drop(number)
            return self._panes[-1]
        for pane in reversed(self._panes):
            if pane.number == number:
                return pane
            if pane.number < number:
                break
        if number <= self._panes[-1].number - LENGTH // SLIDE:
            return None
        pane = _Pane(number)
        self._panes.append(pane)
        self._panes = deque(sorted(self._panes, key=lambda pane: pane.number))
        return pane

    def _drop(self, newest: int) -> None:
        while self._panes and self._panes[0].number <= newest - LENGTH // SLIDE:
            gone = self._panes.popleft()
            for kind, counter in gone.names.items() if self._panes else ():  # the newest is counted in it alone
                self._take_off(kind, counter.items())

    def _look(self, now: float) -> Window:
        newest = int(now // SLIDE)
        self._drop(newest)
        start = (newest + 1) * SLIDE - LENGTH
        tops = tuple(self._top(kind) for kind in KINDS)
        return Window(float(start), float(LENGTH), float(SLIDE), sum(pane.posts for pane in self._panes), tops)

    def _top(self, kind: str) -> Top:
        # Those of equal count by name, so that the list does not flicker.
        silent = self._silent if kind == "words" else ()
        closed, newest = self._closed[kind], self._panes[-1].names[kind] if self._panes else {}
        counts = chain(
            ((name, count + closed.get(name, 0)) for name, count in newest.items()),
            (item for item in closed.items() if item[0] not in newest),
        )
        told = (item for item in counts if item[0] not in silent)
        names = nlargest(TOP, told, key=lambda item: (item[1], item[0]))
        return Top(kind, tuple(names), exact=not any(kind in pane.pruned for pane in self._panes))
