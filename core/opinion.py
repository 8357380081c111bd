"""What a line says by itself: which post it is, whether it is about the topic, and what is counted of it if so.

An opinion is pure: it depends on the line and the topic alone, so it may be formed anywhere and at any time. What
is made of it depends on what came before, and is the writer's part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b

import msgspec

from core.errors import Undecodable
from core.post import Post
from core.query import Query
from core.sources.base import Glance
from core.windows import Counts, Names, names_of

GLANCED = 16_000  # bytes of a line that may be refused at a glance; a row keeps it in the place of its post
SHOWN = 30_000  # characters of a post that a front end gets to show: the longest of X whole, no monster of 5 MB


class Opinion(msgspec.Struct, array_like=True, gc=False):
    """Of one line that is a post."""

    id: str
    matched: tuple[str, ...] | None = None  # the topic's terms that matched; None: not about the topic
    text_hash: int = 0  # of a post about the topic, like what follows
    names: Names | None = None  # None also when they are counted with those of others


class Answer(msgspec.Struct, array_like=True, gc=False):
    """The opinions of some lines, None where none could be formed; `counts` holds the names of all of them."""

    opinions: list[Opinion | None]
    counts: Counts


def shown_of(post: Post, raw: bytes) -> Post:
    """As much of the post of that line as a front end gets to show."""
    # A post's words come from its line, each three times at most; so most need no measuring.
    return post if len(raw) < SHOWN // 4 else post.within(SHOWN)


def opinion_of(post: Post, shown: Post, matched: tuple[str, ...] | None) -> Opinion:
    """The opinion of a post as it is stored and shown. Pure."""
    if matched is None:
        return Opinion(post.id)
    return Opinion(post.id, matched, text_hash(post.text), names_of(shown))


class Judge(msgspec.Struct, frozen=True, gc=False):
    """How lines are judged at a glance: what a source sees of one, and what a topic says of that."""

    glance: Callable[[bytes], Glance | None]
    lacks: Callable[[str], bool]
    match_rest: Callable[..., tuple[str, ...] | None]
    quoted: bool

    @classmethod
    def by(cls, topic: Query, glance: Callable[[bytes], Glance | None], *, quoted: bool) -> Judge:
        """The judge by that topic."""
        return cls(glance, topic.lacks, topic.match_rest, quoted)

    def __call__(self, raw: bytes) -> Opinion | None:
        """The opinion of a line of which nothing is to be changed; None: a glance is not enough to form one."""
        if len(raw) > GLANCED:
            return None
        try:
            seen = self.glance(raw)
            if seen is None:
                return None
            if self.lacks(seen.words):
                return Opinion(seen.id)
            post = seen.post()
        except Undecodable:
            return None
        return opinion_of(post, shown_of(post, raw), self.match_rest(post, quoted=self.quoted))


def think(judge: Judge, lines: Iterable[bytes]) -> Answer:
    """What that judge says of these lines together."""
    opinions = [*map(judge, lines)]
    names = []
    for opinion in opinions:
        if opinion is not None and opinion.names is not None:
            names.append(opinion.names)
            opinion.names = None
    return Answer(opinions, Counts.of(names))


def text_hash(text: str) -> int:
    """A signed 64-bit hash of a text, the same in every run and on every machine."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
