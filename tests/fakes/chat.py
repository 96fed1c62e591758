"""Answers of an OpenAI-compatible provider, as the fake provider sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.provider import Request
from tests.fakes.replies import Reply, Step, json_reply, sse_text, stream_reply

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def whole(text: str = "Hello there", **more: Any) -> dict[str, Any]:
    """A whole answer."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "upstream-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": USAGE,
        **more,
    }


def chunk(
    text: str | None = None, *, finish: str | None = None, index: int = 0, **delta: Any
) -> dict[str, Any]:
    """A chunk of a streamed answer."""
    said = {**({} if text is None else {"content": text}), **delta}
    choice = {"index": index, "delta": said, "finish_reason": finish}
    return {**_head(), "choices": [choice]}


def usage_chunk(usage: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The chunk that tells usage alone."""
    return {**_head(), "choices": [], "usage": usage or USAGE}


def _head() -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "upstream-model",
    }


ROLE = chunk("", role="assistant")
STOP = chunk(finish="stop")
BEGIN = sse_text(ROLE, done=False)
END = sse_text(STOP, usage_chunk())


def said(*texts: str) -> bytes:
    """Events with this content."""
    return sse_text(*(chunk(text) for text in texts), done=False)


def answer(text: str = "Hello there") -> Reply:
    """A whole answer."""
    return json_reply(whole(text))


def streamed(*texts: str, between: Sequence[Step] = ()) -> Reply:
    """A streamed answer, one write for each text; `between` comes after the first."""
    first, *rest = texts or ("Hello", " there")
    return stream_reply(BEGIN, said(first), *between, *(said(text) for text in rest), END)


def as_asked(request: Request) -> Reply:
    """A good answer in the form that the request asks for."""
    return streamed() if streams(request) else answer()


def streams(request: Request) -> bool:
    """Whether it asks for a stream."""
    return bool(request.json().get("stream"))


def error_reply(
    status: int, message: str = "no", *, headers: Mapping[str, str] | None = None, **error: Any
) -> Reply:
    """An error as the dialect tells it."""
    return json_reply({"error": {"message": message, **error}}, status=status, headers=headers)
