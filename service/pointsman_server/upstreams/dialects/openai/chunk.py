"""One document of an answer, a stream's chunk or the whole, as typed values: fast where it has the usual shape,
patient where it has not. Unknown fields are ignored; a field of a wrong type counts as absent.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

import msgspec

from pointsman_server.upstreams.translation.documents import loose_json
from pointsman_server.upstreams.translation.faults import bounded_word, clean_text, whole_number


class Function(msgspec.Struct, gc=False):
    """A function's name and a piece of its arguments."""

    name: str | None = None
    arguments: str | None = None


class ToolCallPiece(msgspec.Struct):
    """A piece of a tool call."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct, rename={"references": "-references", "signature": "-signature"}):
    """What a message, or an increment of one, says. What is renamed comes from the pieces of a content alone."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallPiece] | None = None
    function_call: Function | None = None
    annotations: Any = None
    references: tuple[str, ...] = ()
    """Ids of documents that a content of typed pieces refers to."""
    signature: str = ""
    """Of the thinking among its pieces."""


class Choice(msgspec.Struct):
    """One candidate's share of a document."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: Any = None
    content_filter_results: Any = None
    flag: Any = None
    ban_round: Any = None
    need_clear_history: Any = None


class Chunk(msgspec.Struct):
    """A document."""

    id: str | None = None
    model: str | None = None
    created: int | None = None
    service_tier: str | None = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    error_type: str | None = None
    """Beside an error that is a text."""
    request_id: str | None = None
    prompt_filter_results: Any = None
    need_clear_history: Any = None


class PlainDelta(msgspec.Struct, gc=False):
    """An increment of text and of nothing else."""

    content: str
    reasoning: None = None
    reasoning_content: None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    annotations: None = None


class PlainChoice(msgspec.Struct):
    """The share of a candidate that goes on."""

    delta: PlainDelta | None = None
    text: str | None = None
    """In place of the delta: completions of a prompt."""
    index: int | None = None
    message: None = None
    finish_reason: None = None
    logprobs: None = None
    content_filter_results: None = None
    flag: Literal[0] | None = None


class PlainChunk(msgspec.Struct):
    """A chunk that holds a piece of one candidate's text, as nearly all do; all else that matters is no fit."""

    choices: tuple[PlainChoice]
    usage: None = None
    error: None = None


_DECODE = msgspec.json.Decoder(Chunk).decode
_DECODE_PLAIN = msgspec.json.Decoder(PlainChunk).decode


def read_plain(data: bytes) -> PlainChoice | None:
    """What a chunk of plain text says, at half the cost of `read_chunk`; None for any other, which is left to that."""
    try:
        return _DECODE_PLAIN(data).choices[0]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def read_chunk(data: bytes) -> Chunk | None:
    """The document; None for one that is no object or holds nothing of an answer or an error.

    Raises ServiceError UPSTREAM_BAD_RESPONSE for what is not JSON.
    """
    try:
        chunk = _DECODE(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        document = loose_json(data)
        if not isinstance(document, dict):
            return None
        chunk = _chunk(document)
    said = (chunk.choices, chunk.usage, chunk.error, chunk.prompt_filter_results)
    if all(part is None for part in said):
        return None
    return chunk


def _chunk(document: dict[str, Any]) -> Chunk:
    choices = document.get("choices")
    return Chunk(
        id=_text(document.get("id")),
        model=_text(document.get("model")),
        created=whole_number(document.get("created")),
        service_tier=_text(document.get("service_tier")),
        choices=[_choice(item) for item in choices if isinstance(item, dict)]
        if isinstance(choices, list)
        else None,
        usage=document.get("usage"),
        error=document.get("error"),
        error_type=_text(document.get("error_type")),
        request_id=_text(document.get("request_id")),
        prompt_filter_results=document.get("prompt_filter_results"),
        need_clear_history=document.get("need_clear_history"),
    )


def _choice(item: dict[str, Any]) -> Choice:
    index = item.get("index")
    return Choice(
        # An index that cannot be one must not be taken for the first candidate's.
        index=None if index is None else _index(index),
        delta=_delta(item.get("delta")),
        message=_delta(item.get("message")),
        text=_text(item.get("text")),
        finish_reason=_text(item.get("finish_reason")),
        stop_reason=_text(item.get("stop_reason")),
        logprobs=item.get("logprobs"),
        content_filter_results=item.get("content_filter_results"),
        flag=item.get("flag"),
        ban_round=item.get("ban_round"),
        need_clear_history=item.get("need_clear_history"),
    )


def _index(value: object) -> int:
    number = whole_number(value)
    return -1 if number is None else number


def _delta(value: object) -> Delta | None:
    if not isinstance(value, dict):
        return None
    content, calls = value.get("content"), value.get("tool_calls")
    pieces = _pieces(content) if isinstance(content, list) else Pieces([_text(content) or ""], [], [], [])
    return Delta(
        content="".join(pieces.texts),
        reasoning=_text(value.get("reasoning")) or "".join(pieces.thoughts),
        reasoning_content=_text(value.get("reasoning_content")),
        refusal=_text(value.get("refusal")),
        tool_calls=[_call(item) for item in calls if isinstance(item, dict)]
        if isinstance(calls, list)
        else None,
        function_call=_function(value.get("function_call")),
        annotations=value.get("annotations"),
        references=tuple(pieces.references),
        signature="".join(pieces.signatures),
    )


class Pieces(NamedTuple):
    """What a content says that comes as a list of typed pieces (Mistral)."""

    texts: list[str]
    thoughts: list[str]
    references: list[str]
    signatures: list[str]


def _pieces(content: list[object]) -> Pieces:
    found = Pieces([], [], [], [])
    for piece in content:
        if not isinstance(piece, dict):
            continue
        found.texts.append(_text(piece.get("text")) or "")
        inner = piece.get("thinking")
        if isinstance(inner, list):
            found.thoughts.extend(_text(item.get("text")) or "" for item in inner if isinstance(item, dict))
        else:
            found.thoughts.append(_text(inner) or "")
        ids = piece.get("reference_ids")
        if isinstance(ids, list):
            found.references.extend(word for item in ids if (word := bounded_word(item)))
        found.signatures.append(_text(piece.get("signature")) or "")
    return found


def _call(item: dict[str, Any]) -> ToolCallPiece:
    return ToolCallPiece(
        index=whole_number(item.get("index")),
        id=_text(item.get("id")),
        function=_function(item.get("function")),
    )


def _function(value: object) -> Function | None:
    if not isinstance(value, dict):
        return None
    arguments = value.get("arguments")
    text = json.dumps(arguments) if isinstance(arguments, dict | list) else _text(arguments)
    return Function(name=_text(value.get("name")), arguments=text)


def _text(value: object) -> str | None:
    return clean_text(value) if isinstance(value, str) else None
