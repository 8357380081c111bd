"""A line that may be an error object of X, and the same bytes as the body of an answer, a token, or rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from core.errors import QueryError, SourceRefused
from core.secret import SecretStr
from core.settings import XSettings
from core.sources.x.answers import Ending, Failed, in_stream, of_http, rate_limit
from core.sources.x.auth import Credentials
from core.sources.x.rules import listed, reconcile
from core.sources.x.stream import Answer


def is_control(value: Any) -> bool:
    """The rule of what is an error object, in plain words, for a JSON value."""
    if not isinstance(value, dict):
        return False

    def holds(name: str) -> bool:
        return value.get(name) not in (None, [], {})

    problem = bool(value.get("title")) and bool(value.get("type") or value.get("detail"))
    return not holds("data") and (holds("errors") or bool(value.get("disconnect_type")) or problem)


class Answering:
    """A client of X whose every answer is given."""

    def __init__(self, *bodies: bytes) -> None:
        self._bodies = bodies
        self.asked = 0

    def request(self, *_: Any, **__: Any) -> Answer:
        """The next answer, round and round."""
        self.asked += 1
        return Answer(200, self._bodies[self.asked % len(self._bodies)])

    add_rules = delete_rules = request


def classified(ending: Ending | None) -> None:
    """What is said of an ending is one line that can be seen."""
    if ending is not None:
        assert ending.reason.isprintable()
        assert ending.hint.isprintable()
        assert len(ending.reason) < 2_000


def told_apart(line: bytes, value: Any) -> None:
    """An error object is told from a post by the rule; `value` is what the line holds."""
    ending = in_stream(line)
    assert (ending is not None) == is_control(value)
    classified(ending)


def token(body: bytes) -> None:
    """A token, or Failed."""
    credentials = Credentials(XSettings(consumer_key=SecretStr("key"), consumer_secret=SecretStr("secret")))
    try:
        found = credentials.token(lambda *_: body)
    except Failed as failure:
        classified(failure.ending)
        return
    assert re.fullmatch(r"[!-~]+", found)


def rules(*bodies: bytes) -> None:
    """Rules, or a refusal in words."""
    client = Answering(*bodies)
    with suppress(Failed):
        listed(client)  # type: ignore[arg-type]
    assert client.asked <= 100
    try:
        news = reconcile(client, "music").news  # type: ignore[arg-type]
    except (QueryError, SourceRefused) as error:
        assert error.message.isprintable()
        assert len(str(error)) < 2_000
    except Failed as failure:
        classified(failure.ending)
    else:
        assert all(words.isprintable() for words in news)


def check(data: bytes) -> None:
    """All that reads an answer of X, over the same bytes."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=lambda name: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        classified(in_stream(data))
    else:
        # X writes its keys plainly: one that is spelled with escapes is not looked for.
        classified(in_stream(data)) if b"\\" in data else told_apart(data, value)
    head, _, body = data.partition(b"\n")
    words = head.decode("latin-1")
    headers = dict.fromkeys(("Retry-After", "Location", "x-rate-limit-limit", "x-rate-limit-remaining"), words)
    for status in (200, 302, 401, 403, 409, 429, 503):
        ending = of_http(status, words[:100], headers, body or data, 1e9)
        classified(ending)
        assert ending.until is None or 1e9 < ending.until <= 1e9 + 3600
    rate_limit(headers | {"x-rate-limit-reset": words})
    token(data)
    rules(body or data, head)


def seeds() -> Iterator[bytes]:
    """Answers of X's documentation, and odd ones."""
    problem = {
        "title": "UsageCapExceeded",
        "detail": "Usage cap exceeded",
        "type": "https://api.x.com/2/problems/usage-capped",
        "disconnect_type": "SlowReader",
        "connection_issue": "TooManyConnections",
        "reason": "client-not-enrolled",
        "errors": [{"message": "m", "details": ["at (at position 36)"], "id": "1"}],
    }
    rule = {"id": "1", "value": "music", "tag": "bieber-tui"}
    for value in (
        problem,
        {"errors": [problem]},
        {"errors": [{"title": "DuplicateRule", "type": "x/duplicate-rules", "id": "7"}]},
        {"errors": [{"type": "x/rule-cap"}], "data": [rule]},
        {"errors": [{"type": "x/invalid-rules", "details": ["bad (at position 3)"]}]},
        {"data": [rule, {**rule, "value": "old"}], "meta": {"next_token": "n"}},
        {"data": rule, "meta": {"sent": "2026"}},
        {"access_token": "token", "token_type": "bearer"},
        {"data": None, "errors": [], "title": "t", "type": "t"},
    ):
        yield json.dumps(value).encode()
        yield b"120\n" + json.dumps(value, separators=(",", ":")).encode()
    yield b"Wed, 21 Oct 2030 07:28:00 GMT\n<html>"
