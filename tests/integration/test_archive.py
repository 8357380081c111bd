"""What is stored can be searched from the newest to the oldest, a bounded call at a time, and stars outlast a restart."""

from __future__ import annotations

import json
import time

import pytest

from core.archive import Archive
from core.clock import SystemClock
from core.errors import QueryError
from core.filter import Mode, Wanted
from core.journal import Batch, Entry, Journal, Rejected
from core.snapshot import Verdict
from core.sources import decoder


def line(number: int, text: str) -> bytes:
    data = {
        "data": {"id": str(number), "text": text, "author_id": "7"},
        "includes": {"users": [{"id": "7", "username": "ana", "name": "Ana"}]},
    }
    return json.dumps(data).encode()


def fill(journal: Journal, first: int, last: int, *, every: int = 10) -> None:
    """Posts `first` to `last`; each `every`th has the word rare in it, each third is not about the topic."""
    session = journal.begin_session(1.0, "x")
    entries, filtered = [], []
    for number in range(first, last + 1):
        raw = line(number, f"post {number} about music" + (" rare" if number % every == 0 else ""))
        if number % 3:
            entries.append(Entry(str(number), float(number), number, ("music",), False, raw))
        else:
            filtered.append(Rejected(str(number), float(number), "", raw))
    journal.commit(Batch("x", delivered=last - first + 1, entries=entries, filtered=filtered), session)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path) as made:
        yield made


def archive_of(journal: Journal) -> Archive:
    return Archive(journal, lambda source, raw: decoder(source)(raw), SystemClock())


def all_of(archive: Archive, wanted: Wanted, limit: int) -> list[str]:
    """The ids that a whole search finds, call after call."""
    ids: list[str] = []
    place: str | None = ""
    while place is not None:
        found = archive.search(wanted, place, limit)
        assert len(found.rows) <= limit
        ids += [row.post.id for row in found.rows]
        place = found.place
    return ids


@pytest.mark.parametrize("limit", [1, 7, 200, 5000])
def test_every_stored_post_is_found_once_newest_first_whatever_the_page(journal, limit):
    fill(journal, 1, 1500 if limit > 1 else 60)
    wanted = [str(number) for number in range(1500 if limit > 1 else 60, 0, -1) if number % 3]
    assert all_of(archive_of(journal), Wanted(), limit) == wanted


def test_posts_that_are_not_about_the_topic_are_found_among_the_others_when_they_are_wanted(journal):
    fill(journal, 1, 1400)
    fill(journal, 1401, 1402)
    archive = archive_of(journal)
    assert all_of(archive, Wanted(unmatched=True), 333) == [str(number) for number in range(1402, 0, -1)]
    found = archive.search(Wanted(unmatched=True), "", 2)
    assert [row.verdict for row in found.rows] == [Verdict.MATCHED, Verdict.FILTERED]


@pytest.mark.parametrize(
    "wanted",
    [Wanted("RARE"), Wanted("rare music", Mode.WORDS), Wanted(r"\brar.\b", Mode.REGEX), Wanted("rare from:ana", Mode.QUERY)],
)  # fmt: skip
def test_each_reading_of_a_filter_searches(journal, wanted):
    fill(journal, 1, 900)
    assert all_of(archive_of(journal), wanted, 50) == [str(n) for n in range(900, 0, -1) if n % 10 == 0 and n % 3]


def test_what_comes_during_a_search_neither_repeats_nor_hides_anything(journal):
    fill(journal, 1, 300)
    archive = archive_of(journal)
    first = archive.search(Wanted(), "", 100)
    fill(journal, 301, 400)
    second = archive.search(Wanted(), first.place, 1000)
    ids = [row.post.id for row in (*first.rows, *second.rows)]
    assert ids == [str(number) for number in range(300, 0, -1) if number % 3]


def test_a_call_is_bounded_in_time_and_says_how_far_it_got(journal):
    fill(journal, 1, 30_000)
    archive = archive_of(journal)
    began = time.monotonic()
    found = archive.search(Wanted("no post has this"), "", 100)
    assert time.monotonic() - began < 10
    assert found.rows == ()
    assert found.back_to is not None and found.back_to >= 1.0


def test_a_bad_filter_is_refused_with_its_place(journal):
    with pytest.raises(QueryError):
        archive_of(journal).search(Wanted("(a", Mode.QUERY), "", 10)


def test_one_post_is_found_whole_with_the_line_that_the_source_sent(journal):
    fill(journal, 1, 10)
    archive = archive_of(journal)
    record = archive.lookup("x", "7")
    assert record is not None
    assert record.raw == line(7, "post 7 about music")
    assert record.row.post.author.username == "ana" and record.row.matched == ("music",)
    assert archive.lookup("x", "9").row.verdict is Verdict.FILTERED
    assert archive.lookup("x", "11") is None


def test_stars_outlast_a_restart_and_are_searched(tmp_path):
    with Journal(tmp_path) as journal:
        fill(journal, 1, 3000)
        archive = archive_of(journal)
        for id_ in ("5", "2999", "2998", "3"):
            archive.star("x", id_, True)
        archive.star("x", "5", True)
        archive.star("x", "2998", False)
        archive.star("x", "77777", True)  # not stored: a star all the same
    with Journal(tmp_path) as journal:
        archive = archive_of(journal)
        assert archive.stars() == {"x:5", "x:2999", "x:3", "x:77777"}
        assert all_of(archive, Wanted(starred=True), 1) == ["2999", "5"]
        assert all_of(archive, Wanted(starred=True, unmatched=True), 10) == ["2999", "5", "3"]
        assert all_of(archive, Wanted("post 5 ", starred=True), 10) == ["5"]


def test_a_search_never_waits_for_the_writer(journal):
    fill(journal, 1, 100)
    archive = archive_of(journal)
    with journal._transaction():
        assert len(archive.search(Wanted(), "", 1000).rows) == 67
