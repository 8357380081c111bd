"""Bytes into lines."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from core.sources.x.framing import Lines


@given(
    st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))), st.data()
)
def test_lines_are_the_same_however_the_bytes_are_cut(lines, data):
    body = b"".join(line + data.draw(st.sampled_from([b"\n", b"\r\n"])) for line in lines) + b"half a line"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    framing = Lines()
    got = [line for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) for line in framing.feed(body[a:b])]
    assert got == lines


def test_only_a_line_feed_ends_a_line():
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\rg".encode()
    assert Lines().feed(text + b"\r\n") == [text]


def test_a_line_in_a_million_pieces_takes_linear_time():
    framing, started = Lines(), time.monotonic()
    for _ in range(1_000_000):
        assert not framing.feed(b"12345")
    assert [len(line) for line in framing.feed(b"\n")] == [5_000_000]
    assert time.monotonic() - started < 30  # quadratic would be hours


def test_a_line_that_is_too_long_is_handed_out_once_cut_and_the_next_is_whole():
    framing = Lines(longest=100, kept=10)
    got = [line for _ in range(50) for line in framing.feed(b"0123456789")]
    got += framing.feed(b"the end\r\nnext\r\n")
    assert got == [b"0123456789", b"next"]


def test_an_endless_line_takes_bounded_memory():
    framing = Lines(longest=1000, kept=10)
    for _ in range(10_000):
        framing.feed(b"x" * 100)
    assert sum(map(len, framing._parts)) <= 1000
