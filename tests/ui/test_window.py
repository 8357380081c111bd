"""The last hour in plots and lists, as pure drawing: exact widths, true heights, hostile names made harmless."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.filter import compile_filter
from core.post import Author, Post
from core.snapshot import Rates, Series, Top, Window
from tests.ui.scenes import LIVE, NOW
from tui.ink import line_width
from tui.plot import PERIODS
from tui.window import draw_brief, draw_plots, draw_tops, draw_window, shown_names, wanted_of

WINDOW = Window(
    NOW - 3000,
    3600.0,
    300.0,
    812,
    (
        Top("tags", tuple((f"#tag{number}", 800 // (number + 1)) for number in range(20))),
        Top("authors", tuple((f"@author{number}", 41 - number) for number in range(20))),
        Top("links", (("https://example.org/a/very/long/link/that/does/not/fit/anywhere", 5),), exact=False),
        Top("languages", (("en", 500), ("ja", 100))),
        Top("words", tuple((f"音楽{number}\x1b[31m", 300 - number) for number in range(20))),
    ),
)
SCENE = replace(LIVE, window=WINDOW)


def post(text="a post", author="noor", **more):
    return Post(source="x", id="1", text=text, author=Author(username=author), **more)


def text(lines):
    return ["".join(part for part, _ in line) for line in lines]


@pytest.mark.parametrize("width", [40, 60, 99, 100, 118, 200])
@pytest.mark.parametrize("height", [3, 7, 8, 14, 30])
def test_plots_and_lists_fill_their_room_exactly(width, height):
    for span in range(len(PERIODS)):
        lines = draw_plots(SCENE, span, width, height)
        assert len(lines) == height
        assert {line_width(line) for line in lines} == {width}
    for kind in ("tags", "words") if height > 7 else ():
        lines = draw_tops(SCENE, kind, 3, width, height)
        assert len(lines) == height
        assert {line_width(line) for line in lines} == {width}


def test_the_cursor_is_seen_and_stays_in_view():
    for row in (0, 5, 19):
        lines = draw_tops(SCENE, "authors", row, 60, 8)
        assert [line for line in text(lines) if line.startswith(f"▶@author{row} ")]


def test_names_are_clean_and_counts_whole():
    lines = text(draw_tops(SCENE, "words", 0, 60, 10))
    assert "\x1b" not in "".join(lines)
    assert lines[2].endswith(" 300")
    assert "about" in "".join(text(draw_tops(SCENE, "links", 0, 120, 10)))


def test_an_empty_window_says_nothing_that_it_does_not_know():
    empty = replace(LIVE, window=Window(), rates=Rates())
    assert "–" in "".join(text(draw_tops(empty, "tags", 0, 60, 8)))
    lines = draw_plots(empty, 1, 60, 10)
    assert not any(block in "".join(text(lines)) for block in "▁▂▃▄▅▆▇█")


def test_the_scale_is_that_of_the_bars_and_a_spike_has_its_mark():
    series = Series(1.0, NOW - 300, (0,) * 100 + (10,) * 150 + (90,) * 50, (0,) * 100 + (1,) * 200)
    scene = replace(LIVE, rates=Rates(seconds=series, spikes=(NOW - 50,)), started_at=NOW - 200)
    lines = text(draw_plots(scene, 0, 100, 14))
    assert lines[1].endswith("up to 100")
    assert "▲ spike" in lines[7]
    first = next(place for place, char in enumerate(lines[6]) if char not in " ▁")
    assert first >= 30  # before the run nothing is claimed
    assert lines[6][:first].strip() == ""
    high = lines[2].index(next(char for char in lines[2] if char != " "))
    assert high - lines[7].rindex("▲") in (0, 1)  # it may begin within a bar


def test_every_size_of_the_window_is_filled_exactly():
    for width, height in ((58, 11), (60, 13), (76, 20), (112, 34), (190, 46)):
        for period in range(len(PERIODS)):
            lines = draw_window(SCENE, period, "authors", 4, width, height)
            assert len(lines) == height
            assert {line_width(line) for line in lines} == {width}
            assert any("▶@author4 " in line for line in text(lines))


def test_one_plot_is_left_where_there_is_little_room_and_its_spike_is_marked_at_the_foot():
    series = Series(1.0, NOW - 300, (10,) * 250 + (90,) * 50, (1,) * 300)
    scene = replace(SCENE, rates=Rates(seconds=series, spikes=(NOW - 50,)), started_at=NOW - 1000)
    lines = text(draw_plots(scene, 0, 60, 4))
    assert "up to 100" in lines[0] and "5 min" in lines[0]
    assert lines[-1].count("▲") == 1
    assert abs(lines[-1].index("▲") - 50) <= 1


def test_the_commonest_names_stand_on_one_line_and_none_is_cut():
    line = draw_brief(WINDOW, "tags", 36)
    assert "".join(part for part, _ in line) == "#tag0 800  #tag1 400  #tag2 266"
    assert ("#tag1", "text@only tags #tag1") in line
    assert draw_brief(WINDOW, "links", 36) == ()


@pytest.mark.parametrize(
    ("kind", "name", "shown", "hidden"),
    [
        ("tags", "#music", post(tags=("Music",)), post(text="#musical", tags=("musical",))),
        ("authors", "@ana", post(author="Ana"), post(author="ana2", text="@ana said so")),
        (
            "links",
            "https://e.org/tour?a=1&b=2",
            post(links=("https://e.org/tour?a=1&b=2",)),
            post(text="e.org/tour"),
        ),
        ("languages", "es", post(lang="es"), post(text="lang:es", lang="en")),
        ("words", "été", post(text="l'été est là"), post(text="étéx")),
        ("tags", "#a OR lang:en", post(text="#a OR lang:en"), post(text="#a", tags=("a",), lang="en")),
        ("authors", "@weird name(", post(author="weird name("), post(text="weird name")),
    ],
)
def test_each_name_opens_only_its_own_posts_and_none_becomes_a_query_of_its_own(kind, name, shown, hidden):
    found = compile_filter(wanted_of(kind, name))
    assert found.matches(shown)
    assert not found.matches(hidden)


@pytest.mark.parametrize("width", [40, 58, 60, 77, 190, 196])
def test_a_plot_of_which_all_is_known_fills_its_width(width):
    for period in range(len(PERIODS)):
        last = text(draw_plots(SCENE, period, width, 14))[-1]
        assert last.lstrip(" ") and len(last) - len(last.lstrip(" ")) <= width // 20, (period, last)


def test_names_are_those_of_their_kind():
    assert shown_names(WINDOW, "languages") == (("en", 500), ("ja", 100))
    assert shown_names(Window(), "tags") == ()
