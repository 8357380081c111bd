"""Every setting, once.

A setting has one dotted name and three spellings: `x.base_url` is `[x] base_url` in a TOML profile,
`BIEBER_TUI_X__BASE_URL` in the environment and `--set x.base_url=...` on the command line. The command line
wins over the environment, that over the profile, and that over the defaults written here.

A secret may be given as itself or as a reference: `file:/run/secrets/x-token` is read when the
settings are loaded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from core.errors import ConfigError
from core.units import parse_keep, parse_size

ENV_PREFIX = "BIEBER_TUI_"

# Variables with our prefix that are no settings: for the Makefile and the tests, and the profile's name.
NOT_SETTINGS = frozenset({f"{ENV_PREFIX}CACHE", f"{ENV_PREFIX}CRASH", f"{ENV_PREFIX}PROFILE"})

SEE_LIST = "`bieber-tui settings` lists every setting."


def _path(written: str) -> Path:
    """A path, `~` at its beginning resolved when it names somebody's home."""
    try:
        return Path(written).expanduser()
    except RuntimeError:
        return Path(written)


def _resolve(value: Any) -> Any:
    """Read a secret that is given as `file:PATH`; anything else is the secret itself."""
    if isinstance(value, str) and value.startswith("file:"):
        path = _path(value.removeprefix("file:"))
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"the secret's file {path} cannot be read: {error.strerror}") from error
    return value


def _keep(value: Any) -> Any:
    """Refuse what `core.units.parse_keep` cannot read."""
    if isinstance(value, str):
        parse_keep(value)
    return value


Secret = Annotated[SecretStr, BeforeValidator(_resolve)]
Bytes = Annotated[int, BeforeValidator(parse_size)]
# What makes the address of a store a secret: user:password@, or an option that holds one.
_PASSWORD = re.compile(r"://.*:.*@|[?&](tlsCertificateKeyFilePassword|authMechanismProperties)=", re.I | re.S)


class _Section(BaseModel):
    # hide_input_in_errors: a validation error that escapes as a traceback must not show what was put in.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def __reduce__(self) -> NoReturn:
        """Settings hold secrets in clear, so they are never written out by pickle."""
        raise TypeError("settings hold secrets and cannot be pickled")


class XSettings(_Section):
    """X's API, version 2."""

    base_url: str = Field("https://api.x.com", description="where X's API answers")
    bearer_token: Secret | None = Field(None, description="the app's bearer token")
    consumer_key: Secret | None = Field(None, description="the app's key, exchanged for a bearer token")
    consumer_secret: Secret | None = Field(None, description="the app's key's secret")
    backfill: bool = Field(False, description="fill gaps from recent search; X bills what is fetched")
    backfill_wait: float = Field(
        45.0, ge=0, description="seconds from a gap's end until it is filled: search lags by half a minute"
    )
    backfill_overlap: float = Field(
        7.0, ge=0, description="seconds before and after a gap that are fetched too: posts come out of order"
    )
    backfill_max_posts: int = Field(5000, ge=0, description="posts fetched for one gap at most")
    backfill_max_posts_per_day: int = Field(20_000, ge=0, description="posts fetched in one day (UTC) at most")
    backfill_pauses: bool = Field(False, description="fill pauses too")
    stall_after: float = Field(22.0, gt=0, description="seconds without a byte until the stream counts as stalled")
    connect_timeout: float = Field(10.0, gt=0, description="seconds to wait for a connection and its answer")


class JournalSettings(_Section):
    """The local file that every post lands in first."""

    scope: Literal["matched", "all"] = Field("matched", description="keep matched posts, or all consumed ones")
    batch_size: int = Field(1000, ge=1, le=100_000, description="posts in one transaction at most")
    batch_age: float = Field(0.1, ge=0.001, le=10, description="seconds that a post waits for its batch at most")
    min_free: Bytes = Field(
        200_000_000, ge=0, description="warn when the disk has less free; at a tenth of it the disk counts as full"
    )
    when_full: Literal["stop", "pause"] = Field(
        "stop", description="when the disk is full: end with exit code 4, or close the stream until there is room"
    )
    keep: Annotated[str, BeforeValidator(_keep)] = Field(
        "all",
        description="how long posts stay here: all, 90d, 10GB, or 90d or 10GB; never before the store has them",
    )


class MongodbSettings(_Section):
    """The MongoDB store."""

    collection: str = Field("posts", min_length=1, description="collection that the posts go to")
    raw: bool = Field(False, description="store the raw line too")
    batch_size: int = Field(1000, ge=1, le=10_000, description="documents in one insert at most")
    timeout: float = Field(5.0, gt=0, description="seconds to wait for the server")


class MatchSettings(_Section):
    """The local filter."""

    quoted: bool = Field(False, description="let the text of a quoted post match too")


class PrivacySettings(_Section):
    """Who is in the data (docs/privacy.md)."""

    pseudonymise: bool = Field(False, description="store and show people under pseudonyms; from the first post on")
    key: Secret | None = Field(
        None, description="the pseudonyms' key, 32 characters; without, a file beside profiles"
    )


class LogSettings(_Section):
    """The log of a headless run."""

    format: Literal["text", "json"] = Field("text", description="lines for people, or JSON objects")
    summary_every: float = Field(10.0, gt=0, description="seconds between two summary lines")


class UiSettings(_Section):
    """The dashboard."""

    theme: str = Field("bieber", description="a theme of the dashboard or of Textual")
    fps: int = Field(10, ge=1, le=60, description="how often the feed is painted per second at most")
    feed_size: int = Field(5000, ge=100, le=100_000, description="posts that the feed holds in memory")
    keymap: Literal["default", "vim", "emacs"] = Field("default", description="set of keys: default, vim, emacs")
    keys: dict[str, str | list[str]] = Field({}, description="keys of an action: ui.keys.freeze=f,space")
    ascii: bool = Field(False, description="draw borders, plots and signs with ASCII characters only")
    animation: bool = Field(True, description="let scrolling glide; false for slow links and quiet screens")


class Settings(_Section):
    """All settings of a capture. Frozen: a running capture changes its query by a command, not here."""

    source: str = Field("x", description="where posts come from")
    keywords: str = Field('"justin bieber"', description="what to capture; X gets it as a rule")
    topic: str = Field("music OR #music", description="which of the captured posts to keep")
    store: Secret | None = Field(
        None, description="mongodb:// or mongodb+srv:// address; the journal alone without"
    )
    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("bieber-tui", appauthor=False),
        description="the folder of the journal",
    )
    x: XSettings = XSettings()
    journal: JournalSettings = JournalSettings()
    mongodb: MongodbSettings = MongodbSettings()
    match: MatchSettings = MatchSettings()
    privacy: PrivacySettings = PrivacySettings()
    log: LogSettings = LogSettings()
    ui: UiSettings = UiSettings()


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
    import tomllib  # noqa: PLC0415 - most runs have no profile

    return tomllib.loads(path.read_text(encoding="utf-8"))


def open_secrets(profile: str | None) -> str:
    """In words, that others can read a profile that holds a secret; empty when they cannot, or it holds none."""
    try:
        path = _profile_path(profile)
        mode = path.stat().st_mode & 0o777
        found = _read(path) if mode & 0o077 else {}
    except (OSError, ValueError, RecursionError):
        return ""
    flat = {name: value for name, value in found.items() if not isinstance(value, dict)}
    for section, values in found.items():
        if isinstance(values, dict):
            flat |= {f"{section}.{name}": value for name, value in values.items()}
    if not any(map(_gives_away, flat, flat.values())):
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


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid upon `base`, section by section."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged


def _inner(field: FieldInfo) -> type[_Section] | None:
    """The section that a field holds; None when it is a setting itself."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, _Section) else None


def _is_setting(section: str, field: str, entry: str = "") -> bool:
    """Whether `section`, `section.field`, or `section.field.entry` of a field that is a table, names a setting."""
    known = Settings.model_fields.get(section)
    if known is None:
        return False
    inner = _inner(known)
    if inner is None:
        return not field
    return field in inner.model_fields and (not entry or isinstance(inner.model_fields[field].default, dict))


def read_environment(environ: Mapping[str, str] = os.environ) -> tuple[dict[str, Any], list[str]]:
    """The settings that the environment gives, by section, and the variables with our prefix that name none.

    `BIEBER_TUI_X__BASE_URL` is x.base_url. An empty variable counts as not set.
    """
    values: dict[str, Any] = {}
    unknown: list[str] = []
    for variable, value in sorted(environ.items()):
        if not variable.startswith(ENV_PREFIX) or variable in NOT_SETTINGS or not value:
            continue
        section, _, rest = variable.removeprefix(ENV_PREFIX).lower().partition("__")
        field, _, entry = rest.partition("__")
        if not _is_setting(section, field, entry):
            unknown.append(variable)
        elif entry:
            values.setdefault(section, {}).setdefault(field, {})[entry] = value
        elif field:
            values.setdefault(section, {})[field] = value
        else:
            values[section] = value
    return values, unknown


def load(overrides: Mapping[str, Any] | None = None, profile: str | None = None) -> Settings:
    """The settings of this run.

    `overrides` maps dotted names to values (strings are converted), as `--set` gives them.
    Raises ConfigError naming the setting, the value's fault and the three spellings.
    """
    nested: dict[str, Any] = {}
    for dotted, value in (overrides or {}).items():
        place = nested
        *sections, last = dotted.split(".")
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(f"there is no setting {dotted!r}", SEE_LIST)
        place[last] = value
    values = _merge(_profile(profile), read_environment()[0])
    try:
        return Settings(**_merge(values, nested))
    except ValidationError as error:
        raise _explain(error) from None


def _explain(error: ValidationError) -> ConfigError:
    """The faults of the settings in words, never with a value (it may be a secret), and what to do."""
    faults = []
    for fault in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            faults.append(f"there is no setting {name!r}")
        else:
            faults.append(f"the setting {name!r} is wrong: {fault['msg']}")
    first = ".".join(str(part) for part in error.errors()[0]["loc"])
    variable = ENV_PREFIX + first.upper().replace(".", "__")
    return ConfigError(
        "; ".join(faults),
        f"It is given by --set {first}=…, by the variable {variable} or in a profile. {SEE_LIST}",
    )


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
    section, _, field = name.partition(".")
    known = Settings.model_fields.get(section)
    if known is not None and field:
        inner = _inner(known)
        known = inner.model_fields.get(field) if inner else None
    return known is not None and known.annotation == Secret | None


def describe() -> list[tuple[str, str, str]]:
    """Every setting as (dotted name, default in words, description), in the order of this file."""
    rows: list[tuple[str, str, str]] = []

    def walk(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            if (inner := _inner(field)) is not None:
                walk(inner, f"{prefix}{name}.")
            else:
                default = "platform's data folder" if field.default_factory else field.default
                rows.append(
                    (prefix + name, "" if default in (None, {}) else str(default), field.description or "")
                )

    walk(Settings, "")
    return rows
