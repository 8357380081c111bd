"""Every setting, once.

A setting has one dotted name and three spellings: `x.base_url` is `[x] base_url` in a TOML profile,
`BIEBER_TUI_X__BASE_URL` in the environment and `--set x.base_url=...` on the command line. The command line
wins over the environment, that over the profile, and that over the defaults written here.

A secret may be given as itself or as a reference: `file:/run/secrets/x-token` is read when the
settings are loaded.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from core.errors import ConfigError

ENV_PREFIX = "BIEBER_TUI_"

# Variables with our prefix that are no settings: for the Makefile and the tests, and the profile's name.
NOT_SETTINGS = frozenset({f"{ENV_PREFIX}CACHE", f"{ENV_PREFIX}PROFILE"})

SEE_LIST = "`bieber-tui settings` lists every setting."


def _resolve(value: Any) -> Any:
    """Read a secret that is given as `file:PATH`; anything else is the secret itself."""
    if isinstance(value, str) and value.startswith("file:"):
        path = Path(value.removeprefix("file:")).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"the secret's file {path} cannot be read: {error.strerror}") from error
    return value


Secret = Annotated[SecretStr, BeforeValidator(_resolve)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class XSettings(_Section):
    """X's API, version 2."""

    base_url: str = Field("https://api.x.com", description="where X's API answers")
    bearer_token: Secret | None = Field(None, description="the app's bearer token")
    consumer_key: Secret | None = Field(None, description="the app's key, exchanged for a bearer token")
    consumer_secret: Secret | None = Field(None, description="the app's key's secret")
    backfill: bool = Field(False, description="reserved: gaps are recorded, and not filled yet")
    stall_after: float = Field(22.0, gt=0, description="seconds without a byte until the stream counts as stalled")
    connect_timeout: float = Field(10.0, gt=0, description="seconds to wait for a connection and its answer")


class JournalSettings(_Section):
    """The local file that every post lands in first."""

    scope: Literal["matched", "all"] = Field("matched", description="keep matched posts, or all consumed ones")
    batch_size: int = Field(1000, ge=1, le=100_000, description="posts in one transaction at most")
    batch_age: float = Field(0.1, ge=0.001, le=10, description="seconds that a post waits for its batch at most")


class MongodbSettings(_Section):
    """The MongoDB store."""

    collection: str = Field("posts", min_length=1, description="collection that the posts go to")
    raw: bool = Field(False, description="store the raw line too")
    batch_size: int = Field(1000, ge=1, le=10_000, description="documents in one insert at most")
    timeout: float = Field(5.0, gt=0, description="seconds to wait for the server")


class MatchSettings(_Section):
    """The local filter."""

    quoted: bool = Field(False, description="let the text of a quoted post match too")


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
    log: LogSettings = LogSettings()
    ui: UiSettings = UiSettings()


def config_dir() -> Path:
    """The folder that profiles are looked for in."""
    return platformdirs.user_config_path("bieber-tui", appauthor=False)


def _profile(name: str | None) -> dict[str, Any]:
    """The TOML profile: a path, a name in the config folder, or `config` there if it exists."""
    if name is None:
        path = config_dir() / "config.toml"
        if not path.is_file():
            return {}
    else:
        path = Path(name).expanduser()
        if path.suffix != ".toml" and not path.is_file():
            path = config_dir() / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no profile {name!r}: {path} does not exist", "Name a TOML file, or create that one."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
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
