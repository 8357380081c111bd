"""What bounds a gap: the newest post known before it, and the first one seen well after it.

A fill needs both. Posts come a little out of order, and an old one may be delivered again right after a reconnect:
so the bound before a gap is the newest id, not the last one, and the bound after it is a post that is newer than
that and came when the connection had been back for a while.
"""

from __future__ import annotations

from msgspec.structs import replace

from core.journal import AfterMark, GapMark, KeywordsMark
from core.post import Post


class Bounds:
    """The newest post that came over the connection, and the first one well after a gap: what bounds a gap."""

    def __init__(self, newest: str, late: float) -> None:
        self.newest = newest  # its id; empty when none is known, or none that could bound a gap
        self._late = late
        self._before = newest  # the newest one when the gap began
        self._chosen = False  # the gap is one that the user chose
        self._from: float | None = None  # a post that arrives from then on is well after the gap

    def interrupted(self, mark: GapMark) -> GapMark:
        """The connection went down or came back: the mark, with the newest post known."""
        if mark.reason:
            self._before, self._chosen, self._from = self.newest, mark.chosen, None
            return replace(mark, last_id=self.newest)
        if self._chosen:
            self.newest = self._before = ""  # what is before the pause bounds no gap behind it
        self._chosen, self._from = False, mark.at + self._late
        return mark

    def changed(self, mark: KeywordsMark) -> KeywordsMark:
        """Other keywords from now on: the mark, with the newest post known."""
        mark = replace(mark, last_id=self.newest)
        self.newest = self._before = ""  # a post of the old keywords bounds no gap of the new ones
        return mark

    def passed(self, id: str, at: float) -> bool:
        """A post came over the connection, and nothing but its id is known. False: `seen` has to look at it.

        Only the first posts well after a gap are looked at, until there is a mark.
        """
        if self._from is not None and at >= self._from and newer(id, self._before):
            return False
        if newer(id, self.newest):
            self.newest = id
        return True

    def seen(self, post: Post, at: float) -> AfterMark | None:
        """A post came over the connection; the mark when it is the first one well after a gap.

        An old post that is delivered again right after a reconnect is none; neither is a retweet, which not every
        source gives again.
        """
        if newer(post.id, self.newest):
            self.newest = post.id
        if self._from is None or at < self._from or not newer(post.id, self._before) or post.ref("retweeted"):
            return None
        self._from = None
        return AfterMark(post.id)


def newer(id: str, other: str) -> bool:
    """Whether the first id is the later one: ids rise in length, and then as text."""
    return id > other if len(id) == len(other) else len(id) > len(other)
