"""Copying: to the clipboard of whoever looks, also over SSH and in tmux, and what a copied text may hold.

OSC 52 asks the terminal itself, wherever it is. tmux in its default settings takes no such request from a program
inside it, but hands its own buffer on to the terminal when it is asked to (`load-buffer -w`).
"""

from __future__ import annotations

import os
import subprocess
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.app import App

    from tui.jobs import Jobs


def plain(text: str) -> str:
    """The text as its author wrote it, without what could act where it is pasted: control characters, half
    surrogates, and marks that turn the direction of what follows."""
    return "".join(
        char
        for char in text
        if char in "\n\t" or (unicodedata.category(char) not in ("Cc", "Cs") and char not in _TURNS)
    )


_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def copy(app: App[int], jobs: Jobs, text: str, environ: Mapping[str, str] = os.environ) -> None:
    """Copy a text, from a job: inside tmux this blocks for a moment."""
    jobs.on_loop(app.copy_to_clipboard, text)
    if environ.get("TMUX"):
        try:
            subprocess.run(
                ["tmux", "load-buffer", "-w", "-"],  # noqa: S607 - the tmux that one sits in
                input=text.encode("utf-8", "replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=5,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            pass


def over_ssh(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this runs on another machine than the one that somebody sits at."""
    return bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
