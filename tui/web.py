"""textual-serve with a gate before every request, and a page that loads nothing from elsewhere."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import textual_serve.server
from aiohttp import web

from tui.serve import COOKIE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tui.serve import Gate

TEMPLATES = Path(__file__).parent / "web_page"


class Server(textual_serve.server.Server):
    """One capture's view, a viewer process for each browser window."""

    def __init__(self, command: str, *, host: str, port: int, public_url: str, gate: Gate) -> None:
        super().__init__(
            command, host=host, port=port, title="bieber-tui", public_url=public_url, templates_path=TEMPLATES
        )
        self._gate = gate

    def initialize_logging(self) -> None:
        """Only what went wrong, without the locals of a traceback."""
        logging.basicConfig(level=logging.WARNING, format="%(message)s")

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: `serve` has told the address."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        offered = request.query.get("token", "") or request.cookies.get(COOKIE, "")
        refusal = self._gate.refuses(request.host, request.headers.get("Origin"), offered)
        if refusal:
            return web.Response(status=403, text=refusal + "\n")
        if self._gate.token and "token" in request.query:
            # The token leaves the address bar, and with it the browser's history.
            answer = web.HTTPFound("/")
            answer.set_cookie(COOKIE, self._gate.token, httponly=True, samesite="Strict")
            return answer
        return await handler(request)
