"""Every action of the dashboard, once: bindings, key bar, help, palette and tests are all made from this table."""

from __future__ import annotations

from dataclasses import dataclass

FEED, CAPTURE, REPLAY, PROGRAM = "Feed", "Capture", "Replay", "Program"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that the user can do.

    `id` names the method `action_<id>` of the app; `keys` are Textual's names of keys, the first is the one shown.
    `label` is for the key bar (`relabel` is the label while the thing is on), empty for keys that everybody tries.
    `rank` says which labels the key bar drops first when it is narrow: the highest.
    """

    id: str
    keys: tuple[str, ...]
    group: str
    description: str
    label: str = ""
    relabel: str = ""
    rank: int = 9


ACTIONS: tuple[Action, ...] = (
    Action(
        "freeze",
        ("space",),
        FEED,
        "Freeze the feed, or follow the newest posts again; the capture goes on",
        label="freeze",
        relabel="follow",
        rank=1,
    ),
    Action(
        "pause",
        ("p",),
        CAPTURE,
        "Pause the capture, or resume it; X bills nothing while it is paused",
        label="pause capture",
        relabel="resume capture",
        rank=2,
    ),
    Action(
        "keywords",
        ("k",),
        CAPTURE,
        "Change the keywords and the topic, without a restart",
        label="keywords",
        rank=3,
    ),
    Action("filter", ("slash",), FEED, "Filter the feed as you type; escape clears", label="filter", rank=5),
    Action(
        "open",
        ("enter",),
        FEED,
        "Open the post under the cursor: the whole text, who, when, why",
        label="open",
        rank=6,
    ),
    Action(
        "mode",
        ("t",),
        FEED,
        "Show all posts, or only those about the topic",
        label="all posts",
        relabel="matched only",
        rank=4,
    ),
    Action("log", ("l",), CAPTURE, "Read the event log", label="log", rank=8),
    Action("up", ("up",), FEED, "Go one post up; this freezes the feed"),
    Action("down", ("down",), FEED, "Go one post down"),
    Action("page_up", ("pageup", "ctrl+b"), FEED, "Go one page up; this freezes the feed"),
    Action("page_down", ("pagedown", "ctrl+f"), FEED, "Go one page down"),
    Action("oldest", ("home", "g"), FEED, "Go to the oldest post in memory; this freezes the feed"),
    Action("newest", ("end", "G"), FEED, "Go to the newest post, and follow"),
    Action("clear", ("escape",), FEED, "Clear the filter; leave any dialog"),
    Action("step", ("full_stop",), REPLAY, "Hold the replay, and show one more post"),
    Action("rewind", ("left_square_bracket",), REPLAY, "Go back a minute of the recording"),
    Action("forward", ("right_square_bracket",), REPLAY, "Go forward a minute of the recording"),
    Action("slower", ("less_than_sign",), REPLAY, "Replay slower"),
    Action("faster", ("greater_than_sign",), REPLAY, "Replay faster"),
    Action("theme", ("T",), PROGRAM, "Change the theme: dark, light, and the terminal's own colours"),
    Action(
        "help",
        ("question_mark",),
        PROGRAM,
        "Show every key, and what the numbers and signs mean",
        label="help",
        rank=0,
    ),
    Action("palette", ("ctrl+p",), PROGRAM, "Find an action by its name"),
    Action(
        "quit",
        ("q", "ctrl+q", "ctrl+c"),
        PROGRAM,
        "Store what is pending and quit; nothing is lost",
        label="quit",
        rank=0,
    ),
)

_SHOWN = {
    "full_stop": ".",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "slash": "/",
    "question_mark": "?",
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
}


def key_name(key: str) -> str:
    """A key as people write it."""
    return _SHOWN.get(key, key)


def key_names(action: Action) -> str:
    """All keys of an action."""
    return ", ".join(key_name(key) for key in action.keys)
