"""After a failed attempt: which candidates may be tried next, and after what wait. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from pointsman_server.dispatch.rules import FREE, RULES, Rule
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.availability import blocks
from pointsman_server.routing.fleet import Block
from pointsman_server.routing.outcome import OUTCOMES, Outcome
from pointsman_server.routing.plan import Candidate, Plan
from pointsman_server.routing.view import BackendState

_UNKNOWN_WAIT_S = 1.0
"""Told to a caller whom nobody can say when a backend takes calls again."""
_ENDLESS_TOKENS = 1 << 62
_ROUNDING_S = 0.001
"""Added to a wait for the end of a pause, so that it has ended although timers may fire early."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How a walk goes on; times in seconds."""

    max_attempts: int = 3
    backoff_base_s: float = 0.1
    backoff_max_s: float = 2.0
    retry_after_max_s: float = 300.0
    max_ejected_share: float = 0.5


@dataclass(slots=True)
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
        """Attempts at each target."""
        self._tried_books: set[int] = set()
        self._spent: set[tuple[int, str]] = set()
        """Targets that must not be asked again, whatever fails elsewhere."""
        self._silent_books: set[int] = set()
        """Backends that let an attempt time out: no target of theirs is asked again."""
        self._once: set[Reason] = set()
        self._overflowed_tokens = 0
        """The largest context that this call did not fit into."""
        self._last: Candidate | None = None
        self.attempts = 0

    def first(self, now: float) -> Step:
        """Where to begin. Raises ServiceError NO_HEALTHY_BACKEND with the wait until one may be asked again."""
        found = self._blocks(now)
        takers = [
            candidate for candidate, block in zip(self._plan.candidates, found, strict=True) if block is None
        ]
        if takers:
            return Step(takers)
        wait_s = min(block.until - now for block in found if block is not None)
        raise ServiceError(
            Reason.NO_HEALTHY_BACKEND, f"no backend takes calls now: {_states(found)}",
            retry_after_s=wait_s if 0 < wait_s < math.inf else _UNKNOWN_WAIT_S,
        )  # fmt: skip

    def still_open(self, candidates: Iterable[Candidate], now: float) -> list[Candidate]:
        """Those of these candidates that still take calls, after a wait in which anything may have happened."""
        takers = self._open(now)
        return [candidate for candidate in candidates if any(candidate is taker for taker in takers)]

    def began(self, candidate: Candidate) -> int:
        """Note an attempt; returns its number, from 1."""
        self.attempts += 1
        self._last = candidate
        key = _key(candidate)
        self._tried[key] = self._tried.get(key, 0) + 1
        self._tried_books.add(key[0])
        return self.attempts

    def after(self, error: ServiceError, now: float, remaining_s: float) -> Step | None:
        """Where to go on after this failure of the last attempt, or None when it stands."""
        rule = RULES[error.reason]
        if rule is Rule.NEVER or self._last is None or self.attempts >= self._rules.max_attempts:
            return None
        if rule is Rule.ANY_ONCE:
            if error.reason in self._once:
                return None
            self._once.add(error.reason)
        self._rule_out(self._last, error.reason, rule)
        untried = self._untried(error.reason, now)
        if untried:
            return Step(untried, free=error.reason in FREE and not self._tried_books & _books(untried))
        return self._again(error, now, remaining_s)

    def _rule_out(self, last: Candidate, reason: Reason, rule: Rule) -> None:
        """Remember what this failure says about the rest of the walk."""
        if rule is Rule.LARGER:
            # A target of unknown size is never known to be larger, nor is any known to be larger than it.
            self._overflowed_tokens = max(
                self._overflowed_tokens, last.view.input_token_limit or _ENDLESS_TOKENS
            )
        if rule is Rule.OTHER or rule is Rule.LARGER:
            self._spent.add(_key(last))
        if reason is Reason.UPSTREAM_TIMEOUT:
            self._silent_books.add(id(last.view.book))

    def _blocks(self, now: float) -> list[Block | None]:
        return blocks(self._plan.candidates, now, max_ejected_share=self._rules.max_ejected_share)

    def _open(self, now: float) -> list[Candidate]:
        candidates = self._plan.candidates
        return [
            candidate for candidate, block in zip(candidates, self._blocks(now), strict=True) if block is None
        ]

    def _untried(self, reason: Reason, now: float) -> list[Candidate]:
        """Open targets that were not tried. After a fault of the place, those of other places, if there are any."""
        fresh = [c for c in self._open(now) if _key(c) not in self._tried and self._in_question(c)]
        if OUTCOMES[reason] is not Outcome.FAILURE:
            return fresh
        return [c for c in fresh if id(c.view.book) not in self._tried_books] or fresh

    def _in_question(self, candidate: Candidate) -> bool:
        if _key(candidate) in self._spent or id(candidate.view.book) in self._silent_books:
            return False
        return not self._overflowed_tokens or candidate.view.input_token_limit > self._overflowed_tokens

    def _again(self, error: ServiceError, now: float, remaining_s: float) -> Step | None:
        """A tried target once more: the one that may be asked soonest, the least often tried of those.

        The end of a pause that its provider asked for is waited for, that of an ejection is not.
        """
        best: tuple[float, int] | None = None
        chosen: Candidate | None = None
        for candidate, block in zip(self._plan.candidates, self._blocks(now), strict=True):
            tries = self._tried.get(_key(candidate), 0)
            if not tries or not self._in_question(candidate):
                continue
            if block is not None and block.state is not BackendState.COOLING_DOWN:
                continue
            delay_s = self._delay(candidate, error, 0.0 if block is None else block.until - now)
            if delay_s < remaining_s and (best is None or (delay_s, tries) < best):
                best, chosen = (delay_s, tries), candidate
        return None if best is None or chosen is None else Step([chosen], delay_s=best[0], free=False)

    def _delay(self, candidate: Candidate, error: ServiceError, pause_s: float) -> float:
        """What is left of its pause, or the wait that it asked for; else full jitter.

        (Brooker 2015: least work for the same goodput.) A named wait gets a little jitter as well, or everybody would
        be back in the same moment.
        """
        rules = self._rules
        asked_s = error.retry_after_s if candidate is self._last else None
        if asked_s is not None and 0 < asked_s <= rules.retry_after_max_s:
            pause_s = max(pause_s, asked_s)
        if pause_s > 0:
            return pause_s + _ROUNDING_S + self._rng.random() * rules.backoff_base_s
        top_s: float = min(rules.backoff_base_s * 2 ** (self.attempts - 1), rules.backoff_max_s)
        return self._rng.random() * top_s


def _key(candidate: Candidate) -> tuple[int, str]:
    return id(candidate.view.book), candidate.view.target.model


def _books(candidates: Iterable[Candidate]) -> set[int]:
    return {id(candidate.view.book) for candidate in candidates}


def _states(found: Sequence[Block | None]) -> str:
    counts: dict[str, int] = {}
    for block in found:
        if block is not None:
            word = block.state.value.lower().replace("_", " ")
            counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
