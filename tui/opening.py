"""A capture that is still being opened: the dashboard is on the screen at once, the capture comes when it is ready.

Opening one loads a network client and the query language and reads the journal, which takes longer than drawing the
first frame. Meanwhile `snapshot` tells of a capture that is about to connect; every other call, made in a thread,
waits until there is one. When it cannot be opened, `error` says why, and it counts as `ended`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from core.counters import Counters
from core.health import Health
from core.settings import Settings
from core.snapshot import Rates, Snapshot

if TYPE_CHECKING:
    from core.archive import Found, Record
    from core.filter import Wanted
    from tui.controls import Archive, Controls

STOP_SECONDS = 2.0  # how long a stop waits for an opening to end


class Opening:
    """Controls of the capture that `open_capture` opens and starts. `begin()` begins."""

    def __init__(self, open_capture: Callable[[], Controls], settings: Settings, *, demo: bool) -> None:
        self._open = open_capture
        self._opened: Controls | None = None
        self._done = threading.Event()
        self._begun = False
        self.error: BaseException | None = None
        now = time.time()
        self._meanwhile = Snapshot(
            at=now,
            started_at=now,
            keywords=settings.keywords,
            topic=settings.topic,
            demo=demo,
            paused=False,
            data_dir=str(settings.data_dir),
            run=Counters(),
            life=Counters(),
            per_source={},
            health=(Health(settings.source),),
            sinks=(),
            gaps=(),
            gap_count=0,
            events=(),
            rates=Rates(),
            rows=(),
            last_seq=0,
        )

    def begin(self) -> None:
        """Open it, in a thread. Twice is harmless."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._run, name="open", daemon=True).start()

    def _run(self) -> None:
        try:
            self._opened = self._open()
        except BaseException as error:  # noqa: BLE001 - whoever waits is told; the caller raises it again
            self.error = error
        finally:
            self._done.set()

    def _ready(self) -> Controls:
        """The capture, as soon as there is one."""
        self._done.wait()
        if self._opened is None:
            assert self.error is not None
            raise self.error
        return self._opened

    def snapshot(self, since: int) -> Snapshot:
        """The present moment; before it is opened, that of a capture that is about to connect."""
        if self._opened is None:
            return replace(self._meanwhile, at=time.time())
        return self._opened.snapshot(since)

    @property
    def archive(self) -> Archive:
        """Everything that it has stored."""
        return _Later(lambda: self._ready().archive)

    def pause(self) -> None:
        """Pause it."""
        self._ready().pause()

    def resume(self) -> None:
        """Resume it."""
        self._ready().resume()

    def change_query(self, keywords: str, topic: str) -> None:
        """Capture something else."""
        self._ready().change_query(keywords, topic)

    def stop(self) -> None:
        """Stop it, also when it was only just opened."""
        if self._begun and self._done.wait(STOP_SECONDS) and self._opened is not None:
            self._opened.stop()


class _Later:
    """The archive of a capture that may not be there yet."""

    def __init__(self, archive: Callable[[], Archive]) -> None:
        self._archive = archive

    def search(self, wanted: Wanted, place: str, limit: int) -> Found:
        return self._archive().search(wanted, place, limit)

    def lookup(self, source: str, id_: str) -> Record | None:
        return self._archive().lookup(source, id_)

    def stars(self) -> frozenset[str]:
        return self._archive().stars()

    def star(self, source: str, id_: str, on: bool) -> None:
        self._archive().star(source, id_, on)
