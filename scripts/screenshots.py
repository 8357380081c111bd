"""Make screenshots/*.svg: the real app over a real capture of the simulator; PNGs beside them with --png.

scripts/screenshots.py [--out FOLDER] [--png] [NAME ...]
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["TEXTUAL_ANIMATIONS"] = "none"

from rich.cells import cell_len  # noqa: E402

from core.capture import Capture  # noqa: E402
from core.secret import SecretStr  # noqa: E402
from core.settings import Settings, UiSettings, XSettings  # noqa: E402
from core.simulator.options import SimulatorOptions  # noqa: E402
from core.simulator.server import Simulator  # noqa: E402
from tui.app import Dashboard  # noqa: E402
from tui.controls import Controls  # noqa: E402

CELL = (12.2, 24.4)  # pixels of a cell in Textual's SVG, about
SECONDS = 150.0  # how long the capture runs before the first picture


@dataclass(frozen=True)
class Shot:
    """One picture of the running capture: how large the terminal is, which keys are pressed before."""

    name: str
    size: tuple[int, int] = (120, 40)
    theme: str = "bieber"
    keys: tuple[str, ...] = ()


SHOTS = (
    Shot("dashboard-120x40"),
    Shot("dashboard-80x24", (80, 24)),
    Shot("dashboard-200x60", (200, 60)),
    Shot("dashboard-60x15", (60, 15)),
    Shot("dashboard-light", theme="bieber-light"),
    Shot("dashboard-ansi", theme="ansi-dark"),
    Shot("frozen", keys=("up", "up", "up", "up")),
    Shot("keywords", keys=("k", "end", *" OR #jb")),
    Shot("detail", keys=("up", "up", "enter")),
    Shot("reading", (160, 45), keys=("4", "up", "up")),
    Shot("filter", keys=("t", "slash", *"tour")),
    Shot("last-hour", keys=("w", "right")),
    Shot("health", keys=("h",)),
    Shot("help", keys=("question_mark",)),
)


async def take(shot: Shot, controls: Controls, folder: Path) -> Path:
    """Run the app without a terminal, press the keys, keep what it shows."""
    app = Dashboard(controls, Settings(ui=UiSettings(theme=shot.theme)))
    async with app.run_test(size=shot.size) as pilot:
        await pilot.pause(0.6)
        for key in shot.keys:
            await pilot.press({" ": "space", "#": "number_sign"}.get(key, key))
        await pilot.pause(0.4)
        svg = app.export_screenshot(title="bieber-tui")
    path = folder / f"{shot.name}.svg"
    path.write_text(_settled(svg), encoding="utf-8")
    return path


def _settled(svg: str) -> str:
    """The same picture is the same file, and wide characters have the room that a terminal gives them.

    Rich puts a random number into its class names, and counts characters where it means cells.
    """
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    return re.sub(
        r'textLength="[\d.]+"([^>]*)>([^<]*)<',
        lambda found: f'textLength="{cell_len(html.unescape(found[2])) * CELL[0]:.1f}"{found[1]}>{found[2]}<',
        svg,
    )


def to_png(svg: Path, size: tuple[int, int]) -> None:
    """Let Chromium paint the SVG."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text(encoding="utf-8"))
    width, height = (float(part) for part in box.groups()) if box else (size[0] * CELL[0], size[1] * CELL[1])
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("PNGs need Chromium: apt install chromium fonts-dejavu-core fonts-noto-color-emoji")
    subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         f"--window-size={round(width)},{round(height)}", f"--screenshot={svg.with_suffix('.png')}", svg.as_uri()],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def main() -> None:
    """Take the pictures that were asked for."""
    parser = argparse.ArgumentParser(description="Make the screenshots from the real app.")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--out", type=Path, default=ROOT / "screenshots")
    parser.add_argument("--png", action="store_true", help="PNGs too, with Chromium")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    out = options.out.resolve()
    options.names = set(options.names)
    with tempfile.TemporaryDirectory() as folder, _demo(Path(folder)) as capture:
        for shot in SHOTS:
            if options.names and shot.name not in options.names:
                continue
            path = asyncio.run(take(shot, capture, out))
            if options.png:
                to_png(path, shot.size)
            print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


@contextmanager
def _demo(folder: Path) -> Iterator[Capture]:
    """A real capture over the simulator, after a cut and minutes of posts."""
    os.chdir(folder)  # so that the folder's own name is all that a picture shows
    options = SimulatorOptions(
        seed=4, rate=25, duplicates=0.04, match=0.3, faults=("1500:disconnect-operational",)
    )
    with Simulator(options) as simulator:
        x = XSettings(base_url=simulator.url, bearer_token=SecretStr(options.tokens[0]))
        capture = Capture.open(Settings(x=x, data_dir=Path("bieber-tui-data")), demo=True)
        capture.start()
        time.sleep(SECONDS)
        try:
            yield capture
        finally:
            capture.stop()


if __name__ == "__main__":
    main()
