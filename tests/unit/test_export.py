"""Exported posts are exact, private, whole or not there, and no formula in a spreadsheet."""

from __future__ import annotations

import csv
import json
import stat
from datetime import UTC, datetime

import pytest

from core.address import address
from core.errors import JournalError
from core.export import export
from core.post import Author, Post, Ref
from core.snapshot import FeedRow, Verdict

AT = datetime(2026, 11, 24, 12, 41, 9, tzinfo=UTC).timestamp()


def row(text: str, number: int = 1, **fields) -> FeedRow:
    post = Post(
        source="x", id=str(number), text=text, created_at=datetime(2026, 11, 24, 12, 41, 8, tzinfo=UTC),
        author=Author("7", "ana", "Ana, »A«"), lang="es", tags=("music", "jb"), metrics={"like_count": 3},
        refs=(Ref("quoted", "41"),), **fields,
    )  # fmt: skip
    return FeedRow(number, post, Verdict.MATCHED, ("music",), AT)


def test_both_files_hold_every_post_and_nobody_else_may_read_them(tmp_path):
    texts = ['say "hi",\nhe said 🎵', "=HYPERLINK(0)", "@ana: -1", "plain"]
    done = export(
        [row(text, number) for number, text in enumerate(texts, 1)], tmp_path / "exports", AT, "Müsic / OR"
    )
    assert done.posts == 4
    assert done.jsonl.name == "2026-11-24T124109Z-m-sic-or.jsonl"
    objects = [json.loads(line) for line in done.jsonl.read_text(encoding="utf-8").splitlines()]
    assert [item["text"] for item in objects] == texts
    assert objects[0]["author"] == {"id": "7", "username": "ana", "name": "Ana, »A«"}
    assert objects[0]["url"] == "https://x.com/ana/status/1"
    with done.csv.open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert [cell["text"] for cell in cells] == [texts[0], "'=HYPERLINK(0)", "'@ana: -1", "plain"]
    assert (
        cells[0]["tags"] == "music jb"
        and cells[0]["refs"] == "quoted:41"
        and cells[0]["metrics"] == "like_count=3"
    )
    for path in (done.jsonl, done.csv):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(done.csv.parent.stat().st_mode) == 0o700


def test_a_second_export_in_the_same_second_has_names_of_its_own(tmp_path):
    names = {export([row("a")], tmp_path, AT, "").jsonl.name for _ in range(3)}
    assert len(names) == 3


def test_one_that_fails_leaves_nothing_behind(tmp_path):
    def rows():
        yield row("a")
        raise JournalError("gone")

    with pytest.raises(JournalError):
        export(rows(), tmp_path, AT, "x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path):
    (tmp_path / "exports").write_text("a file")
    with pytest.raises(JournalError, match="exports"):
        export([row("a")], tmp_path / "exports", AT, "x")


@pytest.mark.parametrize(
    ("id_", "username", "source", "link"),
    [
        ("20", "jack", "x", "https://x.com/jack/status/20"),
        ("20", "", "x", "https://x.com/i/status/20"),
        ("20", "evil/../..?", "x", "https://x.com/i/status/20"),
        ("20", "jack\n", "x", "https://x.com/i/status/20"),
        ("20/../..", "jack", "x", ""),
        ("20", "jack", "elsewhere", ""),
    ],
)
def test_a_posts_address_is_ours(id_, username, source, link):
    assert address(Post(source=source, id=id_, text="", author=Author(username=username))) == link
