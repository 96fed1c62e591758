"""ModelService: what a caller may ask for."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman import v1 as pb
from pointsman.v1 import model_service_pb2
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.server.codec.catalog import encode_model
from pointsman_server.server.collaborators import Catalog
from pointsman_server.server.paging import page
from pointsman_server.server.rpc import Method, Rpc

MODELS: str = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name


class ModelServicer:
    """Lists and shows models."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def methods(self) -> Sequence[Method]:
        """All RPCs of the service."""
        return (
            Method(f"/{MODELS}/ListModels", pb.ListModelsRequest, pb.ListModelsResponse, self.list_models),
            Method(f"/{MODELS}/GetModel", pb.GetModelRequest, pb.GetModelResponse, self.get_model),
        )

    async def list_models(self, request: pb.ListModelsRequest, rpc: Rpc) -> pb.ListModelsResponse:
        """One page of the caller's models."""
        full = _is_full(request.view)
        models = self._catalog.models(rpc.context.principal)
        chosen, token = page(
            models, lambda model: model.name, size=request.page_size, token=request.page_token
        )
        response = pb.ListModelsResponse(next_page_token=token)
        for model in chosen:
            encode_model(response.models.add(), model, full=full)
        return response

    async def get_model(self, request: pb.GetModelRequest, rpc: Rpc) -> pb.GetModelResponse:
        """One of them."""
        full = _is_full(request.view)
        if not request.name:
            raise _refusal("name", "is required")
        response = pb.GetModelResponse()
        encode_model(response.model, self._catalog.model(request.name, rpc.context.principal), full=full)
        return response


def _is_full(view: int) -> bool:
    if view not in pb.ModelView.values():
        raise _refusal("view", f"unknown value {view}")
    return view == pb.MODEL_VIEW_FULL


def _refusal(field: str, text: str) -> ServiceError:
    return ServiceError(Reason.INVALID_REQUEST, f"{field}: {text}", fields=(FieldFault(field, text),))
