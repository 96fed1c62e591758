"""After a failed attempt: which candidates may be tried next, and after what wait. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.availability import blocks
from pointsman_server.routing.fleet import Block
from pointsman_server.routing.plan import Candidate, Plan


class Rule(enum.Enum):
    """What a failure allows, before the commit point."""

    NEVER = "not again"
    OTHER = "only another backend"
    OTHER_THEN_SAME = "another backend first, then any when the wait fits"
    ANY = "another or the same"
    ANY_ONCE = "another or the same, once"
    LARGER = "only a target with a larger context"


RULES: Mapping[Reason, Rule] = {
    Reason.INVALID_REQUEST: Rule.NEVER,
    Reason.UNSUPPORTED_PARAMETER: Rule.NEVER,
    Reason.REQUEST_TOO_LARGE: Rule.NEVER,
    Reason.UNAUTHENTICATED: Rule.NEVER,
    Reason.MODEL_NOT_ALLOWED: Rule.NEVER,
    Reason.MODEL_NOT_FOUND: Rule.NEVER,
    Reason.QUOTA_EXCEEDED: Rule.NEVER,
    Reason.BUDGET_EXCEEDED: Rule.NEVER,
    Reason.ROUTER_OVERLOADED: Rule.NEVER,
    Reason.QUEUE_TIMEOUT: Rule.NEVER,
    Reason.SHUTTING_DOWN: Rule.NEVER,
    Reason.NOT_IMPLEMENTED: Rule.NEVER,
    Reason.NO_HEALTHY_BACKEND: Rule.NEVER,
    Reason.NO_ELIGIBLE_BACKEND: Rule.NEVER,
    Reason.DEADLINE_EXCEEDED: Rule.NEVER,
    Reason.CANCELLED: Rule.NEVER,
    Reason.INTERNAL: Rule.NEVER,
    Reason.UPSTREAM_RATE_LIMITED: Rule.OTHER_THEN_SAME,
    Reason.UPSTREAM_QUOTA_EXHAUSTED: Rule.OTHER,
    Reason.UPSTREAM_OVERLOADED: Rule.OTHER_THEN_SAME,
    Reason.UPSTREAM_UNAVAILABLE: Rule.ANY,
    Reason.UPSTREAM_TIMEOUT: Rule.OTHER,
    Reason.UPSTREAM_UNREACHABLE: Rule.OTHER_THEN_SAME,
    Reason.UPSTREAM_TRUNCATED: Rule.OTHER_THEN_SAME,
    Reason.UPSTREAM_ERROR: Rule.ANY_ONCE,
    Reason.UPSTREAM_BAD_RESPONSE: Rule.ANY_ONCE,
    Reason.UPSTREAM_CREDENTIALS_INVALID: Rule.OTHER,
    Reason.UPSTREAM_PERMISSION_DENIED: Rule.OTHER,
    Reason.UPSTREAM_MODEL_NOT_FOUND: Rule.OTHER,
    Reason.UPSTREAM_REJECTED: Rule.NEVER,
    Reason.UPSTREAM_CONFLICT: Rule.NEVER,
    Reason.UPSTREAM_UNIMPLEMENTED: Rule.OTHER,
    Reason.CONTEXT_LENGTH_EXCEEDED: Rule.LARGER,
    Reason.CONTENT_BLOCKED: Rule.NEVER,
    Reason.STREAM_INTERRUPTED: Rule.NEVER,
}

FREE = frozenset({Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_TRUNCATED})
"""The backend was lost: going on to an untried one does not count against the retry budget."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How a walk goes on; times in seconds."""

    max_attempts: int = 3
    backoff_base_s: float = 0.1
    backoff_max_s: float = 2.0
    retry_after_max_s: float = 300.0
    max_ejected_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """The next attempt: any of these candidates, best first, after a wait."""

    candidates: Sequence[Candidate]
    delay_s: float = 0.0
    free: bool = True
    """Whether it leaves the retry budget alone."""


class Walk:
    """The way through one plan: remembers what was tried and with what result."""

    def __init__(self, plan: Plan, rules: RetryRules, rng: Random) -> None:
        self._plan = plan
        self._rules = rules
        self._rng = rng
        self._tried: dict[tuple[int, str], int] = {}
        self._last: Candidate | None = None
        self._once: set[Reason] = set()
        self.attempts = 0

    def first(self, now: float) -> Step:
        """Where to begin. Raises ServiceError NO_HEALTHY_BACKEND with the wait until one may be asked again."""
        found = blocks(self._plan.candidates, now, max_ejected_share=self._rules.max_ejected_share)
        open_ = [c for c, block in zip(self._plan.candidates, found, strict=True) if block is None]
        if open_:
            return Step(open_)
        wait_s = min((block.until - now for block in found if block is not None), default=1.0)
        raise ServiceError(
            Reason.NO_HEALTHY_BACKEND, f"{_states(found)}; none takes calls now", retry_after_s=max(0.0, wait_s)
        )

    def began(self, candidate: Candidate) -> int:
        """Note an attempt; returns its number, from 1."""
        self.attempts += 1
        self._last = candidate
        key = _key(candidate)
        self._tried[key] = self._tried.get(key, 0) + 1
        return self.attempts

    def after(self, error: ServiceError, now: float, remaining_s: float) -> Step | None:
        """Where to go on after this failure, or None when it stands."""
        rule = RULES[error.reason]
        if rule is Rule.NEVER or self.attempts >= self._rules.max_attempts:
            return None
        if rule is Rule.ANY_ONCE:
            if error.reason in self._once:
                return None
            self._once.add(error.reason)
        untried = self._untried(now, larger=rule is Rule.LARGER)
        if untried:
            return Step(untried, free=error.reason in FREE)
        if rule is Rule.OTHER or rule is Rule.LARGER:
            return None
        return self._again(error, now, remaining_s)

    def _untried(self, now: float, *, larger: bool) -> list[Candidate]:
        candidates = self._plan.candidates
        found = blocks(candidates, now, max_ejected_share=self._rules.max_ejected_share)
        fresh = [c for c, block in zip(candidates, found, strict=True) if block is None and _key(c) not in self._tried]
        if not larger or self._last is None:
            return fresh
        limit = self._last.view.input_token_limit
        return [candidate for candidate in fresh if limit and candidate.view.input_token_limit > limit]

    def _again(self, error: ServiceError, now: float, remaining_s: float) -> Step | None:
        """A tried candidate once more: the one that may be asked soonest, the least often tried of those."""
        best: tuple[float, int, Candidate] | None = None
        tried = [candidate for candidate in self._plan.candidates if _key(candidate) in self._tried]
        for candidate, block in zip(tried, self._blocks(tried, now), strict=True):
            wait_s = 0.0 if block is None else block.until - now
            rank = (wait_s, self._tried[_key(candidate)], candidate)
            if best is None or rank[:2] < best[:2]:
                best = rank
        if best is None:
            return None
        delay_s = max(best[0], self._delay(error))
        return Step([best[2]], delay_s=delay_s, free=False) if delay_s < remaining_s else None

    def _blocks(self, candidates: Sequence[Candidate], now: float) -> list[Block | None]:
        by_key = dict(
            zip(map(_key, self._plan.candidates), blocks(
                self._plan.candidates, now, max_ejected_share=self._rules.max_ejected_share
            ), strict=True)
        )
        return [by_key[_key(candidate)] for candidate in candidates]

    def _delay(self, error: ServiceError) -> float:
        """The provider's own wait, if believable; else full jitter (Brooker 2015: least work for the same goodput)."""
        asked_s = error.retry_after_s
        if asked_s is not None and 0 <= asked_s <= self._rules.retry_after_max_s:
            return asked_s
        top_s: float = min(self._rules.backoff_base_s * 2 ** (self.attempts - 1), self._rules.backoff_max_s)
        return self._rng.random() * top_s


def _key(candidate: Candidate) -> tuple[int, str]:
    return id(candidate.view.book), candidate.view.target.model


def _states(found: Sequence[Block | None]) -> str:
    counts: dict[str, int] = {}
    for block in found:
        if block is not None:
            word = block.state.value.lower().replace("_", " ")
            counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
