"""Drawing with ASCII only (`ui.ascii`), for terminals and fonts that have nothing else.

Every sign that the screen draws itself, Textual's borders and scroll bars included, becomes one ASCII character of
the same width on its way to the terminal. What people wrote is shown as they wrote it.
"""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SIGNS = {
    "─━╌╍═▔▀": "-",
    "│┃║▌▐▊▎▍▏▕": "|",
    "┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝": "+",
    "▁▂": "_",
    "▃▄": "-",
    "▅▆": "=",
    "▇█▉▋": "#",
    "●★•": "*",
    "○◐": "o",
    "◌": "?",
    "▲": "!",
    "■✗": "x",
    "✓": "+",
    "‖": "=",
    "«": "<",
    "⏎": "/",
    "…": "~",
    "·": ".",
    "−–": "-",
    "→▸▶": ">",
    "←": "<",
    "↑": "^",
    "↓▾": "v",
    "�": "?",
}
TABLE = {ord(sign): plain for signs, plain in _SIGNS.items() for sign in signs} | {ord("🔎"): "> "}


class AsciiSigns(LineFilter):
    """Textual asks it for every line that it paints."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line in plain signs."""
        return [
            segment if segment.text.isascii() else Segment(segment.text.translate(TABLE), segment.style)
            for segment in segments
        ]
