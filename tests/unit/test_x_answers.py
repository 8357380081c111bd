"""What X's answers mean: each one that was captured, and what the user reads of it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
import requests
import urllib3.exceptions
from hypothesis import given, settings
from hypothesis import strategies as st

from core.simulator.problems import DISCONNECT_TYPES, USAGE_CAPPED, disconnect
from core.sources.x import answers
from core.sources.x.answers import Ending, Kind
from core.sources.x.backoff import Schedule

NOW = 1_790_000_000.0
HOSTS = ("https://api.x.com/2/problems", "https://api.twitter.com/2/problems")


def of_http(status: int, body: Any, headers: dict[str, str] | None = None) -> Ending:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answers.of_http(status, "", headers or {}, raw, NOW)


def everything(ending: Ending) -> str:
    return f"{ending.reason} {ending.hint}"


P = HOSTS[0]
REFUSED: list[tuple[str, int, Any, list[str]]] = [
    ("bad parameter", 400,
     {"errors": [{"parameters": {"x": ["y"]}, "message": "The query parameter [x] is not valid"}],
      "title": "Invalid Request", "detail": "One or more parameters to your request was invalid.",
      "type": f"{P}/invalid-request"},
     ["400", "The query parameter [x] is not valid", "parameter of the request"]),
    ("no credits, early 2026", 402,
     {"title": "CreditsDepleted", "detail": "Your enrolled account [1] does not have any credits",
      "type": f"{P}/credits"}, ["402", "no credits left", "Buy credits"]),
    ("no credits, July 2026", 402,
     {"detail": "credits depleted", "status": 402, "title": "Payment Required", "type": f"{P}/credits-depleted"},
     ["402", "no credits left", "Buy credits"]),
    ("402 without words", 402, b"", ["402", "Payment Required", "Billing"]),
    ("not enrolled", 403,
     {"client_id": "1", "required_enrollment": "Appropriate Level of API Access", "title": "Client Forbidden",
      "detail": "attach it", "reason": "client-not-enrolled", "type": f"{P}/client-forbidden"},
     ["403", "project", "access level"]),
    ("not enrolled, by its reason only", 403, {"reason": "client-not-enrolled"}, ["403", "project"]),
    ("wrong kind of auth", 403,
     {"title": "Unsupported Authentication", "detail": "OAuth 1.0a User Context is forbidden", "status": 403,
      "type": f"{P}/unsupported-authentication"}, ["403", "app-only bearer token"]),
    ("spending limit", 403, {"title": "SpendCapReached"}, ["403", "spending limit", "Raise"]),
    ("403 without words", 403, b"<html>", ["403", "Forbidden", "project", "access level"]),
    ("usage cap", 429, USAGE_CAPPED, ["429", "usage cap", "Usage cap exceeded: Monthly product cap"]),
    ("404", 404, b"", ["404", "x.base_url"]),
    ("407", 407, b"", ["407", "proxy"]),
    ("410", 410, b"", ["410", "withdrawn"]),
    ("418", 418, b"", ["418", "No retry"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
@pytest.mark.parametrize("host", HOSTS)
def test_what_no_retry_mends_is_given_up_with_what_to_do(status, body, words, host):
    raw = body if isinstance(body, bytes) else json.dumps(body).replace(P, host).encode()
    ending = of_http(status, raw)
    assert ending.kind is Kind.REFUSED
    assert ending.hint
    for word in words:
        assert word in everything(ending)


def test_401_names_the_token_and_where_to_find_it():
    ending = of_http(
        401, {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}
    )
    assert ending.kind is Kind.UNAUTHORIZED
    for word in ("token", "BIEBER_TUI_X__BEARER_TOKEN", "developer portal"):
        assert word in everything(ending)


def test_no_rules_makes_the_supervisor_look_after_them():
    for issue in ("RuleConfigurationIssue", "RulesInvalidIssue"):
        ending = of_http(
            409, {"title": "ConnectionException", "connection_issue": issue, "detail": "define rules"}
        )
        assert ending.kind is Kind.NO_RULES
        assert "define rules" in ending.reason


def test_a_subscription_that_is_being_set_up_is_waited_for():
    assert of_http(409, {"connection_issue": "ProvisioningSubscription"}).kind is Kind.RETRY


RATE_BODIES = [
    {"title": "Too Many Requests", "detail": "Too Many Requests", "type": "about:blank", "status": 429},
    {"errors": [{"code": 88, "message": "Rate limit exceeded"}]},
    b"",
]


def _window(remaining: object, reset: object) -> dict[str, str]:
    return {
        "x-rate-limit-limit": "50",
        "x-rate-limit-remaining": str(remaining),
        "x-rate-limit-reset": str(reset),
    }


@pytest.mark.parametrize("body", RATE_BODIES, ids=["title", "errors", "empty"])
def test_a_rate_limit_waits_until_the_reset_that_x_names(body):
    ending = of_http(429, body, _window(0, int(NOW) + 300))
    assert (ending.kind, ending.schedule, ending.until) == (Kind.RETRY, Schedule.RATE, NOW + 300)


@pytest.mark.parametrize(
    "reset",
    ["soon", "", "1e9", "-1", "0", int(NOW) - 1, int(NOW), int(NOW) + 10**9, "9" * 5000, "inf", "nan", "½", "१"],
)
def test_a_reset_that_is_garbage_or_past_falls_back_to_the_schedule(reset):
    ending = of_http(429, RATE_BODIES[0], _window(0, reset))
    assert (ending.kind, ending.schedule, ending.until) == (Kind.RETRY, Schedule.RATE, None)


@pytest.mark.parametrize("missing", ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"])
def test_a_window_without_one_of_its_headers_is_no_window(missing):
    headers = _window(0, int(NOW) + 300)
    del headers[missing]
    assert answers.rate_limit(headers) is None


@pytest.mark.parametrize("remaining", [47, 0])
def test_a_connection_limit_is_no_rate_limit_and_does_not_wait_for_its_reset(remaining):
    body = {"title": "ConnectionException", "connection_issue": "TooManyConnections", "detail": "maximum"}
    ending = of_http(429, body, _window(remaining, int(NOW) + 800))
    assert (ending.kind, ending.schedule, ending.until) == (Kind.RETRY, Schedule.RATE, None)
    assert "TooManyConnections" in ending.reason


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 599, 408, 425, 204])
@pytest.mark.parametrize("body", [b"", b"<html><h1>Bad Gateway</h1></html>", b"\xff\xfe", b'{"title":'])
def test_errors_of_the_server_are_tried_again_whatever_their_body(status, body):
    ending = of_http(status, body)
    assert (ending.kind, ending.schedule) == (Kind.RETRY, Schedule.HTTP)
    assert str(status) in ending.reason


def test_503_is_told_with_its_name():
    body = {"title": "Service Unavailable", "detail": "Service Unavailable", "type": "about:blank", "status": 503}
    assert of_http(503, body).reason == "X answered 503 Service Unavailable: Service Unavailable"


def test_a_gateway_that_quotes_a_cap_is_still_only_a_gateway():
    assert of_http(502, USAGE_CAPPED).kind is Kind.RETRY


@pytest.mark.parametrize(
    ("value", "until"),
    [
        ("120", NOW + 120),
        ("Mon, 21 Sep 2026 13:20:00 GMT", None),
        ("", None),
        ("-5", None),
        ("0", None),
        ("soon", None),
        ("1" * 4000, None),
        ("99999", None),
        ("२", None),
        ("Mon, 99 Sep 99999 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_kept_when_it_can_be_meant(value, until):
    assert of_http(503, b"", {"Retry-After": value}).until == until


def test_retry_after_may_be_a_date():
    later = datetime.fromtimestamp(NOW + 400, UTC)
    assert of_http(503, b"", {"Retry-After": format_datetime(later, usegmt=True)}).until == NOW + 400


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_says_where_it_leads(status):
    ending = of_http(status, b"", {"Location": "https://elsewhere.example/\x1b[31m"})
    assert ending.kind is Kind.REFUSED
    assert "https://elsewhere.example/" in ending.reason
    assert "x.base_url" in ending.hint
    assert "\x1b" not in everything(ending)


def test_a_reset_is_not_waited_for_while_the_rate_is_not_what_was_exceeded():
    assert of_http(429, RATE_BODIES[0], _window(47, int(NOW) + 300)).until is None


def test_retry_after_says_more_than_the_reset():
    assert of_http(429, RATE_BODIES[0], _window(0, int(NOW) + 300) | {"Retry-After": "30"}).until == NOW + 30


# Inside of the stream

STREAM_WORDS = {
    "OperationalDisconnect": "operational-disconnect",
    "SlowReader": "read too slowly",
    "ForceDisconnect": "closed this connection for another one",
}


@pytest.mark.parametrize("kind", DISCONNECT_TYPES)
@pytest.mark.parametrize("bare", [False, True], ids=["in errors", "bare"])
def test_every_kind_of_disconnect_is_control_and_named(kind, bare):
    problem = disconnect(kind)
    ending = answers.in_stream(json.dumps(problem if bare else {"errors": [problem]}).encode())
    assert ending is not None
    assert ending.kind is (Kind.NO_RULES if kind == "InvalidRules" else Kind.RETRY)
    assert kind in ending.reason
    assert STREAM_WORDS.get(kind, "") in ending.reason


@pytest.mark.parametrize("bare", [False, True], ids=["in errors", "bare"])
def test_a_cap_inside_of_the_stream_is_given_up(bare):
    ending = answers.in_stream(json.dumps(USAGE_CAPPED if bare else {"errors": [USAGE_CAPPED]}).encode())
    assert ending is not None
    assert ending.kind is Kind.REFUSED
    assert "usage cap" in ending.reason
    assert "Usage" in ending.hint


@pytest.mark.parametrize("half", [r"\ud800", r"\uDfFf \ud83d\ude00", r"\\ud800", r"\\\ud800"])
def test_half_a_surrogate_does_not_hide_an_error_object(half):
    line = b'{"errors":[{"title":"%s","disconnect_type":"SlowReader"}]}' % half.encode()
    ending = answers.in_stream(line)
    assert ending is not None
    assert "too slowly" in ending.reason


@pytest.mark.parametrize(
    ("type_", "words"), [("credits-depleted", "credits"), ("client-forbidden", "access level")]
)
def test_what_no_retry_mends_is_given_up_inside_of_the_stream_too(type_, words):
    problem = {"errors": [{"type": f"{P}/{type_}", "title": "Some words"}]}
    ending = answers.in_stream(json.dumps(problem).encode())
    assert ending is not None
    assert ending.kind is Kind.REFUSED
    assert words in everything(ending)


CONTROL: list[bytes] = [
    b'{"errors":[{"message":"something new"}]}',
    b'{"errors":["in words only"]}',
    b'{"errors":{"title":"an object"}}',
    b'{"errors":7}',
    b'{"data":null,"errors":[{"title":"t"}]}',
    b'{"data":{},"errors":[{"title":"t"}]}',
    b'{"data":[],"errors":[{"title":"t"}]}',
    b'{"title":"t","detail":"d"}',
    b'{"title":"t","type":"about:blank"}',
    b'{"disconnect_type":"OfTheFuture"}',
    b'{"errors":[{"disconnect_type":7,"title":[],"type":{},"detail":null}]}',
    b'{"errors":[{"disconnect_type":["SlowReader"]}]}',
]


@pytest.mark.parametrize("line", CONTROL)
def test_an_error_object_of_any_shape_ends_the_connection_with_words(line):
    ending = answers.in_stream(line)
    assert ending is not None
    assert ending.kind is Kind.RETRY
    assert len(ending.reason) > 10


NO_CONTROL: list[bytes] = [
    b'{"data":{"id":"1","text":"t"},"errors":[{"title":"Not Found Error","type":"resource-not-found"}]}',
    b'{"errors":[{"title":"Not Found Error"}],"data":{"id":"1","text":"t"}}',
    b'{"matching_rules":[],"errors":[{"title":"t"}],"data":{"text":"t","id":"1"}}',
    b'{"data":{"id":"1","text":"disconnect_type \\"errors\\":[] \\"title\\":"}}',
    b'{"includes":{},"data":{"id":"1","text":"\\"errors\\""}}',
    b'{"errors":[]}',
    b'{"errors":null}',
    b'{"title":"alone"}',
    b'{"notice":{"title":"inside","type":"t","errors":[1]}}',
    b'{"data":"no object","errors":[{"title":"t"}]}',
    b'["errors"]',
    b'"errors"',
    b'{"errors":[{"title":"cut',
    b'\xff"errors"',
    b"",
    b"null",
]


@pytest.mark.parametrize("line", NO_CONTROL)
def test_posts_with_partial_errors_and_unknown_lines_are_no_control(line):
    assert answers.in_stream(line) is None


def test_deep_nesting_inside_of_an_error_is_no_crash():
    deep = b'{"errors":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    ending = answers.in_stream(deep)
    assert ending is None or ending.kind is Kind.RETRY


# Failures of the network

WHERE = "api.x.com"


def _wrapped(error: Exception) -> Exception:
    pool: Any = None
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", error))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused at api.x.com"),
        (ConnectionResetError(104, "reset"), "was reset"),
        (BrokenPipeError(32, "pipe"), "was reset"),
        (socket.gaierror(-2, "Name or service not known"), "name of api.x.com cannot be resolved"),
        (TimeoutError("timed out"), "no answer from api.x.com in time"),
        (ssl.SSLEOFError(8, "EOF"), "TLS connection to api.x.com was cut"),
        (ssl.SSLError(1, "wrong version"), "TLS connection to api.x.com failed"),
        (http.client.RemoteDisconnected("gone"), "closed the connection without an answer"),
        (http.client.BadStatusLine("SSH-2.0"), "does not speak HTTP"),
        (http.client.LineTooLong("header"), "does not speak HTTP"),
        (http.client.IncompleteRead(b""), "cut in mid-stream"),
        (urllib3.exceptions.DecodeError("bad gzip"), "compressed stream is damaged"),
        (OSError(113, "No route to host"), "No route to host"),
        (ValueError("what is this"), "the connection to api.x.com failed: "),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_failure_of_the_network_is_told_by_its_innermost_cause_and_tried_again(error, words):
    for one in (error, _wrapped(error)):
        ending = answers.of_failure(one, WHERE)
        assert (ending.kind, ending.schedule) == (Kind.RETRY, Schedule.NETWORK)
        assert words in ending.reason


def test_an_untrusted_certificate_is_told_apart_with_what_to_do():
    said = {"verify_message": "self-signed certificate"}
    error = type("Untrusted", (ssl.SSLCertVerificationError,), said)(1, "certificate verify failed")
    ending = answers.of_failure(_wrapped(error), WHERE)
    assert (ending.kind, ending.schedule) == (Kind.UNTRUSTED, Schedule.HTTP)
    assert "self-signed certificate" in ending.reason
    assert "REQUESTS_CA_BUNDLE" in ending.hint


def test_errors_that_name_each_other_in_a_ring_are_no_endless_loop():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert answers.of_failure(first, WHERE).kind is Kind.RETRY


# Words

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["errors", "title", "type", "detail", "message", "disconnect_type", "connection_issue", "reason", "data"]),
        inner,
        max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip


def _is_clean(text: str) -> bool:
    return text.isprintable() and len(text) < 700


@settings(deadline=None)
@given(status=st.integers(200, 599), body=_json, reset=st.text(max_size=8), phrase=st.text(max_size=20))
def test_no_answer_makes_it_raise_or_puts_control_characters_into_words(status, body, reset, phrase):
    headers = _window(0, reset) | {"Retry-After": reset, "Location": reset}
    ending = answers.of_http(status, phrase, headers, json.dumps(body).encode(), NOW)
    assert _is_clean(everything(ending))
    assert ending.until is None or NOW < ending.until <= NOW + answers.LONGEST_TOLD_WAIT


@settings(deadline=None)
@given(line=_json.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_no_line_makes_it_raise_or_puts_control_characters_into_words(line):
    ending = answers.in_stream(line)
    assert ending is None or (ending.reason and _is_clean(everything(ending)))


@pytest.mark.parametrize("evil", ["\x1b[2J\x07", "a\nb\r", "\u202egnp", "\x9b31m", "\ud83d", "x" * 100_000])
def test_words_from_outside_are_one_short_line_without_control_characters(evil):
    told = [
        of_http(503, {"title": evil, "detail": "d" + evil}),
        of_http(403, {"errors": [{"message": evil}]}),
        answers.of_http(500, evil, {}, b"", NOW),
        answers.of_failure(OSError(5, evil), WHERE),
        answers.of_failure(ssl.SSLError(1, evil), WHERE),
        answers.of_failure(socket.gaierror(5, evil), WHERE),
        answers.in_stream(json.dumps({"errors": [{"title": evil, "detail": "d"}]}).encode()),
    ]
    for ending in told:
        assert ending is not None
        assert _is_clean(everything(ending))
