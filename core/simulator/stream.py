"""One connection of the filtered stream: the pace, the framing, keep-alives, and an exact record of every line.

A line is noted as whole only when its last byte was handed to the kernel of a connection that was still up;
so writes go straight through, with no buffer of our own in between.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
import time
import zlib
from collections.abc import Iterable
from itertools import pairwise

from core.simulator import fault_acts
from core.simulator.faults import Scheduled
from core.simulator.http import JSON_TYPE, Request, head
from core.simulator.posts import Json, Produced
from core.simulator.prepared import Plate
from core.simulator.record import ConnectionRecord, SentKind, SentRecord, SentRun
from core.simulator.shape import Shape, encode
from core.simulator.state import State
from core.simulator.world import Delivery

LINE_END = b"\r\n"
MISSES = 100  # posts in a row that no rule asks for, before a rest: without a rate they would never end
BLOCK = 128 * 1024  # bytes of prepared posts that are written at a time
BREATH = 16  # lines between two looks at the other tasks when the client reads as fast as we write


class Ended(Exception):
    """The connection is over; the words say how."""


class StreamConnection:
    """Serves one client until one of the two ends it. `modes` are the faults that change its framing."""

    def __init__(
        self,
        state: State,
        record: ConnectionRecord,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        shape: Shape,
        modes: Iterable[Scheduled] = (),
    ) -> None:
        self.state, self.record, self.request, self.shape = state, record, request, shape
        self._reader, self._writer = reader, writer
        writer.transport.set_write_buffer_limits(high=0)  # drain() then returns when the kernel has everything
        self._modes = {one.name: one for one in modes}
        self.chunked = not self._modes.keys() & {"http-1.0", "unchunked"}
        offered = state.options.gzip and "gzip" in request.headers.get("accept-encoding", "")
        forced = self._modes.keys() & {"gzip", "gzip-truncated", "gzip-corrupt"}
        self._gzip = zlib.compressobj(wbits=31) if offered or forced else None
        self.wake = asyncio.Event()
        self.over = asyncio.Event()  # nothing more will be delivered, and what was not has been put back
        self.ending = ""  # why the connection is to end, told from outside
        self.waiting: list[Scheduled] = []  # faults that wait for the next post
        self.silent_until = 0.0  # no posts before that moment (monotonic)
        self.mute = False  # nothing at all, and nothing of the client is noticed
        self.damaged = False  # what is compressed cannot be read any more
        self.lines = 0
        self._last_byte = 0.0
        self._missed = 0  # posts in a row that no rule asked for
        self._plate = state.plate(shape)

    @property
    def compressed(self) -> bool:
        """Whether what is framed is gzip."""
        return self._gzip is not None

    # From outside

    def end(self, reason: str) -> None:
        """End the connection as soon as it can be ended."""
        self.ending = self.ending or reason
        self.wake.set()

    async def serve(self, headers: dict[str, str]) -> None:
        """Answer 200 and stream. Returns when the connection is over."""
        watch = asyncio.create_task(self._watch())
        try:
            await self._answer(headers)
            self.state.world.resume(time.monotonic())
            self.state.note_lost()
            await self._backfill()
            while True:
                await self._step()
        except Ended as ended:
            self.record.ended = self.record.ended or str(ended)
            if self.mute:
                self.over.set()
                await asyncio.Event().wait()  # the socket stays open until the server stops
        except ConnectionError:
            self.record.ended = self.record.ended or "the client is gone"
        finally:
            watch.cancel()
            self.over.set()
            self.record.ended = self.record.ended or "the simulator stopped"

    async def _watch(self) -> None:
        """Notice that the client has gone, also while nothing is written."""
        try:
            while await self._reader.read(4096):
                pass
        except ConnectionError:
            pass
        if not self.mute:
            self.end("the client is gone")

    async def _answer(self, headers: dict[str, str]) -> None:
        about = {"content-type": JSON_TYPE, "api-version": "2.167", "x-access-level": "read", **headers}
        version = "HTTP/1.1"
        if self.chunked:
            about["transfer-encoding"] = "chunked"
        else:
            about["connection"] = "close"
            version = "HTTP/1.0" if "http-1.0" in self._modes else version
        if self._gzip is not None:
            about["content-encoding"] = "gzip"
        self.record.status = 200
        await self.write(head(200, about, version))

    async def _backfill(self) -> None:
        minutes = int(self.request.query.get("backfill_minutes", "0") or 0)
        if not minutes:
            return
        for produced in self.state.world.since(time.monotonic(), minutes * 60):
            delivery = Delivery("backfill", produced, 0)
            if self.state.matching_rules(produced):
                await self.send(delivery)

    # The pace

    async def _step(self) -> None:
        """Do the next thing that is due, or wait for it."""
        state, now = self.state, time.monotonic()
        if self.damaged:
            self._gzip = None  # its last bytes would mend what is truncated
            await self.finish(self.ending)
        if self.ending:
            raise Ended(self.ending)
        for fault in state.schedule.take("time", state.elapsed()):
            await self.meet(fault)
        due = max(state.world.due(), self.silent_until)
        keep_alive = self._last_byte + state.options.keep_alive
        if state.pushed:
            await self._push(state.pushed.popleft())
        elif keep_alive <= now:  # first: without a rate a post is always due, though none may match
            await self.keep_alive()
        elif due <= now:
            await self._deliver(now)
        elif state.world.finished and state.options.end and not state.ended:
            state.ended = True
            await self.finish("the end")
        else:
            timed = state.started + state.schedule.next_time()
            await self.rest(min(due, keep_alive, timed) - now)

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until something happens."""
        self.wake.clear()
        if self.ending:
            return
        try:
            await asyncio.wait_for(self.wake.wait(), min(max(seconds, 0.0), 3600.0))
        except TimeoutError:
            pass

    async def freeze(self, seconds: float) -> None:
        """Send not a byte for so long; raises Ended when the connection is to end meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await self.rest(left)
            if self.ending:
                raise Ended(self.ending)

    async def _deliver(self, now: float) -> None:
        state = self.state
        if self._plate is not None and not self.waiting:
            most = min(state.schedule.next_post() - state.world.deliveries - 1, BLOCK // self._plate.mean + 1)
            run = state.world.run(now, int(most))
            if run is not None:
                await self._send_run(self._plate, *run)
                await asyncio.sleep(0)
                return
        self.lines += 1
        if self.lines % BREATH == 0:
            await asyncio.sleep(0)
            if self.ending:
                return
        delivery = state.world.next()
        if delivery is None:  # nobody asked for what was written
            self._missed += 1
            if self._missed % MISSES == 0:
                await self.rest(0.1)
            return
        self._missed = 0
        self.waiting += state.schedule.take("post", delivery.ordinal)
        while self.waiting:
            fault = self.waiting.pop(0)
            if fault.name in fault_acts.ON_POST:
                await fault_acts.ON_POST[fault.name](self, delivery, fault.amount)
                return
            try:
                await self.meet(fault)
            except BaseException:
                state.world.put_back(delivery)
                raise
        await self.send(delivery)

    async def meet(self, fault: Scheduled) -> None:
        """Let a fault happen that needs no post, or keep it for the next post or connection. May raise Ended."""
        if fault.how != "act":
            self.state.next_answers.append(fault)
            await self.finish(f"ended for {fault.name}")
        elif fault.name in fault_acts.ON_POST:
            self.waiting.append(fault)
        else:
            await fault_acts.ANY_TIME[fault.name](self, fault.amount)

    # Lines

    def describe(self, delivery: Delivery) -> Json:
        """A post as this client gets it."""
        answer = self.shape.describe(self.state.world.item(delivery.produced))
        answer["matching_rules"] = self.state.matching_rules(delivery.produced)
        return answer

    async def send(self, delivery: Delivery, line: bytes | None = None, *, pieces: Iterable[int] = ()) -> None:
        """Put a post on the stream; `pieces` are the places at which to begin a new chunk."""
        line = encode(self.describe(delivery)) + LINE_END if line is None else line
        places = [0, *pieces, len(line)]
        framed = b"".join(self.frame(line[start:end]) for start, end in pairwise(places))
        await self.put(delivery.kind, line, framed, delivery.produced)

    async def _send_run(self, plate: Plate, first: int, last: int) -> None:
        """Put prepared posts on the stream, as many at a time as there are."""
        size = self.state.options.chunk_lines
        self.lines += last - first + 1
        if size == 1 and self.chunked and not self.compressed:
            framed = b"".join(plate.lines(first, last, chunked=True))
        else:
            lines = list(plate.lines(first, last))
            framed = b"".join(self.frame(b"".join(lines[at : at + size])) for at in range(0, len(lines), size))
        whole = False
        try:
            await self.write(framed)
            whole = True
        finally:
            whole = whole and not self.damaged
            self.state.recorder.run(SentRun(time.time(), self.record.number, "run", first, last, whole))

    async def put(self, kind: SentKind, line: bytes, framed: bytes, produced: Produced | None = None) -> None:
        """Hand bytes over, and note how that went."""
        whole = False
        try:
            await self.write(framed)
            whole = True
        finally:
            self.note(kind, line, produced, whole=whole)

    def note(self, kind: SentKind, line: bytes, produced: Produced | None, *, whole: bool) -> None:
        """Note a line, or what was sent of it; a line whose compressed data was damaged is never whole."""
        post = str(produced.id) if produced else ""
        topic = produced.topic if produced else None
        record = SentRecord(time.time(), self.record.number, kind, post, topic, whole and not self.damaged, line)
        self.state.recorder.note(record)

    async def put_line(self, kind: SentKind, content: bytes) -> None:
        """Put a line on the stream that is no post of the world."""
        line = content + LINE_END
        await self.put(kind, line, self.frame(line))

    async def keep_alive(self, line_end: bytes = LINE_END) -> None:
        """Say that the connection is up."""
        await self.put("keep_alive", line_end, self.frame(line_end))

    async def _push(self, content: bytes) -> None:
        await self.put("pushed", content, self.frame(content))

    # Bytes

    def frame(self, content: bytes) -> bytes:
        """Content as it goes over the wire: compressed and in a chunk, as this connection does it."""
        if self._gzip is not None:
            content = self._gzip.compress(content) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
            fault = self._modes.get("gzip-truncated") or self._modes.get("gzip-corrupt")
            if fault is not None and self.lines > fault.amount:
                content = self._damage(fault, content)
        return self.chunk(content)

    def chunk(self, content: bytes) -> bytes:
        """One chunk, if this connection has chunks."""
        return b"%x\r\n%b\r\n" % (len(content), content) if self.chunked else content

    def _damage(self, fault: Scheduled, content: bytes) -> bytes:
        self.damaged = True
        self.end(fault.name)
        return content[: len(content) // 2] if fault.name == "gzip-truncated" else b"\xff" * len(content)

    async def write(self, data: bytes) -> None:
        """Hand bytes to the kernel. Raises Ended or ConnectionError when not all of them were taken."""
        transport = self._writer.transport
        self._writer.write(data)
        self._last_byte = time.monotonic()
        if transport.get_write_buffer_size() == 0 and not transport.is_closing():
            return
        drained = asyncio.create_task(self._writer.drain())
        try:
            await self._until_drained(drained)
        finally:
            drained.cancel()
        self._last_byte = time.monotonic()

    async def _until_drained(self, drained: asyncio.Task[None]) -> None:
        """Wait for a client that reads slowly; drop it when the posts that are due would fill X's buffer."""
        options = self.state.options
        patience = options.slow_reader_buffer / options.rate if options.rate else None
        since = time.monotonic()
        while not drained.done():
            if self.ending:
                raise Ended(self.ending)
            woken = asyncio.create_task(self.wake.wait())
            left = None if patience is None else max(since + patience - time.monotonic(), 0.0)
            await asyncio.wait({drained, woken}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            woken.cancel()
            self.wake.clear()
            if drained.done():
                break
            if patience is not None and time.monotonic() - since >= patience:
                await self.drop_slow_reader(options.slow_reader_buffer)
        await drained

    async def drop_slow_reader(self, posts: int) -> None:
        """Lose the posts that were buffered for this client, and drop it without a word."""
        self.state.world.lose(posts)
        self.state.note_lost(self.record.number)
        self._abort()
        raise Ended("dropped as a slow reader")

    # Endings: each raises Ended

    async def finish(self, reason: str) -> None:
        """The clean end of HTTP: what was compressed is completed, then the zero-length chunk."""
        rest = self.chunk(self._gzip.flush(zlib.Z_FINISH)) if self._gzip is not None else b""
        await self.write(rest + (b"0\r\n\r\n" if self.chunked else b""))
        raise Ended(reason)

    async def hang_up(self, reason: str) -> None:
        """FIN, whatever HTTP would say."""
        raise Ended(reason)

    async def reset(self, reason: str) -> None:
        """RST, after the client's kernel has taken everything that was sent before."""
        sock = self._writer.get_extra_info("socket")
        deadline = time.monotonic() + 5
        while _unsent(sock) and time.monotonic() < deadline and not self.ending:
            await asyncio.sleep(0.005)
        self._abort()
        raise Ended(reason)

    def _abort(self) -> None:
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def go_mute(self) -> None:
        """Forget the client: its slot is free, and nothing is said or noticed any more."""
        self.mute = True
        if self.state.live is self:
            self.state.live = None
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        raise Ended("half open")


def _unsent(sock: socket.socket) -> int:
    """Bytes that the other side's kernel has not taken yet."""
    answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("i", answer)[0])
