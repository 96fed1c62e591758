"""The books on backends: what is in flight, who is ejected or cooling down. They outlive a reload; sync, no clock."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from pointsman_server.errors import Reason
from pointsman_server.routing.breaker import Breaker, BreakerState, EjectionRules, Ticket
from pointsman_server.routing.cooldown import Cooldown
from pointsman_server.routing.outcome import Outcome, outcome_of
from pointsman_server.routing.view import BackendState

_EWMA_DECAY_S = 10.0


@dataclass(frozen=True, slots=True)
class Block:
    """Why a backend takes no calls now."""

    state: BackendState
    reason: str
    until: float
    """Infinity when it has no end of its own."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a backend the same one after a reload."""

    name: str
    provider: str
    url: str
    endpoint_of: str = ""
    """The backend's name in the configuration, for an endpoint that discovery found."""
    uid: str = ""
    """Of the process behind an endpoint: another one at the same address is another endpoint."""


class BackendBook:
    """Everything that is known of one backend from the calls that went there."""

    def __init__(self, identity: Identity, limit: int, rules: EjectionRules, rng: Random) -> None:
        self.identity = identity
        self.limit = limit
        self.in_flight = 0
        self.in_flight_tokens = 0
        self.breaker = Breaker(rules, rng)
        self.first_token_ewma_s: float | None = None
        self._ewma_at = 0.0
        self.drained: str | None = None
        """Why an operator gives it no further calls; None while it takes them."""
        self._cooldowns: dict[str, Cooldown] = {}
        self._waiters: OrderedDict[Callable[[], bool], None] = OrderedDict()

    def block(self, model: str, now: float) -> Block | None:
        """What keeps calls for this model (the upstream's name) away now."""
        if self.drained is not None:
            return Block(BackendState.DRAINING, self.drained, math.inf)
        if not self._cooldowns and self.breaker.ejected_at is None:
            return None
        for key in ("", model):
            cooldown = self._cooldowns.get(key)
            if cooldown is not None and cooldown.active(now):
                cause = cooldown.reason.value if cooldown.reason else ""
                return Block(BackendState.COOLING_DOWN, cause, cooldown.until)
        if self.breaker.allows(now):
            return None
        half_open = self.breaker.state(now) is BreakerState.HALF_OPEN
        state = BackendState.HALF_OPEN if half_open else BackendState.EJECTED
        return Block(state, "probe under way" if half_open else "failures", max(now, self.breaker.until))

    def state(self, now: float) -> Block:
        """Its state for people; the worst over its models."""
        if self.drained is not None:
            return Block(BackendState.DRAINING, self.drained, math.inf)
        for model in self._cooldowns:
            block = self.block(model, now)
            if block is not None and block.state is BackendState.COOLING_DOWN:
                return block
        match self.breaker.state(now):
            case BreakerState.OPEN:
                return Block(BackendState.EJECTED, "failures", self.breaker.until)
            case BreakerState.HALF_OPEN:
                return Block(BackendState.HALF_OPEN, "probing", 0.0)
            case BreakerState.CLOSED:
                return Block(BackendState.HEALTHY, "", 0.0)

    def take(self) -> bool:
        """Take a place if one is free."""
        if self.in_flight >= self.limit:
            return False
        self.in_flight += 1
        return True

    def give_back(self) -> None:
        """Free a place: the longest waiter gets it, else it is open."""
        if self.in_flight > self.limit or not self._offered():
            self.in_flight -= 1

    def resize(self, limit: int) -> None:
        """Allow another number of attempts at once; places that this opens go to those who wait."""
        self.limit = limit
        while self.in_flight < limit and self._offered():
            self.in_flight += 1

    def _offered(self) -> bool:
        """Whether a waiter took a place."""
        while self._waiters:
            offer, _ = self._waiters.popitem(last=False)
            if offer():
                return True
        return False

    def wait(self, offer: Callable[[], bool]) -> None:
        """Ask to be offered a place, after those who asked before; `offer` returns whether it took it."""
        self._waiters[offer] = None

    def forget(self, offer: Callable[[], bool]) -> None:
        """Take back a `wait`."""
        self._waiters.pop(offer, None)

    def record(
        self,
        model: str,
        reason: Reason | None,
        now: float,
        *,
        ticket: Ticket,
        retry_after_s: float | None,
        longest_s: float,
    ) -> bool:
        """Learn how an attempt ended; True when it ejected the backend."""
        match outcome_of(reason):
            case Outcome.SUCCESS:
                self.breaker.success(now, ticket)
                for key in ("", model) if self._cooldowns else ():
                    if key in self._cooldowns:
                        self._cooldowns[key].over()
            case Outcome.FAILURE:
                return self.breaker.failure(now, ticket)
            case Outcome.NEUTRAL:
                self.breaker.neutral(ticket)
            case Outcome.COOL_MODEL | Outcome.COOL_BACKEND as outcome:
                self.breaker.neutral(ticket)
                key = model if outcome is Outcome.COOL_MODEL else ""
                cooldown = self._cooldowns.setdefault(key, Cooldown())
                cooldown.begin(now, reason or Reason.UPSTREAM_OVERLOADED, retry_after_s, longest_s=longest_s)
        return False

    def renew_credentials(self) -> None:
        """The backend is asked with another key now: a pause of the whole backend was the old key's."""
        self._cooldowns.pop("", None)

    def saw_first_token(self, latency_s: float, now: float) -> None:
        """Feed the moving average of the time to first content; older samples fade with a 10 s decay."""
        if self.first_token_ewma_s is None:
            self.first_token_ewma_s = latency_s
        else:
            keep = max(0.0, 1.0 - (now - self._ewma_at) / _EWMA_DECAY_S) * 0.9
            self.first_token_ewma_s = keep * self.first_token_ewma_s + (1 - keep) * latency_s
        self._ewma_at = now


class Fleet:
    """All books by backend, and whose turn it is per model."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._books: dict[str, BackendBook] = {}
        self._turns: dict[str, int] = {}

    def adopt(self, identity: Identity, limit: int, rules: EjectionRules) -> BackendBook:
        """The book of a backend: the one that is kept when the backend is the same, else a new one."""
        book = self._books.get(identity.name)
        if book is None or book.identity != identity:
            book = self._books[identity.name] = BackendBook(identity, limit, rules, self._rng)
            whole = self._books.get(identity.endpoint_of)
            book.drained = whole.drained if whole is not None else None
        book.resize(limit)
        book.breaker.use(rules)
        return book

    def drain(self, name: str, reason: str | None) -> bool:
        """Give a backend or one endpoint no further calls, or calls again; False where none has the name.

        A backend's endpoints go with it, those too that are found later.
        """
        if name not in self._books:
            return False
        for book in self._books.values():
            if name in (book.identity.name, book.identity.endpoint_of):
                book.drained = reason
        return True

    def keep_only(self, names: set[str]) -> None:
        """Forget backends that the configuration no longer has; their calls end on the books they hold."""
        for name in self._books.keys() - names:
            del self._books[name]

    def turn(self, model: str) -> int:
        """A number that rises by one with each ask, per model."""
        turn = self._turns.get(model, 0)
        self._turns[model] = turn + 1
        return turn
