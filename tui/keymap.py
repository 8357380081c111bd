"""Which key does what: one of the sets, changed by the user's settings (`ui.keymap`, `ui.keys`).

`resolve` gives the keys of every action, or a ConfigError in words: an action or a key that does not exist, a key
that would do two things in one place. ctrl+q always quits, so that no setting can lock anybody in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.keys import Keys as Known
from textual.keys import _character_to_key, format_key

from core.errors import ConfigError
from tui.actions import ACTIONS, BY_ID, Action, Place

ALWAYS_QUITS = "ctrl+q"

Given = str | Sequence[str]

SETS: dict[str, dict[str, tuple[str, ...]]] = {
    "default": {},
    "vim": {
        "up": ("k", "up"),
        "down": ("j", "down"),
        "page_up": ("ctrl+b", "ctrl+u", "pageup"),
        "page_down": ("ctrl+f", "ctrl+d", "pagedown"),
        "older": ("h", "left"),
        "newer": ("l", "right"),
        "previous_list": ("h", "left"),
        "next_list": ("l", "right", "tab"),
        "keywords": ("K",),
    },
    "emacs": {
        "up": ("ctrl+p", "up"),
        "down": ("ctrl+n", "down"),
        "page_up": ("alt+v", "pageup"),
        "page_down": ("ctrl+v", "pagedown"),
        "oldest": ("alt+less_than_sign", "home"),
        "newest": ("alt+greater_than_sign", "end"),
        "older": ("ctrl+b", "left"),
        "newer": ("ctrl+f", "right"),
        "filter": ("ctrl+s", "slash"),
        "clear": ("ctrl+g", "escape"),
        "close": ("ctrl+g", "escape", "q"),
        "copy": ("alt+w", "y"),
        "palette": ("alt+x",),
    },
}

# How people write keys, and how they are shown.
_WRITTEN = {
    "esc": "escape",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "return": "enter",
    "del": "delete",
    "bksp": "backspace",
}
_SHOWN = {"escape": "esc", "pageup": "pgup", "pagedown": "pgdn", "enter": "enter", "left": "←", "right": "→"}
_MODIFIERS = ("ctrl", "alt", "shift", "super", "hyper", "meta")
_NAMES = frozenset(key.value.rpartition("+")[2] for key in Known) | frozenset(
    _character_to_key(chr(code)) for code in range(0x20, 0x7F)
)


class Keys:
    """The keys of every action, in Textual's names."""

    def __init__(self, keys: Mapping[str, tuple[str, ...]]) -> None:
        self._keys = dict(keys)
        self._actions = {
            (place, key): action.id for action in ACTIONS for key in keys[action.id] for place in action.places
        }

    def of(self, action_id: str) -> tuple[str, ...]:
        """The keys of an action; empty when it was given none."""
        return self._keys[action_id]

    def at(self, place: Place, key: str) -> str | None:
        """The id of the action that a key does in a place."""
        return self._actions.get((place, key))

    def name(self, action_id: str) -> str:
        """The first key of an action as people write it; empty when it has none."""
        keys = self._keys[action_id]
        return key_name(keys[0]) if keys else ""

    def names(self, action_id: str) -> str:
        """All keys of an action as people write them."""
        return ", ".join(map(key_name, self._keys[action_id]))


def key_name(key: str) -> str:
    """A key as people write it: `/`, `esc`, `ctrl+f`."""
    *modifiers, last = key.split("+")
    named = _SHOWN.get(last) or (format_key(last) if len(last) > 1 else last)
    return "+".join([*modifiers, named if len(named) == 1 or last in _SHOWN else last])


def resolve(keymap: str = "default", given: Mapping[str, Given] | None = None) -> Keys:
    """The keys of a set with the user's own laid over it. Raises ConfigError."""
    if keymap not in SETS:
        raise ConfigError(f"there is no set of keys {keymap!r}", f"ui.keymap is one of: {', '.join(SETS)}.")
    keys = {action.id: SETS[keymap].get(action.id, action.keys) for action in ACTIONS}
    own: set[str] = set()
    for name, value in (given or {}).items():
        action_id = name.replace("-", "_")
        if action_id not in BY_ID:
            raise ConfigError(
                f"there is no action {name!r} to give a key to", f"ui.keys knows: {', '.join(sorted(BY_ID))}."
            )
        listed = value.split(",") if isinstance(value, str) and value.strip() != "," else value
        keys[action_id] = tuple(dict.fromkeys(_key(key, name) for key in listed if key.strip()))
        own.add(action_id)
    _refuse_conflicts(keys, own, keymap)
    return Keys(keys)


def _key(written: str, action: str) -> str:
    """A key as Textual calls it. Raises ConfigError when there is none of that name."""

    written = written.strip()
    *modifiers, last = [written] if len(written) == 1 else written.replace("++", "+plus").split("+")
    modifiers = [modifier.lower() for modifier in modifiers]
    if "ctrl" in modifiers:
        last = last.lower()  # a terminal cannot tell the two
    last = _character_to_key(last) if len(last) == 1 else _WRITTEN.get(last.lower(), last.lower())
    if (
        not last
        or (len(last) > 1 and last not in _NAMES)
        or any(modifier not in _MODIFIERS for modifier in modifiers)
    ):
        raise ConfigError(
            f"ui.keys.{action}: there is no key {written!r}",
            "A key is a character (G, ?, é) or a name (space, enter, tab, pageup, f5), with ctrl+, alt+ or shift+ "
            "before it if need be; several are separated by commas.",
        )
    return "+".join([*modifiers, last])


def _refuse_conflicts(keys: Mapping[str, tuple[str, ...]], own: set[str], keymap: str) -> None:
    taken: dict[tuple[Place, str], Action] = {}
    for action in ACTIONS:
        for key in keys[action.id]:
            if key == ALWAYS_QUITS:
                raise ConfigError(
                    f"ui.keys.{action.id}: {ALWAYS_QUITS} always quits", "Choose another key for it."
                )
            for place in action.places:
                other = taken.setdefault((place, key), action)
                if other is not action:
                    first, second = (other, action) if action.id in own else (action, other)
                    whose = "your settings" if first.id in own else f"the {keymap} set"
                    raise ConfigError(
                        f"the key {key_name(key)} would do two things in {place}: {second.id} (your settings) and "
                        f"{first.id} ({whose})",
                        f"Give one of them another key: --set ui.keys.{first.id}=…, or [ui.keys] in a profile.",
                    )
