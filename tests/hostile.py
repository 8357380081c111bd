"""Lines that a hostile or broken source could send, each with what must become of it.

`CONSUMED` lines are posts whatever else is wrong in them; `QUARANTINED` ones are none, and have a reason. The
expectation is written down here and never asked of the program. Every line has an id of its own where an id can
be had at all, and the word "music" in its text where a text can be had.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CANARY = "CaNaRy"  # in every hostile string: nothing of it may reach a terminal inside of a sequence

# What a text may try. Each is put between two plain words, into every field that holds a text.
STRINGS: dict[str, str] = {
    "csi-colour": f"\x1b[31;1m{CANARY}\x1b[0m",
    "csi-clear": f"\x1b[2J\x1b[H{CANARY}",
    "csi-report": f"\x1b[6n\x1b[c{CANARY}",
    "csi-unfinished": f"{CANARY}\x1b[",
    "osc-title": f"\x1b]0;{CANARY}\x07",
    "osc-8": f"\x1b]8;;file:///{CANARY}\x1b\\link\x1b]8;;\x1b\\",
    "osc-52": f"\x1b]52;c;{CANARY}\x07",
    "dcs": f"\x1bP{CANARY}\x1b\\",
    "apc": f"\x1b_{CANARY}\x1b\\",
    "reset": f"\x1bc{CANARY}",
    "charset": f"\x1b(0{CANARY}\x0e",
    "alternate-screen": f"\x1b[?1049l{CANARY}\x1b[?1000h",
    "c1-csi": f"\x9b31m{CANARY}",
    "c1-osc": f"\x9d0;{CANARY}\x9c",
    "c1-dcs": f"\x90{CANARY}\x9c",
    "carriage-return": f"seen\r{CANARY}",
    "backspace": f"{CANARY}\b\b\b\b",
    "bell": f"\a\a{CANARY}",
    "nul": f"\0{CANARY}\0",
    "del-and-tab": f"\x7f\t\v\f{CANARY}",
    "line-breaks": f"a\nb\r\nc\x85d\u2028e\u2029{CANARY}",
    "rich-markup": f"[bold red]{CANARY}[/] [/] [/bold] [link=file:///etc]x[/link]",
    "textual-markup": f"[@click=app.quit]{CANARY}[/] [$primary]",
    "brackets": f"[[[]] [\\] \\[ {CANARY} [",
    "bidi-override": f"\u202e{CANARY}\u202d\u202b\u202a\u202c",
    "bidi-isolate": f"\u2066\u2067\u2068{CANARY}",
    "zero-width": f"\u200b\u200c\u200d\u2060\ufeff{CANARY}" * 40,
    "marks": "e" + "\u0301\u0316" * 5_000 + CANARY,
    "enclosing": "a" + "\u20dd" * 500 + CANARY,
    "tags-block": f"🏴\U000e0067\U000e0062\U000e007f{CANARY}",
    "emoji-joined": f"👩‍👩‍👧‍👦👍🏽❤️🇫🇷1️⃣{CANARY}",
    "surrogate": f"\ud83d{CANARY}\udc00",
    "unassigned": f"\u0378\ue000\U0010ffff\ufdd0{CANARY}",
    "wide": f"﷽ ﷺ \u3000 𒐫 {CANARY}",
    "indic": f"हिन्दी को தமிழ் ක්‍ෂ {CANARY}",
    "format-string": f"%s%n{{0}}{{self}} {CANARY} %(x)s $HOME `id`",
    "sql-and-mongo": f"'; DROP TABLE posts; -- {{$where: 1}} {CANARY}",
    "replacement-bomb": "ﷺ" * 2_000 + CANARY,
    "long-word": "W" * 20_000 + CANARY,
}

JSON_TYPES: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "negative": -7,
    "fraction": 1.5,
    "empty string": "",
    "word": "word",
    "empty list": [],
    "empty object": {},
    "list of null": [None],
    "list of lists": [[[]]],
    "list of words": ["word"],
    "list of objects": [{}],
    "object": {"a": {"b": []}},
}


@dataclass(frozen=True)
class Line:
    """One line as it is sent, and whether it is a post."""

    name: str
    raw: bytes
    consumed: bool


def item(number: int) -> dict[str, Any]:
    """A post in the shape that X sends, every part of it filled."""
    id_ = str(1_900_000_000_000_000_000 + number)
    return {
        "data": {
            "id": id_,
            "text": "new music by @jb #Music https://t.co/x",
            "author_id": "44196397",
            "conversation_id": id_,
            "created_at": "2026-08-22T10:00:00.123Z",
            "lang": "en",
            "edit_history_tweet_ids": [id_],
            "in_reply_to_user_id": "78",
            "public_metrics": {"like_count": 3, "retweet_count": 0},
            "entities": {
                "hashtags": [{"start": 16, "end": 22, "tag": "Music"}],
                "mentions": [{"start": 13, "end": 16, "username": "jb", "id": "5"}],
                "urls": [
                    {
                        "start": 23,
                        "end": 37,
                        "url": "https://t.co/x",
                        "expanded_url": "https://bit.ly/y",
                        "display_url": "bit.ly/y",
                        "unwound_url": "https://example.org/",
                        "title": "A title",
                    }
                ],
                "annotations": [
                    {"start": 0, "end": 3, "probability": 0.9, "type": "Other", "normalized_text": "n"}
                ],
            },
            "referenced_tweets": [{"type": "quoted", "id": "77"}],
        },
        "includes": {
            "users": [{"id": "44196397", "username": "fan", "name": "A Fan 🎵"}],
            "tweets": [
                {"id": "77", "text": "quoted", "author_id": "9", "note_tweet": {"text": "the whole quoted"}}
            ],
        },
        "matching_rules": [{"id": "1166916266197536768", "tag": "bieber-tui"}],
    }


def _encoded(value: Any, *, escaped: bool = True) -> bytes:
    return json.dumps(value, ensure_ascii=escaped, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _paths(inner, (*path, key))


def _with(number: int, path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(item(number))
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def _still_a_post(path: tuple[Any, ...], value: Any) -> bool:
    """What must be there: an object as data, an id that is a number or a word, a text that is not empty."""
    if path == ("data",):
        return False  # none of JSON_TYPES is a post
    if path == ("data", "id"):
        return value == "word" or (isinstance(value, int) and not isinstance(value, bool))
    if path == ("data", "text"):
        return value == "word"
    return True


def wrong_types() -> Iterator[Line]:
    """Every field of an item, however deep, replaced by every type of JSON."""
    number = 10_000
    for path in _paths(item(0)):
        for kind, value in JSON_TYPES.items():
            number += 1
            name = f"{'.'.join(map(str, path))} is {kind}"
            yield Line(name, _encoded(_with(number, path, value)), _still_a_post(path, value))


def hostile_strings(strings: dict[str, str] = STRINGS) -> Iterator[Line]:
    """One post a string, which is in every text of it; escaped, and as raw UTF-8 where that can be."""
    for number, (name, string) in enumerate(strings.items()):
        for escaped in (True, False):
            hostile = item(20_000 + 2 * number + escaped)
            put_everywhere(hostile, f"music {string} end")
            if escaped:
                yield Line(name, _encoded(hostile), True)
            elif "\ud83d" not in string:
                yield Line(f"{name}, raw", _encoded(hostile, escaped=False), True)


def put_everywhere(hostile: dict[str, Any], string: str) -> None:
    """Put the string wherever an item holds a text of a person."""
    data = hostile["data"]
    data["text"] = data["lang"] = string
    data["entities"]["hashtags"][0]["tag"] = string
    data["entities"]["mentions"][0]["username"] = string
    data["entities"]["urls"][0]["expanded_url"] = f"https://example.org/{string}"
    data["entities"]["urls"][0]["title"] = string
    data["public_metrics"][string] = 5
    data["referenced_tweets"].append({"type": "replied_to", "id": string})
    hostile["includes"]["users"][0] |= {"username": string, "name": string}
    hostile["includes"]["tweets"][0] = {"id": "77", "text": string}
    hostile["matching_rules"][0]["tag"] = string


def broken() -> Iterator[Line]:
    """JSON that is none, and JSON that means little."""
    good = _encoded(item(30_000))
    data = item(30_001)["data"]
    deep = 100_000

    def line(name: str, raw: bytes, consumed: bool = False) -> Line:
        assert b"\n" not in raw
        return Line(name, raw, consumed)

    def with_id(raw_id: str) -> bytes:
        return f'{{"data":{{"id":{raw_id},"text":"music"}}}}'.encode()

    def with_more(raw: str, number: int) -> bytes:
        return f'{{"data":{{"id":"{31_000 + number}","text":"music",{raw}}}}}'.encode()

    for name, raw in {
        "a word": b"music",
        "a number": b"12",
        "null": b"null",
        "an empty list": b"[]",
        "an empty object": b"{}",
        "two values": good + good,
        "a cut line": good[: len(good) // 2],
        "a NUL": b"\0",
        "a raw escape in a string": b'{"data":{"id":"1","text":"music \x1b[2J"}}',
        "a raw NUL in a string": b'{"data":{"id":"1","text":"music \0"}}',
        "invalid UTF-8": good.replace(b"new", b"\xff\xfe"),
        "overlong UTF-8": good.replace(b"new", b"\xc0\xaf"),
        "a surrogate in UTF-8": good.replace(b"new", b"\xed\xa0\x80"),
        "UTF-8 cut inside of a character": good.replace(b"new", b"\xf0\x9f\x8e"),
        "invalid UTF-8 where nobody looks": good.replace(b"A title", b"\x80"),
        "UTF-16": good.decode().encode("utf-16"),
        "UTF-16 without a mark": good.decode().encode("utf-16-be"),
        "UTF-32": good.decode().encode("utf-32-le"),
        "a byte order mark": b"\xef\xbb\xbf" + good,
        "nested lists": b"[" * deep,
        "closed nested lists": b"[" * deep + b"]" * deep,
        "nested objects": b'{"data":' * deep + b"1" + b"}" * deep,
        "nested where the post is": b'{"data":{"id":"1","text":' + b"[" * deep + b"]" * deep + b"}}",
        "nested where nobody looks": b'{"x":' + b"[" * deep + b"]" * deep + b"," + good[1:],
        "nested entities": b'{"data":{"id":"1","text":"music","entities":'
        + b'{"urls":[' * deep
        + b"]}" * deep
        + b"}}",
        "NaN": with_more('"x":NaN', 1),
        "Infinity": with_more('"public_metrics":{"like_count":Infinity}', 2),
        "an id of 5000 digits": with_id("9" * 5000),
        "an id of 101 letters": with_id(f'"{"i" * 101}"'),
        "an id of 10 kB": with_id(f'"{"1" * 10_000}"'),
        "an id of blanks": with_id('" \\t \\u2003"'),
        "an id of 101 digits": with_id("1" * 102),
        "an id that is infinite": with_id("1e999"),
        "an id that is a fraction": with_id("1.5"),
        "a text of a number": b'{"data":{"id":"1","text":7}}',
    }.items():
        yield line(name, raw)

    for name, raw in {
        "a number beyond a double": with_more('"public_metrics":{"like_count":1e999}', 10),
        "a number beyond 64 bits": with_more('"public_metrics":{"like_count":99999999999999999999}', 11),
        "a number of 4000 digits": with_more(f'"public_metrics":{{"like_count":{"9" * 4000}}}', 12),
        "a number of 5000 digits": with_more(f'"public_metrics":{{"like_count":{"9" * 5000}}}', 3),
        "minus zero": with_more('"public_metrics":{"like_count":-0}', 13),
        "a tiny fraction": with_more('"public_metrics":{"like_count":1e-999}', 14),
        "an id of 100 letters": with_id(f'"{"i" * 100}"'),
        "an id with controls": with_id('"\\u001b[2J\\u0000\\u202e"'),
        "an id with half a surrogate": with_id('"\\ud800"'),
        "an id of minus one": with_id("-1"),
        "two texts": b'{"data":{"id":"31020","text":"one","text":"music two"}}',
        "two ids": b'{"data":{"id":"31021","text":"music","id":"31022"}}',
        "two posts": b'{"data":7,"data":{"id":"31023","text":"music"}}',
        "a year that no calendar has": with_more('"created_at":"99999-01-01T00:00:00Z"', 15),
        "the first moment, far in the east": with_more('"created_at":"0001-01-01T00:00:00+14:00"', 16),
        "the last moment, far in the west": with_more('"created_at":"9999-12-31T23:59:59-14:00"', 17),
        "a moment before the epoch": with_more('"created_at":"0001-01-01T00:00:00+00:00"', 18),
        "a moment at the end of time": with_more('"created_at":"9999-12-31T23:59:59+00:00"', 19),
        "ten thousand keys": with_more(",".join(f'"k{n}":{n}' for n in range(10_000)), 20),
        "ten thousand metrics": with_more(
            f'"public_metrics":{{{",".join(f"{json.dumps(str(n) + CANARY)}:{n}" for n in range(10_000))}}}', 21
        ),
        "a reference to itself": with_more('"referenced_tweets":[{"type":"retweeted","id":"31022"}]', 22),
        "HTML references of a thousand digits": with_more(f'"lang":"&#{"9" * 5000};"', 23).replace(
            b'"music"', f'"music &#{"9" * 5000}; &#x110000; &#0; &#x9b;31m"'.encode()
        ),
        "sixty blanks before": b" " * 60 + _encoded({"data": {**data, "id": "31030"}}),
    }.items():
        yield line(name, raw, True)


def heavy(size: int = 5_000_000) -> Iterator[Line]:
    """Posts of that many bytes."""
    emoji = "🎵"

    def post(number: int, **more: Any) -> bytes:
        return _encoded({"data": {"id": str(40_000 + number), "text": "music", **more}}, escaped=False)

    def filled(unit: str) -> str:
        return "music " + unit * (size // len(unit.encode())) + " music"

    for number, (name, unit) in enumerate(
        {
            "letters": "a",
            "words": "music ",
            "marks in turn": "\u0301\u0316",
            "marks that come apart": "\u0f73",
            "zero-width": "\u200b",
            "emoji": emoji,
            "links": "https://a.co/b ",
            "ampersands": "&amp",
            "hash signs": "#a#",
            "line breaks": "\n",
            "escapes": "\x1b[2J",
            "sigma": "ΐ",
            "ligatures": "ﷺ",
        }.items()
    ):
        yield Line(f"{size:,} bytes of {name}", post(number, text=filled(unit)), True)
    user = {"id": "9", "username": "u" * size, "name": "n\u0301\u0316" * (size // 5)}
    yield Line(
        "an endless name",
        _encoded(
            {"data": {"id": "40100", "text": "music", "author_id": "9"}, "includes": {"users": [user]}},
            escaped=False,
        ),
        True,
    )
    tags = [{"tag": f"{CANARY}{number}"} for number in range(size // 25)]
    links = [{"expanded_url": f"https://a.co/{number}"} for number in range(size // 40)]
    yield Line("endless tags", post(101, entities={"hashtags": tags, "urls": links}), True)
    yield Line("an endless language", post(102, lang="e" * size), True)
    yield Line("an endless first version", post(103, edit_history_tweet_ids=["7" * size]), True)
    yield Line(
        "endless references",
        post(104, referenced_tweets=[{"type": "quoted", "id": str(n)} for n in range(size // 30)]),
        True,
    )
    yield Line("endless metrics", post(105, public_metrics={f"count_{n}": n for n in range(size // 20)}), True)
    yield Line("endless blanks", b" " * size + post(106), True)
    yield Line("an endless number", b'{"data":{"id":"40107","text":"music"},"x":' + b"9" * size + b"}", True)
    yield Line("endless brackets", b"[" * size, False)


def every() -> Iterator[Line]:
    """Everything but the heavy ones."""
    yield from hostile_strings()
    yield from broken()
    yield from wrong_types()
