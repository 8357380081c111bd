"""A proxy on loopback before a real MongoDB-protocol server, which does to inserts what the server itself cannot be
brought to do: it loses, delays, cuts and rewrites requests and answers. What is not spoilt is passed on unchanged.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bson

OP_MSG = 2013
Document = dict[str, Any]


@dataclass
class Message:
    """One message of the protocol. `body` is None when it is of an older kind."""

    data: bytes
    id: int
    answers: int
    body: Document | None = None
    documents: list[Document] = field(default_factory=list)

    @property
    def command(self) -> str:
        return next(iter(self.body), "") if self.body else ""


class Link:
    """One client's connection and the one to the server that stands for it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.rewrite: dict[
            int, Callable[[Message], bytes]
        ] = {}  # what becomes of the answer to a request; b"": lost

    def close(self, *, reset: bool = False) -> None:
        for end in (self.client, self.server):
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            end.close()


Act = Callable[[Link, Message], None]


class Proxy:
    """Passes everything on, except the commands named `command`: `times` of these meet `act`, `after` so many."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._lock = threading.Lock()
        self._links: list[Link] = []
        self._act: Act | None = None
        self._command = "insert"
        self._times = 0
        self._after = 0
        self.met = 0  # commands that met the act
        self.port = 0
        self.up()

    def spoil(self, act: Act, times: int = 1_000_000, command: str = "insert", after: int = 0) -> None:
        with self._lock:
            self._act, self._times, self._command, self._after, self.met = act, times, command, after, 0

    def heal(self) -> None:
        self.spoil(pass_on, 0)

    def up(self) -> None:
        """Listen, always at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections and end those that there are."""
        self._listener.close()
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                link = Link(client, socket.create_connection(self._target))
            except OSError:
                return
            with self._lock:
                self._links.append(link)
            threading.Thread(target=self._requests, args=(link,), daemon=True).start()
            threading.Thread(target=self._answers, args=(link,), daemon=True).start()

    def _requests(self, link: Link) -> None:
        try:
            while (message := read(link.client)) is not None:
                (self._spoilt(message) or pass_on)(link, message)
        except OSError:
            pass
        link.close()

    def _spoilt(self, message: Message) -> Act | None:
        with self._lock:
            if message.command != self._command or self.met >= self._times:
                return None
            if self._after:
                self._after -= 1
                return None
            self.met += 1
            return self._act

    @staticmethod
    def _answers(link: Link) -> None:
        try:
            while (message := read(link.server)) is not None:
                rewrite = link.rewrite.pop(message.answers, None)
                link.client.sendall(message.data if rewrite is None else rewrite(message))
        except OSError:
            pass
        link.close()


def read(connection: socket.socket) -> Message | None:
    """The next message; None at the end of the connection."""
    try:
        head = connection.recv(16, socket.MSG_WAITALL)
        if len(head) < 16:
            return None
        length, id_, answers, kind = struct.unpack("<4i", head)
        data = head + connection.recv(length - 16, socket.MSG_WAITALL)
    except OSError:
        return None
    message = Message(data, id_, answers)
    place = 20
    while kind == OP_MSG and place < len(data):
        section, place = data[place], place + 1
        size = struct.unpack_from("<i", data, place)[0]
        if section == 0:
            message.body = bson.decode(data[place : place + size])
        else:
            start = data.index(b"\0", place + 4) + 1
            message.documents = bson.decode_all(data[start : place + size])
        place += size
    return message


def built(message: Message, documents: list[Document]) -> bytes:
    """The same insert with other documents."""
    assert message.body is not None
    body = b"\0" + bson.encode(message.body)
    rows = b"documents\0" + b"".join(map(bson.encode, documents))
    data = struct.pack("<i", 0) + body + b"\1" + struct.pack("<i", 4 + len(rows)) + rows
    return struct.pack("<4i", 16 + len(data), message.id, message.answers, OP_MSG) + data


def reply(to: int, document: Document) -> bytes:
    data = struct.pack("<i", 0) + b"\0" + bson.encode(document)
    return struct.pack("<4i", 16 + len(data), 0, to, OP_MSG) + data


def failure(code: int, words: str) -> Document:
    return {"ok": 0.0, "code": code, "codeName": words.replace(" ", ""), "errmsg": words}


# -- what can happen to an insert


def pass_on(link: Link, message: Message) -> None:
    link.server.sendall(message.data)


def refuse(code: int, words: str) -> Act:
    """The server does nothing and answers with an error."""

    def act(link: Link, message: Message) -> None:
        link.client.sendall(reply(message.id, failure(code, words)))

    return act


def half_and_refuse(code: int, words: str) -> Act:
    """The server stores the first half and answers with an error for the whole."""

    def act(link: Link, message: Message) -> None:
        link.rewrite[message.id] = lambda _: reply(message.id, failure(code, words))
        link.server.sendall(built(message, message.documents[: len(message.documents) // 2]))

    return act


def store_and_refuse(code: int, words: str) -> Act:
    """The server stores all and answers with an error."""

    def act(link: Link, message: Message) -> None:
        link.rewrite[message.id] = lambda _: reply(message.id, failure(code, words))
        link.server.sendall(message.data)

    return act


def some_fail(code: int, words: str) -> Act:
    """The server stores two documents of three, and answers with a write error for each of the others."""

    def act(link: Link, message: Message) -> None:
        stored = [document for at, document in enumerate(message.documents) if at % 3]
        errors = [{"index": at, "code": code, "errmsg": words} for at in range(0, len(message.documents), 3)]

        def rewrite(answer: Message) -> bytes:
            assert answer.body is not None
            own = answer.body.get("writeErrors", [])
            places = [at for at in range(len(message.documents)) if at % 3]
            moved = [{**error, "index": places[error["index"]]} for error in own]
            return reply(
                message.id, {**answer.body, "writeErrors": sorted(errors + moved, key=lambda e: e["index"])}
            )

        link.rewrite[message.id] = rewrite
        if stored:
            link.server.sendall(built(message, stored))
        else:
            link.client.sendall(reply(message.id, {"ok": 1.0, "n": 0, "writeErrors": errors}))

    return act


def no_majority(code: int, words: str) -> Act:
    """The server stores all on itself, and says that the others did not."""

    def act(link: Link, message: Message) -> None:
        concern = {"code": code, "codeName": "WriteConcernFailed", "errmsg": words}
        link.rewrite[message.id] = lambda answer: reply(message.id, {**answer.body, "writeConcernError": concern})  # type: ignore[dict-item]
        link.server.sendall(message.data)

    return act


def lose_answer(link: Link, message: Message) -> None:
    """The server stores all, and its answer never comes."""
    link.rewrite[message.id] = lambda _: b""
    link.server.sendall(message.data)


def hang(link: Link, message: Message) -> None:
    """The request never gets to the server, and nobody says so."""


def cut_behind(link: Link, message: Message) -> None:
    """The connection is closed when the server has stored all, before its answer."""

    def cut(_: Message) -> bytes:
        raise ConnectionError

    link.rewrite[message.id] = cut
    link.server.sendall(message.data)


def reset_within(link: Link, message: Message) -> None:
    """The connection is reset when half of the request is through."""
    link.server.sendall(message.data[: len(message.data) // 2])
    link.close(reset=True)


def slowly(seconds: float) -> Act:
    """The server takes its time."""

    def act(link: Link, message: Message) -> None:
        time.sleep(seconds)
        link.server.sendall(message.data)

    return act
