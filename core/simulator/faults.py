"""Every fault that can be injected, once: its name, its number in the project's list of faults, what it does.

A fault is scheduled at a point: a post (`500`: the 500th delivery), a stream connection (`c2`), a moment (`t10`:
ten seconds after the start) or another request (`rules1`, `search2`, `counts1`, `usage1`, `token1`: the first,
the second … of that endpoint). `=VALUE` sets the fault's one number, `*TIMES` repeats it: on the following
connections or requests, or at every so many posts or seconds (`500*3`: at 500, 1000 and 1500).

    500:cut-mid-json     c2:http-503*3     t10:stall=5     rules1:http-429=30

What each fault does is in fault_answers.py (instead of an answer) and fault_acts.py (on the stream).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

How = Literal[
    "answer",  # replaces the answer to a request
    "mode",  # changes how a whole connection is written
    "act",  # happens on the stream, at a post
    "option",  # nothing to schedule: an option or the client's own setting brings it about
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `number` is 0 for the few that the list of faults does not number."""

    number: int
    name: str
    how: How
    summary: str
    value: float = 0.0  # what `=VALUE` is without one
    unit: str = ""  # what the value counts; empty when there is none


_TABLE = (
    # Connect
    Fault(1, "dns-failure", "option", "point the client at a host name under .invalid"),
    Fault(2, "refuse", "act", "close the connection and stop listening", 5, "seconds"),
    Fault(3, "no-answer", "answer", "accept, read the request and never answer"),
    Fault(
        4,
        "tls-untrusted",
        "option",
        "SimulatorOptions.ssl_context with a certificate that the client does not trust",
    ),
    Fault(5, "handshake-cut", "answer", "accept, then reset without a byte"),
    Fault(6, "redirect", "answer", "302 to another host name, which makes clients drop their authorization"),
    Fault(7, "http-1.0", "mode", "HTTP/1.0 without chunks; the body ends with the connection"),
    Fault(7, "unchunked", "mode", "HTTP/1.1 without chunks or length"),
    # HTTP
    Fault(8, "http-400", "answer", "400 invalid-request"),
    Fault(9, "http-401", "answer", "401 Unauthorized"),
    Fault(10, "http-402", "answer", "402 credits-depleted, as of July 2026"),
    Fault(10, "http-402-early", "answer", "402 CreditsDepleted, as of early 2026"),
    Fault(11, "http-403-not-enrolled", "answer", "403 client-not-enrolled"),
    Fault(12, "http-403-wrong-auth", "answer", "403 Unsupported Authentication"),
    Fault(13, "http-409", "answer", "409 no rules are defined"),
    Fault(14, "http-429", "answer", "429 rate limit, with its reset header", 60, "seconds to the reset"),
    Fault(
        15, "http-429-connections", "answer", "429 TooManyConnections with rate remaining: a ghost holds the slot"
    ),
    Fault(16, "http-429-usage", "answer", "429 UsageCapExceeded"),
    Fault(17, "http-429-no-reset", "answer", "429 without a reset header"),
    Fault(17, "http-429-past-reset", "answer", "429 with a reset in the past"),
    Fault(17, "http-429-bad-reset", "answer", "429 with a reset that is no number"),
    Fault(18, "http-500-html", "answer", "500 with a page of HTML"),
    Fault(18, "http-502-html", "answer", "502 with a page of HTML"),
    Fault(18, "http-504-html", "answer", "504 with a page of HTML"),
    Fault(19, "http-503", "answer", "503 Service Unavailable"),
    # Ending
    Fault(20, "instant-close", "answer", "200 and at once a clean end"),
    Fault(0, "close", "act", "a clean end (zero-length chunk) between two posts"),
    Fault(0, "cut", "act", "FIN between two posts, without the zero-length chunk"),
    Fault(21, "zero-chunk-mid-json", "act", "a clean end in the middle of a post"),
    Fault(22, "cut-mid-json", "act", "FIN in the middle of a post"),
    Fault(23, "reset-mid-json", "act", "RST in the middle of a post"),
    Fault(24, "disconnect-operational", "act", "OperationalDisconnect, then a clean end"),
    Fault(24, "disconnect-upstream-operational", "act", "UpstreamOperationalDisconnect, then a clean end"),
    Fault(24, "disconnect-force", "act", "ForceDisconnect, then a clean end"),
    Fault(24, "disconnect-upstream-unclean", "act", "UpstreamUncleanDisconnect, then a clean end"),
    Fault(24, "disconnect-slow-reader", "act", "SlowReader, then a clean end"),
    Fault(24, "disconnect-internal-error", "act", "InternalError, then a clean end"),
    Fault(24, "disconnect-state-degraded", "act", "ClientApplicationStateDegraded, then a clean end"),
    Fault(24, "disconnect-invalid-rules", "act", "InvalidRules, then a clean end"),
    Fault(25, "error-without-close", "act", "an operational-disconnect, and the stream goes on"),
    Fault(26, "bare-problem", "act", "a problem at top level, without `errors`, then a clean end"),
    Fault(27, "usage-capped", "act", "UsageCapExceeded on the stream, then a clean end"),
    Fault(28, "kick", "act", "closed as by a second connection"),
    # Stalls
    Fault(29, "stall", "act", "not a byte, no keep-alive either; then it goes on", 60, "seconds"),
    Fault(30, "silence", "act", "keep-alives, but no posts", 60, "seconds"),
    Fault(31, "half-chunk-stall", "act", "half a chunk, then not a byte; then the rest", 60, "seconds"),
    Fault(32, "drip", "act", "this post byte by byte", 0.01, "seconds between two bytes"),
    Fault(33, "half-open", "act", "the server forgets the connection and says nothing"),
    Fault(
        34, "slow-reader-drop", "act", "the buffered posts are lost and the connection is reset", 20, "posts lost"
    ),
    # Framing
    Fault(35, "crlf-split", "act", "CR and LF of this post in two chunks"),
    Fault(36, "utf8-split", "act", "a chunk ends within a character"),
    Fault(37, "many-per-chunk", "act", "this post and the following ones in one chunk", 10, "posts"),
    Fault(37, "many-chunks", "act", "this post over many chunks", 7, "bytes a chunk"),
    Fault(38, "lf-keep-alive", "act", "a keep-alive of a bare LF"),
    Fault(39, "bad-chunk-size", "act", "a chunk size that is no number; then the connection ends"),
    Fault(40, "gzip", "mode", "compressed, whether offered or not"),
    Fault(
        40, "gzip-truncated", "mode", "compressed; ends cleanly in the middle of the data", 5, "posts before it"
    ),
    Fault(40, "gzip-corrupt", "mode", "compressed; damaged data", 5, "posts before it"),
    Fault(41, "long-line", "act", "this post with a field of five million bytes", 5_000_000, "bytes"),
    Fault(42, "burst", "act", "the following posts at once", 100, "posts"),
    # Content
    Fault(43, "invalid-json", "act", "a line of broken JSON before this post"),
    Fault(44, "scalar-line", "act", "a line that is a number before this post"),
    Fault(44, "array-line", "act", "a line that is an array before this post"),
    Fault(45, "unknown-message", "act", "a message of an unknown type before this post"),
    Fault(46, "tag-absent", "act", "this post's rules without a tag"),
    Fault(46, "tag-empty", "act", "this post's rules with an empty tag"),
    Fault(46, "tag-null", "act", "this post's rules with tag null"),
    Fault(47, "no-id", "act", "before this post, a copy of it without id"),
    Fault(47, "no-text", "act", "before this post, a copy of it without text"),
    Fault(47, "no-includes", "act", "this post without includes"),
    Fault(47, "no-edit-history", "act", "this post without edit_history_tweet_ids"),
    Fault(48, "nulls", "act", "this post with null in every optional field"),
    Fault(49, "shuffled-fields", "act", "this post's fields in another order"),
    Fault(50, "partial-errors", "act", "this post with partial errors beside its data"),
    Fault(51, "odd-text", "act", "this post with double escapes, U+2028, U+0000 and a lone surrogate in its text"),
    Fault(52, "unknown-rule", "act", "this post matched by a rule that nobody made"),
    # Order and time
    Fault(53, "duplicate", "act", "this post twice"),
    Fault(
        54, "duplicates-after-backfill", "option", "backfill_access, and a client that asks for backfill_minutes"
    ),
    Fault(55, "out-of-order", "act", "the following post before this one"),
    Fault(56, "edit", "act", "the following post is a later version of this one"),
    Fault(57, "clock-skew", "act", "this post's created_at is wrong", 3600, "seconds ahead"),
    Fault(58, "late-rule", "option", "rule_delay=20"),
    Fault(59, "gap", "act", "the connection is cut and posts are lost, which search can find", 20, "posts lost"),
    # Rules
    Fault(
        60, "rule-problems", "option", "the rules endpoint refuses duplicate, invalid, too long and too many rules"
    ),
)

FAULTS: dict[str, Fault] = {fault.name: fault for fault in _TABLE}

RequestPoint = Literal["rules", "search", "counts", "usage", "token"]
Point = Literal["post", "connection", "time"] | RequestPoint
REQUESTS: tuple[RequestPoint, ...] = get_args(RequestPoint)

_SPELLING = re.compile(
    r"(?P<point>c|t|rules|search|counts|usage|token)?(?P<at>\d+(?:\.\d+)?):(?P<name>[a-z0-9.-]+)"
    r"(?:=(?P<value>-?\d+(?:\.\d+)?))?(?:\*(?P<times>\d+))?"
)


class BadSchedule(ValueError):
    """A fault was asked for that does not exist, or at no such point."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A fault at a point, `times` times. `value` None is the fault's own."""

    name: str
    point: Point
    at: float
    value: float | None = None
    times: int = 1
    every: float = 0.0  # from one time to the next; 0: the following connection or request, or `at` once more

    def __post_init__(self) -> None:
        fault = FAULTS.get(self.name)
        if fault is None:
            raise BadSchedule(f"there is no fault {self.name!r}; --list-faults prints them all")
        if fault.how == "option":
            raise BadSchedule(f"the fault {self.name!r} cannot be scheduled: {fault.summary}")
        if self.point in REQUESTS and fault.how != "answer":
            raise BadSchedule(f"the fault {self.name!r} happens on the stream, not at {self.point}")
        if self.at <= 0 and self.point != "time":
            raise BadSchedule(f"posts, connections and requests are counted from 1, not from {self.at:g}")

    @property
    def amount(self) -> float:
        """The fault's number."""
        return FAULTS[self.name].value if self.value is None else self.value

    @property
    def how(self) -> How:
        """What kind of fault it is."""
        return FAULTS[self.name].how


def parse(text: str) -> Scheduled:
    """Read a fault as the command line spells it. Raises BadSchedule."""
    found = _SPELLING.fullmatch(text)
    if found is None:
        raise BadSchedule(
            f"{text!r} is no fault; write POINT:NAME, such as 500:cut-mid-json, c2:http-503 or t10:stall=5"
        )
    points: dict[str | None, Point] = {None: "post", "c": "connection", "t": "time"}
    points |= {name: name for name in REQUESTS}
    point = points[found["point"]]
    value = None if found["value"] is None else float(found["value"])
    return Scheduled(found["name"], point, float(found["at"]), value, int(found["times"] or 1))


class Schedule:
    """The faults that are still to come."""

    def __init__(self, faults: tuple[Scheduled | str, ...] = ()) -> None:
        self._faults = [parse(fault) if isinstance(fault, str) else fault for fault in faults]

    def add(self, fault: Scheduled) -> None:
        """One more."""
        self._faults.append(fault)

    def take(
        self, point: Point, reached: float, how: tuple[How, ...] = ("answer", "mode", "act")
    ) -> list[Scheduled]:
        """Remove and return what is due at that point; what repeats is put back for its next time."""
        due = [one for one in self._faults if one.point == point and one.at <= reached and one.how in how]
        for one in due:
            self._faults.remove(one)
            if one.times > 1:
                every = one.every or (one.at if point in ("post", "time") else 1.0)
                self._faults.append(replace(one, at=one.at + every, times=one.times - 1, every=every))
        return due

    def next_post(self) -> float:
        """The next delivery at which a fault is due; infinity when there is none."""
        return min((one.at for one in self._faults if one.point == "post"), default=float("inf"))

    def next_time(self) -> float:
        """The next moment at which a fault is due; infinity when there is none."""
        return min((one.at for one in self._faults if one.point == "time"), default=float("inf"))
