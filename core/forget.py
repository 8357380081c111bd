"""Forgetting, carried out: which lines a request reaches, what happens to them, and when.

A request reaches everything that its people have said: their posts and all versions of them, retweets of them by
others, and the copies of them in the raw lines of quotes and replies, which stay otherwise. What others say in
words of their own, a mention included, is theirs. Quarantined lines with the id in them go whole.

`erase_from_journal` and `erase_from_sink` do the work and can be repeated after a kill at any moment; `Eraser` is
the thread that calls them while a capture runs. No event and no error names who is forgotten.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby

from core.errors import BieberTuiError, JournalBlocked, JournalError, StoreRefused
from core.events import EventLog
from core.journal import Forgetting, Held, Journal, Removed, Subject
from core.journal.forgetting import TABLES, Table
from core.privacy import Privacy
from core.sinks.base import Sink
from core.snapshot import Level
from core.sources.base import People

POLL = 0.5  # seconds between two looks for requests
REFUSED_WAIT = 60.0  # seconds until a sink that has refused to forget is asked again
AT_ONCE = 50  # requests that one pass over the journal serves
LINES_AT_ONCE = 500  # lines in one transaction

Still = Callable[[], AbstractContextManager[object]]


class Chosen:
    """The subjects of one source as Gone."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self.authors: set[str] = set()
        self.posts: set[str] = set()
        for subject in subjects:
            (self.authors if subject.kind == "author" else self.posts).add(subject.id)

    def author(self, id: str) -> bool:
        """Whether they are to be forgotten."""
        return id in self.authors

    def post(self, id: str) -> bool:
        """Whether it is to be forgotten."""
        return id in self.posts

    @property
    def needles(self) -> list[bytes]:
        """What a line has in it if it can be meant."""
        return [id.encode("utf-8", "replace") for id in sorted(self.authors | self.posts)]


def sift(table: Table, lines: Iterable[Held], chosen: Chosen, people: People) -> tuple[list[Held], list[Held]]:
    """Of lines with a needle in them: those that go, and those that stay without a part, as they will be."""
    gone: list[Held] = []
    changed: list[Held] = []
    whole_id = re.compile(rb"(?<!\w)(?:%s)(?!\w)" % b"|".join(map(re.escape, chosen.needles)))
    for held in lines:
        if table == "quarantine":
            gone += [held] if whole_id.search(held.raw) else []
            continue
        left = people.without(held.raw, chosen)
        if left is None:
            gone.append(held)
        elif left is not held.raw:
            changed.append(held._replace(raw=left))
    return gone, changed


def erase_from_journal(
    forgetting: Forgetting,
    people: Callable[[str], People],
    *,
    still: Still = nullcontext,
    on_removed: Callable[[Removed], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Do what the journal was asked to forget. True when there was something, and it is done.

    `still()` keeps every sink from writing while lines are removed; `stopping()` ends the work early.
    """

    def erase(table: Table, gone: list[Held], changed: list[Held]) -> None:
        for start in range(0, max(len(gone), len(changed)), LINES_AT_ONCE):
            part = slice(start, start + LINES_AT_ONCE)
            with still():
                on_removed(forgetting.erase(table, gone[part], changed[part]))

    subjects = forgetting.asked()
    for source, of_source in groupby(sorted(subjects, key=lambda subject: subject.source), lambda s: s.source):
        mine = list(of_source)
        thorough = [subject for subject in mine if subject.thorough]
        for start in range(0, len(thorough), AT_ONCE):
            chosen = Chosen(thorough[start : start + AT_ONCE])
            for table in TABLES:
                for lines in forgetting.lines(table, source, chosen.needles):
                    if stopping():
                        return False
                    erase(table, *sift(table, lines, chosen, people(source)))
        for subject in mine:
            if not subject.thorough:
                erase("posts", forgetting.lines_of_post("posts", source, subject.id), [])
                erase("filtered", forgetting.lines_of_post("filtered", source, subject.id), [])
    forgetting.done_in_journal(subjects)
    return bool(subjects)


def erase_from_sink(
    forgetting: Forgetting, sink: Sink, capture_id: str, on_forgotten: Callable[[str, int], None] = lambda *_: None
) -> bool:
    """Do what a sink was asked to forget, the journal having done it. True when there was something.

    Raises Unavailable or StoreRefused; then it is still asked for.
    """
    subjects = forgetting.asked_of(sink.target)
    removed, _ = forgetting.to_remove(sink.target)
    sources = sorted({subject.source for subject in subjects} | {source for source, _ in removed})
    for source in sources:
        chosen = Chosen(subject for subject in subjects if subject.source == source)
        ids = sorted(chosen.posts | {id for of, id in removed if of == source})
        authors = sorted(chosen.authors)
        for start in range(0, max(len(ids), 1), LINES_AT_ONCE):
            found = sink.holds(source, authors if start == 0 else [], ids[start : start + LINES_AT_ONCE])
            # Counted before they go: after a kill in between nothing is counted twice, and nothing is left out.
            fresh = forgetting.found_in_sink(sink.target, source, {id: by == capture_id for id, by in found})
            on_forgotten(source, fresh)
    whole, lines = forgetting.to_remove(sink.target)
    if whole or lines:
        sink.forget([f"{source}:{id}" for source, id in whole], [f"{source}:{id}" for source, id in lines])
    forgetting.done_in_sink(sink.target, subjects, [*whole, *lines])
    return bool(subjects or whole or lines)


class Eraser:
    """The thread that serves requests while a capture runs; a sink's part is done in the sink's own thread."""

    def __init__(
        self,
        journal: Journal,
        people: Callable[[str], People],
        privacy: Privacy,
        *,
        batches: Callable[[], int],
        still: Still,
        on_removed: Callable[[Removed], None],
        on_forgotten: Callable[[str, str, int], None],
        on_bug: Callable[[BieberTuiError], None],
        events: EventLog,
    ) -> None:
        """`batches()` rises with every batch that the writer has committed, or found empty.

        `on_forgotten(target, source, posts)`: a sink held posts of this capture that were asked for.
        """
        self._journal = journal
        self._forgetting = Forgetting(journal)
        self._people = people
        self._privacy = privacy
        self._batches = batches
        self._still = still
        self._on_removed = on_removed
        self._on_forgotten = on_forgotten
        self._on_bug = on_bug
        self._events = events
        self._stop = threading.Event()
        self._trim = False  # the write-ahead log may hold what was removed
        self._not_before: dict[str, float] = {}  # by sink: it refused to forget
        self._due = set(self._forgetting.waiting_targets())
        self._removed = 0
        self._thread = threading.Thread(target=self._run, name="eraser", daemon=True)

    def start(self) -> None:
        """Begin to look for requests."""
        self._thread.start()

    def stop(self, patience: float) -> None:
        """End; what is not done is done by the next run."""
        self._stop.set()
        self._thread.join(patience)

    def visit(self, sink: Sink) -> None:
        """Called by each sink's thread before it writes: let the sink forget what it was asked to.

        Raises Unavailable. A refusal is told, and asked again later: it does not keep posts from being delivered.
        """
        if sink.target not in self._due or time.monotonic() < self._not_before.get(sink.target, 0.0):
            return
        try:
            done = erase_from_sink(
                self._forgetting,
                sink,
                self._journal.capture_id,
                lambda source, posts: self._on_forgotten(sink.target, source, posts),
            )
        except JournalError:
            raise  # no word of the sink's
        except StoreRefused as error:
            self._not_before[sink.target] = time.monotonic() + REFUSED_WAIT
            self._events.add(Level.ERROR, f"{sink.name} does not forget what it was asked to: {error.message}")
            return
        self._due.discard(sink.target)
        if done:
            self._trim = True
            self._events.add(Level.INFO, f"{sink.name} has forgotten what it was asked to")

    def _run(self) -> None:
        self._trim = True  # a run that was killed may have left it undone
        try:
            while not self._stop.is_set():
                try:
                    self._serve()
                except JournalBlocked:
                    pass  # the writer tells of it; it is tried again
                except JournalError as error:
                    self._events.add(Level.ERROR, f"forgetting failed, and is tried again: {error.message}")
                self._stop.wait(POLL)
        except Exception as error:  # noqa: BLE001 - a bug here must not look as if all were forgotten
            self._on_bug(BieberTuiError(f"forgetting failed by a bug: {error!r}"))

    def _serve(self) -> None:
        if self._forgetting.asked():
            self._privacy.tombstones = self._forgetting.tombstones()
            if not self._wait_for_batch():
                return
            self._removed = 0
            done = erase_from_journal(
                self._forgetting,
                self._people,
                still=self._still,
                on_removed=self._count,
                stopping=self._stop.is_set,
            )
            if done:
                self._due |= set(self._forgetting.waiting_targets())
                self._trim = True
                self._events.add(Level.INFO, f"forgotten as asked: {self._removed:,} posts of the journal")
        if self._trim:
            self._trim = not self._journal.trim()

    def _wait_for_batch(self) -> bool:
        """Until every post that was let in before the tombstones were known is in the journal."""
        seen = self._batches()
        while self._batches() <= seen:
            if self._stop.wait(0.02):
                return False
        return True

    def _count(self, removed: Removed) -> None:
        self._removed += len(removed.rows)
        self._on_removed(removed)
