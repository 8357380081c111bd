"""The dashboard's own themes, and its inks in anybody's theme.

One accent. Green is only for the sign of a connection that is well, amber for waiting and behind, red for stopped
and lost. The 16-colour themes use the terminal's own colours and its own background.
"""

from __future__ import annotations

from textual.color import Color
from textual.theme import Theme

DARK = Theme(
    name="bieber",
    dark=True,
    primary="#b794f6",
    secondary="#8f84ad",
    accent="#b794f6",
    foreground="#dcd7e8",
    background="#13111a",
    surface="#1b1825",
    panel="#242032",
    success="#74d69b",
    warning="#f2bd62",
    error="#ff6f82",
    variables={
        "ink-dim": "#8b84a0",
        "ink-faint": "#3a3450",
        "ink-author": "#a99fc6",
        "ink-plot": "#847aa3",
        "ink-match": "#cdb2ff",
        "ink-dim-match": "#9a88c2",
        "ink-cursor": "#2a2440",
        "footer-key-foreground": "#b794f6",
        "border": "#b794f6",
        "input-selection-background": "#b794f6 35%",
    },
)

LIGHT = Theme(
    name="bieber-light",
    dark=False,
    primary="#6d3fd1",
    secondary="#7a7191",
    accent="#6d3fd1",
    foreground="#2a2536",
    background="#fbfafd",
    surface="#f1eef7",
    panel="#e8e3f2",
    success="#1c8a4d",
    warning="#96600a",
    error="#c2213c",
    variables={
        "ink-dim": "#766e8a",
        "ink-faint": "#d3ccdf",
        "ink-author": "#5b4f78",
        "ink-plot": "#a89fbd",
        "ink-match": "#6d3fd1",
        "ink-dim-match": "#8a74b5",
        "ink-cursor": "#e6ddf8",
        "footer-key-foreground": "#6d3fd1",
        "border": "#6d3fd1",
        "input-selection-background": "#6d3fd1 25%",
    },
)

OWN = (DARK, LIGHT)


def ink_variables(theme: Theme) -> dict[str, str]:
    """The stylesheet's variables for the inks in a theme that does not set them itself."""
    if theme.ansi:
        return {
            "ink-dim": "ansi_bright_black",
            "ink-faint": "ansi_bright_black",
            "ink-author": "ansi_default",
            "ink-plot": "ansi_bright_black",
            "ink-match": theme.primary,
            "ink-dim-match": "ansi_bright_black",
            "ink-cursor": "ansi_default",
            "ink-accent": theme.primary,
            "ink-warn": "ansi_yellow",
            "ink-on-loud": "ansi_black",
        }
    generated = theme.to_color_system().generate()
    front, back = Color.parse(generated["foreground"]), Color.parse(generated["background"])
    accent = Color.parse(generated["primary"])
    return {
        "ink-dim": back.blend(front, 0.58).hex,
        "ink-faint": back.blend(front, 0.22).hex,
        "ink-author": back.blend(front, 0.75).hex,
        "ink-plot": back.blend(front, 0.5).hex,
        "ink-match": accent.hex,
        "ink-dim-match": back.blend(accent, 0.7).hex,
        "ink-cursor": back.blend(accent, 0.18).hex,
        "ink-accent": accent.hex,
        "ink-warn": generated["warning"],
        "ink-on-loud": back.hex,
    }
