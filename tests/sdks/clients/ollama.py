"""Ollama's client: /api/chat."""

from __future__ import annotations

from functools import cache
from typing import Any

import ollama

from tests.sdks.clients.heard import Heard


@cache
def _client(url: str) -> ollama.Client:
    return ollama.Client(host=url, timeout=20)


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    _answer(_client(job["url"]).chat(**job["body"]), heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream of lines, each an answer."""
    for line in _client(job["url"]).chat(**job["body"]):
        _answer(line, heard)


def embed(job: dict[str, Any], heard: Heard) -> None:
    """Vectors of texts."""
    answer = _client(job["url"]).embed(**job["body"])
    heard.set(vectors=[list(vector) for vector in answer.embeddings])
    heard.used(input_tokens=answer.prompt_eval_count)


def _answer(answer: Any, heard: Heard) -> None:
    heard.set(finish_reason_raw=answer.done_reason)
    heard.add(text=answer.message.content, reasoning=answer.message.thinking)
    for one in answer.message.tool_calls or ():
        heard.call(len(heard.calls), None, one.function.name, dict(one.function.arguments))
    if answer.eval_count is not None:
        inputs = answer.prompt_eval_count or 0
        heard.used(
            input_tokens=inputs, output_tokens=answer.eval_count, total_tokens=inputs + answer.eval_count
        )


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells."""
    if not isinstance(error, ollama.ResponseError):
        return {}
    return {"http_status": error.status_code, "message": error.error}
