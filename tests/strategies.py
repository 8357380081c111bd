"""What may come from outside, for property tests: any JSON, any line, lines that are almost posts."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tests.hostile import STRINGS, item

TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    [string for string in STRINGS.values() if len(string) < 200]
)
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([2**63, -(2**63) - 1, 10**100, -(10**100), 10**4200, 1e308])
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def encoded(value: Any, *, escaped: bool = True) -> bytes:
    """As a line of JSON; half surrogates are escaped, or raw and then no UTF-8."""
    return json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")


@st.composite
def almost_posts(draw: st.DrawFn) -> Any:
    """A post of X in which some parts are replaced by anything, or are gone, or are more."""
    value: Any = item(draw(st.integers(0, 9)))
    for _ in range(draw(st.integers(0, 4))):
        place = value
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
                place = place[key]
                continue
            match draw(st.sampled_from(["replace", "replace", "remove", "double"])):
                case "replace":
                    place[key] = draw(JSON)
                case "remove":
                    del place[key]
                case _ if isinstance(place, list):
                    place.append(copy.deepcopy(place[key]))
                case _:
                    place[draw(TEXT)] = draw(JSON)
            break
    return value


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Bytes without a line feed: almost posts, other JSON, and both with bytes changed or cut."""
    raw = bytearray(encoded(draw(almost_posts() | JSON), escaped=draw(st.booleans())))
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        if raw:
            raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    if draw(st.integers(0, 9)) == 0:
        del raw[draw(st.integers(0, len(raw))) :]
    return bytes(raw).replace(b"\n", b" ")


# Texts that the tokenizer and the normal forms find hard, and queries over the words in them.

WORDS = st.sampled_from(
    [
        "music",
        "Music",
        "ＭＵＳＩＣ",
        "mu\u200bsic",
        "musical",
        "#music",
        "@music",
        "music's",
        "justin",
        "bieber",
        "justin_bieber",
        "justin-bieber",
        "a",
        "b",
        "ß",
        "ss",
        "é",
        "e\u0301",
        "İ",
        "ﬁ",
        "हिन्दी",
        "你好，世界",
        "8d",
        "8pm",
        "1-2-3",
        "(555) 123-4567",
        "12345678901",
    ]
)
JUNK = st.sampled_from(
    [
        " ",
        " ",
        " ",
        "",
        "\n",
        "\u00a0",
        "\u2800",
        "\u200d",
        "\ufe0f",
        ".",
        "-",
        "'",
        "’",
        "_",
        "/",
        "//",
        ":",
        "://",
        "http://",
        "https://x.com/",
        "x.co/",
        "x.co",
        "<",
        ">",
        "(",
        ")",
        "@",
        "#",
        "&",
        "&amp;",
        ";",
        "$",
        ":d",
        ":p",
        "<3",
        "🎵",
        "👍🏽",
        "🏽",
        "👩‍🎤",
        "🇨🇦",
        "🇨",
        "™",
        "\x1c",
        "\x1f",
        "\x00",
        "\ud800",
        "+1",
        "...",
        "a" * 255,
        "a." * 130,
    ]
)
NASTY = st.lists(st.one_of(WORDS, JUNK, JUNK), max_size=14).map("".join)
TEXTS = st.one_of(NASTY, st.text(max_size=40))
TERMS = st.sampled_from(
    [
        "music",
        "#music",
        "@music",
        "$a",
        '"justin bieber"',
        "justin",
        '"music a"',
        '"a b"~3',
        "🎵",
        "👍🏽",
        '"music 🎵"',
        "é",
        "ss",
        "8pm",
        "8d",
        '"x com"',
        "url:music",
        "url_contains:x",
        "has:cashtags",
        "has:links",
        "lang:en",
        "from:a",
        "is:reply",
        "हिन्दी",
        '"1 2"',
        "好",
        "fi",
        "a",
        "b",
        "http",
        "amp",
    ]
)
QUERIES = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(" ".join),
        st.lists(inner, min_size=2, max_size=16).map(lambda some: f"({' OR '.join(some)})"),
        inner.map(lambda one: f"-({one})"),
    ),
    max_leaves=20,
)
