"""A recorded capture run again: the same posts, the same numbers, at any speed, from any moment, by any topic."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from core.capture import Capture, Limits
from core.errors import ConfigError
from core.health import SourceState
from core.replay import Player, open_recording
from core.settings import load
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from core.snapshot import Verdict
from tests.conftest import wait_until

POSTS = 120


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A data folder with every post that a capture of 120 posts consumed, with one gap, and the capture's report."""
    folder = tmp_path_factory.mktemp("recorded")
    with Simulator(SimulatorOptions(rate=60, duplicates=0.1, faults=("50:close",))) as simulator:
        settings = load(
            {"x.base_url": simulator.url, "x.bearer_token": simulator.options.tokens[0], "store": None,
             "data_dir": str(folder), "journal.scope": "all"}
        )  # fmt: skip
        capture = Capture.open(settings, Limits(max_posts=POSTS))
        capture.start()
        wait_until(capture.ended.is_set)
        capture.stop()
        return folder, capture.report()


def settings():
    return load({"x.bearer_token": "unused", "store": None})


def play(recorded, speed=float("inf"), **more):
    player = Player(open_recording(recorded[0]), settings(), speed, ends=False)
    player.start()
    return player


def texts(snapshot):
    return [(row.post.id, row.verdict) for row in snapshot.rows]


def test_a_replay_gives_the_same_counts_gaps_and_times(recorded):
    folder, report = recorded
    player = play(recorded)
    try:
        wait_until(lambda: player.snapshot(0).view == "replay, end")
        wait_until(lambda: len(player.snapshot(0).gaps) == len(report["gaps"]))  # read just after the last batch
        # The journal keeps one delivery of each post: second deliveries of a run are not recorded.
        seen = player.snapshot(0)
        run = report["run"]
        assert seen.run.consumed == run["consumed"] - run["duplicate"] - doubles(report, seen)
        assert (seen.run.matched, seen.run.unique) == (run["unique"], run["unique"])
        assert [gap.reason for gap in seen.gaps] == [gap["reason"] for gap in report["gaps"]]
        assert all(gap.end is not None and gap.end >= gap.start for gap in seen.gaps)
        recording = open_recording(folder)
        assert recording.start <= seen.rows[0].received_at <= seen.rows[-1].received_at <= recording.end
        assert seen.at == pytest.approx(recording.end)
    finally:
        player.stop()


def doubles(report, seen) -> int:
    """Second deliveries of posts that are not about the topic: in the counts of the run, once in the journal."""
    return report["run"]["filtered_out"] - seen.run.filtered_out


def test_time_runs_at_the_speed_that_was_asked_for(recorded):
    recording = open_recording(recorded[0])
    player = play(recorded, speed=1.0)
    try:
        began = time.monotonic()
        first = player.snapshot(0)
        wait_until(lambda: player.snapshot(0).run.consumed >= 20)
        seen = player.snapshot(0)
        passed = time.monotonic() - began
        assert seen.at - first.at <= passed + 1.0
        assert all(row.received_at <= seen.at for row in seen.rows)
        player.change_speed(1)
        assert player.snapshot(0).view == "replay 2×"
        player.change_speed(-1)
        player.change_speed(-1)
        assert player.snapshot(0).view == "replay 0.5×"
        assert seen.started_at == pytest.approx(recording.start)
    finally:
        player.stop()


def test_a_held_replay_stands_still_and_steps_post_by_post(recorded):
    player = play(recorded, speed=1.0)
    lines = [event.at for event in open_recording(recorded[0]).events() if event.raw is not None]
    try:
        wait_until(lambda: player.snapshot(0).run.consumed >= 3)
        player.pause()
        # What was on its way arrives.
        wait_until(lambda: (now := player.snapshot(0)).run.delivered == sum(at <= now.at for at in lines))
        held = player.snapshot(0)
        assert held.paused
        time.sleep(0.3)
        assert player.snapshot(0).at == held.at
        for steps in range(1, 6):
            player.step()
            wait_until(lambda steps=steps: player.snapshot(0).run.consumed == held.run.consumed + steps)
        time.sleep(0.2)
        assert player.snapshot(0).run.consumed == held.run.consumed + 5
        assert player.snapshot(0).health[0].state is not SourceState.PAUSED  # nothing was closed: no gap
        player.resume()
        wait_until(lambda: player.snapshot(0).run.consumed > held.run.consumed + 5)
    finally:
        player.stop()


def test_seeking_shows_exactly_what_had_come_by_then(recorded):
    recording = open_recording(recorded[0])
    length = recording.end - recording.start
    lines = [event for event in recording.events() if event.raw is not None]

    def there(player, share):
        at = recording.start + share * length
        due = sum(event.at <= at for event in lines)
        wait_until(lambda: player.snapshot(0).run.delivered == due)
        time.sleep(0.2)
        assert player.snapshot(0).run.delivered == due

    player = play(recorded, speed=1.0)
    try:
        player.pause()
        epoch = player.snapshot(0).epoch
        player.seek(0.75 * length - (player.snapshot(0).at - recording.start))
        there(player, 0.75)
        assert player.snapshot(0).epoch == epoch
        player.seek(-0.5 * length)
        there(player, 0.25)
        assert player.snapshot(0).epoch == epoch + 1  # the feed begins anew
        player.seek(10 * length)
        there(player, 1.0)
        player.seek(-10 * length)
        there(player, 0.0)
    finally:
        player.stop()


def test_another_topic_judges_the_recording_anew(recorded):
    player = play(recorded)
    try:
        wait_until(lambda: player.snapshot(0).view == "replay, end")
        everything = player.snapshot(0).run.consumed
        keywords = player.snapshot(0).keywords
        player.change_query(keywords, "justin OR bieber OR the OR tour")
        wait_until(lambda: player.snapshot(0).run.consumed == everything)
        seen = player.snapshot(0)
        assert seen.topic == "justin OR bieber OR the OR tour"
        assert seen.run.matched > seen.run.filtered_out
        assert {row.verdict for row in seen.rows if "Justin" in row.post.text} == {Verdict.MATCHED}
        with pytest.raises(ConfigError, match="holds what was captured"):
            player.change_query("somebody else", "music")
    finally:
        player.stop()


def test_a_running_capture_can_be_replayed_and_is_not_written_to(tmp_path):
    folder = tmp_path / "live"
    with Simulator(SimulatorOptions(rate=50)) as simulator:
        capture = Capture.open(
            load(
                {
                    "x.base_url": simulator.url,
                    "x.bearer_token": simulator.options.tokens[0],
                    "data_dir": str(folder),
                    "store": None,
                }
            )
        )
        capture.start()
        try:
            wait_until(lambda: capture.snapshot().run.unique >= 5)
            player = play((folder, None))
            wait_until(lambda: player.snapshot(0).view == "replay, end")
            assert player.snapshot(0).run.unique >= 5
            player.stop()
            assert not capture.snapshot().stopped
        finally:
            capture.stop()


def replay(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "replay", *arguments], capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def test_the_program_replays_a_folder_to_its_end(recorded):
    code, out, err = replay(str(recorded[0]), "--speed", "max", "--no-ui", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["stopped"] == "end of the recording"
    assert report["run"]["unique"] == recorded[1]["run"]["unique"]


def test_the_program_replays_a_file_of_raw_lines(recorded, tmp_path):
    lines = [event.raw for event in open_recording(recorded[0]).events() if event.raw is not None]
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"\n".join([*lines, b"not a post", b""]))
    code, out, err = replay(str(file), "--speed", "max", "--no-ui", "--json")
    assert code == 0, err
    run = json.loads(out)["run"]
    assert (run["delivered"], run["quarantined"]) == (len(lines) + 1, 1)
    assert run["unique"] == recorded[1]["run"]["unique"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("nothing", None), ("empty", b""), ("words", b"hello\nworld\n"), ("binary", b"\x00\xff" * 500)],
)
def test_what_is_no_recording_is_refused_in_words(tmp_path, name, content):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    code, out, err = replay(str(file), "--no-ui")
    assert (code, out) == (2, "")
    assert str(file) in err
    assert "Traceback" not in err


@pytest.mark.parametrize("speed", ["0", "-1x", "fast", "nan"])
def test_a_speed_that_is_none_is_refused(recorded, speed):
    code, _, err = replay(str(recorded[0]), "--no-ui", f"--speed={speed}")
    assert code == 2
    assert "no speed" in err


def test_an_empty_data_folder_is_refused(tmp_path):
    code, _, err = replay(str(tmp_path), "--no-ui")
    assert code == 2
    assert "cannot be replayed" in err
