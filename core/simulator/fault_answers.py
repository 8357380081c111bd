"""Answers that a fault puts in the place of the real one. None of them opens a stream."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.simulator import problems
from core.simulator.http import Response


def _limited(reset: str | None) -> Response:
    headers = {"x-rate-limit-limit": "50", "x-rate-limit-remaining": "0"}
    if reset is not None:
        headers["x-rate-limit-reset"] = reset
    return problems.about_blank(429, "Too Many Requests", headers)


# Takes the fault's number. The ones that are no HTTP answer at all (no-answer, handshake-cut, redirect,
# instant-close) are the server's, since they need the connection.
ANSWERS: dict[str, Callable[[float], Response]] = {
    "http-400": lambda _: problems.invalid_request({"x": ["y"]}, "The query parameter [x] is not valid"),
    "http-401": lambda _: problems.unauthorized(),
    "http-402": lambda _: problems.credits_depleted(),
    "http-402-early": lambda _: problems.credits_depleted(early=True),
    "http-403-not-enrolled": lambda _: problems.not_enrolled(),
    "http-403-wrong-auth": lambda _: problems.unsupported_authentication(),
    "http-409": lambda _: problems.no_rules(),
    "http-429": lambda seconds: _limited(str(int(time.time() + seconds))),
    "http-429-connections": lambda _: problems.too_many_connections(),
    "http-429-usage": lambda _: problems.usage_capped(),
    "http-429-no-reset": lambda _: _limited(None),
    "http-429-past-reset": lambda _: _limited(str(int(time.time() - 3600))),
    "http-429-bad-reset": lambda _: _limited("soon"),
    "http-500-html": lambda _: problems.html(500, "Internal Server Error"),
    "http-502-html": lambda _: problems.html(502, "Bad Gateway"),
    "http-504-html": lambda _: problems.html(504, "Gateway Timeout"),
    "http-503": lambda _: problems.about_blank(503, "Service Unavailable"),
}
