"""The stream: the feed with its title and its filter. What it shows, how it is searched, and how one moves in it.

Posts are judged by a filter in a thread, while one types; what is stored is searched in a thread as well, a
bounded call at a time, for as long as somebody reads what it finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from core.errors import BieberTuiError, QueryError, Unavailable
from core.filter import Filter, Mode, Wanted, compile_filter
from core.snapshot import FeedRow, Snapshot
from tui.controls import Archive
from tui.feed import Feed
from tui.feed_text import draw_empty, draw_filter_help, draw_reading, draw_title
from tui.field import Field
from tui.jobs import Job, Jobs
from tui.keymap import Keys
from tui.painted import Painted, Panel
from tui.ring import Show
from tui.stored import Stored
from tui.window import wanted_of

if TYPE_CHECKING:
    from core.archive import Found

PAGE = 200  # posts that a search goes on for before it waits until somebody wants to read on


class Stream(Vertical):
    """The posts, live or stored."""

    def __init__(self, archive: Archive, capacity: int, keys: Keys, jobs: Jobs) -> None:
        super().__init__(id="stream")
        self._jobs = jobs
        self._archive = archive
        self._keys = keys
        self.feed = Feed(capacity, id="feed")
        self.mode = Mode.TEXT
        self._chosen: Mode | None = None  # by the user, while a name of the last hour is read in its own way
        self._fault: QueryError | None = None
        self._filter: Filter | None = None
        self._now = 0.0
        self._title = Panel(self._draw_title, id="title")
        self._bar = Horizontal(id="filter-bar")
        self._reading = Painted(id="filter-reading")
        self._field = Field(placeholder="", id="filter", select_on_focus=False)
        self._help = Painted(id="filter-help")

    def compose(self) -> ComposeResult:
        """From the top down."""
        yield self._title
        with self._bar:
            yield self._reading
            yield self._field
            yield self._help
        yield self.feed

    # What the app calls.

    def show(self, snapshot: Snapshot) -> None:
        """Bring the title and the words of an empty feed to the present moment."""
        self._now = snapshot.at
        self._title.show(snapshot)
        if self._bar.display:
            self._reading.paint([draw_reading(self.mode, self._reading.size.width)])
            slow = self._filter is not None and self._filter.slow
            width = self._help.size.width
            self._help.paint([draw_filter_help(self.mode, self._fault, slow, width, self._keys)])
        if not self.feed.shown:
            feed = self.feed
            feed.explain(draw_empty(snapshot, feed.ring, feed.stored, feed.size.width, self._keys))

    def look_for(self, wanted: Wanted) -> None:
        """Show only what is wanted, as if somebody had typed it."""
        self.mode = wanted.mode
        if self._field.value != wanted.text:
            with self.prevent(Input.Changed):
                self._field.value = wanted.text
            self._field.cursor_position = len(wanted.text)
        self._judge(wanted, self.feed.ring.newest)

    @property
    def wanted(self) -> Wanted:
        """What the field and the stars ask for at present."""
        return Wanted(self._field.value.strip(), self.mode, self.feed.ring.wanted.starred)

    @property
    def reading(self) -> Mode:
        """The reading that the user chose; that of a name of the last hour is only for as long as it is shown."""
        return self._chosen or self.mode

    @property
    def typing(self) -> bool:
        """Whether the filter's field has the keys."""
        return self._field.has_focus

    def _draw_title(self, _: Snapshot, width: int, __: int) -> list[tuple[tuple[str, str], ...]]:
        return [draw_title(self.feed.ring, self.feed.stored, self._now, width, self._keys)]

    # The filter.

    def _judge(self, wanted: Wanted, rows: list[FeedRow]) -> None:
        """Read the filter and judge the posts in memory; only the newest such call has an effect."""

        def work(job: Job) -> None:
            try:
                found = compile_filter(wanted)
            except QueryError as fault:
                job.deliver(self._show_fault, wanted, fault)
                return
            verdicts: dict[int, bool] = {}
            for row in rows if wanted.text else ():
                if job.over:
                    return
                verdicts[row.seq] = found.matches(row.post)
            job.deliver(self._apply, wanted, found, verdicts)

        self._jobs.start(work, "filter")

    def _apply(self, wanted: Wanted, found: Filter, verdicts: dict[int, bool]) -> None:
        if replace(wanted, starred=self.wanted.starred) != self.wanted:
            return  # typed on since
        self._fault, self._filter = None, found
        self.feed.hits = found.spans if wanted.text else None
        self.feed.keeping_place(lambda: self.feed.ring.look_for(wanted, found, verdicts))

    def _show_fault(self, wanted: Wanted, fault: QueryError) -> None:
        """What is typed cannot be read (yet): say so, and keep what is shown."""
        if wanted == self.wanted:
            self._fault = fault
            self.post_message(Feed.Moved())

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        if self.feed.stored is not None:
            self.feed.follow()
        self._judge(self.wanted, self.feed.ring.newest)

    def do_filter(self, argument: str = "") -> None:
        """Open the filter's field, or filter by what the command line gives."""
        if argument:
            self.look_for(replace(self.wanted, text=argument))
            return
        self._bar.add_class("-open")
        self._field.focus()
        self.post_message(Feed.Moved())

    def do_reading(self, argument: str = "") -> None:
        """Read the filter's text in the next way, or in the one that is named."""
        every = list(Mode)
        if argument and argument not in every:
            self.app.notify(f"A filter is read as {', '.join(every)}.", severity="warning", markup=False)
            return
        chosen = Mode(argument) if argument else every[(every.index(self.mode) + 1) % len(every)]
        self._chosen = None
        self.look_for(replace(self.wanted, mode=chosen))

    def do_leave(self) -> None:
        """Keep the filter, give the keys back to the feed."""
        self._close()

    def clear(self) -> None:
        """Leave the search; without one, clear the filter and close its field."""
        if self.feed.stored is not None:
            self.feed.follow()
            return
        self._close()
        if self.wanted or self._fault is not None:
            self.look_for(Wanted(mode=self.reading))
            self._chosen = None

    def _close(self) -> None:
        self._bar.remove_class("-open")
        self.feed.focus()
        self.post_message(Feed.Moved())

    def do_starred(self) -> None:
        """Only posts with a star, or all again."""
        ring = self.feed.ring
        wanted = replace(self.wanted, starred=not ring.wanted.starred)
        self.feed.keeping_place(lambda: ring.look_for(wanted, self._filter, None))
        self._search_again()

    def do_mode(self) -> None:
        """Posts about the topic, these in context, all."""
        self.feed.keeping_place(self.feed.ring.cycle)
        self._search_again()

    # What is stored.

    def do_search(self) -> None:
        """Search everything stored for what the field says."""
        if self._fault is not None:
            return
        self._close()
        self._search(self.wanted)

    def only(self, kind: str, name: str, snapshot: Snapshot) -> None:
        """Only the posts of a name of the last hour: of those in memory, of all that are stored if it is short."""
        rows = self.feed.ring.newest
        reaches = bool(rows) and rows[0].received_at <= snapshot.window.start
        whole = reaches or len(rows) >= snapshot.life.consumed

        def work(job: Job) -> None:
            job.deliver(self._only, wanted_of(kind, name), whole)

        self._jobs.start(work, "only")

    def _only(self, wanted: Wanted, whole: bool) -> None:
        self._close()
        self.feed.follow()
        self._chosen = self.reading
        self.look_for(wanted)
        if not whole:
            self._search(wanted)

    def _search(self, wanted: Wanted) -> None:
        stored = Stored(replace(wanted, unmatched=self.feed.ring.show is Show.ALL))
        self.feed.read(stored)
        self._go_on(stored)

    def _search_again(self) -> None:
        """The same search for what is wanted now, when one reads one."""
        if self.feed.stored is not None:
            self._search(self.feed.ring.wanted)

    @on(Feed.Wanting)
    def _wanting(self) -> None:
        if self.feed.stored is not None:
            self._go_on(self.feed.stored)

    def _go_on(self, stored: Stored) -> None:
        if not stored.searching and not stored.ended:
            stored.searching = True
            self._find(stored)

    def _find(self, stored: Stored) -> None:
        """Search until a page is full, everything was searched, or nobody reads it any more."""

        def work(job: Job) -> None:
            came = 0
            try:
                while came < PAGE and stored.place is not None:
                    found = self._archive.search(stored.wanted, stored.place, PAGE - came)
                    came += len(found.rows)
                    if not job.deliver(self._take, stored, found):
                        return
            except (BieberTuiError, Unavailable) as error:
                stored.problem = str(error).partition("\n")[0]
            job.deliver(self._rest, stored)

        self._jobs.start(work)

    def _take(self, stored: Stored, found: Found) -> bool:
        """Show what was found; whether somebody still reads it."""
        if stored is not self.feed.stored:
            return False
        self.feed.grown(stored.add(found))
        return True

    def _rest(self, stored: Stored) -> None:
        stored.searching = False
        self.post_message(Feed.Moved())

    # Moving.

    def do_freeze(self) -> None:
        """Freeze the feed, or follow again."""
        if self.feed.ring.frozen:
            self.feed.follow()
        else:
            self.feed.freeze()

    def do_up(self) -> None:
        """One post up."""
        self.feed.move(-1)

    def do_down(self) -> None:
        """One post down."""
        self.feed.move(1)

    def do_page_up(self) -> None:
        """One page up."""
        self.feed.move_page(-1)

    def do_page_down(self) -> None:
        """One page down."""
        self.feed.move_page(1)

    def do_oldest(self) -> None:
        """The oldest post of the list."""
        self.feed.oldest()

    def do_newest(self) -> None:
        """The newest post, and follow."""
        self.feed.follow()

    def do_next_match(self) -> None:
        """Down to the next post that is looked for."""
        self._to_match(1)

    def do_previous_match(self) -> None:
        """Up to the previous post that is looked for."""
        self._to_match(-1)

    def _to_match(self, direction: int) -> None:
        if not self.feed.match(direction):
            self.app.notify("No more of them this way.", markup=False, timeout=2)
