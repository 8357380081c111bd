"""Our rule at X, kept equal to the keywords.

Rules belong to the whole app and outlive every connection, so ours carry a tag and only those are ever touched,
one by one and by id. The new rule is added before the old one goes, so that no post is missed in between; only a
full rule list makes it the other way round. X reports errors inside of answers of success: they are read.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import tweepy

from core import crashpoint
from core.crashpoint import Point
from core.errors import QueryError, SourceRefused
from core.sources.x.answers import Ending, Failed, Kind, short
from core.sources.x.backoff import Schedule
from core.sources.x.stream import Answer, XClient

TAG = "bieber-tui"
ROUTE = "/2/tweets/search/stream/rules"
PAGES = 100  # of 1000 rules each; no app may have more


class Rule(msgspec.Struct, frozen=True):
    """A rule as X lists it."""

    id: str
    value: str
    tag: str

    @property
    def ours(self) -> bool:
        """Whether we made it."""
        return self.tag.startswith(TAG)


class Reconciled(msgspec.Struct, frozen=True):
    """How the rules stand. `others`: the ids of rules that are not ours and do not say what ours says."""

    news: tuple[str, ...]  # what is worth telling, in words
    others: frozenset[str]


def reconcile(client: XClient, keywords: str) -> Reconciled:
    """Make our rules at X be exactly one, with that value.

    Raises QueryError when X does not take the keywords (our old rules are then still there), SourceRefused when
    it takes no more rules, and Failed when a request failed.
    """
    wanted = keywords.strip()
    rules = listed(client)
    others = frozenset(rule.id for rule in rules if not rule.ours and rule.value.strip() != wanted)
    news: list[str] = []
    if others:
        what = "a rule" if len(others) == 1 else f"{len(others):,} rules"
        news.append(
            f"this app has {what} of others at X, who sends and bills their posts too: they count as consumed, and"
            " as filtered out when no rule of ours matched them"
        )
    ours = [rule for rule in rules if rule.ours]
    kept = next((rule for rule in ours if rule.value.strip() == wanted), None)
    if kept is None:
        crashpoint.reach(Point.RULE_NEEDED)
        try:
            news += _add(client, wanted)
        except _CapReached as full:
            if not ours:
                raise full.refusal() from None
            # Our own old rules take the room: swap, and put the old one back if that fails.
            _delete(client, ours)
            try:
                news += _add(client, wanted)
            except _CapReached:
                raise full.refusal() from None
            except QueryError:
                _add(client, ours[0].value)
                raise
            return Reconciled(tuple(news), others)
        crashpoint.reach(Point.RULE_ADDED)
    if old := [rule for rule in ours if rule is not kept]:
        _delete(client, old)
        crashpoint.reach(Point.RULE_REPLACED)
    return Reconciled(tuple(news), others)


def listed(client: XClient) -> list[Rule]:
    """Every rule of the app, whoever made it. Raises Failed."""
    rules: list[Rule] = []
    params: dict[str, str] = {"max_results": "1000"}
    for _ in range(PAGES):
        body = _object(client.request("GET", ROUTE, params=params))
        data = body.get("data")
        rules += [
            Rule(str(item["id"]), str(item.get("value") or ""), str(item.get("tag") or ""))
            for item in (data if isinstance(data, list) else [data])
            if isinstance(item, dict) and item.get("id")
        ]
        meta = body.get("meta")
        following = meta.get("next_token") if isinstance(meta, dict) else None
        if not following:
            break
        params = {**params, "pagination_token": str(following)}
    return rules


class _CapReached(Exception):
    """X takes no more rules."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details

    def refusal(self) -> SourceRefused:
        return SourceRefused(
            f"X takes no more rules for this app: {self.details}",
            "Delete rules that nobody needs, with the tool that made them; `bieber-tui check` counts them.",
        )


def _add(client: XClient, value: str) -> list[str]:
    answer = _object(client.add_rules(tweepy.StreamRule(value, tag=TAG)))
    for error in _errors(answer):
        kind = str(error.get("type") or "").rpartition("/")[2]
        details = _details(error)
        if kind == "duplicate-rules" or error.get("title") == "DuplicateRule":
            return [f"X has a rule with these keywords already, which is not ours ({details}): its posts come too"]
        if kind == "rule-cap":
            raise _CapReached(details)
        position = re.search(r"\(at position (\d{1,6})\)", details)
        raise QueryError(
            "X does not take these keywords as a rule: " + re.sub(r"\s*\(at position \d{1,6}\)", "", details),
            int(position[1]) if position else 0,
            value,
            "The rule is too long: shorten the keywords." if kind == "rule-length" else "Change the keywords.",
        )
    if not answer.get("data"):
        raise Failed(Ending(Kind.RETRY, "X did not say whether it took the rule", schedule=Schedule.HTTP))
    return []


def _delete(client: XClient, rules: list[Rule]) -> None:
    for rule in rules:
        # One that somebody else deleted meanwhile is an error to X and none to us.
        _object(client.delete_rules(rule.id))


def _object(answer: Answer) -> dict[str, Any]:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Failed(Ending(Kind.RETRY, "X's answer about rules cannot be read", schedule=Schedule.HTTP))
    return body


def _errors(body: dict[str, Any]) -> list[dict[str, Any]]:
    errors = body.get("errors")
    if not errors:
        return []
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else [{}]


def _details(error: dict[str, Any]) -> str:
    details = error.get("details")
    if isinstance(details, list) and details:
        return short("; ".join(str(detail) for detail in details), 500)
    words = error.get("detail") or error.get("message") or error.get("id") or error.get("title")
    return short(str(words or "it does not say why"), 500)
