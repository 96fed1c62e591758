"""Cohere's client: v2 chat."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import cohere
from cohere.core.api_error import ApiError
from pydantic import TypeAdapter

from tests.sdks.clients.heard import Heard, bearer
from tests.sdks.clients.typed import check_known

MESSAGES = TypeAdapter(list[cohere.ChatMessageV2])
TOOLS = TypeAdapter(list[cohere.ToolV2])
MODELS = {
    "messages": MESSAGES,
    "tools": TOOLS,
    "response_format": TypeAdapter(cohere.ResponseFormatV2),
    "thinking": TypeAdapter(cohere.Thinking),
}


@cache
def _client(url: str, key: str) -> cohere.ClientV2:
    return cohere.ClientV2(
        api_key=key, base_url=url, timeout=20, max_retries=0, log_warning_experimental_features=False
    )


def _asked(job: dict[str, Any]) -> dict[str, Any]:
    body = {name: value for name, value in job["body"].items() if name != "stream"}
    headers = {"additional_headers": job["more_headers"]} if job["more_headers"] else {}
    return {**body, "request_options": {"max_retries": 0, **headers}}


def check(job: dict[str, Any]) -> None:
    """Its parts are what the client's models declare, and no more."""
    for name, declared in MODELS.items():
        if name in job["body"]:
            check_known(declared.validate_python(job["body"][name]))


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    answer = _client(job["url"], bearer(job)).chat(**_asked(job))
    heard.set(id=answer.id, finish_reason_raw=answer.finish_reason)
    heard.add(tool_plan=answer.message.tool_plan)
    for part in answer.message.content or ():
        heard.add(**{"reasoning": part.thinking} if part.type == "thinking" else {"text": part.text})
    for index, one in enumerate(answer.message.tool_calls or ()):
        heard.call(index, one.id, one.function.name, one.function.arguments)
    _used(answer.usage, heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream of events, told apart by their type."""
    for event in _client(job["url"], bearer(job)).chat_stream(**_asked(job)):
        match event.type:
            case "message-start":
                heard.set(id=event.id)
            case "content-delta":
                content = event.delta.message.content
                heard.add(text=content.text, reasoning=getattr(content, "thinking", None))
            case "tool-plan-delta":
                heard.add(tool_plan=event.delta.message.tool_plan)
            case "tool-call-start":
                one = event.delta.message.tool_calls
                heard.call(event.index, one.id, one.function.name, one.function.arguments)
            case "tool-call-delta":
                arguments = event.delta.message.tool_calls.function.arguments
                heard.call(event.index, None, None, arguments)
            case "message-end":
                heard.set(finish_reason_raw=event.delta.finish_reason)
                _used(event.delta.usage, heard)
            case _:
                pass


def embed(job: dict[str, Any], heard: Heard) -> None:
    """Vectors of texts or images."""
    answer = _client(job["url"], bearer(job)).embed(**job["body"])
    heard.set(vectors=answer.embeddings.float_)
    billed = answer.meta.billed_units.input_tokens
    heard.used(input_tokens=None if billed is None else int(billed))


def _used(usage: Any, heard: Heard) -> None:
    if usage is None or usage.tokens is None:
        return
    inputs, outputs = int(usage.tokens.input_tokens), int(usage.tokens.output_tokens)
    cached = getattr(usage, "cached_tokens", None)
    heard.used(
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=inputs + outputs,
        cached_input_tokens=None if cached is None else int(cached),
    )


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells."""
    if not isinstance(error, ApiError):
        return {}
    body = json.loads(error.body) if isinstance(error.body, str) else error.body
    return {
        "http_status": error.status_code,
        "message": body.get("message") if isinstance(body, dict) else None,
    }
