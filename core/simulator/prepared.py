"""Prepared posts: a ring of posts that are made once and go round, each time under a new id and a new moment.

Making a post takes a tenth of a millisecond, patching the bytes of a made one a thousandth: that is what streams
of 100,000 posts a second are made of. The price is that texts repeat after `size` posts.

What is delivered is arithmetic. A `Order` knows for every delivery, counted from 1, which post it is, under
which id, whether for the second time and whether it is about the topic; so the record of ten million posts is a
few spans of such numbers, and whoever compares needs no line a post.
"""

from __future__ import annotations

import heapq
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from core.clock import iso
from core.simulator.chance import chosen, dice
from core.simulator.posts import Item, Json, Produced, make, moment_of, snowflake
from core.simulator.shape import Shape, encode

TRIES = 100  # posts written for each one that a rule asks for, before we give up


class Place(NamedTuple):
    """One delivery: the post's number, whether it was delivered before, whether it is about the topic."""

    n: int
    again: bool
    topic: bool


@dataclass(frozen=True)
class Order:
    """The order of deliveries. Deliveries are counted from 1, posts from 0.

    `size` posts are a lap; a second delivery never leaves its lap. Post `n` has the id `first_id + n * stride`.
    """

    seed: int
    size: int
    match: float
    duplicates: float
    first_id: int
    stride: int

    @classmethod
    def of(cls, seed: int, size: int, match: float, duplicates: float, start: float, step: float) -> Order:
        """The order whose first post is of that moment (seconds since 1970), and the next `step` seconds later."""
        return cls(seed, size, match, duplicates, snowflake(start, 0), max(round(step * 1000 * (1 << 22)), 1))

    def place(self, delivery: int) -> Place:
        """Which post that delivery is."""
        lap, at = divmod(delivery - 1, len(self._lap))
        one = self._lap[at]
        return Place(lap * self.size + one, self._first[one] != at, self._topics[one])

    def numbers(self, first: int, last: int) -> Iterator[int]:
        """The numbers of the posts of the deliveries `first` to `last`."""
        lap_order, size = self._lap, self.size
        lap, at = divmod(first - 1, len(lap_order))
        left = last - first + 1
        while left > 0:
            part = lap_order[at : at + left]
            base = lap * size
            yield from (base + one for one in part)
            left -= len(part)
            lap, at = lap + 1, 0

    def topic(self, n: int) -> bool:
        """Whether post `n` is about the topic."""
        return self._topics[n % self.size]

    def id(self, n: int) -> int:
        """The id of post `n`."""
        return self.first_id + n * self.stride

    def moment(self, n: int) -> float:
        """When post `n` was written, in seconds since 1970."""
        return moment_of(self.id(n))

    def deliveries(self, posts: int) -> int:
        """How many deliveries come before post number `posts` comes for the first time."""
        lap, rest = divmod(posts, self.size)
        return lap * len(self._lap) + (self._first[rest] if rest else 0)

    def posts(self, deliveries: int) -> int:
        """How many different posts so many deliveries are."""
        lap, rest = divmod(deliveries, len(self._lap))
        return lap * self.size + bisect_left(self._first, rest)

    @cached_property
    def _lap(self) -> list[int]:
        """The posts of a lap as they are delivered."""
        order: list[int] = []
        again: list[tuple[int, int]] = []  # the post that it follows, and the post
        for n in range(self.size):
            while again and again[0][0] < n:
                order.append(heapq.heappop(again)[1])
            order.append(n)
            if chosen(self.seed, "duplicate", n, self.duplicates):
                heapq.heappush(again, (n + dice(self.seed, "later", n).randrange(30), n))
        return order + [n for _, n in sorted(again)]

    @cached_property
    def _first(self) -> list[int]:
        """Where in a lap, counted from 0, each of its posts is delivered for the first time."""
        found: dict[int, int] = {}
        for at, n in enumerate(self._lap):
            found.setdefault(n, at)
        return [found[n] for n in range(self.size)]

    @cached_property
    def _topics(self) -> list[bool]:
        return [chosen(self.seed, "topic", n, self.match) for n in range(self.size)]


class Ring:
    """The made posts of an order. All are made as if they were its first one."""

    def __init__(
        self, order: Order, subject: str, matches: Callable[[Produced, Item], bool], *, small: bool = False
    ) -> None:
        """Write posts until enough are such that a rule asks for them. Raises ValueError when hardly any is."""
        self.order = order
        self._small = small
        self._made: list[tuple[Produced, Item]] = []
        for number in range(TRIES * order.size):
            topic = order.topic(len(self._made))
            produced = Produced(number, order.first_id, order.moment(0), 0.0, subject, topic)
            item = make(order.seed, produced, small=small)
            if matches(produced, item):
                self._made.append((produced, item))
                if len(self._made) == order.size:
                    return
        raise ValueError("the rules ask for too few of the posts that are written to prepare some")

    def produced(self, n: int, wall: float) -> Produced:
        """Post `n`, put on the stream at the moment `wall`."""
        like = self._made[n % self.order.size][0]
        return replace(like, n=n, id=self.order.id(n), created=self.order.moment(n), produced=wall)

    def item(self, produced: Produced) -> Item:
        """The whole post."""
        size = self.order.size
        if produced.edit_of is not None:
            original = self._made[produced.edit_of[1] % size][0]
            like = replace(produced, edit_of=(produced.edit_of[0], original.n))
            return make(self.order.seed, like, small=self._small)
        item = self._made[produced.n % size][1]

        def patch(value: Any) -> Any:
            raw = encode(value).replace(b"%d" % self.order.first_id, b"%d" % produced.id)
            return msgspec.json.decode(
                raw.replace(iso(self.order.moment(0)).encode(), iso(produced.created).encode())
            )

        return replace(item, data=patch(item.data), links=tuple(patch(item.links)))

    def plate(self, shape: Shape, rules: Callable[[Produced, Item], list[Json]]) -> Plate:
        """The lines for a client that asked for that shape; `rules` tells the ones that a post matches."""
        lines = [
            encode(shape.describe(item) | {"matching_rules": rules(produced, item)}) + b"\r\n"
            for produced, item in self._made
        ]
        return Plate(self.order, lines)


class Plate:
    """The bytes of a ring's posts, with room for id and moment."""

    def __init__(self, order: Order, lines: list[bytes]) -> None:
        self._order = order
        id_, moment = str(order.first_id).encode(), iso(order.moment(0)).encode()
        slots = re.compile(b"(%b|%b)" % (id_, moment))

        def mould(line: bytes) -> _Mould:
            pieces = slots.split(line)
            places = [[at for at in range(1, len(pieces), 2) if pieces[at] == slot] for slot in (id_, moment)]
            return _Mould(pieces, *places)

        self._lines = [mould(line) for line in lines]
        self._chunks = [mould(b"%x\r\n%b\r\n" % (len(line), line)) for line in lines]
        self.mean = sum(map(len, lines)) // len(lines)  # bytes a line

    def lines(self, first: int, last: int, *, chunked: bool = False) -> Iterator[bytes]:
        """The deliveries `first` to `last`: each a line, or (`chunked`) a line in a chunk of its own."""
        moulds = self._chunks if chunked else self._lines
        order = self._order
        tick, second, begin, moment = -1, -1, b"", b""
        for n in order.numbers(first, last):
            post_id = order.id(n)
            if post_id >> 22 != tick:  # another millisecond
                tick = post_id >> 22
                at, milliseconds = divmod(round(moment_of(post_id) * 1000), 1000)
                if at != second:
                    second, begin = at, iso(at)[:-4].encode()
                moment = b"%b%03dZ" % (begin, milliseconds)
            yield moulds[n % order.size].fill(b"%d" % post_id, moment)


class _Mould:
    """A line in pieces: at some of them goes the id, at others the moment."""

    __slots__ = ("_ids", "_moments", "_pieces")

    def __init__(self, pieces: list[bytes], ids: list[int], moments: list[int]) -> None:
        self._pieces, self._ids, self._moments = pieces, ids, moments

    def fill(self, post_id: bytes, moment: bytes) -> bytes:
        pieces = self._pieces
        for at in self._ids:
            pieces[at] = post_id
        for at in self._moments:
            pieces[at] = moment
        return b"".join(pieces)
