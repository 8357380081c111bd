"""The attach view in a browser: who may come in, and a real Chromium that shows a real capture."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from core.attach import wire
from core.simulator.server import Simulator
from tests.conftest import PATIENCE, wait_until
from tests.integration.test_main_job import Program, options
from tui.serve import Gate

aiohttp = pytest.importorskip("aiohttp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The data folder of a capture that runs."""
    place = tmp_path_factory.mktemp("serve") / "data"
    with Simulator(options(rate=30)) as simulator:
        running = Program(simulator, place)
        wait_until((place / wire.FILE_NAME).exists)
        yield place
        assert running.process.poll() is None, "a browser ended the capture"
        running.stop()


class Serving:
    """`bieber-tui serve` in a process of its own, with the address that it told."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui.cli", "serve", "--data-dir", str(folder), "--port", "0", *flags],
            stderr=subprocess.PIPE, text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")},
        )  # fmt: skip
        told = self.process.stderr.readline()
        found = re.search(r"open (http://(\S+?)/(\?token=(\S+))?)\s", told)
        assert found, told + self.process.stderr.read()
        self.url, self.host, self.token = found[1], found[2], found[4] or ""
        wait_until(lambda: get(self, "/static/css/xterm.css?token=" + self.token)[0] in (200, 302))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0


def get(serving: Serving, path: str, **headers: str):
    """Status, headers and body of one request."""

    async def ask():
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(
                    f"http://{serving.host}{path}", headers=headers, allow_redirects=False
                ) as answer:
                    return answer.status, answer.headers, await answer.text()
            except aiohttp.ClientConnectorError:
                return 0, {}, ""

    return asyncio.run(ask())


def test_on_loopback_the_page_needs_no_token_and_loads_nothing_from_elsewhere(folder):
    with Serving(folder) as serving:
        status, _, page = get(serving, "/")
        assert status == 200
        assert serving.token == ""
        addresses = re.findall(r"(?:https?|wss?)://[^\"'\s]+", page)
        assert addresses
        assert all(address.split("://")[1].startswith(serving.host) for address in addresses)


@pytest.mark.parametrize(
    "headers", [{"Host": "attacker.example"}, {"Origin": "https://attacker.example"}, {"Origin": "null"}]
)
def test_another_sites_page_does_not_get_in(folder, headers):
    with Serving(folder) as serving:
        for path in ("/", "/ws", "/static/css/xterm.css"):
            assert get(serving, path, **headers)[0] == 403


def test_a_view_that_can_steer_needs_its_token(folder):
    with Serving(folder, "--writable") as serving:
        assert len(serving.token) >= 32
        for path in ("/", "/ws", "/static/css/xterm.css", "/?token=wrong", "/?token="):
            status, _, text = get(serving, path)
            assert status == 403
            assert serving.token not in text
        status, headers, _ = get(serving, f"/?token={serving.token}")
        assert (status, headers["Location"]) == (302, "/")  # out of the address bar
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert get(serving, "/", Cookie=cookie.split(";")[0])[0] == 200


def test_the_gate_asks_for_a_token_away_from_loopback():
    gate = Gate("https://watch.example.org", "secret")
    assert gate.refuses("watch.example.org", "https://watch.example.org", "secret") == ""
    assert "token" in gate.refuses("watch.example.org", None, "")


def viewers(folder):
    """The command lines of the viewers that run."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = process.read_bytes().decode().split("\0")
            if "attach" in words and str(folder) in words:
                found.append(words)
    return found


def test_a_browser_window_gets_a_read_only_viewer_that_ends_with_it(folder):
    async def look(serving):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://{serving.host}/ws?width=120&height=40", max_msg_size=0) as socket,
        ):
            seen = b""
            while b"READ-ONLY" not in seen or b"POSTS/S" not in seen:
                message = await socket.receive(timeout=120)
                assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
                seen += message.data if isinstance(message.data, bytes) else message.data.encode()
            running = viewers(folder)
            await socket.send_json(["stdin", "p"])  # pause: refused
            while b"read-only" not in seen:
                message = await socket.receive(timeout=120)
                seen += message.data if isinstance(message.data, bytes) else message.data.encode()
            return running

    with Serving(folder) as serving:
        running = asyncio.run(look(serving))
        assert len(running) == 1
        assert "--read-only" in running[0]
        wait_until(lambda: not viewers(folder))


class Chromium:
    """A browser with one page, asked over its debugging protocol."""

    def __init__(self, profile: Path, url: str) -> None:
        self._profile = profile
        self._process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,800",
             "--remote-debugging-port=0", f"--user-data-dir={profile}", url],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        told = profile / "DevToolsActivePort"
        wait_until(lambda: told.exists() and told.read_text().count("\n") >= 1)
        self.port = int(told.read_text().split()[0])

    async def picture(self, size: int) -> bytes:
        """The page once its terminal has had its first bytes and its picture is of that size, as PNG; or the last."""
        end = time.monotonic() + PATIENCE
        async with aiohttp.ClientSession() as session:
            pages: list[dict] = []
            while not pages and time.monotonic() < end:
                async with session.get(f"http://127.0.0.1:{self.port}/json") as answer:
                    pages = [page for page in await answer.json(content_type=None) if page["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as page:

                async def ask(method: str, **params):
                    await page.send_json({"id": 1, "method": method, "params": params})
                    while (answer := await page.receive_json(timeout=120)).get("id") != 1:
                        pass
                    return answer["result"]

                shown = "document.body.classList.contains('-first-byte')"
                while not (await ask("Runtime.evaluate", expression=shown))["result"].get("value"):
                    assert time.monotonic() < end, "the terminal in the page stayed empty"
                    await asyncio.sleep(0.1)
                picture = b""
                while len(picture) < size and time.monotonic() < end:
                    await asyncio.sleep(0.5)
                    picture = base64.b64decode((await ask("Page.captureScreenshot"))["data"])
                return picture

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(120)


def test_a_viewer_whose_server_was_killed_ends(folder):
    async def look(serving):
        async with aiohttp.ClientSession() as session, session.ws_connect(f"http://{serving.host}/ws") as socket:
            while b"POSTS/S" not in (await socket.receive(timeout=120)).data:
                pass
            serving.process.kill()

    serving = Serving(folder)
    asyncio.run(look(serving))
    serving.process.wait(120)
    wait_until(lambda: not viewers(folder))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium package")
def test_chromium_shows_the_capture(folder, tmp_path):
    with Serving(folder) as serving:
        browser = Chromium(tmp_path / "profile", serving.url)
        try:
            picture = asyncio.run(browser.picture(40_000))
        finally:
            browser.close()
    (tmp_path / "page.png").write_bytes(picture)
    assert len(picture) >= 40_000  # an empty page has less than a tenth of that


def test_without_the_extra_the_words_say_what_to_install(tmp_path):
    probe = "import sys; sys.modules['textual_serve'] = None; from tui.cli import main; sys.exit(main(['serve']))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 2
    assert "bieber-tui[web]" in done.stderr
