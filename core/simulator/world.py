"""What X's users write: one sequence of posts for the whole server, whoever is connected.

The world decides what comes next and when; it promises that the same options give the same sequence, and that
shares are exact in every hundred posts. Putting a delivery on a connection, and noting that, is the stream's work.
Times called `now` are monotonic seconds.
"""

from __future__ import annotations

import heapq
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from core.simulator.chance import chosen, dice
from core.simulator.options import SimulatorOptions
from core.simulator.posts import Item, Produced, make, snowflake
from core.simulator.prepared import Order, Ring

FASTEST_STEP = 0.02  # seconds between two posts in a replay at rate 0
LIVE_STEP = 0.00001  # the same for prepared posts that are of now
ARCHIVE = 500_000  # posts that search looks through


@dataclass(frozen=True, slots=True)
class Delivery:
    """A post that is due. `ordinal` counts deliveries from 1 over the server's life."""

    kind: Literal["post", "edit", "duplicate", "backfill"]
    produced: Produced
    ordinal: int


class World:
    """`subject` says what people write about just now; `matches` whether the post is one that a rule asks for."""

    def __init__(
        self, options: SimulatorOptions, subject: Callable[[], str], matches: Callable[[Produced], bool]
    ) -> None:
        self.options = options
        self._subject, self._matches = subject, matches
        self.archive: list[Produced] = []
        self.posts = 0  # distinct posts that matched a rule
        self.deliveries = 0
        self.lost: list[Produced] = []  # produced while nobody was connected, not yet noted
        self._n = 0  # posts produced
        self._again: list[tuple[int, int, Produced]] = []  # duplicates, by the post that they follow
        self._back: list[Delivery] = []  # deliveries that were taken and not put on a connection
        self._last_id = 0
        self._forced_edit: Produced | None = None
        self.ring: Ring | None = None  # prepared posts, which are delivered instead of such that are written
        self.lost_runs: list[tuple[int, int]] = []  # the same as `lost`, of prepared posts
        self._taken = 0  # deliveries of prepared posts
        self._end = sys.maxsize  # how many of those there are
        self._spans: deque[tuple[int, int, float]] = (
            deque()
        )  # prepared posts (from, before) and when they went out
        self._rate = options.rate
        if options.delivery_cap:
            self._rate = min(options.rate or options.delivery_cap, options.delivery_cap)
        self._step = 1 / self._rate if self._rate else 0.0
        self._due = (
            math.inf if options.prepared else time.monotonic()
        )  # prepared posts begin with the first client
        self._offset = time.time() - time.monotonic()
        self._item = lru_cache(maxsize=256)(self._make)

    @property
    def finished(self) -> bool:
        """Whether everything that was asked for has been produced and delivered."""
        return self._done and not self._again and not self._back

    @property
    def _done(self) -> bool:
        if self.ring is not None:
            return self._taken >= self._end
        return self.options.posts is not None and self.posts >= self.options.posts

    def prepare(self, subject: str, matches: Callable[[Produced, Item], bool]) -> Order:
        """Make the prepared posts, about that subject. Raises ValueError."""
        options = self.options
        start = time.time() - options.latency if options.start_time is None else options.start_time
        step = self._step or (LIVE_STEP if options.start_time is None else FASTEST_STEP)
        match = 1.0 if _is_topic(subject) else options.match
        order = Order.of(options.seed, options.prepared, match, options.duplicates, start, step)
        self.ring = Ring(order, subject, matches, small=options.payload == "small")
        if options.posts is not None:
            self._end = order.deliveries(options.posts)
        return order

    def item(self, produced: Produced) -> Item:
        """The whole post."""
        return self._item(produced)

    def due(self) -> float:
        """When the next delivery is to be made; infinity when there is none."""
        if self.finished:
            return float("inf")
        return 0.0 if self._back else self._due

    def resume(self, now: float) -> None:
        """A client connected: what was held goes on from here."""
        self.catch_up(now)
        self._due = now if self._due == math.inf else max(self._due, now)

    def hold(self, now: float, seconds: float) -> None:
        """Nothing is written for a while."""
        self._due = max(self._due, now + seconds)

    def hurry(self, posts: int) -> None:
        """So many posts are due at once."""
        self._due -= posts * self._step

    def catch_up(self, now: float) -> None:
        """Produce, and lose, what was due while nobody was connected (unless the world holds its breath then)."""
        if self.options.hold_while_disconnected or not self._step:
            return
        while self._due < now and not self.finished:
            run = self.run(now, sys.maxsize)
            if run is None:
                self.lose(1)
            else:
                self.lost_runs.append(run)

    def lose(self, posts: int) -> None:
        """Produce posts that no connection will carry; search can find them."""
        for _ in range(posts):
            delivery = self.next()
            if delivery is not None and delivery.kind != "duplicate":
                self.lost.append(delivery.produced)

    def run(self, now: float, most: int) -> tuple[int, int] | None:
        """Take the prepared deliveries that are due, `most` at most: the first and the last of them.

        None when there are no prepared posts, or something else comes first: take the `next` one then.
        """
        if self.ring is None or self._back or self._again or self._forced_edit or self.finished or most < 1:
            return None
        first = self._taken + 1
        count = min(most, self._end - self._taken)
        if self._step:
            count = min(count, max(int((now - self._due) / self._step), 0) + 1)
        self._due += count * self._step
        self._take(count, now + self._offset)
        return first, self._taken

    def _take(self, count: int, wall: float) -> None:
        """So many prepared deliveries go out."""
        assert self.ring is not None
        before = self.posts
        self._taken += count
        self.deliveries += count
        self.posts = self.ring.order.posts(self._taken)
        if self.posts > before:
            self._spans.append((before, self.posts, wall))
        while self._spans and self.posts - self._spans[0][1] > ARCHIVE:
            self._spans.popleft()

    def next(self) -> Delivery | None:
        """Take what is due; None when the post that was written matches no rule."""
        if self._back:
            return self._back.pop(0)
        if self.finished:
            return None
        at, self._due = self._due, self._due + self._step
        if self._again and (self._done or self._again[0][0] <= self._n):
            self.deliveries += 1
            return Delivery("duplicate", heapq.heappop(self._again)[2], self.deliveries)
        if self.ring is not None:
            return self._next_prepared(self.ring, at)
        produced = self._produce(at)
        if not self._matches(produced):
            return None
        self.posts += 1
        self.deliveries += 1
        if chosen(self.options.seed, "duplicate", produced.n, self.options.duplicates):
            later = produced.n + 1 + dice(self.options.seed, "later", produced.n).randrange(30)
            heapq.heappush(self._again, (later, produced.n, produced))
        return Delivery("post" if produced.edit_of is None else "edit", produced, self.deliveries)

    def _next_prepared(self, ring: Ring, at: float) -> Delivery:
        wall = self._wall(at)
        self._take(1, wall)
        place = ring.order.place(self._taken)
        produced = ring.produced(place.n, wall)
        original = self._forced_edit
        if place.again:
            return Delivery("duplicate", produced, self.deliveries)
        if original is None:
            return Delivery("post", produced, self.deliveries)
        self._forced_edit = None
        produced = replace(produced, edit_of=(original.id, original.n), topic=original.topic)
        return Delivery("edit", produced, self.deliveries)

    def put_back(self, delivery: Delivery) -> None:
        """It was not put on any connection after all: it comes first on the next one."""
        self._back.insert(0, delivery)

    def repeat(self, delivery: Delivery) -> None:
        """Deliver that post once more, next."""
        heapq.heappush(self._again, (0, delivery.produced.n, delivery.produced))

    def edit_next(self, delivery: Delivery) -> None:
        """The next post written is a later version of that one."""
        self._forced_edit = delivery.produced

    def since(self, now: float, seconds: float) -> list[Produced]:
        """What was produced in the last so many seconds, oldest first."""
        moment = now + self._offset - seconds
        found = []
        for produced in self.newest_first():
            if produced.produced < moment:
                break
            found.append(produced)
        return found[::-1]

    def newest_first(self) -> Iterator[Produced]:
        """What was produced, as far as it is kept; not what is produced meanwhile."""
        if self.ring is None:
            yield from reversed(self.archive.copy())
            return
        for first, last, wall in reversed(self._spans.copy()):
            for n in range(last - 1, first - 1, -1):
                yield self.ring.produced(n, wall)

    def now(self) -> float:
        """What time it is in the world, in seconds since 1970: the clock's, or the replay's own."""
        if self.options.start_time is None:
            return time.time()
        newest = next(self.newest_first(), None)
        return max(self.options.start_time, newest.created + 1 if newest else 0.0)

    def _make(self, produced: Produced) -> Item:
        if self.ring is not None:
            return self.ring.item(produced)
        return make(self.options.seed, produced, small=self.options.payload == "small")

    def _produce(self, at: float) -> Produced:
        n, self._n = self._n, self._n + 1
        wall = self._wall(at)
        if self.options.start_time is None:
            created = wall - self.options.latency
        else:
            created = self.options.start_time + n * (self._step or FASTEST_STEP)
        post_id = max(snowflake(created, n), self._last_id + 1)
        self._last_id = post_id
        topic, edit_of = self._chosen_topic(n), None
        original = self._forced_edit or self._original(n)
        self._forced_edit = None
        if original is not None:
            edit_of, topic = (original.id, original.n), original.topic
        subject = original.subject if original else self._subject()
        topic = topic or _is_topic(subject)
        produced = Produced(n, post_id, created, wall, subject, topic, edit_of)
        if len(self.archive) >= ARCHIVE:
            del self.archive[: ARCHIVE // 10]
        self.archive.append(produced)
        return produced

    def _wall(self, at: float) -> float:
        now = time.monotonic()
        return (min(at, now) if self._step else now) + self._offset

    def _chosen_topic(self, n: int) -> bool:
        return chosen(self.options.seed, "topic", n, self.options.match)

    def _original(self, n: int) -> Produced | None:
        """The post that number `n` is a later version of, if it is one: of the same topic, so that shares hold."""
        if not chosen(self.options.seed, "edit", n, self.options.edits):
            return None
        topic = self._chosen_topic(n)
        recent = [one for one in self.archive[-60:] if one.edit_of is None and one.topic == topic]
        return dice(self.options.seed, "edit", n).choice(recent) if recent else None


def _is_topic(subject: str) -> bool:
    """Whether whatever is written about the subject is about the topic."""
    return any(word.lstrip("#@") == "music" for word in subject.lower().split())
