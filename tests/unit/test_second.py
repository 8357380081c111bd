"""A second process changes nothing but the speed: not one verdict, and no capture when it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import second
from core.clock import SystemClock
from core.events import EventLog
from core.opinion import GLANCED, Answer, Judge, think
from core.query import parse_topic
from core.second import BEHIND, FEW, Second
from core.snapshot import Level
from core.sources import glance
from tests import hostile
from tests.conftest import ROOT, wait_until
from tests.strategies import encoded

TOPIC = "music OR #music"
GLANCE = glance("x")
assert GLANCE is not None
HOSTILE = [line.raw for line in hostile.every() if b"\n" not in line.raw]


def post(number: int, text: str) -> bytes:
    return encoded({"data": {"id": str(number), "text": text, "lang": "en"}})


POSTS = [post(number, "music 🎵 of it" if number % 3 == 0 else "nothing") for number in range(300)]


def plain(lines, topic=TOPIC) -> Answer:
    return think(Judge.by(parse_topic(topic), GLANCE, quoted=False), lines)


class Desk:
    def __init__(self, when: second.When = "always") -> None:
        self.events = EventLog(SystemClock())
        self.second = Second("x", when, self.events, quoted=False)

    def ready(self) -> Desk:
        assert self.second.share(TOPIC, 100, 0) == 80
        return self

    def judged(self, lines, topic=TOPIC):
        self.second.ask(topic, lines)
        return self.second.answer()

    @property
    def pid(self) -> int:
        assert self.second._process is not None
        return self.second._process.pid

    def said(self, level: Level = Level.WARNING) -> list[str]:
        return [event.text for event in self.events.recent() if event.level is level]


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """However busy the machine is, it has not failed."""
    monkeypatch.setattr(second, "PATIENCE", 60.0)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.second.close()


@pytest.fixture
def hurried() -> Iterator[Desk]:
    """One that starts its process when it is needed."""
    made = Desk("when-needed")
    yield made
    made.second.close()


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_it_says_what_the_writer_would_say(desk):
    desk.ready()
    for lines in (POSTS, HOSTILE, [b"", b" "], POSTS[:1]):
        assert desk.judged(lines) == plain(lines)
    first, other = desk.judged(POSTS[:2]).opinions
    assert (first.id, first.matched, other) == ("0", ("music",), "1")


def test_a_line_too_long_for_a_glance_is_left_to_the_writer(desk):
    desk.ready()
    long = post(1, "music " + "a" * GLANCED)
    found = desk.judged([POSTS[0], long, POSTS[1]])
    assert found.opinions == [*plain(POSTS[:1]).opinions, None, *plain(POSTS[1:2]).opinions]
    assert found.counts == plain(POSTS[:1]).counts


def test_another_topic_counts_from_the_next_question_on(desk):
    desk.ready()
    first, other = desk.judged(POSTS[:2], "nothing").opinions
    assert (first, other.id, other.matched) == ("0", "1", ("nothing",))
    assert desk.judged(POSTS[:2]) == plain(POSTS[:2])


def test_a_line_that_is_two_leaves_all_to_the_writer(desk):
    desk.ready()
    assert desk.judged([POSTS[0] + b"\n" + POSTS[1], POSTS[2]]) is None
    assert desk.judged(POSTS[:2]) == plain(POSTS[:2])
    assert desk.said() == []


def test_more_than_there_is_room_for_is_not_asked(desk):
    desk.ready()
    assert desk.judged([b"a" * GLANCED] * (second.ROOM // GLANCED + 1)) is None
    assert desk.judged(POSTS) == plain(POSTS)
    assert desk.said() == []


def test_questions_are_answered_in_their_turn(desk):
    desk.ready()
    for start in range(0, 250, 50):
        first, other = POSTS[start : start + 20], POSTS[start + 20 : start + 50]
        desk.second.ask(TOPIC, first)
        desk.second.ask("nothing", other)
        assert desk.second.answer() == plain(first)
        desk.second.ask(TOPIC, other)
        assert desk.second.answer() == plain(other, "nothing")
        assert desk.second.answer() == plain(other)
    assert desk.second.answer() is None


def test_one_question_too_many_is_not_asked(desk):
    desk.ready()
    for number in range(second.DEPTH + 1):
        desk.second.ask(TOPIC, POSTS[number:100])
    desk.second.ask(TOPIC, POSTS[:1])
    for number in range(second.DEPTH):
        assert desk.second.answer() == plain(POSTS[number:100])
    assert [desk.second.answer(), desk.second.answer()] == [None, None]
    assert desk.judged(POSTS) == plain(POSTS)
    assert desk.said() == []


def test_killed_with_several_questions_in_hand_it_leaves_all_of_them_to_the_writer(desk, monkeypatch):
    desk.ready()
    os.kill(desk.pid, signal.SIGSTOP)
    desk.second.ask(TOPIC, POSTS)
    desk.second.ask(TOPIC, POSTS[:7])
    os.kill(desk.pid, signal.SIGKILL)
    assert desk.second.answer() is None
    monkeypatch.setattr(second, "IDLE_SECONDS", 0.0)
    assert desk.second.share(TOPIC, 100, 0) > 0  # another one is there before the writer has asked for the rest
    desk.second.ask(TOPIC, POSTS[:9])
    assert [desk.second.answer(), desk.second.answer()] == [None, plain(POSTS[:9])]
    assert len(desk.said()) == 1


def test_killed_it_leaves_its_lines_to_the_writer_and_that_is_said_once(desk):
    desk.ready()
    os.kill(desk.pid, signal.SIGKILL)
    assert desk.judged(POSTS) is None
    assert desk.second.share(TOPIC, 100, 0) == 0
    assert desk.judged(POSTS) is None
    [said] = desk.said()
    assert "nothing is lost" in said


def test_killed_with_a_question_in_hand_it_leaves_its_lines_to_the_writer(desk):
    desk.ready()
    os.kill(desk.pid, signal.SIGSTOP)
    desk.second.ask(TOPIC, POSTS)
    os.kill(desk.pid, signal.SIGKILL)
    assert desk.second.answer() is None
    assert len(desk.said()) == 1


def test_one_that_hangs_is_given_up_and_ended(desk, monkeypatch):
    monkeypatch.setattr(second, "PATIENCE", 0.2)
    desk.ready()
    pid = desk.pid
    os.kill(pid, signal.SIGSTOP)
    assert desk.judged(POSTS) is None
    assert gone(pid)
    assert len(desk.said()) == 1


def test_nonsense_is_no_opinion(desk):
    desk.ready()
    desk.second.ask(TOPIC, POSTS)
    assert desk.second._room is not None
    wait_until(lambda: desk.second._has_answered(wait=False))
    at = second._answer(1)  # that of the question behind the first one, which asked whether it is ready
    desk.second._room[at : at + 2] = b"\xc1\xc1"
    assert desk.second.answer() is None
    assert len(desk.said()) == 1


def test_after_a_failure_another_one_is_started_once_it_may_have_passed(desk, monkeypatch):
    desk.ready()
    os.kill(desk.pid, signal.SIGKILL)
    assert desk.judged(POSTS) is None
    monkeypatch.setattr(second, "IDLE_SECONDS", 0.0)
    assert desk.second.share(TOPIC, 100, 0) > 0
    assert desk.judged(POSTS) == plain(POSTS)


def test_one_that_cannot_be_started_is_done_without(desk, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert desk.second.share(TOPIC, 100, 0) == 0
    assert len(desk.said()) == 1


def test_one_that_ends_at_once_is_done_without(desk, monkeypatch):
    monkeypatch.setattr(second, "_CHILD", "raise SystemExit")
    assert desk.second.share(TOPIC, 100, 0) == 0
    assert len(desk.said()) == 1


def test_it_is_started_when_full_batches_wait_behind_full_ones_and_not_sooner(hurried):
    def share(items: int, waiting: int) -> int:
        return hurried.second.share(TOPIC, items, waiting)

    for _ in range(BEHIND - 1):
        assert share(FEW, FEW) == 0
    assert share(FEW, FEW - 1) == 0  # it keeps up again
    for _ in range(BEHIND - 1):
        assert share(FEW, FEW) == 0
    assert share(FEW - 1, FEW) == 0  # a batch of few
    for _ in range(BEHIND - 1):
        assert share(FEW, FEW) == 0
    assert hurried.second._process is None
    wait_until(lambda: share(FEW, FEW) > 0)
    assert hurried.judged(POSTS) == plain(POSTS)
    [said] = hurried.said(Level.INFO)
    assert "a second one helps" in said
    assert share(FEW, 0) == 0  # as soon as the writer keeps up by itself


def test_it_ends_when_it_was_not_needed_for_a_while(hurried, monkeypatch):
    wait_until(lambda: hurried.second.share(TOPIC, FEW, FEW) > 0)
    pid = hurried.pid
    assert hurried.second.share(TOPIC, 1, 0) == 0
    assert not gone(pid)
    monkeypatch.setattr(second, "IDLE_SECONDS", 0.0)
    assert hurried.second.share(TOPIC, FEW, FEW) == 0  # behind again
    assert not gone(pid)
    assert hurried.second.share(TOPIC, 1, 0) == 0
    assert gone(pid)
    assert hurried.said() == []


def test_never_is_never():
    never = Desk("never").second
    assert [never.share(TOPIC, FEW, FEW) for _ in range(2 * BEHIND)] == [0] * 2 * BEHIND
    assert never._process is None


def test_whoever_waits_for_the_other_gets_more_to_do(desk):
    desk.ready()
    before = desk.second._part
    desk.second.ask(TOPIC, POSTS)
    wait_until(lambda: desk.second._has_answered(wait=False))
    desk.second.answer()
    assert desk.second._part == before + second.STEP
    os.kill(desk.pid, signal.SIGSTOP)
    desk.second.ask(TOPIC, POSTS)
    go_on = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.2; kill -CONT {desk.pid}"])
    assert desk.second.answer() == plain(POSTS)
    assert desk.second._part == before
    go_on.wait()


def test_closed_it_is_gone_and_no_other_is_started(desk):
    desk.ready()
    pid = desk.pid
    desk.second.close()
    desk.second.close()
    assert gone(pid)
    assert desk.second.share(TOPIC, 100, 0) == 0
    assert desk.judged(POSTS) is None
    assert desk.said() == []


def test_closed_while_it_starts_it_is_gone_too(desk, monkeypatch):
    made, popen = [], subprocess.Popen

    def start(*args, **more):
        made.append(popen(*args, **more))
        desk.second.close()  # as another thread does
        return made[0]

    monkeypatch.setattr(subprocess, "Popen", start)
    assert desk.second.share(TOPIC, 100, 0) == 0
    assert gone(made[0].pid)
    assert desk.said() == []


def test_it_is_told_no_secret(desk, monkeypatch):
    monkeypatch.setenv("BIEBER_TUI_X__BEARER_TOKEN", "s3cret")
    desk.ready()
    for name in ("environ", "cmdline"):
        assert b"s3cret" not in Path(f"/proc/{desk.pid}/{name}").read_bytes()


def test_a_capture_that_is_killed_takes_it_along():
    program = (
        "import os, signal; from core.clock import SystemClock; from core.events import EventLog;"
        " from core.second import Second; second = Second('x', 'always', EventLog(SystemClock()), quoted=False);"
        " assert second.share('music', 100, 0); print(second._process.pid, flush=True);"
        " os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    wait_until(lambda: gone(pid))


def test_it_loads_no_client_no_store_and_no_screen():
    program = "import sys, core.second; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not {"tweepy", "requests", "pymongo", "textual", "rich", "nltk", "sqlite3"} & set(eval(done.stdout))
