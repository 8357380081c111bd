"""The journal: one SQLite file that every post lands in first."""

from core.journal.forgetting import Forgetting, Held, Removed, Subject, Tombstones
from core.journal.journal import FILE_NAME, Journal, JournalReader
from core.journal.look import Record, Session, look
from core.journal.records import (
    AfterMark,
    Batch,
    Deletion,
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
from core.journal.retention import Retention, compact
from core.journal.space import Space
from core.journal.visit import Visit

__all__ = [
    "FILE_NAME",
    "AfterMark",
    "Batch",
    "Deletion",
    "Entry",
    "Forgetting",
    "GapMark",
    "Held",
    "Journal",
    "JournalReader",
    "KeywordsMark",
    "Mark",
    "PageMark",
    "Record",
    "Rejected",
    "Removed",
    "Retention",
    "Row",
    "Session",
    "Settled",
    "Space",
    "Subject",
    "Tally",
    "Tombstones",
    "Visit",
    "compact",
    "look",
]
