"""Answer -> GenerateResponse, and the pieces that streams share with it."""

from __future__ import annotations

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from pointsman import v1 as pb
from pointsman_server import domain
from pointsman_server.context import RoutingReport
from pointsman_server.server.codec.clean import cleaned
from pointsman_server.server.codec.content import encode_part
from pointsman_server.server.codec.enums import PB_FINISH_REASONS, PB_USAGE_SOURCES
from pointsman_server.server.codec.routing import encode_routing
from pointsman_server.server.codec.scalars import encode_time, i64
from pointsman_server.values import value


@value(frozen=True, slots=True)
class Identity:
    """What an answer is called where its provider gave it no name of its own."""

    request_id: str
    response_id: str
    wall_s: float


def encode_answer(answer: domain.Answer, report: RoutingReport, identity: Identity) -> pb.GenerateResponse:
    """The reply of a unary call."""
    try:
        return _encode_answer(answer, report, identity)
    except UnicodeEncodeError:
        return _encode_answer(cleaned(answer), cleaned(report), identity)


def _encode_answer(answer: domain.Answer, report: RoutingReport, identity: Identity) -> pb.GenerateResponse:
    response = pb.GenerateResponse()
    response.response_id = answer.response_id or identity.response_id
    response.model = report.model
    encode_time(response.create_time, identity.wall_s if answer.created_s is None else answer.created_s)
    for candidate in answer.candidates:
        _encode_candidate(response.candidates.add(), candidate)
    usage = report.usage or answer.usage
    if usage is not None:
        encode_usage(response.usage, usage, report.cost)
    encode_routing(response.routing, report, identity.request_id)
    for warning in report.warnings:
        encode_warning(response.warnings.add(), warning)
    return response


def _encode_candidate(message: pb.Candidate, candidate: domain.Candidate) -> None:
    message.index = candidate.index
    message.message.role = pb.ROLE_ASSISTANT
    for part in candidate.parts:
        encode_part(message.message.parts.add(), part)
    if candidate.finish_reason is not None:
        message.finish_reason = PB_FINISH_REASONS[candidate.finish_reason]
    if candidate.finish_reason_raw:
        message.finish_reason_raw = candidate.finish_reason_raw
    if candidate.stop_sequence:
        message.stop_sequence = candidate.stop_sequence
    if candidate.logprobs:
        encode_logprobs(message.logprobs.tokens, candidate.logprobs)
    if candidate.safety:
        encode_safety(message.safety, candidate.safety)


def encode_logprobs(
    messages: RepeatedCompositeFieldContainer[pb.TokenLogprob], tokens: tuple[domain.TokenLogprob, ...]
) -> None:
    """Add tokens with their alternatives."""
    for token in tokens:
        message = messages.add()
        message.token = token.token
        message.logprob = token.logprob
        if token.token_bytes:
            message.token_bytes = token.token_bytes
        if token.top:
            encode_logprobs(message.top, token.top)


def encode_safety(
    messages: RepeatedCompositeFieldContainer[pb.SafetyRating], ratings: tuple[domain.SafetyRating, ...]
) -> None:
    """Add ratings."""
    for rating in ratings:
        message = messages.add()
        message.category, message.severity = rating.category, rating.severity
        message.blocked, message.explanation = rating.blocked, rating.explanation


def encode_usage(message: pb.Usage, usage: domain.Usage, cost: domain.Cost | None = None) -> None:
    """Write what was reported; the rest stays unset."""
    if usage.input_tokens is not None:
        message.input_tokens = i64(usage.input_tokens)
    if usage.output_tokens is not None:
        message.output_tokens = i64(usage.output_tokens)
    if usage.total_tokens is not None:
        message.total_tokens = i64(usage.total_tokens)
    if usage.cached_input_tokens is not None:
        message.cached_input_tokens = i64(usage.cached_input_tokens)
    if usage.reasoning_tokens is not None:
        message.reasoning_tokens = i64(usage.reasoning_tokens)
    if usage.cache_write_tokens is not None:
        message.cache_write_tokens = i64(usage.cache_write_tokens)
    message.source = PB_USAGE_SOURCES[usage.source]
    if cost is not None:
        message.cost.nanos, message.cost.currency = i64(cost.nanos), cost.currency


def encode_warning(message: pb.Warning, warning: domain.Warning) -> None:
    """Write one warning."""
    message.code, message.field, message.message = warning.code, warning.field, warning.message
