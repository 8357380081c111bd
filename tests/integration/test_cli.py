"""The command line: what each command says, where it says it, and how it ends."""

from __future__ import annotations

import json
import signal

import pytest
from msgspec import structs

from core import check
from core.capture import Capture
from core.errors import QueryError
from core.headless import ENDING_SIGNALS
from core.secret import SecretStr
from core.settings import MongodbSettings, Settings, XSettings
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tui import cli


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("BIEBER_TUI_") and name != "BIEBER_TUI_CACHE"]:
        monkeypatch.delenv(name)


@pytest.fixture
def signals():
    """What a run did to them is undone: a process that is started later would inherit that they are ignored."""
    before = {number: signal.getsignal(number) for number in (*ENDING_SIGNALS, signal.SIGUSR1, signal.SIGUSR2)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def settings_for(sim, data_dir, **more) -> Settings:
    x = XSettings(base_url=sim.url, bearer_token=SecretStr(sim.options.tokens[0]))
    return Settings(x=x, data_dir=data_dir, **more)


def test_without_credentials_it_says_what_to_set_and_offers_the_demo(capsys, tmp_path):
    for flags in ([], ["--no-ui"]):
        assert cli.main([*flags, "--data-dir", str(tmp_path / "data")]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "BIEBER_TUI_X__BEARER_TOKEN" in said.err
        assert "bieber-tui demo" in said.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "no command 'fly'"),
        (["--no-such-flag"], "no-such-flag"),
        (["--set", "topic"], "KEY=VALUE"),
        (["--set", "x.nothing=1"], "x.nothing"),
        (["--max-posts", "0"], "number of posts"),
        (["--duration", "soon"], "number of seconds"),
        (["--source", "pigeon", "--no-ui"], "pigeon"),
        (["--profile", "nowhere"], "nowhere"),
    ],
)
def test_wrong_usage_is_told_and_ends_with_2(capsys, arguments, words):
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


def test_the_dashboard_needs_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("BIEBER_TUI_X__BEARER_TOKEN", "t")
    assert cli.main([]) == 2
    assert "--no-ui" in capsys.readouterr().err


def test_settings_lists_every_setting(capsys):
    assert cli.main(["settings"]) == 0
    assert "x.base_url" in capsys.readouterr().out


@pytest.mark.usefixtures("signals")
def test_the_demo_shows_the_main_job_without_a_terminal(capsys):
    assert cli.main(["demo", "--no-ui", "--rate", "200", "--max-posts", "50", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["run"]["consumed"] == 50
    assert "connected" in said.err
    # One that comes behind the end must not change its exit code.
    assert {signal.getsignal(number) for number in ENDING_SIGNALS} == {signal.SIG_IGN}


def test_simulate_serves_for_as_long_as_it_is_told(capsys):
    assert cli.main(["simulate", "--duration", "0.2"]) == 0
    assert "http://127.0.0.1:" in capsys.readouterr().err
    assert cli.main(["simulate", "--list-faults"]) == 0


def test_check_finds_everything_well(capsys, tmp_path, monkeypatch):
    with Simulator(SimulatorOptions()) as sim:
        monkeypatch.setenv("BIEBER_TUI_X__BEARER_TOKEN", sim.options.tokens[0])
        assert cli.main(["check", "--set", f"x.base_url={sim.url}", "--data-dir", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out
    assert "takes our credentials" in said
    assert "FAILED" not in said
    assert not (tmp_path / "data").exists()  # looking changes nothing


def test_check_names_what_to_mend(tmp_path, closed_port):
    with Simulator(SimulatorOptions()) as sim:
        refused = structs.replace(
            settings_for(sim, tmp_path), x=XSettings(base_url=sim.url, bearer_token=SecretStr("wrong"))
        )
        marks = {finding.thing: finding for finding in check.findings(refused)}
        assert marks["source"].exit_code == 3
        assert "token" in marks["source"].words + marks["source"].hint
    away = Settings(
        x=XSettings(base_url=f"http://127.0.0.1:{closed_port}", bearer_token=SecretStr("t")),
        store=SecretStr(f"mongodb://127.0.0.1:{closed_port}/x"),
        data_dir=tmp_path,
        mongodb=MongodbSettings(timeout=0.3),
    )
    marks = {finding.thing: finding.mark for finding in check.findings(away)}
    assert marks["source"] is marks["store"] is check.Mark.WARNING


def test_check_sees_the_journal_and_a_capture_that_runs(tmp_path):
    with Simulator(SimulatorOptions(rate=0, posts=20)) as sim:
        capture = Capture.open(settings_for(sim, tmp_path))
        capture.start()
        wait_until(lambda: capture.snapshot().run.consumed == 20)
        running = {finding.thing: finding for finding in check.findings(settings_for(sim, tmp_path))}
        assert "another capture" in running["data dir"].words
        capture.stop()
        ended = {finding.thing: finding for finding in check.findings(settings_for(sim, tmp_path))}
        assert "gaps" in ended["data dir"].words


def test_keywords_and_topic_change_without_a_restart_or_a_gap(tmp_path):
    with Simulator(SimulatorOptions(rate=100, match=0.5)) as sim:
        capture = Capture.open(settings_for(sim, tmp_path))
        capture.start()
        try:
            wait_until(lambda: capture.snapshot().run.consumed > 10)
            with pytest.raises(QueryError):
                capture.change_query("(broken", "music")
            capture.change_query('"taylor swift"', "album OR #music")
            wait_until(lambda: any("Taylor" in row.post.text for row in capture.snapshot().rows))
            snapshot = capture.snapshot()
            assert (snapshot.keywords, snapshot.topic) == ('"taylor swift"', "album OR #music")
            assert [rule["value"] for rule in sim.rules] == ['"taylor swift"']
            assert len(sim.connections) == 1
            assert snapshot.gaps == ()
            assert snapshot.run.imbalance() == ""
        finally:
            capture.stop()


def test_a_snapshot_gives_only_what_is_new_and_always_adds_up(tmp_path):
    with Simulator(SimulatorOptions(rate=0, posts=3000, duplicates=0.1, match=0.5)) as sim:
        capture = Capture.open(settings_for(sim, tmp_path))
        capture.start()
        seen: list[int] = []
        while len(seen) < 3000:
            snapshot = capture.snapshot(since=seen[-1] if seen else 0)
            seen += [row.seq for row in snapshot.rows]
            for counters in (snapshot.run, snapshot.life):
                assert counters.imbalance() == ""
        capture.stop()
        capture.stop()
    assert seen == list(range(1, len(seen) + 1))
