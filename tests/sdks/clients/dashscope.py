"""Alibaba's client: its own interface, for text and for several kinds of content. It raises nothing: what it returns
may be an error.
"""

from __future__ import annotations

import inspect
from http import HTTPStatus
from typing import Any

import dashscope

from tests.sdks.clients.heard import Heard, bearer

SERVICES = "/services/aigc/"


class Refused(Exception):
    """A returned error, as one that is raised."""

    def __init__(self, response: Any) -> None:
        super().__init__(response.message)
        self.response = response


def _ask(job: dict[str, Any]) -> Any:
    place = job["path"].index(SERVICES)
    dashscope.base_http_api_url = job["url"] + job["path"][:place]
    kind = dashscope.MultiModalConversation if "multimodal" in job["path"] else dashscope.Generation
    body = job["body"]
    return kind.call(
        model=body["model"],
        api_key=bearer(job),
        stream=job["verb"] == "stream",
        headers=job["more_headers"],
        request_timeout=20,
        **body["input"],
        **body["parameters"],
    )


def call(job: dict[str, Any], heard: Heard) -> None:
    """A whole answer."""
    _response(_ask(job), heard)


def stream(job: dict[str, Any], heard: Heard) -> None:
    """A stream: each chunk is a response."""
    for chunk in _ask(job):
        _response(chunk, heard)


def embed(job: dict[str, Any], heard: Heard) -> None:
    """Vectors of texts, or of several kinds of content. It would pass on what it has no name for, too."""
    place, body = job["path"].index("/services/"), job["body"]
    dashscope.base_http_api_url = job["url"] + job["path"][:place]
    kind = dashscope.MultiModalEmbedding if "contents" in body["input"] else dashscope.TextEmbedding
    assert body["parameters"].keys() <= inspect.signature(kind.call).parameters.keys(), body["parameters"]
    [given] = body["input"].values()
    answer = kind.call(model=body["model"], input=given, api_key=bearer(job), **body["parameters"])
    if answer.status_code != HTTPStatus.OK:
        raise Refused(answer)
    heard.set(vectors=[one["embedding"] for one in answer.output["embeddings"]])
    heard.used(total_tokens=answer.usage.get("total_tokens"))


def _response(response: Any, heard: Heard) -> None:
    if response.status_code != HTTPStatus.OK:
        raise Refused(response)
    heard.set(id=response.request_id or None)
    if usage := response.usage:
        inputs, outputs = usage.get("prompt_tokens_details"), usage.get("output_tokens_details")
        heard.used(
            input_tokens=usage["input_tokens"],
            output_tokens=usage["output_tokens"],
            total_tokens=usage.get("total_tokens"),
            cached_input_tokens=inputs and inputs.get("cached_tokens"),
            reasoning_tokens=outputs and outputs.get("reasoning_tokens"),
        )
    for choice in response.output.choices or ():
        _choice(choice, heard)


def _choice(choice: Any, heard: Heard) -> None:
    heard.set(finish_reason_raw=None if choice.finish_reason == "null" else choice.finish_reason)
    message = choice.message
    content = message.content
    heard.add(text="".join(part["text"] for part in content) if isinstance(content, list) else content)
    heard.add(reasoning=message.get("reasoning_content"))
    for position, one in enumerate(message.get("tool_calls") or ()):
        said = one["function"]
        heard.call(one.get("index", position), one.get("id"), said.get("name"), said.get("arguments"))


def failed(error: Exception) -> dict[str, Any]:
    """What a returned error tells."""
    if not isinstance(error, Refused):
        return {}
    said = error.response
    return {
        "http_status": int(said.status_code),
        "code": said.code,
        "message": said.message,
        "request_id": said.request_id,
    }
