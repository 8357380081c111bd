"""The contract that every source keeps. A new source is one file here and one line in the registry.

A source runs in one thread of its own, hands over each line unparsed with the time it came, and says how its
connection is. It knows nothing of the query's meaning, the journal, the sinks or the screen: whatever goes
wrong there never reaches it. It fails in two ways only: it waits and tries again by itself, or it gives up by
raising SourceRefused with what the user must do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from core.health import RateLimit, SourceState
from core.post import Content, Post
from core.snapshot import Filled, Gap, Level


class Capabilities(msgspec.Struct, frozen=True):
    """What a source can do besides delivering."""

    resume: bool = False  # start again from a cursor
    fill: bool = False  # fetch the posts of a gap afterwards, and the settings ask for it
    fill_after: float = 0.0  # seconds from a gap's end until all of its posts can be fetched
    late: float = 0.0  # seconds by which a post may come later than another that was written after it
    filters_upstream: bool = False  # delivers only what matches the keywords; it is believed
    live_query: bool = False  # takes new keywords without a new connection


class Glance(Protocol):
    """A line that surely is a post, before its fields are taken out one by one."""

    id: str  # the post's
    # Every text, tag, mention and link of the post is a part of this, as it stands in the post, and no letter,
    # digit or `_` of ASCII touches it there.
    words: str

    def content(self) -> Content:
        """What the post says, as `decode` gives it."""

    def post(self) -> Post:
        """The post, as `decode` gives it."""


class Pseudonym(Protocol):
    """Another name for a person, always the same for the same one."""

    def __call__(self, kind: Literal["id", "username"], value: str) -> str:
        """The pseudonym: letters, digits and underscores, as a name may have, at most 15."""


class Gone(Protocol):
    """Who and what is forgotten, by ids of one source."""

    def author(self, id: str) -> bool:
        """Whether that author is to be forgotten."""

    def post(self, id: str) -> bool:
        """Whether that post is to be forgotten."""


class People(Protocol):
    """Where people are in the lines of a source: a module with these functions, pure like `decode`."""

    def disguise(self, raw: bytes, pseudonym: Pseudonym) -> bytes:
        """The line with a pseudonym in the place of everything that tells who wrote it or whom it names.

        `decode` takes it and gives the same post under other names. Raises nothing.
        """

    def without(self, raw: bytes, gone: Gone) -> bytes | None:
        """The line without what is to be forgotten; the same object if there is none of it, None if it is all.

        Raises nothing.
        """

    def accounts(self, raw: bytes) -> list[tuple[str, str]]:
        """The accounts that a line tells of, as (id, username). Raises nothing."""


class Outlet(Protocol):
    """Where a source hands its lines and news. Every method may be called from the source's thread only."""

    def deliver(self, lines: Sequence[bytes], received_at: float, *, backfilled: bool = False) -> None:
        """Hand over lines as they came, without their line ends. Blocks while the queue is full."""

    def touch(self, at: float, *, more: bool = False) -> None:
        """Something whole arrived at that time, be it only a keep-alive, and all up to there is delivered.

        A gap begins at the last touch without `more`, which says that the source had not read everything by then,
        or half a line only, or that the connection was not up any more.
        """

    def report(self, state: SourceState, reason: str = "", *, wait_until: float | None = None) -> None:
        """The connection changed its state, and why, in words."""

    def rate_limit(self, window: RateLimit) -> None:
        """The source told its window for connects."""

    def event(self, level: Level, text: str) -> None:
        """Something worth a line in the event log."""

    def deleted(self, *, post: str = "", author: str = "") -> None:
        """A message of the source's own, no delivered line: forget a post, or all of an author, by its id."""


class Missing(msgspec.Struct, frozen=True):
    """A gap that has ended, as `fill` needs it."""

    gap: Gap
    covered: str = ""  # up to that post earlier fills, with the same keywords, have fetched everything
    since: float | None = None  # an earlier moment, or
    until: float | None = None  # a later one (seconds since 1970) belongs to a gap of another kind
    fetched_today: int = 0  # posts that fills of this source have brought today (UTC)


class FillResult(msgspec.Struct, frozen=True):
    """How a fill ended. `retry`: not for good; the rest may be had later."""

    filled: Filled
    why: str = ""
    retry: bool = False
    first_id: str = ""  # up to that post all was asked for; empty when it is not known


class FillOutlet(Protocol):
    """Where a fill hands its posts and news."""

    def page(self, lines: Sequence[bytes], reached: str, first_id: str) -> bool:
        """Hand over fetched posts and wait until they are durable, together with the place to go on from.

        `first_id` is that of the FillResult. False: the fill is to end now.
        """

    def progress(self, words: str) -> None:
        """What the fill is doing, for whoever watches."""

    def event(self, level: Level, text: str) -> None:
        """Something worth a line in the event log."""


class Source(Protocol):
    """A stream of posts."""

    name: str
    capabilities: Capabilities

    def run(self, outlet: Outlet) -> None:
        """Stream until `stop()`; then return. May be called again afterwards.

        Raises SourceRefused when no retry would help. Any other exception is a bug.
        """

    def stop(self) -> None:
        """End `run` and `fill` within one second, from any thread, whatever they wait for. Twice is harmless."""

    def change_keywords(self, keywords: str) -> None:
        """Capture something else from now on, also while `run` is connected.

        Raises ConfigError or SourceRefused (the old keywords stay), or Unavailable (nothing is known to have
        changed).
        """

    def fill(self, missing: Missing, outlet: FillOutlet) -> FillResult:
        """Fetch the posts of a gap, in a thread other than that of `run`, which goes on meanwhile.

        Goes on from `missing.gap.reached` when an earlier fill got there. Called only when the capabilities say
        so; ids of such a source rise with time, compared by their length and then as text.
        """

    def wanted(self, raw: bytes) -> bool:
        """Whether a delivered post was sent for our keywords, as far as the source can tell: it is believed.

        False for a post that came only because somebody else shares the connection. May be called from any thread.
        """

    def probe(self) -> list[str]:
        """Look whether a capture would be let in, as far as that is free: what is well, in words.

        Raises SourceRefused or Unavailable, as `run` would.
        """

    def decode(self, raw: bytes) -> Post:
        """A delivered line as a Post. Pure: may be called from any thread.

        Raises Undecodable with the reason. No input makes it raise anything else.
        """
