"""Makes a journal out of salvaged rows: its counters, cursors, numbers and gaps agree with the posts it has.

A post that was lost is taken out of `delivered`, `consumed`, `matched` and `inserted`, unless a store has answered
for it: then it is where it should be, and stays counted. The difference is written into `recoveries`.
"""

from __future__ import annotations

import sqlite3

import msgspec
from msgspec.structs import astuple, replace

from core.journal.progress import Progress
from core.journal.records import Tally
from core.journal.salvage import Salvage

GAP_REASON = "journal damaged"
# Numbers that are skipped after the end was lost: rows of the end may be in a store under these already.
SKIPPED = 100_000


class Span(msgspec.Struct, frozen=True, order=True):
    """The time of lost posts, and the posts around it as a fill needs them; `end` is infinite for the newest."""

    start: float
    end: float
    last_id: str
    first_id: str


class Rebuilt(msgspec.Struct):
    """What the new journal says."""

    tallies: dict[str, Tally] = {}  # by source
    lost: dict[str, int] = {}  # posts by source, as the counters tell
    known_lost: list[tuple[str, str]] = []  # (source, id) of lost posts
    gaps: int = 0  # that were added
    notes: list[str] = []


def rebuild(
    db: sqlite3.Connection,
    salvage: Salvage | None,
    progress: Progress | None,
    sequence: int,
    unproven: dict[str, int],
) -> Rebuilt:
    """Complete the new journal `db`, which has the salvaged rows and, in temp.known, the index of all posts.

    `sequence` is the highest number that the old journal is known to have given; `unproven` are the rows, by
    source, that went to quarantine. Without `salvage` there was no old journal.
    """
    rebuilt = Rebuilt()
    capture = _keep_name(db, progress, rebuilt)
    _check_marks(db, rebuilt)
    if progress is not None and progress.capture != capture:
        progress = None
    lost_end = progress is not None and progress.seq > sequence
    if salvage is not None and (salvage.lost_rows_of("sink_cursors") or salvage.lost_rows_of("settled")):
        _take_positions(db, progress, rebuilt)
    newest = db.execute("SELECT max((SELECT ifnull(max(seq), 0) FROM posts),"
                        " (SELECT ifnull(max(seq), 0) FROM sink_cursors))").fetchone()[0]  # fmt: skip
    number = max(newest, sequence, progress.seq + SKIPPED if lost_end and progress else 0)
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'posts'")
    db.execute("INSERT INTO sqlite_sequence VALUES ('posts', ?)", (number,))
    _count(db, salvage, progress, unproven, rebuilt)
    rebuilt.known_lost = db.execute(
        "SELECT source, id FROM temp.known AS k WHERE NOT EXISTS"
        " (SELECT 1 FROM posts WHERE source = k.source AND id = k.id) ORDER BY seq"
    ).fetchall()
    _keep_last_moment(db)
    for source, lost in rebuilt.lost.items():
        if lost:
            holes = salvage.holes.get("posts", []) if salvage else []
            rebuilt.gaps += _note_gaps(db, source, lost, holes, lost_end)
    return rebuilt


def _keep_name(db: sqlite3.Connection, progress: Progress | None, rebuilt: Rebuilt) -> str | None:
    found = db.execute("SELECT value FROM meta WHERE key = 'capture_id'").fetchone()
    if found is None and progress is not None:
        found = (progress.capture,)
        db.execute("INSERT INTO meta VALUES ('capture_id', ?)", found)
    if found is None:
        rebuilt.notes.append(
            "the capture's name is lost and it gets a new one: what its store already has will count as duplicates"
        )
        return None
    return str(found[0])


def _check_marks(db: sqlite3.Connection, rebuilt: Rebuilt) -> None:
    """The marks of who is forgotten are worth nothing without their key, and must not look as if they were."""
    if db.execute("SELECT 1 FROM meta WHERE key = 'forget_key'").fetchone() is None:
        lost = db.execute("DELETE FROM tombstones").rowcount
        if lost:
            rebuilt.notes.append(
                f"who is forgotten is lost ({lost:,} entries): call `bieber-tui forget` for them again, or what"
                " they post from now on is taken"
            )


def _take_positions(db: sqlite3.Connection, progress: Progress | None, rebuilt: Rebuilt) -> None:
    """A cursor without its counts is worth nothing, nor the reverse: both are taken from the progress, or none.

    A position that is a little old is as good: a store recognises what it is sent again.
    """
    db.execute("DELETE FROM sink_cursors")
    db.execute("DELETE FROM settled")
    if progress is not None:
        for target, position in progress.sinks.items():
            db.execute("INSERT INTO sink_cursors VALUES (?, ?)", (target, position.seq))
            db.executemany(
                "INSERT INTO settled VALUES (?, ?, ?, ?)",
                [(target, source, *astuple(counts)) for source, counts in position.settled.items()],
            )
        return
    db.execute("DELETE FROM forgotten WHERE target <> ''")  # counted anew when the store is known again
    rebuilt.notes.append(
        "the stores' positions are lost: everything is sent to them again, and they recognise what they have"
    )


def _count(
    db: sqlite3.Connection,
    salvage: Salvage | None,
    progress: Progress | None,
    unproven: dict[str, int],
    rebuilt: Rebuilt,
) -> None:
    before = {source: Tally(*counts) for source, *counts in db.execute(
        "SELECT source, delivered, consumed, quarantined, matched, inserted, repeated FROM counters"
    )}  # fmt: skip
    if salvage is not None and salvage.lost_rows_of("counters"):
        before = {}
    for source, tally in progress.tallies.items() if progress else ():
        known = before.get(source, Tally())
        before[source] = max(known, tally, key=lambda counts: counts.delivered)
    there = _inserted(db)
    db.execute("DELETE FROM counters")
    for source in sorted({*before, *there}):
        if source in before:
            tally = before[source]
        else:
            rebuilt.notes.append(
                f"the counters of {source} are lost: duplicates and posts that were filtered out are not counted"
            )
            tally = _from_rows(db, source)
        inserted = there.get(source, 0)
        new = _with_inserted(tally, inserted, unproven.get(source, 0))
        rebuilt.tallies[source] = new
        rebuilt.lost[source] = max(tally.inserted - inserted, 0)
        db.execute("INSERT INTO counters VALUES (?, ?, ?, ?, ?, ?, ?)", (source, *astuple(new)))


def _inserted(db: sqlite3.Connection) -> dict[str, int]:
    """How many posts of each source are accounted for: here, gone by age or request, or in a store."""
    there: dict[str, int] = {}
    for source, count in db.execute(
        "SELECT source, count(*) FROM posts GROUP BY source UNION ALL"
        " SELECT source, count(*) FROM removed GROUP BY source UNION ALL"
        " SELECT source, posts FROM forgotten WHERE target = ''"
    ):
        there[source] = there.get(source, 0) + count
    for target, cursor in db.execute("SELECT target, seq FROM sink_cursors").fetchall():
        settled = dict(
            db.execute("SELECT source, stored + duplicate FROM settled WHERE target = ?", (target,)).fetchall()
        )
        waiting = dict(
            db.execute("SELECT source, count(*) FROM posts WHERE seq > ? GROUP BY source", (cursor,)).fetchall()
        )
        for source in {*settled, *waiting}:
            there[source] = max(there.get(source, 0), settled.get(source, 0) + waiting.get(source, 0))
    return there


def _from_rows(db: sqlite3.Connection, source: str) -> Tally:
    """What the rows alone tell. `inserted` is added by the caller."""
    filtered, quarantined = (
        db.execute(f"SELECT count(*) FROM {table} WHERE source = ?", (source,)).fetchone()[0]  # noqa: S608
        for table in ("filtered", "quarantine")
    )
    return Tally(delivered=filtered + quarantined, consumed=filtered, quarantined=quarantined)


def _with_inserted(tally: Tally, inserted: int, unproven: int) -> Tally:
    """The tally with another number of posts, `unproven` of the others being in quarantine now."""
    change = inserted - tally.inserted
    matched = inserted + tally.repeated
    consumed = matched + max(tally.consumed - tally.matched, 0)
    quarantined = tally.quarantined + min(unproven, max(-change, 0))
    return replace(
        tally,
        delivered=consumed + quarantined,
        consumed=consumed,
        quarantined=quarantined,
        matched=matched,
        inserted=inserted,
    )


def _keep_last_moment(db: sqlite3.Connection) -> None:
    """Without any run there would be no gap from the last post to the next start."""
    if not db.execute("SELECT 1 FROM sessions").fetchone():
        first, last = db.execute("SELECT min(received_at), max(received_at) FROM posts").fetchone()
        if last is not None:
            db.execute("INSERT INTO sessions (started_at, last_byte_at) VALUES (?, ?)", (first, last))


def _note_gaps(
    db: sqlite3.Connection, source: str, lost: int, holes: list[tuple[int, int]], lost_end: bool
) -> int:
    """Write a gap for each span of lost posts; the number of gaps."""
    known = [
        seq
        for (seq,) in db.execute(
            "SELECT seq FROM temp.known AS k WHERE source = ?1 AND NOT EXISTS"
            " (SELECT 1 FROM posts WHERE source = k.source AND id = k.id) ORDER BY seq",
            (source,),
        )
    ]
    spans = {_around(db, source, seq, seq) for seq in known}
    if lost > len(known):  # posts that no index tells of
        spans |= {_around(db, source, low, high) for low, high in holes}
        if lost_end or not spans:
            spans.add(_around(db, source, 2**62, 2**63 - 1))
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            last = max(merged[-1], span, key=lambda one: one.end)
            merged[-1] = replace(merged[-1], end=last.end, first_id=last.first_id)
        else:
            merged.append(span)
    for span in merged:
        _insert(db, source, span)
    return len(merged)


def _insert(db: sqlite3.Connection, source: str, span: Span) -> None:
    """Note the gap, with the keywords that were in force, so that a source that can may fill it."""
    keywords = db.execute(
        "SELECT keywords FROM sessions WHERE source IN (?, '') AND started_at <= ? ORDER BY session DESC LIMIT 1",
        (source, span.start),
    ).fetchone()
    end = None if span.end == float("inf") else span.end
    if end is None:
        # A source has one open gap at most: the one of the damage takes in the one that there was.
        db.execute('DELETE FROM gaps WHERE source = ? AND "end" IS NULL', (source,))
    db.execute(
        'INSERT INTO gaps (source, start, "end", reason, keywords, last_id, first_id)'
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (source, span.start, end, GAP_REASON, keywords[0] if keywords else "", span.last_id, span.first_id),
    )


def _around(db: sqlite3.Connection, source: str, low: int, high: int) -> Span:
    """The span between the posts that are there before row `low` and after row `high`."""
    # The plus: by the row's number and not by the source's index, which would be sorted for each span.
    before = db.execute(
        "SELECT received_at, id FROM posts WHERE +source = ? AND seq < ? ORDER BY seq DESC LIMIT 1", (source, low)
    ).fetchone()
    after = db.execute(
        "SELECT received_at, id FROM posts WHERE +source = ? AND seq > ? ORDER BY seq LIMIT 1", (source, high)
    ).fetchone()
    began = db.execute("SELECT min(started_at) FROM sessions").fetchone()[0]
    start, last_id = before or (began if began is not None else 0.0, "")
    end, first_id = after or (float("inf"), "")
    return Span(start, max(start, end), last_id, first_id)
