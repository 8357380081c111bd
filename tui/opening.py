"""A capture that is still being opened: the dashboard is on the screen at once, the capture comes when it can.

Opening one loads a network client and the query language and reads the journal, which takes longer than drawing
the first frame. Meanwhile `snapshot` tells of a capture that is about to connect; every other call, made in a
thread, waits until there is one. A capture that comes when nobody wants it any more is closed in order without
being started, so it connects to nothing. One that cannot be opened is `finished`, and `result` raises why.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from core.counters import Counters
from core.errors import Unavailable
from core.health import Health
from core.settings import Settings
from core.snapshot import Rates, Snapshot

if TYPE_CHECKING:
    from core.archive import Found, Record
    from core.capture import Capture
    from core.filter import Wanted
    from tui.controls import Archive

STOP_SECONDS = 1.7  # whatever hangs: the process is to end within two seconds, as a capture that runs


class Opening:
    """Controls of the capture that `open_capture` opens. `begin()` begins, and starts it when it is open."""

    def __init__(self, open_capture: Callable[[], Capture], settings: Settings, *, demo: bool) -> None:
        self._open = open_capture
        self._capture: Capture | None = None
        self._error: BaseException | None = None
        self._ready = threading.Event()  # there is a capture that was started, or an error
        self._over = threading.Event()  # nothing is being opened or closed any more
        self._over.set()
        self._lock = threading.Lock()  # a capture is either started, or not wanted any more
        self._stop_by: float | None = None  # seconds of the clock that never goes back; set: it is not wanted
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
        """Open it, in a thread. Twice is harmless, and so is a stop before."""
        with self._lock:
            if self._over.is_set() and not self._ready.is_set() and self._stop_by is None:
                self._over.clear()
                threading.Thread(target=self._run, name="open", daemon=True).start()

    def _run(self) -> None:
        try:
            capture = self._open()
            with self._lock:
                if self._stop_by is None:
                    capture.start()
                    self._capture = capture
            if self._capture is None:
                capture.stop()
        except BaseException as error:  # noqa: BLE001 - `result` raises it again, in the thread that can tell of it
            self._error = error
        finally:
            self._ready.set()
            self._over.set()

    def finished(self) -> bool:
        """Whether there is nothing more to look at: it could not be opened, or has done what it was asked for."""
        if self._capture is None:
            return self._error is not None
        return self._capture.ended.is_set() and self._capture.error is None

    def result(self) -> Capture | None:
        """The capture, for after the end; None when there never was one. Raises what opening raised."""
        if self._error is not None:
            raise self._error
        return self._capture

    def _started(self) -> Capture:
        """The capture, as soon as there is one."""
        self._ready.wait()
        capture = self.result()
        if capture is None:
            raise Unavailable("the capture was left before it was open")
        return capture

    def snapshot(self, since: int) -> Snapshot:
        """The present moment; before it is opened, that of a capture that is about to connect."""
        if self._capture is None:
            return replace(self._meanwhile, at=time.time())
        return self._capture.snapshot(since)

    @property
    def archive(self) -> Archive:
        """Everything that it has stored."""
        return _Later(lambda: self._started().archive)

    def pause(self) -> None:
        """Pause it."""
        self._started().pause()

    def resume(self) -> None:
        """Resume it."""
        self._started().resume()

    def change_query(self, keywords: str, topic: str) -> None:
        """Capture something else."""
        self._started().change_query(keywords, topic)

    def stop(self) -> None:
        """Stop it in two seconds; when it is still being opened, it is not started any more. Twice is harmless."""
        with self._lock:
            self._stop_by = self._stop_by or time.monotonic() + STOP_SECONDS
        if self._capture is not None:
            self._capture.stop()
        self._over.wait(max(self._stop_by - time.monotonic(), 0.0))


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
