"""Words: what the tokenizer's tokens come to, and what does not depend on them."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.query import text as words_of_text
from core.query.text import (
    PIECE,
    alone_in_ascii,
    normalise,
    parts,
    parts_in,
    surely_lacks,
    units,
    word_pattern,
    words,
    words_in,
)
from core.utf8 import lowered
from tests.unit.test_query_match import TEXTS


@settings(max_examples=800, deadline=None)
@given(TEXTS)
def test_the_words_are_the_runs_of_word_characters_whatever_the_tokens_are(text):
    normal = normalise(text)
    assert [unit.text for unit in units(normal, everywhere=True) if words(unit.text)] == words(normal)


@settings(max_examples=800, deadline=None)
@given(TEXTS)
def test_sparing_the_tokenizer_changes_no_unit(text):
    normal = normalise(text)
    found = units(normal)
    assert found == units(normal, everywhere=True)
    assert all(normal[unit.start : unit.end] == unit.text for unit in found)


@settings(max_examples=500, deadline=None)
@given(TEXTS, TEXTS)
def test_texts_can_be_normalised_together(one, other):
    assert normalise(f"{one}\n{other}") == f"{normalise(one)}\n{normalise(other)}"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_the_short_cut_for_ascii_is_the_whole_rule(text):
    assert normalise(text) == unicodedata.normalize("NFKC", text).casefold()


def by_the_whole_rule(text):
    """`normalise` without its short cuts, for a text that is no flood of marks."""
    text = re.sub("[\u2120\u2122\u2800]", " ", words_of_text._INVISIBLE.sub("", text))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@settings(max_examples=800, deadline=None)
@given(TEXTS)
def test_the_short_cuts_for_other_texts_are_the_whole_rule(text):
    assert normalise(text) == by_the_whole_rule(text)


def test_what_counts_as_settled_only_turns_into_lower_case_whatever_stands_beside_it():
    settled = [
        char for char in map(chr, range(128, sys.maxunicode + 1)) if not words_of_text._UNSETTLED.match(char)
    ]
    assert len(settled) > 30_000
    assert set("éÉñžıЖжאش漢かカ한🎵🫠—’“🇨") <= set(settled)
    assert not set("ßſς…？ﬁ™ª²ａ\u200d\ufe0f\u0301") & set(settled)
    pairs = (unicodedata.decomposition(char).split() for char in map(chr, range(sys.maxunicode + 1)))
    joins = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and pair[0][0] != "<"}
    assert not joins & set(settled)
    for char in settled:
        assert by_the_whole_rule(f"a{char}{char}A") == f"a{char}{char}A".lower(), hex(ord(char))


def test_every_mark_belongs_to_its_word():
    marks = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code))[0] == "M"]
    assert len(marks) > 2000
    assert not [mark for mark in marks if not word_pattern().fullmatch("a" + mark)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("love https://x.com/a?b=1, music", ["love", "", "https", "x", "com", "a", "b", "1", "", "music"]),
        ("x.com/abc", ["", "x", "com", "abc"]),
        ("song.love it", ["song", "love", "it"]),
        ("8dhttp://x.com", ["8dhttp", "x", "com"]),
        ("<https://x.com>", ["https", "x", "com"]),
        ("👍🏽👍🎵🎵 🇨🇦", ["👍🏽", "👍", "🎵", "🎵", "🇨🇦"]),
        ("a🎵b", ["a", "🎵", "b"]),
        ("http://x.com/🎵🎵 a", ["", "http", "x", "com", "🎵", "🎵", "", "a"]),
        ("https://x.com/" + "a" * (2 * PIECE), ["", "https", "x", "com", "a" * (2 * PIECE)]),
    ],
)
def test_units(text, expected):
    assert [unit.text for unit in units(normalise(text))] == expected


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("Coca-Cola", ("coca", "cola")),
        ("https://x.com/a b", ("https", "x", "com", "a", "b")),
        ("👩‍🎤", ("👩", "🎤")),
        ("?!", ()),
    ],
)
def test_parts_of_a_term(term, expected):
    assert parts(term) == expected


def lacks(text, sieve):
    return surely_lacks(text, lowered(text), sieve)


def test_no_character_turns_into_ascii_unnoticed():
    """Every character there is, between letters: whatever becomes a letter of ASCII, or nothing, is noticed."""
    for char in map(chr, range(0x80, 0x110000)):
        if unicodedata.category(char) in ("Cn", "Co", "Cs"):
            continue
        normal = normalise(char)
        made = "".join(letter for letter in normal if letter.isascii() and (letter.isalnum() or letter == "_"))
        assert not made or not lacks(f" {char} ", parts_in([made.encode()])), hex(ord(char))
        assert normal or not lacks(f"a{char}b", parts_in([b"ab"])), hex(ord(char))


NEEDLES = st.lists(
    st.sampled_from(["music", "s", "mu", "fi", "k", "1", "ss", "i", "_", "rock"]), min_size=1, max_size=3
)
ODD = st.text(alphabet="mMuUsSiIcC ſßＭＵﬁ\u200d\ufe0f\u00ad❤️🎵Kİı²½ⅷ\u0301\u0307é™́", max_size=12)


@settings(max_examples=1500, deadline=None)
@given(st.one_of(TEXTS, ODD), NEEDLES)
def test_what_is_said_to_lack_the_needles_lacks_them(text, needles):
    if lacks(text, parts_in([needle.encode() for needle in needles])):
        assert not any(needle in normalise(text) for needle in needles)


@settings(max_examples=1500, deadline=None)
@given(st.one_of(TEXTS, ODD, st.text(alphabet="mus_1 é#.\u0301\u0338", max_size=12)), NEEDLES)
def test_what_is_said_to_stand_alone_is_a_word(text, needles):
    low, found = lowered(text), words(normalise(text))
    for needle in needles:
        if alone_in_ascii(needle).search(low):
            assert needle in found


def test_nothing_that_follows_a_sign_of_ascii_makes_it_part_of_the_word_before():
    signs = [chr(code) for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")]
    marks = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code))[0] == "M"]
    for sign in signs:
        together = normalise("".join(f"x{sign}{mark}\n" for mark in marks))
        assert words(together).count("x") == len(marks), hex(ord(sign))


def test_a_word_alone_is_found_between_signs_of_ascii_only():
    pattern = alone_in_ascii("music")
    for text in ("music", "MUSIC", "the music", "#music.", "é music é", "a\nmusic\nb"):
        assert pattern.search(lowered(text)), text
    for text in ("musical", "newmusic", "music_", "_music", "2music", "music2", "musicé", "émusic", "music\u0301",
                 "music\u200bal", "\u200bmusic", "musi\u0441", ""):  # fmt: skip
        assert not pattern.search(lowered(text)), text
    assert alone_in_ascii("música") is None
    assert alone_in_ascii("") is None


@settings(max_examples=800, deadline=None)
@given(st.one_of(TEXTS, ODD, st.text(alphabet="mus_1 é#", max_size=12)), NEEDLES)
def test_words_are_found_one_by_one_and_all_at_once_alike(text, needles):
    low = lowered(text)
    wanted = [needle.encode() for needle in needles]
    found = words_in(wanted, at_once=True)(low)
    assert found == words_in(wanted, at_once=False)(low)
    assert found == any(word in needles for word in re.findall("[a-z0-9_]+", low.decode("utf-8", "surrogatepass")))


def test_usual_texts_are_known_to_lack_a_word_without_being_normalised():
    for text in (
        "plain words",
        "Émile dort 💜 à Paris…",
        "❤️ l’été",
        "ジャスティン が来る！",
        "«да» — хорошо",
        "왜 이렇게 좋아",
    ):
        assert lacks(text, parts_in([b"music"]))
    for text in ("MUSIC", "#newmusic", "ｍｕｓｉｃ", "mu\u200bsic", "𝓶usic"):
        assert not lacks(text, parts_in([b"music"]))
