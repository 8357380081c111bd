"""Post: one message of any source, decoded into the fields that every part of the program shares.

A Post is plain data and never changes. It promises that every string is valid Unicode (no lone surrogate) and
that `text` is the whole text with HTML entities resolved. Nothing in it was made safe for a terminal: that is the
screen's work. What a source cannot know is an empty value, never a guess.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec.structs import replace

RefKind = Literal["retweeted", "quoted", "replied_to"]


class Author(msgspec.Struct, frozen=True, gc=False):
    """Who wrote a post. `username` is without `@`; fields that the source did not give are empty."""

    id: str = ""
    username: str = ""
    name: str = ""


class Ref(msgspec.Struct, frozen=True, gc=False):
    """Another post that this one refers to, by its id in the same source."""

    kind: RefKind
    id: str


class Content(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a post says, and who says it where: all that a topic can ask for, and a window counts.

    `text` is the whole text: a long post's `note_tweet`, a retweet's original where the source gave it. `tags` are
    without `#`, `mentions` without `@`, both as written; `links` are expanded addresses. `quoted_text` is the text
    of a quoted post, kept apart because matching uses it only by setting.
    """

    id: str
    text: str
    author: Author = Author()
    lang: str = ""
    tags: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    refs: tuple[Ref, ...] = ()
    quoted_text: str = ""

    def ref(self, kind: RefKind) -> str:
        """The id of the first reference of that kind, or an empty string."""
        return next((ref.id for ref in self.refs if ref.kind == kind), "")


class Post(Content, frozen=True, kw_only=True, gc=False):
    """One post.

    `id` is unique within `source`, an opaque string. `edit_of` is the id of the first version when this is a later
    one.
    """

    source: str
    created_at: datetime | None = None
    metrics: dict[str, int] = {}
    edit_of: str = ""

    @property
    def key(self) -> str:
        """The name of this post in every store: `<source>:<id>`."""
        return f"{self.source}:{self.id}"

    def within(self, most: int) -> Post:
        """The same post when its words have at most `most` characters, else a copy with the beginning of them.

        For those who need not read a monster: no network lets a person write 100,000 characters.
        """
        if self._size() <= most:
            return self
        room = _Room(most)
        return replace(
            self,
            text=room.take(self.text),
            author=Author(self.author.id, room.take(self.author.username), room.take(self.author.name)),
            quoted_text=room.take(self.quoted_text),
            tags=room.take_all(self.tags),
            mentions=room.take_all(self.mentions),
            links=room.take_all(self.links),
            metrics={
                name: self.metrics[name] for name in room.take_all(tuple(self.metrics)) if name in self.metrics
            },
            refs=self.refs[: room.left],
        )

    def _size(self) -> int:
        lists = (self.tags, self.mentions, self.links, self.metrics)
        return (
            len(self.text)
            + len(self.quoted_text)
            + len(self.author.username)
            + len(self.author.name)
            + len(self.refs)
            + sum(len(words) + sum(map(len, words)) for words in lists if words)
        )


class _Room:
    """Characters that are left; a word of a list takes one more, so that a list of nothing ends too."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, text: str) -> str:
        taken = text[: self.left]
        self.left -= len(taken)
        return taken

    def take_all(self, words: tuple[str, ...]) -> tuple[str, ...]:
        taken = []
        for word in words:
            if self.left <= 1:
                break
            self.left -= 1
            taken.append(self.take(word))
        return tuple(taken)
