"""Every action of the dashboard, once: keys, help, palette, command line and tests are made from this table.

An action is done by the method `do_<id>` of the screen on top, or of one of the dashboard's parts (app.py).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Place(StrEnum):
    """Where a key is pressed; the same key may do different things in different places."""

    DASHBOARD = "the dashboard"
    FILTER = "the filter"
    POST = "an open post"
    SHEET = "a sheet"
    WINDOW = "the last hour"
    QUERY = "keywords and topic"
    COMMAND = "the command line"
    OTHER = "elsewhere"


READING, FEED, POSTS, CAPTURE, NUMBERS = "Reading", "Filter", "Post", "Capture", "Numbers and health"
REPLAY, SCREEN, PROGRAM = "Replay", "Screen", "Program"

_PAGES = (Place.DASHBOARD, Place.SHEET, Place.POST, Place.WINDOW)
_ONE_POST = (Place.DASHBOARD, Place.POST)
_ANYWHERE = tuple(Place)


class Action(msgspec.Struct, frozen=True):
    """One thing that the user can do.

    `id` is its name in the settings, on the command line and in the code; `keys` are Textual's names of keys, the
    first is the one shown. `label` is for the key bar (`relabel` is the label while the thing is on), empty for
    keys that everybody tries. `rank` says which labels the key bar drops first when it is narrow: the highest.
    `argument` is what the command line may give it, in words; empty when it takes nothing.
    """

    id: str
    keys: tuple[str, ...]
    group: str
    description: str
    label: str = ""
    relabel: str = ""
    rank: int = 9
    places: tuple[Place, ...] = (Place.DASHBOARD,)
    argument: str = ""

    @property
    def command(self) -> str:
        """Its name on the command line."""
        return self.id.replace("_", "-")


ACTIONS: tuple[Action, ...] = (
    Action(
        "freeze",
        ("space",),
        READING,
        "Freeze the feed, or follow the newest posts again; the capture goes on",
        label="freeze",
        relabel="follow",
        rank=1,
    ),
    Action("up", ("up",), READING, "Go one up; this freezes the feed", places=_PAGES),
    Action("down", ("down",), READING, "Go one down", places=_PAGES),
    Action("page_up", ("pageup", "ctrl+b"), READING, "Go one page up; this freezes the feed", places=_PAGES),
    Action("page_down", ("pagedown", "ctrl+f"), READING, "Go one page down", places=_PAGES),
    Action("oldest", ("home", "g"), READING, "Go to the oldest, or the top; this freezes the feed", places=_PAGES),
    Action("newest", ("end", "G"), READING, "Go to the newest, and follow", places=_PAGES),
    Action("next_match", ("n",), READING, "Go down to the next post that is looked for"),
    Action("previous_match", ("N",), READING, "Go up to the previous post that is looked for"),
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
    Action(
        "filter",
        ("slash",),
        FEED,
        "Filter the feed as you type; enter searches everything stored",
        label="filter",
        rank=5,
        argument="text",
    ),
    Action(
        "search", ("enter",), FEED, "Search everything stored for what the filter says", places=(Place.FILTER,)
    ),
    Action(
        "reading",
        ("tab",),
        FEED,
        "Read the filter as a text, as words, as a regular expression, as a query",
        places=(Place.FILTER,),
        argument="text, words, regex or query",
    ),
    Action("leave", ("down", "up"), FEED, "Keep the filter and go into the feed", places=(Place.FILTER,)),
    Action(
        "clear",
        ("escape",),
        FEED,
        "Leave the search, then clear the filter",
        places=(Place.DASHBOARD, Place.FILTER),
    ),
    Action(
        "mode",
        ("t",),
        FEED,
        "Show posts about the topic, these with what came around them, or all posts",
        label="matched/all",
        rank=4,
    ),
    Action("starred", ("S",), FEED, "Show only posts with a star, or all again"),
    Action(
        "open",
        ("enter",),
        POSTS,
        "Open the post under the cursor: the whole text, who, when, why",
        label="open",
        rank=6,
    ),
    Action("older", ("left",), POSTS, "Open the post before this one", places=(Place.POST,)),
    Action("newer", ("right",), POSTS, "Open the post after this one", places=(Place.POST,)),
    Action(
        "thread",
        ("f",),
        POSTS,
        "Open the post that this one answers, quotes or repeats",
        places=(Place.POST,),
    ),
    Action("raw", ("r",), POSTS, "Unfold the line that the source sent, or fold it", places=(Place.POST,)),
    Action("star", ("s",), POSTS, "Give the post a star, or take it away", places=_ONE_POST),
    Action("copy", ("y",), POSTS, "Copy the post's text", places=_ONE_POST),
    Action("copy_link", ("Y",), POSTS, "Copy the post's link", places=_ONE_POST),
    Action("browse", ("o",), POSTS, "Open the post in the browser; over SSH, copy its link", places=_ONE_POST),
    Action(
        "window",
        ("w",),
        NUMBERS,
        "The last hour: plots, spikes, and the tags, authors, links, languages and words of the posts",
        label="last hour",
        rank=7,
        argument="tags, authors, links, languages or words",
    ),
    Action(
        "only",
        ("enter",),
        NUMBERS,
        "Show only the posts of the name under the cursor; all that are stored, if memory does not reach back",
        places=(Place.WINDOW,),
        argument="a list and a name of it",
    ),
    Action("next_list", ("right", "tab"), NUMBERS, "Go to the next list", places=(Place.WINDOW,)),
    Action("previous_list", ("left",), NUMBERS, "Go to the list before", places=(Place.WINDOW,)),
    Action(
        "period",
        ("d",),
        NUMBERS,
        "Plot 5 minutes, 60 minutes, or 24 hours",
        places=(Place.DASHBOARD, Place.WINDOW),
        argument="5 min, 60 min or 24 h",
    ),
    Action("counters", ("c",), NUMBERS, "Count this run, or the whole life of the data folder"),
    Action(
        "health",
        ("h",),
        NUMBERS,
        "How it goes: connection, waits, lag, queue, stores, journal, limits, errors and what to do",
        label="health",
        rank=8,
    ),
    Action("gaps", ("H",), NUMBERS, "List the gaps: when, how long, why, filled or not"),
    Action("log", ("l",), CAPTURE, "Read the event log", label="log", rank=9),
    Action("export", ("e",), FEED, "Write the posts that are listed to files, JSON lines and CSV", rank=8),
    Action("step", ("full_stop",), REPLAY, "Hold the replay, and show one more post"),
    Action("rewind", ("left_square_bracket",), REPLAY, "Go back a minute of the recording"),
    Action("forward", ("right_square_bracket",), REPLAY, "Go forward a minute of the recording"),
    Action("slower", ("less_than_sign",), REPLAY, "Replay slower"),
    Action("faster", ("greater_than_sign",), REPLAY, "Replay faster"),
    Action("layout_1", ("1",), SCREEN, "Layout 1, overview: numbers, feed, connection, store, events"),
    Action("layout_2", ("2",), SCREEN, "Layout 2, feed: as many posts as the screen holds"),
    Action("layout_3", ("3",), SCREEN, "Layout 3, numbers: counters, plots and the right column get the room"),
    Action("layout_4", ("4",), SCREEN, "Layout 4, reading: the post under the cursor stays open beside the feed"),
    Action("zoom", ("z",), SCREEN, "Let the panel with the focus fill the screen, or put it back"),
    Action("next_panel", ("tab",), SCREEN, "Give the focus to the next panel"),
    Action("hide_numbers", ("f2",), SCREEN, "Hide the numbers, or show them"),
    Action("hide_side", ("f3",), SCREEN, "Hide the right column, or show it"),
    Action("hide_keys", ("f4",), SCREEN, "Hide the line of keys, or show it"),
    Action(
        "theme",
        ("T",),
        SCREEN,
        "Change the theme: dark, light, and the terminal's own colours",
        argument="name of a theme",
    ),
    Action(
        "close",
        ("escape", "q"),
        PROGRAM,
        "Close this",
        places=(Place.SHEET, Place.POST, Place.WINDOW, Place.QUERY, Place.COMMAND),
    ),
    Action("apply", ("enter",), CAPTURE, "Hand the new query to X", places=(Place.QUERY,)),
    Action("next_field", ("tab",), CAPTURE, "Go to the other field", places=(Place.QUERY,)),
    Action("earlier", ("up",), CAPTURE, "Take an earlier query, or command", places=(Place.QUERY, Place.COMMAND)),
    Action("later", ("down",), CAPTURE, "Take a later one", places=(Place.QUERY, Place.COMMAND)),
    Action("run", ("enter",), PROGRAM, "Run the command", places=(Place.COMMAND,)),
    Action("complete", ("tab",), PROGRAM, "Complete the command", places=(Place.COMMAND,)),
    Action("command", ("colon",), PROGRAM, "Type a command: an action by its name, with what it takes"),
    Action(
        "help",
        ("question_mark", "f1"),
        PROGRAM,
        "Show the keys of this place, then every key and what the numbers and signs mean",
        label="help",
        rank=0,
        places=_ANYWHERE,
    ),
    Action("palette", ("ctrl+p",), PROGRAM, "Find an action by its words", places=_ANYWHERE),
    Action(
        "quit",
        ("q", "ctrl+c"),
        PROGRAM,
        "Store what is pending and quit; nothing is lost",
        label="quit",
        rank=0,
    ),
)

BY_ID = {action.id: action for action in ACTIONS}
