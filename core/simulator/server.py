"""The simulator: a server on 127.0.0.1 that answers as X's API version 2, in a thread with a loop of its own.

    with Simulator(SimulatorOptions(seed=1, rate=50, faults=("500:cut-mid-json",))) as sim:
        ... point a client at sim.url, then compare what it stored with sim.sent ...

What it promises: posts replay from the seed, and `sent` (and the log) is exactly what was put on the wire. It
never listens on any address but loopback and never opens a connection of its own.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from core.simulator import problems, rest
from core.simulator.fault_answers import ANSWERS
from core.simulator.faults import REQUESTS, Scheduled, parse
from core.simulator.http import HEAD_LIMIT, BadRequest, Request, Response, head, read_request
from core.simulator.options import SimulatorOptions
from core.simulator.prepared import Order
from core.simulator.record import ConnectionRecord, RequestRecord, SentRecord, SentRun
from core.simulator.shape import BadParameter, Shape
from core.simulator.state import State
from core.simulator.stream import StreamConnection

STREAM_PATH = "/2/tweets/search/stream"
HOST = "127.0.0.1"
OTHER_HOST = "localhost"  # another name of the same place: enough for clients to drop their authorization

T = TypeVar("T")


class Simulator:
    """Starts with `start()` or as a context manager. Every method may be called from any thread."""

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self.options = options or SimulatorOptions()
        self.port = self.options.port
        self._loop = asyncio.new_event_loop()
        self._state = State(self.options)
        self._state.pause_listening = self._pause_for
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._stopping: asyncio.Event | None = None

    # Life

    def start(self) -> None:
        """Listen. Raises OSError when the port or the log's file cannot be had."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """End every connection and the thread. Twice is harmless."""
        if self._thread.is_alive() and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(timeout=10)

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.close()

    async def _main(self) -> None:
        self._stopping = asyncio.Event()
        try:
            self._state.recorder.open()
            await self._listen()
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that called start()
            self._failure = error
            self._started.set()
            return
        self._started.set()
        await self._stopping.wait()
        await self._unlisten()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._state.recorder.close()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, HOST, self.port, limit=HEAD_LIMIT, ssl=self.options.ssl_context
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def _unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _pause_for(self, seconds: float) -> None:
        """In the loop: refuse connections for so long."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._loop.call_later(seconds, lambda: self._loop.create_task(self._listen()))

    # What tests read and do

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self.options.ssl_context else 'http'}://{HOST}:{self.port}"

    @property
    def sent(self) -> list[SentRecord]:
        """What was put on a stream, in order, and what was lost. A copy."""
        return self._call(lambda: list(self._state.recorder.sent))  # between two lines, never within one

    @property
    def runs(self) -> list[SentRun]:
        """The prepared posts that were put on a stream many at a time, or lost so, in order. A copy."""
        return self._call(lambda: list(self._state.recorder.runs))

    @property
    def order(self) -> Order | None:
        """What the numbers in `runs` mean; None before the first connection and without prepared posts."""
        ring = self._state.world.ring
        return ring.order if ring else None

    @property
    def connections(self) -> list[ConnectionRecord]:
        """Every request for the stream, in order."""
        return list(self._state.recorder.connections)

    @property
    def requests(self) -> list[RequestRecord]:
        """Every other request, in order."""
        return list(self._state.recorder.requests)

    @property
    def rules(self) -> list[dict[str, Any]]:
        """The rules as X would list them."""
        return self._call(lambda: [rule.listed() for rule in self._state.rules.rules])

    @property
    def finished(self) -> bool:
        """Whether all of `options.posts` and their duplicates have been put on the stream, cut or lost."""
        return self._state.world.finished

    def add_rule(self, value: str, tag: str | None = None) -> None:
        """Define a rule as if a client had done so. Raises ValueError."""
        asked = {"value": value} | ({} if tag is None else {"tag": tag})
        _, body = self._call(lambda: self._state.rules.add([asked], time.monotonic(), dry_run=False))
        if "errors" in body:
            problem = body["errors"][0]
            raise ValueError(f"the rule {value!r} was not taken: {problem.get('details', [problem['title']])[0]}")

    def push(self, line: bytes | str | dict[str, Any]) -> None:
        """Send that next on the live connection, or on the next one; a line end is added if there is none."""
        raw = json.dumps(line, ensure_ascii=False).encode() if isinstance(line, dict) else line
        raw = raw.encode() if isinstance(raw, str) else raw
        content = raw if raw.endswith(b"\n") else raw + b"\r\n"

        def push() -> None:
            self._state.pushed.append(content)
            self._wake()

        self._call(push)

    def schedule(self, fault: str | Scheduled) -> None:
        """One more fault, spelled as on the command line or built. Raises BadSchedule."""
        scheduled = parse(fault) if isinstance(fault, str) else fault

        def schedule() -> None:
            self._state.schedule.add(scheduled)
            self._wake()

        self._call(schedule)

    def pause_listening(self) -> None:
        """Refuse new connections; the live one stays."""
        asyncio.run_coroutine_threadsafe(self._unlisten(), self._loop).result(10)

    def resume_listening(self) -> None:
        """Listen again, on the same port."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def _call(self, function: Callable[[], T]) -> T:
        """Run a function in the loop, where the state lives; directly while it does not run."""
        if not self._thread.is_alive():
            return function()

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _wake(self) -> None:
        if self._state.live is not None:
            self._state.live.wake.set()

    # Connections

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.CancelledError):
            pass
        except BadRequest as error:
            writer.write(problems.invalid_request({}, str(error)).encode(close=True))
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer. Whether the connection may carry another."""
        request = await read_request(reader)
        if request is None:
            return False
        if request.path == STREAM_PATH and request.method == "GET":
            await self._stream(request, reader, writer)
            return False
        self._state.catch_up()
        name = rest.endpoint(request).removeprefix("list_").removeprefix("change_")
        fault = self._request_fault(name)
        if fault is not None and fault.name not in ANSWERS:
            await self._misbehave(fault, request, reader, writer)
            return False
        response = ANSWERS[fault.name](fault.amount) if fault else await rest.answer(self._state, request)
        posts = rest.found_in(response) if name == "search" and response.status == 200 else ()
        self._state.recorder.request(
            RequestRecord(request.method, request.path, request.query, response.status, posts)
        )
        close = request.headers.get("connection", "").lower() == "close"
        writer.write(response.encode(close=close))
        await writer.drain()
        return not close

    def _request_fault(self, name: str) -> Scheduled | None:
        if name not in REQUESTS:
            return None
        state = self._state
        state.requests[name] = state.requests.get(name, 0) + 1
        due = state.schedule.take(name, state.requests[name], ("answer",))
        return due[0] if due else None

    async def _stream(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state = self._state
        state.stream_requests += 1
        record = ConnectionRecord(state.stream_requests, request.query, request.headers)
        state.recorder.connection(record)
        state.catch_up()
        faults = state.next_answers + state.schedule.take("connection", record.number)
        faults += state.schedule.take("time", state.elapsed(), ("answer", "mode"))
        state.next_answers = []
        for fault in faults:
            if fault.how == "answer":
                state.next_answers = [one for one in faults if one is not fault and one.how != "act"]
                await self._refuse(record, fault, request, reader, writer)
                return
        allowed = state.connects.take(time.time())
        shape = self._admit(request, allowed=allowed)
        if isinstance(shape, Response):
            shape.headers.update(state.connects.headers())
            await self._turn_away(record, shape, writer)
            return
        if state.slot_taken():
            if state.options.second_connection == "refuse":
                response = problems.too_many_connections()
                response.headers.update(state.connects.headers())
                await self._turn_away(record, response, writer)
                return
            state.ghosts.clear()
            while (old := state.live) is not None:
                old.end("kicked by another connection")
                await old.over.wait()  # what it had taken and not sent comes first on the new one
                if state.live is old:
                    state.live = None
        modes = [fault for fault in faults if fault.how == "mode"]
        stream = StreamConnection(state, record, request, reader, writer, shape=shape, modes=modes)
        stream.waiting += [fault for fault in faults if fault.how == "act"]
        state.live = stream
        try:
            await stream.serve(state.connects.headers())
        finally:
            if state.live is stream:
                state.live = None
                if state.options.ghost_seconds:
                    state.ghosts.append(time.monotonic() + state.options.ghost_seconds)

    def _admit(self, request: Request, *, allowed: bool) -> Shape | Response:
        """What the client asked to see, or why it may not stream."""
        state = self._state
        refused = rest.forbidden(state, request)
        if refused is not None:
            return refused
        if not allowed:
            return problems.about_blank(429, "Too Many Requests")
        try:
            shape = Shape.of(request.query, state.options.payload)
        except BadParameter as error:
            return problems.invalid_request({error.name: [error.value]}, str(error))
        minutes = request.query.get("backfill_minutes", "0")
        if not minutes.isdigit() or int(minutes) > 5 or (int(minutes) and not state.options.backfill_access):
            words = f"The `backfill_minutes` query parameter value [{minutes}] is not valid"
            return problems.invalid_request({"backfill_minutes": [minutes]}, words)
        try:
            state.prepare()
        except ValueError as error:
            return problems.invalid_request({}, str(error))
        return shape if state.rules.rules else problems.no_rules()

    async def _refuse(
        self, record: ConnectionRecord, fault: Scheduled, request: Request,
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        """Answer a stream request with a fault."""
        if fault.name in ANSWERS:
            response = ANSWERS[fault.name](fault.amount)
            response.headers.update(
                {k: v for k, v in self._state.connects.headers().items() if response.status != 429}
            )
            await self._turn_away(record, response, writer)
            return
        record.ended = fault.name
        record.status = await self._misbehave(fault, request, reader, writer)

    async def _turn_away(self, record: ConnectionRecord, response: Response, writer: asyncio.StreamWriter) -> None:
        record.status, record.ended = response.status, "refused"
        writer.write(response.encode(close=True))
        await writer.drain()

    async def _misbehave(
        self, fault: Scheduled, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> int:
        """The faults that are no answer with a body. The status that was sent, or 0."""
        if fault.name == "no-answer":
            while await reader.read(4096):
                pass
            return 0
        if fault.name == "handshake-cut":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return 0
        if fault.name == "redirect":
            target = f"{self.url.replace(HOST, OTHER_HOST)}{request.path}"
            query = "&".join(f"{name}={value}" for name, value in request.query.items())
            location = {"location": f"{target}?{query}" if query else target}
            writer.write(Response(302, headers=location).encode(close=True))
            await writer.drain()
            return 302
        writer.write(
            head(200, {"content-type": "application/json", "transfer-encoding": "chunked"}) + b"0\r\n\r\n"
        )
        await writer.drain()
        return 200
