"""Every action of the table does what its description says; an action without a test here is a failure."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import msgspec
import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from textual.keys import key_to_character
from textual.widgets import Input

from core.errors import JournalError, SourceRefused
from core.filter import Mode, Wanted
from core.post import Ref
from core.settings import Settings, UiSettings
from core.snapshot import Verdict
from tests.conftest import PATIENCE
from tests.ui import scenes
from tui.actions import ACTIONS, BY_ID, Place
from tui.app import Dashboard
from tui.keymap import ALWAYS_QUITS, SETS
from tui.memory import load
from tui.ring import Show


def screen_text(app) -> str:
    """All that is on the screen on top, as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def app_with(controls=None, theme="bieber", **more) -> Dashboard:
    return Dashboard(controls or scenes.FakeControls(), Settings(ui=UiSettings(theme=theme)), **more)


TESTED: set[str] = set()


def does(*ids: str):
    """This test shows that these actions do what they say."""
    TESTED.update(ids)
    return lambda test: test


async def until(condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not true in time"
        await asyncio.sleep(0.02)


def key_of(action_id: str) -> str:
    return BY_ID[action_id].keys[0]


@does("freeze")
async def test_freeze_keeps_the_feed_and_not_the_capture_and_follows_again():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("freeze"))
        assert app.feed.ring.frozen
        before = list(app.feed.ring.shown)
        controls.say(*scenes.rows(201, 210))
        await until(lambda: app.feed.ring.waiting)
        assert app.feed.ring.shown == before
        assert "pause" not in controls.calls
        await pilot.press(key_of("freeze"))
        assert not app.feed.ring.frozen
        assert app.feed.ring.shown[-1].seq >= 201


@does("pause")
async def test_pause_closes_the_capture_and_resumes_it():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(key_of("pause"))
        await until(lambda: controls.calls == ["pause"])
        await until(lambda: app.snapshot.paused)
        await pilot.press(key_of("pause"))
        await until(lambda: controls.calls == ["pause", "resume"])


@does("keywords")
async def test_keywords_changes_the_query_without_a_restart():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(key_of("keywords"))
        await until(lambda: len(app.screen_stack) == 2)
        await pilot.press("end", "space", "x")
        await pilot.press("enter")
        await until(lambda: controls.changed is not None)
        assert controls.changed == ('"justin bieber" x', controls.moment.topic)
        await until(lambda: len(app.screen_stack) == 1)


async def test_a_bad_query_is_not_applied_and_what_x_says_is_shown_in_place():
    def refuse(keywords, topic):
        raise SourceRefused("X does not take it", "shorten it")

    controls = scenes.FakeControls(on_change=refuse)
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("k")
        await until(lambda: len(app.screen_stack) == 2)
        await pilot.press("end", "space", "left_parenthesis", "enter")
        await pilot.pause()
        assert "change_query" not in controls.calls
        assert len(app.screen_stack) == 2
        await pilot.press("backspace", "y", "enter")
        await until(lambda: "change_query" in controls.calls)
        await until(lambda: "X does not take it" in screen_text(app))
        assert len(app.screen_stack) == 2
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


@does("filter", "clear", "leave")
async def test_filter_shows_only_what_has_it_while_one_types_and_clear_shows_all():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        every = len(app.feed.ring.shown)
        await pilot.press(key_of("filter"), *"orchestra")
        await until(lambda: app.feed.ring.wanted.text == "orchestra")
        assert 0 < len(app.feed.ring.shown) < every
        assert all("orchestra" in row.post.text for row in app.feed.ring.shown)
        await pilot.press(key_of("leave"))
        assert app.focused is app.feed
        assert app.feed.ring.wanted.text == "orchestra"
        await pilot.press(key_of("clear"))
        await until(lambda: not app.feed.ring.wanted)
        assert len(app.feed.ring.shown) == every
        assert app.query_one("#filter", Input).value == ""


@does("reading")
async def test_reading_goes_through_the_four_readings_and_a_fault_keeps_what_is_shown():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("filter"), *"(new")
        await until(lambda: app.feed.ring.wanted.text == "(new")
        assert app.feed.ring.shown == []
        for mode in (Mode.WORDS, Mode.REGEX, Mode.QUERY, Mode.TEXT):
            await pilot.press(key_of("reading"))
            assert app.stream.mode is mode
            if mode in (Mode.REGEX, Mode.QUERY):
                await until(lambda: "✗" in screen_text(app))
                assert app.feed.ring.wanted.mode is Mode.WORDS  # the last that could be read
        await until(lambda: app.feed.ring.wanted.mode is Mode.TEXT)
        assert "✗" not in screen_text(app)
        await pilot.press("home", "delete", key_of("reading"), key_of("reading"), key_of("reading"))
        await until(lambda: app.feed.ring.wanted == Wanted("new", Mode.QUERY))
        assert app.feed.ring.shown
        assert all(" new " in f" {row.post.text.lower()} " for row in app.feed.ring.shown)


@does("mode")
async def test_mode_goes_from_matched_to_context_to_all_and_is_remembered(tmp_path):
    app = app_with(folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        matched = len(app.feed.ring.shown)
        assert not any(row.verdict is Verdict.FILTERED for row in app.feed.ring.shown)
        await pilot.press(key_of("mode"))
        assert "matched in context" in screen_text(app)
        aside = [row for row in app.feed.ring.shown if app.feed.ring.is_aside(row)]
        assert aside and all(row.verdict is Verdict.FILTERED for row in aside)
        await pilot.press(key_of("mode"))
        assert len(app.feed.ring.shown) == 200 > matched
        await until(lambda: load(tmp_path)[0].show is Show.ALL)
        await pilot.press(key_of("mode"))
        assert len(app.feed.ring.shown) == matched


@does("search")
async def test_search_finds_what_is_stored_page_by_page_and_clear_goes_back_to_the_live_feed():
    controls = scenes.FakeControls()
    controls.archive = scenes.FakeArchive(scenes.rows(1, 3000), page=100)
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("filter"), *"orchestra", key_of("search"))
        await until(lambda: app.feed.stored is not None and not app.feed.stored.searching)
        found = list(app.feed.shown)
        assert len(found) >= 190
        assert found[-1].post.id == max(
            row.post.id for row in scenes.rows(1, 3000) if "orchestra" in row.post.text
        )
        await pilot.press(key_of("oldest"))
        reading = app.feed.current()
        await until(lambda: app.feed.stored.place is None and not app.feed.stored.searching)
        wanted = [row.post.id for row in scenes.rows(1, 3000) if "orchestra" in row.post.text]
        assert [row.post.id for row in app.feed.shown] == wanted
        assert app.feed.current() is reading
        assert app.feed.render_line(app.feed._cursor_index() - app.feed._top).text.startswith("▌")
        controls.say(*scenes.rows(201, 230))
        await until(lambda: app.feed.ring.waiting)
        await until(lambda: "new" in screen_text(app))
        await pilot.press(key_of("clear"))
        assert app.feed.stored is None and not app.feed.ring.frozen
        assert app.feed.ring.wanted.text == "orchestra"


async def test_a_search_that_fails_says_why():
    controls = scenes.FakeControls()

    def fail(*_):
        raise JournalError("the journal is damaged", "")

    controls.archive.search = fail
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("filter"), key_of("search"))
        await until(lambda: "the journal is damaged" in screen_text(app))


@does("next_match", "previous_match")
async def test_next_and_previous_match_go_to_what_is_looked_for():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("mode"), key_of("mode"))  # all posts: the matched ones are looked for
        seen = []
        for _ in range(8):
            await pilot.press(key_of("previous_match"))
            seen.append(app.feed.current().seq)
        assert app.feed.ring.frozen
        assert (
            seen == [row.seq for row in reversed(scenes.rows(1, 200)) if row.verdict is not Verdict.FILTERED][:8]
        )
        await pilot.press(key_of("next_match"))
        assert app.feed.current().seq == seen[-2]
        await pilot.press(key_of("mode"), key_of("mode"), key_of("filter"), *"orchestra", key_of("leave"))
        await until(lambda: app.feed.ring.wanted.text == "orchestra")
        assert app.feed.ring.show is Show.CONTEXT
        await pilot.press(key_of("previous_match"), key_of("previous_match"))
        assert "orchestra" in app.feed.current().post.text
        assert any(app.feed.ring.is_aside(row) for row in app.feed.ring.shown)


@does("star", "starred")
async def test_a_star_is_durable_shown_in_the_row_and_can_be_filtered_by():
    controls = scenes.FakeControls()
    controls.archive.starred = {scenes.row(150).post.key}
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.stars)
        await pilot.press("up", "up", key_of("star"))
        row = app.feed.current()
        await until(lambda: row.post.key in controls.archive.starred)
        await until(lambda: "★" in app.feed.render_line(app.feed._cursor_index() - app.feed._top).text)
        await pilot.press(key_of("starred"))
        assert app.feed.ring.shown == [scenes.row(150), row]
        await pilot.press(key_of("star"))
        await until(lambda: row.post.key not in controls.archive.starred)
        await until(lambda: app.feed.ring.shown == [scenes.row(150)])
        await pilot.press(key_of("starred"))
        assert len(app.feed.ring.shown) > 2


@does("copy", "copy_link", "browse")
@pytest.mark.parametrize("where", ["feed", "post"])
async def test_copy_and_browse_take_the_post_that_is_meant(monkeypatch, where):
    opened: list[str] = []
    monkeypatch.setattr("tui.posts.why_not", lambda: "")
    monkeypatch.setattr("tui.posts.open_page", lambda url: opened.append(url) or True)
    monkeypatch.delenv("TMUX", raising=False)
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("up", "up")
        row = app.feed.current()
        if where == "post":
            await pilot.press(key_of("open"))
        link = f"https://x.com/{row.post.author.username}/status/{row.post.id}"
        await pilot.press(key_of("copy"))
        await until(lambda: app.clipboard == row.post.text)
        await pilot.press(key_of("copy_link"))
        await until(lambda: app.clipboard == link)
        await pilot.press(key_of("browse"))
        await until(lambda: opened == [link])


async def test_over_ssh_the_link_is_copied_instead_of_opened_and_that_is_said(monkeypatch):
    monkeypatch.setattr("tui.posts.why_not", lambda: "this is an SSH session")
    monkeypatch.setattr("tui.posts.open_page", lambda url: pytest.fail("opened"))
    app = app_with()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("up", key_of("browse"))
        await until(lambda: app.clipboard.startswith("https://x.com/"))
        await until(lambda: any("SSH" in note.message for note in app._notifications))


async def test_a_post_of_the_demo_has_no_page(monkeypatch):
    monkeypatch.setattr("tui.posts.open_page", lambda url: pytest.fail("opened"))
    app = app_with(scenes.FakeControls(replace(scenes.LIVE, demo=True)))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("up", key_of("browse"))
        await until(lambda: any("made up" in note.message for note in app._notifications))


@does("export")
async def test_export_writes_what_is_listed_and_names_the_file(tmp_path):
    controls = scenes.FakeControls(replace(scenes.LIVE, data_dir=str(tmp_path)))
    controls.archive = scenes.FakeArchive(scenes.rows(1, 2000), page=100)
    app = app_with(controls)

    def written() -> list[list[str]]:
        files = sorted((tmp_path / "exports").glob("*.jsonl"), key=lambda path: (len(path.name), path.name))
        return [[json.loads(line)["id"] for line in path.read_text().splitlines()] for path in files]

    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("filter"), *"orchestra", key_of("leave"))
        await until(lambda: app.feed.ring.wanted.text == "orchestra")
        await pilot.press(key_of("export"))
        await until(lambda: len(written()) == 1)
        assert written()[0] == [row.post.id for row in reversed(app.feed.ring.shown)]
        await until(lambda: any("orchestra.jsonl" in note.message for note in app._notifications))
        await pilot.press(key_of("filter"), key_of("search"))
        await until(lambda: app.feed.stored is not None)
        await pilot.press(key_of("export"))
        await until(lambda: len(written()) == 2)
        every = [row.post.id for row in reversed(scenes.rows(1, 2000)) if "orchestra" in row.post.text]
        assert written()[1] == every


@does("older", "newer", "raw", "thread", "close")
async def test_an_open_post_goes_to_its_neighbours_its_raw_line_and_its_thread():
    controls = scenes.FakeControls()
    first, other = scenes.row(190), scenes.row(170)
    answer = first.but(post=msgspec.structs.replace(first.post, refs=(Ref("replied_to", other.post.id),)))
    controls.posts = [answer if row.seq == 190 else row for row in controls.posts]
    controls.archive.stored = list(controls.posts)
    app = app_with(controls)
    async with app.run_test(size=(120, 50)) as pilot:
        await until(lambda: app.feed.ring.shown)
        app.feed.point_at(answer)
        await pilot.press(key_of("open"))
        sheet = app.screen
        assert sheet.row is answer
        await until(lambda: "bytes" in screen_text(app))
        assert "bieber-tui  (at X, 9)" in screen_text(app)
        assert '"matching_rules"' not in screen_text(app)
        await pilot.press(key_of("raw"))
        await until(lambda: '"matching_rules"' in screen_text(app))
        await pilot.press(key_of("raw"))
        await until(lambda: '"matching_rules"' not in screen_text(app))
        assert "answers" in screen_text(app)
        await pilot.press(key_of("thread"))
        assert app.screen.row.post.id == other.post.id
        await pilot.press(key_of("close"))
        assert app.screen is sheet
        await pilot.press(key_of("older"))
        assert sheet.row.seq < 190
        assert app.feed.current() is sheet.row
        await pilot.press(key_of("newer"))
        assert sheet.row is answer
        await pilot.press(key_of("close"))
        assert len(app.screen_stack) == 1


@does("open", "log", "help", "palette", "command")
@pytest.mark.parametrize("action", ["open", "log", "help", "palette", "command"])
async def test_a_dialog_opens_and_escape_leaves_it(action):
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        if action == "open":
            await pilot.press("up")
        await pilot.press(key_of(action))
        await until(lambda: len(app.screen_stack) == 2)
        await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 1)


@does("run", "complete", "earlier", "later")
async def test_the_command_line_completes_runs_and_remembers(tmp_path):
    app = app_with(folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("command"), *"fil", key_of("complete"), *"orchestra", key_of("run"))
        await until(lambda: app.feed.ring.wanted.text == "orchestra")
        await pilot.press(key_of("command"), *"them", key_of("complete"), *"ansi-light", key_of("run"))
        await until(lambda: app.theme == "ansi-light")
        await pilot.press(key_of("command"), key_of("earlier"), key_of("earlier"))
        assert app.screen.query_one(Input).value == "filter orchestra"
        await pilot.press(key_of("later"))
        assert app.screen.query_one(Input).value == "theme ansi-light"
        await pilot.press(key_of("close"))
        await until(lambda: load(tmp_path)[0].commands == ("filter orchestra", "theme ansi-light"))
        await pilot.press(key_of("command"), *"nonsense", key_of("run"))
        await until(lambda: "no action" in screen_text(app))
        await pilot.press(key_of("close"))
        assert len(app.screen_stack) == 1


@does("apply", "next_field")
async def test_the_query_dialog_shows_what_a_topic_would_keep_and_remembers_what_was_applied(tmp_path):
    controls = scenes.FakeControls()
    app = app_with(controls, folder=tmp_path)
    async with app.run_test(size=(120, 50)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("keywords"), key_of("next_field"))
        await pilot.press(*["backspace"] * 20, *"fridge")
        fridge = sum("fridge" in row.post.text for row in scenes.rows(1, 200))
        await until(lambda: f"{fridge} of the last 200 posts would match" in screen_text(app))
        assert "taller than my fridge" in screen_text(app)
        await pilot.press(key_of("apply"))
        await until(lambda: controls.changed == ('"justin bieber"', "fridge"))
        await until(lambda: len(app.screen_stack) == 1)
        await until(lambda: len(load(tmp_path)[0].queries) == 2)
        await pilot.press(key_of("keywords"), key_of("earlier"))
        assert [field.value for field in app.screen.query(Input)] == ['"justin bieber"', "music OR #music"]
        await pilot.press(key_of("later"))
        assert [field.value for field in app.screen.query(Input)] == ['"justin bieber"', "fridge"]
        await pilot.press(key_of("close"))


@does("layout_1", "layout_2", "layout_3", "layout_4", "hide_numbers", "hide_side", "hide_keys")
async def test_layouts_and_hidden_panels_are_remembered(tmp_path):
    def visible(app) -> set[str]:
        names = ("numbers", "side", "keys", "beside", "feed", "status")
        return {name for name in names if app.query_one(f"#{name}").region.area}

    app = app_with(folder=tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        assert visible(app) == {"numbers", "side", "keys", "feed"}
        for layout, panels in (
            ("layout_2", {"numbers", "keys", "feed", "status"}),
            ("layout_3", {"numbers", "side", "keys", "feed"}),
            ("layout_4", {"numbers", "beside", "keys", "feed", "status"}),
        ):
            await pilot.press(key_of(layout))
            await until(lambda panels=panels: visible(app) == panels)
        await until(lambda: app.feed.current().post.author.name in screen_text(app))
        await pilot.press(key_of("hide_numbers"), key_of("hide_keys"))
        await until(lambda: visible(app) == {"beside", "feed", "status"})
        await until(lambda: load(tmp_path)[0].hidden == ("numbers", "keys"))
    again = app_with(folder=tmp_path, memory=load(tmp_path)[0])
    async with again.run_test(size=(140, 40)) as pilot:
        await until(lambda: visible(again) == {"beside", "feed", "status"})
        await pilot.press(key_of("hide_keys"))
        await until(lambda: "keys" in visible(again))
        await pilot.press(key_of("layout_1"), key_of("hide_side"))
        await until(lambda: visible(again) == {"numbers", "keys", "feed"})


@does("zoom", "next_panel")
async def test_zoom_lets_the_panel_with_the_focus_fill_the_screen():
    app = app_with()
    async with app.run_test(size=(140, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("zoom"))
        await until(lambda: app.query_one("#stream").region.height == 38)
        await pilot.press(key_of("zoom"))
        await until(lambda: app.query_one("#stream").region.height < 38)
        while app.focused.id != "side":
            await pilot.press(key_of("next_panel"))
        await pilot.press(key_of("zoom"))
        await until(lambda: app.query_one("#side").region.size == (140, 38))
        await pilot.press("escape")
        await until(lambda: app.query_one("#feed").region.area)


@does("up", "page_up", "oldest", "newest")
@pytest.mark.parametrize("action", ["up", "page_up", "oldest"])
async def test_going_up_freezes(action):
    app = app_with()
    async with app.run_test(size=(120, 20)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of(action))
        assert app.feed.ring.frozen
        await pilot.press(key_of("newest"))
        assert not app.feed.ring.frozen


@does("down", "page_down")
@pytest.mark.parametrize("action", ["down", "page_down"])
async def test_going_down_moves_the_cursor_towards_the_newest(action):
    app = app_with()
    async with app.run_test(size=(120, 20)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("home")
        first = app.feed.current()
        await pilot.press(key_of(action))
        assert app.feed.current().seq > first.seq


@does("theme")
async def test_theme_goes_through_them_and_the_last_is_remembered_unless_the_settings_say_so(tmp_path):
    app = Dashboard(scenes.FakeControls(), Settings(), folder=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.theme == "bieber"
        await pilot.press(key_of("theme"))
        assert app.theme == "bieber-light"
        await until(lambda: load(tmp_path)[0].theme == "bieber-light")
    memory = load(tmp_path)[0]
    assert Dashboard(scenes.FakeControls(), Settings(), memory=memory).theme == "bieber-light"
    assert app_with(theme="ansi-dark", memory=memory).theme == "ansi-dark"


@does("quit")
@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_quit_flushes_and_leaves(key):
    assert key == ALWAYS_QUITS or key in BY_ID["quit"].keys
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
        await until(controls.stopped.is_set)
        await until(lambda: app.return_code is not None or not app.is_running)
    assert controls.calls == ["stop"]


async def test_quit_waits_for_no_job_however_many_hang():
    controls = scenes.FakeControls()
    hangs = threading.Event()
    controls.archive.search = controls.archive.lookup = lambda *_: hangs.wait(120)
    app = app_with(controls)
    began = time.monotonic()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("slash", "enter", "escape")
        for _ in range(40):
            app._posts.open(app.feed.ring.shown[-1])
        assert app.jobs.busy
        app.do_quit()
        await until(controls.stopped.is_set)
        await until(lambda: not app.is_running)
    assert time.monotonic() - began < 50
    hangs.set()


async def test_the_end_of_a_limited_run_leaves_by_itself():
    controls = scenes.FakeControls()
    finished = threading.Event()
    app = app_with(controls, finished=finished.is_set)
    async with app.run_test(size=(80, 24)):
        finished.set()
        await until(controls.stopped.is_set)


async def test_a_capture_that_an_error_ended_stays_on_the_screen_with_the_reason():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        controls.moment = scenes.STOPPED
        await until(lambda: "STOPPED: X refused the token" in screen_text(app))
        await pilot.pause(1.0)
        assert app.is_running
        assert controls.calls == []


async def test_the_row_that_one_reads_never_moves_also_when_the_ring_wraps():
    controls = scenes.FakeControls()
    app = Dashboard(controls, Settings(ui=UiSettings(feed_size=100)))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("up", "up", "up")
        reading = app.feed.current()
        shown = [app.feed.render_line(y).text for y in range(app.feed.size.height)]
        for start in range(201, 900, 100):
            controls.say(*scenes.rows(start, start + 99))
            await until(lambda last=start + 99: app._seq >= last)
        assert app.feed.current() is reading
        assert [app.feed.render_line(y).text for y in range(app.feed.size.height)] == shown
        assert app.feed.ring.waiting > 100


async def test_a_wheel_up_freezes_and_a_click_opens_a_row():
    app = app_with()
    async with app.run_test(size=(120, 30)) as pilot:
        await until(lambda: len(app.feed.ring.shown) > 30)
        app.feed._on_mouse_scroll_up(_wheel(app))
        await until(lambda: app.feed.ring.frozen)
        await pilot.click("#feed", offset=(30, 3))
        await until(lambda: len(app.screen_stack) == 2)


def _wheel(app):
    from textual.events import MouseScrollUp

    return MouseScrollUp(app.feed, 5, 5, 0, -1, 0, False, False, False)


@does("step", "rewind", "forward", "slower", "faster")
async def test_a_replay_is_moved_by_its_keys():
    replay = scenes.FakeReplay()
    app = app_with(replay)
    async with app.run_test(size=(120, 40)) as pilot:
        for action, told in (
            ("step", "step"),
            ("rewind", "seek -60"),
            ("forward", "seek +60"),
            ("slower", "speed -1"),
            ("faster", "speed +1"),
        ):
            await pilot.press(key_of(action))
            await until(lambda told=told: replay.calls == [told])
            replay.calls.clear()


async def test_a_replay_that_goes_back_empties_the_feed():
    replay = scenes.FakeReplay()
    app = app_with(replay)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("freeze"))
        first = scenes.rows(1, 8)
        replay.posts = list(first)
        replay.moment = replace(replay.moment, epoch=1, last_seq=8)
        await until(lambda: app.feed.ring.held == 8)
        assert not app.feed.ring.frozen
        assert {row.seq for row in app.feed.ring.shown} <= set(range(1, 9))


async def test_without_a_replay_its_actions_are_neither_offered_nor_done():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(key_of("step"), key_of("rewind"))
        assert app._controls.calls == []
        await pilot.press(key_of("help"))
        await pilot.pause()
        assert "minute of the recording" not in app.export_screenshot().replace("&#160;", " ")


async def open_window(app, pilot):
    await until(lambda: app.feed.ring.shown)
    await pilot.press(key_of("window"))
    await until(lambda: app.place is Place.WINDOW and "LAST 60 MIN" in screen_text(app))


@does("window", "next_list", "previous_list")
@pytest.mark.parametrize("size", [(60, 15), (80, 24), (200, 50)])
async def test_the_window_shows_its_lists_goes_through_them_and_remembers_which(tmp_path, size):
    app = app_with(folder=tmp_path)
    async with app.run_test(size=size) as pilot:
        await open_window(app, pilot)
        await until(lambda: "▶#music" in screen_text(app))
        await pilot.press("down")
        assert "▶#justinbieber" in screen_text(app)
        await pilot.press(key_of("next_list"))
        await until(lambda: "▶@melody_k" in screen_text(app))
        await pilot.press(key_of("previous_list"), key_of("previous_list"))
        await until(lambda: "▶video" in screen_text(app))  # around the end
        await pilot.press("end")
        assert "▶paris" in screen_text(app)
        await pilot.press("home", key_of("close"))
        assert app.place is Place.DASHBOARD
        await until(lambda: load(tmp_path)[0].list == "words")
        await pilot.press(key_of("command"), *"window authors", "enter")
        await until(lambda: "▶@melody_k" in screen_text(app))


async def test_the_window_is_live_and_its_cursor_stays_on_its_name():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_window(app, pilot)
        await pilot.press("down")
        tops = (replace(scenes.WINDOW.tops[0], names=(("#new", 9_999), *scenes.WINDOW.tops[0].names)),)
        window = replace(scenes.WINDOW, posts=99_123, tops=tops + scenes.WINDOW.tops[1:])
        controls.moment = replace(controls.moment, window=window)
        await until(lambda: "99,123" in screen_text(app))
        assert "#new" in screen_text(app)
        assert "▶#justinbieber" in screen_text(app)


@does("only")
async def test_a_name_of_the_window_opens_the_feed_with_only_its_posts():
    controls = scenes.FakeControls()
    controls.moment = replace(scenes.LIVE, window=replace(scenes.WINDOW, start=scenes.row(1).received_at))
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_window(app, pilot)
        await pilot.press(key_of("next_list"), "down", key_of("only"))
        await until(lambda: app.feed.ring.wanted == Wanted("from:pop_daily", Mode.QUERY))
        assert app.place is Place.DASHBOARD
        assert {row.post.author.username for row in app.feed.shown} == {"pop_daily"}
        assert app.feed.stored is None and not app.feed.ring.frozen  # memory reaches back over the hour
        assert app.stream.reading is Mode.TEXT  # what the user chose for what he types
        await pilot.press(key_of("clear"))
        await until(lambda: not app.feed.ring.wanted)
        await pilot.press(key_of("filter"), *"tour")
        await until(lambda: app.feed.ring.wanted == Wanted("tour", Mode.TEXT))


async def test_what_memory_does_not_hold_of_the_hour_is_searched_in_the_store():
    """After a restart the window is as it was, and memory is empty: the name must not open an empty feed."""
    controls = scenes.FakeControls(replace(scenes.LIVE, rows=()))
    controls.archive = scenes.FakeArchive(scenes.rows(1, 500))
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(key_of("command"), *"only authors @noor", "enter")
        await until(lambda: app.feed.stored is not None and not app.feed.stored.searching)
        wanted = [row.post.id for row in scenes.rows(1, 500) if row.post.author.username == "noor"]
        found = [row.post.id for row in app.feed.shown]
        assert found and set(found) <= set(wanted)
        await pilot.press(key_of("clear"))
        assert app.feed.stored is None


async def test_names_are_clicked_in_the_window_and_in_the_right_column():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)

        async def click(words):
            lines = screen_text(app).split("\n")
            y = next(y for y, line in enumerate(lines) if words in line)
            await pilot.click(offset=(cell_len(lines[y][: lines[y].index(words)]) + 1, y))

        await click("#justinbieber 640")
        await until(lambda: app.feed.ring.wanted.text == "#justinbieber")
        await pilot.press(key_of("clear"), key_of("clear"))
        await open_window(app, pilot)
        await click("WORDS")
        await until(lambda: "▶video" in screen_text(app))
        await click(" 24 h ")
        await until(lambda: app.view.memory.period == 2)
        await click("@r4dio")
        await until(lambda: app.feed.ring.wanted.text == "from:r4dio")
        assert app.place is Place.DASHBOARD


async def test_a_name_that_is_written_like_an_action_only_filters():
    hostile = "'),app.do('quit"
    tops = (replace(scenes.WINDOW.tops[0], names=((f"#{hostile}", 3),)),)
    controls = scenes.FakeControls(replace(scenes.LIVE, window=replace(scenes.WINDOW, tops=tops)))
    app = app_with(controls)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_window(app, pilot)
        lines = screen_text(app).split("\n")
        y = next(y for y, line in enumerate(lines) if "app.do" in line)
        await pilot.click(offset=(10, y))
        await until(lambda: app.feed.ring.wanted.text == f"#{hostile}")
        assert app.is_running and controls.calls == []


@does("period")
async def test_period_changes_every_plot_and_is_remembered(tmp_path):
    app = app_with(folder=tmp_path)
    async with app.run_test(size=(200, 60)) as pilot:
        await until(lambda: "5 min, up to" in screen_text(app))
        await pilot.press(key_of("period"))
        await until(lambda: "60 min, up to" in screen_text(app))
        await pilot.press(key_of("period"))
        await until(lambda: "24 h, up to" in screen_text(app))
        await until(lambda: load(tmp_path)[0].period == 2)
        await pilot.press(key_of("command"), *"period 5 min", "enter")
        await until(lambda: "5 min, up to" in screen_text(app))


@does("counters")
@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 40)])
async def test_counters_are_those_of_the_run_or_of_the_life_and_that_is_remembered(tmp_path, size):
    app = app_with(folder=tmp_path)
    async with app.run_test(size=size) as pilot:
        await until(lambda: "12,480" in screen_text(app))
        assert "LIFE" not in screen_text(app)
        await pilot.press(key_of("counters"))
        await until(lambda: "1,204,551" in screen_text(app))
        assert "LIFE" in screen_text(app) or screen_text(app).index(" life ") < screen_text(app).index(" run ")
        await until(lambda: load(tmp_path)[0].life)
        await pilot.press(key_of("counters"))
        await until(lambda: not load(tmp_path)[0].life)


@does("health")
async def test_health_counts_the_wait_down_with_its_reason_and_says_what_to_do():
    controls = scenes.FakeControls(scenes.WAITING)
    app = app_with(controls)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("health"))
        await until(lambda: "tried again by itself in 12 s" in screen_text(app))
        assert "X 503 Service Unavailable" in screen_text(app)
        controls.moment = replace(scenes.WAITING, at=scenes.WAITING.at + 5)
        await until(lambda: "tried again by itself in 7 s" in screen_text(app))
        controls.moment = scenes.STOPPED
        await until(lambda: "Set BIEBER_TUI_X__BEARER_TOKEN" in screen_text(app))
        controls.moment = scenes.LIVE
        await until(lambda: "all is well" in screen_text(app))
        await pilot.press(key_of("close"))
        assert app.place is Place.DASHBOARD


@does("gaps")
async def test_gaps_are_listed_with_their_length_reason_and_what_became_of_them():
    controls = scenes.FakeControls(scenes.WAITING)
    app = app_with(controls)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("gaps"))
        await until(lambda: "3 gaps" in screen_text(app))
        for words in ("8.0 s   still open", "17 s   filled", "15 m 00 s   a pause", "X 503", "312 posts fetched"):
            assert words in screen_text(app), words
        controls.moment = replace(scenes.WAITING, at=scenes.WAITING.at + 5)
        await until(lambda: "13 s   still open" in screen_text(app))
        controls.moment = scenes.EMPTY
        await until(lambda: "No gaps" in screen_text(app))


OPENED = {
    Place.DASHBOARD: (),
    Place.FILTER: ("slash",),
    Place.POST: ("up", "enter"),
    Place.SHEET: ("l",),
    Place.WINDOW: ("w",),
    Place.QUERY: ("k",),
    Place.COMMAND: ("colon",),
    Place.OTHER: ("ctrl+p",),
}


@pytest.mark.parametrize("keymap", SETS)
@pytest.mark.parametrize("place", Place)
async def test_every_key_of_the_table_does_its_action_and_only_that_in_its_place(place, keymap):
    app = Dashboard(scenes.FakeReplay(), Settings(ui=UiSettings(keymap=keymap)))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        for action in {
            "slash": "filter",
            "l": "log",
            "w": "window",
            "k": "keywords",
            "colon": "command",
            "ctrl+p": "palette",
        }.items():
            if OPENED[place] == (action[0],):
                app.do(action[1])
        if place is Place.POST:
            app.do("open")
        await until(lambda: app.place is place)
        await pilot.pause()
        called: list[str] = []
        app.do = lambda action, argument="": called.append(action)
        for action in ACTIONS:
            for key in app.keys.of(action.id) if place in action.places else ():
                if isinstance(app.focused, Input) and key_to_character(key) is not None:
                    continue  # it is typed
                called.clear()
                await pilot.press(key)
                await until(lambda: called)
                assert called == [action.id], key


def test_no_action_is_forgotten():
    """A new action of the table needs a test of what it does: mark it with @does."""
    assert {action.id for action in ACTIONS} == TESTED
