"""What a post costs, counted and not timed: steps of the interpreter's, and what is loaded before the first post."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from core.bounds import Bounds
from core.connection import Line
from core.draft import Drafter
from core.journal import Tombstones
from core.privacy import Privacy
from core.query import parse_topic
from core.simulator.posts import Produced, make, snowflake
from core.simulator.shape import Shape, encode
from core.sources import decoder, glance, people
from core.sources.x.stream import FIELDS

POSTS = 200
SHAPE = Shape.of(
    {
        "tweet.fields": ",".join(FIELDS["tweet_fields"]),
        "user.fields": ",".join(FIELDS["user_fields"]),
        "expansions": ",".join(FIELDS["expansions"]),
    }
)


def _lines(topical: bool) -> list[Line]:
    made = []
    for n in range(POSTS):
        at = 1_790_000_000.0 + n
        item = make(7, Produced(n, snowflake(at, n), at, at, "Justin Bieber", topical, None))
        made.append(Line(encode(SHAPE.describe(item)).strip(), at, False))
    return made


def _calls(lines: list[Line], topic: str = "music OR #music", *, glances: bool = True) -> float:
    """Calls of functions, Python's own ones included, for each line: the same on every machine."""
    privacy = Privacy(
        "x", decoder("x"), people("x"), Tombstones(b"", frozenset()), None, glance("x") if glances else None
    )
    drafter = Drafter(
        "x", privacy, parse_topic(topic), Bounds("", 0.0), wanted=lambda _: True, quoted=False, keep_all=False,
        most=None,
    )  # fmt: skip
    drafter.draft(lines, 0)  # what is made once
    counted = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        drafter.draft(lines, 0)
    finally:
        sys.setprofile(before)
    return counted / len(lines)


def test_a_post_that_is_not_about_the_topic_takes_a_fraction_of_the_plain_steps():
    lines = _lines(topical=False)
    glanced, plain = _calls(lines), _calls(lines, glances=False)
    assert glanced < plain / 2, (glanced, plain)
    assert glanced < 90


def test_a_post_about_the_topic_takes_no_more_steps_for_the_glance():
    lines = _lines(topical=True)
    assert _calls(lines) < 1.2 * _calls(lines, glances=False)


def test_a_thousand_terms_take_no_more_steps_than_twenty():
    lines = _lines(topical=False)
    terms = [f"word{number}" for number in range(1000)]
    assert _calls(lines, " OR ".join(terms)) < 1.2 * _calls(lines, " OR ".join(terms[:20]))


# Of others' packages, what a capture without a screen loads until it connects, by way of what it needs itself.
LOADED = {
    "tweepy", "requests", "requests_oauthlib", "oauthlib", "urllib3", "certifi", "charset_normalizer", "idna",
    "msgspec", "pydantic", "pydantic_core", "pydantic_settings", "annotated_types", "typing_extensions",
    "typing_inspection", "dotenv", "platformdirs", "cython_runtime",
}  # fmt: skip

PROBE = """
import json, sys
acts = []
def note(event, given):
    if event.startswith(("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess", "sqlite3.connect")):
        acts.append(event)
    elif event == "open" and isinstance(given[1], str) and set(given[1]) & set("wax+"):
        acts.append(f"write {given[0]}")
sys.dont_write_bytecode = True
sys.addaudithook(note)
import tui.cli, core.capture, core.headless, core.sources.x.source
own = {"core", "tui", "__main__"} | set(sys.stdlib_module_names)
print(json.dumps([acts, sorted({name.partition(".")[0] for name in sys.modules} - own)]))
"""


@pytest.fixture(scope="module")
def imported() -> tuple[list[str], set[str]]:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    acts, loaded = json.loads(done.stdout)
    return acts, {name for name in loaded if not name.startswith("_")}


def test_nothing_is_connected_or_written_by_an_import(imported):
    assert imported[0] in ([], ["socket.bind"])  # urllib3 asks whether there is IPv6 by a port of this machine


def test_a_capture_without_a_screen_loads_only_what_is_listed(imported):
    assert imported[1] - LOADED == set()
