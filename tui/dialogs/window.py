"""The last hour, live: plots over a period, and lists of what the posts speak of and who writes them.

The cursor stays on a name while the lists change under it, so that enter never opens another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from core.snapshot import Snapshot
from tui.actions import Place
from tui.ink import Line
from tui.keymap import Keys
from tui.painted import Panel
from tui.window import KINDS, draw_window, shown_names

if TYPE_CHECKING:
    from tui.view import View

PAGE = 10  # names that a page key moves by


class WindowScreen(ModalScreen[None]):
    """Plots and lists in a frame that fills the screen."""

    PLACE: ClassVar[Place] = Place.WINDOW

    def __init__(self, snapshot: Snapshot, view: View, keys: Keys) -> None:
        """`view` remembers which list and which period are shown."""
        super().__init__()
        self._view = view
        self._keys = keys
        self._snapshot = snapshot
        self._row = 0
        self._name = ""  # under the cursor; empty: whichever is first
        self._panel = Panel(self._draw, id="window")

    def compose(self) -> ComposeResult:
        """One panel in a frame."""
        with Vertical(id="window-frame") as frame:
            frame.border_title = "The last hour"
            named = (("only", "only its posts"), ("next_list", "list"), ("period", "period"), ("close", "close"))
            frame.border_subtitle = " · ".join(f"{self._keys.name(action)} {label}" for action, label in named)
            yield self._panel

    def on_mount(self) -> None:
        """Draw as soon as there is room."""
        self.call_after_refresh(self.show, self._snapshot)

    def show(self, snapshot: Snapshot) -> None:
        """Bring it to this moment; the cursor stays on its name."""
        self._snapshot = snapshot
        names = [name for name, _ in shown_names(snapshot.window, self.kind)]
        if self._name in names:
            self._row = names.index(self._name)
        self._row = max(min(self._row, len(names) - 1), 0)
        self._panel.show(snapshot)

    @property
    def kind(self) -> str:
        """The list that has the cursor."""
        return self._view.memory.list

    def _draw(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        return draw_window(snapshot, self._view.memory.period, self.kind, self._row, width, height)

    def _go(self, row: int) -> None:
        names = shown_names(self._snapshot.window, self.kind)
        self._row = max(min(row, len(names) - 1), 0)
        self._name = names[self._row][0] if names else ""
        self.show(self._snapshot)

    def do_up(self) -> None:
        """One name up."""
        self._go(self._row - 1)

    def do_down(self) -> None:
        """One name down."""
        self._go(self._row + 1)

    def do_page_up(self) -> None:
        """Some names up."""
        self._go(self._row - PAGE)

    def do_page_down(self) -> None:
        """Some names down."""
        self._go(self._row + PAGE)

    def do_oldest(self) -> None:
        """To the commonest name."""
        self._go(0)

    def do_newest(self) -> None:
        """To the last name."""
        self._go(len(shown_names(self._snapshot.window, self.kind)) - 1)

    def do_window(self, argument: str = "") -> None:
        """The list that was clicked."""
        self._view.choose_list(argument)
        self._name = ""
        self._go(0)

    def do_next_list(self) -> None:
        """The cursor into the next list."""
        self.do_window(KINDS[(KINDS.index(self.kind) + 1) % len(KINDS)])

    def do_previous_list(self) -> None:
        """The cursor into the list before."""
        self.do_window(KINDS[KINDS.index(self.kind) - 1])

    def do_only(self, argument: str = "") -> None:
        """Leave, and show only the posts of the name under the cursor, or of the one that was clicked."""
        names = shown_names(self._snapshot.window, self.kind)
        chosen = argument or (f"{self.kind} {names[self._row][0]}" if names else "")
        if chosen:
            self.dismiss()
            self._view.only(chosen)

    def do_close(self) -> None:
        """Leave."""
        self.dismiss()
