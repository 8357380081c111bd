"""The journal: one SQLite file that every post lands in first."""

from core.journal.journal import FILE_NAME, Journal, JournalReader
from core.journal.records import Batch, Entry, GapMark, Rejected, Row, Settled, Tally
from core.journal.space import Space

__all__ = [
    "FILE_NAME",
    "Batch",
    "Entry",
    "GapMark",
    "Journal",
    "JournalReader",
    "Rejected",
    "Row",
    "Settled",
    "Space",
    "Tally",
]
