"""Filling one gap from X's recent search.

The span runs from a little before the newest post known before the gap to a post that was seen well after it, that
one included: ids bound it, not clocks, and the overlap is sorted out by the unique key of the journal. The cost is
told before anything is bought. Search lags by about half a minute, so it is asked first whether it knows that last
post. Then page after page, the newest first: a page is handed over, and durable, before the next one is asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from core.clock import Clock
from core.settings import XSettings
from core.snapshot import Level
from core.sources.base import FillOutlet, FillResult, Missing
from core.sources.x.answers import Failed, Kind
from core.sources.x.search import (
    LARGEST_PAGE,
    SMALLEST_PAGE,
    TIME_BITS,
    BadRequest,
    Search,
    Span,
    TooOld,
    id_at,
    moment_of,
    number,
)

PRICE = 0.005  # dollars that X bills for a post
WEEK = 7 * 86400.0  # seconds that recent search goes back
EDGE = 60.0  # seconds to stay clear of its end, which moves on
LOOKS = 5  # times that search is asked again whether it knows the last post

TOO_OLD = "older than the seven days that X's search goes back"
PAUSED = "paused by you: not bought afterwards (x.backfill_pauses)"
NOT_YET = "X's search did not know the posts after it yet"
COVERED = "fetched together with an earlier gap"
NO_RETWEETS = "no retweets are among them: X's search gives none"


class Bound(msgspec.Struct, frozen=True):
    """How many posts may still be fetched, and why not more."""

    room: int
    words: str
    retry: bool  # it is another one tomorrow

    @classmethod
    def of(cls, x: XSettings, missing: Missing) -> Bound:
        """What the settings leave for that gap today."""
        gap = cls(
            x.backfill_max_posts - missing.gap.fetched,
            f"the bound of {x.backfill_max_posts:,} posts a gap is reached (x.backfill_max_posts)",
            retry=False,
        )
        day = cls(
            x.backfill_max_posts_per_day - missing.fetched_today,
            f"the bound of {x.backfill_max_posts_per_day:,} posts a day is reached (x.backfill_max_posts_per_day)",
            retry=True,
        )
        return gap if gap.room <= day.room else day


class Filling:
    """The fill of one gap; `run` is to be called once. `keywords` are those in force now."""

    def __init__(
        self, x: XSettings, search: Search, clock: Clock, missing: Missing, outlet: FillOutlet, keywords: str
    ) -> None:
        self._x = x
        self._search = search
        self._clock = clock
        self._gap = missing.gap
        self._outlet = outlet
        self._keywords = keywords
        self._bound = Bound.of(x, missing)
        self._room = self._bound.room
        self._fetched = missing.gap.fetched
        self._first_id = missing.gap.first_id
        self._told = False
        self._expected = ""
        self._cut = ""  # why the span is not the whole gap's
        self._span = self._whole(missing)

    def run(self) -> FillResult:
        """Fetch what is missing. Nothing that X or the network does makes it raise."""
        gap = self._gap
        if gap.chosen and not self._x.backfill_pauses:
            return self._ended(PAUSED)
        if gap.end is not None and gap.end < self._clock.now() - WEEK:
            return self._ended(TOO_OLD)
        if self._is_covered or _is_empty(self._span):
            return FillResult("yes", COVERED, first_id=self._first_id)
        if self._room < SMALLEST_PAGE:
            return self._ended(self._bound.words, retry=self._bound.retry)
        try:
            while True:
                try:
                    return self._fetch()
                except TooOld as error:
                    self._span = self._within_reach(error)
                    if _is_empty(self._span):
                        return self._ended(TOO_OLD)
        except BadRequest as error:
            return self._ended(f"X's search does not take the question: {error}")
        except Failed as failure:
            stopped = failure.ending.kind is Kind.STOPPED
            return self._ended("stopped" if stopped else failure.ending.reason, retry=True)

    def _ended(self, why: str, *, retry: bool = False) -> FillResult:
        """Not everything was fetched."""
        return FillResult("partly" if self._fetched else "no", why, retry, self._first_id)

    def _whole(self, missing: Missing) -> Span:
        """Everything that may be missing and that no earlier fill has brought."""
        gap = missing.gap
        last, first, reached = number(gap.last_id), number(gap.first_id), number(gap.reached)
        if last is not None:
            since = self._before(last)
        else:
            since = id_at(max(gap.start - self._x.backfill_overlap, missing.since or 0.0))
        until = first + 1 if first is not None else None if missing.until is None else id_at(missing.until)
        covered = number(missing.covered)
        self._is_covered = first is not None and covered is not None and covered >= first
        if reached is not None:
            until = reached if until is None else min(until, reached)
        return Span(max(since, self._before(covered or 0)), until)

    def _before(self, id: int) -> int:
        """An id as much earlier as posts may come late."""
        return max(id - (int(self._x.backfill_overlap * 1000) << TIME_BITS), 0)

    def _within_reach(self, error: TooOld) -> Span:
        """The part of the span that search still has."""
        edge = self._clock.now() - WEEK if error.since is None else moment_of(error.since)
        if self._span.start is not None or id_at(edge + EDGE) <= self._span.since:
            raise BadRequest(TOO_OLD)  # it keeps to the edge already
        self._cut = f"what came before {_at(edge)} is {TOO_OLD}"
        return replace(self._span, since=id_at(edge + EDGE), start=edge + EDGE if error.since is None else None)

    def _fetch(self) -> FillResult:
        keywords = self._gap.keywords
        self._tell_cost()
        if not self._is_indexed():
            return self._ended(NOT_YET, retry=True)
        retweets = "-is:retweet" in keywords.split()  # whether some were found, or none are wanted
        token, reached = "", self._span.until
        while self._room >= SMALLEST_PAGE:
            try:
                page = self._search.page(keywords, self._span, min(self._room, LARGEST_PAGE), token)
            except (BadRequest, TooOld):
                if not token:
                    raise
                token = ""  # it has expired: go on below what was fetched
                self._span = replace(self._span, until=reached)
                continue
            if page.lines:
                reached = reached if page.oldest is None else page.oldest
                if not self._first_id and page.newest is not None:
                    self._first_id = str(page.newest)
                self._fetched += len(page.lines)
                self._room -= len(page.lines)
                if not self._outlet.page(page.lines, str(reached or ""), self._first_id):
                    return self._ended("stopped", retry=True)
                self._outlet.progress(f"{self._fetched:,} posts{self._expected}")
            retweets = retweets or page.retweets
            if not page.next_token:
                why = self._cut or ("" if retweets else NO_RETWEETS)
                return FillResult("partly" if self._cut else "yes", why, first_id=self._first_id)
            token = page.next_token
        return self._ended(self._bound.words, retry=self._bound.retry)

    def _tell_cost(self) -> None:
        """Say what the fill will cost, as far as X tells."""
        if self._told:
            return
        gap, room = self._gap, self._room
        self._outlet.progress("asking X how many posts there are")
        count = self._search.count(gap.keywords, self._span)
        self._told = True
        what = f"filling the gap of {_at(gap.start)} ({gap.reason})"
        most = f"at most {room:,} are fetched, for {_dollars(room)}"
        if count is None:
            words = f"{what}: X does not tell how many posts there are; {most}"
        else:
            words = f"{what}: about {count:,} posts, {_dollars(count)} at half a cent each"
            words += f"; {most}" if count > room else ""
            self._expected = f" of about {self._fetched + count:,}"
        self._outlet.event(Level.INFO, words)
        self._outlet.progress(f"{self._fetched:,} posts{self._expected}")

    def _is_indexed(self) -> bool:
        """Whether search knows the post that ends the span; waits for it, in a gap's first fill only."""
        gap = self._gap
        first = number(gap.first_id)
        if first is None or gap.reached or gap.why == NOT_YET:
            return True
        if gap.keywords != self._keywords:
            return True  # that post may be one of the new keywords, which the old ones do not find
        only = Span(first - 1, first + 1)
        for look in range(LOOKS + 1):
            if look:
                self._outlet.progress("waiting until X's search knows the newest posts")
                self._search.wait(self._x.backfill_wait / 3)
            if self._search.page(gap.keywords, only, SMALLEST_PAGE).lines:
                return True
        return False


def _is_empty(span: Span) -> bool:
    return span.until is not None and span.until - 1 <= span.since


def _at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _dollars(posts: int) -> str:
    return f"${posts * PRICE:,.2f}"
