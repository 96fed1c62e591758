"""A call -> the body of a request over HTTP: of the generate extension, or of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman_server.context import Attempt
from pointsman_server.upstreams.dialects.triton.inputs import (
    Tensor,
    Value,
    added,
    packed,
    parameters,
    sampling,
    tensors,
)
from pointsman_server.upstreams.dialects.triton.styles import Setup
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.prompts import prompt_text
from pointsman_server.upstreams.translation.requests import encoded


def generate_body(attempt: Attempt, profile: Profile, setup: Setup, *, stream: bool) -> bytes:
    """The generate extension's. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call, written = attempt.call, setup.written
    body: dict[str, Any] = {written.text_input: prompt_text(attempt, profile)}
    place = body.setdefault("parameters", {}) if setup.in_parameters else body
    place.update(setup.constants)
    if setup.stream_input:
        place[setup.stream_input] = stream
    place.update(_map_generation([*sampling(call, setup, profile)], setup))
    if not body.get("parameters", True):
        del body["parameters"]
    if call.provider_options:
        own = {written.text_input, "id"}
        if setup.in_parameters:
            own |= {f"parameters.{name}" for name in (*setup.fields.values(), setup.packed, "id") if name}
        add_fields(body, call, profile, profile.fields, own)
    return encoded(body)


def _map_generation(values: list[Value], setup: Setup) -> dict[str, object]:
    """By their names; as one text where a list could not be said otherwise."""
    lists = any(isinstance(value.data, tuple) and len(value.data) > 1 for value in values)
    if lists and setup.packed and setup.in_parameters and not setup.style.lists:
        return {setup.packed: packed(values)}
    single = setup.in_parameters and not setup.style.lists
    return {
        value.name: value.data[0] if single and isinstance(value.data, tuple) else value.data
        for value in values
    }


def infer_body(attempt: Attempt, profile: Profile, setup: Setup, request_id: str, *, stream: bool) -> bytes:
    """Tensors, and the outputs that are to come back as JSON. Raises as `generate_body` does."""
    call = attempt.call
    values = [*sampling(call, setup, profile)]
    inputs = [*tensors(prompt_text(attempt, profile), values, setup, stream=stream)]
    given = parameters(values, setup)
    more, extra = added(call, profile, setup, inputs=inputs, given=given)
    body: dict[str, Any] = {
        "id": request_id,
        "inputs": [_map_tensor(tensor) for tensor in (*inputs, *more)],
        "outputs": [{**_OUTPUT, "name": name} for name in setup.outputs()],
    }
    if given or extra:
        body["parameters"] = {**given, **extra}
    return encoded(body)


_OUTPUT: Mapping[str, object] = {"parameters": {"binary_data": False}}


def _map_tensor(tensor: Tensor) -> dict[str, object]:
    return {
        "name": tensor.name,
        "shape": tensor.shape,
        "datatype": tensor.datatype,
        "data": tensor.data,
    }
