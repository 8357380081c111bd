"""What every part of the server shares: the world, the rules, the schedule of faults, who holds the slot."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.simulator.faults import Schedule, Scheduled
from core.simulator.options import SimulatorOptions
from core.simulator.posts import Item, Json, Produced
from core.simulator.prepared import Plate
from core.simulator.problems import RateWindow
from core.simulator.record import Recorder, SentRecord, SentRun
from core.simulator.rules import RuleBook, StoredRule
from core.simulator.shape import Shape
from core.simulator.world import World

if TYPE_CHECKING:
    from core.simulator.stream import StreamConnection

# Requests in 15 minutes, by endpoint.
LIMITS = {"list_rules": 450, "change_rules": 100, "search": 450, "counts": 300, "usage": 50, "connections": 25}


class State:
    """Belongs to the server's loop: only its thread may touch it."""

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self.started = time.monotonic()
        self.recorder = Recorder(options.log, options.remember)
        self.rules = RuleBook(options.rule_cap, options.rule_length, options.rule_delay)
        self.schedule = Schedule(options.faults)
        self.world = World(options, self._subject, self._matches)
        self.pushed: deque[bytes] = deque()
        self.live: StreamConnection | None = None
        self.ghosts: list[float] = []  # until when (monotonic) each holds the slot
        self.next_answers: list[Scheduled] = []  # faults for the next stream request
        self.stream_requests = 0
        self.ended = False  # the stream was ended because all was delivered
        self.requests: dict[str, int] = {}
        self.connects = RateWindow(options.connect_budget, options.connect_window)
        self.pause_listening: Callable[[float], None] = lambda _: None  # set by the server
        self._plate: tuple[tuple[Shape, tuple[str, ...]], Plate] | None = None
        self.windows = {name: RateWindow(limit) for name, limit in LIMITS.items()}

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def slot_taken(self) -> bool:
        """Whether a connection, or the ghost of one, holds the slot."""
        now = time.monotonic()
        self.ghosts = [until for until in self.ghosts if until > now]
        return self.live is not None or bool(self.ghosts)

    def catch_up(self) -> None:
        """Let the world go on while nobody is connected, and note what that loses."""
        if self.live is None:
            self.world.catch_up(time.monotonic())
        self.note_lost()

    def note_lost(self, connection: int = 0) -> None:
        """Write down what the world produced for no connection."""
        for produced in self.world.lost:
            self.recorder.note(
                SentRecord(time.time(), connection, "lost", str(produced.id), produced.topic, False, b"")
            )
        for first, last in self.world.lost_runs:
            self.recorder.run(SentRun(time.time(), connection, "lost-run", first, last, whole=False))
        self.world.lost.clear()
        self.world.lost_runs.clear()

    def prepare(self) -> None:
        """Make the prepared posts that were asked for, once, by the rules as they are. Raises ValueError."""
        rules = self.rules.rules
        if self.options.prepared and self.world.ring is None and rules:
            order = self.world.prepare(
                rules[-1].compiled.subject,
                lambda produced, item: any(_fits(rule, produced, item) for rule in rules),
            )
            self.recorder.order(order)

    def plate(self, shape: Shape) -> Plate | None:
        """The prepared posts as lines for a client that asked for that shape; None when there are none."""
        ring, rules = self.world.ring, self.rules.rules
        if ring is None:
            return None
        key = shape, tuple(rule.id for rule in rules)
        if self._plate is None or self._plate[0] != key:
            self._plate = (
                key,
                ring.plate(
                    shape,
                    lambda produced, item: [self._told(rule) for rule in rules if _fits(rule, produced, item)],
                ),
            )
        return self._plate[1]

    def matching_rules(self, produced: Produced) -> list[Json]:
        """The rules that the post matches, as X tells them to the client."""
        item = self.world.item(produced)
        return [self._told(rule) for rule in self.rules.active(time.monotonic()) if _fits(rule, produced, item)]

    def _told(self, rule: StoredRule) -> Json:
        if rule.tag:
            return {"id": rule.id, "tag": rule.tag}
        untagged: dict[str, Json] = {
            "absent": {"id": rule.id}, "empty": {"id": rule.id, "tag": ""}, "null": {"id": rule.id, "tag": None},
        }  # fmt: skip
        return untagged[self.options.untagged_rule]

    def _subject(self) -> str:
        """What people write about: the newest rule that applies."""
        active = self.rules.active(time.monotonic())
        return active[-1].compiled.subject if active else ""

    def _matches(self, produced: Produced) -> bool:
        active = self.rules.active(time.monotonic())
        if any(rule.compiled.simple and rule.compiled.subject == produced.subject for rule in active):
            return True
        return any(rule.compiled.matches(self.world.item(produced)) for rule in active)


def _fits(rule: StoredRule, produced: Produced, item: Item) -> bool:
    compiled = rule.compiled
    return (compiled.simple and compiled.subject == produced.subject) or compiled.matches(item)
