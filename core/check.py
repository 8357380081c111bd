"""`bieber-tui check`: is everything set up? One line a thing, each with what to do. Changes and bills nothing.

Asks only what is free: the token, X's rule list, the store's greeting, the disk, the terminal. A thing that cannot
be told (the store is down just now) is a warning; a thing that would stop a capture is a failure.
"""

from __future__ import annotations

import locale
import os
import shutil
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TextIO

from core import sinks, sources
from core.errors import AlreadyOwned, BieberTuiError, JournalError, Unavailable
from core.journal import FILE_NAME, Journal
from core.owner import Owner
from core.plain import one_line
from core.private import exposed
from core.query import parse_keywords, parse_topic
from core.settings import Settings

ROOMY = 1_000_000_000  # bytes free below which a long capture is warned
SMALLEST = (60, 15)  # columns and lines that the dashboard needs


class Mark(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


class Finding(NamedTuple):
    """One line: what was looked at, how it is, and what to do if it is not well."""

    mark: Mark
    thing: str
    words: str
    hint: str = ""
    exit_code: int = 0


def run(settings: Settings, out: TextIO) -> int:
    """Write a line for each thing; returns the exit code of the first failure, or 0."""
    code = 0
    for finding in findings(settings):
        out.write(f"{finding.mark.value:<8} {finding.thing:<12} {one_line(finding.words)}\n")
        if finding.hint:
            out.write("".join(f"{'':<22}{one_line(line)}\n" for line in finding.hint.splitlines()))
        out.flush()
        code = code or (finding.exit_code if finding.mark is Mark.FAILED else 0)
    return code


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after the other."""
    for look in (_query, _source, _data_dir, _disk, _store, _terminal):
        yield from _caught(look, settings)


def _caught(look: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    thing = look.__name__.strip("_").replace("_", " ")
    try:
        yield from look(settings)
    except Unavailable as error:
        yield Finding(Mark.WARNING, thing, str(error), "A capture would wait for it and try again by itself.")
    except BieberTuiError as error:
        first, _, rest = str(error).partition("\n")
        yield Finding(Mark.FAILED, thing, first, rest, error.exit_code)


def _query(settings: Settings) -> Iterator[Finding]:
    keywords = parse_keywords(settings.keywords)
    topic = parse_topic(settings.topic)
    yield Finding(Mark.OK, "query", f"{keywords.text}  →  {topic.text}")


def _source(settings: Settings) -> Iterator[Finding]:
    source = sources.create(settings.source, settings, parse_keywords(settings.keywords).text)
    for words in source.probe():
        yield Finding(Mark.OK, "source", words)


def _data_dir(settings: Settings) -> Iterator[Finding]:
    if not (settings.data_dir / FILE_NAME).exists():
        place = _existing(settings.data_dir)
        if not os.access(place, os.W_OK | os.X_OK):
            raise JournalError(f"{place} cannot be written", "Make it writable, or name a folder with --data-dir.")
        yield Finding(Mark.OK, "data dir", f"{settings.data_dir} will be made by the first capture")
        return
    if open_to_others := exposed(settings.data_dir):
        yield Finding(Mark.WARNING, "data dir", open_to_others)
    try:
        owner = Owner(settings.data_dir)
    except AlreadyOwned as error:
        yield Finding(Mark.WARNING, "data dir", error.message, error.hint)
        return
    with owner, Journal(settings.data_dir) as journal:
        life = journal.tallies().values()
        posts = sum(tally.inserted for tally in life)
        yield Finding(Mark.OK, "data dir", f"{settings.data_dir}: {posts:,} posts, {journal.gap_count():,} gaps")


def _disk(settings: Settings) -> Iterator[Finding]:
    free = shutil.disk_usage(_existing(settings.data_dir)).free
    words = f"{free / 1e9:,.1f} GB free for {settings.data_dir}"
    if free < ROOMY:
        yield Finding(Mark.WARNING, "disk", words, "A post takes about 5 kB: make room before a long capture.")
    else:
        yield Finding(Mark.OK, "disk", words)


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _store(settings: Settings) -> Iterator[Finding]:
    if settings.store is None:
        yield Finding(
            Mark.OK,
            "store",
            "the journal alone",
            "For MongoDB: --store mongodb://HOST/DATABASE or BIEBER_TUI_STORE",
        )
        return
    sink = sinks.open_sink(settings.store.get_secret_value(), settings)
    try:
        sink.open()
    finally:
        sink.close()
    yield Finding(
        Mark.OK, "store", f"{sink.name} at {sink.target} takes our login; collection and indexes are there"
    )


def _terminal(_: Settings) -> Iterator[Finding]:
    if not os.isatty(0) or not os.isatty(1):
        yield Finding(Mark.WARNING, "terminal", "this is none", "The dashboard needs one; --no-ui does not.")
        return
    columns, lines = shutil.get_terminal_size()
    words = f"{columns}x{lines}, TERM={os.environ.get('TERM', '')}, {locale.getpreferredencoding()}"
    if columns < SMALLEST[0] or lines < SMALLEST[1]:
        yield Finding(Mark.WARNING, "terminal", words, f"Make it {SMALLEST[0]}x{SMALLEST[1]} or larger.")
    elif locale.getpreferredencoding().lower().replace("-", "") != "utf8":
        yield Finding(Mark.WARNING, "terminal", words, "Set a UTF-8 locale, for example LANG=C.UTF-8, for emoji.")
    else:
        yield Finding(Mark.OK, "terminal", words)
