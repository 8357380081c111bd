"""Log lines are for people and for log shippers, one line each, and a reader that went away ends nothing."""

import io
import json

from core.headless import Log
from core.settings import LogSettings
from core.snapshot import Level


def test_a_text_line_is_one_line_with_time_and_level():
    out = io.StringIO()
    Log(LogSettings(), out).line(0.0, Level.WARNING, "event", "X 503\n  try later")
    assert out.getvalue() == "1970-01-01T00:00:00.000Z WARNING X 503 try later\n"


def test_what_came_from_outside_cannot_drive_a_terminal():
    out = io.StringIO()
    Log(LogSettings(), out).line(0.0, Level.INFO, "event", "bad\x1b[31m \x9b2J \u202e name")
    assert "\x1b" not in out.getvalue()
    assert "\x9b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert "\\x1b[31m" in out.getvalue()


def test_a_json_line_is_one_object_with_the_fields():
    out = io.StringIO()
    Log(LogSettings(format="json"), out).line(1.5, Level.INFO, "summary", "a\nb", gaps=2)
    assert json.loads(out.getvalue()) == {
        "time": "1970-01-01T00:00:01.500Z",
        "level": "info",
        "event": "summary",
        "message": "a\nb",
        "gaps": 2,
    }
    assert out.getvalue().count("\n") == 1


def test_a_closed_pipe_does_not_end_a_capture():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    Log(LogSettings(), Gone()).line(0.0, Level.INFO, "event", "anybody there?")
