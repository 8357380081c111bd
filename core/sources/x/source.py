"""The X source: the supervisor of one filtered stream.

Each connection ends in a classified Ending, and this loop alone decides on the next: at once, after a wait, or
never. It reports every change with a reason, keeps to X's budget of connects whatever happens, and forgets its
failures only after a connection was healthy for a minute (a 200 proves nothing: X may close right after it).

Threads: `run` uses the caller's thread and leaves none behind, except a name look-up that hangs in the system.
`stop` and `change_keywords` may be called from any other thread.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from core.clock import Clock, SystemClock
from core.errors import ConfigError, QueryError, SourceRefused, Unavailable
from core.health import SourceState
from core.post import Post
from core.settings import Settings, XSettings
from core.snapshot import Level
from core.sources.base import Capabilities, FillOutlet, FillResult, Missing, Outlet, Source
from core.sources.x import answers
from core.sources.x.answers import Ending, Failed, Kind
from core.sources.x.auth import Credentials
from core.sources.x.backoff import HEALTHY_AFTER, Backoff, ConnectBudget
from core.sources.x.decode import decode, matching_rules
from core.sources.x.deletes import announced, surely_a_post
from core.sources.x.filling import Filling
from core.sources.x.memory import Left, Memory
from core.sources.x.rules import Reconciled, listed, reconcile
from core.sources.x.search import Search, SearchClient
from core.sources.x.stream import XClient
from core.sources.x.transport import Breaker

C = TypeVar("C", bound=XClient)

QUIET_AFTER = 30.0  # seconds without a post
RULE_TRIES = 6  # answers of "no rules" in a row until we give up; X applies a rule within 20 s
WHOLE_LINE_WITHIN = 4  # times stall_after: bytes that never make a line are silence too
FAREWELL_SILENCE = 1.0  # seconds without a post after X has said that it ends the stream: none is on its way
FAREWELL = 5.0  # seconds that we read on at most; X closes by itself well before that


class XSource:
    """X's filtered stream as a Source."""

    name = "x"

    def __init__(
        self,
        x: XSettings,
        keywords: str,
        *,
        memory: Memory | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        """`memory` keeps the budget of connects over restarts; without one it is the process's own.

        Raises ConfigError when credentials are missing or x.base_url is no address."""
        _check_url(x.base_url)
        self.capabilities = Capabilities(
            fill=x.backfill,
            fill_after=x.backfill_wait,
            late=x.backfill_overlap,
            filters_upstream=True,
            live_query=True,
        )
        self._x = x
        self._keywords = keywords
        self._clock = clock or SystemClock()
        self._credentials = Credentials(x)
        self._random = random
        self._backoff = Backoff(random)
        self._budget = ConnectBudget()
        self._memory = memory or Memory(None)
        self._recalled = False
        self._untold = True  # that the memory cannot be written
        self._breaker = Breaker()  # of `run`
        self._change_breaker = Breaker()  # of `change_keywords`
        self._fill_breaker = Breaker()  # of `fill`
        self._rules_lock = threading.Lock()  # one reconciliation at a time
        self._rules_known = False  # our rule at X equals the keywords
        self._others: frozenset[str] = frozenset()  # rules of this app that are not ours
        self._rule_tries = 0
        self._was_open = False  # a stream, in this run
        self._news: deque[str] = deque()  # of another thread, for the event log

    def run(self, outlet: Outlet) -> None:
        """Stream until `stop()`. May be called again afterwards: back-off and connect budget live on.

        A stop that comes before run has begun is forgotten: whoever stops calls `stop` until the thread has ended.
        Raises SourceRefused when no retry would help.
        """
        self._breaker.reset()
        self._rules_known = False
        self._was_open = False
        reason = ""
        self._recall_budget()
        try:
            if urlsplit(self._x.base_url).scheme == "http" and not _is_loopback(self._x.base_url):
                outlet.event(Level.WARNING, "x.base_url is not https: the token can be read on its way")
            while not self._stopped:
                if not self._wait_for_budget(outlet, reason):
                    break
                outlet.report(SourceState.CONNECTING, reason)
                reason = self._follow_up(outlet, self._attempt(outlet))
        except SourceRefused as refusal:
            outlet.report(SourceState.STOPPED, refusal.message)
            raise
        outlet.report(SourceState.STOPPED, "stopped")

    def stop(self) -> None:
        """End `run`, a change of keywords and a fill within one second."""
        self._breaker.trip()
        self._change_breaker.trip()
        self._fill_breaker.trip()

    def change_keywords(self, keywords: str) -> None:
        """Make X filter by other keywords, on the open connection.

        The old rule stays until X has taken the new one. Raises QueryError or SourceRefused (the old keywords
        stay), or Unavailable.
        """
        self._change_breaker.reset()
        if not self._lock_rules(self._change_breaker):
            raise Unavailable("stopped")
        try:
            with self._client(self._change_breaker, XClient) as client:
                client.authorize(self._credentials.token(client.exchange))
                self._rules_known = False
                self._take_rules(reconcile(client, keywords))
            self._keywords = keywords
            self._rules_known = True
        except QueryError:
            self._rules_known = True  # nothing was changed
            raise
        except Failed as failure:
            raise _in_words(failure.ending) from None
        finally:
            self._rules_lock.release()

    def fill(self, missing: Missing, outlet: FillOutlet) -> FillResult:
        """Fetch the posts of a gap from recent search. A stop that comes before it has begun is forgotten."""
        breaker = self._fill_breaker
        breaker.reset()
        with self._client(breaker, SearchClient) as client:
            search = Search(client, self._credentials, breaker, self._clock, self._random, outlet.progress)
            return Filling(self._x, search, self._clock, missing, outlet, self._keywords).run()

    def probe(self) -> list[str]:
        """Ask X for our rules: free, and it needs the same token and access as the stream."""
        self._change_breaker.reset()
        try:
            with self._client(self._change_breaker, XClient) as client:
                client.authorize(self._credentials.token(client.exchange))
                rules = listed(client)
        except Failed as failure:
            raise _in_words(failure.ending) from None
        ours = ", ".join(rule.value for rule in rules if rule.ours) or "none yet"
        return [
            f"X answers at {self._x.base_url} and takes our credentials",
            f"rules of this app at X: {len(rules):,}; ours: {ours}",
        ]

    def decode(self, raw: bytes) -> Post:
        """A delivered line as a Post. Raises Undecodable, and nothing else."""
        return decode(raw)

    def wanted(self, raw: bytes) -> bool:
        """False for a post that X sent for the sake of other rules of this app only."""
        if not self._others:
            return True
        rules = matching_rules(raw)
        return not rules or not self._others.issuperset(rules)

    @property
    def _stopped(self) -> bool:
        return self._breaker.tripped.is_set()

    def _client(self, breaker: Breaker, kind: type[C]) -> C:
        return kind(
            self._x.base_url,
            breaker,
            self._clock,
            connect_timeout=self._x.connect_timeout,
            stall_after=self._x.stall_after,
        )

    def _lock_rules(self, breaker: Breaker) -> bool:
        while not self._rules_lock.acquire(timeout=0.1):
            if breaker.tripped.is_set():
                return False
        return True

    def _attempt(self, outlet: Outlet) -> Ending:
        """One connection, from the rules to its end."""
        connection = _Connection(self, outlet)
        try:
            with self._client(self._breaker, XClient) as client:
                client.authorize(self._credentials.token(client.exchange))
                if not self._rules_known:
                    self._reconcile(client)
                connection.tell_news()
                self._take_from_budget(outlet)
                client.follow(connection)
            raise RuntimeError("the stream ended without a reason")
        except Failed as failure:
            return connection.why(failure.ending)
        finally:
            if connection.was_healthy():
                self._backoff.reset()

    def _reconcile(self, client: XClient) -> None:
        if not self._lock_rules(self._breaker):
            raise Failed(answers.STOPPED)
        try:
            self._take_rules(reconcile(client, self._keywords))
            self._rules_known = True
        except QueryError as error:
            raise SourceRefused(*str(error).split("\n", 1)) from None
        finally:
            self._rules_lock.release()

    def _take_rules(self, rules: Reconciled) -> None:
        self._others = rules.others
        self._news += rules.news

    def _follow_up(self, outlet: Outlet, ending: Ending) -> str:
        """Do what an ending asks for; returns its reason for the next report. Raises SourceRefused."""
        if self._stopped or ending.kind is Kind.STOPPED:
            return ""
        if ending.kind is Kind.STALLED:
            outlet.report(SourceState.STALLED, ending.reason)
        elif ending.kind is Kind.NO_RULES:
            self._rules_known = False
            self._rule_tries += 1
        elif ending.kind is Kind.UNAUTHORIZED and self._credentials.renew():
            return ending.reason
        refused = ending.kind in (Kind.REFUSED, Kind.UNAUTHORIZED)
        # A certificate that goes bad in mid-run may be mended by others; at the start it is a mistake of ours.
        refused = refused or (ending.kind is Kind.UNTRUSTED and not self._was_open)
        if refused or self._rule_tries >= RULE_TRIES:
            raise SourceRefused(ending.reason, ending.hint)
        seconds = self._backoff.wait(ending.schedule)
        if ending.until is not None:
            seconds = self._backoff.told(ending.until - self._clock.now())
        self._wait(outlet, seconds, ending.reason)
        return ending.reason

    def _recall_budget(self) -> None:
        """Go on with the budget that the last process left, once: by now the data folder is ours."""
        if self._recalled:
            return
        self._recalled = True
        if (left := self._memory.recall(self._x.base_url)) is not None:
            self._budget.resume(left.tokens, left.allowed, self._clock.now() - left.at)

    def _take_from_budget(self, outlet: Outlet) -> None:
        """A connect is made now. It is written down first: the process may die at it."""
        self._budget.take(self._clock.monotonic())
        self._remember_budget(outlet)

    def _learn(self, allowed: int, outlet: Outlet) -> None:
        """X said how many connects it allows."""
        before = self._budget.allowed
        self._budget.learn(allowed)
        if self._budget.allowed != before:
            self._remember_budget(outlet)

    def _remember_budget(self, outlet: Outlet) -> None:
        left = Left(self._x.base_url, self._clock.now(), self._budget.tokens, self._budget.allowed)
        trouble = self._memory.keep(left)
        if trouble and self._untold:
            self._untold = False
            outlet.event(Level.WARNING, f"connects are not remembered for the next start: {trouble}")

    def _wait_for_budget(self, outlet: Outlet, reason: str) -> bool:
        """Wait until X's budget allows one more connect; False when we are to stop."""
        while (seconds := self._budget.wait(self._clock.monotonic())) > 0:
            why = f"X allows {self._budget.allowed} connects in 15 minutes"
            if not self._wait(outlet, seconds, f"{reason}; {why}" if reason else why):
                return False
        return True

    def _wait(self, outlet: Outlet, seconds: float, reason: str) -> bool:
        if seconds > 0:
            outlet.report(SourceState.WAITING, reason, wait_until=self._clock.now() + seconds)
            self._clock.wait(self._breaker.tripped, seconds)
        return not self._stopped


class _Connection:
    """One connection's bytes on their way to the outlet, and what they say of its health."""

    def __init__(self, source: XSource, outlet: Outlet) -> None:
        self._source = source
        self._outlet = outlet
        self._clock = source._clock
        self._opened: float | None = None  # these are of the clock that never goes back
        self._last_byte = 0.0
        self._last_line = 0.0
        self._last_post = 0.0
        self._quiet = False
        self._said: Ending | None = None  # X's own word that the stream ends
        self._said_at = 0.0

    def answered(self, headers: Mapping[str, str]) -> None:
        """X answered the request to connect."""
        if (window := answers.rate_limit(headers)) is not None:
            self._outlet.rate_limit(window)
            self._source._learn(window.limit, self._outlet)

    def opened(self) -> None:
        """The stream is open."""
        now = self._clock.monotonic()
        self._opened = self._last_byte = self._last_line = self._last_post = now
        self._source._rule_tries = 0
        self._source._was_open = True
        self._source._credentials.confirm()
        self._outlet.touch(self._clock.now(), more=True)  # the first posts may have come with the answer
        self._outlet.report(SourceState.LIVE, "connected")

    def received(self, lines: Sequence[bytes], at: float, *, more: bool) -> float | None:
        """Deliver the lines that have ended; none did if there are none, but bytes came.

        After an error object of X we read on until X closes, so that no post is lost that was sent already, but
        not for long: raises Failed when X goes on. Returns the seconds of silence that end it, if they are fewer.
        """
        self._last_byte = self._clock.monotonic()
        posts: list[bytes] = []
        had_posts = False
        for line in lines:
            if not surely_a_post(line):
                if not line or line.isspace():
                    continue
                if control := answers.in_stream(line):
                    self._take_leave(control)
                    continue
                if news := announced(line):
                    self._hand_over(posts, at)
                    posts = []
                    if any(news):
                        self._outlet.deleted(post=news.post, author=news.author)
                    continue
            had_posts = True
            posts.append(line)
        self._hand_over(posts, at)
        if lines:
            self._outlet.touch(at, more=more)
        if self._source._news:
            self.tell_news()
        now = self._clock.monotonic()  # after the lines, because handing them over may have had to wait
        self._look_at(now, lines=bool(lines), posts=had_posts)
        if self._said is None:
            return None
        left = min(self._said_at + FAREWELL, max(self._said_at, self._last_post) + FAREWELL_SILENCE) - now
        if left <= 0:
            raise Failed(self._said)
        return left

    def why(self, ending: Ending) -> Ending:
        """Why it ended: what X said before tells more than how it then closed, unless we were told to stop."""
        return ending if self._said is None or ending.kind is Kind.STOPPED else self._said

    def _hand_over(self, posts: list[bytes], at: float) -> None:
        """Deliver what came at that moment, if anything did."""
        if not posts:
            return
        if self._quiet:
            self._quiet = False
            self._outlet.report(SourceState.LIVE, "posts again")
        self._outlet.deliver(posts, at)

    def _take_leave(self, control: Ending) -> None:
        """X said that the stream ends; the first word is the reason."""
        if self._said is None:
            self._said = control
            self._said_at = self._clock.monotonic()

    def _look_at(self, now: float, *, lines: bool, posts: bool) -> None:
        """What the bytes of a moment say of the connection's health. Raises Failed when it is as good as dead."""
        if lines:
            self._last_line = now
        elif now - self._last_line > WHOLE_LINE_WITHIN * self._source._x.stall_after:
            raise Failed(Ending(Kind.STALLED, f"no whole line for {now - self._last_line:.0f} s"))
        if posts:
            self._last_post = now
        elif not self._quiet and now - self._last_post >= QUIET_AFTER:
            self._quiet = True
            self._outlet.report(SourceState.QUIET, f"no post for {QUIET_AFTER:.0f} s")

    def was_healthy(self) -> bool:
        """Whether it lasted long enough to prove that all is well."""
        return self._opened is not None and self._last_byte - self._opened >= HEALTHY_AFTER

    def tell_news(self) -> None:
        """Hand what another thread had to tell to the event log."""
        while self._source._news:
            self._outlet.event(Level.INFO, self._source._news.popleft())


def create(settings: Settings, keywords: str) -> Source:
    """The X source as the registry makes it."""
    return XSource(settings.x, keywords, memory=Memory(settings.data_dir))


def _in_words(ending: Ending) -> SourceRefused | Unavailable:
    """An ending outside of the stream, for whoever asked."""
    if ending.kind in (Kind.REFUSED, Kind.UNAUTHORIZED, Kind.UNTRUSTED):
        return SourceRefused(ending.reason, ending.hint)
    return Unavailable(ending.reason)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number
        if parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment:
            if "@" not in parts.netloc:
                return
            raise ConfigError(
                "x.base_url holds a user name or a password, and it is shown in messages",
                "X knows no such login: take it out. A proxy's password belongs into the variable HTTPS_PROXY.",
            )
    except ValueError:
        pass
    raise ConfigError(
        "x.base_url is no address that X's API could have",
        "It must be like https://api.x.com: http or https, a host, and a port if need be.",
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
