"""What tests of several parts share: rows to store, and a real server that speaks MongoDB's protocol.

FerretDB is built by scripts/build-ferretdb. Where it cannot be, the tests that need it are skipped by name, with
the reason; with CI=true that is a failure.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import pytest

from core.post import Author, Post
from core.sinks.base import Outcome, Sink, StoredRow

ROOT = Path(__file__).parent.parent

# Programs that the tests start are to hear every signal, also when the tests themselves run under nohup.
for _signal in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, signal.SIG_DFL)

# No test depends on a clock being fast. In CI the same inputs are tried in every run; elsewhere new ones are.
hypothesis.settings.register_profile("promises", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("promises")


def put(sink: Sink, rows: Sequence[StoredRow]) -> list[Outcome]:
    """As the delivery does."""
    return sink.write(sink.prepare(rows))


def make_row(seq: int, *, capture: str = "capture-1", post: Post | None = None, raw: bytes = b"{}") -> StoredRow:
    """Row `seq` of a journal; the post's id follows from it unless a post is given."""
    if post is None:
        post = Post(
            source="x",
            id=str(1_500_000_000_000_000_000 + seq),
            text=f"post {seq} about #music by @justin",
            created_at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=seq),
            author=Author(id=str(seq % 7), username=f"user{seq % 7}", name=f"User {seq % 7} 🎵"),
            lang="en",
            tags=("music",),
            mentions=("justin",),
            links=(f"https://example.org/{seq}",),
            metrics={"like_count": seq},
        )
    return StoredRow(
        capture=capture,
        seq=seq,
        post=post,
        matched=("music",),
        received_at=1_793_491_200.5 + seq,
        backfilled=False,
        raw=raw,
    )


PATIENCE = float(os.environ.get("BIEBER_TUI_PATIENCE", "120"))  # seconds; `make mutation` has less


def wait_until(promise: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for a condition; fails when it does not come true in time."""
    end = time.monotonic() + seconds
    while not promise():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.01)


def free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives away: so it stays free for a while."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class FerretDB:
    """One server process; it can be killed, hung and started again on the same port with the same data."""

    def __init__(self, binary: Path, folder: Path, tls: tuple[Path, Path] | None = None) -> None:
        self.port = free_port()
        self.folder = folder
        listen = ["-tls" if tls else "-listen", f"127.0.0.1:{self.port}", "-dir", str(folder)]
        self._command = [str(binary), *listen, *(["-cert", str(tls[0]), "-key", str(tls[1])] if tls else [])]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_until(self._listens)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """From now on connections are taken and never answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # until then it may answer once more

    def wake(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "server.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="session")
def ferretdb_binary() -> Path:
    """Path of the server, built if need be."""
    build = subprocess.run([ROOT / "scripts" / "build-ferretdb"], capture_output=True, text=True)
    if build.returncode != 0:
        assert os.environ.get("CI") != "true", build.stderr
        pytest.skip(build.stderr.strip().splitlines()[-1])
    return Path(build.stdout.strip())


@pytest.fixture(scope="session")
def ferretdb(ferretdb_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FerretDB]:
    """The server that the tests of one worker share. Leave it running; for outages take `own_ferretdb`."""
    server = FerretDB(ferretdb_binary, tmp_path_factory.mktemp("ferretdb"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def mongodb_url(ferretdb: FerretDB) -> str:
    """Address of a database that no other test uses."""
    return f"{ferretdb.address}/t_{uuid.uuid4().hex}"


@pytest.fixture
def own_ferretdb(ferretdb_binary: Path, tmp_path: Path) -> Iterator[FerretDB]:
    """A server of the test's own, running: to be killed, hung and started again."""
    folder = tmp_path / "ferretdb"
    folder.mkdir()
    server = FerretDB(ferretdb_binary, folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 where nobody listens: it is taken, so nobody else will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
