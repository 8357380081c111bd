"""tweepy's streaming client, held to one request at a time.

tweepy knows the endpoints, their parameters and bodies; the HTTP underneath is ours, because tweepy's own loop
reconnects without a wait, ends at a bad line, and cannot be stopped (docs/decisions). Here `filter` makes exactly
one connection, hands over every line as it comes, and ends in Failed with the reason; the REST calls end in an
Answer or in Failed as well. Nothing is retried, nothing is logged: the supervisor does both.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import tweepy
import urllib3.exceptions

from core.clock import Clock
from core.sources.x import answers
from core.sources.x.answers import STOPPED, Ending, Failed, Kind
from core.sources.x.body import LineReader
from core.sources.x.transport import READ_SIZE, Bearer, Breaker, Session

T = TypeVar("T")

LONGEST_ANSWER = 16 * 1024 * 1024  # bytes of a REST answer's body; X's longest holds 1000 rules
LONGEST_ERROR = 64 * 1024  # bytes of an error's body that are looked at

# What a Post needs. The expansions bring an author's name, and the whole text of a retweet's original.
FIELDS: dict[str, list[str]] = {
    "tweet_fields": [
        "author_id",
        "conversation_id",
        "created_at",
        "edit_history_tweet_ids",
        "entities",
        "in_reply_to_user_id",
        "lang",
        "note_tweet",
        "public_metrics",
        "referenced_tweets",
    ],
    "expansions": ["author_id", "referenced_tweets.id", "referenced_tweets.id.author_id"],
    "user_fields": ["name", "username"],
}

_NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # urllib3 and idna, for addresses that cannot be
)


class Answer(msgspec.Struct, frozen=True):
    """A REST answer with a status of success."""

    status: int
    body: bytes


class Receiver(Protocol):
    """Who takes what a connection brings."""

    def answered(self, headers: Mapping[str, str]) -> None:
        """X answered the request to connect, in whatever way."""

    def opened(self) -> None:
        """The stream is open."""

    def received(self, lines: Sequence[bytes], at: float, *, more: bool) -> float | None:
        """Bytes were there at that moment, and ended these lines.

        `more`: there may be others, or the rest of a line, or the connection's end, at that moment. Returns how
        many seconds the next may take, if not as usual.

        May raise Failed to end the connection.
        """


class XClient(tweepy.StreamingClient):  # type: ignore[misc]  # tweepy has no types
    """One client for one use: make, use, close. Closing it ends its connections for X too."""

    def __init__(
        self, base_url: str, breaker: Breaker, clock: Clock, *, connect_timeout: float, stall_after: float
    ) -> None:
        super().__init__("", return_type=requests.Response)  # that is: give back what `request` gives
        self.session = Session(breaker, stall_after)
        self.session.headers.update({"User-Agent": self.user_agent, "Accept-Encoding": "gzip"})
        self._base_url = base_url.rstrip("/")
        self._where = urlsplit(base_url).netloc.rpartition("@")[2]
        self._breaker = breaker
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._stall_after = stall_after
        self._receiver: Receiver | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def authorize(self, token: str) -> None:
        """Use that token from now on."""
        self.session.auth = Bearer(token)

    def follow(self, receiver: Receiver) -> None:
        """Open the stream and hand everything to the receiver, until it ends: always by raising Failed."""
        self._receiver = receiver
        self.filter(**FIELDS)

    def exchange(self, authorization: str, form: dict[str, str]) -> bytes:
        """POST /oauth2/token. Raises Failed."""
        response = self._send(
            "POST", "/oauth2/token", headers={"Authorization": authorization}, data=form, auth=_as_it_is
        )
        return self._answer(response).body

    def request(
        self,
        method: str,
        route: str,
        params: dict[str, Any] | None = None,
        json: Any = None,
        **_: Any,  # user_auth, which is never asked for
    ) -> Answer:
        """tweepy's way to every REST endpoint. Raises Failed."""
        return self._answer(self._send(method, route, params=params, json=json))

    def _connect(self, method: str, endpoint: str, **kwargs: Any) -> None:
        """tweepy's `filter` ends here: one connection, read to its end."""
        receiver = self._receiver
        if receiver is None:
            raise RuntimeError("follow() is the way to open the stream")
        with self._send(method, f"/2/tweets/{endpoint}/stream", params=kwargs.get("params")) as response:
            receiver.answered(response.headers)
            if response.status_code != 200:
                raise Failed(self._refusal(response))
            receiver.opened()
            reader = LineReader(response.raw, READ_SIZE)
            while (lines := self._read(reader.read)) is not None:
                at = self._clock.now()  # before one looks for more: what was there by then is in hand, or is seen
                seconds = receiver.received(lines, at, more=self.session.has_more() or reader.midway)
                if seconds is not None:
                    self.session.be_patient_for(seconds)
        raise Failed(Ending(Kind.RETRY, "X closed the connection"))

    def _read(self, read: Callable[[], T]) -> T:
        """What `read` reads of the answer. Raises Failed."""
        try:
            found = read()
        except _NETWORK_ERRORS as error:
            self._check_stopped()
            if isinstance(error, TimeoutError | urllib3.exceptions.ReadTimeoutError):
                raise Failed(Ending(Kind.STALLED, f"no byte for {self._stall_after:g} s")) from None
            raise Failed(answers.of_failure(error, self._where)) from None
        self._check_stopped()
        return found

    def _send(self, method: str, route: str, **arguments: Any) -> requests.Response:
        """One request; the answer's body is not read yet."""
        self._check_stopped()
        try:
            return self.session.request(
                method,
                self._base_url + route,
                stream=True,
                allow_redirects=False,
                timeout=self._connect_timeout,
                **arguments,
            )
        except _NETWORK_ERRORS as error:
            self._check_stopped()
            raise Failed(answers.of_failure(error, self._where)) from None

    def _answer(self, response: requests.Response) -> Answer:
        with response:
            if not 200 <= response.status_code < 300:
                raise Failed(self._refusal(response))
            return Answer(response.status_code, self._body(response, LONGEST_ANSWER))

    def _refusal(self, response: requests.Response) -> Ending:
        try:
            body = self._body(response, LONGEST_ERROR)
        except Failed as failure:
            if failure.ending.kind is Kind.STOPPED:
                raise
            body = b""  # the status says enough
        return answers.of_http(
            response.status_code, response.reason or "", response.headers, body, self._clock.now()
        )

    def _body(self, response: requests.Response, longest: int) -> bytes:
        """The body, or its beginning: bounded in size and in time, whatever the other side does."""
        deadline = time.monotonic() + 3 * self._connect_timeout
        parts: list[bytes] = []
        size = 0
        while size < longest and time.monotonic() < deadline:
            data = self._read(lambda: response.raw.read1(READ_SIZE, decode_content=True) or b"")
            if not data:
                break
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def _check_stopped(self) -> None:
        if self._breaker.tripped.is_set():
            raise Failed(STOPPED)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No token and no ~/.netrc for this request: its headers are complete."""
    return request
