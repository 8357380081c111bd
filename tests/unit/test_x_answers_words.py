"""What the user reads, and what the supervisor does, for each answer of X: whole endings, word by word."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from typing import Any

import pytest
import urllib3.exceptions

from core.sources.x import answers
from core.sources.x.answers import LONGEST_TOLD_WAIT, Ending, Failed, Kind
from core.sources.x.backoff import Schedule

NOW = 1_790_000_000.0
RETRY, REFUSED = Kind.RETRY, Kind.REFUSED
PORTAL = 'the X developer portal (developer.x.com), under "Keys and tokens"'
MEND_URL = "Set x.base_url to the address of X's API, https://api.x.com unless you use a simulator or a proxy."
UNDER = "https://api.x.com/2/problems"


def of_http(status: int, body: Any = b"", phrase: str = "", **headers: str) -> Ending:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answers.of_http(
        status, phrase, {name.replace("_", "-"): text for name, text in headers.items()}, raw, NOW
    )


HTTP: list[tuple[int, Any, Ending]] = [
    (503, b"", Ending(RETRY, "X answered 503 Service Unavailable", schedule=Schedule.HTTP)),
    (500, {"title": "CreditsDepleted"}, Ending(
        RETRY, "X answered 500 Internal Server Error: CreditsDepleted", schedule=Schedule.HTTP)),
    (599, b"", Ending(RETRY, "X answered 599", schedule=Schedule.HTTP)),
    (204, b"", Ending(RETRY, "X answered 204 No Content", schedule=Schedule.HTTP)),
    (299, b"", Ending(RETRY, "X answered 299", schedule=Schedule.HTTP)),
    (408, b"", Ending(RETRY, "X answered 408 Request Timeout", schedule=Schedule.HTTP)),
    (425, b"", Ending(RETRY, "X answered 425 Too Early", schedule=Schedule.HTTP)),
    (420, b"", Ending(RETRY, "X answered 420", schedule=Schedule.RATE)),
    (429, b"", Ending(RETRY, "X answered 429 Too Many Requests", schedule=Schedule.RATE)),
    (421, b"", Ending(REFUSED, "X answered 421 Misdirected Request", f"No retry mends this answer. {MEND_URL}")),
    (400, {"errors": ["in words only"]}, Ending(
        REFUSED, "X answered 400 Bad Request: in words only",
        "X does not take a parameter of the request: this version of the program may be too old for X's API.")),
    (402, b"", Ending(
        REFUSED, "X answered 402 Payment Required", "The account must pay first: see Billing in the X developer portal.")),
    (403, b"", Ending(
        REFUSED, "X answered 403 Forbidden",
        "The project or its access level does not allow this: see the app's project in the X developer portal.")),
    (404, b"", Ending(REFUSED, "X answered 404 Not Found", f"There is no X API at this address. {MEND_URL}")),
    (410, b"", Ending(REFUSED, "X answered 410 Gone", f"X has withdrawn this part of its API. {MEND_URL}")),
    (407, b"", Ending(
        REFUSED, "X answered 407 Proxy Authentication Required",
        "A proxy asks for a password: give it in the variable HTTPS_PROXY.")),
    (401, {"title": "Unauthorized"}, Ending(
        Kind.UNAUTHORIZED, "X does not accept the token (X answered 401 Unauthorized: Unauthorized)",
        f"Set BIEBER_TUI_X__BEARER_TOKEN to a valid bearer token: {PORTAL}.")),
    (409, {"detail": "define rules"}, Ending(
        Kind.NO_RULES, "X answered 409 Conflict: define rules",
        "`bieber-tui check` tells which rules this app has at X.", Schedule.HTTP)),
    (409, {"connection_issue": "ProvisioningSubscription"}, Ending(
        RETRY, "X answered 409 Conflict: ProvisioningSubscription", schedule=Schedule.HTTP)),
    (400, {"error": "invalid_request", "error_description": "the grant is missing"}, Ending(
        REFUSED, "X answered 400 Bad Request: the grant is missing",
        "X does not take a parameter of the request: this version of the program may be too old for X's API.")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "ending"), HTTP, ids=[f"{row[0]} {row[2].reason[11:]}" for row in HTTP]
)
def test_an_answer_is_told_word_by_word(status, body, ending):
    assert of_http(status, body) == ending


def test_the_servers_own_name_for_its_answer_is_told():
    assert of_http(503, phrase="Over  Capacity\r").reason == "X answered 503 Over Capacity"


@pytest.mark.parametrize("status", [300, 301, 307, 399])
def test_a_redirect_is_told_with_its_place(status):
    def redirect(where):
        phrase = http.HTTPStatus(status).phrase if status < 308 else ""
        return Ending(
            REFUSED,
            f"{f'X answered {status} {phrase}'.strip()}, a redirect to {where}",
            f"Redirects are not followed, so that the token goes to no other host. {MEND_URL}",
        )

    assert of_http(status) == redirect("nowhere")
    assert of_http(status, Location="https://a.example/") == redirect("https://a.example/")


CAP = ("the project's usage cap is reached",
       "X sends nothing more until the cap is reset or raised: see Usage in the X developer portal.")  # fmt: skip
CREDITS = ("the account has no credits left", "Buy credits in the X developer portal, then start again.")
ACCESS = ("the app may not use the filtered stream",
          "Attach the app to a project whose access level includes it, in the X developer portal.")  # fmt: skip
TOKEN = ("this kind of token may not use the filtered stream",
         f"Use the app-only bearer token, not a user's access token: {PORTAL}.")  # fmt: skip
SPENT = ("the account's spending limit is reached",
         "Raise the spending limit in the X developer portal, then start again.")  # fmt: skip
REFUSALS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"type": f"{UNDER}/usage-capped"}, CAP),
    ({"type": f"{UNDER}/usage-capped/"}, CAP),
    ({"type": "USAGE-CAPPED"}, CAP),
    ({"title": "UsageCapExceeded"}, CAP),
    ({"title": "usagecapexceeded", "type": f"{UNDER}/something-new"}, CAP),
    ({"type": f"{UNDER}/credits"}, CREDITS),
    ({"type": f"{UNDER}/credits-depleted"}, CREDITS),
    ({"title": "CreditsDepleted"}, CREDITS),
    ({"type": f"{UNDER}/client-forbidden"}, ACCESS),
    ({"type": f"{UNDER}/client-not-enrolled"}, ACCESS),
    ({"title": "Client Forbidden"}, ACCESS),
    ({"reason": "client-not-enrolled"}, ACCESS),
    ({"reason": "client-not-enrolled", "type": f"{UNDER}/credits"}, CREDITS),  # its type says more
    ({"type": f"{UNDER}/unsupported-authentication"}, TOKEN),
    ({"title": "Unsupported Authentication"}, TOKEN),
    ({"type": f"{UNDER}/spend-capped"}, SPENT),
    ({"title": "SpendCapReached"}, SPENT),
]


@pytest.mark.parametrize(("problem", "words"), REFUSALS, ids=[str(row[0]) for row in REFUSALS])
def test_what_no_retry_mends_is_told_word_by_word_wherever_it_is_said(problem, words):
    said = problem.get("title", "")
    reason = "X answered 403 Forbidden" + (f": {said}" if said else "")
    assert of_http(403, problem) == Ending(REFUSED, f"X refuses to serve us: {words[0]} ({reason})", words[1])
    ended = Ending(REFUSED, f"X ended the stream: {words[0]} ({said or 'an error without words'})", words[1])
    assert answers.in_stream(json.dumps({"errors": [problem]}).encode()) == ended


STREAM: list[tuple[Any, Ending]] = [
    ({"errors": [{}]}, Ending(RETRY, "X ended the stream: an error without words")),
    ({"errors": ["gone"]}, Ending(RETRY, "X ended the stream: gone")),
    ({"errors": "gone"}, Ending(RETRY, "X ended the stream: gone")),
    ({"errors": [7]}, Ending(RETRY, "X ended the stream: an error without words")),
    ({"title": "t", "detail": "d"}, Ending(RETRY, "X ended the stream: t, d")),
    ({"title": "t", "detail": "t", "type": "about:blank"}, Ending(RETRY, "X ended the stream: t")),
    ({"errors": [{"title": "inner", "message": "m"}]}, Ending(RETRY, "X ended the stream: inner, m")),
    ({"errors": [{"title": "i", "message": "m"}], "title": "t", "type": "u"}, Ending(RETRY, "X ended the stream: t, m")),
    ({"errors": [{"title": "i", "detail": "d"}], "type": "u"}, Ending(RETRY, "X ended the stream: i, d")),
    ({"errors": [{"title": "i"}], "type": "u", "detail": "d"}, Ending(RETRY, "X ended the stream: i, d")),
    ({"errors": [{"title": "i"}], "detail": "d"}, Ending(RETRY, "X ended the stream: i")),
    ({"errors": [{"detail": "of"}], "title": "t", "detail": "d"}, Ending(RETRY, "X ended the stream: t, d, of")),
    ({"errors": [{"title": "OperationalDisconnect", "disconnect_type": "UpstreamOperationalDisconnect", "detail": "d"}]},
     Ending(RETRY, "X ended the stream: UpstreamOperationalDisconnect, OperationalDisconnect, d")),
    ({"disconnect_type": "SlowReader"},
     Ending(RETRY, "X cut the connection because we read too slowly: SlowReader")),
    ({"disconnect_type": "ForceDisconnect", "title": "t"},
     Ending(RETRY, "X closed this connection for another one: ForceDisconnect, t")),
    ({"disconnect_type": "InvalidRules"},
     Ending(Kind.NO_RULES, "X ended the stream: InvalidRules", schedule=Schedule.HTTP)),
]  # fmt: skip


@pytest.mark.parametrize(("said", "ending"), STREAM, ids=[row[1].reason for row in STREAM])
def test_an_error_inside_of_the_stream_is_told_word_by_word(said, ending):
    assert answers.in_stream(json.dumps(said).encode()) == ending


@pytest.mark.parametrize("marker", ["errors", "title", "disconnect_type"])
def test_one_sign_is_enough_to_be_looked_at_and_a_post_that_quotes_one_stays_a_post(marker):
    assert answers.in_stream(json.dumps({marker: "t", "detail": "d"}).encode()) is not None
    assert (
        answers.in_stream(json.dumps({"data": {"id": "1", "text": f'"{marker}":'}, marker: "t"}).encode()) is None
    )


def test_an_error_that_is_no_unicode_is_read_all_the_same():
    ending = answers.in_stream(b'{"errors":[{"title":"caf\xff"}]}')
    assert ending == Ending(RETRY, "X ended the stream: caf\ufffd")


def tls(kind: type[ssl.SSLError] = ssl.SSLError, **said: str) -> ssl.SSLError:
    return type("Told", (kind,), said)(1, "[SSL] whatever OpenSSL says")


def unresolved() -> OSError:
    return socket.gaierror(-2, "Name or service not known")


NETWORK: list[tuple[BaseException, Ending]] = [
    (tls(ssl.SSLCertVerificationError, verify_message="certificate has expired"), Ending(
        Kind.UNTRUSTED, "the certificate of api.x.com is not to be trusted: certificate has expired",
        "Check the machine's clock and x.base_url. Behind a proxy of your organisation, name its certificates in the"
        " variable REQUESTS_CA_BUNDLE.", Schedule.HTTP)),
    (ssl.SSLEOFError(8, "EOF"), Ending(RETRY, "the TLS connection to api.x.com was cut")),
    (ssl.SSLZeroReturnError(6, "closed"), Ending(RETRY, "the TLS connection to api.x.com was cut")),
    *((tls(reason=reason), Ending(
        RETRY, "api.x.com does not speak TLS: is it an http address, or a proxy's?"))
      for reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")),
    (tls(reason="UNSUPPORTED_PROTOCOL"), Ending(RETRY, "the TLS connection to api.x.com failed: UNSUPPORTED_PROTOCOL")),
    (unresolved(), Ending(RETRY, "the name of api.x.com cannot be resolved: Name or service not known")),
    (urllib3.exceptions.ProxyError("no", ValueError("tunnel")), Ending(
        RETRY, "the proxy does not connect us to api.x.com")),
    (ConnectionRefusedError(111, "refused"), Ending(RETRY, "connection refused at api.x.com")),
    (http.client.RemoteDisconnected("gone"), Ending(RETRY, "api.x.com closed the connection without an answer")),
    (ConnectionResetError(104, "reset"), Ending(RETRY, "the connection to api.x.com was reset")),
    (BrokenPipeError(32, "pipe"), Ending(RETRY, "the connection to api.x.com was reset")),
    (urllib3.exceptions.DecodeError("bad"), Ending(RETRY, "the compressed stream is damaged")),
    (http.client.IncompleteRead(b""), Ending(RETRY, "the connection was cut in mid-stream")),
    (http.client.BadStatusLine("SSH-2.0"), Ending(RETRY, "api.x.com does not speak HTTP: is it an https address?")),
    (http.client.LineTooLong("header"), Ending(RETRY, "api.x.com does not speak HTTP: is it an https address?")),
    (TimeoutError("timed out"), Ending(RETRY, "no answer from api.x.com in time")),
    (urllib3.exceptions.TimeoutError("timed out"), Ending(RETRY, "no answer from api.x.com in time")),
    (OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /no"), Ending(
        REFUSED,
        "the certificates to trust cannot be read: Could not find a suitable TLS CA certificate bundle, invalid path: /no",
        "The variable REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) must name a file that exists.")),
    (OSError(113, "No route to host"), Ending(RETRY, "no connection to api.x.com: No route to host")),
    (ValueError("what is this"), Ending(RETRY, "the connection to api.x.com failed: ValueError")),
    (OSError("without a number"), Ending(RETRY, "the connection to api.x.com failed: OSError")),
]  # fmt: skip


@pytest.mark.parametrize(("error", "ending"), NETWORK, ids=[row[1].reason for row in NETWORK])
def test_a_failure_of_the_network_is_told_word_by_word(error, ending):
    assert answers.of_failure(error, "api.x.com") == ending


def test_the_error_within_says_more_than_those_around_it_however_it_is_wrapped():
    refused = Ending(RETRY, "connection refused at api.x.com")
    inner = ConnectionRefusedError(111, "refused")
    by_reason = ValueError("outer")
    by_reason.reason = inner  # type: ignore[attr-defined]
    by_cause, by_context = ValueError("outer"), ValueError("outer")
    by_cause.__cause__, by_context.__context__ = inner, inner
    several = ValueError(ValueError(ValueError("a"), "b"), inner)
    for error in (ValueError("outer", inner), by_reason, by_cause, by_context, ValueError(by_cause), several):
        assert answers.of_failure(error, "api.x.com") == refused


def test_an_error_without_words_of_its_kind_is_told_by_what_it_says():
    ending = answers.of_failure(ssl.SSLCertVerificationError(1, "bad\x1b[31m certificate"), "api.x.com")
    assert ending.reason == "the certificate of api.x.com is not to be trusted: bad [31m certificate"


def test_a_failure_carries_its_ending_and_says_its_reason():
    ending = Ending(RETRY, "gone")
    assert (str(Failed(ending)), Failed(ending).ending) == ("gone", ending)


# When to come back


@pytest.mark.parametrize(
    ("told", "until"),
    [
        ("1", NOW + 1),
        (" 120 ", NOW + 120),
        ("3600", NOW + LONGEST_TOLD_WAIT),
        ("3601", None),
        ("0", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_x_names_is_kept_up_to_an_hour(status, told, until):
    headers = {} if told is None else {"Retry_After": told}
    assert of_http(status, **headers).until == until


@pytest.mark.parametrize(("remaining", "waits"), [(-1, True), (0, True), (1, False), (47, False)])
def test_the_reset_is_waited_for_when_nothing_is_left(remaining, waits):
    window = {
        "x_rate_limit_limit": "50",
        "x_rate_limit_remaining": str(remaining),
        "x_rate_limit_reset": str(int(NOW) + 300),
    }
    assert of_http(429, **window).until == (NOW + 300 if waits else None)


# Words from outside


def test_words_from_outside_are_cut_to_their_length_and_cleaned():
    assert answers.short("a\x00b\n c") == "a b c"
    assert answers.short("x" * 300) == "x" * 300
    assert answers.short("x" * 301) == "x" * 299 + "…"
    assert answers.short("x" * 10, 10) == "x" * 10
    assert answers.short("x" * 11, 10) == "x" * 9 + "…"
    assert (
        answers.short(" " * 40 + "behind much nothing", 10) == ""
    )  # no more than four times the length is looked at
    assert answers.short(" " * 39 + "y", 10) == "y"
