"""X's recent search and its counts: one question at a time, each asked until it is answered.

tweepy makes the requests, over the transport that the stream has too. A wait that X or the network asks for
(429, 5xx, a lost connection) happens here, ends at once with the breaker, and disturbs nothing else. Found posts
become lines like those of the stream, each with the users and posts that it refers to.

From X's documentation: 10 to 100 posts a page, the newest first; `since_id` and `until_id` are exclusive and not
to be mixed with times; nothing is older than seven days; 450 searches and 300 counts in 15 minutes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import requests
import tweepy

from core.clock import Clock
from core.sources.x.answers import STOPPED, Ending, Failed, Kind
from core.sources.x.auth import Credentials
from core.sources.x.backoff import Backoff
from core.sources.x.stream import FIELDS, Answer, XClient
from core.sources.x.transport import Breaker

LARGEST_PAGE, SMALLEST_PAGE = 100, 10
EPOCH_MS = 1_288_834_974_657  # where X's ids begin, in milliseconds since 1970
TIME_BITS = 22  # an id is milliseconds, then so many bits

_TOO_OLD = re.compile(r"'since_id' must be .*created after(?:.*larger than (\d{1,19}))?", re.DOTALL)


class SearchClient(XClient, tweepy.Client):  # type: ignore[misc]  # tweepy has no types
    """tweepy's paths to search and counts over our own transport."""

    status = 0  # of the last refusal

    def _refusal(self, response: requests.Response) -> Ending:
        self.status = response.status_code
        return super()._refusal(response)


class BadRequest(Exception):
    """X does not take the question; the words say why."""


class TooOld(Exception):
    """The question reaches further back than search does. `since`: the smallest id that X takes, if it said so."""

    def __init__(self, since: int | None) -> None:
        super().__init__(since)
        self.since = since


class Span(msgspec.Struct, frozen=True):
    """Posts with since < id < until. `start` (seconds since 1970) is asked for instead of `since`."""

    since: int
    until: int | None = None
    start: float | None = None

    def params(self) -> dict[str, Any]:
        """X's parameters: ids or times, never both."""
        if self.start is not None:
            end = {} if self.until is None else {"end_time": _second(moment_of(self.until) + 1)}
            return {"start_time": _second(self.start), **end}
        return {"since_id": self.since} | ({} if self.until is None else {"until_id": self.until})


class Page(msgspec.Struct, frozen=True):
    """One answer: lines as the stream has them, the oldest post first, and how to go on."""

    lines: list[bytes]
    oldest: int | None
    newest: int | None
    retweets: bool
    next_token: str


class Search:
    """Asks for one fill. `tell` hears of every wait, in words."""

    def __init__(
        self,
        client: SearchClient,
        credentials: Credentials,
        breaker: Breaker,
        clock: Clock,
        random: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._breaker = breaker
        self._clock = clock
        self._backoff = Backoff(random)
        self._tell = tell

    def page(self, query: str, span: Span, size: int, next_token: str = "") -> Page:
        """One page of posts. Raises BadRequest, TooOld, or Failed when X refuses for good or we are to stop."""
        more = {"next_token": next_token} if next_token else {}
        return read_page(
            self._asked(
                lambda: self._client.search_recent_tweets(
                    query, max_results=size, sort_order="recency", **span.params(), **more, **FIELDS
                )
            )
        )

    def count(self, query: str, span: Span) -> int | None:
        """About how many posts there are; None when X does not say. Raises TooOld, or Failed on a stop."""
        try:
            answer = self._ask(lambda: self._client.get_recent_tweets_count(query, **span.params()))
            total = json.loads(answer.body)["meta"]["total_tweet_count"]
            return int(total)
        except BadRequest:
            return None
        except Failed as failure:
            if failure.ending.kind is Kind.STOPPED:
                raise
            return None
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def wait(self, seconds: float) -> None:
        """Wait. Raises Failed when we are to stop."""
        if self._clock.wait(self._breaker.tripped, seconds):
            raise Failed(STOPPED)

    def _asked(self, call: Callable[[], Answer]) -> bytes:
        while True:
            try:
                answer = self._ask(call)
            except Failed as failure:
                ending = failure.ending
                if ending.kind is Kind.UNAUTHORIZED and self._credentials.renew():
                    continue
                if ending.kind in (Kind.REFUSED, Kind.UNAUTHORIZED, Kind.STOPPED):
                    raise
                seconds = self._backoff.wait(ending.schedule)
                if ending.until is not None:
                    seconds = self._backoff.told(ending.until - self._clock.now())
                if seconds >= 1:
                    self._tell(f"waiting {seconds:.0f} s: {ending.reason}")
                self.wait(seconds)
            else:
                self._backoff.reset()
                self._credentials.confirm()
                return answer.body

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        """Ask once. A 400 is BadRequest or TooOld, anything else that is no success is Failed."""
        self._client.status = 0
        try:
            self._client.authorize(self._credentials.token(self._client.exchange))
            return call()
        except Failed as failure:
            if self._client.status != 400:
                raise
            words = failure.ending.reason
        if found := _TOO_OLD.search(words):
            raise TooOld(int(found[1]) if found[1] else None)
        raise BadRequest(words)


def id_at(moment: float) -> int:
    """The smallest id that X would give at that moment (seconds since 1970)."""
    return max(int(moment * 1000) - EPOCH_MS, 0) << TIME_BITS


def moment_of(id: int) -> float:
    """When the post with that id was made, in seconds since 1970."""
    return ((id >> TIME_BITS) + EPOCH_MS) / 1000


def number(id: Any) -> int | None:
    """An id as a number; None when it is none of X's."""
    text = str(id)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None


def _second(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_page(body: bytes) -> Page:
    """A page of search as lines. Raises Failed when it is none."""
    try:
        answer = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Failed(Ending(Kind.REFUSED, "X's answer to the search cannot be read"))
    data, meta = answer.get("data"), answer.get("meta")
    token = meta.get("next_token") if isinstance(meta, dict) else None
    posts = data if isinstance(data, list) else [] if data is None else [data]
    if not posts and not isinstance(meta, dict):
        raise Failed(Ending(Kind.REFUSED, "X's answer to the search holds neither posts nor a count of them"))
    users, tweets = _by_id(answer, "users"), _by_id(answer, "tweets")
    ids = [found for post in posts if isinstance(post, dict) and (found := number(post.get("id"))) is not None]
    return Page(
        lines=[_line(post, users, tweets) for post in reversed(posts)],
        oldest=min(ids, default=None),
        newest=max(ids, default=None),
        retweets=any(ref.get("type") == "retweeted" for post in posts for ref in _refs(post)),
        next_token=str(token or ""),
    )


def _by_id(answer: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    includes = answer.get("includes")
    items = includes.get(kind) if isinstance(includes, dict) else None
    if not isinstance(items, list):
        return {}
    return {str(item.get("id")): item for item in items if isinstance(item, dict)}


def _refs(post: Any) -> list[dict[str, Any]]:
    refs = post.get("referenced_tweets") if isinstance(post, dict) else None
    return [ref for ref in refs if isinstance(ref, dict)] if isinstance(refs, list) else []


def _line(post: Any, users: dict[str, dict[str, Any]], tweets: dict[str, dict[str, Any]]) -> bytes:
    """One post as a line of the stream."""
    line: dict[str, Any] = {"data": post}
    others = [tweets[id] for ref in _refs(post) if (id := str(ref.get("id"))) in tweets]
    authors = [str(one.get("author_id")) for one in (post, *others) if isinstance(one, dict)]
    people = [users[id] for id in dict.fromkeys(authors) if id in users]
    includes = {"users": people, "tweets": others}
    if any(includes.values()):
        line["includes"] = {kind: items for kind, items in includes.items() if items}
    try:
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        return json.dumps(line, separators=(",", ":")).encode()
