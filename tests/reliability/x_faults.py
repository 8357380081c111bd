"""Every fault of X and of the way to it, and what the capture does about it: the table that drives the tests.

    python -m tests.reliability.x_faults     the table as Markdown, and the number of faults by class

A row is one fault of the project's list (the numbers are that list's), injected by the simulator or by a scene of
x_scenes.py. It says all that is to happen, so that a test can compare instead of judge: the states that the
connection goes through, the waits, the words, the lines that go to quarantine. The lines that are delivered are
always the ones that the server says it sent whole, connection by connection.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from core.simulator.faults import FAULTS

AT = 8  # the post at which a fault of the stream happens

# States that the connection reports, in order; a regular expression, because it may try more than once.
ON = "connecting live"
AGAIN = "connecting live connecting live"  # a first loss: at once
LATER = "connecting live waiting connecting live"
STALLED = "connecting live stalled connecting live"
REFUSED_FIRST = "connecting connecting live"
TOLD_TO_WAIT = "connecting waiting connecting live"
GIVES_UP = "connecting stopped"
GIVES_UP_LATER = "connecting live stopped"

CLASSES = (
    ("connect", 1, 7),
    ("HTTP", 8, 19),
    ("ending", 20, 28),
    ("stalls", 29, 34),
    ("framing", 35, 42),
    ("content", 43, 52),
    ("order and time", 53, 59),
    ("rules", 60, 60),
)


@dataclass(frozen=True)
class Row:
    """One fault and all that is expected. `fault` names it in the simulator's registry, or is a scene's name."""

    number: int
    fault: str
    path: str = ON
    words: str = ""  # in the reason of the gap, and in what the user reads
    hint: str = ""  # in what to do, when it is given up
    waits: tuple[float, ...] = ()  # seconds, without jitter
    and_more: bool = False  # it goes on waiting like that; `waits` are the first ones
    quarantined: int = 0
    gaps: int | None = None  # None: one if the connection was not simply there
    at: str = ""  # where the simulator has it happen, how much and how often: "c1:{}=5*2", with {} for the name
    case: str = ""  # tells rows of one fault apart
    scene: str = ""  # of x_scenes.py, when scheduling alone does not bring it about
    what: str = ""  # in words, when the registry has none
    options: dict[str, Any] = field(default_factory=dict)  # of the simulator
    settings: dict[str, Any] = field(default_factory=dict)  # of the source
    keywords: str = "bieber"

    @property
    def id(self) -> str:
        """The row's name."""
        return f"{self.fault} {self.case}".strip()

    @property
    def patience(self) -> dict[str, float]:
        """Settings: some seconds where X keeps silent, and long where it does not, however busy the machine is."""
        in_vain = self.path == REFUSED_FIRST and ("no answer" in self.words or "name server" in self.words)
        return {
            "stall_after": 3.0 if self.path == STALLED else 60.0,
            "connect_timeout": 3.0 if in_vain else 60.0,
        }

    @property
    def summary(self) -> str:
        """What is injected, in words."""
        return self.what or FAULTS[self.fault].summary

    @property
    def group(self) -> str:
        """Its class in the list of faults."""
        return next(name for name, first, last in CLASSES if first <= self.number <= last)

    @property
    def gives_up(self) -> bool:
        """Whether no retry mends it."""
        return self.path.endswith("stopped")

    @property
    def interruptions(self) -> int:
        """How many gaps it leaves."""
        if self.gaps is not None:
            return self.gaps
        return 0 if self.path == ON else 1

    @property
    def schedule(self) -> tuple[str, ...]:
        """The fault as the simulator is told of it."""
        if self.scene and not self.at:
            return ()
        where = "c1:{}" if FAULTS[self.fault].how in ("answer", "mode") else f"{AT}:{{}}"
        return ((self.at or where).format(self.fault),)


def _refused(number: int, fault: str, words: str, hint: str, **more: Any) -> Row:
    return Row(number, fault, **{"path": GIVES_UP, "words": words, "hint": hint, **more})


def _answered(number: int, fault: str, words: str, *waits: float, **more: Any) -> Row:
    return Row(number, fault, **{"path": TOLD_TO_WAIT, "words": words, "waits": waits, **more})


def _lost(number: int, fault: str, words: str, **more: Any) -> Row:
    return Row(number, fault, **{"path": AGAIN, "words": words, **more})


def _stalled(number: int, fault: str, words: str = "no byte for 3 s", **more: Any) -> Row:
    return Row(number, fault, STALLED, words, **more)


def _unnoticed(number: int, *faults: str) -> list[Row]:
    return [Row(number, fault) for fault in faults]


def _quarantined(number: int, *faults: str) -> list[Row]:
    return [Row(number, fault, quarantined=1) for fault in faults]


CLOSED = "X closed the connection"
CUT = "cut in mid-stream"
RESET = "was reset"
TOKEN = "BIEBER_TUI_X__BEARER_TOKEN"
PORTAL = "developer portal"
CA = "REQUESTS_CA_BUNDLE"
TLS: dict[str, Any] = {"scene": "tls"}

TABLE: tuple[Row, ...] = (
    # Connect
    Row(
        1, "dns-failure", "connecting connecting waiting connecting waiting connecting live",
        "cannot be resolved", waits=(0.25, 0.5), scene="dns", what="the name is not known three times, then it is",
    ),
    Row(
        1, "dns-hangs", REFUSED_FIRST, "the name server does not answer", scene="dns-hangs",
        what="the name server does not answer; the next time it does",
    ),
    Row(
        2, "refuse", "connecting live connecting waiting connecting(( waiting){1,2} connecting)+ live",
        CUT, waits=(0.25, 0.5), and_more=True, at=f"{AT}:{{}}=0.5",
    ),
    Row(
        2, "refused-at-start", REFUSED_FIRST, "connection refused", scene="refused-first",
        what="nobody listens at the first try",
    ),
    Row(3, "no-answer", REFUSED_FIRST, "no answer from"),
    Row(
        3, "connect-timeout", REFUSED_FIRST, "no answer from", scene="black-hole",
        what="the first connect is never taken (a full queue drops it)",
    ),
    Row(
        4, "tls-untrusted", GIVES_UP, "is not to be trusted", CA, **TLS, case="unknown authority",
        what="nobody knows the certificate's authority",
    ),
    Row(4, "tls-untrusted", GIVES_UP, "expired", CA, **TLS, case="expired", what="the certificate has expired"),
    Row(
        4, "tls-untrusted", GIVES_UP, "not yet valid", "clock", **TLS, case="not yet valid",
        what="the certificate is of the future: so is a machine's clock that is wrong",
    ),
    Row(
        4, "tls-untrusted", GIVES_UP, "not valid for '127.0.0.1'", "x.base_url", **TLS, case="wrong host",
        what="the certificate is another host's",
    ),
    Row(4, "tls-untrusted", ON, **TLS, case="right", what="the certificate is trusted: REQUESTS_CA_BUNDLE names it"),
    Row(
        4, "tls-untrusted", "connecting live connecting waiting connecting live", CLOSED, waits=(5,),
        scene="tls-turns-bad", case="in mid-run", what="the certificate expires in mid-run, and is renewed",
    ),
    Row(
        4, "tls-no-bundle", GIVES_UP, "the certificates to trust cannot be read", CA, **TLS,
        what="REQUESTS_CA_BUNDLE names a file that does not exist",
    ),
    Row(5, "handshake-cut", REFUSED_FIRST, RESET),
    Row(
        5, "tls-handshake-fin", REFUSED_FIRST, "was cut", scene="tls-handshake",
        what="the connection ends within the TLS handshake",
    ),
    Row(
        5, "tls-handshake-reset", REFUSED_FIRST, RESET, scene="tls-handshake",
        what="the connection is reset within the TLS handshake",
    ),
    Row(
        5, "tls-plain-http", REFUSED_FIRST, "does not speak TLS", scene="tls-handshake",
        what="plain HTTP answers on the TLS port",
    ),
    Row(
        5, "http-on-tls", REFUSED_FIRST, "does not speak HTTP", scene="tls-answers-http",
        what="TLS answers where plain HTTP is spoken",
    ),
    _refused(6, "redirect", "a redirect to http://localhost", "x.base_url"),
    *_unnoticed(7, "http-1.0", "unchunked"),
    # HTTP
    _refused(8, "http-400", "The query parameter [x] is not valid", "parameter"),
    _refused(9, "http-401", "does not accept the token", TOKEN),
    _refused(9, "http-401", "does not accept the token", TOKEN, at="rules1:{}", case="of the rules"),
    _refused(10, "http-402", "no credits left", "Buy credits"),
    _refused(10, "http-402-early", "no credits left", "Buy credits"),
    _refused(11, "http-403-not-enrolled", "may not use the filtered stream", "project"),
    _refused(12, "http-403-wrong-auth", "this kind of token", "app-only bearer token"),
    _answered(13, "http-409", "409 Conflict", 5),
    _refused(
        13, "http-409", "You must define rules", "bieber-tui check", at="c1:{}*6", case="for ever",
        path="connecting( waiting connecting){5} stopped", waits=(5, 10, 20, 40, 80),
        what="409 six times, though our rule was made each time",
    ),
    _answered(14, "http-429", "429 Too Many Requests", 42, at="c1:{}=40"),
    _answered(14, "http-429", "429 Too Many Requests", 42, at="rules2:{}=40", case="of the rules"),
    _answered(15, "http-429-connections", "TooManyConnections", 60),
    Row(
        15, "http-429-connections", "connecting live connecting( waiting connecting)+ live", CUT,
        waits=(60,), and_more=True, scene="ghost", case="by a real ghost",
        what="a cut connection holds the only slot for 0.4 s more",
    ),
    _refused(16, "http-429-usage", "usage cap", PORTAL),
    _answered(17, "http-429-no-reset", "429 Too Many Requests", 60),
    _answered(17, "http-429-past-reset", "429 Too Many Requests", 60),
    _answered(17, "http-429-bad-reset", "429 Too Many Requests", 60),
    _answered(18, "http-500-html", "500 Internal Server Error", 5),
    _answered(18, "http-502-html", "502 Bad Gateway", 5),
    _answered(18, "http-504-html", "504 Gateway Timeout", 5),
    _answered(19, "http-503", "503 Service Unavailable", 5),
    _answered(
        19, "http-503", "503 Service Unavailable", 5, 10, 20, 40, 80, 160, 320, 320, at="c1:{}*8",
        path="connecting( waiting connecting){8} live", case="again and again", what="503 eight times in a row",
    ),
    _answered(19, "http-503", "503 Service Unavailable", 5, at="rules1:{}", case="of the rules"),
    # Ending
    _lost(20, "instant-close", CLOSED),
    _lost(
        20, "instant-close", CLOSED, waits=(0.25, 0.5, 0.75, 1.0), gaps=5, at="c1:{}*5", case="again and again",
        path="connecting live connecting live( waiting connecting live){4}", what="a clean end at once, five times",
    ),
    _lost(20, "close", CLOSED),
    _lost(22, "cut", CUT),
    _lost(21, "zero-chunk-mid-json", CLOSED),
    _lost(22, "cut-mid-json", CUT),
    _lost(23, "reset-mid-json", RESET),
    _lost(24, "disconnect-operational", "OperationalDisconnect"),
    _lost(24, "disconnect-upstream-operational", "UpstreamOperationalDisconnect"),
    _lost(24, "disconnect-force", "closed this connection for another one"),
    _lost(24, "disconnect-upstream-unclean", "UpstreamUncleanDisconnect"),
    _lost(24, "disconnect-slow-reader", "because we read too slowly"),
    _lost(24, "disconnect-internal-error", "InternalError"),
    _lost(24, "disconnect-state-degraded", "ClientApplicationStateDegraded"),
    Row(24, "disconnect-invalid-rules", LATER, "InvalidRules", waits=(5,)),
    _lost(25, "error-without-close", "UpstreamOperationalDisconnect"),
    _lost(26, "bare-problem", "OperationalDisconnect"),
    _refused(27, "usage-capped", "usage cap", PORTAL, path=GIVES_UP_LATER),
    _lost(28, "kick", CLOSED),
    # Stalls
    _stalled(29, "stall"),
    Row(30, "silence", at=f"{AT}:{{}}=4.5", settings={"stall_after": 3.0}, what="keep-alives, but no posts for longer than a stall"),
    _stalled(31, "half-chunk-stall"),
    Row(32, "drip", at=f"{AT}:{{}}=0.001", options={"payload": "small"}),
    _stalled(
        32, "drip", "no whole line for 2 s", at=f"{AT}:{{}}=0.1", settings={"stall_after": 0.5}, case="for ever",
        what="byte by byte, so slowly that the line would take minutes",
    ),
    _stalled(33, "half-open"),
    _lost(34, "slow-reader-drop", RESET, at=f"{AT}:{{}}=3"),
    # Framing
    *_unnoticed(35, "crlf-split"),
    *_unnoticed(36, "utf8-split"),
    *_unnoticed(37, "many-per-chunk", "many-chunks"),
    *_unnoticed(38, "lf-keep-alive"),
    _lost(39, "bad-chunk-size", CUT),
    *_unnoticed(40, "gzip"),
    _lost(40, "gzip-truncated", CLOSED),
    _lost(40, "gzip-corrupt", "the compressed stream is damaged"),
    *_unnoticed(41, "long-line"),
    *_unnoticed(42, "burst"),
    # Content
    *_quarantined(43, "invalid-json"),
    *_quarantined(44, "scalar-line", "array-line"),
    *_quarantined(45, "unknown-message"),
    *_unnoticed(46, "tag-absent", "tag-empty", "tag-null"),
    *_quarantined(47, "no-id", "no-text"),
    *_unnoticed(47, "no-includes", "no-edit-history"),
    *_unnoticed(48, "nulls"),
    *_unnoticed(49, "shuffled-fields"),
    *_unnoticed(50, "partial-errors"),
    *_unnoticed(51, "odd-text"),
    *_unnoticed(52, "unknown-rule"),
    # Order and time
    *_unnoticed(53, "duplicate"),
    _lost(
        54, "duplicates-after-backfill", CLOSED, scene="backfill",
        what="the next connection begins with posts that came before",
    ),
    *_unnoticed(55, "out-of-order"),
    *_unnoticed(56, "edit"),
    *_unnoticed(57, "clock-skew"),
    Row(58, "late-rule", scene="simulator", options={"rule_delay": 0.5}, what="our rule is applied late"),
    _lost(59, "gap", CUT, at=f"{AT}:{{}}=3"),
    # Rules
    Row(
        60, "rule-problems", words="not ours", scene="foreign-rule", case="duplicate", options={"rule_cap": 1},
        what="somebody else's rule has our keywords",
    ),
    Row(60, "rule-problems", scene="old-rule", case="cap", options={"rule_cap": 1},
        what="the list is full, with an old rule of ours in it"),
    _refused(
        60, "rule-problems", "no more rules", "Delete rules", scene="foreign-rule", case="cap, others' rules",
        options={"rule_cap": 1}, keywords="selena", what="the list is full of others' rules",
    ),
    _refused(
        60, "rule-problems", "must not be longer", "shorten", scene="simulator", case="length",
        options={"rule_length": 5}, what="the rule is too long",
    ),
    _refused(
        60, "rule-problems", "does not take these keywords", "Change the keywords", scene="simulator",
        case="invalid", keywords="-bieber", what="X does not take the rule",
    ),
    Row(60, "rule-problems", scene="rule-deleted-meanwhile", case="partial",
        what="an old rule of ours is deleted by somebody else before we do it"),
)  # fmt: skip


def by_class() -> dict[str, int]:
    """How many faults are injected, by class of the list."""
    counted = Counter(row.group for row in TABLE)
    return {name: counted[name] for name, _, _ in CLASSES}


def _does(row: Row) -> str:
    """What the capture does, in words."""
    if row.gives_up:
        after = f" after waits of {_seconds(row)}" if row.waits else ""
        return f"gives up{after}, exit code 3"
    if row.path == ON:
        return "goes on, the line to quarantine" if row.quarantined else "goes on"
    stalled = "says that it is stalled; " if "stalled" in row.path else ""
    if not row.waits:
        return f"{stalled}connects again at once"
    return f"{stalled}connects again after {_seconds(row)}"


def _seconds(row: Row) -> str:
    waits = [f"{wait:g} s" for wait in row.waits]
    if len(waits) > 3:
        waits = [*waits[:2], "…", waits[-1]]
    return ", ".join(waits) + (" …" if row.and_more else "")


def markdown() -> str:
    """The table for docs/reliability.md."""
    counts = by_class()
    lines = [
        f"{len(TABLE)} faults are injected over real sockets, each expected to the last wait, word and line: "
        + ", ".join(f"{count} {name}" for name, count in counts.items())
        + ".",
    ]
    for group in counts:
        lines += ["", f"**{group.capitalize() if group != 'HTTP' else group}**", ""]
        lines += ["| no. | fault | the capture | says |", "|---|---|---|---|"]
        for row in (row for row in TABLE if row.group == group):
            said = f"{row.words} … {row.hint}" if row.hint else row.words
            cells = (str(row.number), row.summary, _does(row), said)
            lines.append("| " + " | ".join(re.sub(r"\s*\|\s*", "/", cell) for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(markdown() + "\n")
