"""Painted: a widget that shows Lines, in the theme's colours, and repaints only rows that changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from core.snapshot import Snapshot
from tui.ink import INKS, ON_LOUD, Line
from tui.select import selectable, selected


def strip_of(widget: Widget, line: Line, width: int, over: Style | None = None) -> Strip:
    """The line in the widget's colours, in exactly `width` cells. `ink@action` is a text to click, and so is
    `ink@action argument`."""
    segments = []
    for text, ink in line:
        name, _, action = ink.partition("@")
        style = widget.get_component_rich_style(f"ink--{name}")
        if over is not None and name not in ON_LOUD:
            style += over
        if action:
            # Not as text to be parsed: what an action takes may be what somebody wrote.
            done, _, argument = action.partition(" ")
            style += Style.from_meta({"@click": ("app.do", (done, argument))})
        segments.append(Segment(text, style))
    return Strip(segments).adjust_cell_length(
        width, widget.rich_style if over is None else widget.rich_style + over
    )


class Painted(Widget):
    """A widget whose content is a list of Lines, given by `paint`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"ink--{ink}" for ink in INKS}

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

    def show(self, snapshot: Snapshot) -> None:
        """Draw this moment, if there is room for it."""
        self.snapshot = snapshot
        if self.display and self.size.width > 0 and self.size.height > 0:
            self.paint(self.draw(snapshot, self.size.width, self.size.height))

    def on_resize(self) -> None:
        """Draw the same moment in the new room."""
        if self.snapshot is not None:
            self.show(self.snapshot)
