"""Google's client for Gemini."""

from __future__ import annotations

from functools import cache
from typing import Any

from google import genai
from google.genai import errors, types

from tests.sdks.clients.heard import Heard


@cache
def _client(url: str, version: str, key: str) -> genai.Client:
    options = types.HttpOptions(base_url=url, api_version=version, timeout=20_000)
    return genai.Client(api_key=key, vertexai=False, http_options=options)


def _asked(job: dict[str, Any]) -> dict[str, Any]:
    """Out of the request's body, which holds apart what the client's `config` holds as one."""
    body = dict(job["body"])
    contents = [types.Content.model_validate(content) for content in body.pop("contents")]
    config = types.GenerateContentConfig.model_validate({
        **body.pop("generationConfig", {}),
        **body,
        "httpOptions": {"headers": job["more_headers"]},
        "automaticFunctionCalling": {"disable": True},
    })  # fmt: skip
    model = job["path"].partition("/models/")[2].partition(":")[0]
    return {"model": model, "contents": contents, "config": config}


def _models(job: dict[str, Any]) -> Any:
    return _client(job["url"], job["path"].split("/")[1], job["headers"]["x-goog-api-key"]).models


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    _response(_models(job).generate_content(**_asked(job)), heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream: each chunk is a response."""
    for chunk in _models(job).generate_content_stream(**_asked(job)):
        _response(chunk, heard)


def embed(job: dict[str, Any], heard: Heard) -> None:
    """Vectors: a request in itself for each input, all with the same configuration."""
    asked = job["body"]["requests"]
    config = {name: value for name, value in asked[0].items() if name not in ("model", "content")}
    answer = _models(job).embed_content(
        model=job["path"].partition("/models/")[2].partition(":")[0],
        contents=[_shown(part) for one in asked for part in one["content"]["parts"]],
        config=types.EmbedContentConfig.model_validate(config),
    )
    heard.set(vectors=[one.values for one in answer.embeddings])


def _shown(part: dict[str, Any]) -> Any:
    """As its users write it: what stands around it is the client's own."""
    return part["text"] if "text" in part else types.Part.model_validate(part)


def count(job: dict[str, Any], heard: Heard) -> None:
    """Tokens of the contents; the client counts neither a system instruction nor tools here."""
    asked = job["body"]["generateContentRequest"]
    contents = [types.Content.model_validate(content) for content in asked["contents"]]
    model = job["path"].partition("/models/")[2].partition(":")[0]
    heard.used(input_tokens=_models(job).count_tokens(model=model, contents=contents).total_tokens)


def _response(response: Any, heard: Heard) -> None:
    heard.set(id=response.response_id)
    if feedback := response.prompt_feedback:
        heard.set(finish_reason_raw=feedback.block_reason and feedback.block_reason.value)
    if usage := response.usage_metadata:
        parts = (usage.candidates_token_count, usage.thoughts_token_count)
        heard.used(
            input_tokens=usage.prompt_token_count,
            output_tokens=sum(part or 0 for part in parts),
            total_tokens=usage.total_token_count,
            cached_input_tokens=usage.cached_content_token_count,
            reasoning_tokens=usage.thoughts_token_count,
        )
    for candidate in response.candidates or ():
        if not candidate.index:
            _candidate(candidate, heard)


def _candidate(candidate: Any, heard: Heard) -> None:
    heard.set(finish_reason_raw=candidate.finish_reason and candidate.finish_reason.value)
    for part in (candidate.content and candidate.content.parts) or ():
        if part.function_call:
            said = part.function_call
            heard.call(len(heard.calls), said.id, said.name, dict(said.args or {}))
        elif part.text:
            heard.add(**{"reasoning" if part.thought else "text": part.text})


def failed(error: Exception) -> dict[str, Any]:
    """What an error of the client tells."""
    if not isinstance(error, errors.APIError):
        return {}
    said = error.details.get("error", {}) if isinstance(error.details, dict) else {}
    reasons = [detail["reason"] for detail in said.get("details", ()) if "reason" in detail]
    return {
        "http_status": error.code,
        "type": error.status,
        "message": error.message,
        "code": next(iter(reasons), None),
    }
