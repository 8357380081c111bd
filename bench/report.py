"""Results as JSON, as docs/performance.md and as plots; nothing in them is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10
from statistics import median
from typing import Any

from bench.contestants import LIMIT_ALL, LIMIT_SAME, OURS, OURS_MONGODB, SEED, TWARC
from bench.stream import LOADS
from bench.throughput import Cell, ratio

# What issue 6 asks for: ours, the other, at least, stretch.
GOALS = (
    (OURS, SEED, 15.0, 30.0),
    (OURS_MONGODB, SEED, 6.0, 10.0),
    (OURS, TWARC, 3.0, 6.0),
    (OURS, LIMIT_SAME, 0.4, 0.7),
    (OURS, LIMIT_ALL, 0.4, 0.7),
)

PAGE = """# Performance

Made by `make bench`; nothing here was written by hand. Measured on {processor}, {cores} cores, {memory}, {system},
load {load} before the start; Python {python}, SQLite {sqlite}, {packages}.

## Posts a second over the whole path

Everyone reads the same stream from a simulator in another process, on loopback, one post a chunk: small posts of
about 300 bytes or rich ones of about 4.7 kB with includes, of which a part is about the topic and one in a
hundred comes twice. The time runs from the first byte that is sent until the last post is durable. Medians of
{repetitions} interleaved repetitions, in brackets the slowest and the fastest; µs are processor time a post (of
the client, not of the database). A figure is printed only after what was stored was compared with what was sent,
post by post.

{throughput}

{about}

## Against the others

How many times as fast, and (in brackets) how many times as little processor time. The goals are the project's.

{ratios}

![Posts a second](performance/throughput.svg)
"""


def results(machine: dict[str, str], cells: Sequence[Cell]) -> dict[str, Any]:
    """Everything that was measured, ready for JSON."""
    return {
        "machine": machine,
        "throughput": [
            {
                "payload": cell.load.payload, "match": cell.load.match, "who": cell.who.name,
                "posts_per_s": round(cell.rate), "spread": [round(one) for one in cell.spread],
                "cpu_us_per_post": round(cell.cpu, 1), "posts": cell.runs[0].posts,
                "memory_mb": round(max(run.memory for run in cell.runs) / 1e6, 1),
                "found": round(min(run.found for run in cell.runs), 4), "repetitions": len(cell.runs),
            }
            for cell in cells
        ],
        "ratios": [
            {
                "ours": ours.name, "other": other.name, "payload": load.payload, "match": load.match,
                "times_as_fast": round(ratio(cells, load, ours, other), 3),
                "times_as_little_cpu": round(ratio(cells, load, ours, other, cpu=True), 3),
                "at_least": least, "stretch": stretch,
            }
            for ours, other, least, stretch in GOALS
            for load in LOADS
        ],
    }  # fmt: skip


def page(machine: dict[str, str], cells: Sequence[Cell]) -> str:
    """docs/performance.md."""
    known = ("processor", "cores", "memory", "system", "load before", "Python", "SQLite")
    return PAGE.format(
        processor=machine["processor"], cores=machine["cores"], memory=machine["memory"], system=machine["system"],
        load=machine["load before"], python=machine["Python"], sqlite=machine["SQLite"],
        packages=", ".join(f"{name} {number}" for name, number in machine.items() if name not in known),
        repetitions=len(cells[0].runs), throughput=_throughput(cells), ratios=_ratios(cells), about=_about(cells),
    )  # fmt: skip


def _contestants(cells: Sequence[Cell]) -> list[Any]:
    return list(dict.fromkeys(cell.who for cell in cells))


def _throughput(cells: Sequence[Cell]) -> str:
    lines = ["| | " + " | ".join(map(str, LOADS)) + " |", "|---|" + "---|" * len(LOADS)]
    for who in _contestants(cells):
        row = []
        for load in LOADS:
            cell = next((one for one in cells if one.who == who and one.load == load), None)
            if cell is None:
                row.append("as with 10%")
            else:
                low, high = cell.spread
                row.append(f"{cell.rate:,.0f} ({low:,.0f} to {high:,.0f}); {cell.cpu:.1f} µs")
        lines.append(f"| {who.name} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def _about(cells: Sequence[Cell]) -> str:
    lines = []
    for who in _contestants(cells):
        mine = [cell for cell in cells if cell.who == who]
        read = " or ".join(f"{posts:,}" for posts in dict.fromkeys(cell.runs[0].posts for cell in mine))
        memory = median(run.memory for cell in mine for run in cell.runs) / 1e6
        found = min(run.found for cell in mine for run in cell.runs)
        missed = f"; finds {found:.0%} of the rich posts about the topic" if found < 0.99 else ""
        lines.append(f"- {who.name}: {who.about}; reads {read} posts, {memory:.0f} MB{missed}.")
    return "\n".join(lines)


def _ratios(cells: Sequence[Cell]) -> str:
    lines = ["| | " + " | ".join(map(str, LOADS)) + " | goal | stretch |", "|---|" + "---|" * (len(LOADS) + 2)]
    for ours, other, least, stretch in GOALS:
        row = []
        for load in LOADS:
            fast, little = ratio(cells, load, ours, other), ratio(cells, load, ours, other, cpu=True)
            row.append(f"{fast:.1f} ({little:.1f})" if least > 1 else f"{fast:.0%} ({little:.0%})")
        goals = [f"{one:g}×" if least > 1 else f"{one:.0%}" for one in (least, stretch)]
        lines.append(f"| {ours.name} / {other.name} | " + " | ".join([*row, *goals]) + " |")
    return "\n".join(lines)


def plot(cells: Sequence[Cell]) -> str:
    """Bars of posts a second, by kind of stream, on a logarithmic scale; as SVG."""
    left, width, bar = 190, 520, 16
    most = max(cell.rate for cell in cells)
    parts: list[str] = []
    y = 10
    for load in LOADS:
        mine = [cell for cell in cells if cell.load == load]
        parts.append(f'<text x="8" y="{y + 12}" class="h">{escape(str(load))}</text>')
        y += 20
        for cell in mine:
            length = max(width * log10(cell.rate) / log10(most), 2)
            kind = "ours" if cell.who in (OURS, OURS_MONGODB) else "other"
            parts.append(
                f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{escape(cell.who.name)}</text>'
                f'<rect x="{left}" y="{y + 1}" width="{length:.0f}" height="{bar - 3}" class="{kind}"/>'
                f'<text x="{left + length + 6:.0f}" y="{y + 12}">{cell.rate:,.0f}</text>'
            )
            y += bar
        y += 10
    style = (
        "text{font:12px sans-serif;fill:#444}.h{font-weight:bold}.ours{fill:#1d9bf0}.other{fill:#9aa5b1}"
        "@media(prefers-color-scheme:dark){text{fill:#ccc}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 90} {y}" role="img" '
        f'aria-label="Posts a second, logarithmic"><style>{style}</style>{"".join(parts)}</svg>\n'
    )
