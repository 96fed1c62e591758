"""OpenAI's client: chat completions of every provider that speaks them, Azure's deployments, and Responses."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import openai
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from tests.sdks.clients.heard import Heard, base, bearer, split
from tests.sdks.clients.typed import check_declared, checker

CHAT, RESPONSES = "/chat/completions", "/responses"
_ANY = openai.OpenAI(api_key="-")
KNOWN = {
    CHAT: frozenset(inspect.signature(_ANY.chat.completions.create).parameters),
    RESPONSES: frozenset(inspect.signature(_ANY.responses.create).parameters),
}
DECLARED = {
    CHAT: checker(completion_create_params.CompletionCreateParams),
    RESPONSES: checker(response_create_params.ResponseCreateParams),
}


@cache
def _client(kind: str, url: str, key: str, version: str) -> openai.OpenAI:
    own = {"base_url": url, "max_retries": 0, "timeout": 20}
    if kind == "entra":
        return openai.AzureOpenAI(azure_ad_token=key, api_version=version, **own)
    if kind == "azure":
        return openai.AzureOpenAI(api_key=key, api_version=version, **own)
    return openai.OpenAI(api_key=key, **own)


def _route(job: dict[str, Any]) -> str:
    return RESPONSES if job["path"].endswith(RESPONSES) else CHAT


def _open(job: dict[str, Any]) -> Any:
    route, version, key = _route(job), job["query"].get("api-version", ""), job["headers"].get("api-key")
    kind = "openai" if not version else "azure" if key else "entra"
    client = _client(kind, base(job, route), key or bearer(job), version)
    create = client.chat.completions.create if route == CHAT else client.responses.create
    known, more = split(job["body"], KNOWN[route])
    return create(**known, extra_body=more or None, extra_headers=job["more_headers"])


def check(job: dict[str, Any]) -> None:
    """The body is of the declared type, but for fields of other servers, as `extra_body` or within a message."""
    route = _route(job)
    check_declared(DECLARED[route], job, KNOWN[route])


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    answer = _open(job)
    if _route(job) == RESPONSES:
        _response(answer, heard)
        return
    heard.set(id=answer.id)
    _used(answer.usage, heard)
    for choice in answer.choices:
        _choice(choice, choice.message, heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream."""
    if _route(job) == RESPONSES:
        _events(job, heard)
        return
    for chunk in _open(job):
        heard.set(id=chunk.id or None)
        _used(chunk.usage, heard)
        for choice in chunk.choices:
            _choice(choice, choice.delta, heard)


def embed(job: dict[str, Any], heard: Heard) -> None:
    """Vectors: base64 on the wire, which the client asks for and reads itself."""
    body = {name: value for name, value in job["body"].items() if name != "encoding_format"}
    answer = _client("openai", base(job, "/embeddings"), bearer(job), "").embeddings.create(**body)
    heard.set(vectors=[list(one.embedding) for one in answer.data])
    heard.used(input_tokens=answer.usage.prompt_tokens, total_tokens=answer.usage.total_tokens)


def _choice(choice: Any, said: Any, heard: Heard) -> None:
    if choice.index:
        return
    heard.set(finish_reason_raw=choice.finish_reason)
    if said is None:
        return
    # Fields of other servers, which the client keeps beside its own.
    heard.add(reasoning=getattr(said, "reasoning", None) or getattr(said, "reasoning_content", None))
    heard.add(text=said.content, refusal=said.refusal)
    for position, one in enumerate(said.tool_calls or ()):
        index = getattr(one, "index", None)
        heard.call(position if index is None else index, one.id, one.function.name, one.function.arguments)


def _used(usage: Any, heard: Heard) -> None:
    if usage is None:
        return
    inputs, outputs = usage.prompt_tokens_details, usage.completion_tokens_details
    heard.used(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        cached_input_tokens=inputs and inputs.cached_tokens,
        cache_write_tokens=getattr(inputs, "cache_write_tokens", None),
        reasoning_tokens=outputs and outputs.reasoning_tokens,
    )


def _events(job: dict[str, Any], heard: Heard) -> None:
    """The answer is in the last event; the deltas must say the same."""
    pieces = ""
    for event in _open(job):
        if event.type == "response.output_text.delta":
            pieces += event.delta
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            _response(event.response, heard)
            assert heard.words.get("text", "") == pieces


def _response(answer: Any, heard: Heard) -> None:
    why = answer.incomplete_details and answer.incomplete_details.reason
    heard.set(id=answer.id, finish_reason_raw=f"{answer.status}:{why}" if why else answer.status)
    heard.add(text=answer.output_text)
    for index, item in enumerate(answer.output):
        if item.type == "function_call":
            heard.call(index, item.call_id, item.name, item.arguments)
        elif item.type == "reasoning":
            heard.add(reasoning="".join(part.text for part in item.summary))
        elif item.type == "message":
            heard.add(refusal="".join(part.refusal for part in item.content if part.type == "refusal"))
    if answer.usage is not None:
        inputs, outputs = answer.usage.input_tokens_details, answer.usage.output_tokens_details
        heard.used(
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
            total_tokens=answer.usage.total_tokens,
            cached_input_tokens=inputs and inputs.cached_tokens,
            reasoning_tokens=outputs and outputs.reasoning_tokens,
        )


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells."""
    if not isinstance(error, openai.APIError):
        return {}
    told = {"code": error.code, "type": error.type, "message": error.message}
    if isinstance(error, openai.APIStatusError):
        told |= {"http_status": error.status_code, "request_id": error.request_id}
        # Its message is a sentence around the provider's own, which stands in the body.
        if isinstance(error.body, dict):
            told["message"] = error.body.get("message", error.message)
    return told
