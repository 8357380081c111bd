"""The bounded queue between the reader and the writer.

The reader waits when it is full, by number or by bytes: that is the only way in which a slow disk can ever slow a
source. A batch is handed out when it is full or when its first line has waited for its time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class LineQueue(Generic[T]):
    """Items of known size in bytes, in order, from many threads to one."""

    def __init__(self, limit: int = 10_000, limit_bytes: int = 128_000_000) -> None:
        self.limit = limit
        self._limit_bytes = limit_bytes
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._closed = False
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._drained = threading.Condition(self._lock)
        self._wanted = 0  # the taker sleeps until so many items are there; 0: it does not sleep

    def __len__(self) -> int:
        return len(self._items)

    @property
    def bytes(self) -> int:
        """The size of all items."""
        return self._bytes

    def put(self, item: T, size: int = 0, *, wait: bool = True) -> bool:
        """Add an item, waiting while the queue is full. False when the queue was closed: the item is not taken.

        Without `wait` it is added to a full queue too: for marks, which are few and must never hold anybody up.
        """
        with self._lock:
            while (
                wait and (len(self._items) >= self.limit or self._bytes >= self._limit_bytes) and not self._closed
            ):
                self._drained.wait()
            if self._closed:
                return False
            self._items.append((item, size))
            self._bytes += size
            if self._wanted and (len(self._items) >= self._wanted or self._bytes >= self._limit_bytes):
                self._filled.notify()
            return True

    def take(self, most: int, wait: float, linger: float) -> list[T]:
        """Up to `most` items: waits `wait` seconds for the first one, then `linger` more for the batch to fill."""
        with self._lock:
            self._sleep_until(1, wait)
            if self._items and linger > 0:
                self._sleep_until(most, linger)
            count = min(most, len(self._items))
            batch = []
            for _ in range(count):
                item, size = self._items.popleft()
                self._bytes -= size
                batch.append(item)
            if batch:
                self._drained.notify_all()
            return batch

    def _sleep_until(self, wanted: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._wanted = min(wanted, self.limit)
        while len(self._items) < self._wanted and self._bytes < self._limit_bytes and not self._closed:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            self._filled.wait(remaining)
        self._wanted = 0

    def close(self) -> None:
        """Take no more items; those that are there can still be taken. Wakes everybody."""
        with self._lock:
            self._closed = True
            self._filled.notify_all()
            self._drained.notify_all()
