"""What is told of a call and its attempts: records -> fields of the access line and attributes of spans. Pure."""

from __future__ import annotations

from pointsman_server.context import Attempt, AttemptRecord, RoutingReport
from pointsman_server.domain import (
    AnyCall,
    Call,
    Conversation,
    CountCall,
    EmbedCall,
    JsonObject,
    JsonSchema,
    Usage,
    UsageSource,
)
from pointsman_server.errors import Reason
from pointsman_server.telemetry import conventions as names
from pointsman_server.telemetry.facade import CallRecord
from pointsman_server.telemetry.redaction import failure_fields

OK = "OK"
MAX_NAME = 512
"""Of a name that comes from outside."""
Attributes = dict[str, str | int | float | bool | tuple[str, ...]]


def outcome(reason: Reason | None) -> str:
    """The reason, or OK."""
    return OK if reason is None else reason.value


def milliseconds(seconds: float | None) -> float | None:
    """For people."""
    return None if seconds is None else round(seconds * 1000, 1)


def operation(attempt: Attempt[AnyCall]) -> str:
    """What the GenAI conventions call this kind of call; they have no word for counting tokens."""
    match attempt.call:
        case EmbedCall():
            return "embeddings"
        case CountCall():
            return "count_tokens"
        case Call(input=Conversation()):
            return "chat"
        case Call():
            return "text_completion"


def provider(attempt: Attempt[AnyCall]) -> str:
    """What the GenAI conventions call this provider."""
    return names.PROVIDERS.get(attempt.target.provider, attempt.target.provider)


def access_fields(record: CallRecord) -> dict[str, object]:
    """The access line of one call; what is not known is left out."""
    context = record.context
    fields: dict[str, object] = {
        "request_id": context.request_id,
        "trace_id": context.span.trace_id,
        "method": context.method,
        "principal": context.principal.name,
        "code": record.code,
        "duration_ms": milliseconds(record.duration_s),
        "stream": context.stream,
        "peer": context.peer,
        "request_bytes": record.request_bytes,
        "messages_sent": record.messages_sent,
    }
    if record.reason is not None:
        fields["reason"] = record.reason.value
    if record.report is not None:
        _add_report(fields, record.report)
    if record.cause is not None:
        fields.update(failure_fields(record.cause))
    return fields


def _add_report(fields: dict[str, object], report: RoutingReport) -> None:
    # A model that is not here is called what the caller called it.
    fields["model"] = report.model[:MAX_NAME]
    fields["policy"] = report.policy
    fields["decision"] = report.decision_reason
    fields["attempts"] = [_short(attempt) for attempt in report.attempts]
    fields["queue_ms"] = milliseconds(report.queue_s)
    if report.first_content_s is not None:
        fields["first_token_ms"] = milliseconds(report.first_content_s)
    if report.fallback_used:
        fields["fallback_used"] = True
    if report.warnings:
        fields["warnings"] = [warning.field[:MAX_NAME] for warning in report.warnings[:16]]
    if (served := report.served) is not None:
        fields["backend"] = served.backend
        if served.endpoint:
            fields["endpoint"] = served.endpoint
        fields["provider"] = served.provider
        fields["upstream_model"] = served.model
    if report.opened is not None and report.opened.upstream_request_id:
        fields["upstream_request_id"] = report.opened.upstream_request_id[:MAX_NAME]
    if (usage := report.usage) is not None:
        _add_usage(fields, usage)
    if (cost := report.cost) is not None:
        fields["cost_nanos"] = cost.nanos
        fields["currency"] = cost.currency


def _add_usage(fields: dict[str, object], usage: Usage) -> None:
    if usage.source is UsageSource.ESTIMATED:
        fields["usage_source"] = usage.source.value.lower()
    if usage.input_tokens is not None:
        fields["input_tokens"] = usage.input_tokens
    if usage.output_tokens is not None:
        fields["output_tokens"] = usage.output_tokens
    if usage.cached_input_tokens is not None:
        fields["cached_tokens"] = usage.cached_input_tokens


def _short(record: AttemptRecord) -> dict[str, object]:
    short: dict[str, object] = {
        "backend": record.target.backend, "reason": outcome(record.reason), "ms": milliseconds(record.latency_s),
    }  # fmt: skip
    if record.target.endpoint:
        short["endpoint"] = record.target.endpoint
    if record.http_status:
        short["http_status"] = record.http_status
    if record.hedge:
        short["hedge"] = True
    if record.reason is not None and record.cost is not None and record.cost.nanos:
        short["cost_nanos"] = record.cost.nanos
    return short


def call_attributes(record: CallRecord) -> Attributes:
    """What a recorded call's span carries beside its ids."""
    attributes: Attributes = {names.PRINCIPAL: record.context.principal.name}
    report = record.report
    if report is None:
        return attributes
    attributes[names.MODEL] = report.model
    attributes[names.POLICY] = report.policy
    attributes[names.DECISION] = report.decision_reason
    attributes[names.ATTEMPTS] = len(report.attempts)
    if report.fallback_used:
        attributes[names.FALLBACK] = True
    if report.queue_s:
        attributes[names.QUEUE_WAIT] = report.queue_s
    if report.first_content_s is not None:
        attributes[names.FIRST_CONTENT] = report.first_content_s
    if report.served is not None:
        attributes[names.BACKEND] = report.served.backend
    if (opened := report.opened) is not None:
        for name, value in (
            (names.RESPONSE_ID, opened.response_id),
            (names.RESPONSE_MODEL, opened.model),
            (names.UPSTREAM_ID, opened.upstream_request_id),
        ):
            if value:
                attributes[name] = value
    return attributes


def attempt_attributes(attempt: Attempt[AnyCall], address: tuple[str, int] | None) -> Attributes:
    """What an attempt's span carries from its start."""
    attributes: Attributes = {
        names.OPERATION: operation(attempt),
        names.PROVIDER: provider(attempt),
        names.REQUEST_MODEL: attempt.target.model,
        names.REQUEST_STREAM: attempt.stream,
        names.REQUEST_ID: attempt.request_id,
        names.ATTEMPT: attempt.number,
        names.BACKEND: attempt.target.backend,
    }
    if address is not None:
        attributes[names.SERVER_ADDRESS], attributes[names.SERVER_PORT] = address
    call = attempt.call
    if isinstance(call, EmbedCall) and call.dimensions is not None:
        attributes[names.EMBEDDING_DIMENSIONS] = call.dimensions
    if isinstance(call, Call):
        _add_generation(attributes, call)
    return attributes


def _add_generation(attributes: Attributes, call: Call) -> None:
    generation = call.generation
    if isinstance(call.output_format, (JsonSchema, JsonObject)):
        attributes[names.OUTPUT_TYPE] = "json"
    if generation.n is not None and generation.n != 1:
        attributes[names.REQUEST_CHOICES] = generation.n
    for name, value in (
        (names.REQUEST_MAX_TOKENS, generation.max_output_tokens),
        (names.REQUEST_TEMPERATURE, generation.temperature),
        (names.REQUEST_TOP_P, generation.top_p),
        (names.REQUEST_TOP_K, generation.top_k),
        (names.REQUEST_SEED, generation.seed),
        (names.REQUEST_PRESENCE, generation.presence_penalty),
        (names.REQUEST_FREQUENCY, generation.frequency_penalty),
    ):
        if value is not None:
            attributes[name] = value


def result_attributes(record: AttemptRecord) -> Attributes:
    """What an attempt's span carries from its end."""
    attributes: Attributes = {}
    if record.http_status:
        attributes[names.HTTP_STATUS] = record.http_status
    if record.hedge:
        attributes[names.HEDGE] = True
    if record.connect_s is not None:
        attributes[names.CONNECT] = record.connect_s
    if record.first_content_s is not None:
        attributes[names.FIRST_CHUNK] = record.first_content_s
    if record.usage is not None:
        for name, count in (
            (names.INPUT_TOKENS, record.usage.input_tokens),
            (names.OUTPUT_TOKENS, record.usage.output_tokens),
            (names.CACHED_TOKENS, record.usage.cached_input_tokens),
            (names.CACHE_WRITE_TOKENS, record.usage.cache_write_tokens),
            (names.REASONING_TOKENS, record.usage.reasoning_tokens),
        ):
            if count is not None:
                attributes[name] = count
    return attributes
