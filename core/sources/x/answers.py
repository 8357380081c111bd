"""What X's answers mean: every way that a request or a connection can end, classified and in words.

Three origins: an HTTP answer other than success, an error object inside of the stream, and a failure of the
network. Each becomes an Ending; the supervisor does what its kind says and shows its reason. Problem types are
matched on their last path segment, because their host has changed over the years. Bodies may be anything: JSON
of several generations, HTML of a proxy, or empty.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any

import msgspec
import urllib3.exceptions

from core.health import RateLimit
from core.sources.x.backoff import Schedule

LONGEST_TOLD_WAIT = 3600.0  # seconds; a longer wait that a header names is taken for a mistake

PORTAL = 'the X developer portal (developer.x.com), under "Keys and tokens"'
MEND_URL = "Set x.base_url to the address of X's API, https://api.x.com unless you use a simulator or a proxy."


class Kind(Enum):
    """What the supervisor has to do."""

    RETRY = "retry"  # connect again, after the schedule's wait
    STALLED = "stalled"  # the same, and the silence is reported
    UNAUTHORIZED = "unauthorized"  # try one new token if we can make one, else give up
    UNTRUSTED = "untrusted"  # give up, unless the other side was trusted before in this run
    NO_RULES = "no rules"  # reconcile the rules, then connect again
    REFUSED = "refused"  # give up
    STOPPED = "stopped"  # we were told to stop


class Ending(msgspec.Struct, frozen=True):
    """Why something ended. `until`: the moment (seconds since 1970) before which X does not want us back."""

    kind: Kind
    reason: str
    hint: str = ""
    schedule: Schedule = Schedule.NETWORK
    until: float | None = None


class Failed(Exception):
    """A request or a connection ended."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


STOPPED = Ending(Kind.STOPPED, "stopped")

# Problems that no retry mends, by the last path segment of their type: what happened, and what to do.
_REFUSALS: dict[str, tuple[str, str]] = {
    "usage-capped": (
        "the project's usage cap is reached",
        "X sends nothing more until the cap is reset or raised: see Usage in the X developer portal.",
    ),
    "credits": ("the account has no credits left", "Buy credits in the X developer portal, then start again."),
    "client-forbidden": (
        "the app may not use the filtered stream",
        "Attach the app to a project whose access level includes it, in the X developer portal.",
    ),
    "unsupported-authentication": (
        "this kind of token may not use the filtered stream",
        f"Use the app-only bearer token, not a user's access token: {PORTAL}.",
    ),
    "spend-capped": (
        "the account's spending limit is reached",
        "Raise the spending limit in the X developer portal, then start again.",
    ),
}
_ALIASES = {"credits-depleted": "credits", "client-not-enrolled": "client-forbidden"}
_TITLES = {
    "usagecapexceeded": "usage-capped",
    "creditsdepleted": "credits",
    "spendcapreached": "spend-capped",
    "client forbidden": "client-forbidden",
    "unsupported authentication": "unsupported-authentication",
}

_DISCONNECTS = {
    "SlowReader": "X cut the connection because we read too slowly",
    "ForceDisconnect": "X closed this connection for another one",
}


def of_http(status: int, phrase: str, headers: Mapping[str, str], body: bytes, now: float) -> Ending:
    """What an HTTP answer other than the wanted one means. `now` is in seconds since 1970."""
    problem = _problem_in(_object_in(body))
    said = _said(problem)
    phrase = short(phrase) or (HTTPStatus(status).phrase if status in list(HTTPStatus) else "")
    reason = " ".join(f"X answered {status} {phrase}".split()) + (f": {said}" if said else "")
    segment = _segment(problem)
    issue = problem.get("connection_issue")

    if segment in _REFUSALS and status < 500:
        words, hint = _REFUSALS[segment]
        return Ending(Kind.REFUSED, f"X refuses to serve us: {words} ({reason})", hint)
    if 300 <= status < 400:
        where = headers.get("Location", "")
        return Ending(
            Kind.REFUSED,
            f"{reason}, a redirect to {short(where) or 'nowhere'}",
            f"Redirects are not followed, so that the token goes to no other host. {MEND_URL}",
        )
    if status in (420, 429):
        until = _retry_after(headers, now)
        limit = rate_limit(headers)
        if until is None and issue is None and limit is not None and limit.remaining <= 0:
            until = _sane(limit.reset_at, now)
        return Ending(Kind.RETRY, reason, schedule=Schedule.RATE, until=until)
    if status >= 500 or status in (408, 425) or status < 300:
        return Ending(Kind.RETRY, reason, schedule=Schedule.HTTP, until=_retry_after(headers, now))
    if status == 409:
        if issue == "ProvisioningSubscription":
            return Ending(Kind.RETRY, reason, schedule=Schedule.HTTP)
        return Ending(
            Kind.NO_RULES, reason, "`bieber-tui check` tells which rules this app has at X.", Schedule.HTTP
        )
    if status == 401:
        return Ending(
            Kind.UNAUTHORIZED,
            f"X does not accept the token ({reason})",
            f"Set BIEBER_TUI_X__BEARER_TOKEN to a valid bearer token: {PORTAL}.",
        )
    return Ending(Kind.REFUSED, reason, _HINTS.get(status, f"No retry mends this answer. {MEND_URL}"))


_HINTS = {
    400: "X does not take a parameter of the request: this version of the program may be too old for X's API.",
    402: "The account must pay first: see Billing in the X developer portal.",
    403: "The project or its access level does not allow this: see the app's project in the X developer portal.",
    404: f"There is no X API at this address. {MEND_URL}",
    410: f"X has withdrawn this part of its API. {MEND_URL}",
    407: "A proxy asks for a password: give it in the variable HTTPS_PROXY.",
}


_EMPTY: tuple[Any, ...] = (None, [], {})


def in_stream(line: bytes) -> Ending | None:
    """What an error object inside of the stream means; None for any other line, which is then delivered.

    An object is control when it has no `data` and either `errors`, a `disconnect_type`, or a problem's title
    with its type or detail. Errors beside `data` belong to a post.
    """
    if not (b'"errors"' in line or b'"title"' in line or b'"disconnect_type"' in line):
        return None
    keys = _object_in(line)  # empty when it is none: the line goes to quarantine
    if keys.get("data") not in _EMPTY:
        return None
    is_problem = bool(keys.get("title") and (keys.get("type") or keys.get("detail")))
    if keys.get("errors") in _EMPTY and not keys.get("disconnect_type") and not is_problem:
        return None
    problem = _problem_in(keys)
    segment = _segment(problem)
    kind = problem.get("disconnect_type")
    said = _said(problem) or "an error without words"
    if segment in _REFUSALS:
        words, hint = _REFUSALS[segment]
        return Ending(Kind.REFUSED, f"X ended the stream: {words} ({said})", hint)
    if kind == "InvalidRules":
        return Ending(Kind.NO_RULES, f"X ended the stream: {said}", "", Schedule.HTTP)
    if isinstance(kind, str) and kind in _DISCONNECTS:
        return Ending(Kind.RETRY, f"{_DISCONNECTS[kind]}: {said}")
    return Ending(Kind.RETRY, f"X ended the stream: {said}")


# What OpenSSL says when the other side's first bytes are no TLS at all.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


def of_failure(error: BaseException, where: str) -> Ending:
    """What a failure of the network means. `where` is the host and port that we wanted."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return Ending(
                    Kind.UNTRUSTED,
                    f"the certificate of {where} is not to be trusted: {_words(cause, 'verify_message')}",
                    "Check the machine's clock and x.base_url. Behind a proxy of your organisation, name its"
                    " certificates in the variable REQUESTS_CA_BUNDLE.",
                    Schedule.HTTP,
                )
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return Ending(Kind.RETRY, f"the TLS connection to {where} was cut")
            case ssl.SSLError() if getattr(cause, "reason", None) in _NO_TLS:
                return Ending(Kind.RETRY, f"{where} does not speak TLS: is it an http address, or a proxy's?")
            case ssl.SSLError():
                return Ending(Kind.RETRY, f"the TLS connection to {where} failed: {_words(cause, 'reason')}")
            case socket.gaierror():
                return Ending(Kind.RETRY, f"the name of {where} cannot be resolved: {_words(cause, 'strerror')}")
            case urllib3.exceptions.ProxyError():
                return Ending(Kind.RETRY, f"the proxy does not connect us to {where}")
            case ConnectionRefusedError():
                return Ending(Kind.RETRY, f"connection refused at {where}")
            case http.client.RemoteDisconnected():
                return Ending(Kind.RETRY, f"{where} closed the connection without an answer")
            case ConnectionResetError() | BrokenPipeError():
                return Ending(Kind.RETRY, f"the connection to {where} was reset")
            case urllib3.exceptions.DecodeError():
                return Ending(Kind.RETRY, "the compressed stream is damaged")
            case http.client.IncompleteRead():
                return Ending(Kind.RETRY, "the connection was cut in mid-stream")
            case http.client.BadStatusLine() | http.client.LineTooLong():
                return Ending(Kind.RETRY, f"{where} does not speak HTTP: is it an https address?")
            case TimeoutError() | urllib3.exceptions.TimeoutError():
                return Ending(Kind.RETRY, f"no answer from {where} in time")
            case OSError() if "CA certificate bundle" in str(cause):
                return Ending(
                    Kind.REFUSED,
                    f"the certificates to trust cannot be read: {short(str(cause))}",
                    "The variable REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) must name a file that exists.",
                )
            case OSError() if cause.strerror:
                return Ending(Kind.RETRY, f"no connection to {where}: {_words(cause, 'strerror')}")
            case _:
                pass
    return Ending(Kind.RETRY, f"the connection to {where} failed: {type(error).__name__}")


def rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """The window that X told, when its three headers are numbers."""
    try:
        return RateLimit(
            int(headers["x-rate-limit-limit"]),
            int(headers["x-rate-limit-remaining"]),
            float(int(headers["x-rate-limit-reset"])),
        )
    except (KeyError, ValueError, OverflowError):
        return None


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The moment that Retry-After names, in seconds or as a date; None when it is missing or cannot be meant."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return _sane(now + int(value[:9]), now)
    try:
        return _sane(email.utils.parsedate_to_datetime(value).timestamp(), now)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _sane(moment: float, now: float) -> float | None:
    return moment if now < moment <= now + LONGEST_TOLD_WAIT else None


def _object_in(body: bytes) -> dict[str, Any]:
    """The JSON object that the bytes are, whatever is wrong in its texts; empty when they are none."""
    try:
        parsed = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _problem_in(parsed: dict[str, Any]) -> dict[str, Any]:
    """The first problem of an object that is a problem, or holds a list of them; empty when it is neither."""
    errors = parsed.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else errors
    inner = first if isinstance(first, dict) else {"detail": first} if isinstance(first, str) else {}
    if "title" in parsed or "type" in parsed:
        return {**inner, **parsed, "message": inner.get("message") or inner.get("detail")}
    return inner or parsed


def _segment(problem: Mapping[str, Any]) -> str:
    """What kind of problem it is, as a last path segment of a problem type; empty when it does not say."""
    kind = str(problem.get("type") or "").rstrip("/").rpartition("/")[2].lower()
    kind = _ALIASES.get(kind, kind)
    if kind not in _REFUSALS:
        kind = _TITLES.get(str(problem.get("title") or "").lower(), kind)
    if kind not in _REFUSALS and problem.get("reason") == "client-not-enrolled":
        kind = "client-forbidden"
    return kind


def _said(problem: Mapping[str, Any]) -> str:
    """X's own words, short and on one line."""
    words: list[str] = []
    for key in ("disconnect_type", "title", "detail", "message", "connection_issue", "error_description"):
        value = problem.get(key)
        if isinstance(value, str) and value and value not in words:
            words.append(value)
    return short(", ".join(words))


def short(text: str, longest: int = 300) -> str:
    """Words from outside for one line of a log: no control characters, not too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _words(error: Exception, attribute: str) -> str:
    """What an error says: not every error of a kind has the attribute that its kind documents."""
    return short(str(getattr(error, attribute, None) or error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The errors that an error wraps, the innermost first: that one knows what happened."""
    chain: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting and len(chain) < 50:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or current in chain:
            continue
        chain.append(current)
        waiting += [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
    return reversed(chain)
