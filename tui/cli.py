"""The command line: reads the flags, builds the settings, and hands over to one front end.

stdout is data (the report, with --json), stderr is words. Exit codes are those of core.errors. Every front end is
imported where it starts, so that a headless run loads neither Textual nor Rich.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from core import __version__
from core.errors import BieberTuiError, ConfigError, SourceRefused, Unavailable
from core.plain import lines
from core.private import harden

if TYPE_CHECKING:
    from core.attach.store import StoreViewer
    from core.attach.viewer import Viewer
    from core.capture import Capture
    from core.settings import Settings

COMMANDS = {
    "demo": "the same over a simulator of X on this machine: nothing to configure, nothing is billed",
    "attach": "the dashboard of a capture that already runs on this machine, headless or not",
    "replay": "a recorded capture again, through the same pipeline and screen, at any speed",
    "serve": "the attach view in a browser, read-only and on this machine unless you say otherwise",
    "check": "is everything set up? credentials, reach of X, rules, store, disk, terminal",
    "forget": "remove an author or a post from journal and store, and never take them again",
    "gaps": "the spans that were not received: listed, exported, added up",
    "compact": "remove what journal.keep does not keep, and give the room back to the disk",
    "recover": "save what can be saved of a damaged journal",
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
        before, unknown, rest = message.partition("unrecognized arguments: ")
        if unknown:  # a value among them may be a secret that was meant for a flag that does not exist
            flags = [word.partition("=")[0] for word in rest.split() if word.startswith("-")]
            message = before + (
                f"there is no flag {', '.join(flags)}" if flags else "there is an argument too many"
            )
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
    group.add_argument(
        "--store", metavar="URL", help="mongodb://… or file:PATH with the address; without, the journal alone"
    )
    group.add_argument("--data-dir", metavar="DIR", help="the folder of the journal")
    group.add_argument("--profile", metavar="NAME", help="a TOML file, or its name in the config folder")
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="any setting; repeatable"
    )


def _add_run(parser: argparse.ArgumentParser, *, limits: bool = True) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--no-ui", action="store_true", help="no screen: log lines on stderr")
    if limits:
        group.add_argument("--duration", type=_positive_seconds, metavar="SECONDS", help="stop after that time")
        group.add_argument(
            "--max-posts", type=_positive_count, metavar="N", help="stop once N posts are consumed and settled"
        )
        group.add_argument(
            "--backfill", action="store_true", help="fill gaps from X's recent search; X bills what is fetched"
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
    """The settings that the command line gives, by dotted name. Raises ConfigError for a secret among them."""
    from core.settings import refuse_secrets

    overrides: dict[str, Any] = {}
    for pair in args.settings:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            # Not repeated here: it may be a secret with a wrong separator.
            raise ConfigError("--set needs KEY=VALUE, and one has none", "For example: --set journal.scope=all")
        overrides[key.strip()] = value
    for name in ("source", "keywords", "topic", "store", "data_dir"):
        if getattr(args, name) is not None:
            overrides[name] = getattr(args, name)
    if getattr(args, "backfill", False):
        overrides["x.backfill"] = True
    for flag, name in (("log_format", "log.format"), ("fps", "ui.fps")):
        if getattr(args, flag, None):
            overrides[name] = getattr(args, flag)
    refuse_secrets(overrides)
    return overrides


def _warn(profile: str | None) -> None:
    """Tell of misspelt variables, and of secrets that lie open."""
    from core.settings import open_secrets, read_environment

    for variable in read_environment()[1]:
        _say(f"warning: the variable {variable} names no setting and is ignored")
    if words := open_secrets(profile):
        _say(f"warning: {words}")


def _arm_crash_point() -> None:
    if value := os.environ.pop("BIEBER_TUI_CRASH", ""):
        from core import crashpoint

        _say(f"warning: {crashpoint.arm(value)}")


def _say(text: str) -> None:
    print(f"bieber-tui: {lines(text)}", file=sys.stderr)  # noqa: T201 - words for the user


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    harden()
    arguments = _with_values(list(sys.argv[1:] if argv is None else argv))
    command: Callable[[list[str]], int] = _capture
    if arguments and not arguments[0].startswith("-"):
        found = _FUNCTIONS.get(arguments[0])
        if found is None:
            _say(f"error: there is no command {arguments[0]!r}\n  {', '.join(COMMANDS)}; or none, to capture")
            return ConfigError.exit_code
        command, arguments = found, arguments[1:]
    try:
        _arm_crash_point()
        return command(arguments)
    except BieberTuiError as error:
        _say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    finally:
        gc.enable()


def _capture(arguments: list[str]) -> int:
    """`bieber-tui`: capture, with the dashboard or without."""
    gc.disable()  # loading makes many objects and no garbage; see `_run`
    parser = _parser("", "Capture a live keyword stream, keep what is about a topic, show it all live.", EPILOG)
    parser.add_argument("--version", action="version", version=f"bieber-tui {__version__}")
    _add_settings(parser)
    _add_run(parser)
    args = parser.parse_args(arguments)
    from core import settings as core_settings

    _warn(args.profile)
    return _run(args, core_settings.load(_overrides(args), args.profile), demo=False)


def _demo(arguments: list[str]) -> int:
    """`bieber-tui demo`: the same over the simulator."""
    gc.disable()  # as above
    import tempfile

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


def _run(args: argparse.Namespace, settings: Settings, *, demo: bool) -> int:
    if not args.no_ui and not _has_terminal():
        from core.capture import Capture

        Capture.parts(settings)  # what is missing in the settings is the more useful thing to hear first
        raise _no_terminal()

    def open_capture() -> Capture:
        from core.capture import Capture, Limits

        capture = Capture.open(settings, Limits(args.max_posts, args.duration), demo=demo)
        gc.freeze()  # what is loaded by now stays: to look through it again and again makes a screen stutter
        gc.enable()
        return capture

    if not args.no_ui:
        return _show(open_capture, settings, demo=demo, report=args.json)
    from core import headless

    return headless.run(open_capture, settings.log, report=args.json)


def _show(open_capture: Callable[[], Capture], settings: Settings, *, demo: bool, report: bool) -> int:
    """The dashboard: on the screen first, the capture as soon as it is open."""
    from tui.keymap import resolve

    resolve(settings.ui.keymap, settings.ui.keys)  # keys that cannot be are told before anything starts
    from core import headless

    signal.pthread_sigmask(signal.SIG_BLOCK, headless.ENDING_SIGNALS)  # they wait until the dashboard listens
    show = _load_dashboard()
    from tui.opening import Opening

    opening = Opening(open_capture, settings, demo=demo)
    code = show(opening, settings, opening.finished, opening.begin)
    capture = opening.result()
    if capture is None:  # left before there was one
        return code
    if capture.error is not None:
        _say(f"error: {capture.error}")
        code = capture.error.exit_code
    if report:
        headless.write_report(capture.report(), headless.Log(settings.log))
    return code


def _load_dashboard() -> Callable[..., int]:
    """`tui.app.run`, loaded while the terminal, if there is one, answers a question."""
    with ExitStack() as stack:
        question = None
        if _has_terminal():
            from tui.signs import Question  # not on Windows

            question = stack.enter_context(Question(sys.stdin.fileno(), sys.stderr.fileno()))
        from tui import app

        if question is not None:
            question.settle()
        return app.run


def _no_terminal() -> ConfigError:
    return ConfigError(
        "there is no terminal to draw in", "Add --no-ui for log lines, or run it in a terminal (ssh -t, tmux)."
    )


def _has_terminal() -> bool:
    # The dashboard draws on stderr, so that stdout stays free for the report.
    return sys.stdin.isatty() and sys.stderr.isatty()


def _attach(arguments: list[str]) -> int:
    """`bieber-tui attach`: look at a capture of another process, and steer it."""
    from core import settings as core_settings

    parser = _parser(
        "attach",
        "Watch a capture that runs on this machine. Several can watch at once; leaving (q) does not end the\n"
        "capture, and the view survives the capture's restart. Over SSH: ssh -t HOST bieber-tui attach",
    )
    parser.add_argument(
        "target", nargs="?", metavar="URL", help="mongodb://… or `store` (the setting): a read-only view of it"
    )
    _add_settings(parser)
    parser.add_argument("--read-only", action="store_true", help="look, and let no key steer the capture")
    parser.add_argument("--no-ui", action="store_true", help="no screen: the capture's log lines on stderr")
    parser.add_argument("--log-format", choices=("text", "json"), help="how the log lines of --no-ui look")
    parser.add_argument(
        "--send", choices=("pause", "resume", "stop"), help="steer the capture and leave, without a screen"
    )
    args = parser.parse_args(arguments)
    _warn(args.profile)
    if args.target not in (None, "store"):
        args.store = args.target
    settings = core_settings.load(_overrides(args), args.profile)
    if args.target is not None and settings.store is None:
        raise ConfigError("no store is set", "Name one: bieber-tui attach mongodb://HOST/DATABASE")
    web = "TEXTUAL_DRIVER" in os.environ  # a browser's terminal, see `serve`
    if not (args.no_ui or args.send or web or _has_terminal()):
        raise _no_terminal()
    viewer: Viewer | StoreViewer
    if args.target is not None and settings.store is not None:
        from core.attach.store import StoreViewer

        viewer = StoreViewer(settings.store.get_secret_value(), settings.mongodb, feed_size=settings.ui.feed_size)
    else:
        from core.attach.viewer import Viewer

        viewer = Viewer(settings.data_dir, feed_size=settings.ui.feed_size, read_only=args.read_only)
    try:
        if args.send:
            viewer.send(args.send)
            return 0
        if args.no_ui:
            from core import headless

            return headless.follow(viewer, settings.log)
        return _load_dashboard()(viewer, settings)
    except Unavailable as error:
        raise SourceRefused(str(error), "Try again; `bieber-tui attach` shows how the capture is.") from None
    finally:
        viewer.stop()


def _replay(arguments: list[str]) -> int:
    """`bieber-tui replay`: a recorded capture again."""
    from core import settings as core_settings

    parser = _parser(
        "replay",
        "Run a recorded capture again: a data folder, or a file with one post of X a line. Nothing is written to\n"
        "it and nothing connects. p holds it, . steps, [ and ] go a minute back and forward, < and > change the\n"
        "speed, and k judges everything by another topic.",
    )
    parser.add_argument("recording", metavar="PATH", help="a data folder, or a file of raw lines")
    parser.add_argument("--speed", type=_speed, default=1.0, metavar="N", help="1x, 10x, …, or max (1x)")
    _add_settings(parser)
    _add_run(parser, limits=False)
    args = parser.parse_args(arguments)
    _warn(args.profile)
    settings = core_settings.load(_overrides(args), args.profile)
    if not args.no_ui and not _has_terminal():
        raise _no_terminal()
    from pathlib import Path

    from core.replay import Player, open_recording

    player = Player(open_recording(Path(args.recording)), settings, args.speed, ends=args.no_ui)
    from core import headless

    try:
        if args.no_ui:
            return headless.run(lambda: player.capture, settings.log, report=args.json)
        show = _load_dashboard()
        player.start()
        code = show(player, settings)
        if args.json:
            headless.write_report(player.capture.report(), headless.Log(settings.log))
        return code
    finally:
        player.stop()


def _speed(text: str) -> float:
    """`10x` as 10; `max` as infinity."""
    if text == "max":
        return float("inf")
    try:
        speed = float(text.removesuffix("x").removesuffix("×"))
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed; say 10x, 0.5x or max")
    return speed


def _serve(arguments: list[str]) -> int:
    """`bieber-tui serve`: the attach view in a browser."""
    from core import settings as core_settings

    parser = _parser(
        "serve",
        "The attach view in a browser. Needs the extra: pip install 'bieber-tui[web]'.\n"
        "Listens on this machine only and is read-only; with --writable or another --host it asks for a token.",
    )
    _add_settings(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8742, help="port to listen on; 0 takes a free one (8742)")
    parser.add_argument(
        "--writable", action="store_true", help="let the browser pause, resume and change keywords"
    )
    parser.add_argument("--public-url", metavar="URL", help="the address as browsers see it, behind a proxy")
    args = parser.parse_args(arguments)
    _warn(args.profile)
    settings = core_settings.load(_overrides(args), args.profile)
    from tui import serve

    return serve.run(
        settings.data_dir, host=args.host, port=args.port, writable=args.writable, public_url=args.public_url
    )


def _check(arguments: list[str]) -> int:
    """`bieber-tui check`: is everything set up?"""
    from core import check
    from core import settings as core_settings

    parser = _parser("check", "Is everything set up? One line a thing, with what to do. Nothing is billed.")
    _add_settings(parser)
    args = parser.parse_args(arguments)
    _warn(args.profile)
    return check.run(core_settings.load(_overrides(args), args.profile), sys.stdout)


def _compact(arguments: list[str]) -> int:
    """`bieber-tui compact`: a smaller journal."""
    from core import compaction
    from core import settings as core_settings

    parser = _parser("compact", "Remove what journal.keep does not keep, and give the room back to the disk.")
    _add_settings(parser)
    parser.add_argument(
        "--drop-store",
        metavar="STORE",
        help="forget a store that is gone for good, by the name that events give it: nothing waits for it then",
    )
    parser.add_argument("--json", action="store_true", help="what was removed as one JSON object")
    args = parser.parse_args(arguments)
    settings = core_settings.load(_overrides(args), args.profile)
    return compaction.run(settings, sys.stdout, drop_store=args.drop_store, as_json=args.json)


def _forget(arguments: list[str]) -> int:
    """`bieber-tui forget`: a person or a post."""
    from core import forget_command
    from core import settings as core_settings

    parser = _parser(
        "forget",
        "Remove what an author has said, or a post, from the journal and the store, and never take it again.\n"
        "Shows what would go, and asks. With neither, a store does what it was asked before. See docs/privacy.md.",
    )
    parser.add_argument(
        "--author", action="append", default=[], metavar="NAME|ID", help="an id, or a username as seen; repeatable"
    )
    parser.add_argument("--post", action="append", default=[], metavar="ID", help="an id or a link; repeatable")
    parser.add_argument("--dry-run", action="store_true", help="show what would go, and remove nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _add_settings(parser)
    args = parser.parse_args(arguments)
    _warn(args.profile)

    def confirm(question: str) -> bool:
        if args.yes:
            return True
        if not sys.stdin.isatty():
            raise ConfigError("there is no terminal to ask in", "Look at --dry-run, then add --yes.")
        sys.stdout.write(f"{question} [y/N] ")
        sys.stdout.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return forget_command.run(
        core_settings.load(_overrides(args), args.profile),
        args.author,
        args.post,
        dry_run=args.dry_run,
        confirm=confirm,
        out=sys.stdout,
    )


def _recover(arguments: list[str]) -> int:
    """`bieber-tui recover`: a damaged journal."""
    from core import recovery
    from core import settings as core_settings

    parser = _parser(
        "recover",
        "Save what can be saved of a damaged journal into a new one. The old file is kept beside it."
        " A journal that is whole is left as it is.",
    )
    _add_settings(parser)
    parser.add_argument("--json", action="store_true", help="what was saved and lost as one JSON object")
    args = parser.parse_args(arguments)
    return recovery.run(core_settings.load(_overrides(args), args.profile), sys.stdout, as_json=args.json)


def _gaps(arguments: list[str]) -> int:
    """`bieber-tui gaps`: what was not received."""
    import time

    from core import gaps
    from core import settings as core_settings

    parser = _parser("gaps", "The spans that a capture did not receive, with totals; also while it runs.")
    parser.add_argument("--data-dir", metavar="DIR", help="the folder of the journal")
    parser.add_argument("--profile", metavar="NAME", help="a TOML file, or its name in the config folder")
    parser.add_argument("--format", choices=gaps.FORMATS, default="table", help="how they are written (table)")
    parser.add_argument("--since", type=_moment, default=float("-inf"), metavar="TIME", help="ISO 8601, UTC")
    parser.add_argument("--until", type=_moment, default=float("inf"), metavar="TIME", help="ISO 8601, UTC")
    parser.add_argument("--open", action="store_true", help="only those that have not ended yet")
    args = parser.parse_args(arguments)
    settings = core_settings.load({} if args.data_dir is None else {"data_dir": args.data_dir}, args.profile)
    window = gaps.Window(args.since, args.until, time.time())
    return gaps.run(settings.data_dir, window, args.format, sys.stdout, sys.stderr, only_open=args.open)


def _moment(text: str) -> float:
    from core.gaps import moment

    try:
        return moment(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-11-24 or 2026-11-24T12:00") from None


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
        print(f"{name:<28} {default or '-':<26} {words}")  # noqa: T201 - the data that was asked for
    return 0


_FUNCTIONS: dict[str, Callable[[list[str]], int]] = {
    "demo": _demo,
    "attach": _attach,
    "replay": _replay,
    "serve": _serve,
    "check": _check,
    "forget": _forget,
    "gaps": _gaps,
    "compact": _compact,
    "recover": _recover,
    "simulate": _simulate,
    "settings": _settings,
}


def program() -> NoReturn:
    """The process: `main`, and then the end of it, whatever still hangs.

    A shell may have closed a stream (`<&-`, `2>&-`): it reads and writes nothing then. All that has to be kept is
    kept when `main` returns, so the process ends without the interpreter's farewell: that waits for threads of the
    MongoDB driver which wait for a server, it lets a second signal kill, and it gives another exit code when
    nobody reads the log any more.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for as long as the process lives
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    program()
