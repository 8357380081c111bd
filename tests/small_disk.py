"""A real disk of a few megabytes: a file system in memory, mounted without rights of the system where it can be.

Linux lets anybody mount one in a namespace of their own (`unshare -rm`); where that is forbidden, as on hosted CI,
`sudo` may do it. Where neither works the tests that need it are skipped, with the reason.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """`path` is the disk as processes started with `prefix` see it, `seen` as the test sees it."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self.path = folder
        self.prefix: list[str] = []
        self._holder: subprocess.Popen[str] | None = None
        mount = f"size={size},mode=700"
        if not self._in_namespace(mount):
            done = subprocess.run(
                ["sudo", "-n", "mount", "-t", "tmpfs", "-o", f"{mount},uid={os.getuid()}", "tmpfs", folder],
                capture_output=True,
                text=True,
            )
            if done.returncode != 0:
                pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        self.ballast = self.seen / "ballast"

    def _in_namespace(self, mount: str) -> bool:
        script = f'mount -t tmpfs -o {mount} tmpfs "$0" && echo ready && exec cat'
        self._holder = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", script, self.path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() == "ready\n":
            self.prefix = ["nsenter", "-t", str(self._holder.pid), "-U", "-m", "--preserve-credentials",
                           f"--wd={Path.cwd()}"]  # fmt: skip
            return True
        self._holder.communicate()
        self._holder = None
        return False

    @property
    def seen(self) -> Path:
        if self._holder is None:
            return self.path
        return Path(f"/proc/{self._holder.pid}/root{self.path}")

    def free(self) -> int:
        found = os.statvfs(self.seen)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int) -> None:
        """Take room until `leave` bytes are free."""
        self.ballast.write_bytes(bytes(max(self.free() - leave, 0)))

    def make_room(self) -> None:
        self.ballast.unlink()

    def read_only(self) -> None:
        """From now on nothing can be written. Only while no file is open for writing."""
        as_root = [*self.prefix, "mount"] if self.prefix else ["sudo", "-n", "mount"]
        subprocess.run([*as_root, "-o", "remount,ro", self.path], check=True)

    def close(self) -> None:
        if self._holder is not None:
            self._holder.communicate()
        else:
            subprocess.run(["sudo", "-n", "umount", self.path], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 12 MB."""
    disk = SmallDisk(tmp_path / "disk", 12_000_000)
    yield disk
    disk.close()
