"""A sheet to read: lines of text that scroll, over the dashboard. Help, one post and the event log are sheets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from core.snapshot import Snapshot
from tui.actions import Place
from tui.ink import Line
from tui.painted import strip_of
from tui.select import selectable, selected

# Rows of a sheet that are not its page: border and padding.
FRAME = 4


class Page(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines that scroll, drawn for the width there is. `fits`: it is as high as its lines, where there is room."""

    def __init__(self, draw: Callable[[int], Sequence[Line]], *, fits: bool = True) -> None:
        super().__init__(classes="page")
        self._draw = draw
        self._fits = fits
        self._lines: Sequence[Line] = ()

    def turn(self, draw: Callable[[int], Sequence[Line]] | None = None) -> None:
        """Draw anew; something else, from its top, if given."""
        if draw is not None:
            self._draw = draw
            self.scroll_to(y=0, animate=False)
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        before, self._lines = self._lines, self._draw(width)
        if draw is None and self._lines == before and self.virtual_size.width == width:
            return
        self.virtual_size = Size(width, len(self._lines))
        if self._fits:
            room = int(self.app.size.height * 0.9) - FRAME
            self.styles.height = min(len(self._lines), max(room, 3))
        self.refresh()

    def on_resize(self) -> None:
        """Draw for the new width."""
        self.turn()

    def render_line(self, y: int) -> Strip:
        """One row of the page."""
        width = self.scrollable_content_region.width
        index = self.scroll_offset.y + y
        if index >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        return selectable(self, strip_of(self, self._lines[index], width), index)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What is selected with the mouse."""
        return selected(selection, len(self._lines), lambda y: "".join(text for text, _ in self._lines[y]))


class Sheet(ModalScreen[None]):
    """A page with a title."""

    PLACE: ClassVar[Place] = Place.SHEET

    def __init__(
        self, title: str, draw: Callable[[int], Sequence[Line]], keys: str, *, live: bool = False
    ) -> None:
        """`live`: it is drawn anew with every moment."""
        super().__init__()
        self._live = live
        self._title = title
        self._keys_shown = keys
        self.page = Page(draw)

    def compose(self) -> ComposeResult:
        """The page in its frame."""
        with Vertical(classes="sheet") as frame:
            frame.border_title = self._title
            frame.border_subtitle = self._keys_shown
            yield self.page

    def on_mount(self) -> None:
        """Keys scroll the page."""
        self.page.focus()

    def show(self, _: Snapshot) -> None:
        """There is a new moment."""
        if self._live:
            self.page.turn()

    def do_close(self) -> None:
        """Leave the sheet."""
        self.dismiss()

    def do_up(self) -> None:
        """One line up."""
        self.page.scroll_up(animate=False)

    def do_down(self) -> None:
        """One line down."""
        self.page.scroll_down(animate=False)

    def do_page_up(self) -> None:
        """One page up."""
        self.page.scroll_page_up(animate=False)

    def do_page_down(self) -> None:
        """One page down."""
        self.page.scroll_page_down(animate=False)

    def do_oldest(self) -> None:
        """To the top."""
        self.page.scroll_home(animate=False)

    def do_newest(self) -> None:
        """To the bottom."""
        self.page.scroll_end(animate=False)
