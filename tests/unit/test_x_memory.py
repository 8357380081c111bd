"""What is left of the connect budget outlives the process, and is worth no trouble."""

from __future__ import annotations

import stat

import pytest

from core.sources.x.memory import FILE_NAME, Left, Memory

LEFT = Left("https://api.x.com", 1_800_000_000.0, 3.5, 50)


def test_what_is_kept_is_recalled_by_another_process(tmp_path):
    assert Memory(tmp_path).recall(LEFT.api) is None
    assert Memory(tmp_path).keep(LEFT) == ""
    assert Memory(tmp_path).recall(LEFT.api) == LEFT


def test_the_budget_of_one_api_is_not_that_of_another(tmp_path):
    Memory(tmp_path).keep(LEFT)
    assert Memory(tmp_path).recall("http://127.0.0.1:1") is None


def test_nobody_else_may_read_it_and_nothing_else_is_left(tmp_path):
    Memory(tmp_path).keep(LEFT)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"api":1}', b'{"api":"https://api.x.com","at":"x","tokens":1}', b"3"],
)
def test_a_damaged_file_is_no_file(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    assert Memory(tmp_path).recall(LEFT.api) is None
    assert Memory(tmp_path).keep(LEFT) == ""


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path):
    trouble = Memory(tmp_path / "nowhere").keep(LEFT)
    assert "cannot be written" in trouble
    assert "No such file" in trouble


def test_without_a_folder_nothing_is_kept():
    assert Memory(None).keep(LEFT) == ""
    assert Memory(None).recall(LEFT.api) is None
