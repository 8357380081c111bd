"""`bieber-tui serve`: the attach view in a browser, through textual-serve.

Each browser window gets a viewer process of its own (`bieber-tui attach`), never a capture: a second stream would
cost money. The server listens on loopback and its viewers are read-only, unless the user says otherwise; then the
page needs an access token, which is printed once. Requests for another host name or from another site's page are
refused whatever the token, so that no web page can reach into a server on this machine.
"""

from __future__ import annotations

import hmac
import secrets
import shlex
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import ConfigError

COOKIE = "bieber-tui-token"


def run(folder: Path, *, host: str, port: int, writable: bool, public_url: str | None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code. Raises ConfigError in words."""
    try:
        from tui import web  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError(
            "the browser view needs textual-serve, which is not installed",
            "Install it with: pip install 'bieber-tui[web]'",
        ) from None
    if port == 0:
        port = _free_port(host)
    token = secrets.token_urlsafe(24) if writable or not _is_loopback(host) else ""
    command = [sys.executable, "-m", "tui.cli", "attach", "--data-dir", str(folder.absolute())]
    if not writable:
        command.append("--read-only")
    url = (public_url or f"http://{_bracketed(host)}:{port}").rstrip("/")
    server = web.Server(shlex.join(command), host=host, port=port, public_url=url, gate=Gate(url, token))
    print(f"bieber-tui: open {url}/{'?token=' + token if token else ''}", file=sys.stderr)  # noqa: T201 - for the user
    try:
        server.serve()
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "Choose another one with --host and --port.",
        ) from None
    return 0


class Gate:
    """Who may come in: the right host, no page of another site, and the token where there is one."""

    def __init__(self, url: str, token: str) -> None:
        self.host = urlsplit(url).netloc
        self.token = token

    def refuses(self, host: str, origin: str | None, offered: str) -> str:
        """Why a request is refused; empty when it may come in."""
        if host != self.host:
            return f"This server answers to {self.host} only. Behind a proxy, name the address with --public-url."
        if origin is not None and urlsplit(origin).netloc != self.host:
            return "A page of another site may not reach this server."
        if self.token and not hmac.compare_digest(offered.encode(), self.token.encode()):
            return "This page needs the token that `bieber-tui serve` printed when it started."
        return ""


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _free_port(host: str) -> int:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}: {error.strerror or error}", "Choose another one with --host."
        ) from None
