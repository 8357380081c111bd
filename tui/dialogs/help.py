"""Help: the keys of the place where one is, then every key, and what numbers and signs mean."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from tui.actions import ACTIONS, Action, Place
from tui.dialogs.sheet import Sheet
from tui.ink import Line, pad, wrap
from tui.keymap import ALWAYS_QUITS, Keys

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
    ("★", "has a star"),
    ("● ○", "live; connected, but nothing to say"),
    ("▲ ‖ ■", "waiting or stalled; paused; stopped"),
    ("▃ ▁ ◐ ▆ █", "in the timeline: live; quiet; slowed down; waiting; a gap"),
    ("▲ in a plot", "a spike began there"),
)


def draw_help(
    width: int, place: Place, keys: Keys, offered: Callable[[Action], bool] = lambda _: True
) -> list[Line]:
    """The whole help in lines of `width` cells, the keys of the place first; of actions that can be had now."""
    lines: list[Line] = []
    actions = [action for action in ACTIONS if offered(action)]
    if place is not Place.DASHBOARD:
        here = [action for action in actions if place in action.places]
        lines += _section(
            f"Here, in {place}", [(keys.names(action.id), action.description) for action in here], width, "key"
        )
    for group, members in groupby(
        sorted(actions, key=lambda action: _ORDER.index(action.group)), lambda a: a.group
    ):
        listed = [action for action in members if Place.DASHBOARD in action.places]
        lines += _section(group, [(keys.names(action.id), action.description) for action in listed], width, "key")
    lines += _section("Numbers", NUMBERS, width, "strong")
    lines += _section("Signs", SIGNS, width, "strong")
    for words in (
        "Wheel and scroll bar freeze the feed, a click opens a post, what is selected is copied. Times are UTC.",
        f"{ALWAYS_QUITS} quits from everywhere. [ui.keys] in a profile gives every action other keys.",
    ):
        lines += [((text, "dim"),) for text in wrap(words, width)]
    return lines


_ORDER = list(dict.fromkeys(action.group for action in ACTIONS))


def _section(
    title: str, rows: list[tuple[str, str]] | tuple[tuple[str, str], ...], width: int, ink: str
) -> list[Line]:
    column = 20 if width >= 60 else 14
    lines: list[Line] = [((title, "title"),)]
    for name, words in rows:
        texts = wrap(words, width - column)
        lines.append(((pad(name, column), ink), (texts[0], "text")))
        lines += [((" " * column, "dim"), (text, "text")) for text in texts[1:]]
    return [*lines, ()]


def help_sheet(place: Place, keys: Keys, offered: Callable[[Action], bool]) -> Sheet:
    """The help as a sheet."""
    return Sheet(
        "Keys and words", lambda width: draw_help(width, place, keys, offered), f"{keys.name('close')} close"
    )
