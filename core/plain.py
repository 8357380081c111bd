"""Text from outside in a log or a table, fit for a terminal that nobody watches over.

A control character, an escape sequence, a bidirectional override or half a surrogate is shown as Python would
write it in a string.
"""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text on one line, every character of it printable."""
    return "".join(map(_shown, " ".join(part.strip() for part in text.splitlines())))


def lines(text: str) -> str:
    """The same for a text whose line feeds are its writer's own; blanks at the beginning of a line stay."""
    return "\n".join("".join(map(_shown, line)) for line in text.split("\n"))


def _shown(char: str) -> str:
    return char if char.isprintable() else ascii(char)[1:-1]
