"""The oracle: is what a capture has kept what the simulator says that it sent?

    figures = judge(sim.sent, data_dir)                     the journal keeps the record
    figures = judge(read_log(path), data_dir, documents)    a store does; `documents` are all that it has

Promises: nothing invented, nothing twice, nothing missing that is not in a gap or was sent before it began, the gaps
begin where the journal says that all before was durable, the books balance. It takes the simulator's record and the files that a run left behind, with plain SQL and
none of the program's own code, and raises Disagreement with every fault that it found. Ask it while no capture runs:
after a kill (it looks at a copy, so that the next start meets what the kill left) or after the end.

How it knows what may be missing: the gaps cut a capture's time into spans, and a span is the beginning of one
connection: what is kept of a span must be a connection's first lines, without a hole. What a connection carried
behind them is lost, and has to lie in the gap that ends the span.
"""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import tempfile
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from core.simulator.record import SentRecord

POSTS = ("post", "edit", "duplicate", "backfill")
LINES = (*POSTS, "malformed", "pushed")  # what a source delivers; the rest is control

# The reasons of gaps that we begin ourselves: lines that the simulator has sent may be lost in these, and only in
# these. When X ends a connection, we have read all that went before.
OURS = ("crashed or was killed", "not running", "paused", "no byte for", "no whole line")

COUNTERS = ("delivered", "consumed", "quarantined", "matched", "inserted", "repeated")


class Disagreement(AssertionError):
    """What was kept is not what was sent; one line a fault."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was compared, in numbers. Posts are distinct ones; lines count each delivery."""

    posts_sent: int  # put on a connection whole, or produced and lost
    posts_kept: int  # of those, in the journal
    posts_in_gaps: int  # of those about the topic, not kept, each within a gap
    posts_missing: int  # as above, and in no gap: always 0 when there is no Disagreement
    lines: int
    connections: int
    runs: int
    runs_cut: int  # that did not end in good order
    gaps: int
    documents: int
    life: Mapping[str, int]


class Row(NamedTuple):
    """A post as the journal keeps it."""

    seq: int  # 0 when it is not about the topic
    id: str
    received_at: float
    backfilled: bool
    raw: int  # hash of the raw line


class Gap(NamedTuple):
    """A gap as the journal has it; `end` is infinite while it is open."""

    start: float
    end: float
    reason: str
    filled: str


class Run(NamedTuple):
    """One run of the program."""

    started_at: float
    last_byte_at: float | None
    ended_at: float | None
    reason: str | None


@dataclass(slots=True)
class Kept:
    """What a run left in its data folder."""

    rows: dict[str, Row]
    quarantined: int
    counters: dict[str, int]
    gaps: list[Gap]
    runs: list[Run]
    settled: dict[str, tuple[int, int, int]]  # target: its cursor, stored, duplicate
    capture: str
    everything: bool  # the posts that are not about the topic are kept too (journal.scope = all)
    twice: int


def judge(
    sent: Iterable[SentRecord],
    data_dir: Path,
    documents: Sequence[Mapping[str, Any]] | None = None,
    *,
    complete: bool = False,
    backfill: bool = False,
) -> Figures:
    """Compare all of it. `complete`: the last run has read to the end, and its store has everything.

    `backfill`: gaps were filled by search, so that more lines were delivered than the connections carried.
    Raises Disagreement.
    """
    kept = read(data_dir)
    faults = books(kept, documents, complete=complete)
    lines: dict[int, list[SentRecord]] = defaultdict(list)
    lost: list[tuple[int, SentRecord]] = []  # never put on a connection; with the connection before it
    connection = 0
    for record in sent:
        connection = max(connection, record.connection)
        if record.kind == "lost":
            lost.append((connection, record))
        elif record.kind in LINES:
            lines[record.connection].append(record)
    wire = _Wire(kept, lines, faults)
    wire.compare(lost, complete=complete, backfill=backfill or any(row.backfilled for row in kept.rows.values()))
    if faults:
        shown = faults[:20] + ([f"… and {len(faults) - 20} more"] if len(faults) > 20 else [])
        raise Disagreement("\n".join(shown))
    posts = {one.post for part in lines.values() for one in part if one.post and one.whole}
    return Figures(
        posts_sent=len(posts | {one.post for _, one in lost}),
        posts_kept=len(kept.rows),
        posts_in_gaps=len(wire.in_gaps),
        posts_missing=0,
        lines=sum(map(len, lines.values())),
        connections=len(lines),
        runs=len(kept.runs),
        runs_cut=sum(run.ended_at is None for run in kept.runs),
        gaps=len(kept.gaps),
        documents=len(documents or ()),
        life=kept.counters,
    )


def books(
    kept: Kept, documents: Sequence[Mapping[str, Any]] | None = None, *, complete: bool = False
) -> list[str]:
    """What must hold at every moment, whatever was sent; the faults in words."""
    faults: list[str] = []

    def hold(promise: bool, words: str) -> None:
        if not promise:
            faults.append(words)

    life = kept.counters
    rows = [row for row in kept.rows.values() if row.seq]
    hold(kept.twice == 0, f"{kept.twice} posts are in the journal twice")
    hold(life["delivered"] == life["consumed"] + life["quarantined"], f"delivered: {life}")
    hold(life["matched"] == life["inserted"] + life["repeated"], f"matched: {life}")
    hold(life["consumed"] >= life["matched"], f"consumed: {life}")
    hold(life["inserted"] == len(rows), f"{life['inserted']} posts are counted, {len(rows)} are there")
    hold(life["quarantined"] == kept.quarantined, f"{kept.quarantined} quarantined lines are there: {life}")
    if documents is not None:
        faults += _store_faults(kept, documents, complete=complete)
    faults += _gap_faults(kept)
    return faults


def _store_faults(kept: Kept, documents: Sequence[Mapping[str, Any]], *, complete: bool) -> list[str]:
    """The store has what its cursor says, and nothing that the journal has not."""
    faults = []
    ours = {document["seq"]: document["_id"] for document in documents if document["capture"] == kept.capture}
    theirs = {document["_id"] for document in documents if document["capture"] != kept.capture}
    journal = {row.seq: f"x:{row.id}" for row in kept.rows.values() if row.seq}
    cursor, stored, duplicate = next(iter(kept.settled.values()), (0, 0, 0))
    if len(ours) + len(theirs) != len(documents):
        faults.append("two documents of this capture have one number")
    if any(journal.get(seq) != key for seq, key in ours.items()):
        faults.append("the store has documents that the journal has not")
    settled = {seq for seq in journal if seq <= cursor}
    missing = {seq for seq in settled - ours.keys() if journal[seq] not in theirs}
    if missing:
        faults.append(
            f"the store's cursor is at {cursor}, but it lacks {len(missing)} posts: {sorted(missing)[:5]}"
        )
    noted = sum(seq <= cursor for seq in ours)
    if (stored, duplicate) != (noted, len(settled) - noted):
        faults.append(f"settled: {stored} stored, {duplicate} duplicate; of {len(settled)} posts {noted} are ours")
    if complete and (cursor, len(ours) + duplicate) != (max(journal, default=0), len(journal)):
        faults.append(f"the store has {len(ours)} of {len(journal)} posts, its cursor is at {cursor}")
    return faults


def _gap_faults(kept: Kept) -> list[str]:
    """The gaps are in order and apart, and one of them holds every start after a run that may have missed posts."""
    faults = [f"{gap} ends before it begins" for gap in kept.gaps if gap.end < gap.start]
    faults += [
        f"{one} reaches into {two}"
        for one, two in zip(kept.gaps, kept.gaps[1:], strict=False)
        if one.end > two.start
    ]
    heard = False  # something was captured, or may have been
    for before, run in zip(kept.runs, kept.runs[1:], strict=False):
        heard = heard or before.last_byte_at is not None or before.ended_at is None
        around = [gap for gap in kept.gaps if gap.start <= run.started_at <= gap.end]
        if not heard:
            continue
        if not around:
            faults.append(f"no gap between {before} and {run}")
            continue
        began = before.last_byte_at if before.last_byte_at is not None else before.started_at
        chain = _chain(kept.gaps, around[0])
        first, last = chain[0].start, chain[-1].start
        # A gap of the run before may begin behind its last line: all that was read by then was durable with it.
        of_the_run = any(not gap.reason.startswith(("crashed", "not running")) for gap in chain)
        if began == last or (len(chain) > 1 and first <= began <= last) or (of_the_run and began <= last):
            continue
        if before.last_byte_at is None and first < began:
            continue  # it was open already, and that run never connected
        faults.append(f"{around[0]} does not begin at {began}, the last durable byte of {before}")
    return faults


def _chain(gaps: list[Gap], gap: Gap) -> list[Gap]:
    """A gap, and before it each that ends where the next one begins: one that fell apart."""
    chain = [gap]
    for before in reversed(gaps[: gaps.index(gap)]):
        if before.end != chain[0].start:
            break
        chain.insert(0, before)
    return chain


@dataclass(slots=True)
class _Wire:
    """What was kept against what was on the wire."""

    kept: Kept
    lines: dict[int, list[SentRecord]]
    faults: list[str]
    in_gaps: set[str] = field(default_factory=set)

    def compare(self, lost: list[tuple[int, SentRecord]], *, complete: bool, backfill: bool) -> None:
        """Note every fault, and the posts about the topic that are lost in gaps."""
        self._nothing_invented(lost)
        span_of = self._connections()
        fewest: dict[str, int] = defaultdict(int)
        most: dict[str, int] = defaultdict(int)
        for connection, lines in sorted(self.lines.items()):
            span = span_of.get(connection)
            read, surely_not = self._read(lines, span)
            gaps = self._gaps_after(connection, span_of)
            for line in lines[:read]:
                if self._missing(line):
                    self.faults.append(
                        f"post {line.post}, connection {connection}: lost in the midst of what was read"
                    )
            for line in lines[read:]:
                if self._missing(line):
                    # When nothing of a connection was kept, it may have been opened in a gap that went on.
                    self._lost(line, gaps, complete=complete, all_read=span is not None)
            for counts, upto in ((fewest, read), (most, surely_not)):
                for line in lines[:upto]:
                    counts["delivered"] += 1
                    counts["matched"] += bool(line.matches_topic)
                    counts["quarantined"] += line.kind not in POSTS
        for connection, line in lost:
            if self._missing(line):
                self._lost(line, self._gaps_after(connection, span_of), complete=complete)
        life = self.kept.counters
        for name in ("delivered", "matched", "quarantined"):
            if not fewest[name] <= life[name] <= (float("inf") if backfill else most[name]):
                self.faults.append(f"{name} is {life[name]}; the wire says {fewest[name]} to {most[name]}")

    def _nothing_invented(self, lost: list[tuple[int, SentRecord]]) -> None:
        known: dict[str, set[int]] = defaultdict(set)
        for lines in self.lines.values():
            for line in lines:
                if line.post:
                    known[line.post].add(hash(line.raw.rstrip(b"\r\n")) if line.whole else 0)
        for _, line in lost:
            known[line.post].add(0)
        for row in self.kept.rows.values():
            if row.id not in known:
                self.faults.append(f"post {row.id} was never sent")
            elif not row.backfilled and row.raw not in known[row.id]:
                self.faults.append(f"post {row.id} is kept with a line that was never sent whole")

    def _missing(self, line: SentRecord) -> bool:
        """Whether the line's post should be in the journal, and is not."""
        wanted = line.kind in (*POSTS, "lost") and (line.matches_topic or self.kept.everything)
        return bool(wanted) and line.post not in self.kept.rows

    def _connections(self) -> dict[int, int]:
        """Which connection each span is the beginning of."""
        carried: dict[str, set[int]] = defaultdict(set)
        for connection, lines in self.lines.items():
            for line in lines:
                if line.post and line.whole:
                    carried[line.post].add(connection)
        ends = [gap.end for gap in self.kept.gaps]
        spans: dict[int, set[int]] = {}
        for row in self.kept.rows.values():
            if row.backfilled or row.id not in carried:
                continue
            span = bisect_right(ends, row.received_at)
            spans[span] = spans[span] & carried[row.id] if span in spans else set(carried[row.id])
        found: dict[int, int] = {}
        for span, candidates in sorted(spans.items()):
            later = [one for one in sorted(candidates) if one > max(found, default=0)]
            if later:
                found[later[0]] = span
            else:
                self.faults.append(
                    f"what was kept between two gaps (span {span}) is not of one connection: a gap lacks"
                )
        return found

    def _read(self, lines: list[SentRecord], span: int | None) -> tuple[int, int]:
        """How many lines of a connection were read: at least, and at most."""
        ends = [gap.end for gap in self.kept.gaps]
        read = 0
        seen: set[str] = set()
        for number, line in enumerate(lines, start=1):
            row = self.kept.rows.get(line.post) if line.post not in seen else None
            seen.add(line.post)
            if row and not row.backfilled and span is not None and bisect_right(ends, row.received_at) == span:
                read = number
        most = next(
            (n for n, line in enumerate(lines) if n >= read and (self._missing(line) or not line.whole)), None
        )
        return read, len(lines) if most is None else most

    def _gaps_after(self, connection: int, span_of: dict[int, int]) -> list[Gap]:
        """The gaps that lie between what was kept of this connection and what was kept after it."""
        mapped = sorted(span_of)
        place = bisect_right(mapped, connection)
        first = span_of[mapped[place - 1]] if place else 0
        later = bisect_left(mapped, connection + 1)
        last = span_of[mapped[later]] if later < len(mapped) else len(self.kept.gaps)
        if connection in span_of:
            last = min(last, first + 1)  # exactly the one that ends its span
        return self.kept.gaps[first:last]

    def _lost(self, line: SentRecord, gaps: list[Gap], *, complete: bool, all_read: bool = False) -> None:
        """A post is not there: it has to be in a gap, and in one that can have swallowed it."""
        what = f"post {line.post} ({line.kind}, connection {line.connection})"
        if not gaps:
            # Behind the last line that the last run read: the next start notes the gap.
            if complete:
                self.faults.append(f"{what} is missing, and in no gap")
            return
        # What came with the answer to a connect was sent before that was known: in the gap that ended with it.
        begin = min([gaps[0].start, *(gap.start for gap in self.kept.gaps if gap.end == gaps[0].start)])
        # X may have cut the connection, and lost a post, a moment before that could be seen at this end.
        if line.at < begin and line.kind != "lost":
            self.faults.append(f"{what} was sent at {line.at}, and is missing before {gaps[0]} began")
        # A gap that is open when a run is killed goes on: the connection may have been back, and not durably so.
        ours = [gap for gap in gaps if gap.end == float("inf") or any(words in gap.reason for words in OURS)]
        if line.whole and all_read and not ours:
            self.faults.append(f"{what} went out whole, and is lost in a gap that is not ours: {gaps}")
        if all(gap.filled == "yes" for gap in gaps):
            self.faults.append(f"{what} is missing, and its gap says that it was filled: {gaps}")
        if line.matches_topic:
            self.in_gaps.add(line.post)


def read(data_dir: Path) -> Kept:
    """All that the journal has, from a copy of it: an open file would be tidied up by being looked at."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("journal.sqlite", "journal.sqlite-wal"):
            if (data_dir / name).exists():
                shutil.copy(data_dir / name, folder)
        db = sqlite3.connect(Path(folder) / "journal.sqlite")
        try:
            return _read(db)
        finally:
            db.close()


def _read(db: sqlite3.Connection) -> Kept:
    def all_of(query: str) -> list[Any]:
        return db.execute(query).fetchall()

    if not all_of("SELECT 1 FROM sqlite_master WHERE name = 'posts'"):  # killed before it had made them
        return Kept({}, 0, dict.fromkeys(COUNTERS, 0), [], [], {}, "", everything=False, twice=0)
    posts = [
        Row(seq, id_, at, bool(backfilled), hash(raw))
        for seq, id_, at, backfilled, raw in db.execute("SELECT seq, id, received_at, backfilled, raw FROM posts")
    ]
    filtered = [
        Row(0, id_, at, backfilled=False, raw=hash(raw))
        for id_, at, raw in db.execute("SELECT id, received_at, raw FROM filtered")
    ]
    counters = all_of(f"SELECT {', '.join(f'total({name})' for name in COUNTERS)} FROM counters")[0]
    rows = {row.id: row for row in (*filtered, *posts)}
    return Kept(
        rows=rows,
        quarantined=all_of("SELECT count(*) FROM quarantine")[0][0],
        counters=dict(zip(COUNTERS, map(int, counters), strict=True)),
        gaps=[
            Gap(start, float("inf") if end is None else end, reason, filled)
            for start, end, reason, filled in all_of('SELECT start, "end", reason, filled FROM gaps ORDER BY gap')
        ],
        runs=[
            Run(*run)
            for run in all_of("SELECT started_at, last_byte_at, ended_at, reason FROM sessions ORDER BY session")
        ],
        settled={
            target: (seq, int(stored), int(duplicate))
            for target, seq, stored, duplicate in all_of(
                "SELECT target, seq, total(stored), total(duplicate) FROM sink_cursors LEFT JOIN settled USING (target)"
                " GROUP BY target"
            )
        },
        capture="".join(value for (value,) in all_of("SELECT value FROM meta WHERE key = 'capture_id'")),
        everything=bool(filtered),
        twice=len(posts) - len({row.id for row in posts}),
    )


def read_log(path: Path) -> list[SentRecord]:
    """The simulator's own log, as `bieber-tui simulate --log` writes it; a last line that was cut off is left out."""
    records = []
    for line in path.read_text().split("\n")[:-1]:
        values = json.loads(line)
        encoded = values.pop("raw_base64", None)
        raw = values.pop("raw", "").encode() if encoded is None else base64.b64decode(encoded)
        records.append(SentRecord(raw=raw, **values))
    return records
