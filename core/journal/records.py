"""What goes into the journal and comes out of it: plain data."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from operator import add, sub

import msgspec
from msgspec.structs import astuple


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A matched post on its way into the journal."""

    id: str
    received_at: float  # seconds since 1970
    text_hash: int  # tells a later delivery with other text from a mere repetition
    matched: tuple[str, ...]
    backfilled: bool
    raw: bytes


class Rejected(msgspec.Struct, frozen=True):
    """A delivered line that is no post, or (reason empty) a consumed post that is not about the topic."""

    id: str
    received_at: float
    reason: str
    raw: bytes


class GapMark(msgspec.Struct, frozen=True):
    """The connection went down (`reason` given) or came back (`reason` empty) at that moment.

    `last_id` is the newest post known then. `chosen`: the user closed the connection.
    """

    at: float
    reason: str = ""
    chosen: bool = False
    last_id: str = ""


class AfterMark(msgspec.Struct, frozen=True):
    """A post that was seen well after the connection was back: the span of the gaps before it ends there."""

    first_id: str


class KeywordsMark(msgspec.Struct, frozen=True):
    """The source captures something else from that moment on: a gap that is open then falls in two."""

    at: float
    keywords: str
    last_id: str = ""  # the newest post known then


class PageMark(msgspec.Struct, frozen=True):
    """So many posts were fetched for a gap; `reached` is the place in the source's words to go on from."""

    gap: int
    posts: int
    reached: str
    first_id: str  # up to that post the fill has asked for everything
    at: float


class Deletion(msgspec.Struct, frozen=True):
    """The source announced that a post, or everything of an author, is to be kept no longer. One id is given."""

    at: float
    post: str = ""
    author: str = ""


Mark = GapMark | AfterMark | KeywordsMark | PageMark | Deletion


class Batch(msgspec.Struct):
    """All that one transaction adds for one source."""

    source: str
    delivered: int = 0
    consumed: int = 0
    entries: list[Entry] = []
    filtered: list[Rejected] = []  # only with journal.scope = "all"
    quarantined: list[Rejected] = []
    gaps: list[Mark] = []  # in the order in which it happened
    cursor: str | None = None
    last_byte_at: float | None = None
    minutes: dict[int, tuple[int, int]] = {}  # begin of a minute: consumed, matched
    last_id: str = ""  # the newest post so far that came over the connection
    deletions: list[Deletion] = []

    def __bool__(self) -> bool:
        return bool(self.delivered or self.gaps or self.deletions or self.cursor or self.last_byte_at)


class Tally(msgspec.Struct, frozen=True):
    """The journal's own counts for one source, over the capture's life."""

    delivered: int = 0
    consumed: int = 0
    quarantined: int = 0
    matched: int = 0
    inserted: int = 0  # matched, and new to the journal
    repeated: int = 0  # matched, and the journal had it already

    def __add__(self, other: Tally) -> Tally:
        return Tally(*map(add, astuple(self), astuple(other)))

    def __sub__(self, other: Tally) -> Tally:
        return Tally(*map(sub, astuple(self), astuple(other)))


class Settled(msgspec.Struct, frozen=True):
    """What a sink has answered for, for one source."""

    stored: int = 0
    duplicate: int = 0

    def __add__(self, other: Settled) -> Settled:
        return Settled(self.stored + other.stored, self.duplicate + other.duplicate)


class Row(msgspec.Struct, frozen=True):
    """One matched post as the journal holds it."""

    seq: int
    source: str
    id: str
    received_at: float
    matched: tuple[str, ...]
    backfilled: bool
    raw: bytes


def checksum(source: str, id_: str, received_at: float, matched: str, backfilled: bool, raw: bytes) -> int:
    """What a row of the journal adds up to; `matched` as it is stored. SQLite keeps none of its own."""
    told = f"{source}\0{id_}\0{_exactly(received_at)}\0{matched}\0{'1' if backfilled else '0'}"
    return zlib.crc32(raw, zlib.crc32(told.encode()))


_exactly = lru_cache(64)(repr)  # what was read together came at one time, and a float is slow to write down


SettledBySource = Mapping[str, Settled]
