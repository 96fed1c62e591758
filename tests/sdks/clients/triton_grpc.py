"""NVIDIA's client for the Open Inference Protocol over gRPC: ModelInfer, and ModelStreamInfer of decoupled models."""

from __future__ import annotations

import queue
from functools import cache
from typing import Any

import numpy as np
from tritonclient import grpc
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from tests.sdks.clients.heard import Heard

PATIENCE_S = 20


@cache
def _client(address: str) -> grpc.InferenceServerClient:
    return grpc.InferenceServerClient(address)


def _asked(job: dict[str, Any]) -> dict[str, Any]:
    inputs = []
    for tensor in job["tensors"]:
        made = grpc.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        kind = triton_to_np_dtype(tensor["datatype"])
        # Checks type and shape.
        made.set_data_from_numpy(np.array(tensor["data"], kind).reshape(tensor["shape"]))
        inputs.append(made)
    return {
        "model_name": job["model"],
        "inputs": inputs,
        "outputs": [grpc.InferRequestedOutput(name) for name in job["outputs"]] or None,
        "request_id": job["id"],
        "parameters": job["parameters"] or None,
    }


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    _response(_client(job["address"]).infer(**_asked(job)), heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """Responses until the one that says that it is the last."""
    client, told = grpc.InferenceServerClient(job["address"]), queue.Queue[tuple[Any, Any]]()
    client.start_stream(lambda result, error: told.put((result, error)))
    client.async_stream_infer(**_asked(job), enable_empty_final_response=True)
    final = False
    while not final:
        result, error = told.get(timeout=PATIENCE_S)
        if error is not None:
            raise error
        _response(result, heard)
        final = result.get_response().parameters["triton_final_response"].bool_param
    client.stop_stream()


def _response(result: Any, heard: Heard) -> None:
    heard.set(id=result.get_response().id or None)
    texts = result.as_numpy("text_output")
    for text in () if texts is None else texts.flatten():
        heard.add(text=text.decode())


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells."""
    if not isinstance(error, InferenceServerException):
        return {}
    return {"code": error.status(), "message": error.message()}
