"""What is drawn is exactly as wide as its place and holds nothing that could drive a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len, get_character_cell_size

from core.filter import Mode, Wanted, compile_filter
from core.post import Author, Post
from core.settings import Settings
from core.snapshot import FeedRow, Filling, Gap, Verdict
from tests.ui import scenes
from tui import sanitise
from tui.app import Dashboard
from tui.feed_text import draw_title
from tui.header import draw_header, draw_keys
from tui.ink import cells, known_cells, line_width
from tui.keymap import resolve
from tui.numbers import draw_numbers
from tui.ring import Ring, Show
from tui.row import draw_row
from tui.sanitise import clean, clean_lines
from tui.side import draw_side, draw_status
from tui.words import headline

KEYS = resolve()
ANYTHING = st.text(alphabet=st.characters(), max_size=80) | st.lists(
    st.sampled_from(
        ["\x1b[31m", "\x1b]52;c;aGk=\x07", "\x9b2J", "\u202e", "\u2066", "\u200b" * 50, "👩‍👩‍👧", "🇫🇷", "❤️", "👍🏽", "ﷺ",
         "e" + "\u0301" * 30, "हिन्दी", "中文", "\n", "\r", "\t", "\x00", "[bold]x[/]", "[@click=quit]", "\ud800", "שלום", "a"]
    )
).map("".join)  # fmt: skip


def row(text: str, name: str = "ana") -> FeedRow:
    return FeedRow(
        7, Post(source="x", id="1", text=text, author=Author(username=name)), Verdict.MATCHED, (), scenes.NOW
    )


def text_of(line) -> str:
    return "".join(text for text, _ in line)


@given(ANYTHING, ANYTHING, st.integers(20, 200))
def test_a_row_is_exactly_as_wide_as_the_feed_and_drives_no_terminal(text, name, width):
    line = draw_row(row(text, name), width)
    assert cell_len(text_of(line)) == line_width(line) == width
    assert not [char for char in text_of(line) if unicodedata.category(char) in ("Cc", "Cs")]
    assert not set(text_of(line)) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200d")


@given(st.text(st.sampled_from("ab 中é"), max_size=300), st.integers(40, 200))
def test_what_the_filter_found_is_always_seen(before, width):
    hits = compile_filter(Wanted("needle")).spans
    line = draw_row(row(f"{before}needle in hay"), width, hits=hits)
    assert line_width(line) == width
    assert ("needle", "hit") in line


def test_a_text_begins_at_its_start_when_what_was_found_is_seen():
    hits = compile_filter(Wanted("needle")).spans
    assert "a needle in" in text_of(draw_row(row("a needle in " + "hay " * 50), 80, hits=hits))
    assert "…hay in the needle" in text_of(draw_row(row("hay " * 50 + "in the needle"), 80, hits=hits))
    assert "  hay hay" in text_of(draw_row(row("hay " * 50 + "in the needle"), 80))


async def test_every_strip_of_the_feed_is_exactly_as_wide_as_the_widget_and_drives_no_terminal():
    app = Dashboard(scenes.FakeControls(replace(scenes.LIVE, rows=())), Settings())
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause()
        app._ticker.stop()
        feed = app.feed
        width = feed.scrollable_content_region.width
        assert width > 40

        @given(st.lists(st.tuples(ANYTHING, ANYTHING, st.sampled_from(Verdict)), min_size=1, max_size=12))
        def check(posts):
            feed.ring, feed.cursor = Ring(100), None
            feed.ring.show = Show.ALL
            feed._drawn.clear()
            feed.ring.add(
                [row(text, name).but(seq=seq, verdict=said) for seq, (text, name, said) in enumerate(posts)]
            )
            assert_sound(feed, width)
            feed.ring.freeze()  # the row under the cursor is drawn another way
            feed.cursor = 0
            assert_sound(feed, width)

        check()


def assert_sound(feed, width):
    for y in range(feed.size.height):
        strip = feed.render_line(y)
        assert strip.cell_length == cell_len(strip.text) == width
        assert not [char for char in strip.text if unicodedata.category(char) in ("Cc", "Cs")]


@given(
    st.one_of(ANYTHING, st.text(alphabet="a É…⏎\n\t\u0301\u200cम\u093fÅ中😀\u200d🏽\u1112\u1161ｶﾞ", max_size=12))
)
def test_text_that_is_clean_at_a_glance_is_what_each_character_makes_of_it(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sanitise, "_is_clean", lambda _: False)
        expected = clean(text)
        each = " ⏎ ".join(line.strip() for line in sanitise._walk(text.strip()).split("\n"))
    assert clean(text) == expected == each
    assert cells(expected) == sum(map(get_character_cell_size, expected))


def test_the_width_of_a_monster_is_not_remembered():
    known_cells.cache_clear()
    assert cells("é" * 100_000) == 100_000
    assert known_cells.cache_info().currsize == 0
    assert cells("é中") == 3
    assert known_cells.cache_info().currsize == 1


@given(ANYTHING)
def test_clean_text_has_no_control_characters_and_keeps_plain_text(text):
    assert all(unicodedata.category(char) not in ("Cc", "Cs") for char in clean(text))
    assert all("\n" not in line for line in clean_lines(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\ntwo", "one ⏎ two"),
        ("red \x1b[31m", "red ␛[31m"),
        ("[bold]not bold[/]", "[bold]not bold[/]"),
        ("evil \u202egnp.exe", "evil gnp.exe"),
        ("👩‍🎤", "👩🎤"),
        ("🇫🇷", "FR"),
        ("z" + "\u0301" * 20, "ź" + "\u0301" * 4),
    ],
)
def test_how_odd_text_is_shown(text, shown):
    assert clean(text) == shown


@pytest.mark.parametrize("state", scenes.STATES)
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_panel_fits_its_width_in_every_state(state, width):
    moment = scenes.STATES[state]
    lines = [draw_header(moment, width, False), draw_status(moment, width), draw_keys(width, KEYS)]
    lines += draw_numbers(moment, width, 8)
    lines += draw_side(moment, 41, 30)
    assert all(line_width(line) <= max(width, 41) for line in lines)


def test_numbers_are_exact_however_large():
    many = replace(scenes.LIVE.run, consumed=123_456_789, delivered=123_456_789, filtered_out=0)
    drawn = "\n".join(text_of(line) for line in draw_numbers(replace(scenes.LIVE, run=many), 120, 8))
    assert "123,456,789" in drawn


def test_what_is_not_known_is_no_zero():
    drawn = "\n".join(text_of(line) for line in draw_numbers(scenes.EMPTY, 120, 8))
    assert "0.0 %" not in drawn


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("live", "LIVE"), ("paused", "PAUSED"), ("stalled", "STALLED"), ("waiting", "WAITING"), ("stopped", "STOPPED"),
    ],
)  # fmt: skip
def test_the_state_is_always_in_words(state, words):
    assert words in text_of(draw_header(scenes.STATES[state], 120, False))


@pytest.mark.parametrize("state", scenes.STATES)
def test_the_state_is_whole_on_the_narrowest_screen(state):
    assert headline(scenes.STATES[state]).words in text_of(draw_header(scenes.STATES[state], 60))


def test_the_keys_of_an_ended_capture_do_not_offer_a_pause():
    assert "pause" in text_of(draw_keys(120, KEYS))
    assert "pause" not in text_of(draw_keys(120, KEYS, off=frozenset({"pause"})))


@pytest.mark.parametrize(
    ("filled", "filling", "words"),
    [("no", None, "not filled"), ("partly", None, "partly filled"), ("yes", None, ", filled"),
     ("partly", Filling(7, "300 posts of about 1,200"), "being filled")],
)  # fmt: skip
def test_how_a_gap_is_filled_is_said_in_words(filled, filling, words):
    gap = Gap("x", scenes.NOW - 900, scenes.NOW - 800, "X 503", filled, number=7)
    moment = replace(scenes.LIVE, gaps=(gap,), gap_count=1, filling=filling)
    drawn = "\n".join(text_of(line) for line in draw_side(moment, 60, 40))
    assert words in drawn
    assert ("300 posts of about 1,200" if filling else "X 503") in drawn


def test_the_ring_forgets_the_oldest_and_counts_what_waits():
    ring = Ring(10)
    ring.show = Show.ALL
    ring.add(scenes.rows(1, 30))
    assert [item.seq for item in ring.shown] == list(range(21, 31))
    ring.freeze()
    ring.add(scenes.rows(31, 60))
    assert [item.seq for item in ring.shown] == list(range(21, 31))
    assert ring.waiting == 30
    ring.follow()
    assert [item.seq for item in ring.shown] == list(range(51, 61))


@pytest.mark.parametrize("width", range(110, 200, 3))
@pytest.mark.parametrize("period", range(3))
def test_no_number_and_no_caption_is_cut(width, period):
    for height in (4, 6, 8):
        for line in draw_numbers(scenes.LIVE, width, height, period=period):
            assert "…" not in text_of(line)


def test_what_is_looked_for_leaves_room_for_how_much_was_found():
    ring = Ring(100)
    wanted = Wanted("from:somebody_with_a_name OR from:somebody_else", Mode.QUERY)
    ring.look_for(wanted, compile_filter(wanted), {})
    for width in range(60, 140):
        assert "0 found" in text_of(draw_title(ring, None, scenes.NOW, width, KEYS))
