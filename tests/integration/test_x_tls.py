"""The other side's certificate is always checked: there is no setting, flag or variable that turns that off.

What each bad certificate does is in the fault table; here it is what cannot be done about it.
"""

from __future__ import annotations

import ast
import os
import ssl
from pathlib import Path

import pytest
import trustme

import core
import tui
from core.errors import SourceRefused
from core.health import SourceState
from core.settings import describe
from core.sources.x.source import XSource
from tests.x_server import TOKEN, Running, ScriptedX, Tape, settings, wait_for


@pytest.fixture
def untrusted():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = ScriptedX(tls=context)
    yield server
    server.close()


@pytest.mark.parametrize(
    "environment",
    [
        {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""},
        {"PYTHONHTTPSVERIFY": "0"},
        {"CURL_INSECURE": "1", "NODE_TLS_REJECT_UNAUTHORIZED": "0", "SSL_VERIFY": "false"},
        {"BIEBER_TUI_X__VERIFY": "false", "BIEBER_TUI_X__INSECURE": "true"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_no_variable_makes_it_talk_to_a_server_that_is_not_trusted(untrusted, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Running(XSource(settings(untrusted), "bieber"), Tape()) as running:
        error = running.ended()
    assert isinstance(error, SourceRefused)
    assert "is not to be trusted" in error.message
    assert untrusted.requests == []  # and so it never saw the token


def test_probe_checks_it_too(untrusted):
    with pytest.raises(SourceRefused, match="is not to be trusted"):
        XSource(settings(untrusted), "bieber").probe()
    assert untrusted.requests == []


def test_no_setting_speaks_of_it():
    names = " ".join(f"{name} {description}" for name, _, description in describe()).lower()
    assert not [word for word in ("insecure", "verify", "unverified", "self-signed", "no_tls") if word in names]


def test_no_line_of_the_program_turns_it_off():
    """Every way that Python and the libraries know: an argument, an attribute or a name."""
    paths = [path for package in (core, tui) for path in Path(package.__path__[0]).rglob("*.py")]
    assert len(paths) > 50
    for path in paths:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        assert not [node for node in nodes if _turns_off(node)], path


def _turns_off(node: ast.AST) -> bool:
    match node:
        case ast.keyword(arg="verify" | "check_hostname" | "assert_hostname", value=ast.Constant(value=False)):
            return True
        case ast.keyword(arg="tlsInsecure" | "tlsAllowInvalidCertificates" | "tlsAllowInvalidHostnames"):
            return True
        case ast.Assign(targets=[ast.Attribute(attr="verify" | "check_hostname")]):
            return True
        case ast.Attribute(attr="CERT_NONE" | "_create_unverified_context" | "_create_default_https_context"):
            return True
        case ast.Name(id="CERT_NONE"):
            return True
    return False


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_trusted_by_naming_it(tmp_path, monkeypatch, name):
    authority = trustme.CA()
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(name, os.fspath(bundle))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ScriptedX(tls=context)
    with Running(XSource(settings(server), "bieber"), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
        assert running.stop() < 2
    assert server.connects[0].headers["authorization"] == f"Bearer {TOKEN}"
    server.close()
