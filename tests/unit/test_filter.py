"""A filter finds what its reading says, marks what it found, and never hangs, whatever is typed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import QueryError
from core.filter import Mode, Wanted, compile_filter
from core.post import Author, Post


def post(text: str, username: str = "ana_ruiz", name: str = "Ana") -> Post:
    return Post(source="x", id="1", text=text, author=Author(username=username, name=name), lang="es")


@pytest.mark.parametrize(
    ("mode", "wanted", "text", "found"),
    [
        (Mode.TEXT, "bum", "the new Album", True),
        (Mode.TEXT, "NEW ALB", "the new Album", True),
        (Mode.TEXT, "new  alb", "the new Album", False),
        (Mode.TEXT, "@ana", "nothing of her name in it", True),
        (Mode.TEXT, "straße", "STRASSE", True),
        (Mode.TEXT, "(", "a parenthesis ( alone", True),
        (Mode.WORDS, "album NEW", "the new Album", True),
        (Mode.WORDS, "bum", "the new Album", False),
        (Mode.WORDS, "#music", "about #music", True),
        (Mode.WORDS, "#music", "about #musical", False),
        (Mode.WORDS, "c++ (live)", "c++ (live)", True),
        (Mode.REGEX, r"albums?\b", "two ALBUMS", True),
        (Mode.REGEX, r"^two", "two albums", True),
        (Mode.REGEX, r"^albums", "two albums", False),
        (Mode.REGEX, r"(?-i:albums)", "two ALBUMS", False),
        (Mode.QUERY, "from:ana_ruiz", "hola", True),
        (Mode.QUERY, "lang:en", "hola", False),
        (Mode.QUERY, "album -new", "the new album", False),
        (Mode.QUERY, '"new album"', "the new-album", True),
    ],
)  # fmt: skip
def test_each_reading_finds_what_it_says(mode, wanted, text, found):
    assert compile_filter(Wanted(wanted, mode)).matches(post(text)) is found


@pytest.mark.parametrize("mode", Mode)
def test_an_empty_filter_wants_everything_and_marks_nothing(mode):
    everything = compile_filter(Wanted("", mode))
    assert everything.matches(post("anything"))
    assert everything.spans("anything") == []


@pytest.mark.parametrize(
    ("mode", "wanted", "marked"),
    [
        (Mode.TEXT, "mus", ["Mus", "mus"]),
        (Mode.WORDS, "video music", ["Music", "video"]),
        (Mode.REGEX, r"m\w+", ["Music", "music2"]),
        (Mode.REGEX, r"x*", []),
        (Mode.QUERY, "music OR video", ["Music", "video"]),
    ],
)
def test_what_was_found_is_marked(mode, wanted, marked):
    text = "Music video, music2"
    assert [text[start:end] for start, end in compile_filter(Wanted(wanted, mode)).spans(text)] == marked


@pytest.mark.parametrize(
    ("mode", "wanted", "position"), [(Mode.REGEX, "ab(c", 5), (Mode.REGEX, "*", 1), (Mode.QUERY, "(ab", 1)]
)
def test_a_fault_is_told_with_its_place(mode, wanted, position):
    with pytest.raises(QueryError) as fault:
        compile_filter(Wanted(wanted, mode))
    assert fault.value.position == position
    assert fault.value.message


def test_an_expression_that_takes_for_ever_is_given_up_and_says_so():
    evil = compile_filter(Wanted(r"^(\w+\w+)+\d$", Mode.REGEX))
    began = time.monotonic()
    for _ in range(1000):
        evil.matches(post("a" * 5000))
        evil.spans("a" * 5000)
    assert evil.slow
    assert time.monotonic() - began < 30  # without a limit this takes longer than the universe has


@settings(deadline=None)
@given(st.text(max_size=40), st.sampled_from(list(Mode)), st.text(max_size=200))
def test_nothing_that_is_typed_breaks_a_filter(wanted, mode, text):
    try:
        made = compile_filter(Wanted(wanted, mode))
    except QueryError as fault:
        assert 0 <= fault.position <= len(wanted) + 1
        return
    assert isinstance(made.matches(post(text)), bool)
    assert all(0 <= start < end <= len(text) for start, end in made.spans(text))
