"""A chunked body: the lines of chunks taken apart at once are those of chunks taken apart one by one."""

from __future__ import annotations

from collections.abc import Iterator

from urllib3.exceptions import ProtocolError

from core.sources.x.body import ChunkedBody, LineBody
from core.sources.x.framing import Lines

Outcome = tuple[list[bytes], bool, bool]


def at_once(pieces: list[bytes]) -> Outcome:
    """The lines, whether the body ended, and whether it was damaged."""
    body, lines = LineBody(), []
    try:
        for piece in pieces:
            body.feed(piece)
            while (found := body.take()) is not None:
                lines += found
    except ProtocolError:
        return lines, body.ended, True
    return lines, body.ended, False


def one_by_one(pieces: list[bytes]) -> Outcome:
    """The same without the short cut."""
    body, framing, lines = ChunkedBody(), Lines(), []
    try:
        for piece in pieces:
            body.feed(piece)
            while content := body.take():
                lines += framing.feed(content)
    except ProtocolError:
        return lines, body.ended, True
    return lines, body.ended, False


def check(data: bytes) -> None:
    """The first byte says where the cuts are."""
    if not data:
        return
    step, wire = data[0] + 1, data[1:]
    pieces = [wire[start : start + step] for start in range(0, len(wire), step)]
    for cut in (pieces, [wire], [*pieces, b""]):
        assert at_once(cut) == one_by_one(cut)


def seeds() -> Iterator[bytes]:
    """Chunks of one line, of several, of parts, with extensions, and none."""
    yield b"\xff" + b"5\r\n{}\n\r\n\r\n" * 2 + b"4\r\n{}\r\n\r\n" * 3 + b"0\r\n\r\n"
    yield b"\x06" + b"4\r\n{}\r\n\r\n" * 5
    yield b"\xff" + b'A;x="y"\r\n{"data":1\r\n4\r\n}\r\n\n\r\n'
    yield b"\xff" + b"6\r\na\r\nb\r\n\r\n" + b"2\r\n\r\n\r\n" + b"0x4\r\n{}\r\n\r\n"
