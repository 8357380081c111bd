"""Hostile posts and hostile words of a server through the whole program: HTTP, journal, MongoDB, log and report."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from core.simulator.server import Simulator
from tests import hostile
from tests.conftest import wait_until
from tests.integration.test_main_job import Program, balanced, collection, options
from tests.x_server import TOKEN, ScriptedX


def quarantined(data_dir: Path) -> list[tuple[str, bytes]]:
    with sqlite3.connect(data_dir / "journal.sqlite") as db:
        return db.execute("SELECT reason, raw FROM quarantine").fetchall()


@pytest.mark.needs_go
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("form", ["text", "json"])
def test_every_line_is_a_post_or_in_quarantine_and_nothing_stops(tmp_path, mongodb_url, form):
    lines = list(hostile.every()) if form == "text" else [*hostile.hostile_strings(), *hostile.broken()]
    lines += hostile.heavy(1_000_000 if form == "json" else 100_000)
    posts = [line for line in lines if line.consumed]
    with Simulator(options(posts=0)) as sim:
        flags = (
            "--store",
            mongodb_url,
            "--log-format",
            form,
            "--set",
            "log.summary_every=0.5",
            "--set",
            "mongodb.timeout=60",
        )
        program = Program(sim, tmp_path / "data", *flags, "--topic", "music OR word")
        for line in lines:
            sim.push(line.raw)
        sim.push({"data": {"id": "50000", "text": "the end of the music"}})
        wait_until(lambda: collection(mongodb_url).count_documents({"_id": "x:50000"}), 300)
        code, report = program.stop()
    assert code == 0, program.said()
    balanced(report)
    run = report["run"]
    assert (run["delivered"], run["consumed"]) == (len(lines) + 1, len(posts) + 1)
    assert run["pending"] == 0
    assert report["sources"]["x"]["reconnects"] == 0
    assert collection(mongodb_url).count_documents({}) == run["unique"] > 0.9 * len(posts)
    rejected = quarantined(tmp_path / "data")
    assert all(reason and reason.isprintable() for reason, _ in rejected)
    assert sorted(raw for _, raw in rejected) == sorted(line.raw for line in lines if not line.consumed)
    said = program.log.read_bytes().decode("utf-8")
    assert all(line.isprintable() for line in said.split("\n"))
    assert hostile.CANARY not in said


WORDS = "\x1b]0;evil\x07\x9b31m\u202e\ud800 [bold]" + "w" * 3_000


@pytest.mark.parametrize("form", ["text", "json"])
def test_words_of_the_server_reach_the_log_as_words(tmp_path, form):
    """In the stream, in answers, in status lines: what X says is quoted in the log and in the report, made visible."""
    problem = {
        "title": WORDS,
        "detail": WORDS,
        "type": f"about:{WORDS}",
        "disconnect_type": WORDS,
        "status": WORDS,
    }
    rule_news = {"errors": [{"title": "DuplicateRule", "details": [WORDS], "value": WORDS, "id": WORDS}]}
    x = ScriptedX()
    x.rule_scripts.append(lambda wire: wire.answer(json.dumps({"data": {"id": 5, "value": [WORDS]}}).encode()))
    x.rule_scripts.append(lambda wire: wire.answer(json.dumps(rule_news).encode(), status="201 Created"))
    headers = ("x-rate-limit-limit: " + "9" * 400, "x-rate-limit-remaining: -5", "x-rate-limit-reset: 1e9")

    def in_the_stream(wire):
        wire.chunked(*headers)
        wire.chunk(json.dumps({"errors": [problem]}).encode() + b"\r\n")
        wire.hold()

    def in_the_status_line(wire):
        wire.answer(
            json.dumps({"errors": [problem], **problem}).encode(), *headers, status="503 \x1b[31m\x9b evil"
        )

    def refusing(wire):
        wire.answer(json.dumps(problem).encode(), "Location: /\x1b[2J\x9b", status="403 \x1b]52;c;aGk=\x07")

    x.scripts += [in_the_stream, in_the_status_line, refusing]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tui.cli", "--no-ui", "--json", "--data-dir", str(tmp_path / "data"),
             "--set", f"x.base_url={x.url}", "--log-format", form],
            env={**environment, "BIEBER_TUI_X__BEARER_TOKEN": TOKEN}, capture_output=True, timeout=100,
        )  # fmt: skip
    finally:
        x.close()
    said = done.stderr.decode("utf-8")
    assert done.returncode == 3, said
    for told in ("X answered 503", "X answered 403", "which is not ours"):
        assert told in said
    assert all(line.isprintable() for line in said.split("\n"))
    assert max(map(len, said.split("\n"))) < 4_000
    out = done.stdout.decode("ascii")
    assert out.count("\n") == 1
    assert out[:-1].isprintable()
    report = json.loads(out)
    assert "403" in report["stopped"]
    assert report["gaps"][0]["reason"].startswith("X ended the stream")


def test_check_says_what_the_server_says_as_words(tmp_path):
    x = ScriptedX()
    x.rule_scripts.append(
        lambda wire: wire.answer(json.dumps({"title": WORDS, "detail": WORDS}).encode(), status="403 \x1b[2J")
    )
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tui.cli", "check", "--data-dir", str(tmp_path / "data"), "--set", f"x.base_url={x.url}"],
            env={**os.environ, "BIEBER_TUI_X__BEARER_TOKEN": TOKEN}, capture_output=True, timeout=100,
        )  # fmt: skip
    finally:
        x.close()
    said = (done.stdout + done.stderr).decode("utf-8")
    assert "403" in said
    assert all(line.isprintable() for line in said.split("\n"))
