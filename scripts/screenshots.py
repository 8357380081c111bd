"""Make screenshots/*.svg from the real app, and PNGs beside them where Chromium is installed.

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["TEXTUAL_ANIMATIONS"] = "none"

from rich.cells import cell_len  # noqa: E402

from core.settings import Settings, UiSettings  # noqa: E402
from tests.ui import scenes  # noqa: E402
from tui.app import Dashboard  # noqa: E402
from tui.controls import Controls  # noqa: E402

CELL = (12.2, 24.4)  # pixels of a cell in Textual's SVG, about


@dataclass(frozen=True)
class Shot:
    """One picture: who is watched, how large the terminal is, which keys are pressed before."""

    name: str
    controls: Callable[[], Controls]
    size: tuple[int, int] = (120, 40)
    theme: str = "bieber"
    keys: tuple[str, ...] = ()


def _state(name: str) -> Callable[[], Controls]:
    return lambda: scenes.FakeControls(scenes.STATES[name])


SHOTS = (
    Shot("dashboard", _state("live")),
    Shot("dashboard-80x24", _state("live"), (80, 24)),
    Shot("dashboard-200x60", _state("live"), (200, 60)),
    Shot("dashboard-60x15", _state("live"), (60, 15)),
    Shot("dashboard-light", _state("live"), theme="bieber-light"),
    Shot("dashboard-ansi", _state("live"), theme="ansi-dark"),
    Shot("empty", _state("empty")),
    Shot("frozen", _state("live"), keys=("up", "up", "up", "up")),
    Shot("waiting", _state("waiting")),
    Shot("store-down", _state("store-down")),
    Shot("stopped", _state("stopped")),
    Shot("keywords", _state("live"), keys=("k", "end", *" OR #jb")),
    Shot("detail", _state("live"), keys=("up", "up", "enter")),
    Shot("filter", _state("live"), keys=("t", "slash", *"justin")),
    Shot("help", _state("live"), keys=("question_mark",)),
)


async def take(shot: Shot, folder: Path) -> Path:
    """Run the app without a terminal, press the keys, keep what it shows."""
    app = Dashboard(shot.controls(), Settings(ui=UiSettings(theme=shot.theme)))
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
    for shot in SHOTS:
        if options.names and shot.name not in options.names:
            continue
        path = asyncio.run(take(shot, options.out))
        if options.png:
            to_png(path.resolve(), shot.size)
        print(path)


if __name__ == "__main__":
    main()
