"""The lines of a stream's answer, as many at a time as have come.

X sends a post in a chunk of its own, and http.client hands over one chunk at a time, at several times the price of
the rest of the reading. Here a chunked body is read as the socket gives it. Chunks of one line each are taken
apart all at once; all others, and those that a read has cut, one by one. A body that is not chunked is read by
urllib3. What goes wrong is raised as urllib3 raises it, after all that was good before it has been handed over.
"""

from __future__ import annotations

import http.client
import re
import zlib
from functools import lru_cache, partial
from typing import Any

import urllib3
from urllib3.exceptions import DecodeError, ProtocolError
from urllib3.response import GzipDecoder

from core.sources.x.framing import Lines

LONGEST_SIZE_LINE = 4096  # bytes of the line that tells a chunk's size, extensions included
MOST_DIGITS = 16  # of a chunk's size
_DIGITS = re.compile(rb"[0-9a-fA-F]+")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})\s*(?:;.*)?\r?")


class LineReader:
    """Reads an answer of which nothing was read, up to `size` bytes at a time."""

    def __init__(self, response: urllib3.BaseHTTPResponse, size: int) -> None:
        encoding = response.headers.get("content-encoding", "").lower()
        self._body: LineBody | PlainBody
        if getattr(response, "chunked", False) and encoding in ("", "identity", "gzip"):
            file: Any = response._fp.fp  # type: ignore[attr-defined] # the connection's file, behind the headers
            self._some = partial(file.read1, size)
            self._body = LineBody(GzipDecoder() if encoding == "gzip" else None)
        else:
            self._some = partial(response.read1, size, decode_content=True)
            self._body = PlainBody()

    @property
    def midway(self) -> bool:
        """Whether something was read that ends no line yet."""
        return self._body.midway

    def read(self) -> list[bytes] | None:
        """The lines that have ended since the last call, as soon as bytes come; None at the end.

        The list is empty when what came ended no line. Raises what urllib3 raises, and OSError.
        """
        body = self._body
        while (found := body.take()) is None and not body.ended:
            body.feed(self._some())
        return found


class PlainBody:
    """Content on its way in, lines on their way out. `ended` when there is no more."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._found: list[bytes] | None = None
        self.ended = False

    @property
    def midway(self) -> bool:
        """Whether a line has begun."""
        return self._lines.midway

    def feed(self, content: bytes) -> None:
        """Content as it came; none at the end. Then `take`."""
        if content:
            self._found = self._lines.feed(content)
        else:
            self.ended = True

    def take(self) -> list[bytes] | None:
        """The lines that have ended; None when no content came."""
        found, self._found = self._found, None
        return found


class LineBody:
    """Chunks on their way in, lines on their way out. `ended` when the last chunk came and all was taken."""

    def __init__(self, decoder: GzipDecoder | None = None) -> None:
        self._body = ChunkedBody(decoder)
        self._lines = Lines()
        self._whole: list[bytes] | None = None  # lines of whole chunks that are not taken yet
        self._at_once = decoder is None

    @property
    def ended(self) -> bool:
        """Whether the body is complete and taken."""
        return self._body.ended and self._whole is None

    @property
    def midway(self) -> bool:
        """Whether a line or a chunk has begun."""
        return self._lines.midway or self._body.missing != 0

    def feed(self, raw: bytes) -> None:
        """Bytes as they came from the socket; none when the other side has closed it. Then `take`."""
        missing = self._body.missing
        if not self._at_once or missing is None or missing >= len(raw):
            self._body.feed(raw)
            return
        lines: list[bytes] = []
        if missing:
            self._body.feed(raw[:missing])
            lines = self._lines.feed(self._body.take())
        if self._body.missing == 0 and self._lines.idle:
            found, missing = one_a_chunk(raw, missing)
            lines += found
        if missing:
            self._whole = lines
        if missing < len(raw):
            self._body.feed(raw[missing:])

    def take(self) -> list[bytes] | None:
        """The lines that have ended, None when no content came. Raises what went wrong after what was good."""
        found, self._whole = self._whole, None
        if (found is None or self._body.filled) and (content := self._body.take()):
            return [*(found or ()), *self._lines.feed(content)]
        return found


def one_a_chunk(raw: bytes, at: int = 0) -> tuple[list[bytes], int]:
    """The lines of the chunks from `at` on, as long as each holds one line, and where the others begin."""
    lines = []
    find = raw.find
    while (line_end := find(b"\r\n", at, at + MOST_DIGITS)) > at:
        start = line_end + 2
        end = start + _size_of(raw[at:line_end]) - 2
        if raw[end : end + 4] != b"\r\n\r\n" or end < start or find(b"\n", start, end) >= 0:
            break
        lines.append(raw[start:end])
        at = end + 4
    return lines, at


@lru_cache(maxsize=10_000)  # chunks are of similar sizes
def _size_of(digits: bytes) -> int:
    """The size of a chunk as it is written there; 0 for what is unusual, extensions for one."""
    return int(digits, 16) if _DIGITS.fullmatch(digits) else 0


class ChunkedBody:
    """Chunks on their way in, content on its way out. `ended` when the last chunk came and all was taken."""

    def __init__(self, decoder: GzipDecoder | None = None) -> None:
        self._decoder = decoder
        self._rest = b""  # of a size line that is not complete
        self._left = 0  # bytes of the current chunk that are still to come
        self._closing = False  # the line end behind a chunk's content is still to come
        self._content: list[bytes] = []
        self._trouble: Exception | None = None
        self._last = False

    @property
    def ended(self) -> bool:
        """Whether the body is complete and taken."""
        return self._last and not self._content

    @property
    def filled(self) -> bool:
        """Whether there is content to take."""
        return bool(self._content)

    @property
    def missing(self) -> int | None:
        """The bytes until the end of the chunk that has begun, its line end included; None: nobody knows yet."""
        if self._rest or self._closing or self._trouble is not None or self._last:
            return None
        return self._left + 2 if self._left else 0

    def take(self) -> bytes:
        """The content so far. Raises what went wrong, once everything before it was taken."""
        if self._content:
            content = b"".join(self._content)
            self._content.clear()
            return content
        if self._trouble is not None:
            raise self._trouble
        return b""

    def feed(self, raw: bytes) -> None:
        """Bytes as they came from the socket; none when the other side has closed it."""
        if not raw:
            self._trouble = _broken()
            return
        data, at, end = self._rest + raw, 0, len(self._rest) + len(raw)
        self._rest = b""
        while at < end and self._trouble is None and not self._last:
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self._closing = not self._left
                self._keep(piece)
                continue
            line_end = data.find(b"\n", at)
            if line_end < 0:
                self._rest = data[at:]
                if len(self._rest) > LONGEST_SIZE_LINE:
                    self._trouble = _broken()
                return
            size = self._size(data[at:line_end])
            at = line_end + 1
            if size and data[at + size : at + size + 2] == b"\r\n":  # a whole chunk: the usual case, in one step
                self._keep(data[at : at + size])
                at += size + 2
            else:
                self._left = size

    def _size(self, line: bytes) -> int:
        """The size of the chunk that begins behind that line; 0 when none does."""
        if self._closing:
            self._closing = False
            if line not in (b"\r", b""):
                self._trouble = _broken()
            return 0
        found = _SIZE.fullmatch(line)
        if found is None:
            self._trouble = _broken()
            return 0
        size = int(found[1], 16)
        self._last = not size
        return size

    def _keep(self, piece: bytes) -> None:
        if self._decoder is None:
            self._content.append(piece)
            return
        try:
            content = self._decoder.decompress(piece)
        except zlib.error as error:
            self._trouble = DecodeError("the compressed stream is damaged", error)
            return
        if content:
            self._content.append(content)


def _broken() -> ProtocolError:
    return ProtocolError("the connection was cut in mid-stream", http.client.IncompleteRead(b""))
