"""Just enough HTTP/1.1 for a server of one's own: reading a request, writing an answer.

Hand-written because the stream must be able to break every rule of framing on demand.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 4 * 1024 * 1024
JSON_TYPE = "application/json; charset=utf-8"


class BadRequest(Exception):
    """What came is no HTTP request that this server understands."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def bearer(self) -> str:
        """The bearer token, or an empty string."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""

    @property
    def basic(self) -> tuple[str, str]:
        """Name and password of Basic authentication; empty strings without."""
        kind, _, coded = self.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return "", ""
        try:
            name, _, password = base64.b64decode(coded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return name, password


@dataclass(frozen=True, slots=True)
class Response:
    """One answer with a body of known length."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE

    @classmethod
    def json(cls, status: int, answer: Any, headers: Mapping[str, str] | None = None) -> Response:
        """An answer in JSON."""
        return cls(status, json.dumps(answer, ensure_ascii=False).encode(), dict(headers or {}))

    def encode(self, *, close: bool = False) -> bytes:
        """The bytes of the whole answer."""
        headers = {"content-type": self.content_type, "content-length": str(len(self.body)), **self.headers}
        if close:
            headers["connection"] = "close"
        return head(self.status, headers) + self.body


def head(status: int, headers: Mapping[str, str], version: str = "HTTP/1.1") -> bytes:
    """Status line and headers, with the empty line."""
    lines = [
        f"{version} {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request, or None when the client is done. Raises BadRequest."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BadRequest("the connection ended within a request's headers") from None
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest("the headers are too long") from None
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(f"this is no request line: {first[:80]!r}")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > BODY_LIMIT:
        raise BadRequest("the body's length is missing, wrong or too large")
    try:
        body = await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        raise BadRequest("the connection ended within a request's body") from None
    target = urlsplit(parts[1])
    return Request(parts[0], target.path, dict(parse_qsl(target.query, keep_blank_values=True)), headers, body)
