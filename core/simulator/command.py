"""`bieber-tui simulate`: the simulator as a server of its own, until it is interrupted.

Words go to stderr; nothing goes to stdout but the list of faults when that is asked for.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from core.errors import ConfigError
from core.simulator.faults import FAULTS, BadSchedule, parse
from core.simulator.options import BEARER_TOKEN, CONSUMER_KEY, CONSUMER_SECRET, SimulatorOptions
from core.simulator.server import Simulator

DEFAULTS = SimulatorOptions()


def share(text: str) -> float:
    """A share: 0 to 1, or a percentage (`5%`)."""
    value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give 0 to 1, or 0% to 100%")
    return value


def amount(text: str) -> float:
    """A number that is not negative."""
    value = float(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is negative")
    return value


def count(text: str) -> int:
    """A whole number that is not negative."""
    return int(amount(text))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every option of the simulator, as a flag."""
    add = parser.add_argument
    add("--port", type=count, default=0, help="port on 127.0.0.1 (default: a free one)")
    add("--log", type=Path, metavar="FILE", help="write down exactly what was sent, as NDJSON")
    add("--duration", type=amount, metavar="SECONDS", help="stop by itself")
    add("--rule", action="append", default=[], metavar="RULE", help="define a rule beforehand; may be repeated")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="POINT:NAME",
        help="inject a fault, such as 500:cut-mid-json",
    )
    add("--list-faults", action="store_true", help="print every fault that can be injected, and exit")

    what = parser.add_argument_group("what is delivered")
    add = what.add_argument
    add(
        "--seed", type=int, default=DEFAULTS.seed, help="the same seed gives the same posts (default: %(default)s)"
    )
    add(
        "--rate",
        type=amount,
        default=DEFAULTS.rate,
        help="posts a second; 0: as fast as it can (default: %(default)g)",
    )
    add("--posts", type=count, metavar="N", help="stop after N posts, and stay connected")
    add("--end", action="store_true", help="end the stream cleanly after the last of the posts, once")
    add(
        "--duplicates",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="posts that are delivered twice, such as 5%%",
    )
    add(
        "--match",
        type=share,
        default=DEFAULTS.match,
        metavar="SHARE",
        help="posts about music (default: %(default)g)",
    )
    add("--edits", type=share, default=0.0, metavar="SHARE", help="posts that are a later version of another")
    add(
        "--payload",
        choices=("rich", "small", "full"),
        default="rich",
        help="small: about 300 bytes a post; full: about 4.7 kB, whatever fields are asked for",
    )
    add(
        "--prepared",
        type=count,
        default=0,
        metavar="N",
        help="make N posts beforehand, which go round: for 100,000 posts a second",
    )
    add("--chunk-lines", type=count, default=1, metavar="N", help="prepared posts in a chunk (default: 1)")
    add("--start-time", type=float, metavar="SECONDS", help="moment of the first post, since 1970 (default: now)")
    add("--latency", type=amount, default=0.0, metavar="SECONDS", help="how old a post is on delivery")
    add("--delivery-cap", type=amount, default=0.0, metavar="RATE", help="posts a second at most; X has 250")
    add(
        "--lose-while-disconnected",
        action="store_true",
        help="posts go on while nobody is connected, and are lost",
    )
    add("--resend-cut", action="store_true", help="deliver a post again whose line was cut off")

    who = parser.add_argument_group("who may connect")
    add = who.add_argument
    add("--token", action="append", metavar="TOKEN", help=f"accepted bearer token (default: {BEARER_TOKEN})")
    add("--consumer-key", default=CONSUMER_KEY, help="accepted key (default: %(default)s)")
    add("--consumer-secret", default=CONSUMER_SECRET, help="accepted secret (default: %(default)s)")
    add("--second-connection", choices=("kick", "refuse"), default="kick", help="close the old one, or answer 429")
    add("--ghost-seconds", type=amount, default=0.0, help="how long a closed connection holds its slot")
    add(
        "--connect-budget",
        type=count,
        default=DEFAULTS.connect_budget,
        help="connects a window (default: %(default)d)",
    )
    add(
        "--connect-window", type=amount, default=DEFAULTS.connect_window, help="its seconds (default: %(default)g)"
    )
    add("--backfill-access", action="store_true", help="allow backfill_minutes")

    how = parser.add_argument_group("how it behaves")
    add = how.add_argument
    add("--keep-alive", type=amount, default=DEFAULTS.keep_alive, help="seconds (default: %(default)g)")
    add("--gzip", action="store_true", help="compress when the client offers it")
    add(
        "--slow-reader-buffer",
        type=count,
        default=DEFAULTS.slow_reader_buffer,
        metavar="POSTS",
        help="posts kept for a slow reader (default: %(default)d)",
    )
    add(
        "--untagged-rule",
        choices=("absent", "empty", "null"),
        default="absent",
        help="the tag of a rule without one",
    )
    add("--rule-delay", type=amount, default=0.0, metavar="SECONDS", help="until a changed rule is applied")
    add("--rule-cap", type=count, default=DEFAULTS.rule_cap, help="rules at most (default: %(default)d)")
    add(
        "--rule-length",
        type=count,
        default=DEFAULTS.rule_length,
        help="characters of a rule (default: %(default)d)",
    )
    add("--search-lag", type=amount, default=0.0, metavar="SECONDS", help="until a post is found by search")
    add("--usage-as-strings", action="store_true", help="numbers of the usage endpoint as strings")


def options_of(args: argparse.Namespace) -> SimulatorOptions:
    """The options that the flags ask for. Raises ConfigError."""
    try:
        return SimulatorOptions(
            seed=args.seed, rate=args.rate, posts=args.posts, end=args.end, duplicates=args.duplicates,
            match=args.match, edits=args.edits, payload=args.payload, prepared=args.prepared,
            chunk_lines=max(args.chunk_lines, 1), start_time=args.start_time, latency=args.latency,
            delivery_cap=args.delivery_cap, hold_while_disconnected=not args.lose_while_disconnected,
            resend_cut=args.resend_cut, tokens=tuple(args.token or (BEARER_TOKEN,)),
            consumer_key=args.consumer_key, consumer_secret=args.consumer_secret,
            second_connection=args.second_connection, ghost_seconds=args.ghost_seconds,
            connect_budget=args.connect_budget, connect_window=args.connect_window,
            backfill_access=args.backfill_access, keep_alive=args.keep_alive, gzip=args.gzip,
            slow_reader_buffer=args.slow_reader_buffer, untagged_rule=args.untagged_rule,
            rule_delay=args.rule_delay, rule_cap=args.rule_cap, rule_length=args.rule_length,
            search_lag=args.search_lag, usage_as_strings=args.usage_as_strings, port=args.port, log=args.log,
            remember=False, faults=tuple(parse(text) for text in args.fault),
        )  # fmt: skip
    except BadSchedule as error:
        raise ConfigError(str(error), "`bieber-tui simulate --list-faults` prints every fault.") from None
    except ValueError as error:
        raise ConfigError(str(error), "`bieber-tui simulate --help` tells what the flags take.") from None


def list_faults() -> str:
    """Every fault, one a line: its number in the list of faults, its name, what it does."""
    lines = []
    for fault in FAULTS.values():
        value = f" [={fault.value:g} {fault.unit}]" if fault.unit else ""
        how = " (not schedulable)" if fault.how == "option" else ""
        lines.append(f"{fault.number or '-':>3}  {fault.name:<32} {fault.summary}{value}{how}")
    return "\n".join(lines)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT, SIGTERM or the duration's end. Returns the exit code; raises ConfigError."""
    if args.list_faults:
        sys.stdout.write(list_faults() + "\n")
        return 0
    simulator = Simulator(options_of(args))
    try:
        simulator.start()
    except OSError as error:
        raise ConfigError(
            f"the simulator cannot start: {error}", "Choose another --port, or a --log that can be written."
        ) from None
    stop = threading.Event()
    before = {one: signal.signal(one, lambda *_: stop.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        for rule in args.rule:
            simulator.add_rule(rule)
        sys.stderr.write(how_to_connect(simulator))
        sys.stderr.flush()
        stop.wait(args.duration)
    except ValueError as error:
        raise ConfigError(str(error), "Mend the --rule; it is written as X's rules are.") from None
    finally:
        simulator.stop()
        for one, handler in before.items():
            signal.signal(one, handler)
    return 0


def how_to_connect(simulator: Simulator) -> str:
    """What a person needs to point a client at it."""
    options, url = simulator.options, simulator.url
    return (
        f"X's API v2, simulated, answers at {url}\n"
        f"  bieber-tui:  BIEBER_TUI_X__BASE_URL={url} BIEBER_TUI_X__BEARER_TOKEN={options.tokens[0]} bieber-tui\n"
        f"  or a key:    BIEBER_TUI_X__CONSUMER_KEY={options.consumer_key} "
        f"BIEBER_TUI_X__CONSUMER_SECRET={options.consumer_secret}\n"
        f"  curl:        curl -N -H 'Authorization: Bearer {options.tokens[0]}' {url}/2/tweets/search/stream\n"
        "  tweepy:      see docs/simulator.md (an adapter that sends https://api.twitter.com here)\n"
        "Ctrl+C stops it.\n"
    )
