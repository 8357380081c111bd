"""How long from the start until it streams, and what does it cost to wait?"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import ours
from bench.stream import Load, Stream

LOAD = Load("small", 0.1)


@dataclass(frozen=True, slots=True)
class Start:
    """Medians of the start of `--no-ui`, and the processor time of an idle capture as a share of a core."""

    connected_ms: float  # from the start of the process until X has sent the first post
    cpu_ms: float  # processor time until then
    idle: float
    memory: int  # bytes, idle


def ask(*, repetitions: int, idle_seconds: float) -> Start:
    """Start so many times, and then let one wait for posts that do not come."""
    connected, cpu = [], []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name)) as stream:
            began = time.time()
            program = ours(stream, Path(name), "--max-posts", "10")
            while not stream.has_begun():
                program.look()
                time.sleep(0.001)
            program.look()
            connected.append((stream.began() - began) * 1000)
            cpu.append(program.before * 1000)
            program.end()
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), rate=0.001) as stream:
        program = ours(stream, Path(name))
        while not stream.has_begun():
            time.sleep(0.1)
        time.sleep(2)  # the one post that comes at once
        program.look()
        before = program.cpu
        time.sleep(idle_seconds)
        program.look()
        idle = (program.cpu - before) / idle_seconds
        memory = program.memory
        program.stop()
    return Start(statistics.median(connected), statistics.median(cpu), idle, memory)
