"""Keyword arguments -> GenerateRequest: pure, and the same for every method that asks a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pointsman import v1
from pointsman.conversation import Input, to_conversation
from pointsman.params import GenerateParams
from pointsman.plain import build, field_names, fill

_GENERATION = frozenset(field_names(v1.GenerationConfig)) - {"stop_sequences"}
_FORMATS = ("json_schema", "json_object", "regex", "grammar", "choice")
_DIRECT = (
    "routing",
    "cache",
    "stream_options",
    "end_user_id",
    "labels",
    "provider_metadata",
    "idempotency_key",
)
_KNOWN = frozenset(GenerateParams.__annotations__)


def build_request(
    said: Input | None,
    *,
    model: str = "",
    request: v1.GenerateRequest | None = None,
    params: Mapping[str, Any],
) -> v1.GenerateRequest:
    """The request that a caller means: a ready one, or one made of input, model and options."""
    unknown = [name for name in params if name not in _KNOWN]
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; the options are {', '.join(sorted(_KNOWN))}")
    if request is None:
        return _built(said, model, params)
    if said is not None or model or params:
        raise TypeError("request= stands alone: give neither input, model nor options with it")
    return request


def _built(said: Input | None, model: str, params: Mapping[str, Any]) -> v1.GenerateRequest:
    request = v1.GenerateRequest(model=model)
    given = {name: value for name, value in params.items() if value is not None}
    _set_input(request, said, given)
    _set_generation(request, given)
    request.tools.extend(_tool(tool, f"tools[{i}]") for i, tool in enumerate(given.get("tools", ())))
    if "tool_choice" in given:
        choice = given["tool_choice"]
        fill(request, {"tool_choice": {"mode": choice} if isinstance(choice, str) else choice}, at="request")
    _set_format(request, given)
    fill(request, {name: given[name] for name in _DIRECT if name in given}, at="request")
    add_provider_options(request, given.get("provider_options", {}))
    return request


def add_provider_options(
    request: v1.GenerateRequest | v1.EmbedRequest,
    given: Mapping[str, v1.ProviderOptions | Mapping[str, Any]],
) -> None:
    """Options in the providers' own words, by dialect."""
    for dialect, options in given.items():
        made = _provider_options(options, f"provider_options[{dialect!r}]")
        request.provider_options[dialect].CopyFrom(made)


def _set_input(request: v1.GenerateRequest, said: Input | None, given: Mapping[str, Any]) -> None:
    ways = [said is not None, "prompt" in given, "token_ids" in given]
    if sum(ways) != 1:
        raise TypeError("exactly one of input, prompt= and token_ids= is needed")
    if said is not None:
        request.conversation.CopyFrom(to_conversation(said))
    elif "prompt" in given:
        request.prompt = given["prompt"]
    else:
        request.token_ids.ids.extend(given["token_ids"])


def _set_generation(request: v1.GenerateRequest, given: Mapping[str, Any]) -> None:
    options = {name: value for name, value in given.items() if name in _GENERATION}
    if "stop" in given:
        stop = given["stop"]
        options["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if options:
        fill(request, {"generation": options}, at="request")


def _set_format(request: v1.GenerateRequest, given: Mapping[str, Any]) -> None:
    chosen = [name for name in _FORMATS if given.get(name)]
    if len(chosen) > 1:
        raise TypeError(f"only one form of the answer can be asked for, not {' and '.join(chosen)}")
    for name in chosen:
        fill(request, {"output_format": {name: _format(name, given[name])}}, at="request")


def _format(name: str, value: object) -> object:
    match name:
        case "json_schema" if not isinstance(value, v1.JsonSchemaFormat):
            return {"schema_json": _json(value)}
        case "json_object":
            return {}
        case "choice":
            return {"values": value}
        case _:
            return value


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tool(said: v1.Tool | Mapping[str, Any], at: str) -> v1.Tool:
    """A tool; a dictionary may hold its schema as `parameters`, and may nest it all below `function`."""
    if isinstance(said, v1.Tool):
        return said
    if not isinstance(said, Mapping):
        raise TypeError(f"{at}: expected a Tool or a mapping, not {type(said).__name__}")
    fields = {name: value for name, value in said.items() if name not in {"type", "function"}}
    fields.update(said.get("function", {}))
    if "parameters" in fields:
        fields["parameters_json_schema"] = _json(fields.pop("parameters"))
    return build(v1.Tool, fields, at=at)


def _provider_options(said: v1.ProviderOptions | Mapping[str, Any], at: str) -> v1.ProviderOptions:
    if isinstance(said, v1.ProviderOptions):
        return said
    fields = dict(said)
    if "body" in fields:
        fields["body_json"] = _json(fields.pop("body"))
    return build(v1.ProviderOptions, fields, at=at)
