"""The dialect's errors in our vocabulary: numbers, nearly always under status 200."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers
from pointsman_server.upstreams.translation import baidu
from pointsman_server.upstreams.translation.documents import as_object, parse
from pointsman_server.upstreams.translation.error_objects import say, told_id
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    bounded_word,
    provider_error,
    reason_by_status,
    retry_after_s,
)
from pointsman_server.upstreams.translation.profile import Profile

_TOKEN = frozenset({"110", "111"})
"""The same call may be sent again as it is, with a new token."""
_TOO_LONG = re.compile(
    r"max(?:imum)? (?:input )?(?:characters|tokens|length)|too long|exceeds? .{0,40}length", re.IGNORECASE
)
_UNSAFE = re.compile(r"unsafe|sensitive|content (?:audit|review|inspection)", re.IGNORECASE)


def read_refusal(status: int, headers: Headers, body: bytes, profile: Profile) -> ServiceError:
    """What a status that is not 2xx means; gateways in front tell error objects."""
    told = as_object(parse(body))
    upstream = UpstreamFault(
        http_status=status, request_id=answer_id(headers, profile.answer_id_headers) or told_id(told)
    )
    return _map_error(say(told) or Said(), status, upstream, headers)


def tells_error(told: Mapping[str, Any]) -> bool:
    """Whether a document tells an error in place of an answer, or in the middle of one."""
    return bool(bounded_word(told.get("error_code")).strip("0") or told.get("error"))


def answered_error(told: Mapping[str, Any], upstream: UpstreamFault, headers: Headers) -> ServiceError:
    """What an error told under status 200 means."""
    return _map_error(say(told) or Said(), 0, upstream, headers)


def _map_error(said: Said, status: int, upstream: UpstreamFault, headers: Headers) -> ServiceError:
    reason = baidu.ERROR_CODES.get(said.code)
    if reason is None:
        reason = reason_by_status(status) if status else Reason.UPSTREAM_ERROR
    if reason is Reason.UPSTREAM_REJECTED and _TOO_LONG.search(said.message):
        reason = Reason.CONTEXT_LENGTH_EXCEEDED
    elif reason is Reason.UPSTREAM_REJECTED and _UNSAFE.search(said.message):
        reason = Reason.CONTENT_BLOCKED
    if said.code in _TOKEN:
        upstream = replace(upstream, retryable=True)
    return provider_error(reason, said, upstream, retry_after=retry_after_s(headers))
