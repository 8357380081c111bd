"""Generated posts: replayable, shaped as X's, and about the topic exactly as often as asked."""

from __future__ import annotations

import html
import itertools
import re
import time
from collections import Counter
from collections.abc import Callable

import pytest

from core.query import parse_topic
from core.simulator.matching import compile_rule, post_of
from core.simulator.options import SimulatorOptions
from core.simulator.posts import Item, Produced, make, moment_of, snowflake
from core.simulator.shape import encode
from core.simulator.world import Delivery, World

START = 1_790_000_000.0
METRICS = {
    "retweet_count", "reply_count", "like_count", "quote_count", "bookmark_count", "impression_count",
    "repost_count",
}  # fmt: skip


def deliveries(count: int, **options: object) -> tuple[World, list[Delivery]]:
    """So many deliveries of a world in which every post matches."""
    asked = SimulatorOptions(**({"rate": 0.0, "start_time": START} | options))  # type: ignore[arg-type]
    world = World(asked, lambda: "Justin Bieber", lambda _: True)
    taken = [delivery for _ in range(count) if (delivery := world.next()) is not None]
    assert len(taken) == count
    return world, taken


def lines(count: int, **options: object) -> list[bytes]:
    """The same as the bytes of the whole posts."""
    world, taken = deliveries(count, **options)
    return [
        encode({"data": item.data, "users": item.users, "tweets": item.tweets, "media": item.media})
        for item in (world.item(delivery.produced) for delivery in taken)
    ]


@pytest.mark.parametrize("payload", ["rich", "small"])
def test_the_same_seed_gives_the_same_bytes(payload: str) -> None:
    first = lines(300, seed=7, payload=payload, duplicates=0.1, edits=0.1)
    assert lines(300, seed=7, payload=payload, duplicates=0.1, edits=0.1) == first
    assert lines(300, seed=8, payload=payload, duplicates=0.1, edits=0.1) != first


def test_a_post_made_again_is_the_same_post() -> None:
    produced = Produced(5, 1_900_000_000_000_000_005, START, START, "Justin Bieber", topic=True)
    assert make(3, produced) == make(3, produced)


def test_ids_increase_and_tell_the_moment() -> None:
    for rate in (0.0, 50.0, 100_000.0):
        _, taken = deliveries(2000, rate=rate)
        ids = [delivery.produced.id for delivery in taken]
        assert all(earlier < later for earlier, later in itertools.pairwise(ids))
        assert all(abs(moment_of(one.produced.id) - one.produced.created) < 0.01 for one in taken)


def test_entity_offsets_slice_the_escaped_text() -> None:
    world, taken = deliveries(1500)
    seen: Counter[str] = Counter()
    for delivery in taken:
        item = world.item(delivery.produced)
        for part in (item.data, *item.tweets, item.data.get("note_tweet", {})):
            for kind, entities in part.get("entities", {}).items():
                for entity in entities:
                    seen[kind] += 1
                    piece = part["text"][entity["start"] : entity["end"]]
                    expected = {
                        "hashtags": f"#{entity.get('tag')}", "mentions": f"@{entity.get('username')}",
                        "urls": entity.get("url"),
                    }  # fmt: skip
                    assert piece == expected[kind]
    assert min(seen["hashtags"], seen["mentions"], seen["urls"]) > 50


def test_text_is_escaped_once() -> None:
    world, taken = deliveries(1500)
    escaped = 0
    for delivery in taken:
        text = world.item(delivery.produced).data["text"]
        assert html.escape(html.unescape(text), quote=False) == text
        escaped += "&amp;" in text or "&lt;" in text
    assert escaped > 0


def test_posts_come_in_several_languages() -> None:
    world, taken = deliveries(1000)
    langs = Counter(world.item(delivery.produced).data["lang"] for delivery in taken)
    assert len(langs) >= 5
    assert max(langs.values()) < 950


def test_a_long_post_is_whole_only_in_its_note() -> None:
    world, taken = deliveries(1500)
    notes = 0
    for delivery in taken:
        data = world.item(delivery.produced).data
        assert len(html.unescape(data["text"])) <= 300
        if "note_tweet" in data:
            notes += 1
            assert data["text"].endswith("…")
            assert len(data["note_tweet"]["text"]) > len(data["text"])
            assert data["note_tweet"]["text"].startswith(data["text"][:-1].rstrip())
    assert notes > 20


def test_a_retweet_brings_its_original() -> None:
    world, taken = deliveries(1500)
    retweets = 0
    for delivery in taken:
        item = world.item(delivery.produced)
        references = item.data.get("referenced_tweets", [])
        if references and references[0]["type"] == "retweeted":
            retweets += 1
            originals = {tweet["id"]: tweet for tweet in item.tweets}
            original = originals[references[0]["id"]]
            assert original["author_id"] in item.users
            assert int(original["id"]) < int(item.data["id"])
            name = item.users[original["author_id"]]["username"]
            assert item.data["text"].startswith(f"RT @{name}: ")
    assert retweets > 100


def test_metrics_are_complete() -> None:
    world, taken = deliveries(500)
    for delivery in taken:
        item = world.item(delivery.produced)
        for part in (item.data, *item.tweets):
            assert set(part["public_metrics"]) == METRICS
            assert all(isinstance(number, int) and number >= 0 for number in part["public_metrics"].values())


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_the_share_of_matches_is_as_asked(share: float) -> None:
    world, taken = deliveries(1000, match=share)
    assert sum(delivery.produced.topic for delivery in taken) == round(1000 * share)
    for delivery in taken:
        item = world.item(delivery.produced)
        said = f"{item.full_text} {' '.join(item.tags)} {' '.join(item.links)}".lower()
        assert bool(re.search(r"\bmusic\b", said)) == delivery.produced.topic


def test_a_tenth_of_the_posts_comes_twice() -> None:
    _, taken = deliveries(110, posts=100, duplicates=0.1)
    kinds = Counter(delivery.kind for delivery in taken)
    assert kinds == {"post": 100, "duplicate": 10}
    first: dict[int, float] = {}
    for at, delivery in enumerate(taken):
        if delivery.kind == "duplicate":
            assert delivery.produced.id in first
        first.setdefault(delivery.produced.id, at)


def test_an_edit_is_a_later_version_of_an_earlier_post() -> None:
    world, taken = deliveries(500, edits=0.1)
    seen: set[int] = set()
    edits = 0
    for delivery in taken:
        if delivery.kind == "edit":
            edits += 1
            history = world.item(delivery.produced).data["edit_history_tweet_ids"]
            assert int(history[0]) in seen
            assert history[-1] == str(delivery.produced.id)
        seen.add(delivery.produced.id)
    assert edits >= 45


def test_without_a_start_time_posts_are_of_now() -> None:
    before = time.time()
    _, taken = deliveries(10, start_time=None)
    assert all(before - 1 <= one.produced.created <= time.time() + 1 for one in taken)


@pytest.mark.parametrize("payload", ["rich", "small"])
def test_the_topic_is_in_a_post_exactly_when_its_record_says_so(payload: str) -> None:
    world, taken = deliveries(2000, payload=payload, match=0.4, edits=0.05)
    topic = parse_topic("music OR #music")
    for delivery in taken:
        item = world.item(delivery.produced)
        assert (topic.match(post_of(item)) is not None) == delivery.produced.topic, item.full_text


@pytest.mark.parametrize(
    "value",
    [
        '"justin bieber"',
        "justin bieber",
        "#bieber #tour2026",
        "(@justinbieber OR cat) dog",
        '"big cat" OR bieber',
        "ジャスティン",
    ],
)
def test_whatever_is_asked_for_by_words_people_write_about_it(value: str) -> None:
    rule = compile_rule(value)
    assert rule.simple
    for n in range(300):
        produced = Produced(n, snowflake(START + n, n), START + n, START + n, rule.subject, topic=n % 3 == 0)
        assert rule.matches(make(1, produced))


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("bieber lang:en", lambda item: item.data["lang"] == "en"),
        ("bieber -is:retweet", lambda item: not item.data["text"].startswith("RT @")),
        ("bieber has:links", lambda item: bool(item.links)),
        ("bieber -#tour", lambda item: "tour" not in item.tags),
    ],
)
def test_a_rule_with_conditions_delivers_what_fulfils_them(value: str, holds: Callable[[Item], bool]) -> None:
    rule = compile_rule(value)
    verdicts = []
    for n in range(400):
        item = make(1, Produced(n, snowflake(START + n, n), START + n, START + n, rule.subject, topic=False))
        verdicts.append(holds(item))
        assert rule.matches(item) == verdicts[-1], item.full_text
    assert set(verdicts) == {True, False}
