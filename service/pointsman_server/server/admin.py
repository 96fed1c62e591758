"""RouterAdminService: what operators see and do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman import v1 as pb
from pointsman.v1 import router_admin_service_pb2
from pointsman_server.context import AuthMethod, Principal
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.server.codec.catalog import encode_backend
from pointsman_server.server.codec.scalars import i32
from pointsman_server.server.collaborators import Control
from pointsman_server.server.paging import page
from pointsman_server.server.rpc import Method, Rpc
from pointsman_server.server.servicer import not_implemented

MAX_REASON = 256
ADMIN: str = router_admin_service_pb2.DESCRIPTOR.services_by_name["RouterAdminService"].full_name


class Operators:
    """The admin server's authenticator: whoever reaches its address is an operator."""

    def authenticate(self, metadata: Mapping[str, str], peer_identities: Sequence[str]) -> Principal:
        """Always the operator."""
        return Principal("operator", AuthMethod.NONE)


class AdminServicer:
    """Lists and drains backends, and reloads the configuration."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def methods(self) -> Sequence[Method]:
        """All RPCs of the service."""
        path = f"/{ADMIN}/"
        return (
            Method(
                path + "ListBackends", pb.ListBackendsRequest, pb.ListBackendsResponse, self.list_backends
            ),
            Method(
                path + "DrainBackend", pb.DrainBackendRequest, pb.DrainBackendResponse, self.drain_backend
            ),
            Method(
                path + "UndrainBackend",
                pb.UndrainBackendRequest,
                pb.UndrainBackendResponse,
                self.undrain_backend,
            ),
            Method(path + "ExplainRoute", pb.ExplainRouteRequest, pb.ExplainRouteResponse, not_implemented),
            Method(
                path + "ReloadConfig", pb.ReloadConfigRequest, pb.ReloadConfigResponse, self.reload_config
            ),
        )

    async def list_backends(self, request: pb.ListBackendsRequest, rpc: Rpc) -> pb.ListBackendsResponse:
        """One page of the backends."""
        backends = await self._control.backends(request.model)
        chosen, token = page(
            backends, lambda backend: backend.name, size=request.page_size, token=request.page_token
        )
        response = pb.ListBackendsResponse(next_page_token=token)
        for backend in chosen:
            encode_backend(response.backends.add(), backend)
        return response

    async def drain_backend(self, request: pb.DrainBackendRequest, rpc: Rpc) -> pb.DrainBackendResponse:
        """No further calls for one of them."""
        if len(request.reason) > MAX_REASON:
            raise _refusal("reason", f"must have at most {MAX_REASON} characters")
        backend = await self._control.drain(_named(request.name), request.reason)
        response = pb.DrainBackendResponse()
        encode_backend(response.backend, backend)
        return response

    async def undrain_backend(self, request: pb.UndrainBackendRequest, rpc: Rpc) -> pb.UndrainBackendResponse:
        """Calls for it again."""
        backend = await self._control.undrain(_named(request.name))
        response = pb.UndrainBackendResponse()
        encode_backend(response.backend, backend)
        return response

    async def reload_config(self, request: pb.ReloadConfigRequest, rpc: Rpc) -> pb.ReloadConfigResponse:
        """Read the configuration again; its faults are an answer, not a failure."""
        outcome = await self._control.reload(validate_only=request.validate_only)
        response = pb.ReloadConfigResponse(applied=outcome.applied, config_hash=outcome.config_hash)
        for fault in outcome.faults:
            response.faults.add(path=fault.path, line=i32(fault.line), message=fault.message)
        return response


def _named(name: str) -> str:
    if not name:
        raise _refusal("name", "is required")
    return name


def _refusal(field: str, text: str) -> ServiceError:
    return ServiceError(Reason.INVALID_REQUEST, f"{field}: {text}", fields=(FieldFault(field, text),))
