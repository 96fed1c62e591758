"""Anthropic, Messages in version 2026-10-21 of the API: a bearer key, no sampling parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pointsman_server.domain import ProviderOptions
from tests.conformance.vendors import Vendor, last_match

SAMPLING = ("temperature", "top_p", "top_k")


def options(intent: Mapping[str, Any], dialect: str) -> Mapping[str, ProviderOptions]:
    """Fields of the body, as they stand or under `body`; headers, and betas, which are one."""
    given = dict(intent.get("provider_options") or {})
    headers = dict(given.pop("headers", {}))
    if betas := given.pop("betas", None):
        headers["anthropic-beta"] = ",".join(betas)
    body = {**given.pop("body", {}), **given}
    return {dialect: ProviderOptions(json.dumps(body) if body else "", headers)} if body or headers else {}


def options_without_sampling(intent: Mapping[str, Any], dialect: str) -> Mapping[str, ProviderOptions]:
    """The same; what this version has no field for the recorded client sent as extra fields, to be refused."""
    extra = {name: intent["params"][name] for name in SAMPLING if name in intent.get("params", {})}
    return options(
        {**intent, "provider_options": {**(intent.get("provider_options") or {}), **extra}}, dialect
    )


def blocks(content: Any) -> Any:
    """A text alone is the wire's short form of one block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def same_body(body: dict[str, Any]) -> dict[str, Any]:
    """Consecutive turns of one speaker are one turn to the server."""
    turns: list[dict[str, Any]] = []
    for message in body["messages"]:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += blocks(message["content"])
        else:
            turns.append({**message, "content": list(blocks(message["content"]))})
    return {**body, "messages": turns, **({"system": blocks(body["system"])} if "system" in body else {})}


def ended(body: bytes) -> bool:
    """Whether `message_stop` has come, complete."""
    lines = body.splitlines(keepends=True)
    return len(lines) > 1 and lines[-1] == b"\n" and b'"message_stop"' in lines[-2]


VENDOR = Vendor(
    provider="anthropic",
    client="anthropic",
    secrets={"KEY": "sk-ant-test-0000"},
    backend=lambda record: {
        "url": "https://api.example.com",
        "credentials": {"secret": {"env": "KEY"}},
    },
    finish_end=last_match(rb'"type":\s*"message_stop"'),
    ended=ended,
    options=options_without_sampling,
    reported=lambda intent: [f"generation.{name}" for name in SAMPLING if name in intent.get("params", {})],
    same_body=same_body,
)
