"""What a person is told when a MongoDB server does not serve, met over the wire.

FerretDB here accepts no SCRAM login at all, which is how a wrong password (code 18) is had from a real server.
Rights, replica sets and hosted MongoDB's answers are in tests/unit/test_mongodb_failure.py.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
import trustme

from core.errors import StoreRefused, Unavailable
from core.settings import MongodbSettings
from core.sinks.base import Outcome
from core.sinks.mongodb import MongodbSink
from tests.conftest import FerretDB, free_port, make_row, put


def sink_of(url: str, patience: float = 60.0) -> MongodbSink:
    return MongodbSink(url, MongodbSettings(timeout=patience))


# What a sink says at the end of its patience it says soon; but a busy machine may need more to meet the cause.
PATIENCES = (2.0, 10.0, 60.0)


def refusal(url: str) -> StoreRefused:
    for patience in PATIENCES:
        with pytest.raises((StoreRefused, Unavailable)) as failed:
            sink_of(url, patience).open()
        if isinstance(failed.value, StoreRefused):
            break
    assert isinstance(failed.value, StoreRefused)
    assert failed.value.exit_code == 4
    assert failed.value.hint
    return failed.value


def unavailability(url: str, words: str) -> str:
    for patience in PATIENCES:
        with pytest.raises(Unavailable) as unavailable:
            sink_of(url, patience).open()
        if words in str(unavailable.value):
            break
    assert words in str(unavailable.value)
    return str(unavailable.value)


def test_a_wrong_port() -> None:
    port = free_port()
    said = unavailability(f"mongodb://127.0.0.1:{port}/db", f"127.0.0.1:{port} does not listen")
    assert "Start the server" in said


def test_a_host_that_does_not_exist() -> None:
    unavailability("mongodb://no-such-host.invalid/db", "cannot be resolved")


@pytest.mark.needs_go
def test_a_login_that_is_not_accepted(ferretdb: FerretDB, caplog: pytest.LogCaptureFixture) -> None:
    failure = refusal(f"mongodb://user:hunter2%40@127.0.0.1:{ferretdb.port}/db?authSource=admin")
    assert "does not accept the user name or the password" in failure.message
    assert "authSource" in failure.hint
    for secret in ("hunter2", "user:"):
        assert secret not in f"{failure} {failure!r} {caplog.text}"


@pytest.mark.needs_go
def test_a_replica_set_that_the_server_is_not_in(ferretdb: FerretDB) -> None:
    assert "replicaSet=" in refusal(f"{ferretdb.address}/db?replicaSet=rs0&directConnection=true").hint


@pytest.mark.needs_go
def test_a_collection_name_that_the_server_refuses(mongodb_url: str) -> None:
    sink = MongodbSink(mongodb_url, MongodbSettings(collection="c" * 300))
    with pytest.raises(StoreRefused) as refused:
        sink.open()
    assert "mongodb.collection" in refused.value.hint


@pytest.mark.needs_go
def test_tls_wanted_from_a_server_that_has_none(ferretdb: FerretDB) -> None:
    unavailability(f"{ferretdb.address}/db?tls=true", "tls")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(ferretdb_binary: Path, tmp_path: Path, authority: trustme.CA) -> Iterator[FerretDB]:
    certificate = authority.issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    folder = tmp_path / "ferretdb"
    folder.mkdir()
    server = FerretDB(ferretdb_binary, folder, tls=(cert, key))
    server.start()
    yield server
    server.kill()


@pytest.mark.needs_go
def test_tls_is_verified(tls_server: FerretDB, tmp_path: Path) -> None:
    trusting = f"tls=true&tlsCAFile={tmp_path / 'ca.pem'}"
    sink = sink_of(f"mongodb://localhost:{tls_server.port}/db?{trusting}")
    sink.open()
    assert put(sink, [make_row(1)]) == [Outcome.STORED]
    sink.close()

    unknown = refusal(f"mongodb://localhost:{tls_server.port}/db?tls=true")
    assert "cannot be trusted" in unknown.message
    assert "tlsCAFile" in unknown.hint
    other_name = refusal(f"mongodb://127.0.0.1:{tls_server.port}/db?{trusting}")
    assert "IP address mismatch" in other_name.message
    unavailability(f"mongodb://localhost:{tls_server.port}/db", "tls=true")


class NameServer:
    """DNS for one SRV record on loopback; every other name does not exist."""

    def __init__(self) -> None:
        self.port_of_mongodb = 0
        self.broken = False
        self.gone = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            self._socket.sendto(self._answer(dns.message.from_wire(data)).to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query, recursion_available=True)
        asked = query.question[0]
        if self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif self.gone or asked.to_text() != "_mongodb._tcp.cluster.example.test. IN SRV":
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            record = f"0 0 {self.port_of_mongodb} node.example.test."
            answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "SRV", record))
        return answer

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    resolver = dns.resolver.Resolver(configure=False)
    monkeypatch.setattr(resolver, "nameservers", ["127.0.0.1"])
    monkeypatch.setattr(resolver, "port", server.port)
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    yield server
    server.close()


def test_an_srv_name_that_does_not_exist_is_refused(name_server: NameServer) -> None:
    failure = refusal("mongodb+srv://user:hunter2@clutser.example.test/")
    assert "no MongoDB cluster of the name clutser.example.test" in failure.message
    assert "hunter2" not in str(failure)


def test_a_name_server_that_fails_is_waited_for(name_server: NameServer) -> None:
    name_server.broken = True
    unavailability("mongodb+srv://cluster.example.test/", "cannot be looked up just now")


@pytest.mark.needs_go
def test_an_srv_name_leads_to_the_server(
    ferretdb: FerretDB, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, *rest: object, **more: object) -> object:
        return real("127.0.0.1" if host == "node.example.test" else host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    name_server.port_of_mongodb = ferretdb.port
    sink = sink_of("mongodb+srv://cluster.example.test/by_srv?tls=false")
    assert sink.target == "cluster.example.test/by_srv.posts"
    sink.open()
    assert put(sink, [make_row(1)]) == [Outcome.STORED]
    name_server.gone = True  # later, as behind a VPN: no typing error any more
    with pytest.raises(Unavailable):
        sink.open()
    sink.close()
