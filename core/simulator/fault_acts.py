"""What the faults of the stream do. The table of all faults is in faults.py; a test holds the two together.

An act of ANY_TIME happens between two posts. One of ON_POST handles the post at which it happens: it sends it,
whole or not, or puts it back.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from core.simulator.posts import Json
from core.simulator.problems import DISCONNECT_TYPES, USAGE_CAPPED, disconnect
from core.simulator.shape import encode

if TYPE_CHECKING:
    from core.simulator.stream import StreamConnection
    from core.simulator.world import Delivery

END = b"\r\n"
ODD_TEXT = " &amp;#8217; &amp;lt;b&amp;gt; \u2028 \u0000 \ud83d \u2066\u200c\ufeff \x1b[31mred"


# Endings and stalls: between two posts


async def _close(stream: StreamConnection, _: float) -> None:
    await stream.finish("a clean end")


async def _cut(stream: StreamConnection, _: float) -> None:
    await stream.hang_up("cut between two posts")


async def _disconnect(stream: StreamConnection, _: float, kind: str) -> None:
    await stream.put_line("error", encode({"errors": [disconnect(kind)]}))
    await stream.finish(kind)


async def _error_without_close(stream: StreamConnection, _: float) -> None:
    await stream.put_line("error", encode({"errors": [disconnect("UpstreamOperationalDisconnect")]}))


async def _bare_problem(stream: StreamConnection, _: float) -> None:
    await stream.put_line("error", encode(disconnect("OperationalDisconnect")))
    await stream.finish("a bare problem")


async def _usage_capped(stream: StreamConnection, _: float) -> None:
    await stream.put_line("error", encode({"errors": [USAGE_CAPPED]}))
    await stream.finish("usage capped")


async def _kick(stream: StreamConnection, _: float) -> None:
    await stream.finish("kicked by another connection")


async def _refuse(stream: StreamConnection, seconds: float) -> None:
    stream.state.pause_listening(seconds)
    await stream.hang_up("cut, and nobody listens")


async def _stall(stream: StreamConnection, seconds: float) -> None:
    await stream.freeze(seconds)


async def _silence(stream: StreamConnection, seconds: float) -> None:
    stream.silent_until = time.monotonic() + seconds
    stream.state.world.hold(time.monotonic(), seconds)


async def _half_open(stream: StreamConnection, _: float) -> None:
    await stream.go_mute()


async def _slow_reader_drop(stream: StreamConnection, posts: float) -> None:
    stream.state.world.lose(int(posts))
    stream.state.note_lost(stream.record.number)
    await stream.reset("dropped as a slow reader")


async def _gap(stream: StreamConnection, posts: float) -> None:
    stream.state.world.lose(int(posts))
    stream.state.note_lost()
    await stream.hang_up("cut, and posts are lost")


async def _lf_keep_alive(stream: StreamConnection, _: float) -> None:
    await stream.keep_alive(b"\n")


async def _bad_chunk_size(stream: StreamConnection, _: float) -> None:
    await stream.write(b"zz\r\n")
    await stream.hang_up("a bad chunk size")


async def _burst(stream: StreamConnection, posts: float) -> None:
    stream.state.world.hurry(int(posts))


async def _malformed(stream: StreamConnection, _: float, content: bytes) -> None:
    await stream.put_line("malformed", content)


ANY_TIME: dict[str, Callable[[StreamConnection, float], Awaitable[None]]] = {
    "refuse": _refuse,
    "close": _close,
    "cut": _cut,
    "error-without-close": _error_without_close,
    "bare-problem": _bare_problem,
    "usage-capped": _usage_capped,
    "kick": _kick,
    "stall": _stall,
    "silence": _silence,
    "half-open": _half_open,
    "slow-reader-drop": _slow_reader_drop,
    "gap": _gap,
    "lf-keep-alive": _lf_keep_alive,
    "bad-chunk-size": _bad_chunk_size,
    "burst": _burst,
    "invalid-json": partial(_malformed, content=b'{"data":{"id":"1","text":"half a po'),
    "scalar-line": partial(_malformed, content=b"42"),
    "array-line": partial(_malformed, content=b'[{"data":{"id":"1","text":"in an array"}}]'),
    "unknown-message": partial(_malformed, content=b'{"notice":{"level":"info","message":"something new"}}'),
}
_DISCONNECTS = (
    "operational", "upstream-operational", "force", "upstream-unclean", "slow-reader", "internal-error",
    "state-degraded", "invalid-rules",
)  # fmt: skip
for _name, _kind in zip(_DISCONNECTS, DISCONNECT_TYPES, strict=True):
    ANY_TIME[f"disconnect-{_name}"] = partial(_disconnect, kind=_kind)


# Cuts within a post


async def _cut_short(stream: StreamConnection, delivery: Delivery, how: str) -> None:
    """Send the first half of the line, end the connection, and note that the line is not whole."""
    line = encode(stream.describe(delivery)) + END
    half = line[: len(line) // 2]
    # A chunk that promises the whole line, unless the chunks themselves are to be in order.
    framed = stream.frame(half if how == "zero-chunk" else line)
    if how != "zero-chunk":
        start = framed.index(b"\r\n") + 2 if stream.chunked else 0
        framed = framed[: len(framed) // 2 if stream.compressed else start + len(half)]
    try:
        await stream.write(framed)
    finally:
        stream.note(delivery.kind, half, delivery.produced, whole=False)
        if stream.state.options.resend_cut:
            stream.state.world.put_back(delivery)
    ending = {"zero-chunk": stream.finish, "fin": stream.hang_up, "reset": stream.reset}[how]
    await ending(f"{how} in the middle of a post")


async def _zero_chunk(stream: StreamConnection, delivery: Delivery, _: float) -> None:
    await _cut_short(stream, delivery, "zero-chunk")


async def _fin(stream: StreamConnection, delivery: Delivery, _: float) -> None:
    await _cut_short(stream, delivery, "fin")


async def _reset(stream: StreamConnection, delivery: Delivery, _: float) -> None:
    await _cut_short(stream, delivery, "reset")


# Framing of one post


async def _half_chunk_stall(stream: StreamConnection, delivery: Delivery, seconds: float) -> None:
    line = encode(stream.describe(delivery)) + END
    framed = stream.frame(line)
    whole = False
    try:
        await stream.write(framed[: len(framed) // 2])
        await stream.freeze(seconds)
        await stream.write(framed[len(framed) // 2 :])
        whole = True
    finally:
        stream.note(delivery.kind, line if whole else line[: len(line) // 2], delivery.produced, whole=whole)


async def _drip(stream: StreamConnection, delivery: Delivery, seconds: float) -> None:
    line = encode(stream.describe(delivery)) + END
    framed = stream.frame(line)
    whole = False
    try:
        for at in range(len(framed)):
            await stream.write(framed[at : at + 1])
            await stream.freeze(seconds)
        whole = True
    finally:
        stream.note(delivery.kind, line, delivery.produced, whole=whole)


async def _crlf_split(stream: StreamConnection, delivery: Delivery, _: float) -> None:
    line = encode(stream.describe(delivery)) + END
    await stream.send(delivery, line, pieces=[len(line) - 1])


async def _utf8_split(stream: StreamConnection, delivery: Delivery, _: float) -> None:
    line = encode(stream.describe(delivery)) + END
    places = [at for at, byte in enumerate(line) if byte & 0xC0 == 0x80]  # within a character of several bytes
    if not places:
        answer = stream.describe(delivery)
        answer["data"]["text"] += " 💜"
        line = encode(answer) + END
        places = [at for at, byte in enumerate(line) if byte & 0xC0 == 0x80]
    await stream.send(delivery, line, pieces=places[:1])


async def _many_chunks(stream: StreamConnection, delivery: Delivery, size: float) -> None:
    line = encode(stream.describe(delivery)) + END
    await stream.send(delivery, line, pieces=range(max(int(size), 1), len(line), max(int(size), 1)))


async def _many_per_chunk(stream: StreamConnection, delivery: Delivery, posts: float) -> None:
    together = [delivery]
    while len(together) < posts and not stream.state.world.finished:
        following = stream.state.world.next()
        if following is None:
            break
        together.append(following)
    lines = [encode(stream.describe(one)) + END for one in together]
    whole = False
    try:
        await stream.write(stream.frame(b"".join(lines)))
        whole = True
    finally:
        for one, line in zip(together, lines, strict=True):
            stream.note(one.kind, line, one.produced, whole=whole)


async def _long_line(stream: StreamConnection, delivery: Delivery, size: float) -> None:
    await stream.send(delivery, encode(stream.describe(delivery) | {"padding": "x" * int(size)}) + END)


# Content of one post


def _without_id(answer: Json) -> Json:
    return answer | {"data": {name: value for name, value in answer["data"].items() if name != "id"}}


def _without_text(answer: Json) -> Json:
    return answer | {"data": {name: value for name, value in answer["data"].items() if name != "text"}}


def _without_includes(answer: Json) -> Json:
    return {name: value for name, value in answer.items() if name != "includes"}


def _without_history(answer: Json) -> Json:
    return answer | {
        "data": {name: value for name, value in answer["data"].items() if name != "edit_history_tweet_ids"}
    }


def _nulls(answer: Json) -> Json:
    data = {name: value if name in ("id", "text") else None for name, value in answer["data"].items()}
    return answer | {"data": data | {"entities": None, "lang": None}, "includes": None, "errors": None}


def _shuffled(answer: Json) -> Json:
    def shuffle(value: Any) -> Any:
        if isinstance(value, dict):
            names = list(value)
            random.Random(len(names)).shuffle(names)  # noqa: S311 - replayable on purpose
            return {name: shuffle(value[name]) for name in reversed(names)}
        return value

    changed: Json = shuffle(answer)
    return changed


def _partial_errors(answer: Json) -> Json:
    missing = {
        "resource_id": "1", "resource_type": "tweet", "parameter": "referenced_tweets.id", "value": "1",
        "title": "Not Found Error", "detail": "Could not find tweet with referenced_tweets.id: [1].",
        "type": "https://api.x.com/2/problems/resource-not-found",
    }  # fmt: skip
    return answer | {"errors": [missing]}


def _odd_text(answer: Json) -> Json:
    return answer | {"data": answer["data"] | {"text": answer["data"]["text"] + ODD_TEXT}}


def _unknown_rule(answer: Json) -> Json:
    return answer | {"matching_rules": [{"id": "1999999999999999999", "tag": "a rule of someone else"}]}


def _tags(form: str) -> Callable[[Json], Json]:
    forms: dict[str, Json] = {"absent": {}, "empty": {"tag": ""}, "null": {"tag": None}}
    tag = forms[form]
    return lambda answer: (
        answer | {"matching_rules": [{"id": rule["id"]} | tag for rule in answer["matching_rules"]]}
    )


async def _changed(
    stream: StreamConnection, delivery: Delivery, _: float, change: Callable[[Json], Json], *, copy: bool = False
) -> None:
    """Send the post changed, or a changed copy that is no post any more, and then the post."""
    content = json.dumps(change(stream.describe(delivery)), separators=(",", ":")).encode()
    if not copy:
        await stream.send(delivery, content + END)
        return
    try:
        await stream.put_line("malformed", content)
    except BaseException:
        stream.state.world.put_back(delivery)
        raise
    await stream.send(delivery)


async def _clock_skew(stream: StreamConnection, delivery: Delivery, seconds: float) -> None:
    answer = stream.describe(delivery)
    created = answer["data"].get("created_at")
    if created:
        moment = datetime.fromisoformat(created) + timedelta(seconds=seconds)
        answer["data"]["created_at"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    await stream.send(delivery, encode(answer) + END)


# Order


async def _duplicate(stream: StreamConnection, delivery: Delivery, _: float) -> None:
    stream.state.world.repeat(delivery)
    await stream.send(delivery)


async def _out_of_order(stream: StreamConnection, delivery: Delivery, _: float) -> None:
    following = stream.state.world.next()
    stream.state.world.put_back(delivery)
    if following is not None:
        await stream.send(following)


async def _edit(stream: StreamConnection, delivery: Delivery, _: float) -> None:
    stream.state.world.edit_next(delivery)
    await stream.send(delivery)


ON_POST: dict[str, Callable[[StreamConnection, Delivery, float], Awaitable[None]]] = {
    "zero-chunk-mid-json": _zero_chunk,
    "cut-mid-json": _fin,
    "reset-mid-json": _reset,
    "half-chunk-stall": _half_chunk_stall,
    "drip": _drip,
    "crlf-split": _crlf_split,
    "utf8-split": _utf8_split,
    "many-per-chunk": _many_per_chunk,
    "many-chunks": _many_chunks,
    "long-line": _long_line,
    "tag-absent": partial(_changed, change=_tags("absent")),
    "tag-empty": partial(_changed, change=_tags("empty")),
    "tag-null": partial(_changed, change=_tags("null")),
    "no-id": partial(_changed, change=_without_id, copy=True),
    "no-text": partial(_changed, change=_without_text, copy=True),
    "no-includes": partial(_changed, change=_without_includes),
    "no-edit-history": partial(_changed, change=_without_history),
    "nulls": partial(_changed, change=_nulls),
    "shuffled-fields": partial(_changed, change=_shuffled),
    "partial-errors": partial(_changed, change=_partial_errors),
    "odd-text": partial(_changed, change=_odd_text),
    "unknown-rule": partial(_changed, change=_unknown_rule),
    "clock-skew": _clock_skew,
    "duplicate": _duplicate,
    "out-of-order": _out_of_order,
    "edit": _edit,
}
