"""What a post costs, in steps of the interpreter: counted, not timed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench.stages import drafter
from core.connection import Line
from core.journal import Tally
from core.ledger import Ledger
from core.simulator.posts import Produced, make, snowflake
from core.simulator.shape import Shape, encode
from core.sources.x.stream import FIELDS

POSTS = 200
SHAPE = Shape.of(
    {
        "tweet.fields": ",".join(FIELDS["tweet_fields"]),
        "user.fields": ",".join(FIELDS["user_fields"]),
        "expansions": ",".join(FIELDS["expansions"]),
    }
)


def _lines(topical: bool) -> list[Line]:
    made = []
    for n in range(POSTS):
        at = 1_790_000_000.0 + n
        item = make(7, Produced(n, snowflake(at, n), at, at, "Justin Bieber", topical, None))
        made.append(Line(encode(SHAPE.describe(item)).strip(), at, False))
    return made


def _calls(lines: list[Line], topic: str = "music OR #music", *, glances: bool = True) -> float:
    """Calls of functions, Python's own ones included, for each line: the same on every machine."""
    desk = drafter(topic, glances=glances)
    desk.draft(lines, 0)  # what is made once
    return _counted(lambda: desk.draft(lines, 0)) / len(lines)


def _counted(do: Callable[[], object]) -> int:
    """Calls of functions."""
    counted = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(before)
    return counted


def test_a_post_that_is_not_about_the_topic_takes_a_fraction_of_the_plain_steps():
    lines = _lines(topical=False)
    glanced, plain = _calls(lines), _calls(lines, glances=False)
    assert glanced < plain / 2, (glanced, plain)
    assert glanced < 90


def test_a_post_about_the_topic_takes_no_more_steps_for_the_glance():
    lines = _lines(topical=True)
    assert _calls(lines) < 1.2 * _calls(lines, glances=False)


def test_a_thousand_terms_take_no_more_steps_than_twenty():
    lines = _lines(topical=False)
    terms = [f"word{number}" for number in range(1000)]
    assert _calls(lines, " OR ".join(terms)) < 1.2 * _calls(lines, " OR ".join(terms[:20]))


def test_counting_a_batch_takes_few_steps_since_a_slow_stream_has_a_batch_for_every_post():
    ledger = Ledger({"x": Tally(10, 10)}, None)
    assert _counted(lambda: ledger.committed("x", Tally(1, 1, 0, 1, 1, 0))) < 60
