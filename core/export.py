"""Posts as files: JSON lines, exact, and CSV for spreadsheets, both readable by nobody but their owner.

A JSON line has the fields of a stored document (docs/pipeline.md), times in ISO 8601 UTC. The CSV has one column a
field, lists joined by spaces; a cell that a spreadsheet would take for a formula begins with an apostrophe. Files
appear whole or not at all.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import msgspec

from core.address import address
from core.clock import iso
from core.errors import JournalError
from core.private import open_private
from core.snapshot import FeedRow

COLUMNS = (
    "source", "id", "url", "created_at", "received_at", "author_id", "username", "name", "lang", "text", "tags",
    "mentions", "links", "metrics", "refs", "edit_of", "verdict", "matched", "backfilled",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Exported(msgspec.Struct, frozen=True):
    """Two files with the same posts."""

    jsonl: Path
    csv: Path
    posts: int


def export(rows: Iterable[FeedRow], folder: Path, at: float, name: str) -> Exported:
    """Write the posts into two new files in `folder`, named after the time and `name`.

    Raises JournalError when the folder cannot be written; whatever `rows` raises leaves no file behind.
    """
    stem = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H%M%SZ}-{_slug(name)}"
    number = 1
    while (folder / f"{stem}.jsonl").exists():
        number += 1
        stem = f"{stem.rpartition('~')[0] or stem}~{number}"
    jsonl, table = folder / f"{stem}.jsonl", folder / f"{stem}.csv"
    parts = [path.with_name(f".{path.name}.part") for path in (jsonl, table)]
    posts = 0
    try:
        with _text(parts[0]) as lines, _text(parts[1]) as cells:
            writer = csv.writer(cells)
            writer.writerow(COLUMNS)
            for row in rows:
                fields = document(row)
                lines.write(json.dumps(fields, ensure_ascii=False) + "\n")
                writer.writerow([_cell(fields, column) for column in COLUMNS])
                posts += 1
        for part, path in zip(parts, (jsonl, table), strict=True):
            part.replace(path)
    except OSError as error:
        raise JournalError(
            f"the posts could not be written to {folder}: {error.strerror}", "Free some space or check its rights."
        ) from error
    finally:
        for part in parts:
            with suppress(OSError):
                part.unlink()
    return Exported(jsonl, table, posts)


def document(row: FeedRow) -> dict[str, Any]:
    """A post as one JSON object."""
    post = row.post
    return {
        "source": post.source,
        "id": post.id,
        "url": address(post),
        "text": post.text,
        "created_at": _written(post.created_at),
        "received_at": iso(row.received_at),
        "author": {"id": post.author.id, "username": post.author.username, "name": post.author.name},
        "lang": post.lang,
        "tags": list(post.tags),
        "mentions": list(post.mentions),
        "links": list(post.links),
        "metrics": post.metrics,
        "refs": [{"kind": ref.kind, "id": ref.id} for ref in post.refs],
        "edit_of": post.edit_of,
        "verdict": row.verdict.value,
        "matched": list(row.matched),
        "backfilled": row.backfilled,
    }


def _written(at: datetime | None) -> str | None:
    """A moment that a source told; None for one that no calendar has in UTC."""
    with suppress(ValueError, OverflowError, OSError):
        return None if at is None else iso(at.timestamp())
    return None


def _cell(fields: dict[str, Any], column: str) -> str:
    value = fields["author"][column.removeprefix("author_")] if column in _OF_AUTHOR else fields[column]
    if isinstance(value, list):
        value = " ".join(f"{item['kind']}:{item['id']}" if isinstance(item, dict) else str(item) for item in value)
    elif isinstance(value, dict):
        value = " ".join(f"{name}={number}" for name, number in value.items())
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


_OF_AUTHOR = ("author_id", "username", "name")


def _text(path: Path) -> TextIOWrapper:
    return os.fdopen(open_private(path), "w", encoding="utf-8", newline="")


def _slug(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "posts"
