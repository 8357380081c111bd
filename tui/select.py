"""Selecting text with the mouse in widgets that draw their own strips.

Textual finds the place under the mouse by marks in the strips (`apply_offsets`) and tells a widget what is
selected; the widget shows it and hands out its text. Places count characters of a drawn line, not cells.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.segment import Segment
from rich.style import Style
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from tui.ink import cells


def selectable(widget: Widget, strip: Strip, y: int) -> Strip:
    """Line `y` of the widget's content, with marks for the mouse and what is selected of it shown."""
    return with_selection(widget, strip, y).apply_offsets(0, y)


def with_selection(widget: Widget, strip: Strip, y: int) -> Strip:
    """Line `y` of the widget's content, with what is selected of it shown."""
    selection = widget.text_selection
    span = selection.get_span(y) if selection is not None else None
    if span is None:
        return strip
    text = strip.text
    start, end = span[0], len(text) if span[1] == -1 else span[1]
    cuts = [cells(text[:start]), cells(text[:end]), strip.cell_length]
    before, inside, after = strip.divide(cuts)
    marked = Strip(list(Segment.apply_style(inside, post_style=_style(widget))), inside.cell_length)
    return Strip.join([before, marked, after])


def _style(widget: Widget) -> Style:
    """How what is selected looks: on the theme's colour, reversed where there are no colours."""
    if widget.app.no_color:
        return Style(reverse=True)
    style = widget.screen.get_component_rich_style("screen--selection")
    # Outside the 16-colour themes its own colour is transparent, which would hide the text.
    return style if widget.app.native_ansi_color else Style(bgcolor=style.bgcolor)


def selected(selection: Selection, lines: int, text_of: Callable[[int], str]) -> tuple[str, str] | None:
    """What is selected of `lines` lines, as Textual wants it: the text and what separates it from the next."""
    first = selection.start.y if selection.start is not None else 0
    last = min(selection.end.y if selection.end is not None else lines - 1, lines - 1)
    taken: list[str] = []
    for y in range(first, last + 1):
        span = selection.get_span(y)
        if span is not None:
            text = text_of(y)
            taken.append(text[span[0] : len(text) if span[1] == -1 else span[1]].rstrip())
    return ("\n".join(taken), "\n") if taken else None
