"""`bieber-tui gaps`: the spans that a capture did not receive, listed and added up, for people and for papers.

Reads the journal of a capture that may be running. stdout is data: a table, JSON or CSV; with CSV the totals go to
stderr, so that the file holds nothing but rows. Times are UTC.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

import msgspec
from msgspec.structs import asdict

from core.clock import iso
from core.errors import ConfigError
from core.journal import Record, Session, look
from core.plain import one_line
from core.snapshot import Gap

Format = Literal["table", "json", "csv"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv")


class Window(msgspec.Struct, frozen=True):
    """What is asked about: from `since` to `until` (seconds since 1970; infinite where nothing was said)."""

    since: float = float("-inf")
    until: float = float("inf")
    now: float = 0.0  # where a gap ends that is still open

    def length(self, start: float, end: float | None) -> float | None:
        """Seconds of a span that lie within; None when nothing of it does."""
        last = min(self.now if end is None else end, self.until)
        first = max(start, self.since)
        return last - first if last >= first else None


class Totals(msgspec.Struct, frozen=True):
    """What the gaps come to. Shares are of the capture's life, 0 to 1; None when it has no length."""

    gaps: int
    open: int
    seconds: float
    seconds_filled: float  # of those whose posts were all fetched afterwards
    filled: dict[str, int]  # gaps by how they are filled
    fetched: int  # posts that fills brought
    life_seconds: float  # from the first start to the last byte, or to now while a gap is open
    covered: float | None  # share with a live connection
    covered_or_filled: float | None


def listed(record: Record, window: Window, *, only_open: bool = False) -> list[Gap]:
    """The gaps of the window, oldest first."""
    return [
        gap
        for gap in record.gaps
        if window.length(gap.start, gap.end) is not None and (gap.end is None or not only_open)
    ]


def totals(record: Record, gaps: Sequence[Gap], window: Window) -> Totals:
    """Add up. The life is that of the whole record; `gaps` are those that count."""
    seconds = dict.fromkeys(("no", "partly", "yes"), 0.0)
    count = dict.fromkeys(seconds, 0)
    for gap in gaps:
        seconds[gap.filled] += window.length(gap.start, gap.end) or 0.0
        count[gap.filled] += 1
    life = sum(window.length(start, end) or 0.0 for start, end in _lives(record, window.now))
    lost = sum(seconds.values())
    return Totals(
        gaps=len(gaps),
        open=sum(gap.end is None for gap in gaps),
        seconds=lost,
        seconds_filled=seconds["yes"],
        filled=count,
        fetched=sum(gap.fetched for gap in gaps),
        life_seconds=life,
        covered=max(1 - lost / life, 0.0) if life else None,
        covered_or_filled=max(1 - (lost - seconds["yes"]) / life, 0.0) if life else None,
    )


def _lives(record: Record, now: float) -> Iterable[tuple[float, float]]:
    """From when to when each source was captured, interruptions included."""
    for source in dict.fromkeys(session.source for session in record.sessions):
        runs = [session for session in record.sessions if session.source == source]
        is_open = any(gap.end is None for gap in record.gaps if gap.source == source)
        yield runs[0].started_at, now if is_open else _known_until(runs[-1])


def _known_until(run: Session) -> float:
    if run.ended_at is not None:
        return run.ended_at
    return run.started_at if run.last_byte_at is None else run.last_byte_at


def run(folder: Path, window: Window, form: Format, out: TextIO, err: TextIO, *, only_open: bool = False) -> int:
    """Write the gaps of the capture in that folder. Raises ConfigError when there is none, JournalError."""
    record = look(folder)
    if record is None:
        raise ConfigError(f"there is no capture in {folder}", "Name its folder with --data-dir.")
    gaps = listed(record, window, only_open=only_open)
    total = totals(record, gaps, window)
    if form == "json":
        rows = [_row(gap, window) for gap in gaps]
        out.write(json.dumps({"gaps": rows, "totals": asdict(total)}) + "\n")
    elif form == "csv":
        writer = csv.DictWriter(out, list(_row(Gap("", 0.0, 0.0, ""), window)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(_row(gap, window) for gap in gaps)
        err.write("".join(f"{line}\n" for line in _summary(total)))
    else:
        out.write("".join(f"{line}\n" for line in (*_table(gaps, window), *_summary(total))))
    return 0


def moment(text: str) -> float:
    """A date or a time of ISO 8601 as seconds since 1970; UTC unless it says otherwise. Raises ValueError."""
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _row(gap: Gap, window: Window) -> dict[str, object]:
    end = window.now if gap.end is None else gap.end
    return {
        "gap": gap.number,
        "source": gap.source,
        "start": iso(gap.start),
        "end": None if gap.end is None else iso(gap.end),
        "seconds": round(end - gap.start, 3),
        "reason": gap.reason,
        "filled": gap.filled,
        "fetched": gap.fetched,
        "why": gap.why or None,
        "keywords": gap.keywords or None,
        "last_id": gap.last_id or None,
        "first_id": gap.first_id or None,
    }


def _table(gaps: Sequence[Gap], window: Window) -> Iterable[str]:
    if gaps:
        yield f"{'start (UTC)':<23}  {'end (UTC)':<23}  {'seconds':>12}  {'filled':<6}  {'fetched':>8}  reason"
    for gap in gaps:
        row = _row(gap, window)
        start, end = (str(row[key] or "still open").replace("T", " ").rstrip("Z") for key in ("start", "end"))
        yield (
            f"{start:<23}  {end:<23}  {row['seconds']:>12,.3f}  {gap.filled:<6}  {gap.fetched:>8,}"
            f"  {one_line(gap.reason)}"
        )
        if gap.why:
            yield f"{'':<23}  {one_line(gap.why)}"


def _summary(total: Totals) -> Iterable[str]:
    still = f", {total.open:,} still open" if total.open else ""
    yield f"{total.gaps:,} {'gap' if total.gaps == 1 else 'gaps'}{still}, {total.seconds:,.3f} s in all"
    if total.fetched or total.filled["yes"]:
        yield (
            f"filled {total.filled['yes']:,}, partly {total.filled['partly']:,}, not {total.filled['no']:,};"
            f" {total.fetched:,} posts fetched"
        )
    if total.covered is not None and total.covered_or_filled is not None:
        filled = f"; with what was filled {total.covered_or_filled:.4%}" if total.filled["yes"] else ""
        yield f"covered {total.covered:.4%} of {total.life_seconds:,.0f} s{filled}"
