"""Change keywords and topic: checked while one types, says what will change, takes effect without a restart.

While one types, the newest posts in memory are judged by the new topic in a thread, so that one sees what it would
have kept. The dialog asks nobody else; enter hands the change to X in a worker, and what X says against it is
shown here, with the old query still at work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from core.errors import BieberTuiError, QueryError, Unavailable
from core.snapshot import FeedRow, Verdict
from tui.actions import Place
from tui.dialogs.sheet import FRAME
from tui.field import Field
from tui.ink import Line, clip, fit, pad, spread, wrap
from tui.jobs import Job, Jobs
from tui.keymap import Keys
from tui.language import RULE_LENGTH, Fault, keywords_fault, topic_fault
from tui.painted import Painted
from tui.row import Finder, author_name, marked
from tui.sanitise import clean
from tui.words import count, percent

JUDGED = 1000  # newest posts that the new topic is tried on
EXAMPLES = 3

Query = tuple[str, str]  # keywords and topic


class Trial(msgspec.Struct, frozen=True):
    """What a topic would have made of the newest posts."""

    posts: int
    matching: int
    now: int  # how many of them count as being about the topic at present
    examples: tuple[FeedRow, ...]  # the newest that would come in anew, else the newest that match
    anew: bool
    spans: Finder


def try_topic(topic: str, rows: Sequence[FeedRow], broken_off: Callable[[], bool] = lambda: False) -> Trial | None:
    """Judge posts by a topic; None for one that cannot be read, or when it was broken off."""
    from core.query import parse_topic  # noqa: PLC0415 - brings NLTK with it

    try:
        query = parse_topic(topic)
    except QueryError:
        return None
    matching: list[FeedRow] = []
    for row in rows:
        if broken_off():
            return None
        if query.match(row.post) is not None:
            matching.append(row)
    anew = [row for row in matching if row.verdict is Verdict.FILTERED]
    now = sum(row.verdict is not Verdict.FILTERED for row in rows)
    shown = (anew or matching)[: -EXAMPLES - 1 : -1]
    return Trial(len(rows), len(matching), now, tuple(shown), bool(anew), query.spans)


def draw_verdict(query: str, fault: Fault | None, width: int, limit: int = 0) -> list[Line]:
    """Two lines under a field: good, and how much of `limit` is used; or what is wrong, and what would help."""
    if fault is None:
        size = f"{len(query):,} of {limit:,} characters" if limit else ""
        return [spread([("✓ ", "ok"), ("good", "dim")], [(size, "dim")], width), ()]
    place = f"position {fault.position}: " if fault.position else ""
    message = f"✗ {place}{clean(fault.message)}"
    near = query[max(fault.position - 1, 0) :][:12] if fault.position else ""
    lines: list[Line] = [
        spread([(message, "bad")], [(f"at {clip(clean(near), 14)}" if near else "", "warn")], width)
    ]
    return [*lines, fit([("  ", "dim"), (clean(fault.hint), "dim")], width)]


def draw_change(old: Query, new: Query, sound: bool, width: int) -> list[Line]:
    """What enter would change: the rule at X, and the topic here."""
    (old_keywords, old_topic), (keywords, topic) = old, new
    lines: list[Line] = [(("AT X", "title"), ("  the rule", "dim"))]
    if keywords == old_keywords:
        lines += [_sided("=", clean(keywords), "stays as it is", "text", width), ()]
    else:
        lines += [
            _sided("−", clean(old_keywords), "is removed", "dim", width),
            _sided("+", clean(keywords), "is added", "text" if sound else "dim", width),
        ]
    lines += [(("HERE", "title"), ("  the topic", "dim"))]
    if topic == old_topic:
        lines += [_sided("=", clean(topic), "stays as it is", "text", width), ()]
    else:
        lines += [
            _sided("−", clean(old_topic), "until now", "dim", width),
            _sided("+", clean(topic), "for posts from now on", "text" if sound else "dim", width),
        ]
    return lines


def draw_trial(trial: Trial | None, width: int) -> list[Line]:
    """What the topic would have kept of the newest posts, and a few of them."""
    if trial is None or not trial.posts:
        return []
    posts = f"of the last {count(trial.posts)} posts"
    share = percent(trial.matching / trial.posts)
    lines: list[Line] = [
        fit(
            [
                (f"{count(trial.matching)} ", "strong"),
                (f"{posts} would match ({share}); ", "dim"),
                (f"{count(trial.now)} ", "text"),
                ("did", "dim"),
            ],
            width,
        )
    ]
    for row in trial.examples:
        text = clean(row.post.text[:300])
        sign = ("+ ", "accent") if trial.anew else ("  ", "dim")
        name = (pad(clip(author_name(row), 14), 16), "author")
        lines.append(fit([sign, name, *marked(text, trial.spans, None, "text")], width))
    return lines


def _sided(sign: str, query: str, words: str, ink: str, width: int) -> Line:
    return spread(
        [(f"{sign} ", "accent" if sign == "+" else "dim"), (pad(query, len(query)), ink)],
        [(f"  {words}", "dim")],
        width,
    )


class QueryDialog(ModalScreen[Query | None]):
    """Keywords and topic; left with the new query, or None. `change` hands it over; it may block and raise."""

    PLACE: ClassVar[Place] = Place.QUERY

    def __init__(
        self,
        old: Query,
        change: Callable[[str, str], None],
        history: Sequence[Query],
        recent: Sequence[FeedRow],
        keys: Keys,
        jobs: Jobs,
    ) -> None:
        super().__init__()
        self._jobs = jobs
        self._old = old
        self._change = change
        self._history = [query for query in history if query != old]
        self._recent = recent[-JUDGED:]
        self._keys = keys
        self._back = 0  # how far back in the history
        self._typed = old  # what stood there before the history was looked at
        self._asking = False
        self._refusal = ""

    def compose(self) -> ComposeResult:
        """Two fields, a verdict under each, what will change, and what it would have kept."""
        with Vertical(classes="sheet") as frame:
            frame.border_title = "Keywords and topic"
            named = (("apply", "apply"), ("next_field", "next"), ("close", "cancel"))
            words = [f"{self._keys.name(action)} {label}" for action, label in named]
            if self._history:
                words.insert(2, f"{self._keys.name('earlier')} {self._keys.name('later')} history")
            frame.border_subtitle = " · ".join(words)
            yield Label("Keywords: what to capture")
            yield Field(self._old[0], id="keywords", select_on_focus=False)
            yield Painted(id="keywords-verdict")
            yield Label("Topic: what to keep of it")
            yield Field(self._old[1], id="topic", select_on_focus=False)
            yield Painted(id="topic-verdict")
            yield Painted(id="change")
            yield Painted(id="trial")
            yield Painted(id="answer")

    def on_mount(self) -> None:
        """Heights are fixed, so that nothing moves while one types."""
        room = int(self.app.size.height * 0.9) - FRAME
        verdict = 3 if room >= 23 else 2 if room >= 15 else 1
        heights = {
            "keywords-verdict": verdict,
            "topic-verdict": verdict,
            "change": 6,
            "trial": 5 if room >= 15 else 1,
        }
        for name, height in {**heights, "answer": 2}.items():
            self.query_one(f"#{name}").styles.height = height
        self.query_one("#change").display = room >= 21

    def on_resize(self) -> None:
        """Draw for the new width."""
        self.call_after_refresh(self._check)

    @property
    def _new(self) -> Query:
        return self.query_one("#keywords", Input).value.strip(), self.query_one("#topic", Input).value.strip()

    @on(Input.Changed)
    def _check(self) -> bool:
        """Draw what the fields hold; whether both are good."""
        keywords, topic = self._new
        sound = True
        for name, query, check in (("keywords", keywords, keywords_fault), ("topic", topic, topic_fault)):
            verdict = self.query_one(f"#{name}-verdict", Painted)
            fault = check(query)
            sound = sound and fault is None
            limit = RULE_LENGTH if name == "keywords" else 0
            verdict.paint(draw_verdict(query, fault, verdict.size.width, limit))
        change = self.query_one("#change", Painted)
        change.paint(draw_change(self._old, (keywords, topic), sound, change.size.width))
        answer = self.query_one("#answer", Painted)
        answer.paint(self._answer(answer.size.width))
        self._try(topic)
        return sound

    def _try(self, topic: str) -> None:
        def work(job: Job) -> None:
            job.deliver(self._tried, try_topic(topic, self._recent, lambda: job.over))

        self._jobs.start(work, "trial")

    def _tried(self, trial: Trial | None) -> None:
        if self.is_attached:
            panel = self.query_one("#trial", Painted)
            panel.paint(draw_trial(trial, panel.size.width))

    def _answer(self, width: int) -> list[Line]:
        if self._asking:
            return [(("◌ asking X …", "accent"),)]
        if self._refusal:
            return [((text, "bad"),) for text in wrap(clean("■ " + self._refusal), width)[:2]]
        return []

    def do_apply(self) -> None:
        """Hand the query to the capture."""
        if self._asking or not self._check():
            return
        if self._new == self._old:
            self.dismiss(None)
            return
        self._asking, self._refusal = True, ""
        self._check()
        self._ask(self._new)

    def _ask(self, query: Query) -> None:
        def work(job: Job) -> None:
            refusal = ""
            try:
                self._change(*query)
            except BieberTuiError as error:
                refusal = f"{error.message} {error.hint}".strip()
            except Unavailable as error:
                refusal = f"{error}; {self._keys.name('apply')} tries again"
            job.deliver(self._answered, query, refusal)

        self._jobs.start(work)

    def _answered(self, query: Query, refusal: str) -> None:
        """X has answered; the dialog may have been left meanwhile."""
        self._asking, self._refusal = False, refusal
        if not self.is_attached:
            return
        if refusal:
            self._check()
        else:
            self.dismiss(query)

    def do_earlier(self) -> None:
        """An earlier query."""
        self._recall(1)

    def do_later(self) -> None:
        """A later query, at the end what was typed."""
        self._recall(-1)

    def _recall(self, step: int) -> None:
        if self._back == 0:
            self._typed = self._new
        self._back = min(max(self._back + step, 0), len(self._history))
        query = self._history[-self._back] if self._back else self._typed
        for name, text in zip(("keywords", "topic"), query, strict=True):
            field = self.query_one(f"#{name}", Input)
            field.value = text
            field.cursor_position = len(text)

    def do_next_field(self) -> None:
        """The other field."""
        self.focus_next(Input)

    def do_close(self) -> None:
        """Leave without a change; one that X is being asked for goes on."""
        self.dismiss(None)
