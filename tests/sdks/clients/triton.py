"""NVIDIA's client for the Open Inference Protocol over HTTP, which KServe's servers speak as well. It has no call for
Triton's generate extension.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from tritonclient import http
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from tests.sdks.clients.heard import Heard


@cache
def _client(address: str) -> http.InferenceServerClient:
    return http.InferenceServerClient(address, network_timeout=20)


def _input(tensor: dict[str, Any]) -> http.InferInput:
    made = http.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
    kind = triton_to_np_dtype(tensor["datatype"])
    # Checks type and shape.
    made.set_data_from_numpy(np.array(tensor["data"], kind).reshape(tensor["shape"]), binary_data=False)
    return made


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    body, places = job["body"], job["path"].split("/")
    outputs = [http.InferRequestedOutput(one["name"], binary_data=False) for one in body.get("outputs", ())]
    answer = _client(job["url"].removeprefix("http://")).infer(
        places[3],
        [_input(tensor) for tensor in body["inputs"]],
        model_version=places[5] if places[4] == "versions" else "",
        outputs=outputs or None,
        request_id=body.get("id", ""),
        parameters=body.get("parameters"),
        headers=job["more_headers"],
    )
    heard.set(id=answer.get_response().get("id"))
    for text in answer.as_numpy("text_output").flatten():
        heard.add(text=text.decode() if isinstance(text, bytes) else text)


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells."""
    if not isinstance(error, InferenceServerException):
        return {}
    return {"http_status": int(error.status()), "message": error.message()}
