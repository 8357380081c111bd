"""One post, whole: text, author, why it is here, numbers, links, times, the posts it refers to, and the raw line.

What the feed does not know (the raw line, the posts that it answers or quotes) is looked up in a thread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from core.archive import Record
from core.errors import BieberTuiError, Unavailable
from core.snapshot import FeedRow, Verdict
from tui.actions import Place
from tui.controls import Archive
from tui.dialogs.sheet import Sheet
from tui.feed import Feed
from tui.ink import Line, Span, clip, wrap
from tui.jobs import Jobs
from tui.keymap import Keys
from tui.row import STAR, Finder, author_name, marked
from tui.sanitise import clean, clean_lines
from tui.words import count, moment, plural, span

_VERDICTS = {
    Verdict.MATCHED: ("●", "matched, and new", "ok"),
    Verdict.DUPLICATE: ("=", "duplicate: about the topic, already in the journal", "dim"),
    Verdict.FILTERED: ("·", "filtered out: not about the topic", "dim"),
}
_REFS = {"retweeted": "retweet of", "quoted": "quotes", "replied_to": "answers"}
LABEL = 12
MOST_RAW = 2000  # lines of the unfolded raw line


class Looked(msgspec.Struct, frozen=True):
    """What was looked up of a post. `record` None: it is not stored. `refs`: those that it refers to, by id."""

    record: Record | None = None
    refs: Mapping[str, FeedRow] = {}
    problem: str = ""


def draw_post(
    row: FeedRow,
    width: int,
    terms: Finder | None = None,
    hits: Finder | None = None,
    *,
    looked: Looked | None = None,
    starred: bool = False,
    unfolded: bool = False,
    brief: bool = False,
    keys: Keys | None = None,
) -> list[Line]:
    """Everything that is known of a post, in lines of `width` cells.

    `looked` None: it is still being looked up. `brief` leaves out what must be looked up.
    """
    post, author = row.post, row.post.author
    name, username = clean(author.name), clean(author.username)
    head: list[Span] = [(name or f"@{username}" if name or username else "unknown author", "strong")]
    if name and username:
        head.append((f"  @{username}", "author"))
    if starred:
        head.append((f"  {STAR}", "accent"))
    lines: list[Line] = [tuple(head), ()]
    found = terms if row.verdict is not Verdict.FILTERED else None
    for paragraph in clean_lines(post.text):
        lines += [tuple(marked(text, found, hits, "text")) for text in wrap(paragraph, width)]
    lines.append(())
    if post.quoted_text:
        lines += [(("│ ", "faint"), (text, "dim")) for text in wrap(clean(post.quoted_text), width - 2)]
        lines.append(())
    lines += _why(row, found, looked, width)
    lines += _times(row, width)
    if any(post.metrics.values()):
        lines += _field("metrics", ((_metrics(post.metrics), "text"),), width)
    for label, values in (
        ("tags", [f"#{tag}" for tag in post.tags]),
        ("mentions", [f"@{mention}" for mention in post.mentions]),
    ):
        if values:
            lines += _field(label, ((clean("  ".join(values)), "text"),), width)
    for number, link in enumerate(post.links):
        lines += _field("links" if number == 0 else "", ((clean(link), "text"),), width)
    lines += _refs(row, looked, width, keys)
    if post.edit_of:
        lines += _field("edit of", ((clean(post.edit_of), "text"),), width)
    if post.lang:
        lines += _field("language", ((clean(post.lang), "text"),), width)
    lines += _field("id", ((clean(post.key), "text"),), width)
    return lines if brief else [*lines, *_raw(looked, unfolded, width, keys)]


def _why(row: FeedRow, terms: Finder | None, looked: Looked | None, width: int) -> list[Line]:
    """What the capture made of it: the verdict, the terms, the words that they found, the source's rule."""
    mark, words, ink = _VERDICTS[row.verdict]
    verdict: list[Span] = [(f"{mark} ", ink), (words, "text")]
    if row.matched:
        verdict += [("  by ", "dim"), (", ".join(clean(term) for term in row.matched), "match")]
    lines = _field("verdict", tuple(verdict), width)
    if terms is not None:
        text = clean(row.post.text)
        tokens = dict.fromkeys(text[start:end] for start, end in terms(text))
        if tokens:
            lines += _field("tokens", (("  ".join(tokens), "match"),), width)
    for rule in _rules(looked.record.raw) if looked and looked.record else ():
        lines += _field("rule", ((clean(rule), "text"),), width)
    return lines


def _times(row: FeedRow, width: int) -> list[Line]:
    """When it was written, when it came, and how much later that was."""
    lines: list[Line] = []
    at = row.post.created_at.timestamp() if row.post.created_at else None
    if at is not None:
        lines += _field("created", ((moment(at), "text"),), width)
    late = f"  {span(row.received_at - at)} later" if at is not None and row.received_at >= at else ""
    filled = "  fetched afterwards, to fill a gap" if row.backfilled else ""
    return lines + _field("received", ((moment(row.received_at), "text"), (late + filled, "dim")), width)


def _refs(row: FeedRow, looked: Looked | None, width: int, keys: Keys | None) -> list[Line]:
    """The posts that it refers to: their words where they were captured, else their ids."""
    lines: list[Line] = []
    for ref in row.post.refs:
        other = looked.refs.get(ref.id) if looked else None
        value: list[Span] = [(clean(ref.id), "text")]
        if other is not None:
            key = keys.name("thread") if keys else ""
            room = width - LABEL - len(key) - 8
            words = clip(f"{author_name(other)}  {clean(other.post.text[:300])}", room)
            value = [(words, "text"), (f"  {key}", "key@thread"), (" opens", "dim")]
        elif looked is not None:
            value.append(("  not captured", "dim"))
        lines += _field(_REFS[ref.kind], tuple(value), width)
    return lines


def _raw(looked: Looked | None, unfolded: bool, width: int, keys: Keys | None) -> list[Line]:
    """The line that the source sent: folded, or as JSON with a line a value."""
    lines: list[Line] = [()]
    if looked is None:
        return [*lines, *_field("raw", (("looking it up …", "dim"),), width)]
    if looked.record is None:
        kept = looked.problem or "not kept; journal.scope = all keeps every consumed post"
        return [*lines, *_field("raw", ((clean(kept), "bad" if looked.problem else "dim"),), width)]
    size = f"{count(len(looked.record.raw))} bytes"
    key = keys.name("raw") if keys else ""
    fold: Line = (
        (f"{'▾' if unfolded else '▸'} {size}  ", "text"),
        (key, "key@raw"),
        (" folds" if unfolded else " unfolds", "dim"),
    )
    lines += _field("raw", fold, width)
    if not unfolded:
        return lines
    for text in _pretty(looked.record.raw)[:MOST_RAW]:
        inner = text.lstrip(" ")
        indent = min(len(text) - len(inner), width // 2)
        lines += [((" " * indent + part, "dim"),) for part in wrap(clean(inner), width - indent)]
    return lines


def _pretty(raw: bytes) -> list[str]:
    try:
        return json.dumps(json.loads(raw), ensure_ascii=False, indent=2).splitlines()
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace").splitlines()


def _rules(raw: bytes) -> list[str]:
    """The rules of the source that let the post through, as X names them in its line."""
    try:
        item = json.loads(raw)
        rules = item["matching_rules"]
        return [f"{rule.get('tag') or 'without a tag'}  (at X, {rule.get('id')})" for rule in rules[:5]]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return []


def _metrics(metrics: dict[str, int]) -> str:
    """What X calls like_count and so on, as people say it: 29 likes, 1 reply. What nobody did is left out."""
    said = []
    for kind, number in metrics.items():
        if not number:
            continue
        name = clean(kind).replace("_", " ").removesuffix(" count")
        many = f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
        said.append(plural(number, name, many))
    return ", ".join(said)


def _field(label: str, value: Line, width: int) -> list[Line]:
    """A labelled value; a single text is wrapped."""
    if len(value) == 1:
        text, ink = value[0]
        texts = wrap(text, width - LABEL)
        labels = [label, *[""] * (len(texts) - 1)]
        return [((name.ljust(LABEL), "dim"), (part, ink)) for name, part in zip(labels, texts, strict=True)]
    return [((label.ljust(LABEL), "dim"), *value)]


def look_up(row: FeedRow, near: Mapping[str, FeedRow], archive: Archive) -> Looked:
    """What the feed does not know of a post; blocks on the disk. `near` are posts in memory, by key."""
    source = row.post.source
    try:
        record = archive.lookup(source, row.post.id)
        refs: dict[str, FeedRow] = {}
        for ref in row.post.refs:
            known = near.get(f"{source}:{ref.id}")
            stored = archive.lookup(source, ref.id) if known is None else None
            other = known or (stored.row if stored else None)
            if other is not None:
                refs[ref.id] = other
    except (BieberTuiError, Unavailable) as error:
        return Looked(problem=str(error).partition("\n")[0])
    return Looked(record, refs)


class PostSheet(Sheet):
    """A post in full."""

    PLACE: ClassVar[Place] = Place.POST

    def __init__(self, row: FeedRow, feed: Feed, archive: Archive, keys: Keys, jobs: Jobs) -> None:
        # What is cut off on a narrow screen comes last.
        words = [f"{keys.name('close')} close", f"{keys.name('older')} {keys.name('newer')} older, newer"]
        words += [
            f"{keys.name(action)} {label}"
            for action, label in (("star", "star"), ("copy", "copy"), ("browse", "browser"))
        ]
        super().__init__("Post", self._draw, " · ".join(words))
        self.row = row
        self._feed = feed
        self._archive = archive
        self._keys = keys
        self._jobs = jobs
        self._looked: Looked | None = None
        self._unfolded = False

    def on_mount(self) -> None:
        """Look up what the feed does not know."""
        self._look()

    def _draw(self, width: int) -> list[Line]:
        ring = self._feed.ring
        return draw_post(
            self.row,
            width,
            self._feed.terms,
            self._feed.hits,
            looked=self._looked,
            starred=self.row.post.key in ring.stars,
            unfolded=self._unfolded,
            keys=self._keys,
        )

    def _look(self) -> None:
        self._looked = None
        near = {row.post.key: row for row in self._feed.ring.newest} if self.row.post.refs else {}
        row = self.row
        self._jobs.start(lambda job: job.deliver(self._learnt, row, look_up(row, near, self._archive)), "post")

    def _learnt(self, row: FeedRow, looked: Looked) -> None:
        if row is self.row and self.is_attached:
            self._looked = looked
            self.page.turn()

    def do_older(self) -> None:
        """The post before this one."""
        self._step(-1)

    def do_newer(self) -> None:
        """The post after this one."""
        self._step(1)

    def _step(self, step: int) -> None:
        row = self._feed.neighbour(self.row, step)
        if row is not None:
            self.row = row
            self._feed.point_at(row)
            self._look()
            self.page.turn(self._draw)

    def do_thread(self) -> None:
        """Open the post that this one refers to; leaving that one comes back here."""
        others = list(self._looked.refs.values()) if self._looked else []
        if others:
            self.app.push_screen(PostSheet(others[0], self._feed, self._archive, self._keys, self._jobs))
        elif self.row.post.refs:
            self.app.notify("The post that it refers to was not captured.", markup=False, timeout=3)

    def do_raw(self) -> None:
        """Unfold the raw line, or fold it."""
        self._unfolded = not self._unfolded
        self.page.turn()
