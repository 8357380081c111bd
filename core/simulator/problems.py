"""X's error answers, word for word as they were captured, and the rate windows that some of them come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.simulator.http import Response

PROBLEM = "https://api.x.com/2/problems"

DISCONNECT_TYPES = (
    "OperationalDisconnect", "UpstreamOperationalDisconnect", "ForceDisconnect", "UpstreamUncleanDisconnect",
    "SlowReader", "InternalError", "ClientApplicationStateDegraded", "InvalidRules",
)  # fmt: skip

USAGE_CAPPED: dict[str, Any] = {
    "account_id": 1234567890, "product_name": "standard-basic", "title": "UsageCapExceeded", "period": "Monthly",
    "scope": "Product", "detail": "Usage cap exceeded: Monthly product cap", "type": f"{PROBLEM}/usage-capped",
}  # fmt: skip


def about_blank(status: int, title: str, headers: dict[str, str] | None = None) -> Response:
    """A problem without a type of its own."""
    body = {"title": title, "detail": title, "type": "about:blank", "status": status}
    return Response.json(status, body, headers)


def unauthorized() -> Response:
    """401: the token is wrong or missing."""
    return about_blank(401, "Unauthorized")


def invalid_request(parameters: dict[str, list[str]], message: str) -> Response:
    """400: a parameter is wrong."""
    body = {
        "errors": [{"parameters": parameters, "message": message}], "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.", "type": f"{PROBLEM}/invalid-request",
    }  # fmt: skip
    return Response.json(400, body)


def unsupported_authentication() -> Response:
    """403: user context where only the app's own token is taken."""
    detail = (
        "Authenticating with OAuth 1.0a User Context is forbidden for this endpoint.  "
        "Supported authentication types are [OAuth 2.0 Application-Only]."
    )
    body = {
        "title": "Unsupported Authentication", "detail": detail, "type": f"{PROBLEM}/unsupported-authentication",
        "status": 403,
    }  # fmt: skip
    return Response.json(403, body)


def not_enrolled() -> Response:
    """403: the app is in no project."""
    body = {
        "client_id": "12345678", "required_enrollment": "Appropriate Level of API Access",
        "registration_url": "https://developer.x.com/en/docs/projects/overview", "title": "Client Forbidden",
        "detail": "When authenticating requests to the X API v2 endpoints, you must use keys and tokens from a "
        "developer App that is attached to a Project.", "reason": "client-not-enrolled",
        "type": f"{PROBLEM}/client-forbidden",
    }  # fmt: skip
    return Response.json(403, body)


def credits_depleted(*, early: bool = False) -> Response:
    """402: no credits, as of July 2026, or as of early 2026."""
    if early:
        detail = "Your enrolled account [1234567890] does not have any credits to fulfill this request."
        return Response.json(402, {"title": "CreditsDepleted", "detail": detail, "type": f"{PROBLEM}/credits"})
    body = {
        "detail": "credits depleted", "status": 402, "title": "Payment Required",
        "type": f"{PROBLEM}/credits-depleted",
    }  # fmt: skip
    return Response.json(402, body)


def _connection(status: int, issue: str, detail: str) -> Response:
    body = {
        "title": "ConnectionException", "detail": detail, "connection_issue": issue,
        "type": f"{PROBLEM}/streaming-connection",
    }  # fmt: skip
    return Response.json(status, body)


def no_rules() -> Response:
    """409: there is nothing to stream."""
    detail = (
        "You must define rules using the POST /2/tweets/search/stream/rules endpoint before connecting to "
        "filtered stream."
    )
    return _connection(409, "RuleConfigurationIssue", detail)


def too_many_connections() -> Response:
    """429: another connection, or the ghost of one, holds the slot."""
    detail = "This stream is currently at the maximum allowed connection limit."
    return _connection(429, "TooManyConnections", detail)


def usage_capped() -> Response:
    """429: the month's posts are used up."""
    return Response.json(429, USAGE_CAPPED)


def html(status: int, title: str) -> Response:
    """What a proxy in front of the API answers."""
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"
    )
    return Response(status, page.encode(), content_type="text/html")


def disconnect(kind: str) -> dict[str, Any]:
    """The error object that X puts on the stream before it closes it, for a `disconnect_type`."""
    upstream = "upstream " if kind.startswith("Upstream") else ""
    return {
        "title": "operational-disconnect", "disconnect_type": kind,
        "detail": f"This stream has been disconnected {upstream}for operational reasons.",
        "type": f"{PROBLEM}/operational-disconnect",
    }  # fmt: skip


@dataclass(slots=True)
class RateWindow:
    """So many requests in so many seconds, counted from the first one. Times are seconds since 1970."""

    limit: int
    seconds: float = 900.0
    used: int = 0
    reset: float = 0.0

    def take(self, now: float) -> bool:
        """Count one request; False when the window is used up."""
        if now >= self.reset:
            self.used, self.reset = 0, now + self.seconds
        self.used += 1
        return self.used <= self.limit

    def headers(self) -> dict[str, str]:
        """X's rate-limit headers."""
        return {
            "x-rate-limit-limit": str(self.limit),
            "x-rate-limit-remaining": str(max(self.limit - self.used, 0)),
            "x-rate-limit-reset": str(int(self.reset) + 1),
        }
