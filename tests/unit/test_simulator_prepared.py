"""Prepared posts: what goes over the wire is what the order says, in whatever part it is asked for."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest

from core.simulator.options import SimulatorOptions
from core.simulator.posts import Item, Produced
from core.simulator.prepared import Order, Ring
from core.simulator.shape import Shape, encode

START = 1_793_000_000.0
ASKED = {
    "tweet.fields": "author_id,created_at,entities,referenced_tweets,note_tweet,conversation_id",
    "expansions": "author_id,referenced_tweets.id",
}


def order(size: int = 300, match: float = 0.1, duplicates: float = 0.05, step: float = 0.02) -> Order:
    return Order.of(1, size, match, duplicates, START, step)


def ring(**options: float) -> Ring:
    return Ring(order(**options), "Justin Bieber", lambda *_: True)  # type: ignore[arg-type]


def rules(_: Produced, item: Item) -> list[dict[str, str]]:
    return [{"id": "7", "tag": item.data["lang"]}]


def test_every_post_comes_once_in_order_and_a_twentieth_of_them_twice() -> None:
    one = order()
    places = [one.place(delivery) for delivery in range(1, one.deliveries(1200) + 1)]
    assert [place.n for place in places if not place.again] == list(range(1200))
    assert sum(place.again for place in places) == 60
    seen: set[int] = set()
    for place in places:
        assert (place.n in seen) == place.again
        seen.add(place.n)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_shares_are_exact_in_every_hundred(share: float) -> None:
    one = order(match=share)
    for begin in range(0, 900, 100):
        assert sum(one.topic(n) for n in range(begin, begin + 100)) == round(100 * share)


def test_counts_agree_with_the_deliveries_one_by_one() -> None:
    one = order(duplicates=0.2)
    known: set[int] = set()
    for delivery in range(1, 1000):
        known.add(one.place(delivery).n)
        assert one.posts(delivery) == len(known)
    for posts in (0, 1, 299, 300, 301, 777):
        assert one.posts(one.deliveries(posts)) == posts
        assert one.place(one.deliveries(posts) + 1).n == posts


def test_spans_can_be_asked_for_in_any_part() -> None:
    one = order()
    whole = [one.place(delivery).n for delivery in range(1, 1001)]
    assert list(one.numbers(1, 1000)) == whole
    assert list(one.numbers(290, 340)) == whole[289:340]
    assert list(one.numbers(5, 4)) == []


@pytest.mark.parametrize("step", [0.000001, 0.00001, 0.02, 1.0])
def test_ids_rise_keep_their_length_and_tell_the_moment(step: float) -> None:
    one = order(step=step)
    ids = [one.id(n) for n in (*range(1000), 10_000_000)]
    assert all(a < b for a, b in itertools.pairwise(ids))
    assert {len(str(post_id)) for post_id in ids} == {19}
    for n in (0, 999, 10_000_000):
        assert abs(one.moment(n) - (START + n * step)) < 0.01 + n * step / 1000


@pytest.mark.parametrize(
    "shape",
    [Shape(small=True), Shape(), Shape.of(ASKED), Shape.of({}, "full")],
    ids=["small", "least", "asked", "full"],
)
def test_a_line_is_the_post_as_it_would_be_made_alone(shape: Shape) -> None:
    made = ring()
    lines = list(made.plate(shape, rules).lines(280, 700))
    assert len(lines) == 421
    for delivery, line in zip(range(280, 701), lines, strict=True):
        place = made.order.place(delivery)
        produced = made.produced(place.n, wall=0.0)
        item = made.item(produced)
        assert line == encode(shape.describe(item) | {"matching_rules": rules(produced, item)}) + b"\r\n"
        data = json.loads(line)["data"]
        assert data["id"] == data["edit_history_tweet_ids"][0] == str(made.order.id(place.n))
        assert produced.topic == place.topic


def test_a_line_in_a_chunk_of_its_own_is_the_same_line() -> None:
    plate = ring().plate(Shape(), rules)
    for line, chunk in zip(plate.lines(1, 400), plate.lines(1, 400, chunked=True), strict=True):
        assert chunk == b"%x\r\n%b\r\n" % (len(line), line)


def test_a_full_post_is_about_as_long_as_a_busy_one_at_x() -> None:
    assert 4200 < ring(size=1000).plate(Shape.of({}, "full"), rules).mean < 5200
    assert (
        250
        < Ring(order(), "Justin Bieber", lambda *_: True, small=True).plate(Shape(small=True), rules).mean
        < 350
    )


def test_posts_that_no_rule_asks_for_are_not_prepared() -> None:
    made = Ring(order(), "Justin Bieber", lambda _, item: item.data["lang"] == "en")
    langs = Counter(made.item(made.produced(n, 0.0)).data["lang"] for n in range(300))
    assert langs == {"en": 300}
    with pytest.raises(ValueError, match="too few"):
        Ring(order(size=100), "Justin Bieber", lambda _, item: False)


@pytest.mark.parametrize(
    "wrong", [{"prepared": 150}, {"prepared": 100, "edits": 0.1}, {"prepared": 100, "start_time": 1e9}]
)
def test_what_cannot_be_prepared_is_told_at_once(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="prepared"):
        SimulatorOptions(**wrong)  # type: ignore[arg-type]
