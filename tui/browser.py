"""Opening a page in the browser of whoever sits at this machine; not where nobody does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from tui.clipboard import over_ssh


def why_not(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """Why no browser can be opened here; empty when one can."""
    if over_ssh(environ):
        return "this is an SSH session"
    if platform.startswith("linux") and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return "there is no desktop here"  # and a browser in this terminal would take the screen
    return ""


def open_page(url: str) -> bool:
    """Open an address in the user's browser. Blocks until it was handed over; False when that failed.

    In a process of its own: what a browser prints must not land on the screen.
    """
    command = [sys.executable, "-m", "webbrowser", "-t", url]
    try:
        done = subprocess.run(  # noqa: S603 - an address that we made
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
