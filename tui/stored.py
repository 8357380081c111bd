"""What a search over everything stored has found so far: a list that grows at its top, older rows before others.

Pure. Whoever holds it asks the capture for more (`place` is where to go on) and adds what comes. Rows get numbers
of their own, falling from -1, so that a row keeps its number while older ones are put before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.filter import Wanted
from core.snapshot import FeedRow
from tui.ring import place_of

if TYPE_CHECKING:
    from core.archive import Found

MOST = 10_000  # rows that are held; a search that finds more ends there


class Stored:
    """One search and its findings."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.shown: list[FeedRow] = []
        self.place: str | None = ""  # where to go on; None when nothing is left to search
        self.back_to: float | None = None  # when the oldest post came that was looked at
        self.searching = False
        self.problem = ""  # why it could not go on

    @property
    def frozen(self) -> bool:
        """It is read at rest."""
        return True

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to ask for."""
        return self.place is None or len(self.shown) >= MOST

    def add(self, found: Found) -> int:
        """Put older rows before the others; how many came."""
        lowest = self.shown[0].seq if self.shown else 0
        came = [row.but(seq=lowest - number) for number, row in enumerate(found.rows, 1)]
        self.shown[:0] = reversed(came)
        self.place = found.place
        self.back_to = found.back_to if found.back_to is not None else self.back_to
        return len(came)

    def index_of(self, seq: int) -> int:
        """The place of the first row whose number is not below `seq`; the length when there is none."""
        return place_of(self.shown, seq)

    def is_hit(self, _: FeedRow) -> bool:
        """All that was found was looked for."""
        return True

    def is_aside(self, _: FeedRow) -> bool:
        """Nothing is shown for context."""
        return False
