"""`bieber-tui recover`: saves what can be saved of a damaged journal, and says exactly what was saved and lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TextIO

from msgspec.structs import asdict

from core import sources
from core.clock import Clock, SystemClock, iso
from core.errors import ConfigError, Undecodable
from core.journal.recover import Recovered, recover
from core.opinion import text_hash
from core.owner import Owner
from core.plain import lines
from core.settings import Settings


def run(settings: Settings, out: TextIO, *, as_json: bool, clock: Clock | None = None) -> int:
    """Recover the journal of the settings' data folder and report on `out`; returns the exit code.

    Raises AlreadyOwned while a capture runs, and JournalError when there is nothing to recover or no room for it.
    """
    now = (clock or SystemClock()).now()
    with Owner(settings.data_dir):
        recovered = recover(settings.data_dir, _text_hash, now)
    if as_json:
        out.write(json.dumps(_as_data(recovered, now)) + "\n")
    else:
        out.writelines(lines(line) + "\n" for line in _in_words(recovered))
    return 0


def _text_hash(source: str, raw: bytes) -> int | None:
    try:
        return text_hash(sources.decoder(source)(raw).text)
    except (Undecodable, ConfigError):
        return None


def _as_data(recovered: Recovered, now: float) -> dict[str, object]:
    return {
        "at": iso(now),
        "journal": str(recovered.path),
        "whole": recovered.whole,
        "kept_aside": None if recovered.aside is None else str(recovered.aside),
        "saved": recovered.saved,
        "lost": recovered.lost,
        "lost_ids": None if recovered.lost_ids is None else str(recovered.lost_ids),
        "known_lost": recovered.known_lost,
        "quarantined": recovered.unproven,
        "damaged_pages": recovered.damaged_pages,
        "damaged_rows": recovered.damaged_rows,
        "gaps_added": recovered.gaps,
        "counters": {source: asdict(tally) for source, tally in recovered.tallies.items()},
        "notes": list(recovered.notes),
    }


def _in_words(recovered: Recovered) -> Iterator[str]:
    if recovered.whole:
        yield f"{recovered.path} is whole: every page and every checksum is right. Nothing was done."
        return
    saved = ", ".join(f"{count:,} {name}" for name, count in recovered.saved.items() if count or name == "posts")
    yield f"saved      {saved}"
    for source, count in recovered.lost.items():
        yield f"lost       {count:,} posts of {source}, taken out of the counters"
    if recovered.unproven:
        yield f"doubtful   {recovered.unproven:,} posts are not what was written: they are in quarantine"
    if recovered.lost_ids is not None:
        yield f"           {recovered.known_lost:,} ids of posts that are not here are in {recovered.lost_ids}"
    if recovered.gaps:
        yield f"gaps       {recovered.gaps:,} added, for the spans of the lost posts"
    if recovered.damaged_pages or recovered.damaged_rows:
        yield f"damage     {recovered.damaged_pages:,} pages, {recovered.damaged_rows:,} rows on other pages"
    for note in recovered.notes:
        yield f"note       {note}"
    yield f"journal    {recovered.path} is the new one"
    if recovered.aside is not None:
        yield f"           {recovered.aside} is the old one; delete it when you need it no more"
