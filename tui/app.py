"""The dashboard: draws snapshots of a capture and sends it commands. It knows no network, no disk and no thread of
the capture; a timer asks for a snapshot, pure functions turn it into lines, and only what changed is painted.

Leaving is one path, whatever the reason (q, a signal, a lost terminal): stop the capture in a worker, which
flushes it, then exit.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Input

from core.errors import BieberTuiError, Unavailable
from core.headless import ENDING_SIGNALS
from core.settings import Settings
from core.snapshot import Snapshot
from tui.actions import ACTIONS, REPLAY
from tui.controls import Controls, Playable
from tui.feed import Feed
from tui.feed_text import draw_empty, draw_title
from tui.field import Field
from tui.header import draw_header, draw_keys
from tui.ink import Line
from tui.numbers import draw_numbers
from tui.pace import Pace
from tui.painted import Panel
from tui.side import draw_side, draw_status, in_trouble
from tui.themes import OWN, ink_variables

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.driver import Driver

    from core.snapshot import FeedRow

NUMBERS_EVERY = 0.25  # seconds between two paintings of everything but the feed
UNFOCUSED_FPS = 4.0
SEEK = 60.0  # seconds of a recording
_OF_REPLAYS = frozenset(action.id for action in ACTIONS if action.group == REPLAY)
THEMES = ("bieber", "bieber-light", "ansi-dark", "ansi-light")
MONOCHROME = "ansi-dark"


def _palette() -> type[Provider]:
    from tui.palette import ActionProvider  # noqa: PLC0415 - not needed before somebody asks for it

    return ActionProvider


class Dashboard(App[int]):
    """The whole screen."""

    TITLE = "bieber-tui"
    CSS_PATH = "dashboard.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it so
        (0, "-narrow"),
        (76, "-medium"),
        (110, "-wide"),
        (160, "-huge"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-high"), (50, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(",".join(action.keys), action.id, action.label or action.description, id=action.id, show=False)
        for action in ACTIONS
        if action.id != "palette"  # Textual binds ctrl+p itself
    ]

    def __init__(
        self, controls: Controls, settings: Settings, finished: Callable[[], bool] = lambda: False
    ) -> None:
        plain = "NO_COLOR" in os.environ
        # Without colours nothing but the terminal's own two is used, so Textual must not turn them into greys.
        super().__init__(ansi_color=True if plain else None)
        self._controls = controls
        self._finished = finished
        self._fps = float(settings.ui.fps)
        self._pace = Pace(self._fps)
        self._seq = 0
        self._snapshot = controls.snapshot(0)
        self._epoch = self._snapshot.epoch
        self._topic: str | None = None  # whose terms the feed marks
        self._last_tick = self._last_numbers = 0.0
        self._stopping = False
        self._ticker: Timer | None = None
        for theme in OWN:
            self.register_theme(theme)
        wanted = MONOCHROME if plain else settings.ui.theme
        self._unknown_theme = "" if wanted in self.available_themes else wanted
        self.theme = "bieber" if self._unknown_theme else wanted

        # Widgets are held here and not looked up: a last tick may come while the screen is being taken down.
        self.feed = Feed(settings.ui.feed_size, id="feed")
        self._field = Field(placeholder="show only posts with this in them", id="filter", select_on_focus=False)
        self._side = Panel(draw_side, id="side")
        self._status = Panel(lambda snapshot, width, _: [draw_status(snapshot, width)], id="status")
        self._panels = (
            Panel(lambda snapshot, width, _: [draw_header(snapshot, width, self._stopping)], id="header"),
            Panel(draw_numbers, id="numbers"),
            Panel(self._draw_rule, id="rule"),
            Panel(lambda _, width, __: [draw_title(self.feed.ring, width)], id="title"),
            self._side,
            self._status,
            Panel(lambda _, width, __: [draw_keys(width, self._on(), self._off())], id="keys"),
        )

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver for terminals, made to outlast its terminal; any other as it is."""
        driver = super().get_driver_class()
        if driver.__name__ != "LinuxDriver":
            return driver
        from tui.terminal import LastingDriver  # noqa: PLC0415 - does not exist on Windows

        return LastingDriver

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours for the inks in themes that are not ours."""
        return ink_variables(self.current_theme)

    def _fatal_error(self) -> None:
        """A bug, told without the values of local variables: they hold posts, and may hold a secret."""
        from rich.traceback import Traceback  # noqa: PLC0415 - not needed while all is well

        self.panic(Traceback(show_locals=False))

    def compose(self) -> ComposeResult:
        """From the top down."""
        header, numbers, rule, title, side, status, keys = self._panels
        yield header
        yield numbers
        yield rule
        with Horizontal(id="body"):
            with Vertical(id="stream"):
                yield title
                yield self._field
                yield self.feed
            yield side
        yield status
        yield keys

    def on_mount(self) -> None:
        """Start to look."""
        self.feed.focus()
        if self._unknown_theme:
            self.notify(f"There is no theme {self._unknown_theme!r}; T goes through them.", markup=False)
        self.call_after_refresh(self._start)
        if self.is_web:
            self.set_interval(1.0, self._check_server)
        elif not self.is_headless:
            self._watch_terminal()

    def _start(self) -> None:
        self._last_tick = time.monotonic()
        self._tick()
        self._set_ticker()

    def _set_ticker(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
        self._ticker = self.set_interval(self._pace.interval, self._tick)

    # What is seen.

    def _tick(self) -> None:
        """Ask for the present moment; the feed is painted now, everything else at its own pace."""
        now = time.monotonic()
        if self._pace.tick(now - self._last_tick):
            self._set_ticker()
        self._last_tick = now
        self._snapshot = snapshot = self._controls.snapshot(self._seq)
        if snapshot.epoch != self._epoch:  # what the feed holds was taken back: take all that there is now
            self._epoch = snapshot.epoch
            self.feed.clear()
            self._snapshot = snapshot = self._controls.snapshot(0)
        self._seq = snapshot.last_seq
        self.feed.add(snapshot.rows)
        if now - self._last_numbers >= NUMBERS_EVERY - 0.01:
            self._last_numbers = now
            self._paint()
        if self._finished():
            self.action_quit()

    def _paint(self) -> None:
        """Bring every panel to the present moment; those that did not change cost nothing."""
        snapshot = self._snapshot
        if snapshot.topic != self._topic:
            self._topic = snapshot.topic
            self._find_terms(snapshot.topic)
        self._status.set_class(in_trouble(snapshot), "-trouble")
        for panel in self._panels:
            panel.show(snapshot)
        if not self.feed.ring.shown:
            self.feed.explain(draw_empty(snapshot, self.feed.ring, self.feed.size.width))

    def _draw_rule(self, _: Snapshot, width: int, __: int) -> list[Line]:
        """A rule with a joint where the right column's edge begins."""
        joint = width - self._side.size.width
        if not self._side.display or not 0 < joint < width:
            return [(("─" * width, "faint"),)]
        return [(("─" * joint + "┬" + "─" * (width - joint - 1), "faint"),)]

    def _on(self) -> frozenset[str]:
        """Actions whose label is the other one now."""
        states = {
            "freeze": self.feed.ring.frozen,
            "pause": self._snapshot.paused,
            "mode": not self.feed.ring.only_matched,
        }
        return frozenset(name for name, on in states.items() if on)

    def _off(self) -> frozenset[str]:
        """Actions that can do nothing now: a capture that has ended is not paused."""
        return frozenset(("pause",)) if self._snapshot.stopped else frozenset()

    @work(thread=True, exit_on_error=False, group="terms")
    def _find_terms(self, topic: str) -> None:
        """Learn the topic's terms off the loop: the first time this imports the query language."""
        from tui.language import term_finder  # noqa: PLC0415

        self.call_from_thread(self.feed.highlight, term_finder(topic))

    def on_app_blur(self) -> None:
        """Nobody looks: paint less."""
        self._set_pace(min(self._fps, UNFOCUSED_FPS))

    def on_app_focus(self) -> None:
        """Somebody looks again."""
        self._set_pace(self._fps)

    def _set_pace(self, fps: float) -> None:
        self._pace = Pace(fps)
        self._set_ticker()

    # Leaving.

    def _watch_terminal(self) -> None:
        """Leave cleanly on a signal, and when the terminal is gone and no signal told so (nohup)."""
        loop = asyncio.get_running_loop()
        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, self.action_quit)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)  # they waited since the capture was opened
        self.set_interval(1.0, self._check_terminal)

    def _check_terminal(self) -> None:
        stdin = sys.__stdin__
        if stdin is None or stdin.closed or not stdin.isatty():
            self.action_quit()

    def _check_server(self) -> None:
        """In a browser the terminal is a pipe from the server; when the server is gone, nobody looks any more."""
        pipe = select.poll()
        pipe.register(0, select.POLLHUP)
        if pipe.poll(0):
            os._exit(0)  # the way out writes to the pipe, and a viewer has nothing to flush

    def action_quit(self) -> None:  # type: ignore[override]
        """Flush, then exit. A second time is harmless."""
        if not self._stopping:
            self._stopping = True
            if not self.is_headless:
                signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)  # a second one has nothing to add
            self._paint()
            self._stop()

    @work(thread=True, exit_on_error=False, group="stop")
    def _stop(self) -> None:
        try:
            self._controls.stop()
        finally:
            self.call_from_thread(self.exit, 0)

    # Commands to the capture.

    @work(thread=True, exit_on_error=False, group="commands")
    def _command(self, call: Callable[[], None]) -> None:
        try:
            call()
        except (BieberTuiError, Unavailable) as error:
            self.call_from_thread(self.notify, str(error), severity="error", markup=False)

    def action_pause(self) -> None:
        """Pause or resume the capture."""
        self._command(self._controls.resume if self._snapshot.paused else self._controls.pause)

    def action_keywords(self) -> None:
        """Change keywords and topic."""
        from tui.dialogs.query import QueryDialog  # noqa: PLC0415

        snapshot = self._snapshot
        self.push_screen(QueryDialog(snapshot.keywords, snapshot.topic, self._controls.change_query))

    # A replay.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action can be had now: those of a replay only in one."""
        return action not in _OF_REPLAYS or isinstance(self._controls, Playable)

    def _play(self, call: Callable[[Playable], None]) -> None:
        controls = self._controls
        if isinstance(controls, Playable):
            self._command(lambda: call(controls))

    def action_step(self) -> None:
        """One more post."""
        self._play(lambda replay: replay.step())

    def action_rewind(self) -> None:
        """A minute back."""
        self._play(lambda replay: replay.seek(-SEEK))

    def action_forward(self) -> None:
        """A minute forward."""
        self._play(lambda replay: replay.seek(SEEK))

    def action_slower(self) -> None:
        """Slower."""
        self._play(lambda replay: replay.change_speed(-1))

    def action_faster(self) -> None:
        """Faster."""
        self._play(lambda replay: replay.change_speed(1))

    # The feed.

    def action_freeze(self) -> None:
        """Freeze the feed, or follow again."""
        if self.feed.ring.frozen:
            self.feed.follow()
        else:
            self.feed.freeze()

    def action_mode(self) -> None:
        """All posts, or only those about the topic."""
        self.feed.cycle()

    def action_up(self) -> None:
        """One post up."""
        self.feed.move(-1)

    def action_down(self) -> None:
        """One post down."""
        self.feed.move(1)

    def action_page_up(self) -> None:
        """One page up."""
        self.feed.move_page(-1)

    def action_page_down(self) -> None:
        """One page down."""
        self.feed.move_page(1)

    def action_oldest(self) -> None:
        """The oldest post in memory."""
        self.feed.oldest()

    def action_newest(self) -> None:
        """The newest post, and follow."""
        self.feed.follow()

    def action_open(self) -> None:
        """Open the post under the cursor."""
        row = self.feed.current()
        if row is not None:
            self.feed.point_at(row)
            self._open(row)

    @on(Feed.Opened)
    def _row_clicked(self, event: Feed.Opened) -> None:
        self._open(event.row)

    def _open(self, row: FeedRow) -> None:
        from tui.dialogs.detail import PostSheet  # noqa: PLC0415

        self.push_screen(PostSheet(row, self.feed.terms, self.feed.neighbour))

    @on(Feed.Moved)
    def _feed_moved(self) -> None:
        self._paint()

    # The filter.

    def action_filter(self) -> None:
        """Open the filter's field."""
        self._field.add_class("-open")
        self._field.focus()

    def action_clear(self) -> None:
        """Clear the filter and close its field."""
        self._field.value = ""
        self._close_filter()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.feed.filter(event.value)
        self._paint()

    @on(Input.Submitted, "#filter")
    def _close_filter(self) -> None:
        """Keep the filter, give the keys back to the feed."""
        self._field.remove_class("-open")
        self.feed.focus()

    # The program.

    def action_log(self) -> None:
        """Read the event log."""
        from tui.dialogs.log import log_sheet  # noqa: PLC0415

        self.push_screen(log_sheet(self._snapshot))

    def action_help(self) -> None:
        """Every key and word."""
        from tui.dialogs.help import help_sheet  # noqa: PLC0415

        self.push_screen(help_sheet([action for action in ACTIONS if self.check_action(action.id, ())]))

    def action_palette(self) -> None:
        """Find an action by its name."""
        self.action_command_palette()

    def action_theme(self) -> None:
        """The next theme."""
        place = THEMES.index(self.theme) if self.theme in THEMES else -1
        self.theme = THEMES[(place + 1) % len(THEMES)]


def run(controls: Controls, settings: Settings, finished: Callable[[], bool] = lambda: False) -> int:
    """Show the dashboard until the user leaves; the capture is stopped whatever ends it. The exit code.

    `finished` says that the capture has done what it was asked for (`--duration`, `--max-posts`): then the
    dashboard leaves by itself. One that an error has ended stays on the screen, so that the reason can be read.
    """
    try:
        if sys.stdin.isatty() and sys.stderr.isatty():
            from tui.signs import settle  # noqa: PLC0415 - not on Windows, and nothing to ask without a terminal

            settle(sys.stdin.fileno(), sys.stderr.fileno())
        app = Dashboard(controls, settings, finished)
        app.run()
    finally:
        controls.stop()
    return app.return_code or 0
