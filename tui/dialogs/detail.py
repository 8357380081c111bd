"""One post, whole: text, author, why it is here, numbers, links, times. Left and right go to its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from core.snapshot import FeedRow, Verdict
from tui.dialogs.sheet import Sheet
from tui.ink import Line, Span, wrap
from tui.row import Finder, marked
from tui.sanitise import clean, clean_lines
from tui.words import moment, plural, span

_VERDICTS = {
    Verdict.MATCHED: ("●", "matched, and new", "ok"),
    Verdict.DUPLICATE: ("=", "duplicate: about the topic, already in the journal", "dim"),
    Verdict.FILTERED: ("·", "filtered out: not about the topic", "dim"),
}
_REFS = {"retweeted": "retweet of", "quoted": "quotes", "replied_to": "answers"}


def draw_post(row: FeedRow, width: int, terms: Finder | None = None) -> list[Line]:
    """Everything that is known of a post, in lines of `width` cells."""
    post, author = row.post, row.post.author
    name, username = clean(author.name), clean(author.username)
    head: list[Span] = [(name or f"@{username}" if name or username else "unknown author", "strong")]
    if name and username:
        head.append((f"  @{username}", "author"))
    lines: list[Line] = [tuple(head), ()]
    found = terms if row.verdict is not Verdict.FILTERED else None
    for paragraph in clean_lines(post.text):
        lines += [tuple(marked(text, found, "", "text")) for text in wrap(paragraph, width)]
    lines.append(())
    if post.quoted_text:
        lines += [(("│ ", "faint"), (text, "dim")) for text in wrap(clean(post.quoted_text), width - 2)]
        lines.append(())
    mark, words, ink = _VERDICTS[row.verdict]
    verdict: list[Span] = [(f"{mark} ", ink), (words, "text")]
    if row.matched:
        verdict += [("  by ", "dim"), (", ".join(clean(term) for term in row.matched), "match")]
    lines += _field("verdict", tuple(verdict), width)
    at = post.created_at.timestamp() if post.created_at else None
    if at is not None:
        lines += _field("created", ((moment(at), "text"),), width)
    late = f"  {span(row.received_at - at)} later" if at is not None and row.received_at >= at else ""
    filled = "  to fill a gap" if row.backfilled else ""
    lines += _field("received", ((moment(row.received_at), "text"), (late + filled, "dim")), width)
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
    for ref in post.refs:
        lines += _field(_REFS[ref.kind], ((clean(ref.id), "text"),), width)
    if post.edit_of:
        lines += _field("edit of", ((clean(post.edit_of), "text"),), width)
    if post.lang:
        lines += _field("language", ((clean(post.lang), "text"),), width)
    lines += _field("id", ((clean(post.key), "text"),), width)
    return lines


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


LABEL = 12


def _field(label: str, value: Line, width: int) -> list[Line]:
    """A labelled value; a single text is wrapped."""
    if len(value) == 1:
        text, ink = value[0]
        texts = wrap(text, width - LABEL)
        labels = [label, *[""] * (len(texts) - 1)]
        return [((name.ljust(LABEL), "dim"), (part, ink)) for name, part in zip(labels, texts, strict=True)]
    return [((label.ljust(LABEL), "dim"), *value)]


class PostSheet(Sheet):
    """A post in full. `neighbour(row, step)` gives the shown post before (-1) or after (1) it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "Previous post", show=False),
        Binding("right", "step(1)", "Next post", show=False),
    ]

    def __init__(
        self, row: FeedRow, terms: Finder | None, neighbour: Callable[[FeedRow, int], FeedRow | None]
    ) -> None:
        super().__init__("Post", lambda width: draw_post(self.row, width, terms), "← → older, newer · esc close")
        self.row = row
        self._neighbour = neighbour

    def action_step(self, step: int) -> None:
        """Show the post before or after this one."""
        row = self._neighbour(self.row, step)
        if row is not None:
            self.row = row
            self.page.scroll_to(y=0, animate=False)
            self.page.turn()
