"""Calls and attempts for the tests of this room."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman_server.config import schema
from pointsman_server.context import Attempt, Target
from pointsman_server.domain import (
    Call,
    Content,
    Conversation,
    EmbedCall,
    Embeddings,
    EmbedInput,
    Media,
    MediaKind,
    Message,
    Part,
    Role,
    Text,
)
from pointsman_server.domain.fold import Fold
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import BodyLimits
from pointsman_server.upstreams.contract import Inquiry, Reply
from pointsman_server.upstreams.dialects.openai.adapter import OpenAIAdapter
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.registry import PROVIDERS, profile_of
from pointsman_server.upstreams.translation.profile import Profile

MEBIBYTE = 1024 * 1024


def said(*contents: Content | Part | str, role: Role = Role.USER, name: str = "") -> Message:
    """One turn."""
    parts = tuple(
        part if isinstance(part, Part) else Part(Text(part) if isinstance(part, str) else part)
        for part in contents
    )
    return Message(role, parts, name)


def asked(*messages: Message | str, **fields: Any) -> Call:
    """A call of a conversation."""
    turns = tuple(said(message) if isinstance(message, str) else message for message in messages or ("hi",))
    return Call("model", Conversation(turns), **fields)


def attempt(call: Call | None = None, *, stream: bool = True, provider: str = "vllm") -> Attempt:
    """A first attempt."""
    return Attempt(call or asked(), Target("backend", provider, "upstream-model"), 1, stream, "request-1.1")


def settings(url: str = "http://backend.example", limits: BodyLimits | None = None, **keys: Any) -> Settings:
    """A backend's configuration, as an adapter is made with it."""
    return Settings(url, limits or BodyLimits(), schema.Backend(**{"provider": "vllm", "url": url, **keys}))


def adapter(profile: Profile) -> OpenAIAdapter:
    """The dialect with a profile."""
    return OpenAIAdapter(profile, settings("http://backend.example/v1"))


def body(profile: Profile, call: Call, *, stream: bool = False) -> dict[str, Any]:
    """What is sent for a call."""
    sent: dict[str, Any] = json.loads(adapter(profile).request(attempt(call, stream=stream)).body)
    return sent


def folded(events: Any) -> Any:
    """The answer that these events make."""
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.answer()


def embedding(*inputs: EmbedInput | str, **fields: Any) -> Attempt[EmbedCall]:
    """A first attempt to have vectors made."""
    given = tuple(Text(one) if isinstance(one, str) else one for one in inputs or ("hi",))
    return Attempt(
        EmbedCall("model", given, **fields),
        Target("backend", "provider", "upstream-model"),
        1,
        False,
        "request-1.1",
    )


def picture(data: bytes = b"\x89PNG", **fields: Any) -> Media:
    """An image, inline unless it has a URL."""
    inline = {} if "url" in fields else {"data": data, "media_type": "image/png"}
    return Media(MediaKind.IMAGE, **inline, **fields)


def inquiry(provider: str, **keys: Any) -> Inquiry[EmbedCall, Embeddings]:
    """What makes vectors at a backend of this provider, configured in this way."""
    made = settings(**{"url": "http://backend.example", "provider": provider, **keys})
    build = PROVIDERS[provider].embeddings
    assert build is not None
    return build(profile_of(made.backend), made)


def asked_for(one: Inquiry[EmbedCall, Embeddings], attempt: Attempt[EmbedCall]) -> dict[str, Any]:
    """The body of its request."""
    sent: dict[str, Any] = json.loads(one.request(attempt).body)
    return sent


def answered(
    one: Inquiry[EmbedCall, Embeddings], attempt: Attempt[EmbedCall], document: object, **headers: str
) -> Reply[Embeddings]:
    """What it makes of an answer."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    reply = one.answer(attempt, 200, named, json.dumps(document).encode())
    assert isinstance(reply, Reply)
    return reply


def values(reply: Reply[Embeddings]) -> list[list[float]]:
    """The vectors of an answer."""
    return [list(vector) for vector in reply.value.vectors]


def refused(one: Inquiry[EmbedCall, Embeddings], attempt: Attempt[EmbedCall]) -> str:
    """The field at fault for which it refuses to ask."""
    with pytest.raises(ServiceError) as raised:
        one.request(attempt)
    assert raised.value.reason is Reason.INVALID_REQUEST
    return raised.value.fields[0].path
