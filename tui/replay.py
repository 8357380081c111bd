"""The actions of a replay: one more post, back, forward, slower, faster. They do nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable

from tui.controls import Controls, Playable
from tui.jobs import Jobs

SEEK = 60.0  # seconds of a recording


class Replay:
    """Moves through a recording."""

    def __init__(self, controls: Controls, jobs: Jobs) -> None:
        self._controls = controls
        self._jobs = jobs

    def _play(self, call: Callable[[Playable], None]) -> None:
        replay = self._controls
        if isinstance(replay, Playable):
            self._jobs.start(lambda _: call(replay))

    def do_step(self) -> None:
        """One more post of the replay."""
        self._play(lambda replay: replay.step())

    def do_rewind(self) -> None:
        """A minute back."""
        self._play(lambda replay: replay.seek(-SEEK))

    def do_forward(self) -> None:
        """A minute forward."""
        self._play(lambda replay: replay.seek(SEEK))

    def do_slower(self) -> None:
        """Slower."""
        self._play(lambda replay: replay.change_speed(-1))

    def do_faster(self) -> None:
        """Faster."""
        self._play(lambda replay: replay.change_speed(1))
