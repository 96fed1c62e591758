"""Config -> Runtime: the immutable plan of models, targets and policies; the one object that a reload swaps.

What is known of backends (books, pools) is carried over: an unchanged backend keeps both, a removed one closes after
the last call that may use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from pointsman_server.config import schema
from pointsman_server.config.prices import PriceTable, prices_of, shipped_prices
from pointsman_server.config.secrets import references
from pointsman_server.context import ChatTemplate, Target
from pointsman_server.dispatch.budget import BudgetRules
from pointsman_server.dispatch.contract import AttemptTimeouts
from pointsman_server.dispatch.retry import RetryRules
from pointsman_server.domain import Prices
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.breaker import EjectionRules
from pointsman_server.routing.fleet import BackendBook, Fleet, Identity
from pointsman_server.routing.plan import ModelView, TargetView
from pointsman_server.upstreams.contract import Upstream

_CURRENCY = "USD"
"""Of written prices that name none."""


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """What an upstream was built from; an equal one is used again."""

    backend: schema.Backend
    secrets: tuple[str, ...] = field(repr=False)
    """All that its configuration refers to."""


class Place:
    """One backend with its pool."""

    _closings: ClassVar[set[asyncio.Task[None]]] = set()
    """Of all places that went out of use; held here, since nothing else holds them."""

    def __init__(self, name: str, key: UpstreamKey, upstream: Upstream, book: BackendBook) -> None:
        self.name = name
        self.key = key
        self.book = book
        self.upstream = upstream
        timeouts = key.backend.timeouts
        self.timeouts = AttemptTimeouts(timeouts.first_content_s, timeouts.idle_s, timeouts.total_s)
        self.propagate_trace = key.backend.propagate_trace
        self._closing: asyncio.Task[None] | None = None

    def retire(self) -> asyncio.Task[None]:
        """Close the pool: no call uses it any more."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self.upstream.close())
            self._closings.add(self._closing)
            self._closing.add_done_callback(self._closings.discard)
        return self._closing

    async def closed(self) -> None:
        """Close now, whatever is still under way, and wait for it."""
        await self.retire()

    @classmethod
    async def retired(cls) -> None:
        """Wait until every place that was retired so far has closed."""
        await asyncio.gather(*cls._closings, return_exceptions=True)


class Runtime:
    """One configuration in force; frozen but for the count of the calls that hold it."""

    def __init__(
        self,
        config: schema.Config,
        places: Mapping[str, Place],
        prices: PriceTable,
        template_text: TemplateText,
    ) -> None:
        self.config = config
        self.prices = prices
        self.places = dict(places)
        self._template_text = template_text
        self._models: dict[str, ModelView] = {}
        self._names: dict[str, str] = {}
        for name, model in config.models.items():
            self._models[name] = self._view(name, model)
            self._names.update(dict.fromkeys((name, *model.aliases), name))
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
        self._calls = 0
        self._successor: Runtime | None = None

    def acquire(self) -> None:
        """A call begins that may use any of the places until it ends."""
        self._calls += 1

    def release(self) -> None:
        """It ended."""
        self._calls -= 1
        self._let_go()

    def give_way(self, successor: Runtime) -> None:
        """Another configuration is in force. Places that it does not use close after the last call that may use them.

        Until then the successor counts as in use: a place may have gone from one configuration to the next several
        times before it is dropped, and calls of all of them may be under way.
        """
        successor.acquire()
        self._successor = successor
        self._let_go()

    def _let_go(self) -> None:
        successor = self._successor
        if self._calls or successor is None:
            return
        self._successor = None
        for name, place in self.places.items():
            if successor.places.get(name) is not place:
                place.retire()
        successor.release()

    def _view(self, name: str, model: schema.Model) -> ModelView:
        targets = tuple(self._target(name, model, target) for target in model.targets)
        return ModelView(name=name, policy=model.policy.value, targets=targets, fallbacks=model.fallbacks)

    def _target(self, name: str, model: schema.Model, target: schema.Target) -> TargetView:
        place, own = self.places[target.backend], target.model or name
        return TargetView(
            target=Target(
                target.backend,
                place.key.backend.provider,
                own,
                self._template(target.chat_template or model.chat_template),
            ),
            book=place.book,
            weight=target.weight,
            group=target.group,
            input_token_limit=target.input_token_limit or model.input_token_limit,
            unsupported=partial(place.upstream.unsupported, model=own),
            prices=self._prices(model, target, place.key.backend.provider, own),
        )

    def _prices(
        self, model: schema.Model, target: schema.Target, provider: str, upstream_model: str
    ) -> Prices | None:
        written = target.price or model.price
        if written is not None:
            return prices_of(written, _CURRENCY)
        return self.prices.find(provider, upstream_model)

    def _template(self, written: schema.ChatTemplate | None) -> ChatTemplate | None:
        if written is None:
            return None
        return ChatTemplate(
            self._template_text(written),
            written.bos_token,
            written.eos_token,
            tuple(sorted(written.variables.items())),
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
        known = self.config.models.get(model)
        template = self._template(known.chat_template) if known is not None else None
        return TargetView(
            Target(backend, place.key.backend.provider, model, template),
            place.book,
            1,
            0,
            0,
            partial(place.upstream.unsupported, model=model),
            self.prices.find(place.key.backend.provider, model),
        )

    def handle(self, backend: str) -> Place:
        """The backend of a candidate."""
        return self.places[backend]


BuildUpstream = Callable[[str, schema.Backend], Upstream]
ResolveSecret = Callable[[schema.SecretRef], str]
TemplateText = Callable[[schema.ChatTemplate], str]
"""A template as configured -> its text, wherever it is written."""


def compile_runtime(
    config: schema.Config,
    fleet: Fleet,
    *,
    build: BuildUpstream,
    secret: ResolveSecret,
    template_text: TemplateText,
    previous: Runtime | None,
    prices: PriceTable | None = None,
) -> Runtime:
    """A whole new Runtime on the old books; upstreams that are equal are used again, the others are left to retire.

    Building an upstream opens no connection. What may fail comes before the books are touched.
    """
    old_places = previous.places if previous is not None else {}
    keys = {name: _key(backend, secret) for name, backend in config.backends.items()}
    upstreams = {
        name: build(name, key.backend)
        for name, key in keys.items()
        if name not in old_places or old_places[name].key != key
    }
    rules = ejection_rules(config.ejection)
    places = {}
    for name, key in keys.items():
        old, upstream = old_places.get(name), upstreams.get(name)
        book = _book(fleet, name, key, rules)
        if old is not None and old.key.secrets != key.secrets:
            book.renew_credentials()
        places[name] = old_places[name] if upstream is None else Place(name, key, upstream, book)
    fleet.keep_only(set(places))
    return Runtime(config, places, shipped_prices() if prices is None else prices, template_text)


def _key(backend: schema.Backend, secret: ResolveSecret) -> UpstreamKey:
    return UpstreamKey(backend, tuple(secret(ref) for _, ref in references(backend)))


def _book(fleet: Fleet, name: str, key: UpstreamKey, rules: EjectionRules) -> BackendBook:
    backend = key.backend
    return fleet.adopt(Identity(name, backend.provider, backend.url), backend.max_concurrency, rules)


def retire_replaced(old: Runtime, new: Runtime) -> None:
    """Let go of the places that the new configuration does not use, as soon as no call can use them."""
    old.give_way(new)


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
