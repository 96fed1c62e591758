"""Anthropic's client: Messages. Its current version speaks the API's current one, an older client the older one."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import anthropic
from anthropic.types import message_create_params

from tests.sdks.clients.heard import Heard, base, bearer, split
from tests.sdks.clients.typed import check_declared, checker

ROUTE = "/v1/messages"
DECLARED = checker(message_create_params.MessageCreateParams)
KNOWN = frozenset(inspect.signature(anthropic.Anthropic(api_key="-").messages.create).parameters)


@cache
def _client(url: str, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=20)


def _open(job: dict[str, Any]) -> Any:
    key = job["headers"].get("x-api-key") or bearer(job)
    create = _client(base(job, ROUTE), key).messages.create
    known, more = split(job["body"], KNOWN)
    return create(**known, extra_body=more or None, extra_headers=job["more_headers"])


def check(job: dict[str, Any]) -> None:
    """The body is of the declared type, but for what goes as `extra_body`."""
    check_declared(DECLARED, job, KNOWN)


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    _message(_open(job), heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream: events one by one, as the client's own accumulation takes them together."""
    for event in _open(job):
        match event.type:
            case "message_start":
                _message(event.message, heard)
            case "content_block_start" if event.content_block.type == "tool_use":
                heard.call(event.index, event.content_block.id, event.content_block.name, "")
            case "content_block_delta":
                _delta(event, heard)
            case "message_delta":
                _stopped(event.delta, heard)
                _used(event.usage, heard)
            case _:
                pass


def count(job: dict[str, Any], heard: Heard) -> None:
    """Tokens of a question."""
    client = _client(base(job, f"{ROUTE}/count_tokens"), bearer(job))
    heard.used(input_tokens=client.messages.count_tokens(**job["body"]).input_tokens)


def _delta(event: Any, heard: Heard) -> None:
    match event.delta.type:
        case "text_delta":
            heard.add(text=event.delta.text)
        case "thinking_delta":
            heard.add(reasoning=event.delta.thinking)
        case "input_json_delta":
            heard.call(event.index, None, None, event.delta.partial_json)
        case _:
            pass


def _message(message: Any, heard: Heard) -> None:
    heard.set(id=message.id)
    for index, block in enumerate(message.content):
        match block.type:
            case "text":
                heard.add(text=block.text)
            case "thinking":
                heard.add(reasoning=block.thinking)
            case "tool_use":
                heard.call(index, block.id, block.name, dict(block.input))
            case _:
                pass
    _stopped(message, heard)
    _used(message.usage, heard)


def _stopped(said: Any, heard: Heard) -> None:
    heard.set(finish_reason_raw=said.stop_reason, stop_sequence=said.stop_sequence)


def _used(usage: Any, heard: Heard) -> None:
    """Input tokens are told apart from those that a cache served or took."""
    details = getattr(usage, "output_tokens_details", None)
    parts = (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
    told = heard.words.get("usage", {})
    inputs = told.get("input_tokens") if usage.input_tokens is None else sum(part or 0 for part in parts)
    heard.used(
        input_tokens=inputs,
        output_tokens=usage.output_tokens,
        total_tokens=(inputs or 0) + usage.output_tokens,
        cached_input_tokens=usage.cache_read_input_tokens,
        cache_write_tokens=usage.cache_creation_input_tokens,
        reasoning_tokens=getattr(details, "thinking_tokens", None),
    )


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells."""
    if not isinstance(error, anthropic.APIStatusError):
        return {}
    said = error.body.get("error", {}) if isinstance(error.body, dict) else {}
    return {
        "http_status": error.status_code,
        "type": said.get("type"),
        "message": said.get("message"),
        "request_id": error.request_id,
    }
