"""A batch in the making: a glance at a line gives the same batch and the same rows as decoding it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.bounds import Bounds
from core.connection import Line
from core.draft import Drafter
from core.errors import QueryError, Undecodable
from core.journal import Deletion, GapMark, KeywordsMark, Tombstones
from core.opinion import GLANCED
from core.post import Content
from core.privacy import Privacy
from core.pseudonyms import Pseudonyms
from core.query import parse_topic
from core.snapshot import Verdict
from core.sources import decoder, glance, people
from core.windows import Counts
from tests import hostile
from tests.strategies import NASTY, QUERIES, TEXTS, WORDS, encoded, lines
from tests.unit.other_judge import Other

AT = 1_790_000_000.0
DECODE, GLANCE = decoder("x"), glance("x")
assert GLANCE is not None
NOBODY = Tombstones(b"", frozenset())


def drafter(
    topic="music", *, glances=True, tombstones=NOBODY, pseudonyms=None, most=None, quoted=False, second=None
) -> Drafter:
    privacy = Privacy("x", DECODE, people("x"), tombstones, pseudonyms, GLANCE if glances else None)
    return Drafter(
        "x", privacy, parse_topic(topic), Bounds("", 2.0),
        wanted=lambda raw: b"unwanted" not in raw, quoted=quoted, keep_all=True, most=most, second=second,
    )  # fmt: skip


def tweet(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """A post in X's shape, its words in whichever field may hold some."""
    names = WORDS.map(lambda word: word.strip("#@"))
    entities = st.fixed_dictionaries(
        {},
        optional={
            "hashtags": st.lists(names.map(lambda name: {"tag": name}), max_size=2),
            "mentions": st.lists(names.map(lambda name: {"username": name}), max_size=2),
            "urls": st.lists(texts.map(lambda text: {"url": "https://t.co/a", "expanded_url": text}), max_size=2),
        },
    )
    note = st.fixed_dictionaries({"text": texts}, optional={"entities": entities})
    return st.fixed_dictionaries(
        {"id": st.sampled_from(["1", "20", "300"]), "text": texts},
        optional={
            "entities": entities,
            "note_tweet": note,
            "referenced_tweets": st.lists(
                st.builds(dict, type=st.sampled_from(["retweeted", "quoted"]), id=st.sampled_from(["1", "20"])),
                max_size=2,
            ),
            "author_id": st.just("7"),
            "created_at": st.just("2026-08-22T10:00:00.000Z"),
        },
    )


WRITTEN = st.one_of(TEXTS, NASTY.map(lambda text: f"{text}xhttps://music.example/{text}&amp;{text}&#109;usic"))
ITEMS = st.fixed_dictionaries(
    {"data": tweet(WRITTEN)}, optional={"includes": st.fixed_dictionaries({"tweets": st.lists(tweet(WRITTEN), max_size=2)})}
)  # fmt: skip
LINES = st.one_of(st.builds(encoded, ITEMS, escaped=st.booleans()), lines())
MARKS = st.sampled_from(
    [GapMark(AT, "lost"), GapMark(AT + 1), KeywordsMark(AT, "other"), Deletion(AT, post="1"), Deletion(AT, author="7")]
)  # fmt: skip
QUEUE = st.lists(
    st.one_of(st.builds(Line, LINES, st.sampled_from([AT, AT + 1, AT + 70]), st.booleans(), st.just(None)), MARKS),
    max_size=6,
)


# More alternatives than are searched one by one.
MANY = " OR ".join(["music", "#rock", '"the rock"', *(f"word{number}" for number in range(20))])
# The topic, the items, whether quoted texts count, and how many posts are asked for.
BATCH = (
    st.one_of(st.sampled_from(["music OR #music", MANY]), QUERIES),
    QUEUE,
    st.booleans(),
    st.none() | st.integers(0, 3),
)


@settings(max_examples=600, deadline=None)
@given(*BATCH)
def test_a_glance_changes_nothing_of_a_batch(query, items, quoted, most):
    try:
        fast, plain = (drafter(query, glances=looks, quoted=quoted, most=most) for looks in (True, False))
    except QueryError:
        return
    for _ in range(2):  # the second batch begins with what the first has left
        ours, theirs = fast.draft(items, 10), plain.draft(items, 10)
        assert ours == theirs


@settings(max_examples=600, deadline=None)
@given(*BATCH, st.sampled_from([0.3, 0.7, 1.0]), st.booleans())
def test_opinions_of_another_change_nothing_of_a_batch(query, items, quoted, most, part, fails):
    other = Other(part, quoted=quoted, fails=fails)
    try:
        helped = drafter(query, quoted=quoted, most=most, second=other)
        plain = drafter(query, glances=False, quoted=quoted, most=most)
    except QueryError:
        return
    for _ in range(2):
        ours, theirs = helped.draft(items, 10), plain.draft(items, 10)
        # What was counted together is what the names of those posts add up to.
        together = [names for names, own in zip(theirs.names, ours.names, strict=True) if own is None]
        assert ours.counts in (None, Counts.of(together))
        ours.names, ours.counts = theirs.names, None
        assert ours == theirs


@settings(max_examples=600, deadline=None)
@given(LINES)
@example(encoded({"data": {"id": "1", "text": "xhttps://music.example/a"}}))
@example(encoded({"data": {"id": "1", "text": "t", "lang": 5}}))
def test_a_glance_is_of_a_post_and_has_all_of_its_words(raw):
    fields = Content.__struct_fields__
    seen = GLANCE(raw)
    if seen is None:
        return
    post = DECODE(raw)
    assert (seen.id, seen.post()) == (post.id, post)
    said = seen.content()
    assert [getattr(said, name) for name in fields] == [getattr(post, name) for name in fields]
    for part in (post.text, post.quoted_text, *post.tags, *post.mentions, *post.links):
        assert not part or _untouched(part, seen.words), part


def _untouched(part: str, words: str) -> bool:
    """Whether the part stands in the words and no letter, digit or `_` of ASCII beside it."""
    at = words.find(part)
    while at >= 0:
        beside = words[at - 1 : at] + words[at + len(part) : at + len(part) + 1]
        if not any(char == "_" or (char.isascii() and char.isalnum()) for char in beside):
            return True
        at = words.find(part, at + 1)
    return False


@pytest.mark.parametrize("line", hostile.every(), ids=lambda line: line.name)
def test_a_hostile_line_is_judged_the_same_at_a_glance(line):
    fast, plain = drafter("elsewhere"), drafter("elsewhere", glances=False)
    ours = fast.draft([Line(line.raw, AT, False)], 0)
    assert ours == plain.draft([Line(line.raw, AT, False)], 0)
    assert ours.batch.consumed == line.consumed


def test_most_posts_that_are_not_about_the_topic_are_never_decoded(monkeypatch):
    looked = []
    monkeypatch.setattr("core.sources.x.decode._content", lambda *given: looked.append(given))
    texts = [
        "nothing of it",
        "a musical 🎵",
        "Justin Bieber läuft",
        "#Musicals!",
        "日本語",
        "&amp; so on https://e.org/a",
    ]
    found = drafter().draft([Line(encoded({"data": {"id": "1", "text": text}}), AT, False) for text in texts], 0)
    assert [row.verdict for row in found.rows] == [Verdict.FILTERED] * len(texts)
    assert not looked


def test_a_row_that_was_refused_at_a_glance_shows_its_post():
    raw = encoded({"data": {"id": "1", "text": "a &lt; b"}})
    [row] = drafter().draft([Line(raw, AT, False)], 0).rows
    assert row.post == DECODE(raw)
    assert row.post is row.post


def test_a_line_too_long_for_a_row_is_not_kept_in_it():
    long = encoded({"data": {"id": "1", "text": "a " * GLANCED}})
    fast, plain = (drafter(glances=looks).draft([Line(long, AT, False)], 0) for looks in (True, False))
    assert fast == plain
    assert len(fast.rows[0].post.text) < len(long)


def test_whoever_is_forgotten_or_has_a_pseudonym_is_not_glanced_at():
    raw = encoded({"data": {"id": "1", "text": "nothing of it", "author_id": "7"}})

    class Gone(Tombstones):
        def has(self, kind, source, id):
            return (kind, id) == ("author", "7")

    forgotten = drafter(tombstones=Gone(b"", frozenset({b"one"}))).draft([Line(raw, AT, False)], 0)
    assert (forgotten.batch.consumed, forgotten.rows, forgotten.batch.filtered) == (1, [], [])
    renamed = drafter(pseudonyms=Pseudonyms("k" * 32)).draft([Line(raw, AT, False)], 0)
    assert renamed.rows[0].post.author.id not in ("", "7")
    assert b'"7"' not in renamed.batch.filtered[0].raw


def test_undecodable_lines_are_still_kept_apart():
    found = drafter().draft([Line(b"{", AT, False), Line(b'{"data":{"id":"1"}}', AT, False)], 0)
    with pytest.raises(Undecodable):
        DECODE(b'{"data":{"id":"1"}}')
    assert [item.raw for item in found.batch.quarantined] == [b"{", b'{"data":{"id":"1"}}']
    assert (found.batch.delivered, found.batch.consumed) == (2, 0)
