"""`bieber-tui compact`: removes at once what `journal.keep` does not keep, and gives the room back to the disk."""

from __future__ import annotations

import json
from typing import TextIO

from core import sinks
from core.clock import Clock, SystemClock
from core.errors import ConfigError, JournalError
from core.journal import FILE_NAME, Journal, Retention, compact
from core.owner import Owner
from core.settings import Settings
from core.units import parse_keep, size_words
from core.upkeep import held_words


def run(
    settings: Settings,
    out: TextIO,
    *,
    drop_store: str | None = None,
    as_json: bool = False,
    clock: Clock | None = None,
) -> int:
    """Compact the journal of the settings' data folder and report on `out`; returns the exit code.

    `drop_store` names a store that is gone for good, as events and reports call it. Raises AlreadyOwned while a
    capture runs, ConfigError for a store that the journal does not know, and JournalError.
    """
    now = (clock or SystemClock()).now()
    path = settings.data_dir / FILE_NAME
    if not path.exists():
        raise JournalError(f"there is no journal in {settings.data_dir}", "Name its folder with --data-dir.")
    with Owner(settings.data_dir), Journal(settings.data_dir) as journal:
        if drop_store is not None and not journal.drop_target(drop_store):
            known = ", ".join(journal.targets()) or "none"
            raise ConfigError(f"the journal has fed no store {drop_store!r}", f"Stores that it has fed: {known}.")
        before = path.stat().st_size
        store = settings.store.get_secret_value() if settings.store else None
        targets = [sinks.open_sink(store, settings).target] if store else []
        retention = Retention(journal, parse_keep(settings.journal.keep), targets)
        posts = others = 0
        while step := retention.step(now):
            posts += step.posts
            others += step.others
        compact(journal)
        after = path.stat().st_size
    if as_json:
        report = {
            "journal": str(path),
            "removed": {"posts": posts, "others": others},
            "bytes_before": before,
            "bytes_after": after,
            "held_by": step.held_by or None,
        }
        out.write(json.dumps(report) + "\n")
        return 0
    out.write(f"removed    {posts:,} posts, {others:,} other lines (journal.keep = {settings.journal.keep})\n")
    out.write(f"journal    {path}: {size_words(before)} before, {size_words(after)} now\n")
    if step.held_by:
        out.write(f"kept       {held_words(step.held_by, step.held_at)}\n")
    return 0
