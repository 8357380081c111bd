"""One capture a data folder, told by the kernel and not by a file that a crash left behind."""

import os
import signal
import subprocess
import sys

import pytest

from core.errors import AlreadyOwned
from core.owner import Owner

HOLD = """
import sys, time
from pathlib import Path
from core.owner import Owner
owner = Owner(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_owner_is_told_who_the_first_is_and_a_killed_one_blocks_nobody(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(AlreadyOwned, match=f"process {process.pid}"):
        Owner(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with Owner(tmp_path):
        assert (tmp_path / "owner.lock").read_text() == f"{os.getpid()}\n"


def test_a_released_folder_can_be_owned_again(tmp_path):
    owner = Owner(tmp_path)
    owner.release()
    owner.release()
    Owner(tmp_path).release()
