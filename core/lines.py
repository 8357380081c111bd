"""The bounded queue between the reader and the writer.

The reader waits when it is full, by number or by bytes: that is the only way in which a slow disk can ever slow a
source, and whoever puts can tell that it waits. A batch is handed out when it is full or when its first line has
waited for its time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
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
    def fill(self) -> float:
        """How full it is, by number or by bytes, whichever is more: 1 when an item has to wait."""
        return max(len(self._items) / self.limit, self._bytes / self._limit_bytes)

    @property
    def bytes(self) -> int:
        """The size of all items."""
        return self._bytes

    @property
    def closed(self) -> bool:
        """Whether it takes no more items."""
        return self._closed

    def put(self, item: T, size: int = 0, *, wait: float | None = None, over: bool = False) -> bool:
        """Add an item, waiting while the queue is full: `wait` seconds, or as long as it takes.

        `over` adds it beyond the limit. False when the item was not taken: it is still full, or closed.
        """
        with self._lock:
            if (len(self._items) >= self.limit or self._bytes >= self._limit_bytes) and not over:
                self._drained.wait_for(self._has_room, wait)
                if not self._has_room():
                    return False
            if self._closed:
                return False
            self._items.append((item, size))
            self._bytes += size
            if self._wanted and (len(self._items) >= self._wanted or self._bytes >= self._limit_bytes):
                self._filled.notify()
            return True

    def put_all(self, items: Sequence[T], sizes: Sequence[int]) -> int:
        """Add as many of the items, in order, as there is room for now. Returns how many: none once closed."""
        with self._lock:
            if self._closed:
                return 0
            taken = 0
            for pair in zip(items[: max(self.limit - len(self._items), 0)], sizes, strict=False):
                if self._bytes >= self._limit_bytes:
                    break
                self._items.append(pair)
                self._bytes += pair[1]
                taken += 1
            if self._wanted and (len(self._items) >= self._wanted or self._bytes >= self._limit_bytes):
                self._filled.notify()
            return taken

    def _has_room(self) -> bool:
        """Whether whoever waits to put something need not wait any more."""
        return self._closed or (len(self._items) < self.limit and self._bytes < self._limit_bytes)

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
