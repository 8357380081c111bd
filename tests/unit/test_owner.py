"""One capture a data folder, told by the kernel and not by a file that a crash left behind."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import AlreadyOwned, JournalError
from core.owner import Owner

HOLD = """
import sys
from pathlib import Path
from core.errors import AlreadyOwned
from core.owner import Owner
for folder in sys.stdin:
    try:
        owner = Owner(Path(folder.strip()))
        print("held", flush=True)
        sys.stdin.readline()
        owner.release()
    except AlreadyOwned as error:
        print(error.message.rpartition(" ")[2], flush=True)
        sys.stdin.readline()
"""


class Rival:
    """A process that takes a folder when it is told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid

    def say(self, line) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def takes(self, folder) -> str:
        self.say(folder)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def rival():
    rival = Rival()
    yield rival
    rival.kill()


def test_a_second_owner_is_told_who_the_first_is_and_a_killed_one_blocks_nobody(tmp_path, rival):
    assert rival.takes(tmp_path) == "held"
    with pytest.raises(AlreadyOwned, match=f"process {rival.pid}"):
        Owner(tmp_path)
    rival.kill()
    with Owner(tmp_path):
        assert (tmp_path / "owner.lock").read_text() == f"{os.getpid()}\n"


def test_a_released_folder_can_be_owned_again(tmp_path):
    owner = Owner(tmp_path)
    owner.release()
    owner.release()
    Owner(tmp_path).release()


def test_of_two_that_come_at_the_very_same_moment_one_wins_and_the_other_is_told_its_name(tmp_path):
    rivals = [Rival(), Rival()]
    try:
        for number in range(20):
            folder = tmp_path / str(number % 3)  # new ones, and ones with the name of an earlier winner
            for rival in rivals:
                rival.say(folder)
            answers = [rival.answer() for rival in rivals]
            assert answers.count("held") == 1, answers
            winner = rivals[answers.index("held")]
            assert str(winner.pid) in answers
            for rival in rivals:
                rival.say("go on")
    finally:
        for rival in rivals:
            rival.kill()


@pytest.mark.parametrize("content", [b"", b"\x1b[31m99 red\n", b"\xff\xfe", b"9" * 4000, b"-1", b"0x11"])
def test_a_lock_file_that_names_nobody_is_not_repeated(tmp_path, monkeypatch, rival, content):
    monkeypatch.setattr("core.owner.NAMED_WITHIN", 0.05)
    assert rival.takes(tmp_path) == "held"
    (tmp_path / "owner.lock").write_bytes(content)
    with pytest.raises(AlreadyOwned, match=r"process unknown\n"):
        Owner(tmp_path)


def test_a_lock_file_that_was_deleted_lets_nobody_in(tmp_path, monkeypatch, rival):
    monkeypatch.setattr("core.owner.NAMED_WITHIN", 0.05)
    assert rival.takes(tmp_path) == "held"
    (tmp_path / "owner.lock").unlink()
    with pytest.raises(AlreadyOwned):
        Owner(tmp_path)
    rival.kill()
    Owner(tmp_path).release()


def test_the_id_of_a_dead_process_is_not_told_for_the_owner_that_has_not_written_its_own_yet(tmp_path, rival):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    assert rival.takes(tmp_path) == "held"
    (tmp_path / "owner.lock").write_text(f"{dead.pid}\n")
    reads = iter([f"{dead.pid}\n".encode(), b"", f"{rival.pid}\n".encode()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.owner.os.pread", lambda *_: next(reads))
        with pytest.raises(AlreadyOwned, match=f"process {rival.pid}"):
            Owner(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_refused_in_words(tmp_path, monkeypatch, code):
    def flock(fd: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(JournalError, match=r"refuses to lock(.|\n)*local disk"):
        Owner(tmp_path)


def test_a_folder_that_cannot_be_locked_itself_is_owned_by_its_file(tmp_path, monkeypatch, rival):
    """NFS locks no folders."""
    flock = fcntl.flock

    def nfs(fd: int, how: int) -> None:
        if Path(f"/dev/fd/{fd}").is_dir():
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", nfs)
    with Owner(tmp_path):
        assert rival.takes(tmp_path) == str(os.getpid())


def test_a_folder_in_the_place_of_the_lock_is_refused_in_words(tmp_path):
    (tmp_path / "owner.lock").mkdir()
    with pytest.raises(JournalError, match="cannot be used"):
        Owner(tmp_path)
