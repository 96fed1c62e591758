"""What there is to ask for, and an operator's console that does what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pointsman_server.context import Principal
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.view import BackendInfo, BackendState, ModelInfo, ModelState
from pointsman_server.server.collaborators import ReloadOutcome


def model(name: str) -> ModelInfo:
    """A model that can do a few things."""
    return ModelInfo(
        name=name,
        display_name=name.title(),
        aliases=(f"{name}-alias",),
        owner="somebody",
        input_token_limit=8192,
        output_token_limit=1024,
        capabilities=frozenset({"GENERATE", "STREAMING", "NOT_YET_KNOWN"}),
        input_modalities=frozenset({"TEXT", "IMAGE"}),
        output_modalities=frozenset({"TEXT"}),
        backend_count=2,
        healthy_backend_count=1,
        prices=None,
        state=ModelState.DEGRADED,
    )


def backend(name: str, *models: str) -> BackendInfo:
    """A backend in trouble."""
    return BackendInfo(
        name=name,
        provider="vllm",
        url="http://10.0.0.1:8000/v1",
        state=BackendState.EJECTED,
        state_reason="5 failures in a row",
        state_until_wall_s=1_700_000_000.5,
        models=models,
        in_flight_requests=3,
        in_flight_tokens=400,
        first_token_ewma_s=0.25,
        error_ratio=0.5,
        concurrency_limit=64,
    )


@dataclass
class FakeCatalog:
    """Lists what it was given."""

    known: Sequence[ModelInfo] = ()

    def models(self, principal: Principal) -> Sequence[ModelInfo]:
        """All of them, or those that the principal may use."""
        return [info for info in self.known if principal.may_use(info.name)]

    def model(self, name: str, principal: Principal) -> ModelInfo:
        """One by name or alias. Raises MODEL_NOT_FOUND."""
        for info in self.models(principal):
            if name == info.name or name in info.aliases:
                return info
        raise ServiceError(Reason.MODEL_NOT_FOUND, f"there is no model {name}", resource=name)


APPLIED = ReloadOutcome(applied=True, config_hash="abc", faults=())


@dataclass
class FakeControl:
    """Lists what it was given, drains and reloads nothing, and says what it was asked."""

    places: Sequence[BackendInfo] = ()
    outcome: ReloadOutcome = APPLIED
    asked: list[bool] = field(default_factory=list)
    drained: list[tuple[str, str | None]] = field(default_factory=list)

    async def backends(self, model: str) -> Sequence[BackendInfo]:
        """All, or those of one model. Raises MODEL_NOT_FOUND."""
        found = [info for info in self.places if not model or model in info.models]
        if model and not found:
            raise ServiceError(Reason.MODEL_NOT_FOUND, f"there is no model {model}", resource=model)
        return found

    async def drain(self, backend: str, reason: str) -> BackendInfo:
        """The backend, as if it were drained."""
        self.drained.append((backend, reason))
        return replace(self._place(backend), state=BackendState.DRAINING, state_reason=reason)

    async def undrain(self, backend: str) -> BackendInfo:
        """The backend, as it is."""
        self.drained.append((backend, None))
        return self._place(backend)

    def _place(self, name: str) -> BackendInfo:
        return next(info for info in self.places if info.name == name)

    async def reload(self, *, validate_only: bool) -> ReloadOutcome:
        """The outcome that it was given."""
        self.asked.append(validate_only)
        return self.outcome
