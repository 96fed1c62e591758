"""Config -> Runtime: the immutable plan of models, targets and policies; the one object that a reload swaps.

What is known of backends (books, pools) is carried over: an unchanged backend keeps both, a removed one ends its
attempts and then closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pointsman_server.config import schema
from pointsman_server.context import Target
from pointsman_server.dispatch.budget import BudgetRules
from pointsman_server.dispatch.contract import AttemptTimeouts
from pointsman_server.dispatch.retry import RetryRules
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.breaker import EjectionRules
from pointsman_server.routing.fleet import BackendBook, Fleet, Identity
from pointsman_server.routing.plan import ModelView, TargetView
from pointsman_server.upstreams.contract import Upstream


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """What an upstream was built from; an equal one is used again."""

    backend: schema.Backend
    secret: str = field(repr=False)


class Place:
    """One backend with its pool; closes itself when it is retired and its last attempt has ended."""

    def __init__(self, name: str, key: UpstreamKey, upstream: Upstream, book: BackendBook) -> None:
        self.name = name
        self.key = key
        self.book = book
        self._upstream = upstream
        timeouts = key.backend.timeouts
        self._timeouts = AttemptTimeouts(timeouts.first_content_s, timeouts.idle_s, timeouts.total_s)
        self._leases = 0
        self._retired = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def upstream(self) -> Upstream:
        """Where attempts go."""
        return self._upstream

    @property
    def timeouts(self) -> AttemptTimeouts:
        """How patient attempts are."""
        return self._timeouts

    @property
    def propagate_trace(self) -> bool:
        """Whether trace context is sent along."""
        return self.key.backend.propagate_trace

    def acquire(self) -> None:
        """An attempt begins."""
        self._leases += 1

    def release(self) -> None:
        """It ended."""
        self._leases -= 1
        self._close_when_idle()

    def retire(self) -> None:
        """No new configuration uses it."""
        self._retired = True
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self._retired and self._leases == 0 and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._upstream.close())

    async def closed(self) -> None:
        """Close now, whatever is still under way, and wait for it."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._upstream.close())
        await self._closing


class Runtime:
    """One configuration in force; frozen but for what its places count."""

    def __init__(self, config: schema.Config, places: Mapping[str, Place]) -> None:
        self.config = config
        self.places = dict(places)
        self._models: dict[str, ModelView] = {}
        self._names: dict[str, str] = {}
        for name, model in config.models.items():
            self._models[name] = self._view(name, model)
            self._names.update({alias: name for alias in (name, *model.aliases)})
        retry, ejection = config.retry, config.ejection
        self.retry = RetryRules(
            max_attempts=retry.max_attempts,
            backoff_base_s=retry.backoff_base_s,
            backoff_max_s=retry.backoff_max_s,
            retry_after_max_s=retry.retry_after_max_s,
            max_ejected_share=ejection.max_ejected_share,
        )
        self.max_attempts_limit = retry.max_attempts_limit
        self.budget = BudgetRules(retry.budget_ratio, retry.budget_window_s, retry.budget_floor)
        self.max_queue_time_s = config.max_queue_time_s

    def _view(self, name: str, model: schema.Model) -> ModelView:
        targets = tuple(self._target(name, model, target) for target in model.targets)
        return ModelView(name=name, policy=model.policy.value, targets=targets, fallbacks=model.fallbacks)

    def _target(self, name: str, model: schema.Model, target: schema.Target) -> TargetView:
        place = self.places[target.backend]
        return TargetView(
            target=Target(target.backend, place.key.backend.provider, target.model or name),
            book=place.book,
            weight=target.weight,
            group=target.group,
            input_token_limit=target.input_token_limit or model.input_token_limit,
            unsupported=place.upstream.unsupported,
        )

    def canonical(self, name: str) -> str:
        """A model's own name. Raises ServiceError MODEL_NOT_FOUND."""
        try:
            return self._names[name]
        except KeyError:
            raise ServiceError(Reason.MODEL_NOT_FOUND, "no model of that name here", resource=name) from None

    def model(self, name: str) -> ModelView | None:
        """A model by name or alias."""
        own = self._names.get(name)
        return None if own is None else self._models[own]

    def place(self, backend: str, model: str) -> TargetView | None:
        """A backend as a target for a model that does not list it."""
        place = self.places.get(backend)
        if place is None:
            return None
        return TargetView(
            Target(backend, place.key.backend.provider, model), place.book, 1, 0, 0, place.upstream.unsupported
        )

    def handle(self, backend: str) -> Place:
        """The backend of a candidate."""
        return self.places[backend]


BuildUpstream = Callable[[str, schema.Backend], Upstream]
ResolveSecret = Callable[[schema.SecretRef], str]


def compile_runtime(
    config: schema.Config, fleet: Fleet, *, build: BuildUpstream, secret: ResolveSecret, previous: Runtime | None
) -> Runtime:
    """A whole new Runtime on the old books; upstreams that are equal are used again, the others are left to retire.

    Building an upstream opens no connection. Must run on the event loop.
    """
    places: dict[str, Place] = {}
    for name, backend in config.backends.items():
        credentials = backend.credentials
        key = UpstreamKey(backend, secret(credentials.secret) if credentials is not None else "")
        book = fleet.adopt(
            Identity(name, backend.provider, backend.url), backend.max_concurrency, ejection_rules(config.ejection)
        )
        old = previous.places.get(name) if previous is not None else None
        kept = old is not None and old.key == key and old.book is book
        places[name] = old if old is not None and kept else Place(name, key, build(name, backend), book)
    fleet.keep_only(set(places))
    return Runtime(config, places)


def retire_replaced(old: Runtime, new: Runtime) -> None:
    """Let go of the places that the new configuration does not use."""
    for name, place in old.places.items():
        if new.places.get(name) is not place:
            place.retire()


def ejection_rules(config: schema.Ejection) -> EjectionRules:
    """The configured rules as routing wants them."""
    return EjectionRules(
        consecutive_failures=config.consecutive_failures,
        failure_share=config.failure_share,
        failure_min_calls=config.failure_min_calls,
        failure_window_s=config.failure_window_s,
        base_s=config.base_s,
        max_s=config.max_s,
        jitter=config.jitter,
    )
