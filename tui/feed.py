"""The feed: a scroll view over a list of rows that renders only those that are on the screen.

It reads the ring, or what a search over everything stored has found. It is anchored to sequence numbers, not to
places: frozen, the row that one reads stays where it is, whatever comes and whatever the ring forgets. Any
scrolling up freezes; the end follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from core.snapshot import FeedRow
from tui.ink import Line, line_width
from tui.painted import strip_of
from tui.ring import Reading, Ring
from tui.row import Finder, draw_row
from tui.select import selected, with_selection
from tui.stored import Stored

NEAR = 50  # rows from the top of what a search has found at which more of it is asked for


class Feed(ScrollView, can_focus=True, inherit_bindings=False):
    """The posts, oldest at the top, newest at the bottom."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"feed--cursor"}

    class Opened(Message):
        """A row was clicked."""

        def __init__(self, row: FeedRow) -> None:
            super().__init__()
            self.row = row

    class Moved(Message):
        """The feed was frozen, follows again, shows other rows, or has its cursor on another one."""

    class Wanting(Message):
        """The reader comes to the top of what a search has found so far."""

    def __init__(self, capacity: int, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ring = Ring(capacity)
        self.stored: Stored | None = None  # what a search has found, while one reads that
        self.terms: Finder | None = None  # the topic's
        self.hits: Finder | None = None  # the filter's
        self.empty: Sequence[Line] = ()  # shown while there are no rows
        self.cursor: int | None = None  # sequence number of the row under the cursor
        self._drawn: LRUCache[tuple[int, int, bool, bool], Strip] = LRUCache(500)
        self._moving = False  # we scroll ourselves just now: it is not the user

    @property
    def reading(self) -> Reading:
        """The list that is shown."""
        return self.stored or self.ring

    @property
    def shown(self) -> list[FeedRow]:
        """The rows that are shown, oldest first."""
        return self.reading.shown

    # What the stream calls.

    def add(self, rows: Sequence[FeedRow]) -> None:
        """Take new posts; repaint only when something on the screen changed."""
        if not rows:
            return
        changed = self.ring.add(rows)
        if changed and not self.ring.frozen:
            # A new size makes Textual lay out the whole screen: only when the scroll bar would show it.
            told = self.virtual_size.height
            if abs(len(self.shown) - told) * self.size.height >= told:
                self._resize()
            self.refresh(self.scrollable_content_region.reset_offset)  # the scroll bar repaints itself

    def clear(self) -> None:
        """Forget every post."""
        self.ring.clear()
        self._drawn.clear()
        self.follow()

    def explain(self, lines: Sequence[Line]) -> None:
        """What to say while there are no rows."""
        if lines != self.empty:
            self.empty = lines
            if not self.shown:
                self.refresh()

    def highlight(self, terms: Finder | None) -> None:
        """Mark these terms from now on."""
        self.terms = terms
        self.redraw()

    def redraw(self) -> None:
        """Every row looks different now."""
        self._drawn.clear()
        self.refresh()

    def freeze(self) -> None:
        """Keep what is on the screen."""
        if not self.ring.frozen:
            self._resize()
            self.ring.freeze()
            self.post_message(self.Moved())

    def follow(self) -> None:
        """Show the newest rows, and keep doing so."""
        self.stored = None
        self.ring.follow()
        self.cursor = None
        self._resize()
        self.redraw()
        self.post_message(self.Moved())

    def read(self, stored: Stored) -> None:
        """Show what a search finds from now on, its newest row at the bottom; the ring waits meanwhile."""
        self.ring.freeze()
        self.stored = stored
        self.cursor = None
        self._resize(0)
        self.redraw()
        self.post_message(self.Moved())

    def grown(self, rows: int) -> None:
        """So many older rows were put before those of the search; the rows on the screen stay where they are."""
        if len(self.shown) <= max(self.size.height, rows):
            self._resize(len(self.shown))  # the first ones: the newest is read first
        else:
            self._resize(self._top + rows)
        self.refresh()
        self.post_message(self.Moved())

    def keeping_place(self, change: Callable[[], None]) -> None:
        """Make a change of what is shown; the row that was read stays in view when it is still among them."""
        reading = self.ring.frozen and self._top < len(self.shown)
        row = self.shown[self._cursor_index()] if reading and self.cursor is not None else None
        anchor = row or (self.shown[self._top] if reading else None)
        above = self.reading.index_of(anchor.seq) - self._top if anchor else 0
        change()
        self._resize(self.reading.index_of(anchor.seq) - above if anchor else None)
        self.redraw()
        self.post_message(self.Moved())

    def move(self, rows: int) -> None:
        """Move the cursor by so many rows; this freezes the feed, and its end follows again."""
        shown = self.shown
        if not shown:
            return
        following = not self.ring.frozen
        if following and rows > 0:
            return
        self.freeze()
        at = self._cursor_index() + rows
        if at >= len(shown):
            if self.ring.waiting and self.stored is None:
                self._pull()
                shown = self.shown
                at = self._cursor_index() + rows
            elif rows > 0:
                self.follow()
                return
        self._put_cursor(min(max(at, 0), len(shown) - 1))

    def move_page(self, direction: int) -> None:
        """Move the cursor by a page, up (-1) or down (1)."""
        self.move(direction * max(self.size.height - 1, 1))

    def match(self, direction: int) -> bool:
        """Put the cursor on the next row that is looked for, up (-1) or down (1); False when there is none."""
        shown = self.shown
        if not shown:
            return False
        # Without a cursor the row on the screen that is nearest to the end counts as well.
        at = self._cursor_index() + (direction if self.cursor is not None else 0)
        while 0 <= at < len(shown):
            if self.reading.is_hit(shown[at]):
                self.freeze()
                self._put_cursor(at)
                return True
            at += direction
        if direction < 0:
            self.post_message(self.Wanting())
        return False

    def oldest(self) -> None:
        """Go to the oldest row."""
        if self.shown:
            self.freeze()
            self._put_cursor(0)

    def current(self) -> FeedRow | None:
        """The row under the cursor; without one, the last row on the screen."""
        return self.shown[self._cursor_index()] if self.shown else None

    def point_at(self, row: FeedRow) -> None:
        """Freeze with the cursor on this row."""
        self.freeze()
        index = self.reading.index_of(row.seq)
        if index < len(self.shown):
            self._put_cursor(index)

    def neighbour(self, row: FeedRow, step: int) -> FeedRow | None:
        """The shown row so many places from this one."""
        index = self.reading.index_of(row.seq)
        if index >= len(self.shown) or self.shown[index] is not row:
            return None  # a post of another list
        return self.shown[index + step] if 0 <= index + step < len(self.shown) else None

    # Places.

    @property
    def _top(self) -> int:
        """The place of the first row on the screen. Following, it is counted from the end."""
        if not self.ring.frozen:
            return max(len(self.shown) - self.size.height, 0)
        return self.scroll_offset.y

    def _cursor_index(self) -> int:
        """The cursor's place; when it is not on the screen, the last row that is."""
        shown, top, height = self.shown, self._top, max(self.size.height, 1)
        if self.cursor is not None:
            index = self.reading.index_of(self.cursor)
            if top <= index < min(top + height, len(shown)):
                return index
        return max(min(top + height, len(shown)) - 1, 0)

    def _put_cursor(self, index: int) -> None:
        self.cursor = self.shown[index].seq
        top, height = self._top, max(self.size.height, 1)
        if index < top:
            self._scroll(index)
        elif index >= top + height:
            self._scroll(index - height + 1)
        if index < NEAR:
            self.post_message(self.Wanting())
        self.refresh()
        self.post_message(self.Moved())

    def _pull(self) -> None:
        """Append what waits below a frozen feed; the rows on the screen stay where they are."""
        top = self._top
        left = self.ring.pull()
        self._resize(top - left)
        self.screen.clear_selection()  # its places are others now
        self.redraw()
        self.post_message(self.Moved())

    def _resize(self, top: int | None = None) -> None:
        """Tell the scroll bar how many rows there are, and go to the place where the view belongs."""
        self._moving = True
        try:
            self.virtual_size = Size(self.size.width, len(self.shown))
        finally:
            self._moving = False
        if not self.ring.frozen:
            self._scroll(max(len(self.shown) - self.size.height, 0))
        elif top is not None:
            self._scroll(top)

    def _scroll(self, top: int) -> None:
        self._moving = True
        try:
            self.scroll_to(y=max(top, 0), animate=False, force=True)
        finally:
            self._moving = False

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whoever scrolls up (wheel, bar, key) freezes; whoever arrives at the end gets what waits."""
        super().watch_scroll_y(old_value, new_value)
        if self._moving or round(old_value) == round(new_value):
            return
        if new_value < old_value:
            # A screen that became higher scrolls as well, and ends where it ended: nobody went up.
            if not self.ring.frozen and round(new_value) < self.max_scroll_y:
                self.ring.freeze()
                self.post_message(self.Moved())
            if new_value < NEAR:
                self.post_message(self.Wanting())
        elif self.ring.frozen and self.stored is None and round(new_value) >= self.max_scroll_y:
            # Not at once: an animated scroll is still at work, and must not find its own end scrolled away.
            self.call_next(self._pull if self.ring.waiting else self.follow)

    def on_mouse_scroll_up(self) -> None:
        """The wheel starts from the end as it is now, not as the scroll bar was last told."""
        if not self.ring.frozen:
            self._resize()

    def on_resize(self) -> None:
        """Another size shows other rows."""
        self._resize(self.scroll_offset.y if self.ring.frozen else None)

    # The mouse.

    def on_mouse_down(self) -> None:
        """What may become a selection stands still."""
        self.freeze()

    def on_click(self, event: events.Click) -> None:
        """A click on a row opens it; the end of a selection does not."""
        index = self._top + event.y
        if event.y < self.size.height and index < len(self.shown) and not self.screen.get_selected_text():
            row = self.shown[index]
            self.point_at(row)
            self.post_message(self.Opened(row))

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What is selected with the mouse, as it is drawn."""
        width = self.scrollable_content_region.width
        return selected(selection, len(self.shown), lambda y: self._strip(y, width).text)

    # Painting.

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows of a frame. Textual would add to each what styles can put around and over it, of which the feed
        has nothing, and marks for the mouse, which asks for them itself: together most of what a frame costs."""
        if not self.shown:
            return super().render_lines(crop)
        width, top = self.scrollable_content_region.width, self._top
        filters, (_, background) = self.get_line_filters(), self.background_colors
        strips = []
        for y in crop.line_range:
            strip = self._row(top + y, width)
            for line_filter in filters:
                strip = strip.apply_filter(line_filter, background)
            strips.append(strip.crop(*crop.column_span))
        return strips

    def render_line(self, y: int) -> Strip:
        """One row of the screen, with marks for the mouse."""
        width = self.scrollable_content_region.width
        if not self.shown:
            return self._render_empty(y, width)
        index = self._top + y
        row = self._row(index, width)
        return row.apply_offsets(0, index) if index < len(self.shown) else row

    def _row(self, index: int, width: int) -> Strip:
        """What stands at that place of the list, with what is selected of it shown; blank behind its end."""
        if index >= len(self.shown):
            return Strip.blank(width, self.rich_style)
        return with_selection(self, self._strip(index, width), index)

    def _strip(self, index: int, width: int) -> Strip:
        """The row at that place."""
        row = self.shown[index]
        starred, aside = row.post.key in self.ring.stars, self.reading.is_aside(row)
        if self.ring.frozen and row.seq == self.cursor:
            line = draw_row(row, width, self.terms, self.hits, cursor=True, starred=starred, aside=aside)
            return strip_of(self, line, width, self._cursor_style())
        # A row is drawn once and then only moves up: finding the topic's terms in it is what costs.
        key = (row.seq, width, starred, aside)
        strip = self._drawn.get(key)
        if strip is None:
            line = draw_row(row, width, self.terms, self.hits, starred=starred, aside=aside)
            strip = self._drawn[key] = strip_of(self, line, width)
        return strip

    def notify_style_update(self) -> None:
        """The theme changed: every row is drawn anew."""
        super().notify_style_update()
        self._drawn.clear()

    def _cursor_style(self) -> Style:
        return Style(bgcolor=self.get_component_rich_style("feed--cursor").bgcolor)

    def _render_empty(self, y: int, width: int) -> Strip:
        first = max((self.size.height - len(self.empty)) // 3, 0)
        if not first <= y < first + len(self.empty):
            return Strip.blank(width, self.rich_style)
        line = self.empty[y - first]
        longest = max(line_width(line) for line in self.empty)
        left = max((width - longest) // 2, 1)
        return strip_of(self, ((" " * left, "dim"), *line), width)
