"""`bieber-tui forget`: say what would go, ask, have it removed, and say what is still to come.

When no capture owns the data folder, the work is done here. When one does, the request is left in its journal, and
the capture finds it there within a second. Either way it is durable before anything else happens, and a store that
is down does its part when a capture or another `forget` reaches it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import TextIO

import msgspec

from core import sinks, sources
from core.errors import AlreadyOwned, ConfigError, StoreRefused, Unavailable
from core.forget import Chosen, erase_from_journal, erase_from_sink, sift
from core.journal import FILE_NAME, Forgetting, Journal, Subject, Visit
from core.journal.forgetting import TABLES, Kind
from core.owner import Owner
from core.privacy import open_pseudonyms
from core.pseudonyms import Pseudonyms
from core.settings import Settings, config_dir
from core.sinks.base import Sink
from core.sources.base import People

PATIENCE = 60.0  # seconds that a running capture may take until we leave it to it
_POST_IN_LINK = re.compile(r"/status(?:es)?/(\d+)")


class Plan(msgspec.Struct):
    """What a request would do."""

    authors: list[str] = []  # ids as they are stored
    posts: list[str] = []
    going: dict[str, int] = {}  # lines by table
    changing: int = 0
    stored: int | None = None  # posts in the store; None: it cannot be asked

    @property
    def subjects(self) -> list[tuple[Kind, str]]:
        """As they are asked for."""
        return [*(("author", id) for id in self.authors), *(("post", id) for id in self.posts)]


def run(
    settings: Settings,
    authors: Sequence[str],
    posts: Sequence[str],
    *,
    dry_run: bool,
    confirm: Callable[[str], bool],
    out: TextIO,
) -> int:
    """Forget; returns the exit code. `confirm` is asked once, with what is to be confirmed in words.

    Without authors and posts it only has done what was asked before. Raises ConfigError, JournalError.
    """
    path = settings.data_dir / FILE_NAME
    if not path.exists():
        raise ConfigError(f"there is no journal in {settings.data_dir}", "Name the data folder with --data-dir.")
    people = sources.people(settings.source)
    sink = sinks.open_sink(settings.store.get_secret_value(), settings) if settings.store else None
    owner: Owner | None = None
    try:
        owner = Owner(settings.data_dir)
    except AlreadyOwned:
        pass
    try:
        with Journal(settings.data_dir) if owner else Visit(settings.data_dir) as journal:
            return _forget(
                settings, journal, people, sink, authors, posts, dry_run=dry_run, confirm=confirm, out=out
            )
    finally:
        if owner is not None:
            owner.release()
        if sink is not None:
            sink.close()


def _forget(
    settings: Settings,
    journal: Journal | Visit,
    people: People,
    sink: Sink | None,
    authors: Sequence[str],
    posts: Sequence[str],
    *,
    dry_run: bool,
    confirm: Callable[[str], bool],
    out: TextIO,
) -> int:
    forgetting = Forgetting(journal)
    also = [sink.target] if sink else []
    if sink is not None:
        sink = _reached(sink, out)
    if authors or posts:
        pseudonyms = open_pseudonyms(settings.privacy, journal, config_dir(), settings.data_dir)
        plan = Plan(posts=[_post_id(given, settings.source) for given in posts])
        for given in authors:
            plan.authors += _author_ids(given, forgetting, settings.source, people, pseudonyms, out)
        _look(plan, forgetting, settings.source, people, sink)
        _tell(plan, settings, out)
        if dry_run:
            return 0
        if not confirm("Remove all of this for good, and take nothing of it again?"):
            out.write("nothing was removed\n")
            return 0
        forgetting.ask(settings.source, plan.subjects, time.time(), also)
    if isinstance(journal, Visit):
        return _wait_for_capture(forgetting, out)
    erase_from_journal(forgetting, sources.people)
    out.write("the journal has forgotten it\n")
    code = _sink_part(forgetting, journal, sink, out)
    journal.trim()
    _tell_waiting(forgetting, out)
    _tell_copies(settings, out)
    return code


def _reached(sink: Sink, out: TextIO) -> Sink | None:
    try:
        sink.open()
        return sink
    except Unavailable as error:
        out.write(f"the store cannot be reached now: {error}\n")
        return None


def _post_id(given: str, source: str) -> str:
    """An id, a key `source:id`, or a link to a post."""
    found = _POST_IN_LINK.search(given)
    return found[1] if found else given.strip().removeprefix(f"{source}:")


def _author_ids(
    given: str,
    forgetting: Forgetting,
    source: str,
    people: People,
    pseudonyms: Pseudonyms | None,
    out: TextIO,
) -> list[str]:
    """The ids of an author who is given by id or by username, as they are stored."""
    name = given.strip().removeprefix("@")
    if name.isdecimal() and not given.startswith("@"):
        return [pseudonyms("id", name) if pseudonyms else name]
    wanted = {name.casefold()} | ({pseudonyms("username", name)} if pseudonyms else set())
    found: dict[str, str] = {}
    for table in TABLES[:3]:
        for lines in forgetting.lines(table, source, [one.encode() for one in sorted(wanted)], any_case=True):
            for held in lines:
                found |= {
                    id: username
                    for id, username in people.accounts(held.raw)
                    if username.casefold() in wanted or id.casefold() in wanted
                }
    if not found:
        raise ConfigError(
            f"the journal has no post of an author named {given!r}",
            "Give the author's id instead: it is kept away from then on, be it that nothing of theirs is here.",
        )
    for id, username in sorted(found.items()):
        out.write(f"{given} is the author {id} (@{username})\n")
    return sorted(found)


def _look(plan: Plan, forgetting: Forgetting, source: str, people: People, sink: Sink | None) -> None:
    """Count what is there."""
    chosen = Chosen(Subject(0, source, kind, id, thorough=True) for kind, id in plan.subjects)
    ids = set(plan.posts)
    for table in TABLES:
        plan.going[table] = 0
        for lines in forgetting.lines(table, source, chosen.needles):
            gone, changed = sift(table, lines, chosen, people)
            plan.going[table] += len(gone)
            plan.changing += len(changed)
            ids |= {held.id for held in gone if held.id}
    if sink is not None:
        try:
            plan.stored = len({id for id, _ in sink.holds(source, plan.authors, sorted(ids))})
        except (Unavailable, StoreRefused):
            plan.stored = None


def _tell(plan: Plan, settings: Settings, out: TextIO) -> None:
    going = plan.going
    out.write(
        f"in the journal of {settings.data_dir}: {going['posts']:,} posts, {going['versions']:,} later versions,"
        f" {going['filtered']:,} posts off the topic, {going['quarantine']:,} quarantined lines;"
        f" and a part of {plan.changing:,} lines of others\n"
    )
    if settings.store is not None:
        count = "what it has of them cannot be told now" if plan.stored is None else f"{plan.stored:,} posts"
        out.write(f"in the store: {count}\n")


def _sink_part(forgetting: Forgetting, journal: Journal, sink: Sink | None, out: TextIO) -> int:
    if sink is None:
        return 0
    try:
        if erase_from_sink(forgetting, sink, journal.capture_id):
            out.write(f"{sink.name} {sink.target} has forgotten it\n")
    except Unavailable as error:
        out.write(f"{sink.name} cannot be reached: {error}\n")
    except StoreRefused as error:
        out.write(f"{sink.name} refuses: {error}\n")
        return error.exit_code
    return 0


def _wait_for_capture(forgetting: Forgetting, out: TextIO) -> int:
    out.write("a capture runs on this folder, and does it now\n")
    out.flush()
    deadline = time.monotonic() + PATIENCE
    while forgetting.asked():
        if time.monotonic() > deadline:
            out.write("it has not finished yet; the request stays, and is done when it can\n")
            return 0
        time.sleep(0.2)
    out.write("the journal has forgotten it\n")
    while forgetting.waiting_targets() and time.monotonic() < deadline - PATIENCE + 5:
        time.sleep(0.2)
    _tell_waiting(forgetting, out)
    return 0


def _tell_waiting(forgetting: Forgetting, out: TextIO) -> None:
    for target in forgetting.waiting_targets():
        out.write(
            f"still to come: {target} does it when a capture, or `bieber-tui forget` alone, reaches it with its"
            " --store\n"
        )


def _tell_copies(settings: Settings, out: TextIO) -> None:
    """A damaged journal that was put aside holds what was in it then."""
    for copy in sorted(settings.data_dir.glob("journal.*.sqlite")):
        out.write(f"not looked through: {copy} is a copy of the journal; delete it if you do not need it\n")
