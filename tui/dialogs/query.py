"""Change keywords and topic: checked while one types, says what will change, takes effect without a restart.

The dialog asks nobody while one types; enter hands the change to X in a worker, and what X says against it is
shown here, with the old query still at work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from core.errors import BieberTuiError, Unavailable
from tui.field import Field
from tui.ink import Line, clip, fit, pad, spread, wrap
from tui.language import RULE_LENGTH, Fault, keywords_fault, topic_fault
from tui.painted import Painted
from tui.sanitise import clean


def draw_verdict(query: str, fault: Fault | None, width: int) -> list[Line]:
    """Two lines under a field: good, or where and what is wrong, and what would help."""
    if fault is None:
        return [(("✓ ", "ok"), ("good", "dim")), ()]
    place = f"position {fault.position}: " if fault.position else ""
    message = f"✗ {place}{clean(fault.message)}"
    near = query[max(fault.position - 1, 0) :][:12] if fault.position else ""
    lines: list[Line] = [
        spread([(message, "bad")], [(f"at {clip(clean(near), 14)}" if near else "", "warn")], width)
    ]
    return [*lines, fit([("  ", "dim"), (clean(fault.hint), "dim")], width)]


def draw_change(old: tuple[str, str], new: tuple[str, str], sound: bool, width: int) -> list[Line]:
    """What enter would change: the rule at X, and the topic here."""
    (old_keywords, old_topic), (keywords, topic) = old, new
    size = f"{len(keywords):,} of {RULE_LENGTH:,}"
    size_ink = "bad" if len(keywords) > RULE_LENGTH else "dim"
    lines: list[Line] = [spread([("AT X", "title"), ("  the rule", "dim")], [(size, size_ink)], width)]
    if keywords == old_keywords:
        lines += [_sided("=", clean(keywords), "stays as it is", "text", width), ()]
    else:
        lines += [
            _sided("−", clean(old_keywords), "is removed", "dim", width),
            _sided("+", clean(keywords), "is added", "text" if sound else "dim", width),
        ]
    lines += [(), (("HERE", "title"), ("  the topic", "dim"))]
    if topic == old_topic:
        lines += [_sided("=", clean(topic), "stays as it is", "text", width), ()]
    else:
        lines += [
            _sided("−", clean(old_topic), "until now", "dim", width),
            _sided("+", clean(topic), "for posts from now on", "text" if sound else "dim", width),
        ]
    return lines


def _sided(sign: str, query: str, words: str, ink: str, width: int) -> Line:
    return spread(
        [(f"{sign} ", "accent" if sign == "+" else "dim"), (pad(query, len(query)), ink)],
        [(f"  {words}", "dim")],
        width,
    )


class QueryDialog(ModalScreen[bool]):
    """Keywords and topic. `change` hands a new query to the capture; it may block and raise."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", show=False),
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Previous field", show=False),
    ]

    def __init__(self, keywords: str, topic: str, change: Callable[[str, str], None]) -> None:
        super().__init__()
        self._old = (keywords, topic)
        self._change = change
        self._asking = False
        self._refusal = ""

    def compose(self) -> ComposeResult:
        """Two fields, a verdict under each, and what will change."""
        with Vertical(classes="sheet") as frame:
            frame.border_title = "Keywords and topic"
            frame.border_subtitle = "enter apply · tab next · esc cancel"
            yield Label("Keywords: what to capture")
            yield Field(self._old[0], id="keywords", select_on_focus=False)
            yield Painted(id="keywords-verdict")
            yield Label("Topic: what to keep of it")
            yield Field(self._old[1], id="topic", select_on_focus=False)
            yield Painted(id="topic-verdict")
            yield Painted(id="change")
            yield Painted(id="answer")

    def on_mount(self) -> None:
        """Heights are fixed, so that nothing moves while one types."""
        for name, height in (("keywords-verdict", 3), ("topic-verdict", 3), ("change", 6), ("answer", 2)):
            self.query_one(f"#{name}").styles.height = height

    def on_resize(self) -> None:
        """Draw for the new width."""
        self.call_after_refresh(self._check)

    @property
    def _new(self) -> tuple[str, str]:
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
            verdict.paint(draw_verdict(query, fault, verdict.size.width))
        change = self.query_one("#change", Painted)
        change.paint(draw_change(self._old, (keywords, topic), sound, change.size.width))
        answer = self.query_one("#answer", Painted)
        answer.paint(self._answer(answer.size.width))
        return sound

    def _answer(self, width: int) -> list[Line]:
        if self._asking:
            return [(("◌ asking X …", "accent"),)]
        if self._refusal:
            return [((text, "bad"),) for text in wrap(clean("■ " + self._refusal), width)[:2]]
        return []

    @on(Input.Submitted)
    def _submit(self) -> None:
        if self._asking or not self._check():
            return
        if self._new == self._old:
            self.dismiss(False)
            return
        self._asking, self._refusal = True, ""
        self._check()
        self._ask(*self._new)

    @work(thread=True, exit_on_error=False)
    def _ask(self, keywords: str, topic: str) -> None:
        try:
            self._change(keywords, topic)
        except BieberTuiError as error:
            self.app.call_from_thread(self._answered, f"{error.message} {error.hint}".strip())
        except Unavailable as error:
            self.app.call_from_thread(self._answered, f"{error}; enter tries again")
        else:
            self.app.call_from_thread(self._answered, "")

    def _answered(self, refusal: str) -> None:
        """X has answered; the dialog may have been left meanwhile."""
        self._asking, self._refusal = False, refusal
        if not self.is_attached:
            return
        if refusal:
            self._check()
        else:
            self.dismiss(True)

    def action_leave(self) -> None:
        """Leave without a change; one that X is being asked for goes on."""
        self.dismiss(False)
