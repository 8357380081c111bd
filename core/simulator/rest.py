"""Every endpoint but the stream: rules, recent search, recent counts, usage, token exchange, connections."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from core.clock import iso
from core.simulator import problems
from core.simulator.http import Request, Response
from core.simulator.matching import BadRule, Rule, compile_rule
from core.simulator.posts import Json, Produced, moment_of
from core.simulator.shape import BadParameter, Shape
from core.simulator.state import State

WEEK = 7 * 86400
QUERY_LENGTH = 512
ONLY_IN_RULES = re.compile(r"(?<!\S)-?\(*(sample|(?:user_)?bio\w*):", re.IGNORECASE)
LOOK_UP = 50  # posts looked at before the loop gets a turn


def endpoint(request: Request) -> str:
    """The short name that faults, limits and records use; empty for a path that X does not have."""
    paths = {
        ("GET", "/2/tweets/search/stream/rules"): "list_rules",
        ("POST", "/2/tweets/search/stream/rules"): "change_rules",
        ("GET", "/2/tweets/search/stream/rules/counts"): "rule_counts",
        ("GET", "/2/tweets/search/recent"): "search",
        ("GET", "/2/tweets/counts/recent"): "counts",
        ("GET", "/2/usage/tweets"): "usage",
        ("DELETE", "/2/connections/all"): "connections",
        ("POST", "/oauth2/token"): "token",
    }
    return paths.get((request.method, request.path), "")


def forbidden(state: State, request: Request) -> Response | None:
    """Why this request may not have an answer; None when its token is good."""
    if request.headers.get("authorization", "").lower().startswith("oauth "):
        return problems.unsupported_authentication()
    return None if request.bearer in state.options.tokens else problems.unauthorized()


async def answer(state: State, request: Request) -> Response:
    """The answer of the endpoint, with its rate-limit headers."""
    name = endpoint(request)
    if not name:
        return problems.about_blank(404, "Not Found")
    if name == "token":
        return _token(state, request)
    refused = forbidden(state, request)
    if refused is not None:
        return refused
    window, headers = state.windows.get(name), {}
    if window is not None:
        taken = window.take(time.time())
        headers = window.headers()
        if not taken:
            return problems.about_blank(429, "Too Many Requests", headers)
    try:
        status, body = await _ENDPOINTS[name](state, request)
    except BadParameter as error:
        response = problems.invalid_request({error.name: [error.value]}, str(error))
    else:
        response = Response.json(status, body)
    response.headers.update(headers)
    return response


# Rules


async def _list_rules(state: State, request: Request) -> tuple[int, Json]:
    ids = set(filter(None, request.query.get("ids", "").split(",")))
    rules = [rule for rule in state.rules.rules if not ids or rule.id in ids]
    size = _number(request, "max_results", 1000, 1, 1000)
    token = request.query.get("pagination_token", "")
    if token and not (token.startswith("r") and token[1:].isdigit()):
        raise BadParameter("pagination_token", token, "The `pagination_token` is not valid")
    start = int(token[1:]) if token else 0
    page = rules[start : start + size]
    meta: Json = {"sent": iso(time.time()), "result_count": len(page)}
    if start + size < len(rules):
        meta["next_token"] = f"r{start + size}"
    return 200, ({"data": [rule.listed() for rule in page]} if page else {}) | {"meta": meta}


async def _rule_counts(state: State, _: Request) -> tuple[int, Json]:
    count = len(state.rules.rules)
    return 200, {
        "data": {
            "all_project_client_apps": count, "cap_per_client_app": state.rules.cap,
            "cap_per_project": state.rules.cap,
            "client_app_rules_count": {"client_app_id": "1", "rule_count": count},
            "project_rules_count": count,
        },
        "meta": {"sent": iso(time.time())},
    }  # fmt: skip


async def _change_rules(state: State, request: Request) -> tuple[int, Json]:
    dry_run = request.query.get("dry_run", "").lower() == "true"
    delete_all = request.query.get("delete_all", "").lower() == "true"
    now = time.monotonic()
    asked = _read_json(request)
    if delete_all:
        status, body = state.rules.delete_all(now, dry_run=dry_run)
    elif _is_add(asked):
        status, body = state.rules.add(asked["add"], now, dry_run=dry_run)
    elif _is_delete(asked):
        by = "ids" if "ids" in asked["delete"] else "values"
        status, body = state.rules.delete([str(one) for one in asked["delete"][by]], by, now, dry_run=dry_run)  # type: ignore[arg-type]
    else:
        raise BadParameter("body", "", "JSON doesn't match expected schema")
    body["meta"] = {"sent": iso(time.time()), **body["meta"]}
    if state.live is not None:
        state.live.wake.set()
    return status, body


def _read_json(request: Request) -> Any:
    try:
        return json.loads(request.body or b"{}")
    except ValueError:
        return None


def _is_add(asked: Any) -> bool:
    return (
        isinstance(asked, dict)
        and list(asked) == ["add"]
        and isinstance(asked["add"], list)
        and bool(asked["add"])
        and all(isinstance(one, dict) and isinstance(one.get("value"), str) for one in asked["add"])
    )


def _is_delete(asked: Any) -> bool:
    if not (isinstance(asked, dict) and list(asked) == ["delete"] and isinstance(asked["delete"], dict)):
        return False
    which = asked["delete"]
    return list(which) in (["ids"], ["values"]) and all(isinstance(one, list) and one for one in which.values())


# Search


async def _search(state: State, request: Request) -> tuple[int, Json]:
    shape = Shape.of(request.query, state.options.payload)
    size = _number(request, "max_results", 10, 10, 100)
    found = _Found(state, request)
    token = request.query.get("next_token") or request.query.get("pagination_token", "")
    page: list[Produced] = []
    more = False
    async for produced in found.newest_first(token):
        if len(page) == size:
            more = True
            break
        page.append(produced)
    if not page:
        return 200, {"meta": {"result_count": 0}}
    items = [state.world.item(produced) for produced in page]
    meta: Json = {"newest_id": str(page[0].id), "oldest_id": str(page[-1].id), "result_count": len(page)}
    if more:
        meta["next_token"] = f"b26v{page[-1].id:x}"
    body: Json = {"data": [shape.describe(item)["data"] for item in items]}
    includes = {} if shape.small else shape.includes(items)
    return 200, body | ({"includes": includes} if includes else {}) | {"meta": meta}


def found_in(response: Response) -> tuple[str, ...]:
    """The posts that an answer of search gives."""
    return tuple(post["id"] for post in json.loads(response.body).get("data", ()))


async def _counts(state: State, request: Request) -> tuple[int, Json]:
    steps = {"minute": 60, "hour": 3600, "day": 86400}
    granularity = request.query.get("granularity", "hour")
    if granularity not in steps:
        raise BadParameter("granularity", granularity, "The `granularity` must be minute, hour or day")
    step = steps[granularity]
    buckets: Counter[int] = Counter()
    async for produced in _Found(state, request).newest_first(""):
        buckets[int(produced.created // step) * step] += 1
    data = [
        {"start": iso(start), "end": iso(start + step), "tweet_count": buckets[start]} for start in sorted(buckets)
    ]
    return 200, {"data": data, "meta": {"total_tweet_count": sum(buckets.values())}}


class _Found:
    """The posts that a search request asks for."""

    def __init__(self, state: State, request: Request) -> None:
        self._state = state
        query = request.query.get("query", "")
        if not query or len(query) > QUERY_LENGTH:
            raise BadParameter("query", query, f"The `query` must have 1 to {QUERY_LENGTH} characters")
        if found := ONLY_IN_RULES.search(query):
            words = f"Reference to invalid operator '{found[1]}'. Operator is not available in search"
            raise BadParameter("query", query, words)
        try:
            self._rule: Rule = compile_rule(query)
        except BadRule as error:
            raise BadParameter("query", query, str(error)) from None
        if ("since_id" in request.query and "start_time" in request.query) or (
            "until_id" in request.query and "end_time" in request.query
        ):
            words = "Invalid use of 'since_id' or 'until_id' in conjunction with 'start_time' or 'end_time'."
            raise BadParameter("since_id", request.query.get("since_id", ""), words)
        oldest = state.world.now() - WEEK
        self._start = _moment(request, "start_time", oldest)
        if self._start < oldest - 1:
            asked = request.query["start_time"]
            words = f"Invalid 'start_time':'{asked}'. 'start_time' must be on or after {iso(oldest)}."
            raise BadParameter("start_time", asked, words)
        self._end = _moment(request, "end_time", float("inf"))
        self._since = _number(request, "since_id", 0, 0, 2**63)
        self._until = _number(request, "until_id", 2**63, 0, 2**63)
        if self._since and moment_of(self._since) < oldest:
            limit = datetime.fromtimestamp(oldest, UTC) + timedelta(minutes=1)
            smallest = (int(oldest * 1000) - 1_288_834_974_657) << 22
            words = (
                f"'since_id' must be a tweet id created after {limit:%Y-%m-%dT%H:%MZ}. "
                f"Please use a 'since_id' that is larger than {smallest}"
            )
            raise BadParameter("since_id", str(self._since), words)

    async def newest_first(self, token: str) -> Any:
        """Every match, from the newest to the oldest, from behind the page that the token ended."""
        below = self._until
        if token:
            try:
                below = min(below, int(token.removeprefix("b26v"), 16))
            except ValueError:
                raise BadParameter("next_token", token, "The `next_token` is not valid") from None
        state, rule = self._state, self._rule
        indexed = time.time() - state.options.search_lag
        for seen, produced in enumerate(state.world.newest_first()):
            if produced.id <= self._since or produced.created < self._start:
                return
            if seen % LOOK_UP == LOOK_UP - 1:
                await asyncio.sleep(0)
            if produced.id >= below or produced.created >= self._end or produced.produced > indexed:
                continue
            if (rule.simple and rule.subject == produced.subject) or rule.matches(state.world.item(produced)):
                yield produced


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    value = request.query.get(name, "")
    if not value:
        return default
    if not value.isdigit() or not least <= int(value) <= most:
        raise BadParameter(
            name, value, f"The `{name}` query parameter value [{value}] is not between {least} and {most}"
        )
    return int(value)


def _moment(request: Request, name: str, default: float) -> float:
    value = request.query.get(name, "")
    if not value:
        return default
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        raise BadParameter(
            name, value, f"The `{name}` query parameter value [{value}] is not a valid time"
        ) from None


# Usage, tokens, connections


async def _usage(state: State, request: Request) -> tuple[int, Json]:
    days = _number(request, "days", 7, 1, 90)

    def spell(number: int) -> int | str:
        return str(number) if state.options.usage_as_strings else number

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    used = state.world.posts
    usage = [
        {"date": iso((today - timedelta(days=ago)).timestamp()), "usage": spell(0 if ago else used)}
        for ago in range(days)
    ]
    return 200, {
        "data": {
            "cap_reset_day": spell(1), "project_cap": spell(3_000_000), "project_id": "1234567890123456789",
            "project_usage": spell(used),
            "daily_project_usage": {"project_id": "1234567890123456789", "usage": usage},
            "daily_client_app_usage": [
                {"client_app_id": "1", "usage_result_count": spell(len(usage)), "usage": usage}
            ],
        }
    }  # fmt: skip


async def _connections(state: State, _: Request) -> tuple[int, Json]:
    closed = len(state.ghosts) + (state.live is not None)
    state.ghosts.clear()
    if state.live is not None:
        state.live.end("closed by DELETE /2/connections/all")
    return 200, {"data": {"successful_kills": closed, "failed_kills": 0}}


def _token(state: State, request: Request) -> Response:
    options = state.options
    form = parse_qs(request.body.decode("latin-1"))
    if request.basic != (options.consumer_key, options.consumer_secret):
        error = {"code": 99, "message": "Unable to verify your credentials", "label": "authenticity_token_error"}
        return Response.json(403, {"errors": [error]})
    if form.get("grant_type") != ["client_credentials"]:
        error = {
            "code": 170,
            "message": "Missing required parameter: grant_type",
            "label": "forbidden_missing_parameter",
        }
        return Response.json(403, {"errors": [error]})
    return Response.json(200, {"token_type": "bearer", "access_token": options.tokens[0]})


_ENDPOINTS: dict[str, Callable[[State, Request], Any]] = {
    "list_rules": _list_rules,
    "rule_counts": _rule_counts,
    "change_rules": _change_rules,
    "search": _search,
    "counts": _counts,
    "usage": _usage,
    "connections": _connections,
}
