"""A chunked body gives its content however it is cut on its way, and everything good before whatever goes wrong."""

import http.client
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import DecodeError, ProtocolError
from urllib3.response import GzipDecoder

from core.sources.x.body import ChunkedBody

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
