"""The post under the cursor, open beside the feed (layout 4)."""

from __future__ import annotations

from core.snapshot import FeedRow
from tui.dialogs.sheet import Page
from tui.feed import Feed
from tui.ink import Line


class Beside(Page):
    """Follows the feed's cursor; without one, the newest post on the screen."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(self._post, fits=False)
        self.id = "beside"
        self._feed = feed
        self._row: FeedRow | None = None
        self._starred = False

    def show(self) -> None:
        """Draw the post that is under the cursor now, if there is room for it."""
        if not self.display or self.size.width <= 0:
            return
        row = self._feed.current()
        starred = row is not None and row.post.key in self._feed.ring.stars
        if row is not self._row or starred != self._starred:
            self._row, self._starred = row, starred
            self.turn(self._post)

    def _post(self, width: int) -> list[Line]:
        if self._row is None:
            return [(("No post yet.", "dim"),)]
        from tui.dialogs.detail import draw_post  # noqa: PLC0415 - not before this layout is chosen

        return draw_post(self._row, width, self._feed.terms, self._feed.hits, starred=self._starred, brief=True)
