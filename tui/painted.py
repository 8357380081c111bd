"""Painted: a widget that shows Lines, in the theme's colours, and repaints only rows that changed.

The inks' colours belong to the screen at the bottom, a Canvas, and to no widget: the stylesheet looks at every
component class of every widget each time that any style changes, and nineteen for each would be most of a start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar
from weakref import WeakKeyDictionary

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.screen import Screen
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from core.snapshot import Snapshot
from tui.ink import INKS, ON_LOUD, Line, Span, line_width
from tui.select import selectable, selected


class Canvas(Screen[object]):
    """The screen at the bottom of an app that shows Lines: it has the colours of the inks.

    What a key brings about is painted at once. Textual paints at the next beat of a clock that it starts when
    something has changed: 17 ms later, which is a good part of what a key takes.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"ink--{ink}" for ink in INKS}
    _at_once = False

    def hurry(self) -> None:
        """Paint what changes next at once, without waiting for the clock."""
        self._at_once = True

    def on_idle(self) -> None:
        """All widgets have told what changed. Comes before Textual's own handler, which would start its clock."""
        if self._at_once and self.is_current and self._dirty_widgets:
            self._at_once = False
            self._on_timer_update()


def strip_of(widget: Widget, line: Line, width: int, over: Style | None = None) -> Strip:
    """The line in the widget's colours, in exactly `width` cells. `ink@action` is a text to click, and so is
    `ink@action argument`."""
    segments = []
    canvas, own = widget.app.screen_stack[0], own_style(widget)
    for text, ink in _joined(line):
        name, _, action = ink.partition("@")
        style = own + canvas.get_component_rich_style(f"ink--{name}", partial=True)
        if over is not None and name not in ON_LOUD:
            style += over
        if action:
            # Not as text to be parsed: what an action takes may be what somebody wrote.
            done, _, argument = action.partition(" ")
            style += Style.from_meta({"@click": ("app.do", (done, argument))})
        segments.append(Segment(text, style))
    return Strip(segments, line_width(line)).adjust_cell_length(width, own if over is None else own + over)


def own_style(widget: Widget) -> Style:
    """The widget's `rich_style`, which Textual would add up anew for every line from all that is around it."""
    changes = tuple(node.styles._cache_key for node in widget.ancestors_with_self)
    known = _own_styles.get(widget)
    if known is None or known[0] != changes:
        known = _own_styles[widget] = changes, widget.rich_style
    return known[1]


_own_styles: WeakKeyDictionary[Widget, tuple[tuple[int, ...], Style]] = WeakKeyDictionary()


def _joined(line: Line) -> Iterator[Span]:
    """The line with spans of the same ink as one: each costs some 40 bytes on its way to the terminal."""
    text, ink = "", ""
    for more, its_ink in line:
        if its_ink != ink and text:
            yield text, ink
            text = ""
        text, ink = text + more, its_ink
    if text:
        yield text, ink


class Painted(Widget):
    """A widget whose content is a list of Lines, given by `paint`."""

    lines: Sequence[Line] = ()

    def paint(self, lines: Sequence[Line]) -> None:
        """Show these lines. Rows that are as before cost nothing."""
        before, self.lines = self.lines, lines
        longest = max(len(before), len(lines))
        for y in range(longest):
            old = before[y] if y < len(before) else None
            new = lines[y] if y < len(lines) else None
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        width = self.size.width
        if y >= len(self.lines):
            return Strip.blank(width, self.rich_style)
        return selectable(self, strip_of(self, self.lines[y], width), y)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What is selected with the mouse."""
        return selected(selection, len(self.lines), lambda y: "".join(text for text, _ in self.lines[y]))


class Panel(Painted):
    """A part of the screen that is drawn from snapshots by a pure function of (snapshot, width, height)."""

    def __init__(self, draw: Callable[[Snapshot, int, int], Sequence[Line]], *, id: str) -> None:
        super().__init__(id=id)
        self.draw = draw
        self.snapshot: Snapshot | None = None
        self._drawn_for: Size | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw this moment, if there is room for it."""
        self.snapshot = snapshot
        if self.display and self.size.width > 0 and self.size.height > 0:
            self._drawn_for = self.size
            self.paint(self.draw(snapshot, self.size.width, self.size.height))

    def render_line(self, y: int) -> Strip:
        """One row of the screen. The first frame comes before the news of a size, and is not to be empty."""
        if self._drawn_for != self.size and self.snapshot is not None:
            self._drawn_for = self.size
            self.lines = self.draw(self.snapshot, self.size.width, self.size.height)
        return super().render_line(y)

    def on_resize(self) -> None:
        """Draw the same moment in the new room."""
        if self.snapshot is not None:
            self.show(self.snapshot)
