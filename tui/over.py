"""What is laid over the dashboard to be read or chosen from: the last hour, health, gaps, the log, help, commands.

Most are imported when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from core.snapshot import Event
from tui.dialogs.window import WindowScreen

if TYPE_CHECKING:
    from tui.app import Dashboard


class Over:
    """The actions that open something over the dashboard."""

    def __init__(self, app: Dashboard, events: Sequence[Event]) -> None:
        """`events`: what happened to the screen itself, for the log."""
        self._app = app
        self._events = events

    def do_window(self, argument: str = "") -> None:
        """The last hour in plots and lists."""
        if self._app.view.choose_list(argument):
            self._app.push_screen(WindowScreen(self._app.snapshot, self._app.view, self._app.keys))

    def do_only(self, argument: str = "") -> None:
        """Only the posts of a name; without one, choose it."""
        if argument:
            self._app.view.only(argument)
        else:
            self.do_window()

    def do_health(self) -> None:
        """How it goes."""
        from tui.dialogs.health import health_sheet  # noqa: PLC0415

        self._app.push_screen(health_sheet(lambda: self._app.snapshot, self._app.keys))

    def do_gaps(self) -> None:
        """The gaps."""
        from tui.dialogs.gaps import gaps_sheet  # noqa: PLC0415

        self._app.push_screen(gaps_sheet(lambda: self._app.snapshot, self._app.keys))

    def do_log(self) -> None:
        """Read the event log."""
        from tui.dialogs.log import log_sheet  # noqa: PLC0415

        events = sorted((*self._app.snapshot.events, *self._events), key=lambda event: event.at)
        self._app.push_screen(log_sheet(replace(self._app.snapshot, events=tuple(events)), self._app.keys))

    def do_help(self) -> None:
        """Every key and word."""
        from tui.dialogs.help import help_sheet  # noqa: PLC0415

        self._app.push_screen(help_sheet(self._app.place, self._app.keys, self._app.offers))

    def do_command(self) -> None:
        """Type a command."""
        from tui.command import CommandLine  # noqa: PLC0415

        self._app.push_screen(CommandLine(self._app))
