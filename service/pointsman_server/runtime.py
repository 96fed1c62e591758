"""Config -> Runtime: the immutable plan of models, targets and policies; the one object that a reload swaps.

What is known of backends (books, pools) is carried over: an unchanged backend keeps both, a removed one closes after
the last call that may use it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Protocol
from urllib.parse import urlsplit, urlunsplit

from pointsman_server.config import schema
from pointsman_server.config.prices import PriceTable, prices_of, shipped_prices
from pointsman_server.config.secrets import references
from pointsman_server.context import ChatTemplate, Target
from pointsman_server.discovery.endpoints import Endpoint, EndpointSet, takers
from pointsman_server.dispatch.budget import BudgetRules
from pointsman_server.dispatch.contract import AttemptTimeouts
from pointsman_server.dispatch.retry import RetryRules
from pointsman_server.domain import Operation, Prices
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.breaker import EjectionRules
from pointsman_server.routing.fleet import BackendBook, Fleet, Identity
from pointsman_server.routing.plan import ModelView, TargetView, Tokenizer
from pointsman_server.upstreams.contract import Upstream

_CURRENCY = "USD"
"""Of written prices that name none."""
_NOTHING: Mapping[str, EndpointSet] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """What an upstream was built from; an equal one is used again."""

    backend: schema.Backend
    secrets: tuple[str, ...] = field(repr=False)
    """All that its configuration refers to."""
    address: str = ""
    """Of one endpoint of a backend that is discovered; else empty."""
    uid: str = ""
    """Of the process behind it, as far as it is known."""


class Place:
    """One backend, or one endpoint of a backend, with its pool."""

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
        self._holders = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return self.book.identity.url

    def hold(self) -> None:
        """Another configuration in use has it."""
        self._holders += 1

    def let_go(self) -> None:
        """That configuration is out of use; the last one closes the pool."""
        self._holders -= 1
        if not self._holders:
            self.retire()

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
        found: Mapping[str, EndpointSet] = _NOTHING,
        *,
        make_tokenizer: MakeTokenizer | None = None,
    ) -> None:
        self.config = config
        self.prices = prices
        self.places = dict(places)
        """All backends by name, and all endpoints of those that are discovered as `backend@address`."""
        self.found = found
        """Backend -> what discovery found, for each backend that is discovered."""
        self._template_text = template_text
        self._models: dict[str, ModelView] = {}
        self._names: dict[str, str] = {}
        for name, model in config.models.items():
            targets = tuple(
                view for target in model.targets for view in self._spread(self._view(name, model, target))
            )
            operations = frozenset(Operation(operation.value) for operation in model.operations)
            tokenizer = None
            if model.tokenizer is not None and make_tokenizer is not None:
                tokenizer = make_tokenizer(model.tokenizer, self._template(model.chat_template), targets)
            self._models[name] = ModelView(
                name, model.policy.value, targets, model.fallbacks, operations, tokenizer
            )
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
        self._superseded = False
        for place in self.places.values():
            place.hold()

    def acquire(self) -> None:
        """A call begins that may use any of the places until it ends."""
        self._calls += 1

    def release(self) -> None:
        """It ended."""
        self._calls -= 1
        self._let_go()

    def give_way(self) -> None:
        """Another configuration is in force.

        A place closes when the last configuration that has it is out of use: superseded, and without calls.
        """
        self._superseded = True
        self._let_go()

    def _let_go(self) -> None:
        if self._calls or not self._superseded:
            return
        self._superseded = False
        for place in self.places.values():
            place.let_go()

    def _view(self, name: str, model: schema.Model, target: schema.Target) -> TargetView:
        """A target of a model, as one place."""
        place, own = self.places[target.backend], target.model or name
        return TargetView(
            target=Target(
                target.backend,
                place.key.backend.provider,
                own,
                self._template(target.chat_template or model.chat_template),
                output_token_limit=model.output_token_limit,
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

    def _spread(self, view: TargetView) -> tuple[TargetView, ...]:
        """A target as routing sees it: itself, or one for each endpoint of its backend that takes calls."""
        backend = view.target.backend
        if self.config.backends[backend].discovery is None:
            return (view,)
        endpoints = takers(self.found.get(backend, ()))
        # The backend's share stays what was configured, however many endpoints there are of one priority.
        totals = Counter[int]()
        for endpoint in endpoints:
            totals[endpoint.priority] += endpoint.weight
        spread = tuple(
            replace(
                view,
                target=replace(view.target, endpoint=endpoint.address),
                book=self.places[_place_name(backend, endpoint)].book,
                weight=view.weight * endpoint.weight / totals[endpoint.priority],
                priority=endpoint.priority,
            )
            for endpoint in endpoints
        )
        return spread or (replace(view, vacant=True),)

    def endpoint_places(self, backend: str) -> Iterator[tuple[Endpoint, Place]]:
        """The endpoints that discovery found for a backend, whatever their condition."""
        for endpoint in self.found.get(backend, ()):
            yield endpoint, self.places[_place_name(backend, endpoint)]

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

    def places_of(self, backend: str, model: str) -> tuple[TargetView, ...]:
        """A backend as targets for a model that does not list it."""
        place = self.places.get(backend) if backend in self.config.backends else None
        if place is None:
            return ()
        known = self.config.models.get(model)
        template = self._template(known.chat_template) if known is not None else None
        longest = known.output_token_limit if known is not None else 0
        view = TargetView(
            Target(backend, place.key.backend.provider, model, template, output_token_limit=longest),
            place.book,
            1,
            0,
            0,
            partial(place.upstream.unsupported, model=model),
            self.prices.find(place.key.backend.provider, model),
        )
        return self._spread(view)

    def handle(self, target: Target) -> Place:
        """The place of a candidate."""
        return self.places[target.place]


class BuildUpstream(Protocol):
    """Makes the upstream of a place."""

    def __call__(self, name: str, backend: schema.Backend, authority: str) -> Upstream:
        """`backend` with the place's own URL; `authority` is the one of the configured URL where that differs."""


ResolveSecret = Callable[[schema.SecretRef], str]
TemplateText = Callable[[schema.ChatTemplate], str]
"""A template as configured -> its text, wherever it is written."""
MakeTokenizer = Callable[[schema.TokenizerFile, ChatTemplate | None, Sequence[TargetView]], Tokenizer]
"""A model's tokenizer as configured, its template, its targets -> what counts."""


def compile_runtime(
    config: schema.Config,
    fleet: Fleet,
    *,
    build: BuildUpstream,
    secret: ResolveSecret,
    template_text: TemplateText,
    previous: Runtime | None,
    prices: PriceTable | None = None,
    found: Mapping[str, EndpointSet] = _NOTHING,
    make_tokenizer: MakeTokenizer | None = None,
) -> Runtime:
    """A whole new Runtime on the old books; upstreams that are equal are used again, the others are left to retire.

    `found` holds what discovery found for each backend that is discovered. Building an upstream opens no connection.
    What may fail comes before the books are touched.
    """
    old_places = previous.places if previous is not None else {}
    keys = dict(_keys(config, found, secret))
    fresh = {
        name: _built(name, key, build)
        for name, key in keys.items()
        if name not in old_places or old_places[name].key != key
    }
    rules = ejection_rules(config.ejection)
    places = {}
    for name, key in keys.items():
        old, made = old_places.get(name), fresh.get(name)
        identity = made.identity if made is not None else old_places[name].book.identity
        book = fleet.adopt(identity, key.backend.max_concurrency, rules)
        if old is not None and old.key.secrets != key.secrets:
            book.renew_credentials()
        places[name] = old_places[name] if made is None else Place(name, key, made.upstream, book)
    fleet.keep_only(set(places))
    prices = shipped_prices() if prices is None else prices
    return Runtime(config, places, prices, template_text, found, make_tokenizer=make_tokenizer)


def _keys(
    config: schema.Config, found: Mapping[str, EndpointSet], secret: ResolveSecret
) -> Iterator[tuple[str, UpstreamKey]]:
    """Of every place; a backend that is discovered has one itself, for what is the same at all its endpoints."""
    for name, backend in config.backends.items():
        secrets = tuple(secret(ref) for _, ref in references(backend))
        yield name, UpstreamKey(backend, secrets)
        for endpoint in found.get(name, ()):
            yield _place_name(name, endpoint), UpstreamKey(backend, secrets, endpoint.address, endpoint.uid)


def _place_name(backend: str, endpoint: Endpoint) -> str:
    return f"{backend}@{endpoint.address}"


class _Built(NamedTuple):
    identity: Identity
    upstream: Upstream


def _built(name: str, key: UpstreamKey, build: BuildUpstream) -> _Built:
    backend = key.backend
    if not key.address:
        return _Built(Identity(name, backend.provider, backend.url), build(name, backend, ""))
    parts = urlsplit(backend.url)
    there = backend.model_copy(update={"url": urlunsplit(parts._replace(netloc=key.address))})
    identity = Identity(name, backend.provider, there.url, name.removesuffix(f"@{key.address}"), key.uid)
    return _Built(identity, build(name, there, parts.netloc))


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
