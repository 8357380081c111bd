"""The command line: `:` and the name of an action, with what it takes. tab completes, up and down go through what
was typed before. Above the line stand the actions that fit what is typed, from the action table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.actions import ACTIONS, Action, Place
from tui.field import Field
from tui.ink import Line, fit, pad
from tui.keymap import Keys
from tui.memory import added
from tui.painted import Painted

if TYPE_CHECKING:
    from tui.app import Dashboard

SHOWN = 8  # actions that are listed at most

COMMANDS: tuple[Action, ...] = tuple(
    action for action in ACTIONS if Place.DASHBOARD in action.places or action.argument
)


def fitting(typed: str, offered: Sequence[Action]) -> list[Action]:
    """The offered actions that the typed may become, best first: those that begin so, then those that hold it."""
    name, blank, _ = typed.strip().lower().replace("_", "-").partition(" ")
    if blank or typed.endswith(" "):
        return [action for action in offered if action.command == name]
    begin = [action for action in offered if action.command.startswith(name)]
    within = [action for action in offered if name in action.command and action not in begin]
    described = [
        action
        for action in offered
        if len(name) > 2 and name in action.description.lower() and action not in begin and action not in within
    ]
    return begin + within + described


def parse(typed: str, offered: Sequence[Action]) -> tuple[Action | None, str]:
    """The action and its argument; None when no name, and no beginning of just one name, stands there."""
    name, _, argument = typed.strip().partition(" ")
    name = name.lower().replace("_", "-")
    exact = [action for action in offered if action.command == name]
    begin = [action for action in offered if name and action.command.startswith(name)]
    found = exact or (begin if len(begin) == 1 else [])
    return (found[0] if found else None), argument.strip()


def draw_fitting(actions: Sequence[Action], keys: Keys, width: int) -> list[Line]:
    """The actions in one line each: name, what it takes, key, words."""
    lines: list[Line] = []
    for action in actions[:SHOWN]:
        takes = f" [{action.argument}]" if action.argument else ""
        lines.append(
            fit(
                [
                    (" ", "dim"),
                    (pad(action.command, 16), "key"),
                    (pad(keys.name(action.id), 8), "strong"),
                    (f"{action.description}{takes}", "dim"),
                ],
                width,
            )
        )
    return lines


class CommandLine(ModalScreen[None]):
    """The line at the bottom of the screen."""

    PLACE: ClassVar[Place] = Place.COMMAND

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__()
        self._dashboard = dashboard
        self._offered = [action for action in COMMANDS if dashboard.offers(action)]
        self._back = 0  # how far back in the history
        self._fitting = Painted(id="fitting")
        self._field = Field(id="command", select_on_focus=False)

    def compose(self) -> ComposeResult:
        """The list over the line."""
        with Vertical(id="command-line"):
            yield self._fitting
            with Horizontal(id="command-bar"):
                colon = Painted(id="colon")
                colon.lines = [((":", "key"),)]
                yield colon
                yield self._field

    def on_mount(self) -> None:
        """Type at once."""
        self._field.focus()
        self.call_after_refresh(self._list)

    def on_resize(self) -> None:
        """List for the new width."""
        self.call_after_refresh(self._list)

    @on(Input.Changed)
    def _list(self) -> None:
        actions = fitting(self._field.value, self._offered)
        self._fitting.styles.height = min(max(len(actions), 1), SHOWN, max(self.size.height - 4, 1))
        lines = draw_fitting(actions, self._dashboard.keys, self.size.width)
        self._fitting.paint(lines or [((" There is no such action.", "warn"),)])

    def do_close(self) -> None:
        """Leave the line."""
        self.dismiss()

    def do_complete(self) -> None:
        """The best action that fits, with a blank after it when it takes something."""
        actions = fitting(self._field.value, self._offered)
        if actions and " " not in self._field.value.strip():
            self._type(actions[0].command + (" " if actions[0].argument else ""))

    def do_earlier(self) -> None:
        """The command before."""
        self._recall(1)

    def do_later(self) -> None:
        """The command after."""
        self._recall(-1)

    def _recall(self, step: int) -> None:
        history = self._dashboard.view.memory.commands
        self._back = min(max(self._back + step, 0), len(history))
        self._type(history[-self._back] if self._back else "")

    def _type(self, text: str) -> None:
        self._field.value = text
        self._field.cursor_position = len(text)

    def do_run(self) -> None:
        """Do what is typed; what cannot be is left to be mended."""
        typed = self._field.value.strip()
        action, argument = parse(typed, self._offered)
        if not typed:
            self.dismiss()
        elif action is not None and (action.argument or not argument):
            view = self._dashboard.view
            view.remember(commands=added(view.memory.commands, typed))
            self.dismiss()
            self._dashboard.call_later(self._dashboard.do, action.id, argument)
        elif action is not None:
            self._fitting.paint([((f" {action.command} takes nothing.", "warn"),)])
        else:
            self._fitting.paint(
                [((f" {typed.partition(' ')[0]} is no action, nor the beginning of just one.", "warn"),)]
            )
