"""Mistral's client: chat completions."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from mistralai.client import Mistral
from mistralai.client.errors import MistralError

from tests.sdks.clients.heard import Heard, base, bearer

ROUTE = "/v1/chat/completions"


@cache
def _client(url: str, key: str) -> Mistral:
    return Mistral(api_key=key, server_url=url, timeout_ms=20_000)


def _asked(job: dict[str, Any]) -> dict[str, Any]:
    body = {name: value for name, value in job["body"].items() if name != "stream"}
    return {**body, "http_headers": job["more_headers"] or None}


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    answer = _client(base(job, ROUTE), bearer(job)).chat.complete(**_asked(job))
    _answer(answer, "message", heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream of chunks."""
    for event in _client(base(job, ROUTE), bearer(job)).chat.stream(**_asked(job)):
        _answer(event.data, "delta", heard)


def embed(job: dict[str, Any], heard: Heard) -> None:
    """Vectors of texts."""
    body = dict(job["body"])
    client = _client(base(job, "/v1/embeddings"), bearer(job))
    answer = client.embeddings.create(inputs=body.pop("input"), **body)
    heard.set(vectors=[one.embedding for one in answer.data])
    heard.used(input_tokens=answer.usage.prompt_tokens, total_tokens=answer.usage.total_tokens)


def _answer(answer: Any, where: str, heard: Heard) -> None:
    heard.set(id=answer.id)
    if usage := answer.usage:
        heard.used(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
        )
    for choice in answer.choices:
        if choice.index == 0:
            _choice(choice, getattr(choice, where), heard)


def _choice(choice: Any, said: Any, heard: Heard) -> None:
    heard.set(finish_reason_raw=choice.finish_reason or None)
    content = said.content or ()
    for chunk in [content] if isinstance(content, str) else content:
        if isinstance(chunk, str):
            heard.add(text=chunk)
        elif chunk.type == "thinking":
            heard.add(reasoning="".join(part.text for part in chunk.thinking))
        elif chunk.type == "text":
            heard.add(text=chunk.text)
    for position, one in enumerate(said.tool_calls or ()):
        heard.call(one.index or position, one.id, one.function.name, one.function.arguments)


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells: its body is text, in one of several forms."""
    if not isinstance(error, MistralError) or not error.body.startswith("{"):
        return {}
    body = json.loads(error.body)
    detail = body.get("detail")
    message = body.get("message") or (detail[0]["msg"] if isinstance(detail, list) else detail)
    told = {name: body.get(name) for name in ("type", "code")}
    return {"http_status": error.status_code, "message": message, **told}
