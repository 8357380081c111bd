"""What a start loads: modules are what it waits for, so these lists are its budget. Counted, not timed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import ROOT

# Packages, with what they bring along.
TWEEPY = {
    "tweepy",
    "requests",
    "requests_oauthlib",
    "oauthlib",
    "urllib3",
    "idna",
    "certifi",
    "charset_normalizer",
}
SETTINGS = {"platformdirs"}
POSTS = {"msgspec", "typing_extensions"}

TELL = "import sys; sys.stderr.write('LOADED ' + repr(sorted(sys.modules)) + '\\n')"
TELL_DATACLASSES = """
import sys
ours = [module for name, module in sys.modules.items() if name.startswith("core.")]
found = {thing.__qualname__ for module in ours for thing in vars(module).values() if hasattr(thing, "__dataclass_fields__")}
sys.stderr.write("LOADED " + repr(sorted(found)) + "\\n")
"""


def loaded(program: str, *arguments: str, **environ: str) -> set[str]:
    """The modules that are loaded when the program writes TELL, without those of a bare interpreter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BIEBER_TUI_", "COVERAGE_"))}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**kept, **environ}, cwd=ROOT, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "LOADED" in done.stderr, done.stderr
    return set(ast.literal_eval(done.stderr.partition("LOADED ")[2].partition("\n")[0])) - bare()


def bare() -> set[str]:
    """What an interpreter of this environment loads before it begins."""
    command = [sys.executable, "-c", "import sys; print(sorted(sys.modules))"]
    return set(ast.literal_eval(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def packages(modules: set[str]) -> set[str]:
    """The packages of others among these modules."""
    tops = {name.partition(".")[0] for name in modules}
    ours_and_generated = {name for name in tops if name in {"core", "tui", "cython_runtime"} or name[0] in "_$"}
    return tops - set(sys.stdlib_module_names) - ours_and_generated


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_a_word_about_the_program_loads_no_package_at_all(flag):
    modules = loaded(
        f"import atexit; atexit.register(lambda: exec({TELL!r})); import tui.cli; tui.cli.main()", flag
    )
    assert packages(modules) == set()
    assert {name for name in modules if name.startswith(("core.", "tui."))} == {
        "core.errors", "core.plain", "core.private", "tui.cli",
    }  # fmt: skip


def until_connected(tell: str, folder: Path) -> set[str]:
    """What `tell` tells at the moment at which a capture is connected."""
    program = (
        "import tui.cli\n"
        "import core.sources.x.source as source\n"
        "opened = source._Connection.opened\n"
        f"source._Connection.opened = lambda self: (exec({tell!r}, {{}}), opened(self))[1]\n"
        "tui.cli.main()"
    )
    with Simulator(SimulatorOptions(posts=0)) as simulator:
        return loaded(
            program, "--no-ui", "--duration", "0.1", "--data-dir", str(folder), "--set",
            f"x.base_url={simulator.url}", BIEBER_TUI_X__BEARER_TOKEN=simulator.options.tokens[0],
        )  # fmt: skip


def test_until_it_is_connected_a_capture_loads_the_client_the_settings_and_no_more(tmp_path):
    modules = until_connected(TELL, tmp_path)
    assert packages(modules) <= TWEEPY | SETTINGS | POSTS
    assert not modules & {
        "asyncio",
        "multiprocessing",
        "tomllib",
        "curses",
        "difflib",
        "statistics",
        "subprocess",
        "core.simulator",
        "core.attach.viewer",
    }
    assert {name for name in modules if name.startswith("tui.")} == {"tui.cli"}


def test_what_it_loads_until_then_are_no_dataclasses(tmp_path):
    """Each costs a start a millisecond, compiled or not: a msgspec.Struct costs a tenth of that."""
    found = until_connected(TELL_DATACLASSES, tmp_path)
    assert not found


def test_nothing_is_written_or_connected_to_by_loading(tmp_path):
    """Every module of ours, in one process that may do nothing of the kind."""
    names = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for part in ("core", "tui")
        for file in sorted((ROOT / part).rglob("*.py"))
        if file.stem != "__main__"
    ]
    assert len(names) > 100
    program = f"""
import importlib, os, sys

FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "sqlite3.connect",
             "subprocess.Popen", "os.fork", "os.mkdir", "os.remove", "os.rename", "os.chmod", "shutil.move")

def forbid(event, arguments):
    write = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    compiled = write and ".pyc" in str(arguments[0])
    if event in FORBIDDEN or (write and not compiled):
        raise RuntimeError(f"{{event}} {{arguments}}")

def missing(name):
    return name.partition(".")[0] in ("aiohttp", "textual_serve", "aiohttp_jinja2")  # of an extra

sys.addaudithook(forbid)
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not missing(error.name):
            raise
exec({TELL!r})
"""
    modules = loaded(program, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))
    assert {"core.capture", "tui.app"} <= modules
    assert list(Path(tmp_path).iterdir()) == []
