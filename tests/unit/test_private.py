"""Whatever the umask and whatever was there before, nobody but the owner reads a file of the capture."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core import private
from core.errors import JournalError
from core.journal import Batch, Entry, Journal


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_and_its_folder_are_private_under_any_umask(tmp_path, umask):
    os.close(private.open_private(tmp_path / "data" / "file"))
    assert mode(tmp_path / "data") == 0o700
    assert mode(tmp_path / "data" / "file") == 0o600


def test_the_journal_and_what_sqlite_keeps_beside_it_are_private_under_any_umask(tmp_path, umask):
    with Journal(tmp_path / "data") as journal:
        session = journal.begin_session(0.0, "x")
        journal.commit(Batch("x", 1, 1, [Entry("1", 1.0, 1, (), backfilled=False, raw=b"{}")]), session)
        modes = {path.name: mode(path) for path in (tmp_path / "data").iterdir()}
    assert {"journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"} <= {*modes}
    assert set(modes.values()) == {0o600}


def test_files_that_others_can_read_are_closed_to_them(tmp_path):
    """A folder that came back from a backup, after a crash that left the write-ahead log."""
    with Journal(tmp_path) as journal:
        journal.begin_session(0.0, "x")
        for path in tmp_path.iterdir():
            path.chmod(0o644)
        Journal(tmp_path).close()
        modes = {path.name: mode(path) for path in tmp_path.iterdir()}
    assert len(modes) >= 3
    assert set(modes.values()) == {0o600}


def test_tightening_keeps_the_locks_of_a_connection_in_the_same_process(tmp_path):
    with Journal(tmp_path) as journal:
        journal.begin_session(0.0, "x")
        with journal._transaction():
            private.make_private(journal.path)
            other = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
            done = subprocess.run([sys.executable, "-c", other, journal.path], capture_output=True, text=True)
    assert "locked" in done.stderr


def test_an_existing_folder_is_never_changed_but_told(tmp_path):
    tmp_path.chmod(0o755)
    os.close(private.open_private(tmp_path / "file"))
    assert mode(tmp_path) == 0o755
    assert "see the names" in private.exposed(tmp_path)
    tmp_path.chmod(0o777)
    assert "in the place" in private.exposed(tmp_path)
    tmp_path.chmod(0o700)
    assert private.exposed(tmp_path) == ""
    assert private.exposed(tmp_path / "none") == ""


def test_a_file_of_somebody_else_that_others_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o644)  # whatever the umask

    def not_ours(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.chmod", not_ours)
    with pytest.raises(JournalError, match="somebody else"):
        private.open_private(tmp_path / "file")


def test_a_hardened_process_makes_private_files_and_dumps_no_memory(tmp_path):
    program = (
        "import os, resource\nfrom pathlib import Path\nfrom core.private import harden\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n"
        "harden()\n"
        "Path('note').write_text('n'); Path('folder').mkdir()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0])\n"
        "dump = Path('/proc/self/coredump_filter')\n"
        "print(int(dump.read_text(), 16) if dump.exists() else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, umask=0,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.stdout.split() == ["0", "0"], done.stderr
    assert mode(tmp_path / "note") == 0o600
    assert mode(tmp_path / "folder") == 0o700
