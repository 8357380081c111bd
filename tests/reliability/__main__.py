"""The figures of docs/reliability.md from one command: `make reliability`.

    python -m tests.reliability --kills 300 --posts 1000000 --fuzz-seconds 60

Runs the parts one after the other, each the same program that its own make target runs, and writes their figures
between the marks of docs/reliability.md. A part that fails ends it with exit code 1, and no figure is written for it
but that it failed. Parts can be named to run only these; the others keep their lines.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.machine import describe
from tests.reliability.x_faults import by_class

ROOT = Path(__file__).parent.parent.parent
DOC = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: made by `make reliability` -->\n", "<!-- end of figures -->\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One promise and the command that tries it. `figure` makes words of what the command said on stdout."""

    name: str
    promise: str
    command: tuple[str, ...]
    figure: Callable[[str], str]


def _passed(out: str) -> int:
    """How many tests passed; a run with a failure has no figure."""
    found = re.search(r"(\d+) passed", out)
    if found is None:
        raise ValueError("no test passed")
    return int(found[1])


def _faults(out: str) -> str:
    classes = ", ".join(f"{count} {name}" for name, count in by_class().items())
    return f"{sum(by_class().values())} faults ({classes}); {_passed(out):,} tests over sockets passed"


def _kills(out: str) -> str:
    told: dict[str, Any] = json.loads(out)
    return (
        f"{told['kills']:,} kills survived ({sum(told['at_points'].values()):,} of them at named points),"
        f" {told['done'].get('store killed', 0):,} kills of the store, {told['lines']:,} lines of {told['posts_sent']:,} posts;"
        f" {told['posts_in_gaps']:,} posts in {told['gaps']:,} recorded gaps, {told['posts_missing']:,} lost outside"
        f" of them, 0 twice, 0 invented; {told['documents']:,} documents = unique"
    )


def _soak(out: str) -> str:
    told: dict[str, Any] = json.loads(out)
    memory, behind = told["memory_mb"], told["behind_s"]
    return (
        f"{told['posts']:,} posts (`POSTS={told['posts']}`) with {told['reconnects']:,} reconnects in {told['seconds']:,.0f} s"
        f" ({told['posts_per_s'] or 0:,}/s), all compared: nothing lost, invented or twice; memory"
        f" {memory['after_warm_up']} MB after the warm-up, {memory['at_the_end']} MB at the end; newest durable post"
        f" {behind['after_warm_up']} s old, then {behind['at_the_end']} s; write-ahead log at most"
        f" {told['wal_mb_peak']} MB"
    )


def _fuzz(out: str) -> str:
    told: dict[str, Any] = json.loads(out)
    return (
        f"{told['executions']:,} inputs to {len(told['targets'])} targets, {told['edges']:,} edges of the code"
        f" reached, {told['findings']} findings left"
    )


def _mutants(out: str) -> str:
    told: dict[str, Any] = json.loads(out)
    return (
        f"{told['mutants']:,} small changes to {told['modules']} modules: {told['killed_by_tests']:,} seen by the tests,"
        f" {told['killed_by_types']:,} by the type checker, {told['survived']:,} by neither, each of them explained"
        " ([why](../tests/mutation/survivors.toml))"
    )


def _stops(out: str) -> str:
    times = [float(seconds) for seconds in re.findall(r"(\d+\.\d+) s   exit code", out)]
    return f"{len(times)} states, the longest end took {max(times):.2f} s"


def _rivals(_: str) -> str:
    table = (ROOT / "docs" / "rivals.md").read_text()
    row = re.search(r"^\| all \| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    if row is None:
        raise ValueError("docs/rivals.md has no line for all faults")
    return (
        f"{row[1]} faults, those without a loss out of record, a second copy or a needless end: bieber-tui"
        f" {row[2]}; twarc2 {row[3]}; tweepy {row[4]} ([the table](rivals.md))"
    )


def parts(kills: int, posts: int, fuzz_seconds: int) -> list[Part]:
    """Every part, in the order of the document."""
    tests = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n2")
    run = (sys.executable, "-m")
    return [
        Part(
            "points",
            "kill at every named point, with and without a store",
            (*tests, "tests/reliability/test_crash_points.py"),
            lambda out: f"{_passed(out):,} kills and comparisons passed",
        ),
        Part("kills", "kill at any moment", (*run, "tests.reliability.campaign", "--kills", str(kills)), _kills),
        Part("faults", "every fault of X", (*tests, "tests/integration/test_x_faults.py"), _faults),
        Part("stops", "an end within two seconds", (*run, "tests.reliability.stops"), _stops),
        Part("fuzz", "any input", (*run, "tests.fuzz.run", "--seconds", str(fuzz_seconds)), _fuzz),
        Part("mutants", "the tests see", (*run, "tests.mutation.run"), _mutants),
        Part("soak", "long runs", (*run, "tests.reliability.soak", "--posts", str(posts)), _soak),
        Part(
            "rivals",
            "the same faults for others",
            (*run, "tests.reliability.rivals", "--doc", str(ROOT / "docs" / "rivals.md")),
            _rivals,
        ),
    ]


def write(lines: dict[str, str]) -> None:
    """Put the lines into the document, by the name of their part; the others stay."""
    text = DOC.read_text()
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    kept = dict(re.findall(r"^(\| `make reliability PARTS=(?:\w+)` \|.*)$()", old, re.MULTILINE))
    rows = {re.search(r"PARTS=(\w+)", row)[1]: row for row in kept}  # type: ignore[index]
    rows |= lines
    order = [part.name for part in parts(0, 0, 0)]
    table = "\n".join(rows[name] for name in order if name in rows)
    DOC.write_text(f"{before}{BEGIN}\n| command | promise | figures |\n|---|---|---|\n{table}\n\n{END}{after}")


def main() -> int:
    """Run the parts and write their figures."""
    parser = argparse.ArgumentParser(description="The figures of docs/reliability.md.")
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--fuzz-seconds", type=int, default=60)
    args = parser.parse_args()
    known = parts(args.kills, args.posts, args.fuzz_seconds)
    unknown = set(args.parts) - {part.name for part in known}
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; {', '.join(part.name for part in known)}")
    machine = describe()
    where = f"{machine['processor']}, {machine['cores']} cores, Python {machine['Python']}"
    failed = 0
    for part in known:
        if args.parts and part.name not in args.parts:
            continue
        print(f"{part.name}: {part.promise}", file=sys.stderr, flush=True)
        done = subprocess.run(part.command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            figure = part.figure(done.stdout) if done.returncode == 0 else f"failed: exit code {done.returncode}"
        except (ValueError, KeyError) as error:
            figure = f"failed: {error}"
        failed += figure.startswith("failed")
        day = datetime.now(UTC).date().isoformat()
        write(
            {part.name: f"| `make reliability PARTS={part.name}` | {part.promise} | {figure} ({day}, {where}) |"}
        )
        print(f"  {figure}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
