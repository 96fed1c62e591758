"""Hugging Face's client: the router's and TGI's chat route, and TGI's own."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from huggingface_hub import InferenceClient
from huggingface_hub.errors import (
    GenerationError,
    HfHubHTTPError,
    IncompleteGenerationError,
    OverloadedError,
    TextGenerationError,
    ValidationError,
)

from tests.sdks.clients.heard import Heard, base, bearer, split

CHAT = "/chat/completions"
TYPES = {
    GenerationError: "generation",
    IncompleteGenerationError: "incomplete_generation",
    OverloadedError: "overloaded",
    ValidationError: "validation",
}


@cache
def _client(address: str, key: str, *, chat: bool) -> InferenceClient:
    place = {"base_url": address} if chat else {"model": address}
    return InferenceClient(token=key, timeout=20, **place)


def _open(job: dict[str, Any]) -> Any:
    body = job["body"]
    if not job["path"].endswith(CHAT):
        client = _client(job["url"] + job["path"], bearer(job), chat=False)
        return client.text_generation(body["inputs"], stream=job["verb"] == "stream", **body["parameters"])
    ask = _client(base(job, CHAT), bearer(job), chat=True).chat_completion
    known, more = split(body, inspect.signature(ask).parameters)
    return ask(**known, extra_body=more or None)


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    answer = _open(job)
    if job["path"].endswith(CHAT):
        _chat(answer, "message", heard)
    else:
        heard.add(text=answer.generated_text)
        _details(answer.details, heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream of chunks, or of tokens."""
    for chunk in _open(job):
        if job["path"].endswith(CHAT):
            _chat(chunk, "delta", heard)
        else:
            heard.add(text=None if chunk.token.special else chunk.token.text)
            _details(chunk.details, heard)


def _details(details: Any, heard: Heard) -> None:
    if details is not None:
        heard.set(finish_reason_raw=details.finish_reason)
        inputs = getattr(details, "input_length", None)
        outputs = details.generated_tokens
        heard.used(input_tokens=inputs, output_tokens=outputs, total_tokens=inputs and inputs + outputs)


def _chat(answer: Any, where: str, heard: Heard) -> None:
    heard.set(id=answer.id)
    if usage := answer.usage:
        heard.used(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
        )
    for choice in answer.choices:
        said = getattr(choice, where)
        heard.set(finish_reason_raw=choice.finish_reason)
        heard.add(text=said.content)
        for position, one in enumerate(said.tool_calls or ()):
            index = getattr(one, "index", None)
            heard.call(
                position if index is None else index, one.id, one.function.name, one.function.arguments
            )


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells; TGI's have a class for each type."""
    told: dict[str, Any] = {}
    if isinstance(error, TextGenerationError):
        told = {"message": str(error), "type": TYPES.get(type(error))}
        error = error.__cause__ or error
    if isinstance(error, HfHubHTTPError):
        told = {"message": error.server_message, **told, "http_status": error.response.status_code}
    return told
