"""The dashboard: draws snapshots of a capture and sends it commands. It knows no network, no disk and no thread of
the capture; a timer asks for a snapshot, pure functions turn it into lines, and only what changed is painted.

Keys, clicks, the palette and the command line all end in `do`, which looks an action of the table up and calls the
method `do_<id>` of the screen on top, or of one of the parts: the stream of posts, what one does with a post, the
view, and the app itself.

Leaving is one path, whatever the reason (q, a signal, a lost terminal): stop the capture in a worker, which
flushes it, then exit.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.timer import Timer

from core.headless import ENDING_SIGNALS, listen_no_more
from core.settings import Settings
from core.snapshot import Event, Level, Snapshot
from tui.actions import BY_ID, REPLAY, Action, Place
from tui.beside import Beside
from tui.controls import Archive, Controls, Playable
from tui.dialogs.sheet import Sheet
from tui.dialogs.window import WindowScreen
from tui.feed import Feed
from tui.header import draw_header, draw_keys
from tui.ink import Line
from tui.jobs import Job, Jobs
from tui.keymap import resolve
from tui.memory import Memory, added, load
from tui.numbers import draw_numbers
from tui.over import Over
from tui.pace import Echo, Pace
from tui.painted import Canvas, Panel
from tui.posts import Posts
from tui.replay import Replay
from tui.side import draw_side, draw_status, in_trouble
from tui.stream import Stream
from tui.stylesheet import KeptStylesheet
from tui.themes import OWN, ink_variables
from tui.view import View

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.driver import Driver
    from textual.filter import LineFilter

NUMBERS_EVERY = 0.25  # seconds between two paintings of everything but the feed
COVERED_EVERY = 0.5  # the same under a dialog, the feed included: all of the screen is painted anew then
FRAME_PATIENCE = 2.0  # seconds that a terminal has to take the first frame before the capture begins without it
UNFOCUSED_FPS = 4.0
MONOCHROME = "ansi-dark"


def _palette() -> type[Provider]:
    from tui.palette import ActionProvider  # noqa: PLC0415 - not needed before somebody asks for it

    return ActionProvider


class Dashboard(App[int]):
    """The whole screen."""

    TITLE = "bieber-tui"
    CSS_PATH = "dashboard.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
    ENABLE_COMMAND_PALETTE = False  # its key is one of ours
    # Textual declares them so.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (76, "-medium"), (110, "-wide"), (160, "-huge")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-high"), (50, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        controls: Controls,
        settings: Settings,
        finished: Callable[[], bool] = lambda: False,
        begin: Callable[[], None] = lambda: None,
        *,
        memory: Memory | None = None,
        folder: Path | None = None,
        problem: str = "",
    ) -> None:
        """`begin` is called when the first frame is on the screen.

        `memory` is what `folder` remembers of earlier runs; `problem` is to be told at the start.
        """
        plain = "NO_COLOR" in os.environ
        self.keys = resolve(settings.ui.keymap, settings.ui.keys)
        # Without colours nothing but the terminal's own two is used, so Textual must not turn them into greys.
        super().__init__(ansi_color=True if plain else None)
        self.use_command_palette = True
        self.jobs = Jobs(self)
        if not settings.ui.animation:
            self.animation_level = "none"
        self._ascii = settings.ui.ascii
        self._controls = controls
        self._finished = finished
        self._begin = begin
        self._begin_by = time.monotonic() + FRAME_PATIENCE
        self._fps = float(settings.ui.fps)
        self._pace = Pace(self._fps)
        self._seq = 0
        self.snapshot = controls.snapshot(0)
        self._epoch = self.snapshot.epoch
        self._topic: str | None = None  # whose terms the feed marks
        self._last_tick = self._last_numbers = 0.0
        self._stopping = False
        self._ticker: Timer | None = None
        self._echo = Echo()
        self._ask_echo: Callable[[int], None] | None = None
        self._lags: Callable[[], bool] = lambda: False  # whether the terminal has not even taken the last frame
        # What happened to the screen itself: in the log beside the capture's events.
        events = [Event(0, self.snapshot.at, Level.WARNING, problem)] if problem else []
        self._over = Over(self, events)
        self._replay = Replay(controls, self.jobs)
        for theme in OWN:
            self.register_theme(theme)
        self.view = View(self, settings.ui, memory or Memory(), folder)
        wanted = MONOCHROME if plain else self.view.wanted_theme
        if wanted not in self.available_themes:
            theme_key = self.keys.name("theme")
            problem = problem or f"There is no theme {wanted!r}; {theme_key} goes through them."
            wanted = "bieber"
        self.theme = wanted
        self.stylesheet = KeptStylesheet(variables=self.get_css_variables())
        self._problem = problem

        # Widgets are held here and not looked up: a last tick may come while the screen is being taken down.
        self.stream = Stream(controls.archive, settings.ui.feed_size, self.keys, self.jobs)
        self._posts = Posts(self)
        self._beside = Beside(self.stream.feed)
        self._side = Panel(draw_side, id="side")
        self._numbers = Panel(self._draw_numbers, id="numbers")
        self._side.can_focus = self._numbers.can_focus = True
        self._status = Panel(lambda snapshot, width, _: [draw_status(snapshot, width)], id="status")
        self._panels = (
            Panel(lambda snapshot, width, _: [draw_header(snapshot, width, self._stopping)], id="header"),
            self._numbers,
            Panel(self._draw_rule, id="rule"),
            self._side,
            self._status,
            Panel(lambda _, width, __: [draw_keys(width, self.keys, self._on(), self._off())], id="keys"),
        )
        for panel in self._panels:
            panel.snapshot = self.snapshot  # drawn with the first frame, not after it

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver for terminals, made to outlast its terminal; any other as it is."""
        driver = super().get_driver_class()
        if driver.__name__ != "LinuxDriver":
            return driver
        from tui.terminal import LastingDriver  # noqa: PLC0415 - does not exist on Windows

        return LastingDriver

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What is done to every line on its way to the terminal."""
        filters = super().get_line_filters()
        if not self._ascii:
            return filters
        from tui.plain import AsciiSigns  # noqa: PLC0415 - only where it is asked for

        return [*filters, AsciiSigns()]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours for the inks in themes that are not ours."""
        return ink_variables(self.current_theme)

    def _fatal_error(self) -> None:
        """A bug, told without the values of local variables: they hold posts, and may hold a secret."""
        from rich.traceback import Traceback  # noqa: PLC0415 - not needed while all is well

        self.panic(Traceback(show_locals=False))

    def compose(self) -> ComposeResult:
        """From the top down."""
        header, numbers, rule, side, status, keys = self._panels
        yield header
        yield numbers
        yield rule
        with Horizontal(id="body"):
            yield self.stream
            yield self._beside
            yield side
        yield status
        yield keys

    @property
    def main_screen(self) -> Screen[object]:
        """The dashboard itself, whatever lies over it."""
        return self.screen_stack[0]

    @property
    def feed(self) -> Feed:
        """The posts on the screen."""
        return self.stream.feed

    @property
    def archive(self) -> Archive:
        """Everything that the capture has stored."""
        return self._controls.archive

    def get_default_screen(self) -> Screen[object]:
        """The dashboard, as it was left and as its size asks for it: set later, it would be styled twice."""
        size = (
            max(known for known in breakpoints if known[0] <= room)[1]
            for breakpoints, room in zip(
                (self.HORIZONTAL_BREAKPOINTS, self.VERTICAL_BREAKPOINTS), self.size, strict=True
            )
        )
        return Canvas(id="_default", classes=" ".join((*self.view.states(), *size)))

    def on_mount(self) -> None:
        """Start to look."""
        self.feed.focus()
        self.view.start()
        if self._problem:
            self.say(self._problem, seconds=12)
        self.call_after_refresh(self._start)
        if self.is_web:
            self.set_interval(1.0, self._check_server)
        elif not self.is_headless:
            self._watch_terminal()
            self._ask_echo = getattr(self._driver, "ask_echo", None)
            self._lags = getattr(self._driver, "lags", self._lags)
            if self._ask_echo is not None:
                self._ask_echo(self._echo.ask(time.monotonic()))  # before anything that is slow is on its way

    def _start(self) -> None:
        if self._lags() and time.monotonic() < self._begin_by:  # loading would hold up the thread that writes
            self.set_timer(0.001, self._start)
            return
        self._begin()
        self._last_tick = time.monotonic()
        self._tick()
        self._set_ticker()
        self._posts.load_stars()

    def _set_ticker(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
        self._ticker = self.set_interval(self._pace.interval, self._tick)

    # Actions.

    async def on_key(self, event: events.Key) -> None:
        """Do what the key does in the place where it is pressed. What is typed into a field never comes here."""
        action = self.keys.at(self.place, event.key)
        if action is not None:
            event.prevent_default()
            event.stop()
            if isinstance(self.screen, Canvas):
                self.screen.hurry()
            self.do(action)
            self.paint()  # and do not wait for the news to come up from the feed: one frame shows all of it

    @property
    def place(self) -> Place:
        """Where keys are pressed now."""
        place: Place | None = getattr(self.screen, "PLACE", None)
        if place is not None:
            return place
        if len(self.screen_stack) > 1:
            return Place.OTHER
        return Place.FILTER if self.stream.typing else Place.DASHBOARD

    def do(self, action: str, argument: str = "") -> None:
        """Do an action of the table."""
        for part in (self.screen, self.stream, self._posts, self.view, self._over, self._replay, self):
            method = getattr(part, f"do_{action}", None)
            if method is not None:
                method(argument) if BY_ID[action].argument else method()
                return

    def offers(self, action: Action) -> bool:
        """Whether an action can be had now: those of a replay only in one."""
        return action.group != REPLAY or isinstance(self._controls, Playable)

    def action_do(self, action: str, argument: str = "") -> None:
        """The same for clicks."""
        self.do(action, argument)

    def say(self, words: str, seconds: float = 5.0) -> None:
        """Say something for a while; from any thread."""
        self.notify(words, timeout=seconds, markup=False)

    # What is seen.

    def _tick(self) -> None:
        """Ask for the present moment; the feed is painted now, everything else at its own pace."""
        now = time.monotonic()
        if self._pace.tick(now - self._last_tick):
            self._set_ticker()
        self._last_tick = now
        if self._finished():
            self.do_quit()
        covered = len(self.screen_stack) > 1 and now - self._last_numbers < COVERED_EVERY
        if covered or self._echo.behind(now) or self._lags():
            return
        self.snapshot = snapshot = self._controls.snapshot(self._seq)
        if snapshot.epoch != self._epoch:  # what the feed holds was taken back: take all that there is now
            self._epoch = snapshot.epoch
            self.feed.clear()
            self.snapshot = snapshot = self._controls.snapshot(0)
        self._seq = snapshot.last_seq
        self.feed.add(snapshot.rows)
        if now - self._last_numbers >= NUMBERS_EVERY - 0.01:
            self._last_numbers = now
            self.paint()
        if self._ask_echo is not None and (snapshot.rows or now == self._last_numbers):
            # After this frame, which Textual paints once everything else is done.
            self.call_after_refresh(self._ask_echo, self._echo.ask(now))

    def on_cursor_position(self, event: events.CursorPosition) -> None:
        """The terminal's echo."""
        self._echo.answered(event.x + 1)

    @on(Feed.Moved)
    def paint(self) -> None:
        """Bring every panel to the present moment; those that did not change cost nothing."""
        snapshot = self.snapshot
        if snapshot.topic != self._topic and snapshot.last_seq:
            self._topic = snapshot.topic
            self._find_terms(snapshot.topic)
        self._status.set_class(in_trouble(snapshot), "-trouble")
        for panel in self._panels:
            panel.show(snapshot)
        self.stream.show(snapshot)
        self._beside.show()
        for over in self.screen_stack[1:]:
            if isinstance(over, Sheet | WindowScreen):
                over.show(snapshot)
        self.view.remember(show=self.feed.ring.show, reading=self.stream.reading)

    def _draw_numbers(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        memory = self.view.memory
        return draw_numbers(snapshot, width, height, life=memory.life, period=memory.period)

    def _draw_rule(self, _: Snapshot, width: int, __: int) -> list[Line]:
        """A rule with a joint where the right column's edge begins."""
        joint = width - self._side.size.width
        if not self._side.display or not 0 < joint < width:
            return [(("─" * width, "faint"),)]
        return [(("─" * joint + "┬" + "─" * (width - joint - 1), "faint"),)]

    def _on(self) -> frozenset[str]:
        """Actions whose label is the other one now."""
        states = {"freeze": self.feed.ring.frozen, "pause": self.snapshot.paused}
        return frozenset(name for name, on in states.items() if on)

    def _off(self) -> frozenset[str]:
        """Actions that can do nothing now: a capture that has ended is not paused."""
        return frozenset(("pause",)) if self.snapshot.stopped else frozenset()

    def _find_terms(self, topic: str) -> None:
        """Learn the topic's terms off the loop: the first time this imports the query language."""

        def work(job: Job) -> None:
            from tui.language import term_finder  # noqa: PLC0415

            job.deliver(self.feed.highlight, term_finder(topic))

        self.jobs.start(work, "terms")

    def on_app_blur(self) -> None:
        """Nobody looks: paint less."""
        self._set_pace(min(self._fps, UNFOCUSED_FPS))

    def on_app_focus(self) -> None:
        """Somebody looks again."""
        self._set_pace(self._fps)

    def _set_pace(self, fps: float) -> None:
        self._pace = Pace(fps)
        self._set_ticker()

    @on(Feed.Opened)
    def _row_clicked(self, event: Feed.Opened) -> None:
        self._posts.open(event.row)

    def on_text_selected(self) -> None:
        """What was selected with the mouse is copied."""
        text = self.screen.get_selected_text()
        if text:
            self._posts.copy(text, "what you selected")

    # Leaving.

    def _watch_terminal(self) -> None:
        """Leave cleanly on a signal, and when the terminal is gone and no signal told so (nohup)."""
        loop = asyncio.get_running_loop()

        def leave(*_: object) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self.do_quit)

        # Not the loop's own handlers: when it ends it would set back what `listen_no_more` has set.
        for number in ENDING_SIGNALS:
            signal.signal(number, leave)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)  # they waited since the capture was opened
        self.set_interval(1.0, self._check_terminal)

    def _check_terminal(self) -> None:
        stdin = sys.__stdin__
        if stdin is None or stdin.closed or not stdin.isatty():
            self.do_quit()

    def _check_server(self) -> None:
        """In a browser the terminal is a pipe from the server; when the server is gone, nobody looks any more."""
        pipe = select.poll()
        pipe.register(0, select.POLLHUP)
        if pipe.poll(0):
            os._exit(0)  # the way out writes to the pipe, and a viewer has nothing to flush

    async def action_quit(self) -> None:
        """Textual's own key for it, which always works."""
        self.do_quit()

    def do_quit(self) -> None:
        """Flush, then exit. A second time is harmless."""
        if not self._stopping:
            self._stopping = True
            if not self.is_headless:
                listen_no_more()
            self.paint()
            self.jobs.close()
            threading.Thread(target=self._leave, name="leave", daemon=True).start()

    def _leave(self) -> None:
        try:
            self._controls.stop()
        finally:
            self.jobs.on_loop(self.exit, 0)

    def do_clear(self) -> None:
        """One step back: all panels, the live feed, no filter."""
        if not self.view.unzoom():
            self.stream.clear()

    # The capture.

    def do_pause(self) -> None:
        """Pause or resume the capture."""
        command = self._controls.resume if self.snapshot.paused else self._controls.pause
        self.jobs.start(lambda _: command())

    def do_keywords(self) -> None:
        """Change keywords and topic."""
        from tui.dialogs.query import QueryDialog  # noqa: PLC0415

        snapshot, memory = self.snapshot, self.view.memory
        now = (snapshot.keywords, snapshot.topic)

        def changed(query: tuple[str, str] | None) -> None:
            if query is not None:
                self.view.remember(queries=added(added(self.view.memory.queries, now), query))

        recent = self.feed.ring.newest
        self.push_screen(
            QueryDialog(now, self._controls.change_query, memory.queries, recent, self.keys, self.jobs), changed
        )

    # The program.

    def do_palette(self) -> None:
        """Find an action by its name."""
        self.action_command_palette()


def run(
    controls: Controls,
    settings: Settings,
    finished: Callable[[], bool] = lambda: False,
    begin: Callable[[], None] = lambda: None,
) -> int:
    """Show the dashboard until the user leaves; the capture is stopped whatever ends it. The exit code.

    `begin` is called when the first frame is on the screen. `finished` says that the capture has done what it was
    asked for (`--duration`, `--max-posts`): then the dashboard leaves by itself. One that an error has ended stays
    on the screen, so that the reason can be read.
    """
    folder = settings.data_dir
    memory, problem = load(folder)
    try:
        app = Dashboard(controls, settings, finished, begin, memory=memory, folder=folder, problem=problem)
        app.run()
        app.view.write()  # what was changed just before leaving
    finally:
        controls.stop()
    return app.return_code or 0
