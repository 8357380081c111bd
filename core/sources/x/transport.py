"""Sockets that another thread can cut, under a plain requests session.

requests and urllib3 wait inside of name look-up, connect, TLS handshake and read, and none of them can be told to
stop. Here the look-up waits in a thread of its own, the connect is polled, and every socket is watched through a
duplicate of its descriptor: shutting that down ends a handshake or a read at once, whoever wraps the socket.
Nothing else of requests is changed: proxies, certificates and TLS checks work as everywhere. Redirects are not
followed: they would drop or leak the token.
"""

from __future__ import annotations

import errno
import http.client
import os
import queue
import select
import socket
import threading
import time
from functools import partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.response import HTTPResponse

READ_SIZE = 256 * 1024  # bytes asked of the kernel at a time; it gives what is there, so this adds no latency
SLICE = 0.05  # seconds between two looks at the breaker while nothing can be cut


class Breaker:
    """Ends whatever waits on the network, from any thread."""

    def __init__(self) -> None:
        self.tripped = threading.Event()
        self._lock = threading.Lock()
        self._watched: set[socket.socket] = set()

    def trip(self) -> None:
        """Cut every watched socket, and every one to come until `reset`."""
        with self._lock:
            self.tripped.set()
            for twin in self._watched:
                _shut(twin)

    def reset(self) -> None:
        """Let connections be made again."""
        self.tripped.clear()

    def watch(self, sock: socket.socket) -> socket.socket:
        """Watch a socket through a twin of it, until `release(twin)`."""
        twin = sock.dup()
        with self._lock:
            self._watched.add(twin)
            if self.tripped.is_set():
                _shut(twin)
        return twin

    def release(self, twin: socket.socket) -> None:
        """End the connection for the other side too, and forget it."""
        with self._lock:
            self._watched.discard(twin)
            _shut(twin)
            twin.close()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is not connected any more


class Bearer(AuthBase):
    """The token as a header. As a request's auth it also keeps a ~/.netrc from taking its place."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = self._header
        return request


class Session(requests.Session):
    """A session whose sockets the breaker can cut. `close` ends every connection that it made.

    `patience` is how many seconds a connected stream may be silent; connect and answer have their own timeout.
    """

    def __init__(self, breaker: Breaker, patience: float) -> None:
        super().__init__()
        self._adapter = _Adapter(breaker, patience)
        self.mount("https://", self._adapter)
        self.mount("http://", self._adapter)

    def has_more(self) -> bool:
        """Whether more of the answer that is being read has come already, or its end."""
        sock = self._adapter.answering
        if sock is None:
            return False
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        return bool(poller.poll(0))

    def be_patient_for(self, seconds: float) -> None:
        """From now on so many seconds of silence end the answer that is being read."""
        if self._adapter.answering is not None:
            self._adapter.answering.settimeout(seconds)

    def get_redirect_target(self, _resp: requests.Response) -> None:
        """None: a redirect is an answer like any other."""


class _Adapter(HTTPAdapter):
    """Makes connections through `dial`."""

    def __init__(self, breaker: Breaker, patience: float) -> None:
        self.breaker = breaker
        self.patience = patience
        self.answering: socket.socket | None = None  # the newest answer comes from it
        self._twins: list[socket.socket] = []
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._take_over(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            self._take_over(manager)
        return manager

    def _take_over(self, manager: PoolManager) -> None:
        pools: dict[str, Any] = {"http": partial(_Pool, self), "https": partial(_SecurePool, self)}
        manager.pool_classes_by_scheme = pools

    def dial(self, connection: HTTPConnection) -> socket.socket:
        """A connected and watched socket for that connection, or one of urllib3's own errors."""
        timeout = connection.timeout if isinstance(connection.timeout, int | float) else 60.0
        deadline = time.monotonic() + timeout
        # The name as it was given, with a final dot: urllib3 keeps it apart from the name for certificates.
        host = connection._dns_host.strip("[]")
        try:
            sock = _dial(host, connection.port or 0, deadline, self.breaker.tripped)
        except (socket.gaierror, UnicodeError) as error:
            cause = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(host, connection, cause) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(connection, f"no connection within {timeout:g} s") from error
        except OSError as error:
            raise NewConnectionError(connection, str(error)) from error
        for option in connection.socket_options or ():
            sock.setsockopt(*option)
        sock.settimeout(timeout)
        self._twins.append(self.breaker.watch(sock))
        return sock

    def close(self) -> None:
        super().close()
        self.answering = None
        twins, self._twins = self._twins, []
        for twin in twins:
            self.breaker.release(twin)


class _Answer(http.client.HTTPResponse):
    """An answer that is read in big pieces: http.client's own file asks the kernel for 8 KiB at a time."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        small, self.fp = self.fp, sock.makefile("rb", READ_SIZE)  # type: ignore[assignment]
        small.close()


class _Connection(HTTPConnection):
    response_class = _Answer

    def __init__(self, adapter: _Adapter, **kwargs: Any) -> None:
        self._adapter = adapter
        super().__init__(**kwargs)

    def _new_conn(self) -> socket.socket:
        return self._adapter.dial(self)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
        # http.client lets go of the socket here when the body ends with the connection: keep hold of it.
        sock = self.sock
        response = super().getresponse()
        sock.settimeout(self._adapter.patience)
        self._adapter.answering = sock
        return response


class _SecureConnection(_Connection, HTTPSConnection):
    """The same under TLS: urllib3 wraps what `_new_conn` gives."""


class _Pool(HTTPConnectionPool):
    def __init__(self, adapter: _Adapter, host: str, port: int | None = None, **kwargs: Any) -> None:
        super().__init__(host, port, **kwargs)
        self.ConnectionCls = partial(_Connection, adapter)  # type: ignore[assignment]


class _SecurePool(HTTPSConnectionPool):
    def __init__(self, adapter: _Adapter, host: str, port: int | None = None, **kwargs: Any) -> None:
        super().__init__(host, port, **kwargs)
        self.ConnectionCls = partial(_SecureConnection, adapter)  # type: ignore[assignment]


def _dial(host: str, port: int, deadline: float, tripped: threading.Event) -> socket.socket:
    """Connect to the first address that takes us; each gets a fair share of the time."""
    addresses = _resolve(host, port, deadline, tripped)
    failure: OSError = OSError(f"{host} has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        left = max(deadline - time.monotonic(), 0.0)
        sock = socket.socket(family, kind, protocol)
        try:
            _connect(sock, address, time.monotonic() + left / (len(addresses) - index), tripped)
            return sock
        except OSError as error:
            sock.close()
            failure = error
            _check(tripped)
        except BaseException:
            sock.close()
            raise
    raise failure


def _connect(sock: socket.socket, address: Any, deadline: float, tripped: threading.Event) -> None:
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        poller = select.poll()
        poller.register(sock, select.POLLOUT)
        while not poller.poll(SLICE * 1000):
            _check(tripped)
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _resolve(host: str, port: int, deadline: float, tripped: threading.Event) -> list[Any]:
    """getaddrinfo, abandoned when we are to stop: it cannot be ended, so it waits in a daemon thread."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name, not an address
    answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    while True:
        try:
            answer = answers.get(timeout=SLICE)
        except queue.Empty:
            _check(tripped)
            if time.monotonic() > deadline:
                raise socket.gaierror(socket.EAI_AGAIN, "the name server does not answer") from None
            continue
        if isinstance(answer, Exception):
            raise answer
        return answer


def _check(tripped: threading.Event) -> None:
    if tripped.is_set():
        raise ConnectionAbortedError(errno.ECONNABORTED, "stopped")
