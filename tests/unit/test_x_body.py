"""A chunked body gives its content however it is cut on its way, and everything good before whatever goes wrong."""

import http.client
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import DecodeError, ProtocolError
from urllib3.response import GzipDecoder

from core.sources.x.body import ChunkedBody, LineBody, PlainBody, one_a_chunk
from core.sources.x.framing import Lines

END = b"0\r\n\r\n"


def chunk(content, extension=b"", line_end=b"\r\n"):
    return b"%x%b%b%b%b" % (len(content), extension, line_end, content, line_end)


def fed(*pieces, decoder=None):
    """What a body gave of these pieces, whether it was all, and what went wrong."""
    body = ChunkedBody(decoder)
    content = b""
    trouble = None
    for piece in pieces:
        body.feed(piece)
        try:
            while part := body.take():
                content += part
        except (ProtocolError, DecodeError) as error:
            trouble = error
            break
    return content, body.ended, trouble


@given(
    st.lists(st.binary(min_size=1, max_size=60), max_size=12),
    st.lists(st.integers(1, 40), min_size=1, max_size=400),
    st.sampled_from([b"", b";a=b", b" ;x"]),
)
def test_content_is_the_same_however_the_bytes_are_cut(contents, cuts, extension):
    wire = b"".join(chunk(content, extension) for content in contents) + END
    pieces, at = [], 0
    while at < len(wire):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(wire[at : at + size])
        at += size
    assert fed(*pieces) == (b"".join(contents), True, None)


def lines_of(*pieces):
    """What a body gives of these pieces, line by line, whether it was all, and what went wrong."""
    body = LineBody()
    lines = []
    try:
        for piece in pieces:
            body.feed(piece)
            while (found := body.take()) is not None:
                lines += found
    except ProtocolError as error:
        return lines, body.ended, str(error)
    return lines, body.ended, None


def lines_one_by_one(*pieces):
    """The same by the chunks' content alone."""
    content, ended, trouble = fed(*pieces)
    return Lines().feed(content), ended, trouble and str(trouble)


POST_CHUNKS = st.lists(
    st.one_of(
        st.binary(max_size=40).map(lambda line: chunk(line.replace(b"\n", b"-") + b"\r\n")),
        st.sampled_from([
            chunk(b"\r\n"), chunk(b"a\r\nb\r\n"), chunk(b"a\nb\r\n"), chunk(b"half "), chunk(b" line\r\n"),
            chunk(b"bare\n"), chunk(b"lf\r\n", line_end=b"\n"), chunk(b"ext\r\n", b";a=b"), chunk(b"\r\r\n"),
            chunk(b"12\r\n34\r\n\r\n"), END,
        ]),
        st.sampled_from([b"0x3\r\na\r\n\r\n", b"zz\r\n", b"+3\r\na\r\n\r\n", b"1_0\r\n", b"4\r\na\r\n\r\n", b"2\r\n"]),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(POST_CHUNKS, st.lists(st.integers(1, 60), min_size=1, max_size=400), st.booleans())
def test_lines_of_chunks_taken_at_once_are_those_of_chunks_taken_one_by_one(chunks, cuts, whole):
    wire = b"".join(chunks)
    pieces, at = [], 0
    while at < len(wire):
        size = len(wire) if whole else cuts[len(pieces) % len(cuts)]
        pieces.append(wire[at : at + size])
        at += size
    assert lines_of(*pieces) == lines_one_by_one(*pieces)
    assert lines_of(*pieces, b"") == lines_one_by_one(*pieces, b"")


def test_posts_in_chunks_of_their_own_are_taken_apart_at_once():
    wire = b"".join(chunk(b"post %d\r\n" % n) for n in range(500))
    lines = [b"post %d" % n for n in range(500)]
    assert one_a_chunk(wire) == (lines, len(wire))
    assert one_a_chunk(wire[:-4]) == (lines[:-1], len(wire) - len(chunk(b"post 499\r\n")))
    assert one_a_chunk(b"12" + wire, 2) == (lines, len(wire) + 2)
    cut = 11 * 13 + 5  # in the middle of a post
    body = LineBody()
    body.feed(wire[:cut])
    first = body.take()
    body.feed(wire[cut:])
    assert first + body.take() == lines


def test_nothing_is_handed_over_before_something_came_and_a_cut_comes_last():
    body = LineBody()
    body.feed(b"5")
    assert body.take() is None
    body.feed(b"\r\nabc")
    assert body.take() == []
    body.feed(b"\r\n\r\n" + chunk(b"d\r\n") + b"zz\r\n")
    assert body.take() == [b"abc", b"d"]
    with pytest.raises(ProtocolError):
        body.take()


def test_many_chunks_come_in_one_piece():
    body = ChunkedBody()
    body.feed(b"".join(chunk(b"post %d\r\n" % n) for n in range(500)))
    assert body.take() == b"".join(b"post %d\r\n" % n for n in range(500))
    assert not body.ended


def test_sizes_in_capitals_and_bare_line_feeds_are_read():
    assert fed(b"A\r\n0123456789\r\n") == (b"0123456789", False, None)
    assert fed(chunk(b"abc", line_end=b"\n")) == (b"abc", False, None)


@pytest.mark.parametrize("wire", [b"", b"3", b"3\r\n", b"5\r\nab", b"2\r\nab", b"2\r\nab\r"])
def test_an_end_before_the_last_chunk_is_a_cut(wire):
    content, ended, trouble = fed(chunk(b"whole"), *([wire] if wire else []), b"")
    assert content.startswith(b"whole")
    assert isinstance(trouble, ProtocolError)
    assert isinstance(trouble.args[1], http.client.IncompleteRead)
    assert not ended


NO_CHUNKS = {
    "no number": b"zz\r\nab\r\n", "negative": b"-5\r\n", "prefix": b"0x5\r\n", "underscore": b"1_0\r\n",
    "nothing": b"\r\n", "space": b" 5\r\n", "too long": b"2\r\nabX\r\n", "huge": b"f" * 17 + b"\r\n",
    "no end": b"9" * 5000,
}  # fmt: skip


@pytest.mark.parametrize("wire", NO_CHUNKS.values(), ids=NO_CHUNKS)
def test_what_is_no_chunk_ends_it_after_what_was_good(wire):
    content, _, trouble = fed(chunk(b"good"), wire + chunk(b"never"))
    assert content in (b"good", b"goodab")
    assert isinstance(trouble, ProtocolError)


def test_nothing_behind_the_last_chunk_is_content():
    assert fed(chunk(b"all") + END + b"5\r\nother\r\n") == (b"all", True, None)


def test_compressed_chunks_are_read_one_by_one_so_that_damage_takes_nothing_before_it():
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(b"post %d\r\n" % n) + packer.flush(zlib.Z_SYNC_FLUSH) for n in range(5)]
    wire = b"".join(map(chunk, packed[:3])) + chunk(b"\xff" * len(packed[3])) + chunk(packed[4])
    content, _, trouble = fed(wire, decoder=GzipDecoder())
    assert content == b"post 0\r\npost 1\r\npost 2\r\n"
    assert isinstance(trouble, DecodeError)


@pytest.mark.parametrize("rest", [b"5", b"5\r\n", b"5\r\nabc", chunk(b"abc"), chunk(b"abc\r\n")[:-1]])
def test_a_body_is_midway_as_long_as_a_chunk_or_a_line_in_it_has_not_ended(rest):
    body = LineBody()
    assert not body.midway
    body.feed(chunk(b"post\r\n") + rest)
    assert body.take()[0] == b"post"
    assert body.midway
    body.feed(chunk(b"line\r\n") if rest == chunk(b"abc") else chunk(b"abc\r\n")[len(rest) :])
    body.take()
    assert not body.midway


def test_content_without_chunks_becomes_lines_and_ends_with_it():
    body = PlainBody()
    assert (body.take(), body.midway, body.ended) == (None, False, False)
    body.feed(b"one\r\ntw")
    assert (body.take(), body.take(), body.midway) == ([b"one"], None, True)
    body.feed(b"o\r\n")
    assert (body.take(), body.midway) == ([b"two"], False)
    body.feed(b"")
    assert (body.take(), body.ended) == (None, True)
