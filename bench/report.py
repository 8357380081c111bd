"""Results as JSON, as docs/performance.md and as plots; nothing in them is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from math import log10
from statistics import median
from typing import Any

from bench.contestants import LIMIT_ALL, LIMIT_SAME, OURS, OURS_ALONE, OURS_MONGODB, SEED, TWARC
from bench.curves import SIZED, WATCHED, Cost
from bench.growth import LOAD, POSTS, WARM_UP, Point
from bench.latency import RATE, Latency
from bench.painted import Painted
from bench.screen import RATE as SCREEN_RATE
from bench.screen import Screen
from bench.stages import Stage
from bench.start import Start
from bench.stream import LOADS
from bench.throughput import Cell, ratio
from tui.app import NUMBERS_EVERY

# What issue 6 asks for: ours, the other, at least, stretch.
GOALS = (
    (OURS, SEED, 15.0, 30.0),
    (OURS_MONGODB, SEED, 6.0, 10.0),
    (OURS, TWARC, 3.0, 6.0),
    (OURS, LIMIT_SAME, 0.4, 0.7),
    (OURS_ALONE, SEED, 15.0, 30.0),
    (OURS_ALONE, TWARC, 3.0, 6.0),
    (OURS_ALONE, LIMIT_SAME, 0.4, 0.7),
    (OURS, LIMIT_ALL, 0.4, 0.7),
)

PAGE = """# Performance

Made by `{command}`; nothing here was written by hand. Measured on {processor}, {cores} cores, {memory}, {system},
load {load} before the start; Python {python}, SQLite {sqlite}, {packages}.

## Posts a second over the whole path

Everyone reads the same stream from a simulator in another process, on loopback, one post a chunk: small posts of
about 300 bytes or rich ones of about 4.7 kB with includes, of which a part is about the topic and one in a
hundred comes twice. The time runs from the first byte that is sent until the last post is durable. Medians of
{repetitions} interleaved repetitions, in brackets the slowest and the fastest; µs are processor time a post (of
the client and whatever it starts, not of the database), which other work on the machine changes less than the
speed. MB are the most that it had; of several processes the sum of what each had, which is an upper bound. A
figure is printed only after what was stored was compared with what was sent, post by post.

{throughput}

{about}

## Against the others

How many times as fast, and (in brackets) how many times as little processor time. The goals are the project's.

{ratios}

![Posts a second](performance/throughput.svg)

## What the profile says

Each step alone, all in one process, over the same bytes (`bench/stages.py`):

{stages}

What was found, and what became of it:

- Decoding a line into structs is a tenth of the price of a Post with its date, its author, its references. A post
  that surely is not about the topic is refused at a glance at its words and is never made into a Post unless
  somebody looks at its row. The plain way stays, and a property test holds every batch of the two together.
- Python's collector looked for cycles after every 700 objects, and a line makes dozens that die at once: an eighth
  of the time. It looks after every 20,000 now, and not at what was imported.
- A statement inserts 64 posts. With one for each, SQLite wrote down the last number and the interpreter waited for
  its turn 64 times as often. The sqlite3 module also asks of `bytes` whether they are something else; of a
  `bytearray` it does not.
- A chunk of HTTP that holds one line, as X sends them, becomes a line in one step; what was read together goes
  through the queue together.
- Whether a text holds a character that becomes a letter of ASCII, or that is invisible, is asked of its characters
  beyond ASCII only: they are few, and looking each character up was a tenth of the time of a small post.
- Judging is more than half of the work, and needs nothing but the line and the topic. Under load a second process
  does a part of it; the two batches behind are judged there while this one is committed, so that neither process
  waits for the other. On this machine its core is shared with the simulator, and with a database if there is one.
- The second process also counts the window's names of all its posts together. A list of words for each post was
  made twice and thrown away twice, a quarter of the writer's work.
- What is left to the writer is one loop with few calls. A row of the feed is a struct that holds the line, and
  makes the post of it when somebody looks.
- A batch is judged step by step, each step over all of its lines, and not line by line: the processor keeps what
  a step needs in its nearest cache, and the same calls take a seventh less time.
- A matched post costs several times an unmatched one. A word that stands between two signs of ASCII is a word of
  the normal form, which therefore need not be made. Of the post, only what a topic can ask for is made; its date,
  its numbers and its versions are not. The words of the window are remembered by the runs of bytes that they were
  read from, which are split in half of the time of a text; a tag's borders are asked after its sign was found; a
  name is counted in one place.
- While a store works, the rows behind are read, decoded and made into documents. A batch goes to MongoDB as two
  inserts at a time, and the server works on both.

What is left: reading the JSON, which has to be whole before a post counts as consumed; Python's own steps
between the parts; and for matched posts what they say, the window's words and the row in SQLite. With two
processes the reader and the writer are left, which share one interpreter. A capture under pseudonyms, or one that
was asked to forget somebody, decodes every line, and does so alone: whoever is to be left out must be known first.

What the stretch goals would need: the steps that are done for each line would have to leave Python: framing, the
glance and the search for needles in one pass over a chunk, in compiled code. Where the limit itself, which does
nothing but read and insert, is nearer to a rival than the goal is, nothing on this machine would be enough.

With more terms the verdict costs:

{terms}

Up to 12 alternatives are searched as strings in the words of a post, and most posts have none. More are looked up:
every word of the post in a table of the terms, so the cost is that of the post's words, not of the terms.

## What else was asked

{single}

Socket to durable: at {rate:,.0f} rich posts a second, from the simulator's write until the post's count is
durable; half of the posts took {p50:.0f} ms, {p99:.0f} ms was the 99th percentile and {worst:.0f} ms the worst of
{posts:,}. An idle capture has {idle_memory:.0f} MB.

Socket to painted: the same stream with the dashboard on a pseudo-terminal, from the simulator's write until the
bytes of the post's row have come out of the terminal's other end. The feed shows the posts about the topic, of
which {painted.own:.1%} got a row of their own; any other counts as painted with the first row of a newer one.
Half of {painted.posts:,} took {painted.p50:.0f} ms, and {painted.worst:.0f} ms was the worst. The numbers beside
the feed are brought up to date every {numbers:.0f} ms.

The start of `--no-ui` takes {start_cpu:.0f} ms of processor time, nearly all of it for loading packages. In the
same run, the bare interpreter took {bare_python:.0f} ms from start to end and `import tweepy` {tweepy:.0f} ms; an
app of Textual took {textual:.0f} ms to show one word.

Processor time a post with so many stored already ({growth_load}, {growth_posts:,} posts each), and the most memory
that the capture upon them had, until its end. The {growth_warm_up:,} posts before are not measured: meanwhile the
second process starts, and what an earlier capture left for the window is read back. That a single run of ten
million posts does not grow is measured by `make soak`, for [reliability.md](reliability.md):

{growth}

![Cost of a post against the number of stored posts](performance/growth.svg)

Processor time of the capture at a steady rate, small posts, 10% about the topic (`bench/curves.py`). At low rates
each batch has few posts, and its commit is paid by these:

{rates}

At {sized:,} posts a second, of which 10% are about the topic too, with lines of so many bytes in the mean: small
posts, posts with the fields that a capture asks for, and rich ones with everything that X has:

{payloads}

And at {watched:,} posts a second with so many dashboards attached. A viewer gets what is new since it looked,
packed once for each:

{viewers}
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """All that was measured in one run."""

    machine: dict[str, str]
    flags: str  # of the command that measured
    cells: Sequence[Cell]
    growth: Sequence[Point]
    latency: Latency
    painted: Painted
    stages: Sequence[Stage]
    terms: Sequence[tuple[int, float]]  # in the topic, and µs a post
    start: Start
    screen: Screen
    rates: Sequence[Cost]
    payloads: Sequence[Cost]
    viewers: Sequence[Cost]


def command(flags: str) -> str:
    """The whole command that measured, for a shell."""
    return f'make bench BENCH_FLAGS="{flags}"' if flags else "make bench"


def results(answers: Answers) -> dict[str, Any]:
    """Everything that was measured, ready for JSON."""
    cells = answers.cells
    return {
        "command": command(answers.flags),
        "machine": answers.machine,
        "growth": [asdict(point) for point in answers.growth],
        "latency_ms": asdict(answers.latency),
        "painted_ms": asdict(answers.painted),
        "stages": [
            {
                "payload": one.load.payload, "match": one.load.match,
                "stage": one.name, "cpu_us_per_post": round(one.cpu, 2),
            }
            for one in answers.stages
        ],
        "terms": [{"terms": count, "cpu_us_per_post": round(cpu, 2)} for count, cpu in answers.terms],
        "start": asdict(answers.start),
        "screen": asdict(answers.screen),
        "rates": [asdict(cost) for cost in answers.rates],
        "payloads": [asdict(cost) for cost in answers.payloads],
        "viewers": [asdict(cost) for cost in answers.viewers],
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


def page(answers: Answers) -> str:
    """docs/performance.md."""
    machine, cells, latency, start = answers.machine, answers.cells, answers.latency, answers.start
    known = ("processor", "cores", "memory", "system", "load before", "Python", "SQLite")
    return PAGE.format(
        command=command(answers.flags),
        processor=machine["processor"], cores=machine["cores"], memory=machine["memory"], system=machine["system"],
        load=machine["load before"], python=machine["Python"], sqlite=machine["SQLite"],
        packages=", ".join(f"{name} {number}" for name, number in machine.items() if name not in known),
        repetitions=len(cells[0].runs), throughput=_throughput(cells), ratios=_ratios(cells), about=_about(cells),
        single=_single(answers), rate=RATE, p50=latency.p50, p99=latency.p99, worst=latency.worst,
        posts=latency.posts, start_cpu=start.cpu_ms, idle_memory=start.memory / 1e6, bare_python=start.python_ms,
        painted=answers.painted, numbers=NUMBERS_EVERY * 1000, tweepy=start.tweepy_ms,
        textual=start.textual_ms, growth_load=LOAD,
        growth_posts=POSTS - WARM_UP, growth_warm_up=WARM_UP, growth=_growth(answers.growth),
        stages=_stages(answers.stages),
        terms=_terms(answers.terms), rates=_costs(answers.rates, "posts/s"), sized=SIZED,
        payloads=_costs(answers.payloads, "bytes"), watched=WATCHED,
        viewers=_costs(answers.viewers, "viewers"),
    )  # fmt: skip


def _single(answers: Answers) -> str:
    """The goals that are one number each."""
    grown = answers.growth[-1].cpu / answers.growth[0].cpu
    sizes = f"{answers.growth[-1].stored:,} posts stored over cost with {answers.growth[0].stored:,}"
    rows = (
        (f"cost of a post with {sizes}", f"{grown:.2f}", "1.3", "1.1"),
        (f"socket to durable at {RATE:,.0f} posts/s, p99", f"{answers.latency.p99:.0f} ms", "120 ms", "50 ms"),
        (f"socket to painted at {RATE:,.0f} posts/s, p99", f"{answers.painted.p99:.0f} ms", "250 ms", "150 ms"),
        ("`--no-ui` start to the first post", f"{answers.start.connected_ms:.0f} ms", "300 ms", "150 ms"),
        ("start to the first content of the dashboard", f"{answers.start.content_ms:.0f} ms", "350 ms", "250 ms"),
        (
            f"what the dashboard adds at {SCREEN_RATE:,.0f} posts/s, of a core",
            f"{answers.screen.added:.1%}",
            "10%",
            "5%",
        ),
        (f"key to paint at {SCREEN_RATE:,.0f} posts/s, p50", f"{answers.screen.p50:.0f} ms", "", ""),
        (f"key to paint at {SCREEN_RATE:,.0f} posts/s, p99", f"{answers.screen.p99:.0f} ms", "80 ms", "40 ms"),
        (
            f"event-loop stall at {SCREEN_RATE:,.0f} posts/s while keys are pressed, p99",
            f"{answers.screen.stall_p99:.0f} ms",
            "20 ms",
            "8 ms",
        ),
        ("idle, of a core", f"{answers.start.idle:.1%}", "1%", "0.5%"),
        (
            f"memory with {answers.growth[-1].stored:,} posts stored, the most",
            f"{answers.growth[-1].memory / 1e6:.0f} MB",
            "120 MB",
            "80 MB",
        ),
    )
    return "\n".join(
        ["| | reached | goal | stretch |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    )


def _stages(stages: Sequence[Stage]) -> str:
    loads = list(dict.fromkeys(one.load for one in stages))
    lines = ["| step, µs a post | " + " | ".join(map(str, loads)) + " |", "|---|" + "---|" * len(loads)]
    for name in dict.fromkeys(one.name for one in stages):
        costs = [next(one.cpu for one in stages if (one.name, one.load) == (name, load)) for load in loads]
        lines.append(f"| {name} | " + " | ".join(f"{cost:.1f}" for cost in costs) + " |")
    return "\n".join(lines)


def _terms(terms: Sequence[tuple[int, float]]) -> str:
    lines = ["| terms in the topic | µs a post, verdict |", "|---|---|"]
    return "\n".join([*lines, *(f"| {count:,} | {cpu:.1f} |" for count, cpu in terms)])


def _costs(costs: Sequence[Cost], what: str) -> str:
    lines = [f"| {what} | of a core | µs a post |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {one.at:,} | {one.share:.1%} | {one.per_post:.1f} |" for one in costs)])


def _growth(points: Sequence[Point]) -> str:
    lines = ["| stored | µs a post | posts/s | MB |", "|---|---|---|---|"]
    rows = (f"| {one.stored:,} | {one.cpu:.1f} | {one.rate:,.0f} | {one.memory / 1e6:.0f} |" for one in points)
    return "\n".join([*lines, *rows])


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


def plot_growth(points: Sequence[Point]) -> str:
    """The cost of a post against the number of stored posts (logarithmic), from zero up; as SVG."""
    left, top, width, height = 60, 20, 480, 200
    most = max(point.cpu for point in points) * 1.2
    span = max(log10(points[-1].stored / points[0].stored), 1)
    places = [
        (left + width * log10(point.stored / points[0].stored) / span, top + height * (1 - point.cpu / most))
        for point in points
    ]
    parts = [f'<path d="M{left} {top}V{top + height}H{left + width}" class="axis"/>']
    parts.append(f'<polyline points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in places)}" class="line"/>')
    for (x, y), point in zip(places, points, strict=True):
        parts.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" class="ours"/>'
            f'<text x="{x:.0f}" y="{y - 8:.0f}" text-anchor="middle">{point.cpu:.1f} µs</text>'
            f'<text x="{x:.0f}" y="{top + height + 16}" text-anchor="middle">{point.stored:,}</text>'
        )
    return _svg("".join(parts), left + width + 60, top + height + 28, "Cost of a post against stored posts")


def plot(cells: Sequence[Cell]) -> str:
    """Bars of posts a second, each kind of stream on a scale of its own; as SVG."""
    left, width, bar = 190, 520, 16
    parts: list[str] = []
    y = 10
    for load in LOADS:
        mine = [cell for cell in cells if cell.load == load]
        most = max(cell.rate for cell in mine)
        parts.append(f'<text x="8" y="{y + 12}" class="h">{escape(str(load))}</text>')
        y += 20
        for cell in mine:
            length = max(width * cell.rate / most, 2)
            kind = "ours" if cell.who in (OURS, OURS_ALONE, OURS_MONGODB) else "other"
            parts.append(
                f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{escape(cell.who.name)}</text>'
                f'<rect x="{left}" y="{y + 1}" width="{length:.0f}" height="{bar - 3}" class="{kind}"/>'
                f'<text x="{left + length + 6:.0f}" y="{y + 12}">{cell.rate:,.0f}</text>'
            )
            y += bar
        y += 10
    return _svg("".join(parts), left + width + 90, y, "Posts a second")


def _svg(content: str, width: int, height: int, label: str) -> str:
    style = (
        "text{font:12px sans-serif;fill:#444}.h{font-weight:bold}.ours{fill:#1d9bf0}.other{fill:#9aa5b1}"
        ".axis{fill:none;stroke:#9aa5b1}.line{fill:none;stroke:#1d9bf0;stroke-width:2}"
        "@media(prefers-color-scheme:dark){text{fill:#ccc}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}"><style>{style}</style>{content}</svg>\n'
    )
