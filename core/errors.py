"""Every error that a user can meet, with the exit code that it ends the program with.

BieberTuiError                    what happened, what it means, what to do
├── ConfigError            (2)    wrong usage or configuration
│   └── QueryError         (2)    a bad query, with the position and a hint
├── SourceRefused          (3)    the source said no for good
├── StoreRefused           (4)    the store said no for good
│   └── JournalError       (4)    the journal cannot be opened or written
│       ├── JournalBlocked (4)    … just now: what is in hand is kept and tried again
│       │   ├── JournalFull       its disk is full
│       │   └── JournalBusy       another program holds its lock
│       └── JournalDamaged (4)    it does not hold what it should: `bieber-tui recover`
└── AlreadyOwned           (5)    another capture owns this data folder

Unavailable                       wait and try again; never leaves the thread that met it
Undecodable                       a delivered line that is no post; the line goes to quarantine
"""

from __future__ import annotations


class BieberTuiError(Exception):
    """An error for the person who can mend it. `hint` says what to do; `exit_code` ends the process."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    @property
    def sentence(self) -> str:
        """Both on one line, for an event."""
        return f"{self.message}. {self.hint}" if self.hint else self.message


class ConfigError(BieberTuiError):
    """Wrong usage or configuration: nothing was started."""

    exit_code = 2


class QueryError(ConfigError):
    """A query that cannot be used. `position` counts characters from 1, as X does; 0 is the whole query."""

    def __init__(self, message: str, position: int, query: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.position = position
        self.query = query

    def __str__(self) -> str:
        lines = [f"{self.message} (at position {self.position})" if self.position else self.message]
        if self.position and "\n" not in self.query:
            lines += [f"  {self.query}", "  " + " " * (self.position - 1) + "^"]
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


class SourceRefused(BieberTuiError):
    """The source will not serve us until the user has mended something."""

    exit_code = 3


class StoreRefused(BieberTuiError):
    """The store will not take posts until the user has mended something."""

    exit_code = 4


class JournalError(StoreRefused):
    """The journal's file cannot be opened, read or written."""


class JournalBlocked(JournalError):
    """The journal cannot be written just now. `gap_reason` is what a gap says of it; empty: no gap yet."""

    gap_reason = "the journal could not be written"


class JournalFull(JournalBlocked):
    """There is no room for the journal."""

    gap_reason = "disk full"


class JournalBusy(JournalBlocked):
    """Another program holds the journal's lock. The stream stays open: a lock seldom lasts."""

    gap_reason = ""


class JournalDamaged(JournalError):
    """The journal does not hold what it should."""


class AlreadyOwned(BieberTuiError):
    """Another capture owns this data folder."""

    exit_code = 5


class Unavailable(Exception):
    """The other side cannot be had just now: wait and try again. The words are shown to the user."""


class Undecodable(Exception):
    """A delivered line is not a post. The reason is kept beside the raw line in quarantine."""
