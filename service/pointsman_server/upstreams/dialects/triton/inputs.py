"""A call -> what a model is given: the prompt, and sampling as named values; and those as tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import msgspec

from pointsman_server.domain import Call, Choice, Grammar, JsonObject, JsonSchema, Regex
from pointsman_server.upstreams.dialects.triton.styles import DATATYPES, GENERATION, STOP, Setup
from pointsman_server.upstreams.translation.addresses import check_addresses
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import SCALARS, format_path
from pointsman_server.upstreams.translation.verbatim import invalid, members, verbatim_object

Scalar = str | bool | int | float
Data = Scalar | tuple[str, ...]

_BITS = {
    "INT8": 8,
    "INT16": 16,
    "INT32": 32,
    "INT64": 64,
    "UINT8": 8,
    "UINT16": 16,
    "UINT32": 32,
    "UINT64": 64,
}
_FLOATS = ("FP32", "FP64")
_LARGEST_FP32 = 3.4028234663852886e38
_MAX_TENSORS = 16
_RESERVED = ("binary_data_output", "headers")
"""Parameters that the server itself reads."""


@dataclass(frozen=True, slots=True)
class Value:
    """One setting of sampling."""

    path: str
    """The contract's field; empty for a constant of the configuration."""
    name: str
    """The model's name."""
    data: Data


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input; its data stand in row-major order."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: tuple[Scalar, ...]


class _Foreign(msgspec.Struct, forbid_unknown_fields=True):
    """A tensor as a caller writes it: data that the request itself holds, and no reference to anything else."""

    name: str
    datatype: str
    shape: list[int]
    data: list[str | bool | int | float]


_FOREIGN = msgspec.json.Decoder(list[_Foreign])


def sampling(call: Call, setup: Setup, profile: Profile) -> Iterator[Value]:
    """What the profile takes of the call, by the model's names. Raises ServiceError INVALID_REQUEST."""
    generation = call.generation
    for scalar in SCALARS:
        path, value = f"{GENERATION}{scalar}", getattr(generation, scalar)
        if value is not None and path in profile.fields:
            yield Value(path, setup.fields[path], value)
    if generation.stop_sequences and STOP in profile.fields:
        stops = generation.stop_sequences[: profile.max_stop_sequences or None]
        yield Value(STOP, setup.fields[STOP], stops[0] if setup.single_stop else stops)
    if call.output_format is not None and (path := format_path(call)) in profile.fields:
        yield Value(path, setup.fields[path], _map_format(call))
    if call.end_user_id and "end_user_id" in profile.fields:
        yield Value("end_user_id", setup.fields["end_user_id"], call.end_user_id)


def _map_format(call: Call) -> str:
    """Structured outputs of vLLM, as the text that its Triton backend reads."""
    match call.output_format:
        case None:
            return ""
        case JsonObject():
            wanted: dict[str, Any] = {"json_object": True}
        case JsonSchema() as schema:
            wanted = {"json": verbatim_object(schema.schema_json, "output_format.json_schema.schema_json")}
        case Regex(text):
            wanted = {"regex": text}
        case Grammar(text):
            wanted = {"grammar": text}
        case Choice(values):
            wanted = {"choice": values}
        case _:
            assert_never(call.output_format)
    return json_text(wanted)


def json_text(value: object) -> str:
    """A value as JSON. Raises ServiceError INVALID_REQUEST for text that is not Unicode."""
    return encoded(value).decode()


def packed(values: list[Value]) -> str:
    """All of sampling as one text."""
    return json_text({value.name: _single(value.data) for value in values})


def _single(data: Data) -> Data:
    """A list of one is as good as the one."""
    return data[0] if isinstance(data, tuple) and len(data) == 1 else data


def tensors(prompt: str, values: list[Value], setup: Setup, *, stream: bool) -> Iterator[Tensor]:
    """The inputs: the prompt first. Raises ServiceError INVALID_REQUEST for a number that does not fit."""
    written = setup.written
    yield _tensor(setup, Value("", written.text_input, prompt), "BYTES")
    if setup.packed:
        if values:
            yield _tensor(setup, Value("", setup.packed, packed(values)), "BYTES")
    elif not setup.in_parameters:
        for value in values:
            yield _tensor(setup, value, written.datatypes.get(value.name) or DATATYPES[value.path])
    for name, constant in _constants(setup):
        yield _tensor(setup, Value("", name, constant), written.datatypes.get(name) or _datatype(constant))
    if stream and setup.stream_input:
        yield _tensor(setup, Value("", setup.stream_input, data=True), "BOOL")


def _constants(setup: Setup) -> Iterator[tuple[str, Scalar]]:
    """Those that are inputs; a style's own are, whatever becomes of sampling."""
    for name, constant in setup.constants.items():
        if name in setup.style.constants or not setup.in_parameters:
            yield name, constant


def parameters(values: list[Value], setup: Setup) -> dict[str, Scalar]:
    """What goes into the request's parameters."""
    if not setup.in_parameters or setup.packed:
        return {}
    found = {name: data for name, data in setup.constants.items() if name not in setup.style.constants}
    for value in values:
        data = _single(value.data)
        assert not isinstance(data, tuple), "room for one"
        found[value.name] = data
    return found


def _datatype(constant: Scalar) -> str:
    match constant:
        case bool():
            return "BOOL"
        case int():
            return "INT32"
        case float():
            return "FP32"
        case str():
            return "BYTES"
        case _:
            assert_never(constant)


def _tensor(setup: Setup, value: Value, datatype: str) -> Tensor:
    data = value.data if isinstance(value.data, tuple) else (value.data,)
    fitting = tuple(_fitting(element, datatype, value.path) for element in data)
    shape = (1, len(data)) if setup.batched else (len(data),)
    return Tensor(value.name, datatype, shape, fitting)


def _fitting(element: Scalar, datatype: str, path: str) -> Scalar:
    """The element in the form of the datatype."""
    if datatype == "BYTES":
        return element if isinstance(element, str) else json_text(element)
    if isinstance(element, str):
        raise invalid(path, f"is no {datatype}, which the model wants")
    if datatype == "BOOL":
        return bool(element)
    if datatype in _FLOATS:
        number = float(element)
        if math.isfinite(number) and (datatype == "FP64" or abs(number) <= _LARGEST_FP32):
            return number
    else:
        bits, signed = _BITS[datatype], not datatype.startswith("U")
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if float(element).is_integer() and least <= element <= most:
            return int(element)
    raise invalid(path, f"does not fit into {datatype}, which the model wants")


def added(
    call: Call, profile: Profile, setup: Setup, *, inputs: list[Tensor], given: Mapping[str, Scalar]
) -> tuple[list[Tensor], dict[str, Scalar]]:
    """Inputs and parameters that the caller adds by `provider_options` to the adapter's own.

    Raises ServiceError INVALID_REQUEST for anything else, for what the contract has a field for in the same place, and
    for what would decide how the answer is read.
    """
    options = call.provider_options.get(profile.dialect)
    if options is None or not options.body_json:
        return [], {}
    here = f"provider_options[{profile.dialect}].body_json"
    check_addresses(options.body_json, here)
    fields = {*setup.fields.values(), setup.stream_input, setup.packed}
    own_inputs = {tensor.name for tensor in inputs} | (set() if setup.in_parameters else fields)
    own_parameters = {*given, *_RESERVED} | (fields if setup.in_parameters else set())
    more, given = [], {}
    for name, raw in members(options.body_json, here).items():
        match name:
            case "inputs":
                more = _added_inputs(bytes(raw), f"{here}.inputs", own_inputs)
            case "parameters":
                given = _added_parameters(bytes(raw), f"{here}.parameters", own_parameters)
            case _:
                raise invalid(f"{here}.{name}", "is not free: only inputs and parameters are")
    return more, given


def _added_inputs(raw: bytes, path: str, taken: set[str]) -> list[Tensor]:
    try:
        found = _FOREIGN.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise invalid(path, "must be a list of tensors with name, datatype, shape and flat data") from None
    if len(found) > _MAX_TENSORS:
        raise invalid(path, f"has more than {_MAX_TENSORS} tensors")
    more = []
    for position, tensor in enumerate(found):
        here = f"{path}[{position}]"
        if tensor.name in taken:
            raise invalid(f"{here}.name", "is written by the router; use the contract's own field")
        if tensor.datatype not in ("BOOL", "BYTES", *_FLOATS, *_BITS):
            raise invalid(f"{here}.datatype", "is none that can be sent")
        if math.prod(tensor.shape) != len(tensor.data) or not all(
            0 <= size < 1 << 31 for size in tensor.shape
        ):
            raise invalid(f"{here}.shape", "does not fit the data")
        data = tuple(_fitting(element, tensor.datatype, f"{here}.data") for element in tensor.data)
        taken.add(tensor.name)
        more.append(Tensor(tensor.name, tensor.datatype, tuple(tensor.shape), data))
    return more


def _added_parameters(raw: bytes, path: str, taken: set[str]) -> dict[str, Scalar]:
    given: dict[str, Scalar] = {}
    for name, value in members(raw, path).items():
        if name in taken or name.startswith("triton_"):
            raise invalid(f"{path}.{name}", "is written by the router; use the contract's own field")
        try:
            given[name] = msgspec.json.decode(value, type=str | bool | int | float)
        except (msgspec.MsgspecError, UnicodeError):
            raise invalid(f"{path}.{name}", "must be a text, a number, true or false") from None
    return given
