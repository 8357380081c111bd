"""No secret is in anything that a run says, shows or leaves behind, however it is run and however it ends.

Every secret setting holds a marked value; afterwards everything is searched for it: stdout, stderr, the screen, the
files of the folder that the program was started in, the process list, and the core file where there is one.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import pty
import resource
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import FerretDB, free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
BEARER, KEY, SECRET = "marked-bearer-8c1f", "marked-key-52aa", "marked+secret/9d0e="
PASSWORD, PSEUDONYM_KEY = "marked%40pass-77b3", "marked-pseudonym-key-0123456789abcdef"
MARKS = [
    mark.encode()
    for value in (BEARER, KEY, SECRET, PASSWORD, PSEUDONYM_KEY)
    for mark in (
        value,
        quote(value, safe=""),
        value.replace("%40", "@"),
        base64.b64encode(value.encode()).decode(),
    )
] + [base64.b64encode(f"{quote(KEY, safe='')}:{quote(SECRET, safe='')}".encode())]

# Logging of everything at its loudest, and bugs on demand, around the program itself.
PROGRAM = """
import faulthandler, logging, os, sys
faulthandler.enable()
if os.environ.get("LOUD"):
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    for name in ("tweepy", "urllib3", "requests", "requests_oauthlib", "pymongo", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
def bug(place):
    module, _, name = place.rpartition(":")
    owner, _, attribute = name.rpartition(".")
    target = __import__(module, fromlist=["x"])
    if owner:
        target = getattr(target, owner)
    def broken(*args, **more):
        values = {**{str(n): arg for n, arg in enumerate(args)}, **more}
        secret = os.environ.get("MARK")
        raise RuntimeError("an injected bug")
    setattr(target, attribute, broken)
if place := os.environ.get("BUG"):
    bug(place)
import tui.cli
sys.exit(tui.cli.main())
"""

CORES_ALLOWED = 'ulimit -S -c "$(ulimit -H -c)"; exec "$@"'


class Way:
    """One way to run the program, in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str, url: str = "", **environ: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "home").mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")}
        self.env = kept | {"HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "home" / "config"),
                           "XDG_DATA_HOME": str(folder / "home" / "data"), "PYTHONPATH": str(ROOT),
                           "TEXTUAL_ANIMATIONS": "none"} | environ  # fmt: skip
        if url:
            self.env["BIEBER_TUI_X__BASE_URL"] = url
        self.command = ["sh", "-c", CORES_ALLOWED, "sh", sys.executable, "-c", PROGRAM, *arguments]
        self.process: subprocess.Popen | None = None

    def start(self) -> subprocess.Popen:
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                self.command, env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        return self.process

    def end(self, code: int | None = None, *, stop: bool = False) -> None:
        process = self.process or self.start()
        assert not marked(Path(f"/proc/{process.pid}/cmdline").read_bytes())
        if stop:
            process.send_signal(signal.SIGTERM)
        returned = process.wait(120)
        assert code is None or returned == code, self.said()

    def said(self) -> str:
        return "".join((self.folder / name).read_text(errors="replace") for name in ("out", "err"))


def marked(content: bytes) -> list[bytes]:
    return [mark for mark in MARKS if mark in content]


def nothing_left(folder: Path) -> None:
    """No file below the folder has a secret in it; there are some."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 2
    found = {str(path): marked(path.read_bytes()) for path in files}
    assert not any(found.values()), {path: marks for path, marks in found.items() if marks}


def secrets(store: str = "") -> dict[str, str]:
    return {
        "BIEBER_TUI_X__BEARER_TOKEN": BEARER,
        "BIEBER_TUI_X__CONSUMER_KEY": KEY,
        "BIEBER_TUI_X__CONSUMER_SECRET": SECRET,
        "BIEBER_TUI_PRIVACY__KEY": PSEUDONYM_KEY,
        "BIEBER_TUI_STORE": store,
        "MARK": BEARER,
    }


def store_at(port: int, options: str = "") -> str:
    return f"mongodb://user:{PASSWORD}@127.0.0.1:{port}/db{options}"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(rate=50, tokens=(BEARER,), payload="rich", faults=("40:cut",))) as sim:
        yield sim


QUIET_AND_LOUD = pytest.mark.parametrize("loud", ["", "1"], ids=["as it is", "with every debug log"])


@QUIET_AND_LOUD
def test_a_capture_that_runs_loses_its_store_and_is_stopped(tmp_path, sim, loud):
    way = Way(tmp_path / "way", "--no-ui", "--json", "--log-format", "json", "--data-dir", "data",
              "--set", "mongodb.timeout=0.5", "--set", "privacy.pseudonymise=true",
              url=sim.url, LOUD=loud, **secrets(store_at(free_port())))  # fmt: skip
    way.start()
    wait_until(lambda: '"down"' in way.said() or "does not listen" in way.said())
    wait_until(lambda: len(sim.connections) > 1)
    way.end(0, stop=True)
    assert json.loads((way.folder / "out").read_text())["run"]["consumed"] > 0
    assert not loud or "DEBUG" in way.said()
    nothing_left(way.folder)


@QUIET_AND_LOUD
@pytest.mark.parametrize("fault", ["c1:http-401", "c1:http-403-wrong-auth", "c1:http-402"])
def test_a_refusal_of_x(tmp_path, fault, loud):
    with Simulator(SimulatorOptions(tokens=(BEARER,), faults=(fault,))) as sim:
        way = Way(tmp_path / "way", "--no-ui", "--json", "--data-dir", "data", url=sim.url, LOUD=loud, **secrets())
        way.end(3)
    nothing_left(way.folder)


@QUIET_AND_LOUD
def test_a_key_pair_that_is_refused(tmp_path, sim, loud):
    pair = {name: value for name, value in secrets().items() if "BEARER" not in name}
    Way(tmp_path / "run", "--no-ui", "--json", "--data-dir", "data", url=sim.url, LOUD=loud, **pair).end(3)
    Way(tmp_path / "check", "check", "--data-dir", "data", url=sim.url, LOUD=loud, **pair).end(3)
    assert "does not accept the app's key" in (tmp_path / "run" / "err").read_text()
    nothing_left(tmp_path)


@pytest.mark.needs_go
@QUIET_AND_LOUD
def test_a_store_that_refuses_the_password(tmp_path, sim, ferretdb: FerretDB, loud):
    store = store_at(ferretdb.port, "?authSource=admin")
    Way(tmp_path / "run", "--no-ui", "--json", "--data-dir", "data", url=sim.url, LOUD=loud, **secrets(store)).end(
        4
    )
    Way(tmp_path / "check", "check", "--data-dir", "data", url=sim.url, LOUD=loud, **secrets(store)).end(4)
    nothing_left(tmp_path)


WRONG = {
    "a secret on the command line": (["--set", f"x.bearer_token={BEARER}"], {}),
    "a password on the command line": (["--store", store_at(1)], {}),
    "no separator": (["--set", f"x.bearer_token:{BEARER}"], {}),
    "a flag that does not exist": (["--bearer-token", BEARER], {}),
    "a flag with a value": ([f"--token={BEARER}"], {}),
    "a setting that does not exist": (["--set", f"x.bearer={BEARER}"], {}),
    "a misspelt variable": (["--no-ui"], {"BIEBER_TUI_X__BEARER_TOKN": BEARER}),
    "an address that cannot be read": ([], {"BIEBER_TUI_STORE": f"mongodb://user:{PASSWORD}@/x@y/z"}),
    "an address with a wrong option": ([], {"BIEBER_TUI_STORE": store_at(1, "?nosuch=1")}),
    "an address of another kind": ([], {"BIEBER_TUI_STORE": f"redis://user:{PASSWORD}@h"}),
    "an address that verifies nothing": ([], {"BIEBER_TUI_STORE": store_at(1, "?tls=true&tlsInsecure=true")}),
    "a token with blanks": (["--no-ui"], {"BIEBER_TUI_X__BEARER_TOKEN": f"{BEARER} {BEARER}"}),
    "a key that is too short": (["--no-ui", "--set", "privacy.pseudonymise=true"], {"BIEBER_TUI_PRIVACY__KEY": KEY}),
    "a base address with a password": (["--no-ui"], {"BIEBER_TUI_X__BASE_URL": f"https://user:{PASSWORD}@h"}),
    "a profile that is none": (["--profile", "broken.toml"], {}),
    "a profile with wrong types": (["--profile", "wrong.toml"], {}),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage(tmp_path, case):
    arguments, environ = WRONG[case]
    way = Way(tmp_path / "way", *arguments, "--data-dir", "data", **environ)
    profiles = {"broken.toml": f'[x]\nbearer_token = "{BEARER}', "wrong.toml": f'[x]\nbearer_token = ["{BEARER}"]'}
    for name, text in profiles.items():
        (way.folder / name).write_text(text)
    process = subprocess.run(way.command, env=way.env, cwd=way.folder, capture_output=True)
    assert process.returncode == 2, process.stderr
    assert not marked(process.stdout + process.stderr), process.stderr.decode()


@pytest.mark.parametrize(
    "place",
    [
        "core.opinion:_hash",  # the writer's thread
        "core.sources.x.body:LineBody.feed",  # the source's thread
        "core.sources.x.auth:Credentials.token",  # with the secrets in its hands
        "core.sinks.mongodb:MongodbSink._connect",  # the sink's thread
        "core.capture:Capture.start",  # the main thread: Python's own traceback
        "core.settings:load",
    ],
)
def test_a_bug(tmp_path, sim, place):
    way = Way(tmp_path / "way", "--no-ui", "--json", "--data-dir", "data",
              url=sim.url, BUG=place, LOUD="1", **secrets(store_at(free_port())))  # fmt: skip
    way.end(1)
    assert "an injected bug" in way.said()
    nothing_left(way.folder)


def test_secrets_given_by_reference_are_not_even_in_the_environment_of_the_process(tmp_path, sim):
    (tmp_path / "token").write_text(BEARER)
    (tmp_path / "key").write_text(PSEUDONYM_KEY)
    way = Way(tmp_path / "way", "--no-ui", "--json", "--data-dir", "data", url=sim.url,
              BIEBER_TUI_X__BEARER_TOKEN=f"file:{tmp_path / 'token'}", BIEBER_TUI_PRIVACY__PSEUDONYMISE="true",
              BIEBER_TUI_PRIVACY__KEY=f"file:{tmp_path / 'key'}")  # fmt: skip
    process = way.start()
    wait_until(lambda: "connected" in way.said())
    assert not marked(Path(f"/proc/{process.pid}/environ").read_bytes())
    listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True).stdout
    assert b"--no-ui" in listed
    assert not marked(listed)
    way.end(0, stop=True)
    nothing_left(way.folder)


# Whether a core of a process that may have one lands in its working folder on this machine.
CORES_HERE = (
    Path("/proc/sys/kernel/core_pattern").read_text().strip() == "core"
    and resource.getrlimit(resource.RLIMIT_CORE)[1] == resource.RLIM_INFINITY
)


@pytest.mark.parametrize("raised", [False, True], ids=["as it is", "with the limit raised again"])
def test_a_crash_leaves_no_memory_behind(tmp_path, sim, raised):
    """SIGABRT in full run, where cores are allowed and go to the working folder."""
    way = Way(tmp_path / "way", "--no-ui", "--data-dir", "data", url=sim.url,
              **secrets(store_at(free_port())))  # fmt: skip
    process = way.start()
    wait_until(lambda: "connected" in way.said())
    if raised:  # as a crash handler behind a pipe has it, which does not ask for the limit
        limit = resource.prlimit(process.pid, resource.RLIMIT_CORE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (limit, limit))
    process.send_signal(signal.SIGABRT)
    # faulthandler reads the other threads' frames while they run, and may die of that: as dead, as silent
    assert process.wait(120) in (-signal.SIGABRT, -signal.SIGSEGV), way.said()
    assert "Fatal Python error: Aborted" in way.said()  # faulthandler's words, without values
    cores = [path for path in way.folder.iterdir() if path.name.startswith("core")]
    if CORES_HERE:
        assert bool(cores) == raised
    assert all(path.stat().st_size < 4_000_000 for path in cores)
    nothing_left(way.folder)


@pytest.mark.parametrize("mask", ["000", "022", "377"])
def test_every_file_of_a_run_is_its_owners_alone_whatever_the_umask(tmp_path, sim, mask):
    """While it runs, after a kill, after a stop, and of the demo: all that is made, anywhere."""
    way = Way(tmp_path / "way", "--no-ui", "--data-dir", "deep/data", "--set", "privacy.pseudonymise=true",
              url=sim.url, BIEBER_TUI_X__BEARER_TOKEN=BEARER, TMPDIR=str(tmp_path / "tmp"))  # fmt: skip
    (tmp_path / "tmp").mkdir()
    way.command[2] = f"umask {mask}; {way.command[2]}"
    deep = way.folder / "deep" / "data"
    for number in (signal.SIGKILL, signal.SIGTERM):
        way.start()
        wait_until(lambda: "connected" in way.said() and (deep / "journal.sqlite-wal").exists())
        wait_until(lambda: (deep / "journal.sqlite-wal").stat().st_size > 0)
        _private(way.folder / "deep", at_least=4)
        way.process.send_signal(number)
        way.process.wait(120)
        _private(way.folder / "deep", at_least=2)
    assert "stopped by SIGTERM" in way.said()
    _private(way.folder / "home", at_least=1)  # the key of the pseudonyms
    demo = Way(tmp_path / "demo", "demo", "--no-ui", "--duration", "20", TMPDIR=str(tmp_path / "tmp"))
    demo.command[2] = f"umask {mask}; {demo.command[2]}"
    demo.start()
    wait_until(lambda: "connected" in demo.said())
    _private(*(tmp_path / "tmp").glob("bieber-tui-demo-*"), at_least=3)
    demo.end(0, stop=True)
    assert list((tmp_path / "tmp").iterdir()) == []


def _private(folder: Path, *, at_least: int) -> None:
    made = [path for path in folder.rglob("*") if path != folder]
    files = [path for path in made if not path.is_dir()]
    assert len(files) >= at_least
    modes = {str(path.relative_to(folder)): path.lstat().st_mode & 0o777 for path in made}
    wrong = {name: oct(mode) for name, mode in modes.items() if mode not in (0o600, 0o700)}
    assert not wrong
    assert all(path.lstat().st_mode & 0o777 == 0o600 for path in files)


def screen(way: Way, until: bytes, *keys: bytes) -> bytes:
    """The program on a terminal: everything that it ever sent there, keys being pressed once it shows `until`."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        way.command, env=way.env | {"TERM": "xterm-256color"}, cwd=way.folder,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen, waiting, end = b"", list(keys), time.monotonic() + 90
    next_key = 0.0
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        if until in seen and waiting and time.monotonic() > next_key:
            os.write(ours, waiting.pop(0))
            next_key = time.monotonic() + 0.7
        if process.poll() is not None and not select.select([ours], [], [], 0.2)[0]:
            break
    assert not marked(Path("/proc/self/cmdline").read_bytes())
    process.kill()
    process.wait()
    os.close(ours)
    return seen


def test_the_dashboard_and_its_dialogs(tmp_path, sim):
    way = Way(tmp_path / "way", "--data-dir", "data", "--set", "mongodb.timeout=0.5",
              url=sim.url, **secrets(store_at(free_port())))  # fmt: skip
    seen = screen(way, b"POSTS/S", b"\r", b"\x1b", b"l", b"\x1b", b"?", b"\x1b", b"k", b"\x1b", b"q")
    assert b"POSTS/S" in seen
    assert not marked(seen)
    assert (way.folder / "data" / "journal.sqlite").exists()
    (way.folder / "screen").write_bytes(seen)
    nothing_left(way.folder)


def test_a_bug_of_the_dashboard_shows_no_values(tmp_path, sim):
    way = Way(tmp_path / "way", "--data-dir", "data", url=sim.url, BUG="tui.app:draw_header",
              **secrets(store_at(free_port())))  # fmt: skip
    seen = screen(way, b"an injected bug")
    assert b"an injected bug" in seen
    assert b"locals" not in seen
    assert not marked(seen)


def test_settings_and_help_show_no_value(tmp_path):
    for number, arguments in enumerate((["settings"], ["--help"], ["check", "--help"], ["--version"])):
        way = Way(tmp_path / str(number), *arguments, **secrets(store_at(1)))
        way.end(0 if arguments[0] == "settings" else None)
        nothing_left(way.folder)


def test_no_setting_switches_off_the_verification_of_certificates():
    from core.settings import describe

    named = [
        name for name, _, _ in describe() for word in ("insecure", "verify", "tls", "ssl", "cert") if word in name
    ]
    assert named == []
    sources = [path.read_text() for path in (*ROOT.glob("core/**/*.py"), *ROOT.glob("tui/**/*.py"))]
    assert len(sources) > 80
    for insecure in ("verify=False", "CERT_NONE", "check_hostname = False", "_create_unverified_context"):
        assert not [text for text in sources if insecure in text]
