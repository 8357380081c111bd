"""Forgetting, carried out: which lines a request reaches, what happens to them, and when.

A request reaches everything that its people have said: their posts and all versions of them, retweets of them by
others, and the copies of them in the raw lines of quotes and replies, which stay otherwise. What others say in
words of their own, a mention included, is theirs. Quarantined lines with the id in them go whole.

Both parts, `erase_from_journal` and `erase_from_sink`, can be repeated after a kill at any moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby

from core.journal import Forgetting, Held, Removed, Subject
from core.journal.forgetting import TABLES, Table
from core.sinks.base import Sink
from core.sources.base import People

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
    if subjects:
        on_removed(forgetting.done_in_journal(subjects))
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
