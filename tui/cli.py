"""The command line: reads the flags, builds the settings, and hands over to one front end.

stdout is data (the report, with --json), stderr is words. Exit codes are those of core.errors. Every front end is
imported where it starts, so that a headless run loads neither Textual nor Rich.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NoReturn

from core import __version__
from core.errors import BieberTuiError, ConfigError

COMMANDS = {
    "demo": "the same over a simulator of X on this machine: nothing to configure, nothing is billed",
    "check": "is everything set up? credentials, reach of X, rules, store, disk, terminal",
    "simulate": "the simulator of X's API as a server",
    "settings": "every setting with its default",
}

EPILOG = (
    "commands:\n"
    + "\n".join(f"  {name:<10} {words}" for name, words in COMMANDS.items())
    + """

  `bieber-tui COMMAND --help` says more.

every setting has one name and three spellings:
  --set x.base_url=…   BIEBER_TUI_X__BASE_URL=…   [x] base_url = "…" in a TOML profile

exit codes: 0 finished or stopped, 1 a bug, 2 wrong usage or configuration, 3 the source refused,
            4 the store refused, 5 another capture owns the data folder
"""
)


class _Parser(argparse.ArgumentParser):
    """argparse, with its faults as our errors."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, f"`{self.prog} --help` lists the flags.")


def _parser(name: str, description: str, epilog: str | None = None) -> _Parser:
    return _Parser(
        prog=f"bieber-tui {name}".strip(),
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _with_values(arguments: list[str]) -> list[str]:
    """`--topic -a` as `--topic=-a`: a query may begin with a minus, which argparse takes for a flag."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in ("--keywords", "--topic"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings")
    group.add_argument("--source", help="where posts come from (x)")
    group.add_argument("--keywords", metavar="QUERY", help='what to capture, X\'s rule language ("justin bieber")')
    group.add_argument("--topic", metavar="QUERY", help="which of those to keep (music OR #music)")
    group.add_argument("--store", metavar="URL", help="mongodb://… or mongodb+srv://…; without, the journal alone")
    group.add_argument("--data-dir", metavar="DIR", help="the folder of the journal")
    group.add_argument("--profile", metavar="NAME", help="a TOML file, or its name in the config folder")
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="any setting; repeatable"
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--no-ui", action="store_true", help="no screen: log lines on stderr")
    group.add_argument("--duration", type=_positive_seconds, metavar="SECONDS", help="stop after that time")
    group.add_argument(
        "--max-posts", type=_positive_count, metavar="N", help="stop once N posts are consumed and settled"
    )
    group.add_argument("--fps", metavar="N", help="paint the dashboard at most so often per second (10)")
    group.add_argument("--log-format", choices=("text", "json"), help="how the log lines of --no-ui look")
    group.add_argument("--json", action="store_true", help="print the final report as one JSON object on stdout")


def _positive_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of posts from 1 up")
    return int(text)


def _positive_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line gives, by dotted name."""
    overrides: dict[str, Any] = {}
    for pair in args.settings:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {pair!r} is not KEY=VALUE", "For example: --set journal.scope=all")
        overrides[key.strip()] = value
    for name in ("source", "keywords", "topic", "store", "data_dir"):
        if getattr(args, name) is not None:
            overrides[name] = getattr(args, name)
    for flag, name in (("log_format", "log.format"), ("fps", "ui.fps")):
        if getattr(args, flag, None):
            overrides[name] = getattr(args, flag)
    return overrides


def _warn_of_unknown_variables() -> None:
    from core.settings import read_environment

    for variable in read_environment()[1]:
        _say(f"warning: the variable {variable} names no setting and is ignored")


def _say(text: str) -> None:
    print(f"bieber-tui: {text}", file=sys.stderr)  # noqa: T201 - words for the user


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _with_values(list(sys.argv[1:] if argv is None else argv))
    command: Callable[[list[str]], int] = _capture
    if arguments and not arguments[0].startswith("-"):
        found = {"demo": _demo, "check": _check, "simulate": _simulate, "settings": _settings}.get(arguments[0])
        if found is None:
            _say(f"error: there is no command {arguments[0]!r}\n  {', '.join(COMMANDS)}; or none, to capture")
            return ConfigError.exit_code
        command, arguments = found, arguments[1:]
    try:
        return command(arguments)
    except BieberTuiError as error:
        _say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _capture(arguments: list[str]) -> int:
    """`bieber-tui`: capture, with the dashboard or without."""
    from core import settings as core_settings

    parser = _parser("", "Capture a live keyword stream, keep what is about a topic, show it all live.", EPILOG)
    parser.add_argument("--version", action="version", version=f"bieber-tui {__version__}")
    _add_settings(parser)
    _add_run(parser)
    args = parser.parse_args(arguments)
    _warn_of_unknown_variables()
    return _run(args, core_settings.load(_overrides(args), args.profile), demo=False)


def _demo(arguments: list[str]) -> int:
    """`bieber-tui demo`: the same over the simulator."""
    from core import settings as core_settings
    from core.simulator.options import SimulatorOptions
    from core.simulator.server import Simulator

    parser = _parser("demo", "The whole capture over a simulator of X on this machine. Posts are generated text.")
    _add_settings(parser)
    _add_run(parser)
    parser.add_argument("--rate", type=float, default=12.0, help="posts per second (12)")
    args = parser.parse_args(arguments)
    if not args.no_ui and not _has_terminal():
        _say("no terminal here: showing log lines instead of the dashboard")
        args.no_ui = True
        if args.duration is None and args.max_posts is None:
            args.duration = 30.0
            _say("the demo stops after 30 s; --duration SECONDS for longer")
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(SimulatorOptions(rate=args.rate, duplicates=0.03)))
        overrides = _overrides(args) | {
            "source": "x",
            "x.base_url": simulator.url,
            "x.bearer_token": simulator.options.tokens[0],
        }
        # A demo never writes to a store or a folder that the environment or a profile names.
        overrides.setdefault("store", None)
        if args.data_dir is None:
            overrides["data_dir"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="bieber-tui-demo-"))
        if args.no_ui:
            overrides.setdefault("log.summary_every", 5.0)
        return _run(args, core_settings.load(overrides, args.profile), demo=True)


def _run(args: argparse.Namespace, settings: Any, *, demo: bool) -> int:
    if not args.no_ui and not _has_terminal():
        from core.capture import Capture

        Capture.parts(settings)  # what is missing in the settings is the more useful thing to hear first
        raise ConfigError(
            "there is no terminal to draw in", "Add --no-ui for log lines, or run it in a terminal (ssh -t, tmux)."
        )
    if not args.no_ui:
        from tui.keymap import resolve

        resolve(settings.ui.keymap, settings.ui.keys)  # keys that cannot be are told before anything starts
    if args.no_ui:
        from core import headless
        from core.capture import Capture, Limits

        capture = Capture.open(settings, Limits(args.max_posts, args.duration), demo=demo)
        return headless.run(capture, settings.log, report=args.json)
    return _show(args, settings, demo=demo)


def _show(args: argparse.Namespace, settings: Any, *, demo: bool) -> int:
    """The dashboard: on the screen first, the capture as soon as it is opened."""
    from tui import app
    from tui.opening import Opening

    opened = []

    def open_capture() -> Any:
        from core.capture import Capture, Limits

        capture = Capture.open(settings, Limits(args.max_posts, args.duration), demo=demo)
        opened.append(capture)
        capture.start()
        return capture

    def finished() -> bool:
        if not opened:
            return opening.error is not None
        return opened[0].ended.is_set() and opened[0].error is None

    opening = Opening(open_capture, settings, demo=demo)
    code = app.run(opening, settings, finished, opening.begin)
    if opening.error is not None:
        raise opening.error
    if not opened:
        return code
    capture = opened[0]
    if capture.error is not None:
        _say(f"error: {capture.error}")
        code = capture.error.exit_code
    if args.json:
        import json

        print(json.dumps(capture.report(), ensure_ascii=False))  # noqa: T201 - the data that was asked for
    return code


def _has_terminal() -> bool:
    # The dashboard draws on stderr, so that stdout stays free for the report.
    return sys.stdin.isatty() and sys.stderr.isatty()


def _check(arguments: list[str]) -> int:
    """`bieber-tui check`: is everything set up?"""
    from core import check
    from core import settings as core_settings

    parser = _parser("check", "Is everything set up? One line a thing, with what to do. Nothing is billed.")
    _add_settings(parser)
    args = parser.parse_args(arguments)
    _warn_of_unknown_variables()
    return check.run(core_settings.load(_overrides(args), args.profile), sys.stdout)


def _simulate(arguments: list[str]) -> int:
    """`bieber-tui simulate`: the simulator as a server."""
    from core.simulator import command

    parser = _parser("simulate", "A loopback server that answers as X's API does, with faults on demand.")
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


def _settings(arguments: list[str]) -> int:
    """`bieber-tui settings`: every setting."""
    from core import settings as core_settings

    parser = _parser(
        "settings", "Every setting with its default; see --help of bieber-tui for the three spellings."
    )
    parser.parse_args(arguments)
    for name, default, words in core_settings.describe():
        print(f"{name:<22} {default or '-':<26} {words}")  # noqa: T201 - the data that was asked for
    return 0


if __name__ == "__main__":
    sys.exit(main())
