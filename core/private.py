"""Files and memory that nobody but the capture's owner may read.

Promises: a file that is opened here has mode 0600 and a folder that is made here 0700, whatever the umask and
whatever mode an older file has. A folder that exists is never changed: the user may have named one that holds
other things too; `exposed` says so in words. `harden` does the same for everything that the process makes on its
own way (temporary files, a library's files, a core dump).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from core.errors import JournalError


def open_private(path: Path) -> int:
    """Open or create a file (mode 0600), and its folder (mode 0700); the descriptor, not inherited by children.

    Raises JournalError when the folder cannot be used, or the file belongs to somebody else who shares it.
    """
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.chmod(0o700)  # the umask may have taken away more than it should
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(
            f"the data folder {path.parent} cannot be used: {error.strerror}",
            "Make it writable, or name another one with --data-dir.",
        ) from None
    try:
        _tighten(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_private(path: Path) -> None:
    """Create a database file with mode 0600 or bring it there, with what SQLite keeps beside it (-wal, -shm).

    An existing file is not opened: closing it again would drop the locks that SQLite has on it in this process.
    Raises JournalError as `open_private` does.
    """
    if not path.exists():
        os.close(open_private(path))
    for file in (path, *path.parent.glob(f"{path.name}-*")):
        _tighten(file)


def _tighten(file: Path) -> None:
    try:
        if stat.S_IMODE(file.stat().st_mode) != 0o600:
            file.chmod(0o600)
    except FileNotFoundError:
        pass  # SQLite takes its files away when it is done
    except OSError:
        raise JournalError(
            f"{file} can be read by others, and belongs to somebody else",
            "Name a data folder of your own with --data-dir.",
        ) from None


def exposed(folder: Path) -> str:
    """What others may do in a folder, in words; empty when only its owner may use it, or it is not there."""
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return ""
    if not mode & 0o077:
        return ""
    may = "put other files in the place of the capture's" if mode & 0o022 else "see the names of the files"
    return (
        f"others may {may} in the data folder {folder} (mode {mode:04o}), though not read them;"
        f" `chmod 700 {folder}` keeps them out"
    )


def harden() -> None:
    """From now on this process makes private files only, and leaves no memory behind when it crashes.

    A core dump would hold tokens and passwords. The limit stops the kernel's own; where dumps go to a crash
    handler through a pipe, the kernel ignores that limit, so the dump is also emptied of all memory.
    """
    os.umask(0o077)
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - not on every system

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")
