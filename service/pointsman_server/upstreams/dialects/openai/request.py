"""A call -> the body of a request. Only what the profile takes is written; `support` reports the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from pointsman_server.context import Attempt
from pointsman_server.domain import Call, Conversation, Prompt, TokenIds
from pointsman_server.upstreams.dialects.openai.messages import map_messages
from pointsman_server.upstreams.translation.chat_fields import map_format, map_generation, map_tools
from pointsman_server.upstreams.translation.options import add_fields
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.requests import encoded
from pointsman_server.upstreams.translation.support import is_chat, wire_fields

_OWN = frozenset(
    {
        "model", "messages", "prompt", "stream", "stream_options", "n", "best_of", "max_tokens",
        "max_completion_tokens", "functions", "function_call",
    }
)  # fmt: skip
"""The adapter's, whatever the profile; no caller's option replaces them."""


def encode_body(attempt: Attempt, profile: Profile, *, stream: bool) -> bytes:
    """The body. Raises ServiceError INVALID_REQUEST for what cannot be expressed."""
    call = attempt.call
    fields = wire_fields(call, profile)
    body: dict[str, Any] = {"model": attempt.target.model}
    match call.input:
        case Conversation(messages):
            body["messages"] = map_messages(messages, profile, attempt.target.model)
        case Prompt(text):
            if is_chat(call, profile):
                body["messages"] = [{"role": "user", "content": text}]
            else:
                body["prompt"] = text
        case TokenIds(ids):
            body["prompt"] = ids
        case _:
            assert_never(call.input)
    if stream:
        body["stream"] = True
        if profile.usage_option:
            body["stream_options"] = {"include_usage": True}
    map_generation(call.generation, body, fields, profile)
    if call.tools and "tools" in fields:
        map_tools(call, body, fields, profile)
    if call.output_format is not None:
        map_format(call, body, fields, profile)
    _map_rest(call, body, fields)
    if call.provider_options:
        add_fields(body, call, profile, fields, _OWN)
    return encoded(body)


def _map_rest(call: Call, body: dict[str, Any], fields: Mapping[str, str]) -> None:
    if call.end_user_id and (wire := fields.get("end_user_id")):
        body[wire] = call.end_user_id
    if call.provider_metadata and (wire := fields.get("provider_metadata")):
        body[wire] = dict(call.provider_metadata)
    if call.routing.priority and (wire := fields.get("routing.priority")):
        # Ours is higher for what matters more, the wire's lower for what runs sooner.
        body[wire] = -call.routing.priority
    if (
        call.cache is not None
        and call.cache.prefix_cache_salt
        and (wire := fields.get("cache.prefix_cache_salt"))
    ):
        body[wire] = call.cache.prefix_cache_salt
