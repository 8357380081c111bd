"""Every setting, once.

A setting has one dotted name and three spellings: `x.base_url` is `[x] base_url` in a TOML profile,
`BIEBER_TUI_X__BASE_URL` in the environment and `--set x.base_url=...` on the command line. The command line
wins over the environment, that over the profile, and that over the defaults written here.

A setting is written as its type, what limits or reads it, what it is in words, and its default. `load` converts
and refuses; the classes take what they are given. A secret may be given as itself or as a reference:
`file:/run/secrets/x-token` is read when the settings are loaded.
"""

# Annotations are read here as they are, so there is no `from __future__ import annotations`.

import os
import re
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import platformdirs
from msgspec import Meta, Struct, convert, field

from core.errors import ConfigError
from core.secret import SecretStr
from core.units import parse_keep, parse_size

ENV_PREFIX = "BIEBER_TUI_"

# Variables with our prefix that are no settings: for the Makefile and the tests, and the profile's name.
NOT_SETTINGS = frozenset({f"{ENV_PREFIX}CACHE", f"{ENV_PREFIX}CRASH", f"{ENV_PREFIX}PROFILE"})

SEE_LIST = "`bieber-tui settings` lists every setting."
_WORDS = {int: "a whole number", float: "a number", str: "a text"}
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")  # bytes that are no UTF-8 come from the system as half surrogates
LONGEST_SECRET = 64 * 1024  # bytes of its file
_YES, _NO = ("true", "yes", "on", "1", "t", "y"), ("false", "no", "off", "0", "f", "n")


def _path(written: str | Path) -> Path:
    """A path, `~` at its beginning resolved when it names somebody's home."""
    try:
        return Path(written).expanduser()
    except RuntimeError:
        return Path(written)


def _secret(value: Any) -> SecretStr | None:
    """A secret, given as itself or as `file:PATH`; an empty text is none, an empty file is a mistake."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError("it must be a text")
    if not value.startswith("file:"):
        return SecretStr(value)
    path = _path(value.removeprefix("file:"))
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_SECRET).decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        fault = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    else:
        if 0 < len(text) < LONGEST_SECRET:
            return SecretStr(text)
        fault = "it is too long for a secret" if text else "it is empty"
    raise ValueError(f"the secret's file {path} cannot be read: {fault}")


def _switch(value: Any) -> bool:
    """True or false, as people write it."""
    word = str(value).strip().lower()
    if word not in _YES + _NO:
        raise ValueError("it must be true or false")
    return word in _YES


def _folder(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip():
        raise ValueError("it must be the path of a folder")
    return _path(value)


def _keep(value: Any) -> str:
    """Refuse what `core.units.parse_keep` cannot read."""
    parse_keep(str(value))
    return str(value)


Secret = Annotated[SecretStr | None, _secret]
Switch = Annotated[bool, _switch]
Folder = Annotated[Path, _folder]
Bytes = Annotated[int, parse_size]
Posts = Annotated[int, Meta(ge=0, le=10**9)]
Span = Annotated[float, Meta(ge=0, le=86_400)]  # seconds; no clock of the system takes any number
Wait = Annotated[float, Meta(gt=0, le=86_400)]
Keep = Annotated[str, _keep]
# What makes the address of a store a secret: user:password@, or an option that holds one.
_PASSWORD = re.compile(r"://.*:.*@|[?&](tlsCertificateKeyFilePassword|authMechanismProperties)=", re.I | re.S)


class XSettings(Struct, frozen=True):
    """X's API, version 2."""

    base_url: Annotated[str, "where X's API answers"] = "https://api.x.com"
    bearer_token: Annotated[Secret, "the app's bearer token"] = None
    consumer_key: Annotated[Secret, "the app's key, exchanged for a bearer token"] = None
    consumer_secret: Annotated[Secret, "the app's key's secret"] = None
    backfill: Annotated[Switch, "fill gaps from recent search; X bills what is fetched"] = False
    backfill_wait: Annotated[Span, "seconds from a gap's end to its filling: search lags by half a minute"] = 45.0
    backfill_overlap: Annotated[
        Span, "seconds before and after a gap that are fetched too: posts come out of order"
    ] = 7.0
    backfill_max_posts: Annotated[Posts, "posts fetched for one gap at most"] = 5000
    backfill_max_posts_per_day: Annotated[Posts, "posts fetched in one day (UTC) at most"] = 20_000
    backfill_pauses: Annotated[Switch, "fill pauses too"] = False
    stall_after: Annotated[Wait, "seconds without a byte until the stream counts as stalled"] = 22.0
    connect_timeout: Annotated[Wait, "seconds to wait for a connection and its answer"] = 10.0


class JournalSettings(Struct, frozen=True):
    """The local file that every post lands in first."""

    scope: Annotated[Literal["matched", "all"], "keep matched posts, or all consumed ones"] = "matched"
    batch_size: Annotated[int, Meta(ge=1, le=100_000), "posts in one transaction at most"] = 1000
    batch_age: Annotated[float, Meta(ge=0.001, le=10), "seconds that a post waits for its batch at most"] = 0.1
    min_free: Annotated[Bytes, "warn when the disk has less free; at a tenth of it the disk counts as full"] = (
        200_000_000
    )
    when_full: Annotated[
        Literal["stop", "pause"],
        "when the disk is full: end with exit code 4, or close the stream until there is room",
    ] = "stop"
    keep: Annotated[
        Keep, "how long posts stay here: all, 90d, 10GB, or 90d or 10GB; never before the store has them"
    ] = "all"


class MongodbSettings(Struct, frozen=True):
    """The MongoDB store."""

    collection: Annotated[str, Meta(min_length=1), "collection that the posts go to"] = "posts"
    raw: Annotated[Switch, "store the raw line too"] = False
    batch_size: Annotated[int, Meta(ge=1, le=10_000), "documents in one insert at most"] = 1000
    timeout: Annotated[Wait, "seconds to wait for the server"] = 5.0


class MatchSettings(Struct, frozen=True):
    """The local filter."""

    quoted: Annotated[Switch, "let the text of a quoted post match too"] = False
    second_process: Annotated[
        Literal["when-needed", "always", "never"],
        "judge posts in a second process too: when-needed (they come faster than one judges), always, never",
    ] = "when-needed"


class PrivacySettings(Struct, frozen=True):
    """Who is in the data (docs/privacy.md)."""

    pseudonymise: Annotated[Switch, "store and show people under pseudonyms; from the first post on"] = False
    key: Annotated[Secret, "the pseudonyms' key, 32 characters; without, a file beside profiles"] = None


class LogSettings(Struct, frozen=True):
    """The log of a headless run."""

    format: Annotated[Literal["text", "json"], "lines for people, or JSON objects"] = "text"
    summary_every: Annotated[Wait, "seconds between two summary lines"] = 10.0


class UiSettings(Struct, frozen=True):
    """The dashboard."""

    theme: Annotated[str, "a theme of the dashboard or of Textual; without, the one last chosen"] = ""
    fps: Annotated[int, Meta(ge=1, le=60), "how often the feed is painted per second at most"] = 10
    feed_size: Annotated[int, Meta(ge=100, le=100_000), "posts that the feed holds in memory"] = 5000
    keymap: Annotated[Literal["default", "vim", "emacs"], "set of keys: default, vim, emacs"] = "default"
    keys: Annotated[dict[str, str | list[str]], "keys of an action: ui.keys.freeze=f,space"] = {}
    ascii: Annotated[Switch, "draw borders, plots and signs with ASCII characters only"] = False
    animation: Annotated[Switch, "let scrolling glide; false for slow links and quiet screens"] = True


class Settings(Struct, frozen=True):
    """All settings of a capture. Frozen: a running capture changes its query by a command, not here."""

    source: Annotated[str, "where posts come from"] = "x"
    keywords: Annotated[str, "what to capture; X gets it as a rule"] = '"justin bieber"'
    topic: Annotated[str, "which of the captured posts to keep"] = "music OR #music"
    store: Annotated[Secret, "mongodb:// or mongodb+srv:// address; the journal alone without"] = None
    data_dir: Annotated[Folder, "the folder of the journal"] = field(
        default_factory=lambda: platformdirs.user_data_path("bieber-tui", appauthor=False)
    )
    x: XSettings = XSettings()
    journal: JournalSettings = JournalSettings()
    mongodb: MongodbSettings = MongodbSettings()
    match: MatchSettings = MatchSettings()
    privacy: PrivacySettings = PrivacySettings()
    log: LogSettings = LogSettings()
    ui: UiSettings = UiSettings()


_SECTIONS: dict[str, Any] = {
    name: kind for name, kind in Settings.__annotations__.items() if isinstance(kind, type)
}
# Every setting by its dotted name: its type, annotated with what limits or reads it and, at last, its words.
_SETTINGS: dict[str, Any] = {
    name: kind for name, kind in Settings.__annotations__.items() if name not in _SECTIONS
} | {f"{section}.{name}": kind for section, of in _SECTIONS.items() for name, kind in of.__annotations__.items()}


def config_dir() -> Path:
    """The folder that profiles are looked for in."""
    return platformdirs.user_config_path("bieber-tui", appauthor=False)


def _profile_path(name: str | None) -> Path:
    """Where a profile is: at a path, under a name in the config folder, or `config` there."""
    if name is None:
        return config_dir() / "config.toml"
    path = _path(name)
    return path if path.suffix == ".toml" or path.is_file() else config_dir() / f"{name}.toml"


def _read(path: Path) -> dict[str, Any]:
    """The settings of a profile by their dotted names."""
    import tomllib  # noqa: PLC0415 - most runs have no profile

    return _flat(tomllib.loads(path.read_text(encoding="utf-8-sig")))


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A table of tables as one, with dotted names; what is given for one setting stays whole."""
    flat: dict[str, Any] = {}
    for last, value in table.items():
        name = prefix + last
        opens = name in _SECTIONS or (value and (_is_table(name) or not _owner(name)))
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) and opens else {name: value}
    return flat


def open_secrets(profile: str | None) -> str:
    """In words, that others can read a profile that holds a secret; empty when they cannot, or it holds none."""
    try:
        path = _profile_path(profile)
        mode = path.stat().st_mode & 0o777
        found = _read(path) if mode & 0o077 else {}
    except (OSError, ValueError, RecursionError):
        return ""
    if not any(map(_gives_away, found, found.values())):
        return ""
    return f"the profile {path} holds a secret and others can read it (mode {mode:04o}): chmod 600 {path}"


def _profile(name: str | None) -> dict[str, Any]:
    """What the TOML profile says; nothing when none was named and there is no `config`."""
    path = config_dir() / "config.toml" if name is None else _path(name)
    try:
        path = _profile_path(name)
        if name is None and not path.is_file():
            return {}
        return _read(path)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no profile {name!r}: {path} does not exist", "Name a TOML file, or create that one."
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # TOML's and Unicode's errors are ValueErrors
        raise ConfigError(
            f"the profile {path} cannot be read: {error}", "Mend the file; it must be TOML."
        ) from None


def _owner(name: str) -> str:
    """The setting of that dotted name, or of which it is an entry (ui.keys.freeze); empty when there is none."""
    if name in _SETTINGS:
        return name
    table = name.rpartition(".")[0]
    return table if _is_table(table) else ""


def _is_table(name: str) -> bool:
    return get_origin(_kind(name)) is dict


def _kind(name: str) -> Any:
    """The bare type of a setting; None when there is none of that name."""
    return _SETTINGS[name].__origin__ if name in _SETTINGS else None


def read_environment(environ: Mapping[str, str] = os.environ) -> tuple[dict[str, Any], list[str]]:
    """The settings that the environment gives, by dotted name, and the variables with our prefix that name none.

    `BIEBER_TUI_X__BASE_URL` is x.base_url. An empty variable counts as not set.
    """
    values: dict[str, Any] = {}
    unknown: list[str] = []
    for variable, value in sorted(environ.items()):
        if variable.startswith(ENV_PREFIX) and variable not in NOT_SETTINGS and value:
            name = variable.removeprefix(ENV_PREFIX).lower().replace("__", ".")
            if _owner(name):
                values[name] = value
            else:
                unknown.append(variable)
    return values, unknown


def load(overrides: Mapping[str, Any] | None = None, profile: str | None = None) -> Settings:
    """The settings of this run.

    `overrides` maps dotted names to values (strings are converted), as `--set` gives them.
    Raises ConfigError naming every setting that is wrong, its fault and the three spellings.
    """
    given = _profile(profile) | read_environment()[0] | dict(overrides or {})
    values: dict[str, dict[str, Any]] = {section: {} for section in ("", *_SECTIONS)}
    faults: dict[str, str] = {}
    for name, value in given.items():
        owner = _owner(name)
        section, _, last = owner.rpartition(".")
        try:
            if not owner:
                faults[name] = _unknown(name)
            elif owner == name:
                values[section][last] = _converted(_SETTINGS[owner], value)
            else:
                entry = {name.removeprefix(f"{owner}."): value}
                values[section].setdefault(last, {}).update(_converted(_SETTINGS[owner], entry))
        except ValueError as error:  # msgspec's too
            faults[name] = f"the setting {name!r} is wrong: {error}"
    if faults:
        hint = SEE_LIST
        if first := next(filter(_owner, faults), ""):
            variable = ENV_PREFIX + first.upper().replace(".", "__")
            hint = f"It is given by --set {first}=…, by the variable {variable} or in a profile. {SEE_LIST}"
        raise ConfigError("; ".join(faults.values()), hint)
    return Settings(**values.pop(""), **{name: _SECTIONS[name](**inner) for name, inner in values.items()})


def _unknown(name: str) -> str:
    """That there is no such setting, in words; cut where a value may begin: --set x.bearer_token:VALUE=."""
    if name in _SECTIONS:
        within = next(known for known in _SETTINGS if known.startswith(f"{name}."))
        return f"{name!r} is no setting but a section: {within} is a setting in it"
    import difflib  # noqa: PLC0415 - only when something is wrong

    near = difflib.get_close_matches(name, [*_SECTIONS, *_SETTINGS], 1)
    known = re.split(r"[^\w.-]", name)[0][:60]
    shown = name if known == name else f"{known}…"
    return f"there is no setting {shown!r}" + (f": do you mean {near[0]}?" if near else "")


def _converted(kind: Any, value: Any) -> Any:
    """A value as its setting wants it. Raises ValueError in words, never with the value: it may be a secret."""
    if isinstance(value, str) and _NO_TEXT.search(value):
        raise ValueError("it must be a text in UTF-8, without NUL")
    for read in kind.__metadata__:
        if callable(read):
            return read(value)
    if isinstance(value, str) and kind.__origin__ is not str:
        value = value.strip()
    try:
        return convert(value, kind, strict=False)
    except ValueError:  # msgspec's too
        raise ValueError(f"it must be {_allowed(kind, value)}") from None


def _allowed(kind: Any, value: Any) -> str:
    """What may stand instead of a value, in words."""
    if get_origin(kind.__origin__) is Literal:
        return " or ".join(get_args(kind.__origin__))
    if get_origin(kind.__origin__) is dict and not isinstance(value, dict):
        return f"a table ({kind.__metadata__[-1]})"
    words = _WORDS.get(kind.__origin__, "a text or a list of texts")
    for limit in kind.__metadata__:
        if not isinstance(limit, Meta):
            continue
        if limit.ge is not None:
            words += f" from {limit.ge} to {limit.le}"
        if limit.gt is not None:
            words += f" above {limit.gt}, up to {limit.le}"
        if limit.min_length:
            words += " that is not empty"
    return words


def refuse_secrets(overrides: Mapping[str, Any]) -> None:
    """Refuse a secret on the command line, which every user of the machine can read; a reference to one is fine.

    `overrides` maps dotted names to values. The address of a store is a secret when it holds a password.
    Raises ConfigError, never with the value.
    """
    for name, value in overrides.items():
        if not _gives_away(name, value):
            continue
        what = "this address of the store holds a password" if name == "store" else f"{name} is a secret"
        variable = ENV_PREFIX + name.upper().replace(".", "__")
        raise ConfigError(
            f"{what}, and a command line can be read by every user of this machine",
            f"Give it by the variable {variable}, in a profile that only you can read, or as {name}=file:PATH."
            " If others use this machine, take a new one: this one was in the process list.",
        )


def _gives_away(name: str, value: Any) -> bool:
    """Whether the value of a setting is a secret itself, and no reference to one."""
    if not isinstance(value, str) or value.startswith("file:") or not _is_secret(name):
        return False
    return name != "store" or _PASSWORD.search(value) is not None


def _is_secret(name: str) -> bool:
    return bool(_kind(name) == SecretStr | None)


def describe() -> list[tuple[str, str, str]]:
    """Every setting as (dotted name, default in words, description), in the order of this file."""
    rows = []
    for name, kind in _SETTINGS.items():
        default = "platform's data folder" if name == "data_dir" else attrgetter(name)(Settings())
        rows.append((name, "" if default in (None, {}) else str(default), kind.__metadata__[-1]))
    return rows
