"""What X's answers mean, as one table: what the supervisor does, and the words that help."""

from __future__ import annotations

import http.client
import json
import socket
import ssl

import pytest
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from core.health import RateLimit
from core.sources.x.answers import Kind, in_stream, of_failure, of_http, rate_limit
from core.sources.x.backoff import Schedule

NOW = 1_800_000_000.0
HTML = "<html><body>Bad Gateway</body></html>"
TYPE = "https://api.x.com/2/problems/"
OLD = "https://api.twitter.com/2/problems/"

BAD_PARAMETER = {
    "errors": [{"parameters": {"x": ["y"]}, "message": "The query parameter [x] is unknown"}],
    "title": "Invalid Request",
    "detail": "One or more parameters to your request was invalid.",
    "type": TYPE + "invalid-request",
}
UNAUTHORIZED = {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}
CREDITS_EARLY = {
    "title": "CreditsDepleted",
    "detail": "Your enrolled account does not have any credits",
    "type": TYPE + "credits",
}
CREDITS = {
    "detail": "credits depleted",
    "status": 402,
    "title": "Payment Required",
    "type": TYPE + "credits-depleted",
}
NOT_ENROLLED = {
    "title": "Client Forbidden",
    "reason": "client-not-enrolled",
    "required_enrollment": "Appropriate Level of API Access",
    "detail": "…",
    "type": OLD + "client-forbidden",
}
WRONG_AUTH = {
    "title": "Unsupported Authentication",
    "detail": "Authenticating with OAuth 1.0a User Context is forbidden for this endpoint.",
    "type": TYPE + "unsupported-authentication",
    "status": 403,
}
SPENT = {"title": "SpendCapReached", "detail": "spend cap reached"}
CAP = {
    "account_id": 1,
    "product_name": "standard-basic",
    "title": "UsageCapExceeded",
    "period": "Monthly",
    "detail": "Usage cap exceeded: Monthly product cap",
    "type": OLD + "usage-capped",
}
NO_RULES = {
    "title": "ConnectionException",
    "detail": "You must define rules",
    "connection_issue": "RuleConfigurationIssue",
    "type": TYPE + "streaming-connection",
}
PROVISIONING = {**NO_RULES, "connection_issue": "ProvisioningSubscription"}
CONNECTIONS = {**NO_RULES, "detail": "maximum allowed connection limit", "connection_issue": "TooManyConnections"}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, BAD_PARAMETER, ["400", "[x] is unknown", "parameter"]),
        (402, CREDITS_EARLY, ["credits", "Buy credits"]),
        (402, CREDITS, ["credits", "Buy credits"]),
        (402, HTML, ["402", "Billing"]),
        (403, NOT_ENROLLED, ["project", "access level"]),
        (403, WRONG_AUTH, ["token", "app-only bearer token"]),
        (403, SPENT, ["spending limit"]),
        (403, "", ["403 Forbidden", "project"]),
        (429, CAP, ["usage cap", "Monthly", "developer portal"]),
        (404, HTML, ["404 Not Found", "x.base_url"]),
        (410, "", ["410"]),
        (301, "", ["301", "redirect", "x.base_url"]),
        (418, "", ["418"]),
    ],
)
def test_what_no_retry_mends_is_refused_with_the_thing_to_mend(status, body, words):
    ending = of_http(status, "", {}, body.encode() if isinstance(body, str) else json.dumps(body).encode(), NOW)
    assert ending.kind is Kind.REFUSED
    for word in words:
        assert word in f"{ending.reason} {ending.hint}"


def test_401_names_the_token_and_the_variable():
    ending = of_http(401, "Unauthorized", {}, json.dumps(UNAUTHORIZED).encode(), NOW)
    assert ending.kind is Kind.UNAUTHORIZED
    assert "token" in ending.reason
    assert "BIEBER_TUI_X__BEARER_TOKEN" in ending.hint


@pytest.mark.parametrize(
    "body", ["", HTML, "null", "[]", "3", '{"errors":[]}', '{"errors":[3]}', '{"title":3,"type":[]}', "\x00\xff"]
)
@pytest.mark.parametrize(
    ("status", "kind", "schedule"),
    [
        (500, Kind.RETRY, Schedule.HTTP),
        (502, Kind.RETRY, Schedule.HTTP),
        (503, Kind.RETRY, Schedule.HTTP),
        (504, Kind.RETRY, Schedule.HTTP),
        (599, Kind.RETRY, Schedule.HTTP),
        (204, Kind.RETRY, Schedule.HTTP),
        (408, Kind.RETRY, Schedule.HTTP),
        (429, Kind.RETRY, Schedule.RATE),
        (420, Kind.RETRY, Schedule.RATE),
        (409, Kind.NO_RULES, Schedule.HTTP),
        (401, Kind.UNAUTHORIZED, Schedule.NETWORK),
    ],
)
def test_the_status_decides_whatever_the_body_is(status, kind, schedule, body):
    ending = of_http(status, "", {}, body.encode("latin-1"), NOW)
    assert (ending.kind, ending.schedule, ending.until) == (kind, schedule, None)
    assert str(status) in ending.reason


def test_409_of_a_subscription_in_the_making_is_waited_for():
    ending = of_http(409, "Conflict", {}, json.dumps(PROVISIONING).encode(), NOW)
    assert (ending.kind, ending.schedule) == (Kind.RETRY, Schedule.HTTP)


def limits(remaining: object, reset: object) -> dict[str, str]:
    return {"x-rate-limit-limit": "50", "x-rate-limit-remaining": str(remaining), "x-rate-limit-reset": str(reset)}


@pytest.mark.parametrize(
    ("status", "headers", "body", "until"),
    [
        (429, limits(0, int(NOW) + 300), {}, NOW + 300),
        (429, limits(0, int(NOW) + 300), {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}, NOW + 300),
        (429, limits(0, int(NOW) - 300), {}, None),  # past
        (429, limits(0, "soon"), {}, None),  # garbage
        (429, limits(0, int(NOW) + 3700), {}, None),  # more than an hour
        (429, limits(0, "9" * 400), {}, None),
        (429, {}, {}, None),
        (429, limits(47, int(NOW) + 300), {}, None),  # the rate was not what was exceeded
        (429, limits(0, int(NOW) + 300), CONNECTIONS, None),
        (429, limits(47, int(NOW) + 300), CONNECTIONS, None),
        (429, {"Retry-After": "30"}, {}, NOW + 30),
        (429, {"Retry-After": "30", **limits(0, int(NOW) + 300)}, {}, NOW + 30),
        (503, {"Retry-After": "120"}, {}, NOW + 120),
        (503, {"Retry-After": "Fri, 15 Jan 2027 08:05:00 GMT"}, {}, NOW + 300),
        (503, {"Retry-After": "Fri, 15 Jan 2021 08:05:00 GMT"}, {}, None),
        (503, {"Retry-After": "-5"}, {}, None),
        (503, {"Retry-After": "0"}, {}, None),
        (503, {"Retry-After": "9" * 400}, {}, None),
        (503, {"Retry-After": "²"}, {}, None),
        (503, {"Retry-After": "soon"}, {}, None),
    ],
)
def test_a_wait_that_x_names_is_kept_when_it_can_be_meant(status, headers, body, until):
    assert of_http(status, "", headers, json.dumps(body).encode(), NOW).until == until


def test_the_window_is_read_only_when_it_is_numbers():
    assert rate_limit(limits(3, 1_800_000_100)) == RateLimit(50, 3, 1_800_000_100.0)
    assert rate_limit({}) is None
    assert rate_limit(limits("x", 1)) is None
    assert rate_limit(limits(1, "9" * 400)) is None


def test_words_from_outside_are_one_short_line_without_control_characters():
    body = json.dumps({"title": "a\x1b[31m\nb\u202e", "detail": "x" * 10_000}).encode()
    reason = of_http(503, "", {"x": "y"}, body, NOW).reason
    assert reason.isprintable()
    assert len(reason) < 400


@pytest.mark.parametrize("half", [r"\ud800", r"\uDfFf \ud83d\ude00", r"\\ud800", r"\\\ud800"])
def test_half_a_surrogate_does_not_hide_an_error_object(half):
    line = b'{"errors":[{"title":"%s","disconnect_type":"SlowReader"}]}' % half.encode()
    ending = in_stream(line)
    assert ending is not None
    assert "too slowly" in ending.reason


@pytest.mark.parametrize(
    "line",
    [
        b'{"data":{"id":"1","text":"x"},"errors":[{"title":"Not Found Error"}]}',
        b'{"errors":[{"title":"Not Found Error"}],"data":{"id":"1","text":"x"}}',
        b'{"title":"t","detail":"d","data":{"id":"1"}}',
        b'{"data":{"text":"\\"errors\\" \\"title\\" disconnect_type"}}',
        b'{"errors":[]}',
        b'{"errors":null}',
        b'{"title":"alone"}',
        b'{"hello":{"title":"a","detail":"b"}}',
        b'[{"errors":[{"title":"x"}]}]',
        b'{"errors":[{"title":"cut',
        b'{"errors":NaN}',
        b'{"errors":' + b"[" * 100_000,
        b"{}",
        b"3",
        b'"errors"',
        b'{"\xff":1,"errors":[',
    ],
)
def test_what_is_no_error_object_is_delivered(line):
    assert in_stream(line) is None


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ({"type": TYPE + "usage-capped", "title": "UsageCapExceeded"}, Kind.REFUSED),
        ({"type": TYPE + "credits-depleted", "title": "Payment Required"}, Kind.REFUSED),
        ({"type": TYPE + "client-forbidden", "title": "Client Forbidden"}, Kind.REFUSED),
        ({"disconnect_type": "InvalidRules", "title": "x"}, Kind.NO_RULES),
        *(
            ({"disconnect_type": kind, "title": "operational-disconnect"}, Kind.RETRY)
            for kind in (
                "OperationalDisconnect",
                "UpstreamOperationalDisconnect",
                "ForceDisconnect",
                "UpstreamUncleanDisconnect",
                "SlowReader",
                "InternalError",
                "ClientApplicationStateDegraded",
                "SomethingNew",
            )
        ),
        ({"title": "Never heard of", "detail": "it"}, Kind.RETRY),
        ({"disconnect_type": ["odd"], "title": "x", "detail": 3}, Kind.RETRY),
    ],
)
def test_an_error_object_is_classified_at_top_level_and_in_a_list(problem, kind):
    for body in (
        problem,
        {"errors": [problem]},
        {"data": None, "errors": [problem]},
        {"errors": [problem], "data": {}},
    ):
        ending = in_stream(json.dumps(body).encode())
        assert ending is not None
        assert ending.kind is kind
        assert str(problem["title"]) in ending.reason


@given(
    st.binary(max_size=60),
    st.sampled_from([b'{"errors":%s}', b'{"title":"x","type":%s}', b'{"disconnect_type":%s}', b"%s"]),
)
def test_no_line_and_no_body_crashes_the_classification(data, frame):
    in_stream(frame % data)
    of_http(500, "", {}, frame % data, NOW)


def wrapped(error: BaseException) -> BaseException:
    """As requests and urllib3 wrap it."""
    return urllib3.exceptions.ProtocolError("Connection broken", error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "refused at h:1"),
        (ConnectionResetError(104, "Connection reset by peer"), "reset"),
        (BrokenPipeError(32, "Broken pipe"), "reset"),
        (TimeoutError("timed out"), "no answer from h:1"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved: Name or service not known"),
        (http.client.RemoteDisconnected("closed"), "without an answer"),
        (http.client.IncompleteRead(b""), "cut in mid-stream"),
        (http.client.BadStatusLine("SSH-2.0"), "does not speak HTTP"),
        (http.client.LineTooLong("header"), "does not speak HTTP"),
        (ssl.SSLEOFError(8, "EOF occurred"), "TLS connection to h:1 was cut"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "TLS connection to h:1 failed"),
        (OSError(113, "No route to host"), "No route to host"),
        (ValueError("odd"), "ValueError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_failure_of_the_network_is_tried_again_in_words(error, words):
    ending = of_failure(wrapped(error) if not isinstance(error, ValueError) else error, "h:1")
    assert (ending.kind, ending.schedule) == (Kind.RETRY, Schedule.NETWORK)
    assert words in ending.reason
