"""The journal: one SQLite file that every post lands in first."""

from core.journal.forgetting import Forgetting, Held, Removed, Subject, Tombstones
from core.journal.journal import FILE_NAME, Journal, JournalReader
from core.journal.records import Batch, Deletion, Entry, GapMark, Rejected, Row, Settled, Tally

__all__ = [
    "FILE_NAME",
    "Batch",
    "Deletion",
    "Entry",
    "Forgetting",
    "GapMark",
    "Held",
    "Journal",
    "JournalReader",
    "Rejected",
    "Removed",
    "Row",
    "Settled",
    "Subject",
    "Tally",
    "Tombstones",
]
