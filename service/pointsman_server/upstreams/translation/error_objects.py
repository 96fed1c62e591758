"""Errors told as an `error` object, the form that OpenAI began with and many others took over, in our vocabulary.

The words decide before the status does: a 429 may mean that money is used up, a 400 that the context is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers
from pointsman_server.upstreams.translation.documents import as_list, as_object, parse
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    bounded_word,
    provider_error,
    rate_reset_s,
    reason_by_code,
    reason_by_status,
    retry_after_s,
    seconds,
    should_retry,
)

_WORDS: Mapping[str, Reason] = {
    "insufficient_quota": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "billing_not_active": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "insufficient_credits": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "rate_limit_exceeded": Reason.UPSTREAM_RATE_LIMITED,
    "rate_limit_error": Reason.UPSTREAM_RATE_LIMITED,
    "rate_limited": Reason.UPSTREAM_RATE_LIMITED,
    "ratelimiterror": Reason.UPSTREAM_RATE_LIMITED,
    "too_many_requests": Reason.UPSTREAM_RATE_LIMITED,
    "context_length_exceeded": Reason.CONTEXT_LENGTH_EXCEEDED,
    "exceed_context_size_error": Reason.CONTEXT_LENGTH_EXCEEDED,
    "content_policy_violation": Reason.CONTENT_BLOCKED,
    "content_filter": Reason.CONTENT_BLOCKED,
    "moderation_blocked": Reason.CONTENT_BLOCKED,
    "invalid_prompt": Reason.CONTENT_BLOCKED,
    "responsibleaipolicyviolation": Reason.CONTENT_BLOCKED,
    "invalid_api_key": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "authentication_error": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "account_deactivated": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "permission_error": Reason.UPSTREAM_PERMISSION_DENIED,
    "permission_denied": Reason.UPSTREAM_PERMISSION_DENIED,
    "unsupported_country_region_territory": Reason.UPSTREAM_PERMISSION_DENIED,
    "model_not_found": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "invalid_model": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "notfounderror": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "not_found_error": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "engine_overloaded": Reason.UPSTREAM_OVERLOADED,
    "overloaded_error": Reason.UPSTREAM_OVERLOADED,
    "server_overloaded": Reason.UPSTREAM_OVERLOADED,
    "slow_down": Reason.UPSTREAM_OVERLOADED,
    "overloaded": Reason.UPSTREAM_OVERLOADED,
    "service_tier_capacity_exceeded": Reason.UPSTREAM_OVERLOADED,
    # vLLM's word for a full queue.
    "serviceunavailableerror": Reason.UPSTREAM_OVERLOADED,
    "service unavailable": Reason.UPSTREAM_OVERLOADED,
    # llama.cpp's, while it loads a model.
    "unavailable_error": Reason.UPSTREAM_UNAVAILABLE,
    "unhealthy": Reason.UPSTREAM_UNAVAILABLE,
    "timeout": Reason.UPSTREAM_TIMEOUT,
    # TGI's, with 424: the model failed, not the request.
    "generation": Reason.UPSTREAM_ERROR,
    "incomplete_generation": Reason.UPSTREAM_ERROR,
    "notimplementederror": Reason.UPSTREAM_UNIMPLEMENTED,
}
"""Codes and types that say enough, in lower case."""
_NONE: Mapping[str, Reason] = {}
_QUOTAS = ("x-ratelimit-limit-req-minute", "x-ratelimit-limit-tokens-minute")
"""A limit of 0 is none that a wait would help with (Mistral)."""
_VAGUE: Mapping[str, Reason] = {
    "invalid_request_error": Reason.UPSTREAM_REJECTED,
    "badrequesterror": Reason.UPSTREAM_REJECTED,
    "validation": Reason.UPSTREAM_REJECTED,
}
"""Types that accompany many statuses, so that they count only where there is no status."""
_CONTEXT = re.compile(
    r"maximum context length|max(?:imum)? model len|context (?:length|window|size)|context_length"
    r"|prompt (?:is|was) too long|input is too long|too many input tokens|range of input length"
    r"|inputs` (?:tokens \+|must have less than)|too large for model with \d+ maximum",
    re.IGNORECASE,
)
_WITHIN = re.compile(r"<([45]\d\d)> ?(?:([A-Za-z][A-Za-z.]{0,63}):)?", re.ASCII)
"""An error that a gateway quotes in its own (DashScope): "<400> InternalError.Algo.InvalidParameter: ..."."""
_OVERLOAD = re.compile(
    r"overload|at capacity|capacity exceeded|server busy|queue|slow down|too many (?:pending|concurrent)"
    r"|maximum pending",
    re.IGNORECASE,
)


def read_refusal(
    status: int,
    headers: Headers,
    body: bytes,
    codes: Mapping[str, Reason] = _NONE,
    id_headers: Iterable[str] = ("x-request-id",),
) -> ServiceError:
    """What a status that is not 2xx means; `codes` and `id_headers` as in the provider's profile."""
    document = parse(body)
    said = say(document) or Said()
    upstream = UpstreamFault(
        http_status=status,
        request_id=answer_id(headers, id_headers) or told_id(document),
        retryable=should_retry(headers),
    )
    reason = Reason.UPSTREAM_BAD_RESPONSE
    if 400 <= status < 600:
        reason = reason_of(status, said, codes)
    if reason is Reason.UPSTREAM_RATE_LIMITED and any(headers.get(name) == "0" for name in _QUOTAS):
        reason = Reason.UPSTREAM_QUOTA_EXHAUSTED
    wait_s = retry_after_s(headers)
    if wait_s is None:
        wait_s = said.retry_after_s
    if wait_s is None and reason is Reason.UPSTREAM_RATE_LIMITED:
        wait_s = rate_reset_s(headers)
    return provider_error(reason, said, upstream, retry_after=wait_s)


def answered_error(
    said: Said, upstream: UpstreamFault, headers: Headers, codes: Mapping[str, Reason] = _NONE
) -> ServiceError:
    """What an error told under status 200 means; its own code counts as the status."""
    reason = reason_of(said.status, said, codes)
    wait_s = said.retry_after_s if said.retry_after_s is not None else retry_after_s(headers)
    return provider_error(reason, said, upstream, retry_after=wait_s)


def reason_of(status: int, said: Said, codes: Mapping[str, Reason] = _NONE) -> Reason:
    """The reason: by code, then by type, then by what the text admits, then by status (0: none was told).

    Of each word, what the provider itself means by it (`codes`) stands above what it means elsewhere.
    """
    within = _WITHIN.match(said.message)
    quoted = "" if within is None else within[2] or ""
    for word in (said.code, said.type, quoted):
        reason = reason_by_code(word, codes) or _WORDS.get(word.lower())
        if reason is not None:
            return reason
    if within is not None and status in (0, 500):
        status = int(within[1])
    if status in (0, 400, 413, 422, 500) and (said.param == "input_tokens" or _CONTEXT.search(said.message)):
        return Reason.CONTEXT_LENGTH_EXCEEDED
    if status in (0, 500, 503) and _OVERLOAD.search(said.message):
        return Reason.UPSTREAM_OVERLOADED
    return reason_by_status(status) if status else _VAGUE.get(said.type.lower(), Reason.UPSTREAM_ERROR)


def told_id(document: object) -> str:
    """The id of the request in an error's body; some call it by the same name as an answer's."""
    told = as_object(document)
    return bounded_word(told.get("request_id")) or bounded_word(told.get("id"))


def say(document: object) -> Said | None:
    """The words of an error body; None when it is none that we know.

    Seen: {"error": {...}}, {"error": "text"}, {"error": ["text"]}, {"detail": "text"}, {"detail": [{"loc", "msg"}]},
    {"message": ...}, {"object": "error", ...}, {"error_code", "error_msg"}, and a list around one of these.
    """
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict):
        return None
    words: dict[str, Any] = {"estimated_time": document.get("estimated_time")}
    error = document.get("error")
    if isinstance(error, dict):
        return _said({**error, **words})
    if bounded_word(document.get("error_code")).strip("0"):
        return _said({"code": document.get("error_code"), "message": document.get("error_msg")})
    if isinstance(error, list):
        error = _detail(error)
    if isinstance(error, str) and error:
        return _said({"message": error, "type": document.get("error_type"), **words})
    if detail := document.get("detail"):
        return _said({"message": _detail(detail), "param": _places(detail)})
    if isinstance(document.get("message"), str) or document.get("object") == "error":
        return _said(document)
    return None


def _said(words: Mapping[str, Any]) -> Said:
    code, message, param = words.get("code"), words.get("message"), words.get("param")
    if isinstance(message, dict):
        inner = message.get("detail")
        message, param = _detail(inner), _places(inner)
    return Said(
        message=message if isinstance(message, str) else "",
        code=bounded_word(code),
        type=bounded_word(words.get("type")),
        param=bounded_word(param),
        status=_status(code),
        retry_after_s=seconds(words.get("estimated_time")),
    )


def _status(code: object) -> int:
    """A code that is a status, 0 for any other."""
    word = bounded_word(code)
    number = int(word) if len(word) == 3 and word.isascii() and word.isdigit() else 0
    return number if 400 <= number < 600 else 0


def _detail(detail: object) -> str:
    """The text of FastAPI's `detail`: one, or a list of faults."""
    if isinstance(detail, str):
        return detail
    texts = [item.get("msg") if isinstance(item, dict) else item for item in as_list(detail)[:8]]
    return "; ".join(text for text in texts if isinstance(text, str))


def _places(detail: object) -> str:
    """Where its faults are."""
    places = [item.get("loc") for item in as_list(detail)[:8] if isinstance(item, dict)]
    steps = [".".join(map(bounded_word, place[:8])) for place in places if isinstance(place, list)]
    return ", ".join(step for step in steps if step)
