"""docs/simulator.md says what the program says."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from core.simulator.command import add_arguments
from core.simulator.faults import FAULTS, parse
from core.simulator.options import BEARER_TOKEN

DOC = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text("utf-8")


def rows() -> list[str]:
    """The registry as the rows of the document's table."""
    return [
        f"| {fault.number or '-'} | `{fault.name}` | {fault.how} | "
        f"{f'{fault.value:g} {fault.unit}' if fault.unit else ''} | {fault.summary} |"
        for fault in FAULTS.values()
    ]


def test_the_table_of_faults_is_the_registry() -> None:
    table = DOC.partition("| Number | Fault |")[2]
    written = [line for line in table.splitlines()[2:] if line.startswith("| ")]
    assert written == rows()


def test_every_flag_is_described_and_exists() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", DOC)) == flags


def test_the_faults_of_the_examples_can_be_scheduled() -> None:
    examples = re.findall(r"--fault ([a-z0-9:.=*-]+)", DOC)
    assert len(examples) > 2
    for example in examples:
        parse(example)


def test_the_token_of_the_examples_is_the_default() -> None:
    assert BEARER_TOKEN in DOC
