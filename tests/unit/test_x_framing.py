"""Bytes into lines, however they are cut."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.sources.x.framing import Lines

_pieces = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"{}", b"\xf0\x9f", b"\x8e\xb5", b"\xe2\x80\xa8", b"x"])
)


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@settings(deadline=None)
@given(pieces=_pieces, places=st.lists(st.integers(0, 1000), max_size=30))
def test_lines_are_the_same_however_the_bytes_are_cut_into_chunks(pieces, places):
    data = b"".join(pieces)
    lines = Lines()
    collected = [line for chunk in _cut(data, places) for line in lines.feed(chunk)]
    assert collected == [line.removesuffix(b"\r") for line in data.split(b"\n")[:-1]]


def test_it_knows_whether_a_line_has_begun():
    lines = Lines(longest=3, kept=3)
    assert not lines.midway
    for data, midway in ((b"a", True), (b"b\r", True), (b"\n", False), (b"a\nb", True), (b"\n\n", False)):
        lines.feed(data)
        assert lines.midway is midway
    assert lines.feed(b"too long") == [b"too"]  # handed out: what follows of it never is
    assert not lines.midway


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_cr_and_lf_in_two_chunks_end_one_line(size):
    data = b'{"a":1}\r\n\r\n{"b":2}\r\n'
    lines = Lines()
    collected = [line for at in range(0, len(data), size) for line in lines.feed(data[at : at + size])]
    assert collected == [b'{"a":1}', b"", b'{"b":2}']


def test_a_bare_line_feed_is_a_keep_alive():
    assert Lines().feed(b"\n") == [b""]


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\r"])
def test_what_unicode_calls_a_line_end_ends_no_line(text):
    assert Lines().feed(f"a{text}b\r\n".encode()) == [f"a{text}b".encode()]


def test_a_character_that_is_cut_by_a_chunk_is_whole_in_its_line():
    lines = Lines()
    music = "🎵".encode()
    assert lines.feed(b"a" + music[:2]) == []
    assert lines.feed(music[2:] + b"\r\n") == [b"a" + music]


def test_a_line_without_its_end_is_not_handed_out():
    lines = Lines()
    assert lines.feed(b"whole\r\nhal") == [b"whole"]
    assert lines.feed(b"") == []


def test_a_line_that_is_too_long_is_handed_out_once_and_cut_and_the_next_is_whole():
    lines = Lines(longest=100, kept=10)
    collected = []
    for _ in range(50):
        collected += lines.feed(b"x" * 20)
    collected += lines.feed(b"tail\r\nnext\r\n")
    assert collected == [b"x" * 10, b"next"]


@pytest.mark.parametrize(
    "before", [b"sh" + b"ort\n", b"x" * 101 + b"tail\n"], ids=["a short line", "a line too long"]
)
def test_a_line_in_pieces_is_whole_up_to_the_limit_whatever_was_before_it(before):
    lines = Lines(longest=100, kept=50)
    for at in range(0, len(before), 2):
        lines.feed(before[at : at + 2])
    pieces = [b"a" * 40, b"b" * 40, b"c" * 20, b"\nne", b"xt\n"]
    assert [line for piece in pieces for line in lines.feed(piece)] == [b"".join(pieces[:3]), b"next"]


def test_what_is_kept_of_a_line_too_long_is_its_beginning_piece_by_piece():
    lines = Lines(longest=100, kept=50)
    pieces = [b"a" * 40, b"b" * 40, b"c" * 40, b"d" * 40]
    assert [line for piece in pieces for line in lines.feed(piece)] == [b"a" * 40 + b"b" * 10]


def test_a_line_of_exactly_the_limit_is_whole():
    assert Lines(longest=100, kept=10).feed(b"x" * 99 + b"\n") == [b"x" * 99]
    lines = Lines(longest=100, kept=10)
    assert [*lines.feed(b"x" * 100), *lines.feed(b"\n")] == [b"x" * 100]


def test_endless_bytes_without_a_line_end_are_not_kept():
    lines = Lines(longest=1000, kept=10)
    handed = [line for _ in range(1000) for line in lines.feed(b"x" * 1000)]
    assert handed == [b"x" * 10]
    assert lines.feed(b"\nok\n") == [b"ok"]


def test_the_time_is_linear_in_the_bytes_of_a_long_line():
    def seconds(chunks: int) -> float:
        lines, started = Lines(), time.process_time()
        for _ in range(chunks):
            lines.feed(b"x" * 64)
        assert len(lines.feed(b"\n")[0]) == chunks * 64
        return time.process_time() - started

    # Eight times the bytes would take 64 times as long if it were quadratic; the slack is for a busy machine.
    few = min(seconds(20_000) for _ in range(3))
    assert min(seconds(160_000) for _ in range(3)) < few * 8 * 4 + 0.5
