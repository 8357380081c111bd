"""A capture watched and steered from another process: real sockets, real captures, the program itself."""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from msgspec.structs import replace

from core.attach import server, wire
from core.attach.server import ControlSocket
from core.attach.viewer import NOT_RUNNING, Viewer
from core.capture import Capture, Limits
from core.errors import BieberTuiError, ConfigError, QueryError, SourceRefused, Unavailable
from core.filter import Mode, Wanted
from core.health import SourceState
from core.settings import load
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.integration.test_main_job import Program, options
from tests.ui.scenes import LIVE, FakeControls


@pytest.fixture
def simulator():
    with Simulator(SimulatorOptions(rate=40)) as running:
        yield running


def settings_for(simulator, folder):
    return load(
        {
            "x.base_url": simulator.url,
            "x.bearer_token": simulator.options.tokens[0],
            "data_dir": str(folder),
            "store": None,
        }
    )


@pytest.fixture
def capture(simulator, tmp_path):
    running = Capture.open(settings_for(simulator, tmp_path / "data"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def viewer(capture, tmp_path):
    wait_until((tmp_path / "data" / wire.FILE_NAME).exists)
    watching = Viewer(tmp_path / "data")
    yield watching
    watching.stop()


class Still(FakeControls):
    """A capture that holds one moment, and refuses when it is told to."""

    error: Exception | None = None

    def pause(self) -> None:
        if self.error is not None:
            raise self.error
        super().pause()


@pytest.fixture
def still(tmp_path):
    held = Still()
    listening = ControlSocket(tmp_path, held, lambda: held.calls.append("stop"))
    listening.start()
    yield held
    listening.close()


def test_a_viewer_sees_what_the_capture_sees(still, tmp_path):
    watching = Viewer(tmp_path)
    try:
        seen = watching.snapshot(0)
        assert [row.post for row in seen.rows] == [row.post for row in still.moment.rows]
        assert replace(seen, rows=(), view="", last_seq=0) == replace(still.moment, rows=(), last_seq=0)
        assert seen.view == "attached"
    finally:
        watching.stop()


def test_rows_arrive_once_and_in_order(capture, viewer):
    seen = []

    def enough():
        snapshot = viewer.snapshot(seen[-1].seq if seen else 0)
        seen.extend(snapshot.rows)
        return len(seen) >= 60

    wait_until(enough)
    ours = {row.post.id: row for row in capture.snapshot(0).rows}
    assert [row.seq for row in seen] == list(range(1, len(seen) + 1))
    assert [(row.post, row.verdict, row.matched) for row in seen] == [
        (ours[row.post.id].post, row.verdict, ours[row.post.id].matched) for row in seen
    ]
    assert len({(row.post.id, row.received_at) for row in seen}) == len(seen)


def test_gaps_and_events_that_did_not_change_are_kept(still, tmp_path):
    watching = Viewer(tmp_path)
    try:
        first = watching._seen
        wait_until(lambda: watching._seen is not first)
        second = watching._seen
        wait_until(lambda: watching._seen is not second)
        assert watching.snapshot(0).gaps == still.moment.gaps
        assert watching.snapshot(0).events == still.moment.events != ()
    finally:
        watching.stop()


def test_commands_reach_the_capture(capture, viewer):
    viewer.pause()
    assert capture.snapshot().paused
    wait_until(lambda: viewer.snapshot(0).paused)
    viewer.resume()
    wait_until(lambda: viewer.snapshot(0).health[0].state is SourceState.LIVE)
    viewer.change_query("justin bieber", "love OR #love")
    assert (capture.snapshot().keywords, capture.snapshot().topic) == ("justin bieber", "love OR #love")


def test_an_error_of_the_capture_is_the_viewers_error(capture, viewer):
    before = capture.snapshot().topic
    with pytest.raises(QueryError) as caught:
        viewer.change_query("justin", "music OR OR love")
    assert caught.value.position > 0
    assert caught.value.query == "music OR OR love"
    assert capture.snapshot().topic == before


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("not now"),
        SourceRefused("no", "ask again"),
        BieberTuiError("odd"),
        QueryError("bad", 3, "a b", "hint"),
    ],
)
def test_every_kind_of_error_keeps_its_words(still, tmp_path, error):
    still.error = error
    watching = Viewer(tmp_path)
    try:
        with pytest.raises(type(error)) as caught:
            watching.pause()
        assert type(caught.value) is type(error)
        assert str(caught.value) == str(error)
    finally:
        watching.stop()


def test_a_read_only_viewer_steers_nothing(still, tmp_path):
    watching = Viewer(tmp_path, read_only=True)
    try:
        for call in (
            watching.pause,
            watching.resume,
            lambda: watching.change_query("a", "b"),
            lambda: watching.send("stop"),
        ):
            with pytest.raises(BieberTuiError, match="read-only"):
                call()
        assert still.calls == []
        assert watching.snapshot(0).view == "read-only"
    finally:
        watching.stop()


def test_what_is_stored_can_be_searched_looked_up_and_starred(capture, viewer):
    wait_until(lambda: capture.snapshot().run.unique >= 5)
    found = viewer.archive.search(Wanted("music", unmatched=True), "", 5)
    assert found == capture.archive.search(Wanted("music", unmatched=True), "", 5)
    assert found.rows
    post = found.rows[0].post
    assert viewer.archive.lookup(post.source, post.id) == capture.archive.lookup(post.source, post.id)
    assert viewer.archive.lookup("x", "nobody") is None
    viewer.archive.star(post.source, post.id, True)
    assert viewer.archive.stars() == capture.archive.stars() == {post.key}
    with pytest.raises(QueryError):
        viewer.archive.search(Wanted("(", Mode.REGEX), "", 5)


def test_leaving_leaves_the_capture(capture, viewer):
    viewer.stop()
    assert not capture.ended.is_set()
    assert not capture.snapshot().stopped


def test_a_viewer_can_end_the_capture(capture, viewer):
    viewer.send("stop")
    assert capture.ended.is_set()
    assert capture.error is None
    capture.stop()
    assert capture.report()["stopped"] == "stopped by a viewer"


def test_a_viewer_survives_the_captures_restart(simulator, tmp_path):
    folder = tmp_path / "data"
    first = Capture.open(settings_for(simulator, folder), Limits(max_posts=20))
    first.start()
    watching = Viewer(folder)
    try:
        wait_until(first.ended.is_set)
        wait_until(lambda: watching.snapshot(0).last_seq == 20)
        first.stop()
        wait_until(lambda: watching.snapshot(0).stopped == NOT_RUNNING)
        assert watching.snapshot(0).health[0].state is SourceState.STOPPED
        with pytest.raises(Unavailable):
            watching.pause()
        second = Capture.open(settings_for(simulator, folder), Limits(max_posts=15))
        second.start()
        try:
            wait_until(lambda: watching.snapshot(0).last_seq == 35)
            rows = watching.snapshot(0).rows
            assert [row.seq for row in rows] == list(range(1, 36))
            assert [row.post.id for row in rows[20:]] == [row.post.id for row in second.snapshot(0).rows]
            assert watching.snapshot(0).life.consumed == 35
        finally:
            second.stop()
    finally:
        watching.stop()


def test_several_watch_at_once(still, tmp_path):
    watching = [Viewer(tmp_path) for _ in range(8)]
    try:
        assert all(viewer.snapshot(0).rows for viewer in watching)
    finally:
        for viewer in watching:
            viewer.stop()


def test_the_next_viewer_after_the_last_place_is_turned_away(still, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "MOST_VIEWERS", 1)
    first = Viewer(tmp_path)
    try:
        with pytest.raises(ConfigError, match=r"has ended|reset|Broken"):
            Viewer(tmp_path)
    finally:
        first.stop()


def connect(folder) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(20)
    peer.connect(str(folder / wire.FILE_NAME))
    return peer


def test_a_viewer_that_stops_reading_is_let_go_and_costs_the_capture_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "SEND_SECONDS", 1)
    many = tuple(LIVE.rows[0].but(seq=seq) for seq in range(1, 20_001))  # far more than a socket's buffer
    held = Still(replace(LIVE, rows=many, last_seq=len(many)))
    listening = ControlSocket(tmp_path, held, lambda: None)
    listening.start()
    try:
        lazy = connect(tmp_path)
        wire.send(lazy, wire.Look())
        other = Viewer(tmp_path, feed_size=10)  # is served meanwhile
        other.stop()
        wait_until(lambda: not listening._viewers)
        lazy.close()
    finally:
        listening.close()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name in ("viewer", "control")])


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", 4_000_000_000),
        struct.pack(">I", 3) + b"abc",
        struct.pack(">I", 10) + b"abc",
        struct.pack(">I", 0),
        b"\xff",
        struct.pack(">I", 4) + b"\x81\xa4type",
    ],
)
def test_nonsense_closes_that_connection_and_nothing_else(still, tmp_path, nonsense):
    peer = connect(tmp_path)
    peer.sendall(nonsense)
    peer.shutdown(socket.SHUT_WR)
    with suppress(ConnectionResetError):
        assert peer.recv(100) == b""
    peer.close()
    watching = Viewer(tmp_path)
    watching.stop()


def test_another_version_is_told_so(still, tmp_path):
    peer = connect(tmp_path)
    wire.send(peer, wire.Look(version=wire.VERSION + 1))
    answer = wire.receive_answer(peer)
    assert isinstance(answer, wire.Refused)
    assert "versions" in answer.message
    peer.close()


def test_an_unknown_command_is_refused_in_words(still, tmp_path):
    watching = Viewer(tmp_path)
    try:
        with pytest.raises(BieberTuiError, match="no command 'dance'"):
            watching.send("dance")
    finally:
        watching.stop()


def test_the_socket_is_for_its_owner_only(still, tmp_path):
    mode = (tmp_path / wire.FILE_NAME).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_a_folder_with_a_very_long_path_can_be_watched(tmp_path):
    folder = tmp_path.joinpath(*["a long name for a folder"] * 6)
    folder.mkdir(parents=True)
    listening = ControlSocket(folder, Still(), lambda: None)
    listening.start()
    try:
        watching = Viewer(folder)
        assert watching.snapshot(0).rows
        watching.stop()
    finally:
        listening.close()
    assert not (folder / wire.FILE_NAME).exists()


def test_a_socket_left_behind_by_a_kill_is_in_nobodys_way(tmp_path):
    with Simulator(options(rate=20)) as simulator:
        folder = tmp_path / "data"
        killed = Program(simulator, folder)
        wait_until((folder / wire.FILE_NAME).exists)
        killed.kill()
        assert (folder / wire.FILE_NAME).exists()
        with pytest.raises(ConfigError, match="no capture answers"):
            Viewer(folder)
        again = Program(simulator, folder)

        def attached():
            try:
                Viewer(folder).stop()
            except ConfigError:
                return False
            return True

        wait_until(attached)
        again.stop()
        assert not (folder / wire.FILE_NAME).exists()


def test_without_a_capture_the_words_help(tmp_path):
    with pytest.raises(ConfigError) as caught:
        Viewer(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "--data-dir" in caught.value.hint


def test_a_folder_that_can_hold_no_socket_costs_only_the_watching(simulator, tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(wire, "address", refuse)
    running = Capture.open(settings_for(simulator, tmp_path / "data"), Limits(max_posts=5))
    running.start()
    try:
        wait_until(running.ended.is_set)
        assert any("nobody can attach" in event.text for event in running.snapshot().events)
    finally:
        running.stop()
    assert running.report()["run"]["consumed"] == 5


def attach(folder, *flags) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "attach", "--data-dir", str(folder), *flags],
        env={name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def test_the_program_steers_a_headless_capture(tmp_path):
    with Simulator(options(rate=40)) as simulator:
        folder = tmp_path / "data"
        running = Program(simulator, folder)
        wait_until((folder / wire.FILE_NAME).exists)
        for command in ("pause", "resume", "stop"):
            sender = attach(folder, "--send", command)
            out, err = sender.communicate(timeout=120)
            assert (sender.returncode, out, err) == (0, "", "")
        code, report = running.end()
        assert code == 0
        assert report["stopped"] == "stopped by a viewer"
        assert "paused by you" in [gap["reason"] for gap in report["gaps"]]


def test_the_program_follows_a_capture_as_log_lines(tmp_path):
    with Simulator(options(rate=40)) as simulator:
        folder = tmp_path / "data"
        running = Program(simulator, folder)
        wait_until((folder / wire.FILE_NAME).exists)
        following = attach(folder, "--no-ui", "--set", "log.summary_every=0.3", "--log-format", "json")
        lines = []
        while not any('"event": "summary"' in line for line in lines):
            lines.append(following.stderr.readline())
            assert lines[-1]
        following.send_signal(signal.SIGTERM)
        out, _ = following.communicate(timeout=120)
        assert (following.returncode, out) == (0, "")
        assert running.process.poll() is None
        running.stop()


def test_no_capture_and_no_terminal_are_told(tmp_path):
    for flags, words in (
        ((), "no terminal"),
        (("--no-ui",), "no capture answers"),
        (("--send", "stop"), "no capture answers"),
    ):
        program = attach(tmp_path, *flags)
        _, err = program.communicate(timeout=120)
        assert program.returncode == 2
        assert words in err


def test_following_loads_no_screen(tmp_path):
    probe = (
        "import sys\nimport core.attach.viewer, core.headless\n"
        "sys.exit(str(sorted({'textual', 'rich', 'pymongo'} & sys.modules.keys())))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
