"""What may be shown of models and backends: the Runtime and its books as values for the services that tell of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from pointsman_server.clock import Clock
from pointsman_server.config import schema
from pointsman_server.context import Principal
from pointsman_server.discovery.endpoints import Condition, takers
from pointsman_server.domain import Operation
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.fleet import Block
from pointsman_server.routing.plan import ModelView, TargetView
from pointsman_server.routing.view import BackendInfo, BackendState, ModelInfo, ModelState
from pointsman_server.runtime import Place, Runtime

_CONDITIONS: Mapping[Condition, Block | None] = {
    Condition.READY: None,
    Condition.DRAINING: Block(BackendState.DRAINING, "terminating", 0.0),
    Condition.UNREADY: Block(BackendState.UNREACHABLE, "not ready", 0.0),
}
"""What discovery says of an endpoint, where it says more than its book."""
_BEST = (
    BackendState.HEALTHY,
    BackendState.HALF_OPEN,
    BackendState.COOLING_DOWN,
    BackendState.EJECTED,
    BackendState.DRAINING,
    BackendState.UNREACHABLE,
)
"""States, the best first."""
_VACANT = Block(BackendState.UNREACHABLE, "no endpoint was found", 0.0)


class RuntimeCatalog:
    """Reads the configuration in force at each question."""

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        clock: Clock,
        capabilities: Callable[[schema.Backend, Collection[Operation]], Mapping[str, frozenset[str]]],
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._capabilities = capabilities
        """Backend, and what the model may be asked for -> `capabilities`, `input_modalities` and
        `output_modalities`, in the contract's words."""

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        """The models that this principal may use, by name."""
        runtime = self._runtime()
        return [
            self._info(runtime, name) for name in sorted(runtime.config.models) if principal.may_use(name)
        ]

    def model(self, name: str, principal: Principal) -> ModelInfo:
        """One of them, by name or alias. Raises ServiceError MODEL_NOT_FOUND, also for what is not theirs to use."""
        runtime = self._runtime()
        own = runtime.canonical(name)
        if not principal.may_use(own):
            raise ServiceError(Reason.MODEL_NOT_FOUND, "no model of that name here", resource=name)
        return self._info(runtime, own)

    def backends(self, model: str) -> Sequence[BackendInfo]:
        """All backends by name, or those of one model (MODEL_NOT_FOUND); a discovered one, then its endpoints."""
        runtime = self._runtime()
        served: dict[str, list[str]] = {name: [] for name in runtime.config.backends}
        for name in runtime.config.models:
            for target in _view(runtime, name).targets:
                if name not in served[target.target.backend]:
                    served[target.target.backend].append(name)
        if model:
            own = runtime.canonical(model)
            served = {name: models for name, models in served.items() if own in models}
        rows: list[BackendInfo] = []
        for name, models in served.items():
            endpoints = list(self._endpoints(runtime, name, tuple(models)))
            rows += [self._backend(runtime, name, tuple(models), endpoints), *endpoints]
        return sorted(rows, key=lambda row: row.name)

    def places(self) -> Sequence[BackendInfo]:
        """Each place once, for gauges: endpoints instead of their backend, as long as it has any."""
        rows = self.backends("")
        spread = {row.backend for row in rows if row.name != row.backend}
        return [row for row in rows if row.name != row.backend or row.name not in spread]

    def states(self) -> Mapping[str, ModelState]:
        """The state of every model, for health."""
        runtime = self._runtime()
        return {name: self._state(_view(runtime, name))[0] for name in runtime.config.models}

    def _info(self, runtime: Runtime, name: str) -> ModelInfo:
        model, view = runtime.config.models[name], _view(runtime, name)
        state, healthy = self._state(view)
        backends = [runtime.config.backends[target.target.backend] for target in view.targets]
        offers = [self._capabilities(backend, view.operations) for backend in backends]
        return ModelInfo(
            name=name,
            display_name=model.display_name or name,
            aliases=model.aliases,
            owner=model.owner,
            input_token_limit=model.input_token_limit,
            output_token_limit=model.output_token_limit,
            capabilities=frozenset().union(*(offer["capabilities"] for offer in offers)),
            input_modalities=frozenset().union(*(offer["input_modalities"] for offer in offers)),
            output_modalities=frozenset().union(*(offer["output_modalities"] for offer in offers)),
            backend_count=len({id(target.book) for target in view.targets}),
            healthy_backend_count=healthy,
            prices=next((target.prices for target in view.targets if target.prices is not None), None),
            state=state,
        )

    def _state(self, view: ModelView) -> tuple[ModelState, int]:
        """A model's state and how many of its backends take calls for it."""
        now = self._clock.now()
        taking = {id(target.book) for target in view.targets if _takes_calls(target, now)}
        backends = len({id(target.book) for target in view.targets})
        if len(taking) == backends:
            return ModelState.AVAILABLE, backends
        return (ModelState.DEGRADED if taking else ModelState.UNAVAILABLE), len(taking)

    def _endpoints(self, runtime: Runtime, name: str, models: tuple[str, ...]) -> Iterator[BackendInfo]:
        """The endpoints that were found for a backend."""
        needed = takers(runtime.found.get(name, ()))
        for endpoint, place in runtime.endpoint_places(name):
            block = _CONDITIONS[endpoint.condition]
            if block is not None and endpoint in needed:
                block = replace(block, reason=f"{block.reason}; takes calls, for no other endpoint is ready")
            yield self._row(name, place, models, block)

    def _backend(
        self, runtime: Runtime, name: str, models: tuple[str, ...], endpoints: Sequence[BackendInfo]
    ) -> BackendInfo:
        """A backend as one place, or what its endpoints come to."""
        place = runtime.places[name]
        if place.key.backend.discovery is None:
            return self._row(name, place, models, None)
        if not endpoints:
            return self._row(name, place, models, _VACANT)
        row, best = self._row(name, place, models, None), min(endpoints, key=_rank)
        healthy = sum(endpoint.state is BackendState.HEALTHY for endpoint in endpoints)
        return replace(
            row,
            state=best.state if row.state is BackendState.HEALTHY else row.state,
            state_reason=row.state_reason or f"{healthy} of {len(endpoints)} endpoints healthy",
            in_flight_requests=sum(endpoint.in_flight_requests for endpoint in endpoints),
            in_flight_tokens=sum(endpoint.in_flight_tokens for endpoint in endpoints),
            error_ratio=sum(endpoint.error_ratio for endpoint in endpoints) / len(endpoints),
            concurrency_limit=sum(endpoint.concurrency_limit for endpoint in endpoints),
        )

    def _row(
        self, backend: str, place: Place, models: tuple[str, ...], discovered: Block | None
    ) -> BackendInfo:
        """A place by its book; what discovery says of it goes before, but not before an operator's word."""
        now, book = self._clock.now(), place.book
        block = discovered if discovered is not None and book.drained is None else book.state(now)
        ends = block.state in (BackendState.EJECTED, BackendState.COOLING_DOWN)
        return BackendInfo(
            name=place.name,
            backend=backend,
            provider=place.key.backend.provider,
            url=place.url,
            state=block.state,
            state_reason=block.reason,
            state_until_wall_s=self._clock.wall() + block.until - now if ends else None,
            models=models,
            in_flight_requests=book.in_flight,
            in_flight_tokens=book.in_flight_tokens,
            first_token_ewma_s=book.first_token_ewma_s,
            error_ratio=book.breaker.error_ratio(now),
            concurrency_limit=book.limit,
        )


def _rank(info: BackendInfo) -> int:
    return _BEST.index(info.state)


def _takes_calls(target: TargetView, now: float) -> bool:
    if target.vacant:
        return False
    block = target.book.block(target.target.model, now)
    return block is None or block.state is BackendState.HALF_OPEN


def _view(runtime: Runtime, name: str) -> ModelView:
    view = runtime.model(name)
    if view is None:
        raise ServiceError(Reason.MODEL_NOT_FOUND, "no model of that name here", resource=name)
    return view
