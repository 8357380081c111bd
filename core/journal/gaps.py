"""The gaps in the journal: how they begin, end, fall apart and are filled. Runs in the caller's transaction.

A source has one open gap at most. A gap falls in two where the user paused or resumed, or changed the keywords,
so that each has one reason and one set of keywords, and none covers what the user chose not to receive together
with what was lost. `last_id` and `first_id` bound a gap from outside; where one is not known it is empty.
"""

from __future__ import annotations

import sqlite3

from core import crashpoint
from core.crashpoint import Point
from core.journal.records import AfterMark, GapMark, KeywordsMark, Mark, PageMark
from core.snapshot import Filled, Gap

KILLED = "crashed or was killed"
UNDER_WAY = "its fill has not come to its end"

_COLUMNS = {name: "gap" if name == "number" else f'"{name}"' for name in Gap.__struct_fields__}


def begin(db: sqlite3.Connection, source: str, at: float, keywords: str) -> str:
    """A run begins: note the span since the last one as an open gap. Returns the newest post known, or nothing.

    The gap begins at the last durable byte of the run before, or where a run began that was killed before it had
    one. It has that run's reason, or says that it was killed. The first run of a capture has no gap, one that
    ended in order and never heard a byte leaves none, and a gap that is still open simply goes on, and tells of a
    kill too.
    """
    last = db.execute(
        "SELECT coalesce(last_byte_at, iif(ended_at IS NULL, started_at, NULL)), ended_at, reason, keywords,"
        " last_id FROM sessions WHERE source IN (?, '')"
        " ORDER BY session DESC LIMIT 1",
        (source,),
    ).fetchone()
    if last is None:
        return ""
    start, ended_at, why, old_keywords, last_id = last
    gap = _open(db, source)
    if gap is None and start is not None:
        reason = KILLED if ended_at is None else f"not running: {why or 'stopped'}"
        _insert(db, source, start, reason, old_keywords, last_id=last_id)
    elif gap is not None and ended_at is None and KILLED not in gap.reason:
        # The connection may have been back, and what it brought was not durable.
        db.execute("UPDATE gaps SET reason = ? WHERE gap = ?", (f"{gap.reason}; then {KILLED}", gap.number))
    gap = _open(db, source)
    if gap is not None and gap.keywords != keywords:
        _split(db, gap, at, keywords=keywords)
    return "" if gap is not None and gap.chosen else str(last_id)


def apply(db: sqlite3.Connection, source: str, session: int, mark: Mark) -> None:
    """Note what a mark says."""
    match mark:
        case GapMark(at=at, reason=""):
            closed = 'UPDATE gaps SET "end" = max(start, ?) WHERE source = ? AND "end" IS NULL'
            if db.execute(closed, (at, source)).rowcount:
                crashpoint.reach(Point.GAP_CLOSED)
        case GapMark():
            if _begin_gap(db, source, session, mark):
                crashpoint.reach(Point.GAP_OPENED)
        case AfterMark(first_id=first_id):
            _settle(db, source, session, first_id)
        case KeywordsMark(at=at, keywords=keywords):
            _settle(db, source, session, mark.last_id)
            db.execute("UPDATE sessions SET keywords = ? WHERE session = ?", (keywords, session))
            gap = _open(db, source)
            if gap is not None:
                _split(db, gap, at, keywords=keywords)
        case PageMark():
            db.execute(
                "UPDATE gaps SET fetched = fetched + ?, reached = ?, first_id = ?, filled = 'partly', why = ?"
                " WHERE gap = ?",
                (mark.posts, mark.reached, mark.first_id, UNDER_WAY, mark.gap),
            )
            db.execute(
                "INSERT INTO fetched VALUES (?, date(?, 'unixepoch'), ?) ON CONFLICT DO UPDATE SET"
                " posts = posts + excluded.posts",
                (source, mark.at, mark.posts),
            )
            crashpoint.reach(Point.PAGE_NOTED)


def end_fill(db: sqlite3.Connection, gap: int, filled: Filled, why: str, first_id: str) -> None:
    """The fill of a gap came to its end, for now or for good."""
    db.execute("UPDATE gaps SET filled = ?, why = ? WHERE gap = ?", (filled, why, gap))
    if filled != "no":  # a bound that the stream brought meanwhile says nothing of what was fetched
        db.execute("UPDATE gaps SET first_id = ? WHERE gap = ?", (first_id, gap))


def fetched_on(db: sqlite3.Connection, source: str, at: float) -> int:
    """Posts that fills have brought on that moment's day (UTC)."""
    row = db.execute(
        "SELECT posts FROM fetched WHERE source = ? AND day = date(?, 'unixepoch')", (source, at)
    ).fetchone()
    return int(row[0]) if row else 0


def read(db: sqlite3.Connection, where: str = "1", values: tuple[object, ...] = (), limit: int = -1) -> list[Gap]:
    """The gaps of the life, oldest first; the last `limit` of them when it is not negative."""
    there = {row[1] for row in db.execute("PRAGMA table_info(gaps)")}
    names = {
        name: column for name, column in _COLUMNS.items() if column.strip('"') in there
    }  # of older journals too
    rows = db.execute(
        f"SELECT {', '.join(names.values())} FROM gaps WHERE {where} ORDER BY gap DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    ).fetchall()
    found = [dict(zip(names, row, strict=True)) for row in reversed(rows)]
    return [Gap(**{**values, "chosen": bool(values.get("chosen"))}) for values in found]


def _open(db: sqlite3.Connection, source: str) -> Gap | None:
    return next(iter(read(db, 'source = ? AND "end" IS NULL', (source,))), None)


def _insert(
    db: sqlite3.Connection,
    source: str,
    start: float,
    reason: str,
    keywords: str,
    *,
    chosen: bool = False,
    last_id: str = "",
) -> None:
    """A gap that begins then, or where the one before it ends: what that one holds is not held twice."""
    db.execute(
        "INSERT INTO gaps (source, start, reason, keywords, chosen, last_id)"
        ' VALUES (?1, max(?2, coalesce((SELECT max("end") FROM gaps WHERE source = ?1), ?2)), ?3, ?4, ?5, ?6)',
        (source, start, reason, keywords, chosen, last_id),
    )


def _begin_gap(db: sqlite3.Connection, source: str, session: int, mark: GapMark) -> bool:
    """Open a gap, or split the open one; False when that one simply goes on."""
    if mark.chosen:
        _settle(db, source, session, mark.last_id)  # what comes behind the pause bounds nothing before it
    gap = _open(db, source)
    if gap is None:
        keywords = _keywords(db, session)
        _insert(db, source, mark.at, mark.reason, keywords, chosen=mark.chosen, last_id=mark.last_id)
    elif gap.chosen != mark.chosen:
        _split(db, gap, mark.at, reason=mark.reason, chosen=mark.chosen)
    else:
        return False
    return True


def _split(
    db: sqlite3.Connection,
    gap: Gap,
    at: float,
    *,
    reason: str | None = None,
    chosen: bool | None = None,
    keywords: str | None = None,
) -> None:
    """End the open gap and begin another at the same moment. That moment is all that bounds the new one."""
    at = max(at, gap.start)
    db.execute('UPDATE gaps SET "end" = ? WHERE gap = ?', (at, gap.number))
    _insert(
        db,
        gap.source,
        at,
        gap.reason if reason is None else reason,
        gap.keywords if keywords is None else keywords,
        chosen=gap.chosen if chosen is None else chosen,
    )


def _keywords(db: sqlite3.Connection, session: int) -> str:
    return str(db.execute("SELECT keywords FROM sessions WHERE session = ?", (session,)).fetchone()[0])


def _settle(db: sqlite3.Connection, source: str, session: int, first_id: str) -> None:
    """Those ended gaps end before that post that have no bound yet and are followed by no gap of another kind."""
    db.execute(
        "UPDATE gaps SET first_id = ?1 WHERE source = ?2 AND \"end\" IS NOT NULL AND first_id = ''"
        " AND filled = 'no' AND keywords <> '' AND keywords = ?3 AND (length(?1), ?1) > (length(last_id), last_id)"
        " AND NOT EXISTS"
        " (SELECT 1 FROM gaps AS later WHERE later.source = gaps.source AND later.gap > gaps.gap"
        "  AND (later.chosen > gaps.chosen OR later.keywords <> gaps.keywords))",
        (first_id, source, _keywords(db, session)),
    )
