"""Do the tests see? `make mutation` changes the modules that carry the promises, one small change at a time.

mutmut makes the changes. One that `make check` would reject, because its types are wrong, needs no test; for each of
the others it runs the tests that reach the changed function. A change that nothing notices survives. Every survivor
is explained in survivors.toml; one that is not ends this run with exit code 1.
Each part works on a copy of the tree in the cache, and its log stays there. A part that ran to its end is not run
again as long as its modules and tests are the same, unless `--anew` is given. Figures are JSON on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("BIEBER_TUI_CACHE") or Path.home() / ".cache" / "bieber-tui") / "mutation"
COPIED = ("core", "tui", "tests", "scripts", "pyproject.toml")

# A part: modules that are changed, and the tests of tests/unit that must notice. These are fast ones, without a server
# or a socket: each change is a run of them, and all parts together are to take minutes.
PARTS: dict[str, tuple[list[str], list[str]]] = {
    "journal": (
        ["core/journal/journal.py", "core/journal/schema.py", "core/journal/gaps.py", "core/journal/progress.py"],
        ["test_journal_figures.py", "test_journal_progress.py", "test_journal.py", "test_gap_records.py"],
    ),
    "counters": (["core/ledger.py", "core/counters.py"], ["test_ledger.py"]),
    "framing": (["core/sources/x/framing.py"], ["test_x_framing.py"]),
    "backoff": (["core/sources/x/backoff.py"], ["test_x_backoff.py"]),
    "answers": (["core/sources/x/answers.py"], ["test_x_answers_words.py", "test_x_answers.py"]),
    "source": (["core/sources/x/source.py"], ["test_x_supervision.py", "test_x_connection.py"]),
    "connection": (["core/connection.py"], ["test_connection_told.py", "test_connection.py"]),
    "ingest": (
        ["core/ingest.py", "core/draft.py", "core/opinion.py", "core/bounds.py"],
        ["test_ingest.py", "test_draft_step.py", "test_last_durable_byte.py", "test_gap_records.py"],
    ),
    "delivery": (["core/delivery.py"], ["test_delivery.py", "test_delivery_faults.py"]),
    "mongodb": (["core/sinks/mongodb.py"], ["test_mongodb_sink.py"]),
    "documents": (["core/sinks/mongodb_document.py"], ["test_mongodb_document.py"]),
    "addresses": (["core/sinks/mongodb_address.py"], ["test_mongodb_address_words.py", "test_mongodb_address.py"]),
    "failures": (["core/sinks/mongodb_failure.py"], ["test_mongodb_failure_words.py", "test_mongodb_failure.py"]),
}

# Not run here: kills a process of its own three times, and sees nothing that the others do not.
SLOW = "--deselect=tests/unit/test_journal.py::test_a_kill_between_two_batches_keeps_counters_and_posts_in_step"
PATIENCE = 5  # seconds that a test waits here for what a change may have taken away

# mutmut's exit codes: nothing noticed the change, or nothing ran; it was not tried; the type checker rejects it.
# All others are a test that failed, or one that did not come to its end any more.
SURVIVED, NOT_TRIED, TYPE_ERROR = (0, 5, 33), (None, 2, 34), 37
# What `make check` runs, without what is no mistake but mutmut's way to write: it puts every changed copy of a method
# beside the others, and changes a branch by `and False`.
TYPES = (
    "-m", "mypy", "--output", "json", "--follow-imports", "silent", "--cache-dir", str(CACHE / "types"),
    "--no-warn-unreachable", "--no-warn-unused-ignores",
    *(f"--disable-error-code={code}" for code in ("no-redef", "no-any-return", "has-type", "misc")),
)  # fmt: skip
SHOW = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
print(json.dumps([get_diff_for_mutant(name, path=sys.argv[1]) for name in sys.argv[2:]]))
"""


@dataclass(frozen=True)
class Change:
    """One change that no test noticed: the lines before and after, without their indentation."""

    module: str
    before: str
    after: str

    @classmethod
    def read(cls, module: str, diff: str) -> Change:
        """From a unified diff."""

        def lines(sign: str) -> str:
            return "\n".join(
                line[1:].strip() for line in diff.splitlines() if line[:1] == sign and line[:3] != 3 * sign
            )

        return cls(module, lines("-"), lines("+"))


@dataclass(frozen=True)
class Reason:
    """Why changes survive: one of them, or all of one kind (a pattern over "before => after") in one module."""

    module: str
    pattern: re.Pattern[str]
    why: str

    def covers(self, change: Change) -> bool:
        """Whether it is said of that change."""
        return change.module == self.module and bool(self.pattern.fullmatch(f"{change.before} => {change.after}"))


def reasons() -> list[Reason]:
    """What somebody has said of the survivors, having looked at each."""
    entries = tomllib.loads((HERE / "survivors.toml").read_text())
    one = [
        Reason(
            entry["module"],
            re.compile(re.escape(f"{entry['before'].strip()} => {entry['after'].strip()}")),
            entry["why"],
        )
        for entry in entries.get("survivor", [])
    ]
    kinds = [
        Reason(module, re.compile(entry["pattern"], re.DOTALL), entry["why"])
        for entry in entries.get("kind", [])
        for module in entry["modules"]
    ]
    return one + kinds


def _is_done(part: str) -> bool:
    """Whether a part has run to its end with the modules and tests that are there now."""
    modules, names = PARTS[part]
    codes = [code for module in modules for code in _codes(CACHE / part, module).values()]
    if not codes or any(code in NOT_TRIED for code in codes):
        return False
    files = [*modules, *(f"tests/unit/{name}" for name in names)]
    copies = [CACHE / part / file for file in files]
    return all(
        copy.exists() and copy.read_bytes() == (ROOT / file).read_bytes()
        for copy, file in zip(copies, files, strict=True)
    )


def _run(part: str, workers: int) -> None:
    """Run mutmut over a copy of the tree."""
    modules, names = PARTS[part]
    tests = [SLOW, *(f"tests/unit/{name}" for name in names)]
    work = CACHE / part
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, work / name)
    with (work / "pyproject.toml").open("a") as config:
        config.write(
            f"\n[tool.mutmut]\nsource_paths = ['core']\nonly_mutate = {modules}\nalso_copy = ['tui', 'scripts']\n"
            f"pytest_add_cli_args_test_selection = {tests}\n"
            f"type_check_command = {[sys.executable, *TYPES, *modules]}\n"
        )
    log = work / "log"
    with log.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", str(workers)],
            cwd=work, env={**os.environ, "CI": "true", "BIEBER_TUI_PATIENCE": str(PATIENCE)},
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    codes = {name: code for module in modules for name, code in _codes(work, module).items()}
    if done.returncode or not codes or any(code in NOT_TRIED for code in codes.values()):
        raise SystemExit(f"the part {part} did not run to its end, see {log}:\n{log.read_text()[-2000:]}")


def mutate(part: str, workers: int, *, anew: bool) -> tuple[int, int, list[Change]]:
    """Run mutmut over one part; how many changes were made, what the type checker saw of them, the survivors."""
    modules = PARTS[part][0]
    work = CACHE / part
    if anew or not _is_done(part):
        _run(part, workers)
    codes = {name: code for module in modules for name, code in _codes(work, module).items()}
    survivors = []
    for module in modules:
        names = [name for name, code in _codes(work, module).items() if code in SURVIVED]
        shown = subprocess.run(
            [sys.executable, "-c", SHOW, module, *names], cwd=work, capture_output=True, text=True, check=True
        )
        survivors += [Change.read(module, diff) for diff in json.loads(shown.stdout)]
    return len(codes), list(codes.values()).count(TYPE_ERROR), survivors


def _codes(work: Path, module: str) -> dict[str, int | None]:
    """The exit code of the tests for each change of a module; none when it was left off in mid-write."""
    try:
        notes = json.loads((work / "mutants" / f"{module}.meta").read_text())
    except (OSError, ValueError):
        return {}
    codes: dict[str, int | None] = notes["exit_code_by_key"]
    return codes


def main() -> int:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(description="Mutation testing; figures as JSON on stdout.")
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--anew", action="store_true", help="also what has run before and has not changed")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    figures: dict[str, Any] = {}
    left: dict[str, list[Change]] = {}
    for part in arguments.parts or PARTS:
        print(f"changing {part}: {', '.join(PARTS[part][0])}", file=sys.stderr, flush=True)
        began = time.monotonic()
        mutants, types, left[part] = mutate(part, arguments.workers, anew=arguments.anew)
        figures[part] = {
            "mutants": mutants,
            "killed_by_tests": mutants - types - len(left[part]),
            "killed_by_types": types,
            "survived": len(left[part]),
            "seconds": round(time.monotonic() - began, 1),
        }
        print(json.dumps(figures[part]), file=sys.stderr, flush=True)
    known = reasons()  # as they are now: half an hour is time to write one
    unexplained: list[Change] = []
    met: set[Reason] = set()
    for part, survivors in left.items():
        said = [next((reason for reason in known if reason.covers(change)), None) for change in survivors]
        figures[part]["explained"] = len(said) - said.count(None)
        met |= {reason for reason in said if reason is not None}
        unexplained += [change for change, reason in zip(survivors, said, strict=True) if reason is None]
    changed = {module for part in figures for module in PARTS[part][0]}
    report = {
        "parts": figures,
        "modules": len(changed),
        **{
            name: sum(one[name] for one in figures.values())
            for name in ("mutants", "killed_by_tests", "killed_by_types", "survived", "explained")
        },
        "unexplained": [vars(change) for change in unexplained],
        "explained_but_killed": [
            f"{reason.module}: {reason.pattern.pattern}"
            for reason in known
            if reason.module in changed and reason not in met
        ],
    }
    print(json.dumps(report, indent=1))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
