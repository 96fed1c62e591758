"""A call -> one ModelInferRequest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from pointsman_server.context import Attempt
from pointsman_server.upstreams.dialects.triton.inputs import (
    Scalar,
    Tensor,
    added,
    parameters,
    sampling,
    tensors,
)
from pointsman_server.upstreams.dialects.triton.rpc.messages import ModelInferRequest
from pointsman_server.upstreams.dialects.triton.styles import Setup
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.prompts import prompt_text

FINAL_RESPONSE = "triton_final_response"
_ASK_FINAL_RESPONSE = "triton_enable_empty_final_response"
_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
}


def infer_request(
    attempt: Attempt, profile: Profile, setup: Setup, request_id: str, *, in_stream: bool, pieces: bool
) -> bytes:
    """The request, encoded. `in_stream` goes to ModelStreamInfer, `pieces` asks the model for an answer in pieces.

    Raises ServiceError INVALID_REQUEST for what cannot be expressed.
    """
    call = attempt.call
    values = [*sampling(call, setup, profile)]
    inputs = [*tensors(prompt_text(attempt, profile), values, setup, stream=pieces)]
    given = parameters(values, setup)
    more, extra = added(call, profile, setup, inputs=inputs, given=given)
    message = ModelInferRequest(
        model_name=attempt.target.model, model_version=setup.written.model_version, id=request_id
    )
    for tensor in (*inputs, *more):
        _map_tensor(message, tensor)
    for name in setup.outputs():
        message.outputs.add(name=name)
    for name, value in {**given, **extra}.items():
        _map_parameter(message.parameters[name], value)
    if in_stream:
        # Else a decoupled model's stream never says that it is complete.
        message.parameters[_ASK_FINAL_RESPONSE].bool_param = True
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def _map_tensor(message: Any, tensor: Tensor) -> None:  # noqa: ANN401 -- a message of a class made at run time
    added_input = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    contents = getattr(added_input.contents, _CONTENTS[tensor.datatype])
    contents.extend(
        element.encode("utf-8", "replace") if isinstance(element, str) else element for element in tensor.data
    )


def _map_parameter(parameter: Any, value: Scalar) -> None:  # noqa: ANN401 -- as above
    match value:
        case bool():
            parameter.bool_param = value
        case int() if value >= 1 << 63:
            parameter.uint64_param = value
        case int():
            parameter.int64_param = value
        case float():
            parameter.double_param = value
        case str():
            parameter.string_param = value
        case _:
            assert_never(value)
