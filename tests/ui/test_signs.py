"""Vowel signs of Indic scripts are shown as they are where the terminal agrees on their width, and move no column."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import unicodedata
import uuid

import pytest

from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.ui.terminal import Terminal
from tests.ui.test_hostile_terminal import command, drove_nothing, leave
from tui.signs import PROBE, is_spacing, spacing_signs

WORDS = "music हिन्दी को தமிழ் বাংলা മലയാളം"
AS_THEY_ARE, AS_LETTERS = "தமிழ்", "தமஇழ்"
CELLS = {0: 5, 1: 8}  # of PROBE, by what a terminal counts for a spacing sign


def test_the_probe_is_as_long_as_it_is_said_here():
    kinds = [unicodedata.category(char) for char in PROBE]
    assert len(kinds) - kinds.count("Mn") == CELLS[1]
    assert CELLS[1] - kinds.count("Mc") == CELLS[0]


def test_no_sign_is_overlooked():
    everywhere = map(chr, range(sys.maxunicode + 1))
    assert spacing_signs() == {char for char in everywhere if is_spacing(char)}


@pytest.mark.parametrize(
    ("column", "shown"),
    [(1 + CELLS[1], AS_THEY_ARE), (1 + CELLS[0], AS_THEY_ARE), (5, AS_LETTERS), (None, AS_LETTERS)],
    ids=["one cell a sign", "no cell a sign", "some third way", "no answer"],
)
def test_signs_are_shown_as_the_terminal_draws_them(tmp_path, column, shown):
    with Simulator(SimulatorOptions(posts=0)) as sim:
        sim.push({"data": {"id": "1", "text": WORDS}})
        with Terminal(*command(sim.url, sim.options.tokens[0], tmp_path), column=column) as terminal:
            terminal.wait_for(shown, seconds=100)
            leave(terminal)
        written = bytes(terminal.written)
    drove_nothing(written)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_no_column_moves_in_tmux(tmp_path):
    """The edge of the right column stands in one column of tmux's grid, whatever scripts are left of it."""
    socket = f"bieber-tui-{uuid.uuid4().hex[:8]}"

    def tmux(*words: str) -> str:
        return subprocess.run(
            ["tmux", "-L", socket, "-f", "/dev/null", *words], capture_output=True, text=True
        ).stdout

    with Simulator(SimulatorOptions(posts=0)) as sim:
        for number, text in enumerate(
            [WORDS, f"music {WORDS} {WORDS}", "music 中文 🎵 עברית", "music e\u0301\u0316", "music"]
        ):
            sim.push({"data": {"id": str(number), "text": text}})
        words, environment = command(sim.url, sim.options.tokens[0], tmp_path)
        given = [f"{name}={environment[name]}" for name in ("BIEBER_TUI_X__BEARER_TOKEN", "TEXTUAL_ANIMATIONS")]
        try:
            subprocess.run(
                ["tmux", "-L", socket, "-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "30", "env", *given, *words],
                env={**environment, "LC_ALL": "C.UTF-8"}, check=True,
            )  # fmt: skip
            wait_until(lambda: AS_THEY_ARE in tmux("capture-pane", "-p"))
            time.sleep(0.5)
            pane = tmux("capture-pane", "-p")
            lines = [line for line in pane.splitlines() if "│" in line]
        finally:
            tmux("kill-server")
    assert len(lines) > 10, pane
    assert {cells_in_tmux(line.partition("│")[0]) for line in lines} == {81 - 1}, lines


def cells_in_tmux(text: str) -> int:
    """As tmux 3.3a counts: signs are one, other marks none, what is wide two."""
    return sum(
        0 if unicodedata.category(char) == "Mn" else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def test_rich_counts_one_cell_for_exactly_the_spacing_signs():
    code = (
        "import unicodedata; from rich.cells import get_character_cell_size as size, cell_len\n"
        "from tui.signs import count_one_cell, spacing_signs\n"
        "every = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]\n"
        "before = {char: size(char) for char in every}\n"
        "assert cell_len('को') == 1\n"
        "assert count_one_cell() and count_one_cell()\n"
        "changed = {char for char in every if size(char) != before[char]}\n"
        "assert changed == {char for char in spacing_signs() if before[char] == 0}, changed\n"
        "assert {size(char) for char in spacing_signs()} == {1}\n"
        "assert cell_len('को') == 2\n"
        "assert len(changed) > 300 and {unicodedata.category(char) for char in changed} == {'Mc'}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
