"""EmbedRequest and CountTokensRequest -> domain, and what answers them."""

from __future__ import annotations

import sys
from array import array

from pointsman import v1 as pb
from pointsman_server import domain
from pointsman_server.context import RoutingReport
from pointsman_server.errors import ServiceError
from pointsman_server.server.codec.answer import encode_usage, encode_warning
from pointsman_server.server.codec.content import decode_media
from pointsman_server.server.codec.faults import Misfit
from pointsman_server.server.codec.request import (
    decode_cache,
    decode_call,
    decode_provider_options,
    decode_routing,
)
from pointsman_server.server.codec.routing import encode_routing
from pointsman_server.server.codec.scalars import i64

_NO_ROUTING = domain.RoutingOptions()


def decode_embed(request: pb.EmbedRequest) -> domain.EmbedCall:
    """The whole request. Raises ServiceError INVALID_REQUEST with the field's path."""
    try:
        return domain.EmbedCall(
            model=request.model,
            inputs=tuple(_decode_input(one, position) for position, one in enumerate(request.inputs)),
            dimensions=request.dimensions if request.HasField("dimensions") else None,
            task=request.task,
            truncate=request.truncate,
            routing=decode_routing(request.routing) if request.HasField("routing") else _NO_ROUTING,
            cache=decode_cache(request.cache) if request.HasField("cache") else None,
            end_user_id=request.end_user_id,
            labels=dict(request.labels),
            provider_options=decode_provider_options(request.provider_options),
        )
    except Misfit as misfit:
        raise misfit.refusal() from None


def _decode_input(one: pb.EmbedInput, position: int) -> domain.EmbedInput:
    match one.WhichOneof("content"):
        case "text":
            return domain.Text(one.text)
        case "token_ids":
            return domain.TokenIds(tuple(one.token_ids.ids))
        case "image":
            try:
                return decode_media(domain.MediaKind.IMAGE, one.image)
            except Misfit as misfit:
                raise misfit.under(f"inputs[{position}]") from None
        case _:
            raise Misfit(f"inputs[{position}]", "text, token_ids or image is required")


def encode_embeddings(found: domain.Embeddings, report: RoutingReport, request_id: str) -> pb.EmbedResponse:
    """The vectors, and where the call went."""
    response = pb.EmbedResponse(model=report.model)
    for index, vector in enumerate(found.vectors):
        message = response.embeddings.add()
        message.index = index
        _encode_vector(message, vector)
    if report.usage is not None:
        encode_usage(response.usage, report.usage, report.cost)
    encode_routing(response.routing, report, request_id)
    for warning in report.warnings:
        encode_warning(response.warnings.add(), warning)
    return response


def _encode_vector(message: pb.Embedding, vector: array[float]) -> None:
    """As the wire has it, packed: adding numbers one by one takes a hundred times as long."""
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    data = vector.tobytes()
    message.MergeFromString(_VALUES + _varint(len(data)) + data)


_VALUES = bytes((pb.Embedding.VALUES_FIELD_NUMBER << 3 | 2,))
"""The tag of a packed field."""


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decode_count(request: pb.CountTokensRequest) -> domain.CountCall:
    """The question to count. Raises ServiceError INVALID_REQUEST with the field's path."""
    try:
        return domain.CountCall(decode_call(request.request))
    except ServiceError as error:
        raise error.under("request") from None


def encode_count(count: domain.TokenCount, report: RoutingReport) -> pb.CountTokensResponse:
    """The count, and who counted."""
    exact = pb.COUNT_TOKENS_RESPONSE_EXACTNESS_EXACT
    response = pb.CountTokensResponse(
        input_tokens=i64(count.input_tokens),
        exactness=exact if count.exact else pb.COUNT_TOKENS_RESPONSE_EXACTNESS_ESTIMATED,
        model=report.model,
        backend=report.served.backend if report.served is not None else "",
    )
    for warning in report.warnings:
        encode_warning(response.warnings.add(), warning)
    return response
