"""What an operator sees and does in one process: questions of the admin server to the catalog, the books and reload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.routing.fleet import Fleet
from pointsman_server.routing.view import BackendInfo
from pointsman_server.server.collaborators import ReloadOutcome
from pointsman_server.telemetry.facade import Telemetry


class _Reload(Protocol):
    async def __call__(self, *, validate_only: bool) -> ReloadOutcome: ...


class Console:
    """Implements the admin server's Control."""

    def __init__(
        self,
        backends: Callable[[str], Sequence[BackendInfo]],
        fleet: Fleet,
        reload: _Reload,
        telemetry: Telemetry,
    ) -> None:
        self._backends = backends
        self._fleet = fleet
        self._reload = reload
        self._telemetry = telemetry

    async def backends(self, model: str) -> Sequence[BackendInfo]:
        return self._backends(model)

    async def drain(self, backend: str, reason: str) -> BackendInfo:
        info = self.set_drained(backend, reason)
        self._telemetry.event("backend_draining", backend=backend, detail=reason or None)
        return info

    async def undrain(self, backend: str) -> BackendInfo:
        info = self.set_drained(backend, None)
        self._telemetry.event("backend_undrained", backend=backend)
        return info

    def set_drained(self, backend: str, reason: str | None) -> BackendInfo:
        """Give a backend, or one endpoint, no further calls for this reason, or with None calls again.

        Returns it as it is then.
        Raises ServiceError INVALID_REQUEST for a name that no backend has. It holds until the process ends, over
        reloads that leave the backend what it is.
        """
        if not self._fleet.drain(backend, reason):
            raise no_such_backend(backend)
        return next(info for info in self._backends("") if info.name == backend)

    async def reload(self, *, validate_only: bool) -> ReloadOutcome:
        return await self._reload(validate_only=validate_only)


def no_such_backend(name: str) -> ServiceError:
    """The refusal of a name that an operator gave."""
    text = f"no backend {name[:128]!r} is configured"
    return ServiceError(Reason.INVALID_REQUEST, f"name: {text}", fields=(FieldFault("name", text),))
