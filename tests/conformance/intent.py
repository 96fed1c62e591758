"""A recorded intent -> the domain's Call."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from pointsman_server.domain import (
    Call,
    Content,
    Conversation,
    Generation,
    JsonObject,
    JsonSchema,
    Media,
    MediaDetail,
    MediaKind,
    Message,
    Part,
    ProviderOptions,
    Reasoning,
    ReasoningConfig,
    ReasoningEffort,
    ReasoningKind,
    ReasoningMode,
    ReasoningSummary,
    Role,
    RoutingOptions,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Verbosity,
)

_GENERATION = (
    "max_output_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "n", "presence_penalty",
    "frequency_penalty", "repetition_penalty",
)  # fmt: skip
_KNOWN = {
    *_GENERATION, "stop", "logprobs", "top_logprobs", "user", "parallel_tool_calls", "priority", "verbosity",
    "metadata", "reasoning", "response_format",
}  # fmt: skip


def plain_options(intent: Mapping[str, Any], dialect: str) -> Mapping[str, ProviderOptions]:
    """The recorded `provider_options` where they are fields of the body and headers, and nothing else."""
    options = intent.get("provider_options")
    return {} if options is None else {dialect: _options(options)}


_TOOL_CALL = {"id", "name", "arguments", "thought_signature"}


def build_call(
    intent: Mapping[str, Any], options: Mapping[str, ProviderOptions], *, origin: str = ""
) -> Call:
    """The call. Fails on a word that it does not know, so that no part of an intent is lost.

    `origin` is that of the signatures in the history: the recorded model's own.
    """
    params = intent.get("params", {})
    assert set(params) <= _KNOWN, set(params) - _KNOWN
    return Call(
        model=intent["model"],
        input=Conversation(tuple(_message(message, origin) for message in intent["messages"])),
        generation=_generation(params),
        tools=tuple(_tool(tool) for tool in intent.get("tools", ())),
        tool_choice=_choice(intent.get("tool_choice"), params.get("parallel_tool_calls")),
        output_format=_format(params.get("response_format")),
        # The recorded sense is lower first, the contract's higher first.
        routing=RoutingOptions(priority=-params.get("priority", 0)),
        end_user_id=params.get("user", ""),
        provider_options=options,
        provider_metadata=params.get("metadata", {}),
    )


def _message(message: dict[str, Any], origin: str) -> Message:
    role = Role[message["role"].upper()]
    if role is Role.TOOL:
        result = ToolResult(
            message.get("tool_call_id", ""), message.get("name", ""), _parts(message["content"]),
            message.get("is_error", False),
        )  # fmt: skip
        return Message(role, (Part(result),))
    calls = tuple(_tool_call(call, origin) for call in message.get("tool_calls", ()))
    plan = message.get("tool_plan")
    plans = () if plan is None else (Part(Reasoning(plan, ReasoningKind.PLAN)),)
    return Message(role, plans + _parts(message["content"]) + calls)


def _tool_call(call: dict[str, Any], origin: str) -> Part:
    assert set(call) <= _TOOL_CALL, set(call) - _TOOL_CALL
    content = ToolCall(call.get("id") or "", call["name"], json.dumps(call["arguments"]))
    signature = call.get("thought_signature", "").encode()
    return Part(content, signature, origin if signature else "")


def _parts(content: str | list[dict[str, Any]] | None) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Part(Text(content)),)
    return tuple(Part(_content(part)) for part in content)


def _content(part: dict[str, Any]) -> Content:
    if part["type"] == "text":
        return Text(part["text"])
    assert part["type"] == "image", part["type"]
    return Media(
        MediaKind.IMAGE,
        url=part.get("url", ""),
        data=base64.b64decode(part.get("data_base64", "")),
        media_type=part.get("media_type", ""),
        detail=MediaDetail[part["detail"].upper()] if "detail" in part else None,
    )


def _generation(params: dict[str, Any]) -> Generation:
    logprobs = params.get("top_logprobs", 0) if params.get("logprobs") else None
    return Generation(
        **{name: params[name] for name in _GENERATION if name in params},
        stop_sequences=tuple(params.get("stop", ())),
        top_logprobs=logprobs,
        verbosity=Verbosity[params["verbosity"].upper()] if "verbosity" in params else None,
        reasoning=_reasoning(params.get("reasoning")),
    )


def _reasoning(reasoning: dict[str, Any] | None) -> ReasoningConfig | None:
    if reasoning is None:
        return None
    known = {"effort", "budget_tokens", "enabled", "include", "adaptive", "summary", "prompt_mode"}
    assert set(reasoning) <= known, reasoning
    enabled = reasoning.get("enabled", reasoning.get("prompt_mode"))
    mode = None if enabled is None else ReasoningMode.ENABLED if enabled else ReasoningMode.DISABLED
    summary = reasoning.get("summary")
    return ReasoningConfig(
        mode=ReasoningMode.ADAPTIVE if reasoning.get("adaptive") else mode,
        summary=None if summary is None else ReasoningSummary[summary.upper()],
        effort=ReasoningEffort[reasoning["effort"].upper()] if "effort" in reasoning else None,
        budget_tokens=reasoning.get("budget_tokens"),
        include=reasoning.get("include"),
    )


def _tool(tool: dict[str, Any]) -> Tool:
    schema = json.dumps(tool["parameters"]) if "parameters" in tool else ""
    return Tool(tool["name"], tool.get("description", ""), schema, tool.get("strict"))


def _choice(choice: str | dict[str, str] | None, parallel: bool | None) -> ToolChoice | None:
    if choice is None and parallel is None:
        return None
    if isinstance(choice, dict):
        return ToolChoice(ToolChoiceMode.REQUIRED, (choice["name"],), parallel)
    return ToolChoice(ToolChoiceMode[choice.upper()] if choice else None, parallel_calls=parallel)


def _format(wanted: dict[str, Any] | None) -> JsonObject | JsonSchema | None:
    if wanted is None:
        return None
    if wanted["type"] == "json_object":
        return JsonObject()
    return JsonSchema(wanted.get("name", ""), json.dumps(wanted["schema"]), wanted.get("strict"))


def _options(options: dict[str, Any]) -> ProviderOptions:
    assert set(options) <= {"body", "headers"}, options
    body = options.get("body")
    return ProviderOptions("" if body is None else json.dumps(body), options.get("headers", {}))
