"""The journal's schema, its version and the steps from each version to the next.

`PRAGMA user_version` holds the version. A step is SQL that runs in one transaction with the new version's number,
so that a kill in the middle of a migration leaves the old version whole. Steps only ever go forward.
"""

from __future__ import annotations

import sqlite3

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

# Posts that somebody marked on the screen, whether the journal holds them or not.
_STARS = """
CREATE TABLE stars (
    source TEXT NOT NULL, id TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;
"""

STEPS: tuple[str, ...] = (_V1, _STARS)
VERSION = len(STEPS)


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Bring the schema to this program's version.

    Raises JournalError when the file is no journal or was written by a newer bieber-tui.
    """
    found = db.execute("PRAGMA user_version").fetchone()[0]
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
    for number in range(found, VERSION):
        db.executescript(
            f"BEGIN IMMEDIATE;\n{STEPS[number]}\n"
            f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number + 1};\nCOMMIT;"
        )
