"""What may be shown of models and backends: the Runtime and its books as values for the services that tell of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pointsman_server.clock import Clock
from pointsman_server.context import Principal
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.plan import ModelView, TargetView
from pointsman_server.routing.view import BackendInfo, BackendState, ModelInfo, ModelState
from pointsman_server.runtime import Place, Runtime


class RuntimeCatalog:
    """Reads the configuration in force at each question."""

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        clock: Clock,
        capabilities: Callable[[str], Mapping[str, frozenset[str]]],
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._capabilities = capabilities
        """Provider -> `capabilities`, `input_modalities`, `output_modalities`, in the contract's words."""

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
        """All backends by name, or those of one model (MODEL_NOT_FOUND)."""
        runtime = self._runtime()
        served: dict[str, list[str]] = {name: [] for name in sorted(runtime.places)}
        for name in runtime.config.models:
            for target in _view(runtime, name).targets:
                if name not in served[target.target.backend]:
                    served[target.target.backend].append(name)
        if model:
            own = runtime.canonical(model)
            served = {name: models for name, models in served.items() if own in models}
        return [self._backend(runtime.places[name], tuple(models)) for name, models in served.items()]

    def states(self) -> Mapping[str, ModelState]:
        """The state of every model, for health."""
        runtime = self._runtime()
        return {name: self._state(_view(runtime, name))[0] for name in runtime.config.models}

    def _info(self, runtime: Runtime, name: str) -> ModelInfo:
        model, view = runtime.config.models[name], _view(runtime, name)
        state, healthy = self._state(view)
        offers = [self._capabilities(target.target.provider) for target in view.targets]
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
            backend_count=len({target.target.backend for target in view.targets}),
            healthy_backend_count=healthy,
            prices=next((target.prices for target in view.targets if target.prices is not None), None),
            state=state,
        )

    def _state(self, view: ModelView) -> tuple[ModelState, int]:
        """A model's state and how many of its backends take calls for it."""
        now = self._clock.now()
        takers = {id(target.book) for target in view.targets if _takes_calls(target, now)}
        backends = len({id(target.book) for target in view.targets})
        if len(takers) == backends:
            return ModelState.AVAILABLE, backends
        return (ModelState.DEGRADED if takers else ModelState.UNAVAILABLE), len(takers)

    def _backend(self, place: Place, models: tuple[str, ...]) -> BackendInfo:
        now, book, backend = self._clock.now(), place.book, place.key.backend
        block = book.state(now)
        ends = block.state in (BackendState.EJECTED, BackendState.COOLING_DOWN)
        return BackendInfo(
            name=place.name,
            provider=backend.provider,
            url=backend.url,
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


def _takes_calls(target: TargetView, now: float) -> bool:
    block = target.book.block(target.target.model, now)
    return block is None or block.state is BackendState.HALF_OPEN


def _view(runtime: Runtime, name: str) -> ModelView:
    view = runtime.model(name)
    if view is None:
        raise ServiceError(Reason.MODEL_NOT_FOUND, "no model of that name here", resource=name)
    return view
