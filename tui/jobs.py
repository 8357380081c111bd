"""Jobs: work that may block, each in a thread of its own that never holds up leaving.

Textual's own thread workers share a small pool, and leaving waits for all of them: a disk that hangs or a browser
that does not start would keep the program from ending, and a few such jobs keep others from beginning. These
threads are left behind instead; what they write is whole or not there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from textual.app import App

from core.errors import BieberTuiError, Unavailable

P = ParamSpec("P")
R = TypeVar("R")


class Job:
    """One piece of work, seen from its thread."""

    def __init__(self, jobs: Jobs, name: str, number: int) -> None:
        self._jobs = jobs
        self._name = name
        self._number = number

    @property
    def over(self) -> bool:
        """Whether nobody waits for it any more: a newer one of its name was started, or the screen is left."""
        return self._jobs.is_over(self._name, self._number)

    def deliver(self, callback: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """Call something on the event loop and give its answer; nothing, and None, when the job is over."""
        return None if self.over else self._jobs.on_loop(callback, *args, **kwargs)


class Jobs:
    """The jobs of one app. Their errors are told on the screen."""

    def __init__(self, app: App[int]) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._newest: dict[str, int] = {}
        self._started = 0
        self._running = 0
        self._closed = False

    def start(self, work: Callable[[Job], None], name: str = "") -> None:
        """Begin to work. Of jobs with a name only the newest delivers."""
        with self._lock:
            self._started += 1
            self._running += 1
            job = Job(self, name, self._started)
            if name:
                self._newest[name] = self._started
        threading.Thread(target=self._run, args=(work, job), name=f"job-{name or 'once'}", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether any job is still at work."""
        return self._running > 0

    def close(self) -> None:
        """The screen is left: no job delivers any more."""
        self._closed = True

    def is_over(self, name: str, number: int) -> bool:
        """Whether nobody waits for that job."""
        return self._closed or (name != "" and self._newest[name] != number)

    def on_loop(self, callback: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """Call something on the event loop, from a thread; None when the loop has ended."""
        try:
            return self._app.call_from_thread(callback, *args, **kwargs)
        except RuntimeError:
            if self._app.is_running:
                raise
            return None

    def _run(self, work: Callable[[Job], None], job: Job) -> None:
        try:
            work(job)
        except (BieberTuiError, Unavailable) as error:
            self._app.notify(str(error), severity="error", markup=False)
        except Exception as error:  # noqa: BLE001 - a bug must be seen, and must not end the capture
            self._app.notify(f"a bug in bieber-tui: {error!r}", severity="error", markup=False)
        finally:
            with self._lock:
                self._running -= 1
