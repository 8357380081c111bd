"""Every fault of the registry, on a raw socket: it is seen there, and recorded as it happened."""

from __future__ import annotations

import itertools
import json
import re
import select
import socket
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest

from core.simulator.fault_acts import ANY_TIME, ON_POST
from core.simulator.fault_answers import ANSWERS
from core.simulator.faults import FAULTS, BadSchedule, Fault, parse
from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.record import SentRecord
from core.simulator.server import STREAM_PATH, Simulator
from tests.conftest import PATIENCE

POSTS = 12
AT = 5  # the post at which an act happens
VALUES = {
    "refuse": "0.5", "stall": "1.5", "silence": "0.4", "half-chunk-stall": "1.5", "drip": "0.0001", "gap": "3",
    "slow-reader-drop": "3", "many-per-chunk": "4", "long-line": "200000", "burst": "8", "gzip-truncated": "3",
    "gzip-corrupt": "3",
}  # fmt: skip
BY_HOW = {
    how: [fault for fault in FAULTS.values() if fault.how == how] for how in ("answer", "mode", "act", "option")
}


@dataclass
class Seen:
    """What a client saw: every byte with its moment, and how it ended (`fin`, `reset`, or `open` when told to stop)."""

    sim: Simulator
    raw: bytes = b""
    moments: list[tuple[float, int]] = field(default_factory=list)
    ending: str = "open"

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        return int(self.head.split(" ")[1]) if self.head else 0

    @cached_property
    def chunks(self) -> list[bytes]:
        """The whole chunks, up to the zero-length one or the first that is none."""
        rest, found = self.raw.partition(b"\r\n\r\n")[2], []
        while match := re.match(rb"([0-9a-f]+)\r\n", rest):
            size = int(match[1], 16)
            content = rest[match.end() : match.end() + size]
            if len(content) < size or size == 0:
                break
            found.append(content)
            rest = rest[match.end() + size + 2 :]
        return found

    @property
    def body(self) -> bytes:
        if "chunked" in self.head:
            return b"".join(self.chunks)
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def clean_end(self) -> bool:
        return self.ending == "fin" and self.raw.endswith(b"0\r\n\r\n")

    @property
    def lines(self) -> list[bytes]:
        return self.body.split(b"\r\n")[:-1]

    @property
    def longest_pause(self) -> float:
        """Between two arrivals of bytes."""
        times = [moment for moment, _ in self.moments]
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)

    @property
    def sent(self) -> list[SentRecord]:
        """Without keep-alives, of the first connection."""
        return [one for one in self.sim.sent if one.kind != "keep_alive" and one.connection in (0, 1)]


def request(sim: Simulator, path: str = STREAM_PATH, *, stop: Callable[[Seen], bool] | None = None) -> Seen:
    """GET over a socket; read to the end of the connection, or until `stop`."""
    seen = Seen(sim)
    with closing(socket.create_connection(("127.0.0.1", sim.port), timeout=PATIENCE)) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER_TOKEN}\r\n\r\n".encode())
        deadline = time.monotonic() + PATIENCE
        while not (stop and stop(seen)):
            assert time.monotonic() < deadline, f"it goes on: {seen.raw[-200:]!r}, {sim.sent[-3:]}"
            if not select.select([sock], [], [], 0.02)[0]:
                continue
            try:
                content = sock.recv(1 << 20)
            except ConnectionResetError:
                seen.ending = "reset"
                break
            if not content:
                seen.ending = "fin"
                break
            seen.raw += content
            seen.moments.append((time.monotonic(), len(content)))
            seen.__dict__.pop("chunks", None)
    return seen


def run(
    fault: Fault, *, point: str = str(AT), stop: Callable[[Seen], bool] | None = None
) -> tuple[Simulator, Seen]:
    """A stream of POSTS posts with that fault; the fields that faults change are asked for."""
    value = f"={VALUES[fault.name]}" if fault.name in VALUES else ""
    options = SimulatorOptions(
        rate=1 if fault.name == "burst" else 200,
        posts=POSTS,
        keep_alive=0.15,
        start_time=1_790_000_000,
        faults=(f"{point}:{fault.name}{value}",),
    )
    sim = Simulator(options)
    sim.start()
    try:
        sim.add_rule("justin bieber", tag="jb")
        query = "tweet.fields=created_at,entities,lang,public_metrics,author_id&expansions=author_id"
        return sim, request(sim, f"{STREAM_PATH}?{query}", stop=stop or over)
    finally:
        sim.stop()


def over(seen: Seen) -> bool:
    """Everything was sent, and a keep-alive after it has arrived."""
    sim = seen.sim
    return sim.finished and seen.raw.endswith(b"2\r\n\r\n\r\n") and sim.sent[-1].kind == "keep_alive"


def clean() -> list[bytes]:
    """The lines of a stream without a fault."""
    sim, seen = run(FAULTS["lf-keep-alive"], point="9999")
    assert sim.finished
    return [line for line in seen.lines if line]


def test_the_registry_and_what_faults_do_are_the_same_list() -> None:
    own = {"no-answer", "handshake-cut", "redirect", "instant-close"}
    assert {fault.name for fault in BY_HOW["act"]} == {*ANY_TIME, *ON_POST}
    assert not ANY_TIME.keys() & ON_POST.keys()
    assert {fault.name for fault in BY_HOW["answer"]} == {*ANSWERS, *own}
    assert {fault.number for fault in FAULTS.values()} == set(range(61))


@pytest.mark.parametrize("fault", BY_HOW["option"], ids=lambda fault: fault.name)
def test_what_is_an_option_cannot_be_scheduled(fault: Fault) -> None:
    with pytest.raises(BadSchedule, match="cannot be scheduled"):
        parse(f"5:{fault.name}")


@pytest.mark.parametrize("text", ["nothing", "5:no-such-fault", "0:close", "rules1:close", "x5:close"])
def test_a_fault_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(BadSchedule):
        parse(text)


@pytest.mark.parametrize("fault", BY_HOW["answer"], ids=lambda fault: fault.name)
def test_an_answer_takes_the_place_of_the_stream_once(fault: Fault) -> None:
    options = SimulatorOptions(rate=0, posts=3, keep_alive=0.15, faults=(f"c1:{fault.name}",))
    with Simulator(options) as sim:
        sim.add_rule("justin bieber")
        started = time.monotonic()
        silent = fault.name == "no-answer"
        seen = request(sim, stop=lambda _: silent and time.monotonic() > started + 0.3)
        assert not sim.sent
        digits = re.search(r"http-(\d{3})", fault.name)
        own = {"no-answer": 0, "handshake-cut": 0, "redirect": 302, "instant-close": 200}
        assert seen.status == (int(digits[1]) if digits else own[fault.name])
        ending = {"no-answer": "open", "handshake-cut": "reset"}.get(fault.name, "fin")
        assert seen.ending == ending
        if fault.name == "redirect":
            assert f"location: http://localhost:{sim.port}{STREAM_PATH}" in seen.head
        if fault.name == "instant-close":
            assert seen.clean_end
        reset = re.search(r"x-rate-limit-reset: (\S+)", seen.head)
        if fault.name == "http-429-no-reset":
            assert reset is None
        elif fault.name == "http-429-past-reset":
            assert reset is not None
            assert int(reset[1]) < time.time()
        elif fault.name == "http-429-bad-reset":
            assert reset is not None
            assert not reset[1].isdigit()
        elif fault.name == "http-429":
            assert reset is not None
            assert time.time() < int(reset[1]) <= time.time() + 61
        assert sim.connections[0].status == seen.status
        again = request(sim, stop=over)
        assert again.status == 200
        assert len([line for line in again.lines if line]) == 3


@pytest.mark.parametrize("fault", BY_HOW["mode"], ids=lambda fault: fault.name)
def test_a_mode_changes_how_the_connection_is_written(fault: Fault) -> None:
    def done(seen: Seen) -> bool:
        return seen.sim.finished and seen.sim.sent[-1].kind == "keep_alive" and "gzip-" not in fault.name

    _, seen = run(fault, point="c1", stop=done)
    sent = seen.sent
    if fault.name in ("http-1.0", "unchunked"):
        assert seen.head.startswith("HTTP/1.0" if fault.name == "http-1.0" else "HTTP/1.1")
        assert "chunked" not in seen.head
        assert "content-length" not in seen.head
        assert [line for line in seen.lines if line] == [one.raw[:-2] for one in sent]
        return
    assert "content-encoding: gzip" in seen.head
    unpack = zlib.decompressobj(wbits=31)
    if fault.name == "gzip-corrupt":
        with pytest.raises(zlib.error):
            unpack.decompress(seen.body)
    else:
        plain = unpack.decompress(seen.body)
        whole = [one.raw for one in sent if one.whole]
        assert [line + b"\r\n" for line in plain.split(b"\r\n")[:-1] if line] == whole
        assert (fault.name == "gzip") == (len(whole) == POSTS)
    if fault.name != "gzip":
        assert not unpack.eof
        assert not sent[-1].whole
        assert seen.clean_end


# What is to be seen of an act: of the client's bytes and the records, beside what holds for every one.
CLEAN_END = {"close", "bare-problem", "usage-capped", "kick", "zero-chunk-mid-json"}
FIN = {"refuse", "cut", "cut-mid-json", "gap", "bad-chunk-size"}
RESET = {"reset-mid-json", "slow-reader-drop"}
HALF = {"zero-chunk-mid-json", "cut-mid-json", "reset-mid-json"}
LINES_BEFORE = {"invalid-json", "scalar-line", "array-line", "unknown-message", "no-id", "no-text"}
EXTRA_LINES = LINES_BEFORE | {"error-without-close", "duplicate"}
SAME_LINES = {
    "stall", "silence", "half-chunk-stall", "drip", "crlf-split", "many-per-chunk", "many-chunks", "lf-keep-alive",
    "burst",
}  # fmt: skip


@pytest.fixture(scope="module")
def clean_lines() -> list[bytes]:
    """What every act is compared with."""
    return clean()


@pytest.mark.parametrize("fault", BY_HOW["act"], ids=lambda fault: fault.name)
def test_an_act_is_seen_on_the_wire_and_recorded(fault: Fault, clean_lines: list[bytes]) -> None:
    name = fault.name
    if name == "half-open":
        _, seen = run(fault, stop=lambda one: bool(one.moments) and time.monotonic() > one.moments[-1][0] + 0.6)
    else:
        _, seen = run(fault)
    sent = [one for one in seen.sent if one.kind != "lost"]
    # Truth: the records are the bytes, in order, and only the last can be half.
    recorded = b"".join(one.raw for one in seen.sim.sent if one.connection == 1)
    if name == "bad-chunk-size":
        assert b"zz\r\n" in seen.raw
    if name in ("cut-mid-json", "reset-mid-json"):
        assert recorded.startswith(seen.body)
        assert name == "reset-mid-json" or seen.raw.endswith(sent[-1].raw)  # a reset may overtake the last bytes
    elif name == "slow-reader-drop":
        assert recorded.startswith(seen.body)
    else:
        assert seen.body == recorded
    assert [one for one in sent if not one.whole] == (sent[-1:] if name in HALF else [])
    ends = "clean" if name in CLEAN_END or name.startswith("disconnect-") else "open"
    ends = "fin" if name in FIN else "reset" if name in RESET else ends
    assert (seen.clean_end, seen.ending) == (ends == "clean", "fin" if ends == "clean" else ends)
    if ends != "open":
        assert len([one for one in sent if one.kind == "post" and one.whole]) == AT - 1
    elif name == "half-open":
        assert len(sent) == AT - 1
    else:
        assert len({one.post for one in sent if one.post}) == POSTS
    lines = [line for line in seen.lines if line]
    if name in SAME_LINES - {"lf-keep-alive", "burst"}:  # a burst is told at another pace, so of other moments
        assert lines == clean_lines
    elif name in EXTRA_LINES:
        assert len(lines) == POSTS + 1
    LOOK.get(name, lambda *_: None)(seen, lines)
    if ends == "open" and name not in SAME_LINES | {"half-open", "utf8-split"}:
        assert lines != clean_lines


def post_at(lines: list[bytes], at: int = AT) -> dict[str, Any]:
    """The post in a line, counted from 1."""
    answer: dict[str, Any] = json.loads(lines[at - 1])
    return answer


def tag_is(expected: dict[str, Any]) -> Callable[[Seen, list[bytes]], None]:
    """The rules of the post have this beside their id."""

    def look(_: Seen, lines: list[bytes]) -> None:
        (rule,) = post_at(lines)["matching_rules"]
        assert {name: value for name, value in rule.items() if name != "id"} == expected

    return look


def paused(seen: Seen, _: list[bytes]) -> None:
    assert seen.longest_pause >= 0.35  # of 1.5 s: a busy machine reads late what came before


def dripped(seen: Seen, _: list[bytes]) -> None:
    before, line = seen.sent[AT - 2 : AT]
    assert line.at - before.at >= len(line.raw) * float(VALUES["drip"])


def burst(seen: Seen, _: list[bytes]) -> None:
    assert seen.sent[-1].at - seen.sent[0].at < POSTS - 2  # without it at least a second more; with it about three


def lost(seen: Seen, _: list[bytes]) -> None:
    assert len([one for one in seen.sim.sent if one.kind == "lost"]) == 3


def silent(seen: Seen, _: list[bytes]) -> None:
    times = [one.at for one in seen.sent]
    assert max(after - before for before, after in itertools.pairwise(times)) >= 0.35


def out_of_order(seen: Seen, _: list[bytes]) -> None:
    ids = [one.post for one in seen.sent]
    assert ids != sorted(ids)
    assert [*ids[: AT - 1], ids[AT], ids[AT - 1], *ids[AT + 1 :]] == sorted(ids)


def same_twice(seen: Seen, _: list[bytes]) -> None:
    twice = [one.kind for one in seen.sent if one.post == seen.sent[AT - 1].post]
    assert twice == ["post", "duplicate"]


def malformed(seen: Seen, lines: list[bytes]) -> None:
    (record,) = [one for one in seen.sent if one.kind == "malformed"]
    assert record.raw == lines[AT - 1] + b"\r\n"
    assert record.post == ""


def edited(seen: Seen, lines: list[bytes]) -> None:
    first, second = post_at(lines)["data"], post_at(lines, AT + 1)["data"]
    assert second["edit_history_tweet_ids"] == [first["id"], second["id"]]
    assert seen.sent[AT].kind == "edit"


def skewed(_: Seen, lines: list[bytes]) -> None:
    assert post_at(lines)["data"]["created_at"] > post_at(lines, POSTS)["data"]["created_at"]


def without(name: str) -> Callable[[Seen, list[bytes]], None]:
    """The post's data, or the whole, lacks that."""

    def look(_: Seen, lines: list[bytes]) -> None:
        answer = post_at(lines)
        assert name not in answer
        assert name not in answer["data"]

    return look


def check(condition: Callable[[Seen, list[bytes]], bool]) -> Callable[[Seen, list[bytes]], None]:
    """A condition as something that asserts it."""

    def look(seen: Seen, lines: list[bytes]) -> None:
        assert condition(seen, lines)

    return look


LOOK: dict[str, Callable[[Seen, list[bytes]], None]] = {
    "stall": paused, "half-chunk-stall": paused, "silence": silent, "gap": lost, "slow-reader-drop": lost,
    "out-of-order": out_of_order, "duplicate": same_twice, "edit": edited, "clock-skew": skewed,
    "no-includes": without("includes"), "no-edit-history": without("edit_history_tweet_ids"),
    "tag-absent": tag_is({}), "tag-empty": tag_is({"tag": ""}), "tag-null": tag_is({"tag": None}),
    "crlf-split": check(lambda seen, _: any(chunk.endswith(b"}\r") for chunk in seen.chunks)),
    "many-chunks": check(lambda seen, _: sum(len(chunk) == 7 for chunk in seen.chunks) > 20),
    "many-per-chunk": check(lambda seen, _: max(chunk.count(b"\r\n") for chunk in seen.chunks) == 4),
    "utf8-split": check(lambda seen, _: any(chunk[0] & 0xC0 == 0x80 for chunk in seen.chunks)),
    "lf-keep-alive": check(lambda seen, _: b"\n" in seen.chunks),
    "drip": dripped,
    "long-line": check(lambda _, lines: max(map(len, lines)) > 200_000),
    "burst": burst,
    "partial-errors": check(lambda _, lines: {"errors", "data"} <= post_at(lines).keys()),
    "odd-text": check(lambda _, lines: "\u2028 \u0000 \ud83d" in post_at(lines)["data"]["text"]),
    "nulls": check(lambda _, lines: post_at(lines)["data"]["created_at"] is None),
    "shuffled-fields": check(lambda _, lines: list(post_at(lines)) != list(post_at(lines, 1))),
    "unknown-rule": check(lambda seen, lines: post_at(lines)["matching_rules"][0]["id"] != seen.sim.rules[0]["id"]),
    "usage-capped": check(lambda _, lines: post_at(lines)["errors"][0]["title"] == "UsageCapExceeded"),
    "bare-problem": check(lambda _, lines: post_at(lines)["title"] == "operational-disconnect"),
}  # fmt: skip
LOOK |= dict.fromkeys(LINES_BEFORE, malformed)
