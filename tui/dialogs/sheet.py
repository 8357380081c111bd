"""A sheet to read: lines of text that scroll, over the dashboard. Help, one post and the event log are sheets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.ink import INKS, Line
from tui.painted import strip_of

# Rows of a sheet that are not its page: border and padding.
FRAME = 4


class Page(ScrollView, can_focus=True):
    """Lines that scroll, drawn for the width there is."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"ink--{ink}" for ink in INKS}

    def __init__(self, draw: Callable[[int], Sequence[Line]]) -> None:
        super().__init__(classes="page")
        self._draw = draw
        self._lines: Sequence[Line] = ()

    def turn(self, draw: Callable[[int], Sequence[Line]] | None = None) -> None:
        """Draw anew, something else if given."""
        if draw is not None:
            self._draw = draw
            self.scroll_to(y=0, animate=False)
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        self._lines = self._draw(width)
        self.virtual_size = Size(width, len(self._lines))
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
        return strip_of(self, self._lines[index], width)


class Sheet(ModalScreen[None]):
    """A page with a title, left with escape, enter or q."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", "Close", show=False)]

    def __init__(self, title: str, draw: Callable[[int], Sequence[Line]], keys: str = "esc close") -> None:
        super().__init__()
        self._title = title
        self._keys = keys
        self.page = Page(draw)

    def compose(self) -> ComposeResult:
        """The page in its frame."""
        with Vertical(classes="sheet") as frame:
            frame.border_title = self._title
            frame.border_subtitle = self._keys
            yield self.page

    def on_mount(self) -> None:
        """Keys scroll the page."""
        self.page.focus()
