"""Bytes cut anywhere into lines: the same lines as of the whole, each once."""

from __future__ import annotations

from collections.abc import Iterator

from core.sources.x.framing import Lines


def cut(chunks: list[bytes], longest: int, kept: int) -> list[bytes]:
    """The lines of chunks."""
    framing = Lines(longest, kept)
    return [line for chunk in chunks for line in framing.feed(chunk)]


def same_lines(chunks: list[bytes], longest: int, kept: int) -> None:
    """What was sent is handed out, whatever the cuts; a line beyond `longest` is cut to `kept` or more, once."""
    body = b"".join(chunks)
    *sent, rest = body.split(b"\n")
    got = cut(chunks, longest, kept)
    if len(rest) > longest:
        sent.append(rest)
    assert len(got) == len(sent)
    for mine, bare in zip(got, sent, strict=True):
        whole = bare.removesuffix(b"\r") if len(bare) <= longest else bare
        assert mine == whole or (len(whole) > longest and whole.startswith(mine))
        assert len(mine) >= min(len(whole), kept, longest)


def check(data: bytes) -> None:
    """The first bytes say how long a line may be and where the cuts are."""
    if len(data) < 2:
        return
    longest, step, body = data[0] + 1, data[1] + 1, data[2:]
    same_lines([body[start : start + step] for start in range(0, len(body), step)], longest, longest // 2)


def seeds() -> Iterator[bytes]:
    """Short and long lines."""
    yield b'\x50\x03{"data":{}}\r\n\r\n{"data":\n\n'
    yield b"\x05\x02" + b"0123456789\n" * 3 + b"\r\r\n"
    yield b"\xff\xff" + b"a" * 600 + b"\r\nb\n"
