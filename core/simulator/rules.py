"""The rules of the stream: adding, deleting, listing, validating and applying them late, as X does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.simulator.matching import BadRule, Rule, compile_rule
from core.simulator.problems import PROBLEM

_FIRST_ID = 1_580_000_000_000_000_000


@dataclass(slots=True)
class StoredRule:
    """A rule with the span (monotonic seconds) in which it applies."""

    id: str
    value: str
    tag: str | None
    compiled: Rule
    applies_from: float
    applies_until: float = float("inf")

    def listed(self) -> dict[str, Any]:
        """The rule as X lists it."""
        return {"id": self.id, "value": self.value} | ({"tag": self.tag} if self.tag else {})


@dataclass(slots=True)
class RuleBook:
    """`delay` is how long a change takes to apply, in seconds."""

    cap: int = 1000
    length: int = 1024
    delay: float = 0.0
    rules: list[StoredRule] = field(default_factory=list)
    _leaving: list[StoredRule] = field(default_factory=list)
    _made: int = 0

    def active(self, now: float) -> list[StoredRule]:
        """The rules that apply at that moment, oldest first."""
        self._leaving = [rule for rule in self._leaving if rule.applies_until > now]
        return [rule for rule in (*self._leaving, *self.rules) if rule.applies_from <= now]

    def add(self, asked: list[Mapping[str, Any]], now: float, *, dry_run: bool) -> tuple[int, dict[str, Any]]:
        """Status and body (without `meta.sent`) of an add."""
        created: list[StoredRule] = []
        errors: list[dict[str, Any]] = []
        known = {rule.value: rule for rule in self.rules}
        for one in asked:
            value = str(one["value"])
            problem = self._problem(value, known, len(created))
            if problem is not None:
                errors.append(problem)
                continue
            self._made += 1
            tag = one.get("tag")
            rule = StoredRule(
                str(_FIRST_ID + self._made),
                value,
                None if tag is None else str(tag),
                compile_rule(value),
                now + self.delay,
            )
            known[value] = rule
            created.append(rule)
        if not dry_run:
            self.rules += created
        summary = {
            "created": len(created), "not_created": len(errors), "valid": len(created), "invalid": len(errors),
        }  # fmt: skip
        body: dict[str, Any] = {"meta": {"summary": summary}}
        if created:
            body = {"data": [rule.listed() for rule in created]} | body
        if errors:
            body["errors"] = errors
        return (201 if created else 200), body

    def delete(
        self, asked: list[str], by: Literal["ids", "values"], now: float, *, dry_run: bool
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of a delete by ids or by values."""
        gone = [rule for rule in self.rules if (rule.id if by == "ids" else rule.value) in asked]
        missing = len(set(asked)) - len(gone)
        if not dry_run:
            self._remove(gone, now)
        body: dict[str, Any] = {"meta": {"summary": {"deleted": len(gone), "not_deleted": missing}}}
        if missing:
            body["errors"] = [
                {
                    "errors": [{"parameters": {}, "message": "Rule does not exist"}],
                    "title": "Invalid Request",
                    "detail": "One or more parameters to your request was invalid.",
                    "type": f"{PROBLEM}/invalid-request",
                }
            ]
        return 200, body

    def delete_all(self, now: float, *, dry_run: bool) -> tuple[int, dict[str, Any]]:
        """Status and body of `?delete_all=true`."""
        gone = list(self.rules)
        if not dry_run:
            self._remove(gone, now)
        return 200, {"meta": {"summary": {"deleted": len(gone), "not_deleted": 0}}}

    def _remove(self, gone: list[StoredRule], now: float) -> None:
        for rule in gone:
            rule.applies_until = now + self.delay
        self.rules = [rule for rule in self.rules if rule not in gone]
        self._leaving += gone

    def _problem(self, value: str, known: Mapping[str, StoredRule], created: int) -> dict[str, Any] | None:
        """Why X would not take this rule, as one of its errors; None when it would."""
        if value in known:
            return {
                "value": value, "id": known[value].id, "title": "DuplicateRule",
                "type": f"{PROBLEM}/duplicate-rules",
            }  # fmt: skip
        if len(value) > self.length:
            return {
                "value": value, "title": "UnprocessableEntity", "type": f"{PROBLEM}/rule-length",
                "details": [f"Rules must not be longer than {self.length} characters; this one has {len(value)}."],
            }  # fmt: skip
        if len(self.rules) + created >= self.cap:
            return {
                "value": value, "title": "RulesCapExceeded", "type": f"{PROBLEM}/rule-cap",
                "details": [f"Your app can have {self.cap} rules at most."],
            }  # fmt: skip
        try:
            compile_rule(value)
        except BadRule as error:
            return {
                "value": value, "details": [str(error)], "title": "UnprocessableEntity",
                "type": f"{PROBLEM}/invalid-rules",
            }  # fmt: skip
        return None
