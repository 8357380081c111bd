"""One owner a data folder: a kernel lock, so that a file left behind by a crash never blocks anybody.

The lock is on `owner.lock`, which tells the holder's process id, and on the folder itself, so that a lock file
that was deleted by hand lets no second capture in.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from core.errors import AlreadyOwned, JournalError
from core.private import open_private

FILE_NAME = "owner.lock"
TAKEN = (errno.EWOULDBLOCK, errno.EACCES)  # the second one is what some network file systems say
NAMED_WITHIN = 1.0  # seconds that a holder has to write down its process id


class Owner:
    """Holds the lock of a data folder until `release`; the file tells the holder's process id."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises AlreadyOwned naming the process that has it, JournalError for a folder that cannot be used or whose
        file system has no locks.
        """
        self._fds = [open_private(folder / FILE_NAME)]
        try:
            self._fds.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            self._lock(folder)
        except BaseException:
            self.release()
            raise
        os.ftruncate(self._fds[0], 0)
        os.pwrite(self._fds[0], f"{os.getpid()}\n".encode(), 0)

    def _lock(self, folder: Path) -> None:
        for fd in self._fds:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in TAKEN:
                    raise AlreadyOwned(
                        f"another capture owns the data folder {folder}: process {self._holder()}",
                        "Stop that one first, or give this one a folder of its own with --data-dir.",
                    ) from None
                if fd == self._fds[0]:  # a folder need not have locks (NFS): that only guards against a deletion
                    raise JournalError(
                        f"the file system of the data folder {folder} refuses to lock a file: {error.strerror}",
                        "Without a lock two captures could write one journal. Name a folder on a local disk with"
                        " --data-dir.",
                    ) from None

    def _holder(self) -> str:
        """The process id in the file, once it is a living process's: it is written after the lock is taken."""
        deadline = time.monotonic() + NAMED_WITHIN
        while True:
            pid = os.pread(self._fds[0], 32, 0).strip()
            if not pid.isdigit() or len(pid) > 10:
                pid = b"unknown"
            if time.monotonic() > deadline or (pid != b"unknown" and _lives(int(pid))):
                return pid.decode()
            time.sleep(0.02)

    def release(self) -> None:
        """Let another capture have the folder. Twice is harmless."""
        while self._fds:
            os.close(self._fds.pop())

    def __enter__(self) -> Owner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # somebody else's
    return True
