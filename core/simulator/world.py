"""What X's users write: one sequence of posts for the whole server, whoever is connected.

The world decides what comes next and when; it promises that the same options give the same sequence, and that
shares are exact in every hundred posts. Putting a delivery on a connection, and noting that, is the stream's work.
Times called `now` are monotonic seconds.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from core.simulator.options import SimulatorOptions
from core.simulator.posts import Item, Produced, make, snowflake

FASTEST_STEP = 0.02  # seconds between two posts in a replay at rate 0
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
        self._rate = options.rate
        if options.delivery_cap:
            self._rate = min(options.rate or options.delivery_cap, options.delivery_cap)
        self._step = 1 / self._rate if self._rate else 0.0
        self._due = time.monotonic()
        self._offset = time.time() - time.monotonic()
        self._item = lru_cache(maxsize=256)(self._make)

    @property
    def finished(self) -> bool:
        """Whether everything that was asked for has been produced and delivered."""
        done = self.options.posts is not None and self.posts >= self.options.posts
        return done and not self._again and not self._back

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
        self._due = max(self._due, now)

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
            self.lose(1)

    def lose(self, posts: int) -> None:
        """Produce posts that no connection will carry; search can find them."""
        for _ in range(posts):
            delivery = self.next()
            if delivery is not None and delivery.kind != "duplicate":
                self.lost.append(delivery.produced)

    def next(self) -> Delivery | None:
        """Take what is due; None when the post that was written matches no rule."""
        if self._back:
            return self._back.pop(0)
        if self.finished:
            return None
        at, self._due = self._due, self._due + self._step
        done = self.options.posts is not None and self.posts >= self.options.posts
        if self._again and (done or self._again[0][0] <= self._n):
            self.deliveries += 1
            return Delivery("duplicate", heapq.heappop(self._again)[2], self.deliveries)
        produced = self._produce(at)
        if not self._matches(produced):
            return None
        self.posts += 1
        self.deliveries += 1
        if self._chosen("duplicate", produced.n, self.options.duplicates):
            later = produced.n + 1 + self._random("later", produced.n).randrange(30)
            heapq.heappush(self._again, (later, produced.n, produced))
        return Delivery("post" if produced.edit_of is None else "edit", produced, self.deliveries)

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
        return [produced for produced in self.archive if produced.produced >= moment]

    def now(self) -> float:
        """What time it is in the world, in seconds since 1970: the clock's, or the replay's own."""
        if self.options.start_time is None:
            return time.time()
        return max(self.options.start_time, self.archive[-1].created + 1 if self.archive else 0.0)

    def _make(self, produced: Produced) -> Item:
        return make(self.options.seed, produced, small=self.options.payload == "small")

    def _produce(self, at: float) -> Produced:
        n, self._n = self._n, self._n + 1
        now = time.monotonic()
        wall = (min(at, now) if self._step else now) + self._offset
        if self.options.start_time is None:
            created = wall - self.options.latency
        else:
            created = self.options.start_time + n * (self._step or FASTEST_STEP)
        post_id = max(snowflake(created, n), self._last_id + 1)
        self._last_id = post_id
        topic, edit_of = self._is_topic(n), None
        original = self._forced_edit or self._original(n)
        self._forced_edit = None
        if original is not None:
            edit_of, topic = (original.id, original.n), original.topic
        subject = original.subject if original else self._subject()
        topic = topic or any(word.lstrip("#@") == "music" for word in subject.lower().split())
        produced = Produced(n, post_id, created, wall, subject, topic, edit_of)
        if len(self.archive) >= ARCHIVE:
            del self.archive[: ARCHIVE // 10]
        self.archive.append(produced)
        return produced

    def _is_topic(self, n: int) -> bool:
        return self._chosen("topic", n, self.options.match)

    def _original(self, n: int) -> Produced | None:
        """The post that number `n` is a later version of, if it is one: of the same topic, so that shares hold."""
        if not self._chosen("edit", n, self.options.edits):
            return None
        recent = [one for one in self.archive[-60:] if one.edit_of is None and one.topic == self._is_topic(n)]
        return self._random("edit", n).choice(recent) if recent else None

    def _chosen(self, purpose: str, n: int, share: float) -> bool:
        return share > 0 and n % 100 in _picked(self.options.seed, purpose, n // 100, share)

    def _random(self, purpose: str, n: int) -> random.Random:
        return random.Random(f"{self.options.seed}/{purpose}/{n}")  # noqa: S311 - replayable on purpose


@lru_cache(maxsize=1024)
def _picked(seed: int, purpose: str, block: int, share: float) -> frozenset[int]:
    """Which of a hundred posts are meant, so that the share is exact over all hundreds so far."""
    size = round((block + 1) * 100 * share) - round(block * 100 * share)
    return frozenset(random.Random(f"{seed}/{purpose}/{block}").sample(range(100), size))  # noqa: S311
