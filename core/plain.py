"""Text from outside on one line of a log or a table, fit for a terminal that nobody watches over."""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text on one line, control characters made visible."""
    lines = " ".join(part.strip() for part in text.splitlines())
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in lines)
