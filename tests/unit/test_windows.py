"""The window counts exactly the matched posts of its hour, whatever their order, and forgets the others."""

from __future__ import annotations

from collections import Counter
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import windows
from core.post import Author, Post
from core.windows import KINDS, LENGTH, SLIDE, Counts, Windows, names_of
from tests.strategies import TEXTS

T0 = 1_793_491_200.0  # a whole number of panes


def post(number=0, *, tags=(), author="ana", links=(), lang="en", text="hello world"):
    return Post(
        source="x",
        id=str(number),
        text=text,
        author=Author(username=author),
        tags=tuple(tags),
        links=tuple(links),
        lang=lang,
    )


def tops(window, kind):
    found = next(top for top in window.tops if top.kind == kind)
    return dict(found.names)


def look(counted: Windows, now: float):
    for kind in KINDS:  # what is added up all along is what the panes add up to
        closed = sum((pane.names[kind] for pane in list(counted._panes)[:-1]), Counter())
        assert counted._closed[kind] == closed
    counted._viewed_at = float("-inf")
    counted.refresh(now)
    return counted.view


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-5000, 5000), st.sampled_from("abcdef")), max_size=200))
def test_it_counts_what_a_plain_count_of_the_same_hour_counts(arrivals):
    counted = Windows(T0)
    newest = max((at for at, _ in arrivals), default=0)
    for at, tag in arrivals:
        counted.add(names_of(post(tags=[tag])), T0 + at)
    window = look(counted, T0 + newest)
    assert window.length == LENGTH
    inside = [(at, tag) for at, tag in arrivals if T0 + at >= window.start]
    # A post that was late for its pane when a newer one had already moved the window on is not in it.
    assert window.posts == len(inside)
    assert tops(window, "tags") == Counter(f"#{tag}" for _, tag in inside)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5000, 5000), st.sampled_from("abcdefgh"), st.text("abc ", max_size=9))),
    st.integers(1, 40),
)
def test_many_at_once_count_as_they_do_one_by_one_also_where_names_are_let_go(arrivals, together):
    posts = [
        (names_of(post(tags=[tag, "x"], author=tag * 2, links=[text], text=text)), T0 + at)
        for at, tag, text in arrivals
    ]
    with mock.patch.object(windows, "PANE_NAMES", 4):
        alone, at_once = Windows(T0), Windows(T0)
        for one, at in posts:
            alone.add(one, at)
        for start in range(0, len(posts), together):
            at_once.add_all(posts[start : start + together])
        newest = max((at for _, at in posts), default=T0)
        assert look(at_once, newest) == look(alone, newest)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-5000, 5000),
            st.lists(st.tuples(st.sampled_from("abcdefgh"), st.text("abc ", max_size=9)), max_size=9),
            st.integers(0, 9),
        )
    )
)
@example([(0, [("a", "")], 0), (3600, [("a", "bb bc"), ("a", "aaa ac"), ("a", "aa ab ba")], 0)])
def test_posts_counted_together_count_as_they_do_one_by_one_also_without_some(chunks):
    with mock.patch.object(windows, "PANE_NAMES", 6):
        alone, together = Windows(T0), Windows(T0)
        for at, told, repeated in chunks:
            posts = [names_of(post(tags=[tag, "x"], author=tag, links=[text], text=text)) for tag, text in told]
            left = posts[repeated:]
            for one in left:
                alone.add(one, T0 + at)
            counts = Counts.of(posts).without(posts[:repeated])
            assert counts == Counts.of(left)
            if not left:
                continue
            before = look(together, T0 + at)  # the window moves on, whether there is room or not
            if not together.add_counts(counts, T0 + at):
                assert look(together, T0 + at) == before
                together.add_all([(one, T0 + at) for one in left])
        newest = T0 + max((at for at, *_ in chunks), default=0)
        assert look(together, newest) == look(alone, newest)


def test_it_slides_by_five_minutes_and_ends_empty():
    counted = Windows(T0)
    counted.add(names_of(post(tags=["a"])), T0 + 10)
    counted.add(names_of(post(tags=["b"])), T0 + 400)
    assert look(counted, T0 + LENGTH - 1).posts == 2
    assert tops(look(counted, T0 + LENGTH + 1), "tags") == {"#b": 1}
    assert look(counted, T0 + LENGTH + SLIDE + 1).posts == 0
    assert all(not top.names for top in counted.view.tops)
    assert not any(counted._closed.values())


def test_each_kind_is_counted_once_a_post():
    counted = Windows(T0)
    counted.ignore(['"justin bieber"', "music OR #music"])
    text = "The music of Justin Bieber: tour tour tour https://t.co/abc #tour @ana l'été música 2026"
    counted.add(names_of(post(tags=["Tour", "tour"], links=["https://e.org/1", "https://e.org/1"], text=text)), T0)
    view = look(counted, T0)
    assert tops(view, "tags") == {"#tour": 1}
    assert tops(view, "authors") == {"@ana": 1}
    assert tops(view, "links") == {"https://e.org/1": 1}
    assert tops(view, "languages") == {"en": 1}
    assert tops(view, "words") == {"tour": 1, "l'été": 1, "música": 1}
    assert [top.kind for top in view.tops] == list(KINDS)


def test_the_commonest_come_first_and_equal_ones_keep_their_order():
    counted = Windows(T0)
    for number, name in enumerate("aabbcdd"):
        counted.add(names_of(post(number, author=name)), T0 + number)
    first = look(counted, T0 + 10).tops[1].names
    assert [count for _, count in first] == [2, 2, 2, 1]
    assert look(counted, T0 + 11).tops[1].names == first


def test_too_many_names_are_let_go_and_it_says_so(monkeypatch):
    monkeypatch.setattr(windows, "PANE_NAMES", 100)
    counted = Windows(T0)
    for number in range(1000):
        counted.add(names_of(post(number, author=f"once{number}", tags=["often"])), T0)
        counted.add(names_of(post(number, author="often")), T0)
    view = look(counted, T0)
    authors = next(top for top in view.tops if top.kind == "authors")
    assert authors.names[0] == ("@often", 1000)
    assert not authors.exact
    assert next(top for top in view.tops if top.kind == "tags").exact
    assert len(counted._panes[-1].names["authors"]) + len(counted._closed["authors"]) <= 101
    assert look(counted, T0 + 2 * LENGTH).tops[1].exact


@settings(max_examples=500, deadline=None)
@given(st.one_of(TEXTS, st.text("aB'’_1é#@ \t\u2003\u001cİ:/.", max_size=90)))
def test_the_words_of_a_text_are_those_of_its_runs(text):
    folded = text.replace("İ", "i").casefold()
    spoken = set(windows._PROSE.findall(folded)) - windows._SILENT
    for _ in range(2):  # as it is read, and as it is remembered
        assert names_of(post(text=text)).words == spoken


def test_what_is_remembered_is_bounded(monkeypatch):
    known = windows._Known()
    monkeypatch.setattr(windows, "_word", known.__getitem__)
    monkeypatch.setattr(windows, "KNOWN", 3)
    long = "b" * windows.KNOWN_LENGTH
    assert names_of(post(text=f"aa, {long} {long}b the")).words == {"aa", long, f"{long}b"}
    assert known == {b"aa,": "aa", long.encode(): long, b"the": ""}
    assert names_of(post(text="aa, cc")).words == {"aa", "cc"}
    assert known == {b"cc": "cc"}


def test_a_view_is_made_every_five_seconds_at_most():
    counted = Windows(T0)
    counted.refresh(T0)
    before = counted.view
    counted.add(names_of(post()), T0)
    counted.refresh(T0 + 4.9)
    assert counted.view is before
    counted.refresh(T0 + 5.0)
    assert counted.view.posts == 1
    counted.refresh(T0 - 100)  # a clock that was set back does not hold it up
    assert counted.view is not before
