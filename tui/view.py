"""How the screen is divided and coloured: layouts, hidden panels, one panel alone, themes; all of it remembered.

Which panel is where is the stylesheet's work: this file only names states, as classes of the screen.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.filter import Wanted
from core.settings import UiSettings
from tui.memory import Memory, save
from tui.plot import PERIODS
from tui.window import KINDS

if TYPE_CHECKING:
    from tui.app import Dashboard

THEMES = ("bieber", "bieber-light", "ansi-dark", "ansi-light")
PANELS = ("numbers", "side", "keys")  # those that can be hidden
ZOOMED = ("stream", "side", "numbers", "beside")  # those that can fill the screen


class View:
    """The state of the screen, and its actions."""

    def __init__(self, app: Dashboard, settings: UiSettings, memory: Memory, folder: Path | None) -> None:
        """`folder` is where it is remembered; None: nowhere."""
        self._app = app
        self._folder = folder
        self.memory = self._written = memory
        self.zoomed = ""
        # What the user set for this run is stronger than what he chose in an earlier one.
        self.wanted_theme = settings.theme or memory.theme or THEMES[0]

    def start(self) -> None:
        """Read the feed as it was read."""
        stream, memory = self._app.stream, self.memory
        stream.feed.ring.show = memory.show
        stream.look_for(Wanted(mode=memory.reading))

    def remember(self, **changes: Any) -> None:
        """Note a change, and write it down in a thread."""
        changed = msgspec.structs.replace(self.memory, **changes)
        if changed == self.memory:
            return
        self.memory = changed
        if self._folder is not None:
            self._app.jobs.start(lambda _: self.write())

    def write(self) -> None:
        """Write down what is remembered, if that is not done yet; blocks on the disk."""
        if self._folder is None or self._written == self.memory:
            return
        self._written = self.memory
        problem = save(self._folder, lambda: self.memory)
        if problem:
            self._app.say(problem)

    def _show(self) -> None:
        screen = self._app.main_screen
        others = [name for name in screen.classes if name.startswith(("-layout-", "-no-", "-zoom-"))]
        screen.remove_class(*others)
        screen.add_class(*self.states())
        self._app.call_after_refresh(self._app.paint)

    def states(self) -> list[str]:
        """The states of the screen, as its classes."""
        hidden = [f"-no-{panel}" for panel in PANELS if panel in self.memory.hidden]
        return [f"-layout-{self.memory.layout}", *hidden, *([f"-zoom-{self.zoomed}"] if self.zoomed else [])]

    # Layouts and panels.

    def do_layout_1(self) -> None:
        """Overview."""
        self._lay_out(1)

    def do_layout_2(self) -> None:
        """Feed."""
        self._lay_out(2)

    def do_layout_3(self) -> None:
        """Numbers."""
        self._lay_out(3)

    def do_layout_4(self) -> None:
        """Reading."""
        self._lay_out(4)

    def _lay_out(self, layout: int) -> None:
        self.zoomed = ""
        self.remember(layout=layout, hidden=())
        self._show()

    def do_hide_numbers(self) -> None:
        """Hide the numbers, or show them."""
        self._toggle("numbers")

    def do_hide_side(self) -> None:
        """Hide the right column, or show it."""
        self._toggle("side")

    def do_hide_keys(self) -> None:
        """Hide the line of keys, or show it."""
        self._toggle("keys")

    def _toggle(self, panel: str) -> None:
        hidden = self.memory.hidden
        self.remember(
            hidden=tuple(name for name in hidden if name != panel) if panel in hidden else (*hidden, panel)
        )
        self._show()

    def do_zoom(self) -> None:
        """One panel alone, or all again."""
        if self.zoomed:
            self.unzoom()
            return
        focused = self._app.focused
        ids = [node.id for node in focused.ancestors_with_self] if focused is not None else []
        self.zoomed = next((name for name in ZOOMED if name in ids), ZOOMED[0])
        self._show()

    def unzoom(self) -> bool:
        """All panels again; whether there was one alone."""
        if not self.zoomed:
            return False
        self.zoomed = ""
        self._show()
        return True

    def do_next_panel(self) -> None:
        """The focus to the next panel."""
        self._app.screen.focus_next()

    # Numbers.

    def do_counters(self) -> None:
        """The run's, or the life's."""
        self.remember(life=not self.memory.life)
        self._app.paint()

    def do_period(self, argument: str = "") -> None:
        """The next period of the plots, or the one that is named."""
        names = [period.name for period in PERIODS]
        if argument and argument not in names:
            self._app.say(f"There is no period {argument!r}; there are {', '.join(names)}.")
            return
        period = names.index(argument) if argument else (self.memory.period + 1) % len(names)
        self.remember(period=period)
        self._app.paint()

    def choose_list(self, kind: str) -> bool:
        """The list of the last hour that has the cursor from now on; False when there is none of that name."""
        if kind and kind not in KINDS:
            self._app.say(f"There is no list {kind!r}; there are {', '.join(KINDS)}.")
            return False
        self.remember(list=kind or self.memory.list)
        return True

    def only(self, chosen: str) -> None:
        """Show only the posts of a name: `authors @ana`."""
        kind, _, name = chosen.partition(" ")
        if name and kind in KINDS:
            self._app.stream.only(kind, name, self._app.snapshot)
        else:
            self._app.say(f"Which posts? A list and a name of it: authors @ana; the lists are {', '.join(KINDS)}.")

    # Themes.

    def do_theme(self, argument: str = "") -> None:
        """The next theme, or the one that is named."""
        app = self._app
        if argument and argument not in app.available_themes:
            app.say(f"There is no theme {argument!r}; there are {', '.join(sorted(app.available_themes))}.")
            return
        place = THEMES.index(app.theme) if app.theme in THEMES else -1
        app.theme = argument or THEMES[(place + 1) % len(THEMES)]
        self.remember(theme=app.theme)
