"""Hostile posts on a real terminal: what reaches it are the program's own sequences and text that can be seen.

The program itself, over real HTTP. Every byte that it writes is kept and looked at: no control character, no escape
sequence that the program does not use, no character that hides or turns text.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time

from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests import hostile
from tests.conftest import wait_until
from tests.ui.terminal import Terminal, invisible, sequences
from tests.x_server import TOKEN, ScriptedX
from tui.signs import PROBE

ESCAPE = "\x1b[27u"  # as terminals with the keyboard protocol say it: never taken for the start of a sequence

# What the program and Textual write on a terminal of 256 colours.
ITS_OWN = re.compile(
    r"\x1b\[0m|\x1b\[([1-479];)*(38;5;\d+)?;?(48;5;\d+)?m"  # colours
    r"|\x1b\[\d+;\d+H|\r|\n"  # places
    r"|\x1b\[\?(7|25|1000|1003|1004|1006|1015|1049|2004|2026|2048)[hl]"  # modes
    r"|\x1b[78]|\x1b\[6n"  # whether a frame was shown: the cursor is kept, asked for, put back
    r"|\x1b\[\?(2026|2048)\$p|\x1b\[>\d+u|\x1b\[<u|\x1b\]22;[a-z-]+\x07"  # questions, keyboard, pointer
)


def command(url: str, token: str, folder: object, *flags: str) -> tuple[list[str], dict[str, str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")}
    for name in ("COLORTERM", "NO_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    environment |= {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none", "BIEBER_TUI_X__BEARER_TOKEN": token}
    return [
        sys.executable,
        "-m",
        "tui.cli",
        "--data-dir",
        str(folder),
        "--set",
        f"x.base_url={url}",
        *flags,
    ], environment


def drove_nothing(written: bytes) -> None:
    """Nothing but the program's own sequences, modes switched on once and off again, text that can be seen."""
    first, screen, rest = written.partition(b"\x1b[?1049h")
    assert first.strip() in (b"", PROBE.encode() + b"\x1b[6n\r\x1b[K")  # the one question that it asks before
    written = screen + rest
    found = sequences(written)
    assert not {one for one in found if not ITS_OWN.fullmatch(one)}
    assert found.count("\x1b[?1049h") == found.count("\x1b[?1049l") == 1
    assert found.count("\x1b[?1000h") == found.count("\x1b[?1000l")
    assert not invisible(written)


def end_of_page(terminal: Terminal, seen: str, since: int) -> bool:
    """Go to the end of a page that may be drawn just now; whether that was written."""
    terminal.press("\x1b[F")
    time.sleep(0.1)
    return seen in terminal.text(since)


def leave(terminal: Terminal) -> None:
    def gone() -> bool:
        if terminal.process.poll() is None:
            terminal.press(ESCAPE + "q")
            time.sleep(0.2)
        return terminal.process.poll() is not None

    wait_until(gone)


def test_every_hostile_post_is_shown_and_drives_no_terminal(tmp_path):
    strings = [line for line in hostile.hostile_strings() if not line.name.endswith(", raw")]
    others = [*hostile.hostile_strings(), *hostile.broken(), *hostile.heavy(100_000)]
    with Simulator(SimulatorOptions(posts=0)) as sim:
        run = command(sim.url, sim.options.tokens[0], tmp_path, "--topic", "music OR word")
        with Terminal(*run) as terminal:
            for line in strings:
                sim.push(line.raw)
            sim.push({"data": {"id": "50000", "text": "music, the first part ends"}})
            terminal.wait_for("the first part ends")
            since = terminal.press("g")
            terminal.wait_for("frozen", since)
            # Every post in full, one after the other from the oldest on: its id is at the end.
            since = terminal.press("\r")
            for line in strings:
                id_ = json.loads(line.raw)["data"]["id"]
                wait_until(lambda id_=id_, since=since: end_of_page(terminal, f"x:{id_}", since))
                since = terminal.press("\x1b[C")
            since = terminal.press(ESCAPE)
            terminal.press("G")
            for line in others:
                sim.push(line.raw)
            sim.push({"data": {"id": "50001", "text": "music, the second part ends"}})
            terminal.wait_for("the second part ends", since)
            # All of them as rows; the log; filtered by what is in them.
            terminal.press("g")
            for _ in range(len(others) // 25 + 2):
                terminal.press("\x1b[6~")
            since = terminal.press("Gl")
            terminal.wait_for("Event log", since)
            since = terminal.press("q/")
            terminal.wait_for("other reading", since)
            since = terminal.press(hostile.CANARY.lower())
            terminal.wait_for("found", since)
            leave(terminal)
            assert terminal.process.returncode == 0
        written = bytes(terminal.written)
    drove_nothing(written)
    shown = re.sub(r"\x1b\[[0-9;]*[mH]", "", written.decode())
    for seen in (
        "␛[31;1mCaNaRy", "␛]52;c;CaNaRy␇", "�31mCaNaRy", "[@click=app.quit]CaNaRy[/]", "[bold red]CaNaRy[/]", "␀CaNaRy␀"
    ):  # fmt: skip
        assert seen in shown, seen


def test_what_the_server_says_drives_no_terminal(tmp_path):
    """An error in the stream, a refusal of new keywords and the last word: on the screen, in the log, after the end."""
    evil = "evil \x1b]0;title\x07\x9b31m\x1b[2J\u202e\ud800 [@click=app.quit]bold[/] [/]"
    problem = {"title": evil, "detail": evil, "type": "about:blank"}
    refused = {"errors": [{"title": "Invalid Rule", "details": [evil], "type": "x/invalid-rules"}]}
    x = ScriptedX()

    def stream(wire):
        wire.chunked()
        wire.posts(1)
        wire.chunk(json.dumps({"errors": [problem]}).encode() + b"\r\n")
        wire.hold()

    enough = threading.Event()

    def second_stream(wire):
        wire.chunked()
        wire.posts(222222)
        while not enough.wait(1):
            wire.chunk(b"\r\n")
        wire.reset()

    def refusal(wire):
        wire.answer(json.dumps(problem).encode(), status="403 \x1b[2J\x9b evil")

    x.scripts += [stream, second_stream, refusal]
    try:
        with Terminal(*command(x.url, TOKEN, tmp_path, "--topic", "post")) as terminal:
            terminal.wait_for("222222")
            since = terminal.press("l")
            terminal.wait_for("evil", since)
            since = terminal.press(ESCAPE)
            terminal.press("k")
            terminal.wait_for("Keywords and topic", since)
            x.rule_scripts.append(lambda wire: wire.answer(b'{"meta":{}}'))
            x.rule_scripts.append(lambda wire: wire.answer(json.dumps(refused).encode()))
            since = terminal.press("s\r")
            terminal.wait_for("X does not take these keywords", since)
            since = terminal.press(ESCAPE)
            enough.set()
            terminal.wait_for("STOPPED", since)
            leave(terminal)
            assert terminal.process.returncode == 3
        written = bytes(terminal.written)
    finally:
        x.close()
    drove_nothing(written)
    last = written.decode().rpartition("\x1b[?1049l")[2]
    assert "error: X answered 403" in last
