"""The command palette over the action table: find an action by its words, see its key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.actions import ACTIONS, Action, key_names


class ActionProvider(Provider):
    """Every action of the table but the palette itself."""

    async def discover(self) -> Hits:
        """All of them, in the table's order."""
        for action in ACTIONS:
            if self._offers(action):
                yield DiscoveryHit(_title(action), self._call(action), help=key_names(action))

    async def search(self, query: str) -> Hits:
        """Those whose words fit."""
        matcher = self.matcher(query)
        for action in ACTIONS:
            score = matcher.match(_title(action))
            if score > 0 and self._offers(action):
                yield Hit(score, matcher.highlight(_title(action)), self._call(action), help=key_names(action))

    def _offers(self, action: Action) -> bool:
        return action.id != "palette" and bool(self.app.check_action(action.id, ()))

    def _call(self, action: Action) -> Callable[[], Awaitable[object]]:
        return partial(self.app.run_action, action.id)


def _title(action: Action) -> str:
    return action.description
