"""What a line says by itself: which post it is, whether it is about the topic, and what is counted of it if so.

An opinion is pure: it depends on the line and the topic alone, so it may be formed anywhere and at any time. What
is made of it depends on what came before, and is the writer's part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

import msgspec

from core.post import Content, Post
from core.query import Query
from core.sources.base import Glance
from core.utf8 import utf8
from core.windows import Counts, Names, names_of

GLANCED = 16_000  # bytes of a line that may be refused at a glance; a row keeps it in the place of its post
SHOWN = 30_000  # characters of a post that a front end gets to show: the longest of X whole, no monster of 5 MB
SURELY_SHOWN = SHOWN // 4  # bytes of a line; a post's words come from its line, each three times at most


class About(msgspec.Struct, array_like=True, gc=False):
    """The opinion of a post that is about the topic."""

    id: str
    matched: tuple[str, ...]  # the topic's terms
    text_hash: int
    names: Names | None  # None when they are counted with those of others


Opinion = About | str  # or the id of a post that is not about the topic


class Answer(msgspec.Struct, array_like=True, gc=False):
    """The opinions of some lines, None where none could be formed; `counts` holds the names of all of them."""

    opinions: list[Opinion | None]
    counts: Counts


def shown_of(post: Post, raw: bytes) -> Post:
    """As much of the post of that line as a front end gets to show."""
    return post if len(raw) < SURELY_SHOWN else post.within(SHOWN)


def opinion_of(post: Post, shown: Post, matched: tuple[str, ...] | None) -> Opinion:
    """The opinion of a post as it is stored and shown. Pure."""
    if matched is None:
        return post.id
    return About(post.id, matched, text_hash(post.text), names_of(shown))


class Judge(msgspec.Struct, frozen=True, gc=False):
    """How lines are judged at a glance: what a source sees of one, and what a topic says of that."""

    glance: Callable[[bytes], Glance | None]
    lacks: Callable[[str, bytes], bool]
    match_rest: Callable[[Content, bytes, bool], tuple[str, ...] | None]
    quoted: bool

    @classmethod
    def by(cls, topic: Query, glance: Callable[[bytes], Glance | None], *, quoted: bool) -> Judge:
        """The judge by that topic."""
        return cls(glance, topic.lacks, topic.match_rest, quoted)

    def __call__(self, lines: Sequence[bytes]) -> list[Opinion | None]:
        """The opinions of lines of which nothing is to be changed; None: a glance is not enough to form one.

        One step for all lines, then the next one: what a step needs stays in the processor's caches.
        """
        glance, lacks, match_rest, quoted = self.glance, self.lacks, self.match_rest, self.quoted
        glances = [glance(raw) if len(raw) <= GLANCED else None for raw in lines]
        opinions: list[Opinion | None] = [None if seen is None else seen.id for seen in glances]
        looks = [_Look(place, seen, utf8(seen.words)) for place, seen in enumerate(glances) if seen is not None]
        for look in looks:
            look.low = look.text.lower()
        rest = [look for look in looks if not lacks(look.seen.words, look.low)]
        said = [(look, look.seen.content()) for look in rest]
        for look, content in said:
            if content.text is not look.seen.words:
                look.text = utf8(content.text)
                look.low = look.text.lower()
        about = [
            (look, content, matched)
            for look, content in said
            if (matched := match_rest(content, look.low, quoted)) is not None
        ]
        names = [
            names_of(content, look.low)
            if len(raw := lines[look.place]) < SURELY_SHOWN
            else names_of(shown_of(look.seen.post(), raw))
            for look, content, _ in about
        ]
        for (look, content, matched), told in zip(about, names, strict=True):
            opinions[look.place] = About(content.id, matched, _hash(look.text), told)
        return opinions


class _Look(msgspec.Struct, gc=False):
    """A line that is a post."""

    place: int
    seen: Glance
    text: bytes  # all of its words in UTF-8, and when it may be about the topic, its text
    low: bytes = b""  # the same, `lowered`


def think(judge: Judge, lines: Sequence[bytes]) -> Answer:
    """What that judge says of these lines together."""
    opinions = judge(lines)
    names = []
    for opinion in opinions:
        if isinstance(opinion, About) and opinion.names is not None:
            names.append(opinion.names)
            opinion.names = None
    return Answer(opinions, Counts.of(names))


def text_hash(text: str) -> int:
    """A signed 64-bit hash of a text, the same in every run and on every machine."""
    return _hash(utf8(text))


def _hash(encoded: bytes) -> int:
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "big", signed=True)
