"""The command palette over the action table: find an action by its words, see its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.actions import Action
from tui.app import Dashboard
from tui.command import COMMANDS


class ActionProvider(Provider):
    """Every action of the dashboard but the palette itself."""

    @property
    def _dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    async def discover(self) -> Hits:
        """All of them, in the table's order."""
        for action in self._listed():
            yield DiscoveryHit(action.description, self._call(action), help=self._help(action))

    async def search(self, query: str) -> Hits:
        """Those whose words fit."""
        matcher = self.matcher(query)
        for action in self._listed():
            score = max(matcher.match(action.description), matcher.match(action.command))
            if score > 0:
                said = matcher.highlight(action.description)
                yield Hit(score, said, self._call(action), help=self._help(action))

    def _listed(self) -> list[Action]:
        return [action for action in COMMANDS if action.id != "palette" and self._dashboard.offers(action)]

    def _help(self, action: Action) -> str:
        return f"{self._dashboard.keys.names(action.id)}  :{action.command}".strip()

    def _call(self, action: Action) -> Callable[[], None]:
        return lambda: self._dashboard.do(action.id)
