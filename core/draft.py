"""A batch in the making: the lines of the queue become posts and verdicts, and nothing is durable yet.

Most posts are not about the topic, and a glance at their words tells so: Query.lacks promises never to be wrong.
Such a post is counted like any other. One that may be about it is decoded and matched by the same judge, here or
in the second process (opinion.py). Both are decoded once more if somebody looks at their row. A line for which a
glance is not enough goes the plain way; without a glance all of them do, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from core import crashpoint
from core.bounds import Bounds
from core.connection import Line
from core.crashpoint import Point
from core.errors import Undecodable
from core.journal import Batch, Deletion, Entry, GapMark, KeywordsMark, Mark, Rejected
from core.opinion import SHOWN, About, Answer, Judge, Opinion, opinion_of, shown_of
from core.post import Post
from core.privacy import Privacy
from core.query import Query
from core.second import Second
from core.snapshot import FeedRow, Verdict
from core.windows import SLIDE, Counts, Names

QUARANTINE_REASON_LENGTH = 200
FILTERED, MATCHED = Verdict.FILTERED, Verdict.MATCHED  # looked up once, not for each post


class Draft(msgspec.Struct):
    """A batch, and what is to be shown and counted once it is durable."""

    batch: Batch
    taken: int = 0  # items of the queue
    rows: list[FeedRow] = []
    matched: list[int] = []  # the places of the batch's entries in `rows`
    # What a window counts of each of them, None: of those it is counted together, in `counts` if that is there.
    names: list[Names | None] = []
    counts: Counts | None = None
    # By the second of their arrival: posts of the stream that were consumed, and of these the ones that matched.
    seconds: dict[int, list[int]] = {}


class Begun(msgspec.Struct, frozen=True):
    """Items of the queue on their way to a draft; the second process was asked about those from `own` on."""

    items: Sequence[Line | Mark]
    topic: Query
    own: int


class Drafter:
    """Makes the drafts of one capture, in one thread. `topic` may be exchanged at any time: a draft has one."""

    def __init__(
        self,
        source: str,
        privacy: Privacy,
        topic: Query,
        bounds: Bounds,
        *,
        wanted: Callable[[bytes], bool],
        quoted: bool,
        keep_all: bool,
        most: int | None,
        second: Second | None = None,
    ) -> None:
        """`quoted`: quoted text counts. `keep_all`: posts that do not match are kept too. `most`: of this run.

        `second` forms opinions too.
        """
        self.topic = topic
        self._source = source
        self._privacy = privacy
        self._bounds = bounds
        self._wanted = wanted
        self._quoted = quoted
        self._keep_all = keep_all
        self._second = second
        self._left = most  # posts that may still be consumed; None: no limit
        self.left_out = False  # something of the stream, because it came behind the last post that was asked for

    @property
    def full(self) -> bool:
        """Whether the run has consumed as many posts as it was asked for."""
        return self._left == 0

    def draft(self, items: Sequence[Line | Mark], last_seq: int) -> Draft:
        """The draft of these items; its rows are numbered from `last_seq` + 1."""
        return self.finish(self.begin(items, 0), last_seq)

    def begin(self, items: Sequence[Line | Mark], waiting: int) -> Begun:
        """Choose the topic for these items, and who judges which; `waiting` are behind them in the queue."""
        topic, theirs = self.topic, 0
        if self._second is not None and not self._privacy.intervenes:
            theirs = self._second.share(topic.text, len(items), waiting)
        own = len(items) - theirs
        if self._second is not None and theirs:
            self._second.ask(topic.text, _lines(items[own:]))
        return Begun(items, topic, own)

    def finish(self, begun: Begun, last_seq: int, then: Callable[[], None] = lambda: None) -> Draft:
        """The draft of these items, its rows numbered from `last_seq` + 1.

        `then` is called as soon as the next one can begin: before this one is done.
        """
        items, topic, own = begun.items, begun.topic, begun.own
        draft = Draft(Batch(self._source), len(items))
        self._judge(items[:own], topic, draft, last_seq)
        answer: Answer | None = None
        if self._second is not None and own < len(items):
            answer = self._second.answer()
        then()
        if self._privacy.intervenes:  # since a moment ago: then only a whole look will do
            answer = None
        self._judge(items[own:], topic, draft, last_seq, None if answer is None else answer.opinions)
        draft.batch.consumed = draft.batch.delivered - len(draft.batch.quarantined)
        if answer is not None:
            draft.counts = _counted(draft, answer.counts)
        draft.batch.last_id = self._bounds.newest
        for second, (consumed, matched) in draft.seconds.items():
            minute = second // 60 * 60
            before = draft.batch.minutes.get(minute, (0, 0))
            draft.batch.minutes[minute] = (before[0] + consumed, before[1] + matched)
        return draft

    def _judge(
        self,
        items: Sequence[Line | Mark],
        topic: Query,
        draft: Draft,
        last_seq: int,
        opinions: Sequence[Opinion | None] | None = None,
    ) -> None:
        """Judge these items, of which there may be opinions already."""
        if opinions is None:
            judge = Judge(
                crashpoint.after(Point.DECODED, self._privacy.glance()),
                crashpoint.after(Point.MATCHED, topic.lacks),
                crashpoint.after(Point.MATCHED, topic.match_rest),
                self._quoted,
            )
            opinions = judge(_lines(items))
        # One loop with few calls: this is what each post costs the writer.
        batch, rows, passed, read = draft.batch, draft.rows, self._bounds.passed, self._read
        add = crashpoint.after(Point.IN_BATCH, rows.append)
        seq = last_seq + len(rows)
        last_second, counts = None, list[int]()
        for item, found in zip(items, opinions, strict=True):
            if self._left == 0 and not isinstance(item, KeywordsMark):
                self._leave_out(item, batch)
                continue
            if not isinstance(item, Line):
                self._mark(item, batch)
                continue
            raw, at, backfilled = item.raw, item.at, item.backfilled
            batch.delivered += 1
            if self._left is not None:
                self._left -= 1
            if not backfilled:
                batch.last_byte_at = at if item.until is None else item.until
            opinion, post = found, None
            if opinion is None or not (
                backfilled or passed(opinion if isinstance(opinion, str) else opinion.id, at)
            ):
                formed = self._form(item, topic, batch)
                if formed is None:
                    continue
                opinion, post, raw = formed
            if isinstance(opinion, About) and not self._wanted(item.raw):
                opinion = opinion.id
            if isinstance(opinion, About):
                verdict, matched = MATCHED, opinion.matched
                batch.entries.append(Entry(opinion.id, at, opinion.text_hash, matched, backfilled, raw))
                draft.matched.append(len(rows))
                draft.names.append(opinion.names)
            else:
                verdict, matched = FILTERED, ()
                if self._keep_all:
                    batch.filtered.append(Rejected(opinion, at, "", raw))
            seq += 1
            if post is None:
                add(FeedRow(seq, None, verdict, matched, at, backfilled, raw, read))
            else:
                add(FeedRow(seq, post, verdict, matched, at, backfilled))
            if not backfilled:  # rates are those of the stream
                if (second := int(at)) != last_second:
                    last_second, counts = second, draft.seconds.setdefault(second, [0, 0])
                counts[0] += 1
                if verdict is MATCHED:
                    counts[1] += 1

    def _leave_out(self, item: Line | Mark, batch: Batch) -> None:
        """As if never read: it is in the gap before the next run, which begins where all before it had come."""
        if self.left_out or not isinstance(item, Line | GapMark) or (isinstance(item, Line) and item.backfilled):
            return
        self.left_out = True
        if isinstance(item, GapMark):
            batch.last_byte_at = item.at if item.reason else batch.last_byte_at
        elif item.until is not None:
            batch.last_byte_at = item.until

    def _form(self, line: Line, topic: Query, batch: Batch) -> tuple[Opinion, Post, bytes] | None:
        """An opinion of a line, its post, and what is to be kept of the line; None: nobody sees anything of it."""
        raw, at = line.raw, line.at
        try:
            taken = crashpoint.after(Point.DECODED, self._privacy.take)(raw)
        except Undecodable as error:
            if self._left is not None:
                self._left += 1  # it was no post
            reason = str(error)[:QUARANTINE_REASON_LENGTH]
            batch.quarantined.append(Rejected("", at, reason, self._privacy.unreadable(raw)))
            return None
        if not line.backfilled and (after := self._bounds.seen(taken.judged, at)) is not None:
            batch.gaps.append(after)
        if taken.kept is None:
            return None  # forgotten: it counts as filtered out
        matched = crashpoint.after(Point.MATCHED, topic.match)(taken.judged, quoted=self._quoted)
        shown = shown_of(taken.kept, taken.raw)
        return opinion_of(taken.kept, shown, matched), shown, taken.raw

    def _read(self, raw: bytes) -> Post:
        """What a row shows of a line."""
        return self._privacy.read(raw).within(SHOWN)

    def _mark(self, mark: Mark, batch: Batch) -> None:
        """Take what the connection or a fill noted, with what is known of the posts around it."""
        if isinstance(mark, GapMark):
            mark = self._bounds.interrupted(mark)
        elif isinstance(mark, KeywordsMark):
            mark = self._bounds.changed(mark)
        elif isinstance(mark, Deletion):
            batch.deletions.append(self._privacy.deletion(mark))
            return
        batch.gaps.append(mark)


def _lines(items: Iterable[Line | Mark]) -> list[bytes]:
    """A line for each item; an empty one, of which nobody has an opinion, for what is none."""
    return [item.raw if isinstance(item, Line) else b"" for item in items]


def _counted(draft: Draft, counts: Counts) -> Counts | None:
    """These counts, if they are of posts of the draft alone, which all came over the connection, in one pane."""
    streamed = sum(consumed for consumed, _ in draft.seconds.values())
    panes = {second // SLIDE for second in draft.seconds}
    is_so = draft.names.count(None) == counts.posts and streamed == draft.batch.consumed and len(panes) == 1
    return counts if is_so else None
