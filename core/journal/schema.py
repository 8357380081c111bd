"""The journal's schema, its version and the steps from each version to the next.

`PRAGMA user_version` holds the version. All steps run in one transaction with the new version's number, so
that a kill in the middle of a migration leaves the old version whole. Steps only ever go forward, and only ever
add tables, or columns at a table's end: `recover` reads the rows of every version by their place.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from core import crashpoint
from core.crashpoint import Point
from core.errors import JournalError

APPLICATION_ID = 0x62696562  # "bieb": tells a journal from any other SQLite file

_V1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- One row a matched post. AUTOINCREMENT: a number is never given twice, sinks keep it as their cursor.
CREATE TABLE posts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    received_at REAL NOT NULL,
    text_hash INTEGER NOT NULL,
    matched TEXT NOT NULL,
    backfilled INTEGER NOT NULL,
    raw BLOB NOT NULL,
    UNIQUE (source, id)
) STRICT;

-- The raw lines of later deliveries of a stored post whose text was another.
CREATE TABLE versions (
    source TEXT NOT NULL, id TEXT NOT NULL, received_at REAL NOT NULL,
    text_hash INTEGER NOT NULL, raw BLOB NOT NULL
) STRICT;
CREATE INDEX versions_of ON versions (source, id);

-- Consumed posts that are not about the topic; only with journal.scope = "all".
CREATE TABLE filtered (
    source TEXT NOT NULL, id TEXT NOT NULL, received_at REAL NOT NULL, raw BLOB NOT NULL,
    PRIMARY KEY (source, id)
) STRICT;

CREATE TABLE quarantine (
    source TEXT NOT NULL, received_at REAL NOT NULL, reason TEXT NOT NULL, raw BLOB NOT NULL
) STRICT;

-- The capture's life, by source. `inserted` are matched posts that were new to the journal, `repeated` the others.
CREATE TABLE counters (
    source TEXT PRIMARY KEY,
    delivered INTEGER NOT NULL, consumed INTEGER NOT NULL, quarantined INTEGER NOT NULL,
    matched INTEGER NOT NULL, inserted INTEGER NOT NULL, repeated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sink_cursors (target TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE settled (
    target TEXT NOT NULL, source TEXT NOT NULL, stored INTEGER NOT NULL, duplicate INTEGER NOT NULL,
    PRIMARY KEY (target, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE gaps (
    gap INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL,
    start REAL NOT NULL, "end" REAL, reason TEXT NOT NULL, filled TEXT NOT NULL DEFAULT 'no'
) STRICT;

-- One row a run. `last_byte_at` is renewed while bytes arrive: where a crash's gap begins.
CREATE TABLE sessions (
    session INTEGER PRIMARY KEY AUTOINCREMENT, started_at REAL NOT NULL,
    last_byte_at REAL, ended_at REAL, reason TEXT
) STRICT;
"""

# What a gap needs to be filled. Gaps of an older version have no keywords: they stay as they are.
_FILL = """
ALTER TABLE gaps ADD COLUMN chosen INTEGER NOT NULL DEFAULT 0;     -- the user closed the connection: a pause
ALTER TABLE gaps ADD COLUMN keywords TEXT NOT NULL DEFAULT '';     -- that were in force
ALTER TABLE gaps ADD COLUMN last_id TEXT NOT NULL DEFAULT '';      -- the newest post known before it
ALTER TABLE gaps ADD COLUMN first_id TEXT NOT NULL DEFAULT '';     -- the first one seen well after it
ALTER TABLE gaps ADD COLUMN fetched INTEGER NOT NULL DEFAULT 0;    -- posts that the fill brought
ALTER TABLE gaps ADD COLUMN reached TEXT NOT NULL DEFAULT '';      -- where the fill goes on, in the source's words
ALTER TABLE gaps ADD COLUMN why TEXT NOT NULL DEFAULT '';          -- why it is filled as it is
ALTER TABLE sessions ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN keywords TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN last_id TEXT NOT NULL DEFAULT '';

-- Posts that fills have brought, by day in UTC: what a bound for the day is held against.
CREATE TABLE fetched (
    source TEXT NOT NULL, day TEXT NOT NULL, posts INTEGER NOT NULL, PRIMARY KEY (source, day)
) STRICT, WITHOUT ROWID;
"""


_DURABILITY = """
-- What the row adds up to (records.checksum). Null: written by an older version.
ALTER TABLE posts ADD COLUMN checksum INTEGER;

-- Posts that retention has removed: what is needed to know them again.
CREATE TABLE removed (
    source TEXT NOT NULL, id TEXT NOT NULL, text_hash INTEGER NOT NULL, received_at REAL NOT NULL,
    PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;

-- One row a `bieber-tui recover`: how many posts it could not save, by which the counters were lowered.
CREATE TABLE recoveries (
    at REAL NOT NULL, source TEXT NOT NULL, lost INTEGER NOT NULL, kept_aside TEXT NOT NULL
) STRICT;
"""

_MINUTES = """
-- Posts of the stream by the minute in which they were received (`at` is its begin): the plots outlive a run.
CREATE TABLE minutes (
    source TEXT NOT NULL, at INTEGER NOT NULL, consumed INTEGER NOT NULL, matched INTEGER NOT NULL,
    PRIMARY KEY (source, at)
) STRICT, WITHOUT ROWID;
"""

_FORGET = """
-- What is to be forgotten, until the journal and every sink have done it; then the row goes. `thorough`: asked for
-- by a person, so every line is looked at; otherwise announced by the source, for the post itself.
CREATE TABLE forget (
    request INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, source TEXT NOT NULL,
    kind TEXT NOT NULL, id TEXT NOT NULL, thorough INTEGER NOT NULL, journal_done INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE forget_at (
    request INTEGER NOT NULL, target TEXT NOT NULL, PRIMARY KEY (request, target)
) STRICT, WITHOUT ROWID;
-- Posts that a sink must give up (`whole`), or of which it must give up the raw line. `counted`: in `forgotten`.
CREATE TABLE forget_posts (
    target TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, whole INTEGER NOT NULL, counted INTEGER NOT NULL,
    PRIMARY KEY (target, source, id)
) STRICT, WITHOUT ROWID;
-- Keyed hashes of authors and posts that are not taken again: a list that can be asked, not read.
CREATE TABLE tombstones (mark BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
-- Posts that were unique and are gone, by who keeps the record; the target of the journal itself is ''.
CREATE TABLE forgotten (
    target TEXT NOT NULL, source TEXT NOT NULL, posts INTEGER NOT NULL, PRIMARY KEY (target, source)
) STRICT, WITHOUT ROWID;
"""

# Posts that somebody marked on the screen, whether the journal holds them or not.
_STARS = """
CREATE TABLE stars (
    source TEXT NOT NULL, id TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;
"""

STEPS: tuple[str, ...] = (_V1, _FILL, _DURABILITY, _MINUTES, _FORGET, _STARS)
VERSION = len(STEPS)


def check_identity(db: sqlite3.Connection, path: str) -> int:
    """The version of the schema; 0 for an empty file. Changes nothing.

    Raises JournalError when the file is no journal or was written by a newer bieber-tui.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    owner = db.execute("PRAGMA application_id").fetchone()[0]
    has_tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
    if has_tables and owner != APPLICATION_ID:
        raise JournalError(
            f"{path} is a SQLite file, but not a journal of bieber-tui",
            "It was left untouched. Name another data folder with --data-dir.",
        )
    if found > VERSION:
        raise JournalError(
            f"the journal {path} has schema {found}; this bieber-tui knows schemas up to {VERSION}",
            "A newer bieber-tui wrote it, and it was left untouched. Install that version again.",
        )
    return found


def shape(db: sqlite3.Connection) -> dict[str, list[str]]:
    """The tables that a file says it has, and their columns."""
    found: dict[str, list[str]] = {}
    for table, column in db.execute(
        "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c"
        " WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, c.cid"
    ):
        found.setdefault(table, []).append(column)
    return found


def shape_of(version: int) -> dict[str, list[str]]:
    """The tables and columns of a journal of that version."""
    with closing(sqlite3.connect(":memory:")) as db:
        for step in STEPS[:version]:
            db.executescript(step)
        return shape(db)


def migrate(db: sqlite3.Connection, found: int) -> None:
    """Bring the schema from the version `found` to this program's: all of it, or nothing."""
    if found == VERSION:
        return
    crashpoint.reach(Point.MIGRATION_BEGINS)
    db.executescript("\n".join(("BEGIN IMMEDIATE;", *STEPS[found:VERSION])))
    crashpoint.reach(Point.IN_MIGRATION)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")
    crashpoint.reach(Point.MIGRATED)
