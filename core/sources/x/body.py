"""The body of a stream's answer, in pieces as large as they come.

X sends a post in a chunk of its own, and http.client hands over one chunk at a time, at several times the price of
the rest of the reading. Here a chunked body is read as the socket gives it, and its chunks are taken apart many at
a time. A body that is not chunked is read by urllib3. What goes wrong is raised as urllib3 raises it, after all
that was good before it has been handed over.
"""

from __future__ import annotations

import http.client
import re
import zlib
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.exceptions import DecodeError, ProtocolError
from urllib3.response import GzipDecoder

LONGEST_SIZE_LINE = 4096  # bytes of the line that tells a chunk's size, extensions included
_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})\s*(?:;.*)?\r?")


def reader_of(response: urllib3.BaseHTTPResponse, size: int) -> Callable[[], bytes]:
    """A function that gives the next bytes of the content as soon as there are some, and none at the end.

    It asks for up to `size` bytes at a time. It raises what urllib3 raises, and OSError.
    """
    encoding = response.headers.get("content-encoding", "").lower()
    if not getattr(response, "chunked", False) or encoding not in ("", "identity", "gzip"):
        return lambda: response.read1(size, decode_content=True) or b""
    body = ChunkedBody(GzipDecoder() if encoding == "gzip" else None)
    file: Any = response._fp.fp  # type: ignore[attr-defined] # the connection's buffered file, behind the headers

    def read() -> bytes:
        while not (content := body.take()) and not body.ended:
            body.feed(file.read1(size))
        return content

    return read


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
