"""The journal: one SQLite file that every post lands in first."""

from core.journal.journal import FILE_NAME, Journal, JournalReader
from core.journal.look import Record, Session, look
from core.journal.records import (
    AfterMark,
    Batch,
    Entry,
    GapMark,
    KeywordsMark,
    Mark,
    PageMark,
    Rejected,
    Row,
    Settled,
    Tally,
)
from core.journal.space import Space

__all__ = [
    "FILE_NAME",
    "AfterMark",
    "Batch",
    "Entry",
    "GapMark",
    "Journal",
    "JournalReader",
    "KeywordsMark",
    "Mark",
    "PageMark",
    "Record",
    "Rejected",
    "Row",
    "Session",
    "Settled",
    "Space",
    "Tally",
    "look",
]
