"""Help: every key, from the action table, and what the numbers and signs mean."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tui.actions import ACTIONS, Action, key_names
from tui.dialogs.sheet import Sheet
from tui.ink import Line, pad, wrap

NUMBERS = (
    ("TOTAL", "posts received; a post delivered twice counts twice"),
    ("MATCHED", "of these, about the topic; MATCHED = UNIQUE + DUPLICATE + PENDING"),
    ("UNIQUE", "stored, and new to the store"),
    ("DUPLICATE", "the store had it already"),
    ("PENDING", "not yet acknowledged by the store; the journal holds it"),
    ("quarantined", "received, but no post that can be read; kept with the reason"),
    ("gap", "a span in which posts may have been missed"),
    ("run, life", "since this start; ever, in this data folder"),
)

SIGNS = (
    ("=", "a duplicate (dim)"),
    ("·", "not about the topic (dim)"),
    ("«", "fetched afterwards, to fill a gap"),
    ("● ○", "live; connected, but nothing to say"),
    ("▲ ‖ ■", "waiting or stalled; paused; stopped"),
)


def draw_help(width: int, actions: Sequence[Action] = ACTIONS) -> list[Line]:
    """The whole help in lines of `width` cells; `actions` are those that can be had now."""
    lines: list[Line] = []
    for group, members in groupby(
        sorted(actions, key=lambda action: _ORDER.index(action.group)), lambda a: a.group
    ):
        lines += _section(group, [(key_names(action), action.description) for action in members], width, "key")
    lines += _section("Numbers", NUMBERS, width, "strong")
    lines += _section("Signs", SIGNS, width, "strong")
    lines.append((("Wheel and scroll bar freeze the feed, a click opens a post. Times are UTC.", "dim"),))
    return lines


_ORDER = list(dict.fromkeys(action.group for action in ACTIONS))


def _section(
    title: str, rows: list[tuple[str, str]] | tuple[tuple[str, str], ...], width: int, ink: str
) -> list[Line]:
    column = 20
    lines: list[Line] = [((title, "title"),)]
    for name, words in rows:
        texts = wrap(words, width - column)
        lines.append(((pad(name, column), ink), (texts[0], "text")))
        lines += [((" " * column, "dim"), (text, "text")) for text in texts[1:]]
    return [*lines, ()]


def help_sheet(actions: Sequence[Action]) -> Sheet:
    """The help as a sheet."""
    return Sheet("Keys and words", lambda width: draw_help(width, actions))
