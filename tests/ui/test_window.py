"""The last hour in plots and lists, as pure drawing: exact widths, true heights, hostile names made harmless."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.snapshot import Rates, Series, Top, Window
from tests.ui.scenes import LIVE, NOW
from tui.ink import line_width
from tui.window import SPANS, draw_plots, draw_tops, filter_of, shown_names

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


def text(lines):
    return ["".join(part for part, _ in line) for line in lines]


@pytest.mark.parametrize("width", [40, 60, 99, 100, 118, 200])
@pytest.mark.parametrize("height", [8, 14, 30])
def test_plots_and_lists_fill_their_room_exactly(width, height):
    for span in range(len(SPANS)):
        lines = draw_plots(SCENE, span, width, height)
        assert len(lines) == height
        assert {line_width(line) for line in lines} == {width}
    for kind in ("tags", "words"):
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


def test_each_name_has_a_filter():
    assert filter_of("tags", "#tag1") == "#tag1"
    assert filter_of("languages", "en") == "lang:en"
    assert shown_names(WINDOW, "languages") == (("en", 500), ("ja", 100))
    assert shown_names(Window(), "tags") == ()
