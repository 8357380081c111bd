"""Which key the pseudonyms of a journal were made with: its fingerprint, from the journal's first post on."""

from __future__ import annotations

from core.journal.journal import Journal
from core.journal.visit import Visit


def read_pseudonym_key(journal: Journal | Visit) -> str | None:
    """The fingerprint; None: people keep their names."""
    with journal._transaction() as db:
        row = db.execute("SELECT value FROM meta WHERE key = 'pseudonym_key'").fetchone()
    return str(row[0]) if row else None


def note_pseudonym_key(journal: Journal, fingerprint: str) -> None:
    """From its first post on, this journal holds pseudonyms made with that key."""
    with journal._transaction() as db:
        db.execute("INSERT INTO meta VALUES ('pseudonym_key', ?)", (fingerprint,))
