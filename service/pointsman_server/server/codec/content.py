"""Parts of messages, both ways."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from pointsman import v1 as pb
from pointsman_server import domain
from pointsman_server.server.codec.enums import (
    MEDIA_DETAILS,
    PB_MEDIA_DETAILS,
    PB_REASONING_KINDS,
    REASONING_KINDS,
    ROLES,
    decode_enum,
)
from pointsman_server.server.codec.faults import Misfit
from pointsman_server.server.codec.scalars import i32

_MEDIA_KINDS = {kind.value: kind for kind in domain.MediaKind}


def decode_message(message: pb.Message) -> domain.Message:
    """One turn."""
    role = decode_enum(ROLES, message.role, "role")
    if role is None:
        raise Misfit("role", "is required")
    return domain.Message(role, decode_parts(message.parts), message.name)


def decode_parts(parts: Iterable[pb.Part], *, within_result: bool = False) -> tuple[domain.Part, ...]:
    """The parts of a message, or of a tool's result, which may hold text and media only."""
    decoded: list[domain.Part] = []
    for part in parts:
        try:
            decoded.append(_decode_part(part, within_result))
        except Misfit as misfit:
            raise misfit.under(f"parts[{len(decoded)}]") from None
    return tuple(decoded)


def _decode_part(part: pb.Part, within_result: bool) -> domain.Part:
    kind = part.WhichOneof("content")
    content: domain.Content = (
        domain.Text(part.text) if kind == "text" else _decode_content(part, kind, within_result)
    )
    if not (part.signature or part.origin or part.citations or part.cache_breakpoint):
        return domain.Part(content)
    citations = tuple(domain.Citation(c.start, c.end, c.url, c.title, c.document_id) for c in part.citations)
    return domain.Part(content, part.signature, part.origin, citations, part.cache_breakpoint)


def _decode_content(part: pb.Part, kind: str | None, within_result: bool) -> domain.Content:
    if kind in _MEDIA_KINDS:
        return decode_media(_MEDIA_KINDS[kind], getattr(part, kind or ""))
    if within_result:
        raise Misfit(kind or "", "a tool result holds text, images, audio or files")
    match kind:
        case "reasoning":
            reasoning = part.reasoning
            return domain.Reasoning(
                reasoning.text, decode_enum(REASONING_KINDS, reasoning.kind, "reasoning.kind")
            )
        case "tool_call":
            return domain.ToolCall(part.tool_call.id, part.tool_call.name, part.tool_call.arguments_json)
        case "tool_result":
            return _decode_result(part.tool_result)
        case "refusal":
            return domain.Refusal(part.refusal)
        case "provider_part":
            return domain.ProviderPart(part.provider_part.dialect, part.provider_part.json)
        case _ if part.signature:
            # A provider may return a signature with its reasoning withheld.
            return domain.Reasoning("")
        case _:
            raise Misfit("", "content is required")


def _decode_result(result: pb.ToolResult) -> domain.ToolResult:
    try:
        parts = decode_parts(result.parts, within_result=True)
    except Misfit as misfit:
        raise misfit.under("tool_result") from None
    return domain.ToolResult(result.tool_call_id, result.name, parts, result.is_error)


def decode_media(kind: domain.MediaKind, media: pb.Media) -> domain.Media:
    """An image, sound or file."""
    if media.WhichOneof("source") is None:
        raise Misfit(kind.value, "url or data is required")
    detail = decode_enum(MEDIA_DETAILS, media.detail, f"{kind.value}.detail")
    return domain.Media(kind, media.url, media.data, media.media_type, detail, media.filename)


def encode_part(message: pb.Part, part: domain.Part) -> None:
    """Write one part."""
    _encode_content(message, part.content)
    if part.signature:
        message.signature = part.signature
    if part.origin:
        message.origin = part.origin
    if part.citations:
        encode_citations(message.citations, part.citations)
    if part.cache_breakpoint:
        message.cache_breakpoint = True


def _encode_content(message: pb.Part, content: domain.Content) -> None:
    match content:
        case domain.Text():
            message.text = content.text
        case domain.Reasoning():
            message.reasoning.text = content.text
            if content.kind is not None:
                message.reasoning.kind = PB_REASONING_KINDS[content.kind]
        case domain.ToolCall():
            call = message.tool_call
            call.id, call.name, call.arguments_json = content.id, content.name, content.arguments_json
        case domain.Refusal():
            message.refusal = content.text
        case domain.Media():
            _encode_media(getattr(message, content.kind.value), content)
        case domain.ToolResult():
            result = message.tool_result
            result.tool_call_id, result.name = content.tool_call_id, content.name
            result.is_error = content.is_error
            for part in content.parts:
                encode_part(result.parts.add(), part)
        case domain.ProviderPart():
            message.provider_part.dialect, message.provider_part.json = content.dialect, content.json
        case _:
            assert_never(content)


def _encode_media(message: pb.Media, media: domain.Media) -> None:
    if media.url:
        message.url = media.url
    else:
        message.data = media.data
    message.media_type = media.media_type
    message.filename = media.filename
    if media.detail is not None:
        message.detail = PB_MEDIA_DETAILS[media.detail]


def encode_citations(
    messages: RepeatedCompositeFieldContainer[pb.Citation], citations: tuple[domain.Citation, ...]
) -> None:
    """Add citations."""
    for citation in citations:
        message = messages.add()
        message.start, message.end = i32(citation.start), i32(citation.end)
        message.url, message.title, message.document_id = citation.url, citation.title, citation.document_id
