"""What one does with a post: open it, copy it or its link, look at it in the browser, star it, export many.

It acts on the open post, else on the one under the cursor. Everything that may block is done in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.address import address
from core.errors import Unavailable
from core.snapshot import FeedRow
from tui.browser import open_page, why_not
from tui.clipboard import copy, plain
from tui.dialogs.sheet import Page
from tui.jobs import Job
from tui.words import count, plural

if TYPE_CHECKING:
    from core.filter import Wanted
    from tui.app import Dashboard
    from tui.feed import Feed

EXPORTS = "exports"  # a folder in the data folder
_PAGE = 500


class Posts:
    """The actions on posts. `app` shows what comes of them."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app

    @property
    def _feed(self) -> Feed:
        return self._app.stream.feed

    def _chosen(self) -> FeedRow | None:
        """The post that is meant. In the feed the cursor is put on it, so that one sees which it was."""
        opened: FeedRow | None = getattr(self._app.screen, "row", None)
        row = opened or self._feed.current()
        if row is not None and opened is None:
            self._feed.point_at(row)
        return row

    # One post.

    def do_open(self) -> None:
        """Open the post under the cursor."""
        row = self._chosen()
        if row is not None:
            self.open(row)

    def open(self, row: FeedRow) -> None:
        """Open a post."""
        from tui.dialogs.detail import PostSheet  # noqa: PLC0415

        self._app.push_screen(PostSheet(row, self._feed, self._app.archive, self._app.keys, self._app.jobs))

    def do_copy(self) -> None:
        """Copy the post's text."""
        row = self._chosen()
        if row is not None:
            self.copy(plain(row.post.text), "the post's text")

    def do_copy_link(self) -> None:
        """Copy the post's link."""
        row = self._chosen()
        if row is not None:
            link = self._link(row)
            if link:
                self.copy(link, link)

    def copy(self, text: str, what: str) -> None:
        """Copy a text, and say so."""

        def work(_: Job) -> None:
            copy(self._app, self._app.jobs, text)
            self._app.say(f"Copied {what}")

        self._app.jobs.start(work)

    def do_browse(self) -> None:
        """Open the post in the browser; where none can be opened, copy its link."""
        row = self._chosen()
        link = self._link(row) if row is not None else ""
        if not link:
            return
        hindrance = why_not()
        if hindrance:
            self.copy(link, f"the link, since {hindrance}: {link}")
            return

        def work(_: Job) -> None:
            if open_page(link):
                self._app.say(f"Opened {link}")
            else:
                copy(self._app, self._app.jobs, link)
                self._app.say(f"No browser took it; copied {link}")

        self._app.jobs.start(work)

    def _link(self, row: FeedRow) -> str:
        link = address(row.post)
        if self._app.snapshot.demo:
            self._app.say("A post of the demo is made up: it has no page.")
            return ""
        if not link:
            self._app.say("This post's source has no pages that are known.")
        return link

    # Stars.

    def load_stars(self) -> None:
        """Learn which posts have a star."""

        def work(job: Job) -> None:
            stars = self._app.archive.stars()
            job.deliver(self._show_stars, stars)

        self._app.jobs.start(work)

    def do_star(self) -> None:
        """Give the post a star, or take it away; shown once it is durable."""
        row = self._chosen()
        if row is None:
            return
        on = row.post.key not in self._feed.ring.stars

        def work(job: Job) -> None:
            self._app.archive.star(row.post.source, row.post.id, on)
            job.deliver(self._starred, row.post.key, on)

        self._app.jobs.start(work)

    def _starred(self, key: str, on: bool) -> None:
        stars = self._feed.ring.stars
        self._show_stars(stars | {key} if on else stars - {key})

    def _show_stars(self, stars: frozenset[str]) -> None:
        self._feed.keeping_place(lambda: self._feed.ring.mark(stars))
        if getattr(self._app.screen, "row", None) is not None:
            self._app.screen.query_one(".page", Page).turn()

    # Many posts.

    def do_export(self) -> None:
        """Write the posts that are listed: those in memory that are shown, or all that a search finds."""
        stored, snapshot = self._feed.stored, self._app.snapshot
        shown = self._feed.shown[::-1]  # newest first, as a search finds them
        folder = Path(snapshot.data_dir) / EXPORTS
        name = (stored.wanted if stored else self._feed.ring.wanted).text or "posts"

        def work(job: Job) -> None:
            from core.export import export  # noqa: PLC0415 - not before something is exported

            done = export(self._all_of(stored.wanted, job) if stored else iter(shown), folder, snapshot.at, name)
            words = plural(done.posts, "post")
            self._app.say(f"{words} written to {done.jsonl} and .csv", seconds=15)

        self._app.say(
            "Writing everything that the search finds …" if stored else f"Writing {count(len(shown))} posts …"
        )
        self._app.jobs.start(work)

    def _all_of(self, wanted: Wanted, job: Job) -> Iterator[FeedRow]:
        """Everything stored that is wanted, newest first."""
        place: str | None = ""
        while place is not None:
            if job.over:
                raise Unavailable("the export was broken off")
            found = self._app.archive.search(wanted, place, _PAGE)
            yield from found.rows
            place = found.place
