"""What is said in a terminal or a log drives neither."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import SystemClock
from core.headless import Log
from core.plain import lines, one_line
from core.settings import LogSettings
from core.snapshot import Level
from core.sources.x.answers import of_http
from tests.hostile import STRINGS

ANYTHING = st.text(alphabet=st.characters(), max_size=60)


@given(ANYTHING)
def test_everything_that_is_said_can_be_seen(text):
    assert one_line(text).isprintable()
    assert all(line.isprintable() for line in lines(text).split("\n"))
    assert lines(text).count("\n") == text.count("\n")


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), max_size=60))
def test_what_can_be_seen_is_as_it_was(text):
    assert one_line(text) == lines(text) == text


def test_how_it_is_spelled():
    assert one_line("a\x1b[2J\n b\u202ec\x9bd\ud800 é🎵") == "a\\x1b[2J b\\u202ec\\x9bd\\ud800 é🎵"
    assert lines("a\r\n  b\x07") == "a\\r\n  b\\x07"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("string", STRINGS.values(), ids=STRINGS)
def test_a_log_line_is_one_line_that_drives_no_terminal(form, string):
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    Log(LogSettings(format=form), out).line(SystemClock().now(), Level.INFO, "event", string)
    out.seek(0)
    line = out.read()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if form == "json":
        assert json.loads(line)["message"] == string


@pytest.mark.parametrize("status", [200, 302, 401, 403, 429, 503])
@pytest.mark.parametrize("string", STRINGS.values(), ids=STRINGS)
def test_what_an_answer_says_is_one_short_line(status, string):
    body = json.dumps(
        {"title": string, "detail": string, "type": string, "errors": [{"message": string}]}
    ).encode()
    ending = of_http(status, string, {"Location": string, "Retry-After": string}, body, 0.0)
    assert ending.reason.isprintable()
    assert len(ending.reason) < 2_000
