"""What a glance at a line saves and what it must not: each step of a draft, with X's own lines."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from core.bounds import Bounds
from core.connection import Line
from core.draft import Drafter
from core.journal import AfterMark, Entry, GapMark, Tombstones
from core.opinion import GLANCED, SHOWN, SURELY_SHOWN, About, Judge, text_hash
from core.privacy import Privacy
from core.query import LONGEST_POST, parse_topic
from core.snapshot import Verdict
from core.sources import decoder, glance, people
from core.windows import SLIDE, Counts, Names, names_of
from tests.unit.other_judge import Other

AT = 1_790_000_000.0
DECODE = decoder("x")


@pytest.fixture
def decoded(monkeypatch):
    """The ids of the posts that were decoded, in their order."""
    from core.sources.x import decode as module

    content, ids = module._content, []

    def noted(id_, *given):
        ids.append(id_)
        return content(id_, *given)

    monkeypatch.setattr(module, "_content", noted)
    return ids


def drafter(newest="", late=0.0, second=None, most=None) -> Drafter:
    privacy = Privacy("x", DECODE, people("x"), Tombstones(b"", frozenset()), None, glance("x"))
    return Drafter(
        "x", privacy, parse_topic("music"), Bounds(newest, late),
        wanted=lambda raw: b"unwanted" not in raw, quoted=False, keep_all=False, most=most,
        second=second,
    )  # fmt: skip


def line(id_, text, at=AT, *, backfilled=False, size=0) -> Line:
    raw = json.dumps({"data": {"id": id_, "text": text}}).encode()
    return Line(raw[:-2] + b" " * max(size - len(raw), 0) + raw[-2:], at, backfilled)


def test_a_line_may_be_refused_at_a_glance_up_to_a_length(decoded):
    desk = drafter()
    for size in (GLANCED, GLANCED + 1):
        assert len(line("1", "jazz", size=size).raw) == size
        [row] = desk.draft([line("1", "jazz", size=size)], 0).rows
        assert row.verdict is Verdict.FILTERED
        assert decoded == ([] if size == GLANCED else ["1"])
    [row] = desk.draft([line("2", "jazz")], 0).rows
    assert (row.post.id, row.post.text) == ("2", "jazz")
    assert decoded == ["1", "2"]  # when somebody looks


def test_a_line_about_the_topic_is_taken_whole():
    items = [
        line("1", "jazz"),
        line("2", "music", AT + 1),
        line("3", "unwanted music"),
        line("4", "music", AT + 1.5),
    ]
    found = drafter().draft(items, 7)
    assert found.batch.entries == [
        Entry("2", AT + 1, text_hash("music"), ("music",), False, items[1].raw),
        Entry("4", AT + 1.5, text_hash("music"), ("music",), False, items[3].raw),
    ]
    assert found.matched == [1, 3]
    assert [(row.seq, row.verdict, row.matched) for row in found.rows] == [
        (8, Verdict.FILTERED, ()), (9, Verdict.MATCHED, ("music",)),
        (10, Verdict.FILTERED, ()), (11, Verdict.MATCHED, ("music",)),
    ]  # fmt: skip
    assert found.seconds == {int(AT): [2, 0], int(AT) + 1: [2, 2]}
    assert (found.taken, found.batch.delivered, found.batch.consumed) == (4, 4, 4)


def test_the_first_post_behind_a_gap_bounds_it_though_it_is_not_about_the_topic(decoded):
    desk = drafter("5", late=2.0)
    marks = [GapMark(AT, "cut"), GapMark(AT + 10)]
    found = desk.draft(
        [*marks, line("8", "jazz", AT + 11), line("9", "jazz", AT + 12), line("10", "jazz", AT + 13)], 0
    )
    assert found.batch.gaps == [GapMark(AT, "cut", last_id="5"), marks[1], AfterMark("9")]
    assert decoded == ["9"]  # before and behind it a glance will do


def test_a_post_that_was_passed_at_a_glance_is_the_newest_one_unless_a_fill_brought_it(decoded):
    desk = drafter("5")
    assert desk.draft([line("9", "jazz"), line("8", "jazz")], 0).batch.last_id == "9"
    assert desk.draft([line("11", "jazz", backfilled=True)], 0).batch.last_id == "9"
    assert desk.draft([line("10", "jazz")], 0).batch.last_id == "10"
    assert decoded == []


def test_what_a_glance_has_asked_is_not_asked_again_and_who_had_none_is_asked_everything():
    asked = []
    desk = drafter()

    def noted(name):
        whole = getattr(desk.topic, name)
        return lambda *given, **how: (asked.append(name), whole(*given, **how))[1]

    names = ("lacks", "match", "match_rest")
    desk.topic = SimpleNamespace(**{name: noted(name) for name in names})
    glanced, whole = line("1", "music"), line("2", "music", size=GLANCED + 1)
    assert [row.verdict for row in desk.draft([glanced, whole], 0).rows] == [Verdict.MATCHED] * 2
    assert asked == ["lacks", "match_rest", "match"]


def test_no_more_of_a_monstrous_text_is_matched_than_ever():
    [row] = drafter().draft([line("1", "a " * (LONGEST_POST // 2) + "music")], 0).rows
    assert row.verdict is Verdict.FILTERED


# -- with a second process


class Gone(Tombstones):
    """Somebody is forgotten: the author of every post."""

    def __init__(self):
        super().__init__(b"", frozenset({b"one"}))

    def has(self, kind, source, id):
        return kind == "author"


def test_what_another_has_an_opinion_of_is_not_looked_at_again(decoded):
    other = Other(0.5)
    items = [line("1", "music"), line("2", "jazz"), line("3", "music"), line("4", "jazz", backfilled=True)]
    found = drafter(second=other).draft(items, 10)
    assert other.asked == [[items[2].raw, items[3].raw]]
    assert other.shared == [("music", 4, 0)]
    assert decoded == ["1", "3"]  # the second one by the other
    assert [row.verdict for row in found.rows] == [Verdict.MATCHED, Verdict.FILTERED] * 2
    assert [(one.id, one.matched, one.text_hash) for one in found.batch.entries] == [
        (id_, ("music",), text_hash("music")) for id_ in "13"
    ]
    assert found.names == [names_of(found.rows[0].post), None]
    assert found.counts is None  # one of those that were counted together was fetched afterwards
    assert found.rows[2].post.text == "music"
    assert found.batch.last_id == "3"


def test_names_are_counted_together_where_all_of_them_are_in_one_window():
    pane = AT // SLIDE * SLIDE
    same = [line("1", "music a", pane), line("2", "jazz", pane + 9), line("3", "music a", pane + SLIDE - 1)]
    [first, _, third] = (row.post for row in drafter().draft(same, 0).rows)
    found = drafter(second=Other()).draft(same, 0)
    assert (found.names, found.counts) == ([None, None], Counts.of([names_of(first), names_of(third)]))
    assert found.counts.names[-1] == {"music": 2}
    for irregular in (
        line("4", "jazz", pane + SLIDE),  # of another pane
        line("4", "jazz", pane, backfilled=True),
        line("4", "music unwanted", pane),  # judged by another, and not taken
    ):
        found = drafter(second=Other()).draft([*same, irregular], 0)
        assert (found.names[:2], found.counts) == ([None, None], None)
    of_two = drafter(second=Other(0.5)).draft([line("0", "music b", pane), same[0]], 0)
    assert (of_two.names[1], of_two.counts) == (None, Counts.of([names_of(first)]))
    assert of_two.names[0].words == {"music"}


def test_what_another_has_no_opinion_of_is_looked_at(decoded):
    found = drafter(second=Other(fails=True)).draft([line("1", "music"), line("2", "jazz")], 0)
    assert [row.verdict for row in found.rows] == [Verdict.MATCHED, Verdict.FILTERED]
    assert decoded == ["1", "1"]  # by the other, and once more


def test_a_post_that_may_bound_a_gap_is_looked_at_whatever_another_says_of_it(decoded):
    desk = drafter("5", 2.0, second=Other())
    items = [GapMark(AT, "lost"), GapMark(AT + 1), line("6", "jazz", AT + 1), line("7", "jazz", AT + 4)]
    found = desk.draft(items, 0)
    assert found.batch.gaps[2:] == [AfterMark("7")]
    assert decoded == ["7"]


def test_another_is_asked_of_lines_only_and_only_when_it_has_a_share():
    other, none = Other(), Other(0.0)
    drafter(second=other).draft([line("1", "music"), GapMark(AT, "lost")], 0)
    assert other.asked[0][1] == b""
    drafter(second=none).draft([line("1", "music")], 0)
    assert none.asked == []


def test_another_is_told_how_many_wait():
    other = Other()
    drafter(second=other).begin([line("1", "music")], 7)
    assert other.shared == [("music", 1, 7)]


def test_whoever_is_forgotten_since_another_was_asked_is_forgotten():
    other = Other()
    desk = drafter(second=other)
    begun = desk.begin([line("1", "music")], 0)
    desk._privacy.tombstones = Gone()
    found = desk.finish(begun, 0)
    assert (found.batch.consumed, found.rows, found.batch.entries) == (1, [], [])
    assert desk.begin([line("1", "music")], 0).own == 1
    assert len(other.asked) == 1  # nobody else is told of people who want to be forgotten


def test_the_forgotten_are_among_the_posts_that_were_asked_for():
    desk = drafter(most=3)
    desk._privacy.tombstones = Gone()
    found = desk.draft([line(id_, "music") for id_ in "12"], 0)
    assert (found.batch.consumed, found.batch.delivered, found.rows, desk.full) == (2, 2, [], False)
    found = desk.draft([line(id_, "music") for id_ in "34"], 0)
    assert (found.batch.consumed, found.batch.delivered, desk.full, desk.left_out) == (1, 1, True, True)


def test_a_draft_is_judged_by_the_topic_with_which_it_began():
    desk = drafter(second=Other(0.5))
    begun = desk.begin([line("1", "music"), line("2", "music")], 0)
    desk.topic = parse_topic("jazz")
    assert [row.matched for row in desk.finish(begun, 0).rows] == [("music",), ("music",)]


def test_the_next_draft_can_begin_when_the_other_has_answered():
    desk = drafter(second=Other(0.5))
    items = [line(id_, "music") for id_ in "1234"]
    later = []
    first = desk.finish(desk.begin(items[:2], 2), 0, lambda: later.append(desk.begin(items[2:], 0)))
    second = desk.finish(later[0], 2)
    assert [row.post.id for row in (*first.rows, *second.rows)] == list("1234")
    assert [row.seq for row in second.rows] == [3, 4]


def test_an_opinion_takes_no_more_than_a_glance():
    judge = Judge.by(parse_topic("music"), glance("x"), quoted=False)
    lines = [line("1", "jazz", size=GLANCED).raw, line("2", "jazz", size=GLANCED + 1).raw, b"", b"{}"]
    assert judge(lines) == ["1", None, None, None]


def test_names_are_those_of_as_much_of_a_post_as_is_shown_whichever_way_it_goes():
    tag = "a" * (GLANCED - 100)  # it is in the text, and among the tags once more: too much to be shown
    monster = line("1", f"music #{tag}")
    assert SURELY_SHOWN <= len(monster.raw) <= GLANCED
    shown = DECODE(monster.raw).within(SHOWN)
    assert shown.tags != (tag,)
    short, long = line("2", "music é"), line("3", "music é", size=GLANCED + 1)
    expected = [names_of(shown), *[names_of(DECODE(short.raw))] * 2]
    assert drafter().draft([monster, short, long], 0).names == expected


def test_an_opinion_heeds_a_quoted_text_when_it_is_to():
    quoted = {"id": "2", "text": "music"}
    references = [{"type": "quoted", "id": "2"}]
    data = {"id": "1", "text": "jazz", "referenced_tweets": references}
    raw = json.dumps({"data": data, "includes": {"tweets": [quoted]}}).encode()
    for heeded, expected in (
        (False, "1"),
        (True, About("1", ("music",), text_hash("jazz"), Names((), (), (), (), {"jazz"}))),
    ):
        judge = Judge.by(parse_topic("music"), glance("x"), quoted=heeded)
        assert judge([raw]) == [expected]
