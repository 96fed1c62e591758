"""Answers of providers' own interfaces for vectors. Each vector tells which input it belongs to."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.provider import Request
from tests.fakes.replies import Reply, json_reply

_DATA = "data:image/png;base64,"


def vector(of: str | bytes) -> list[float]:
    """Of a text by its first letter and its length, of an image by the negatives of both."""
    return [float(ord(of[0])), float(len(of))] if isinstance(of, str) else [-float(of[0]), -float(len(of))]


def _shown(url: str) -> list[float]:
    assert url.startswith(_DATA), url
    return vector(base64.b64decode(url.removeprefix(_DATA)))


def _inline(part: Mapping[str, Any]) -> bytes:
    """The server reads either spelling of names and of base64."""
    inline = part.get("inlineData") or part["inline_data"]
    return base64.urlsafe_b64decode(inline["data"])


def gemini(request: Request) -> Reply:
    """BatchEmbedContents."""
    asked = request.json()["requests"]
    parts = [one["content"]["parts"][0] for one in asked]
    values = [vector(part["text"] if "text" in part else _inline(part)) for part in parts]
    return json_reply(
        {
            "embeddings": [{"values": one} for one in values],
            "usageMetadata": {"promptTokenCount": len(asked)},
        }
    )


def cohere(request: Request) -> Reply:
    """/v2/embed; images are billed by their number."""
    asked = request.json()
    images = asked.get("images", [])
    values = [_shown(url) for url in images] if images else [vector(text) for text in asked["texts"]]
    billed = {"images": len(images)} if images else {"input_tokens": float(len(values))}
    return json_reply(
        {
            "id": "e-1",
            "embeddings": {"float": values},
            "texts": asked.get("texts", []),
            "meta": {"api_version": {"version": "2"}, "billed_units": billed},
            "response_type": "embeddings_by_type",
        },
        headers={"x-debug-trace-id": "t-1"},
    )


def dashscope(request: Request) -> Reply:
    """text-embedding and multimodal-embedding, in an order of the server's own."""
    asked = request.json()["input"]
    if "texts" in asked:
        name, values = "text_index", [vector(text) for text in asked["texts"]]
        usage: Mapping[str, int] = {"total_tokens": len(values)}
    else:
        contents: list[dict[str, Any]] = asked["contents"]
        name = "index"
        values = [vector(one["text"]) if "text" in one else _shown(one["image"]) for one in contents]
        shown = sum("image" in one for one in contents)
        usage = {"input_tokens": len(values) - shown, "image_tokens": shown}
    entries = [{name: index, "embedding": one} for index, one in enumerate(values)]
    return json_reply({"request_id": "d-1", "output": {"embeddings": entries[::-1]}, "usage": usage})


ANSWERS: Mapping[str, Callable[[Request], Reply]] = {
    "gemini": gemini,
    "cohere": cohere,
    "dashscope": dashscope,
}
"""By provider."""
