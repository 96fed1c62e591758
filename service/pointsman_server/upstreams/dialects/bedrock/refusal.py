"""The provider's errors in our vocabulary. Each has a name, which decides before the status does.

Source: the service's model in botocore 1.44 (names, statuses, what a stream may tell) and the common errors of AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_object, as_text, parse
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    bounded_word,
    provider_error,
    reason_by_status,
    retry_after_s,
    should_retry,
    whole_number,
)

_ERROR_TYPE = "x-amzn-errortype"

_NAMES: Mapping[str, Reason] = {
    "accessdenied": Reason.UPSTREAM_PERMISSION_DENIED,
    "resourcenotfound": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "validation": Reason.UPSTREAM_REJECTED,
    "conflict": Reason.UPSTREAM_CONFLICT,
    "throttling": Reason.UPSTREAM_RATE_LIMITED,
    "throttled": Reason.UPSTREAM_RATE_LIMITED,
    "toomanyrequests": Reason.UPSTREAM_RATE_LIMITED,
    "requestlimitexceeded": Reason.UPSTREAM_RATE_LIMITED,
    "servicequotaexceeded": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    # The model is being loaded: it comes as 429, and AWS's own clients ask again.
    "modelnotready": Reason.UPSTREAM_UNAVAILABLE,
    "modeltimeout": Reason.UPSTREAM_TIMEOUT,
    "modelerror": Reason.UPSTREAM_ERROR,
    "modelstreamerror": Reason.UPSTREAM_ERROR,
    "internalserver": Reason.UPSTREAM_ERROR,
    "internalfailure": Reason.UPSTREAM_ERROR,
    "serviceunavailable": Reason.UPSTREAM_UNAVAILABLE,
    # Of the signature and of who signed.
    "unrecognizedclient": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "invalidclienttokenid": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "invalidsignature": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "signaturedoesnotmatch": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "incompletesignature": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "missingauthenticationtoken": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "expiredtoken": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "requestexpired": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "notauthorized": Reason.UPSTREAM_PERMISSION_DENIED,
    "optinrequired": Reason.UPSTREAM_PERMISSION_DENIED,
}
"""Names in lower case, without the `Exception` that most end in: streams write them in another case."""
_SUFFIXES = ("exception", "error")
_TEXTS: Mapping[Reason, tuple[tuple[re.Pattern[str], Reason], ...]] = {
    Reason.UPSTREAM_REJECTED: (
        (
            re.compile(
                r"(?:input|prompt) is too long|too many input tokens|context (?:length|window|limit)"
                r"|maximum (?:context|number of (?:input )?tokens)|exceeds? the (?:maximum|limit) (?:of )?\d* ?tokens"
                r"|input tokens? (?:count )?exceeds?|expected max\w*: \d+, actual: \d+.*tokens",
                re.IGNORECASE,
            ),
            Reason.CONTEXT_LENGTH_EXCEEDED,
        ),
        (re.compile(r"model identifier is invalid", re.IGNORECASE), Reason.UPSTREAM_MODEL_NOT_FOUND),
        (re.compile(r"content filter", re.IGNORECASE), Reason.CONTENT_BLOCKED),
    ),
    # The quota of a day comes under the name of the rate.
    Reason.UPSTREAM_RATE_LIMITED: (
        (re.compile(r"\b(?:per|a) day\b|\bdaily\b", re.IGNORECASE), Reason.UPSTREAM_QUOTA_EXHAUSTED),
    ),
    Reason.UPSTREAM_UNAVAILABLE: (
        (re.compile(r"capacity|overload|too many", re.IGNORECASE), Reason.UPSTREAM_OVERLOADED),
    ),
}
"""What only the text of an error tells, by what it is without that."""


def read_refusal(status: int, headers: Headers, body: bytes, id_headers: Iterable[str]) -> ServiceError:
    """What a status that is not 2xx means."""
    said = say(as_object(parse(body)), headers.get(_ERROR_TYPE, ""))
    upstream = UpstreamFault(
        http_status=status,
        request_id=answer_id(headers, id_headers),
        retryable=should_retry(headers),
    )
    reason = reason_of(status, said) if 400 <= status < 600 else Reason.UPSTREAM_BAD_RESPONSE
    return provider_error(reason, said, upstream, retry_after=retry_after_s(headers))


def answered_error(said: Said, place: Place) -> ServiceError:
    """What an error told under status 200 means."""
    return provider_error(reason_of(said.status, said), said, place.fault(stream_status=said.status))


def reason_of(status: int, said: Said) -> Reason:
    """The reason: by name and by what the text admits, then by status (0: none was told)."""
    name = said.code.lower()
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix) if name not in _NAMES else name
    reason = _NAMES.get(name)
    if reason is None:
        reason = reason_by_status(status) if status else Reason.UPSTREAM_ERROR
    for pattern, told in _TEXTS.get(reason, ()):
        if pattern.search(said.message):
            return told
    return reason


def say(document: Mapping[str, Any], name: str) -> Said:
    """The words of an error. Its name stands in a header as `Name:url`, or in the body as `namespace#Name`."""
    code = name or as_text(document.get("__type")) or as_text(document.get("code"))
    return Said(
        message=as_text(document.get("message")) or as_text(document.get("Message")),
        code=bounded_word(code.partition(":")[0].rpartition("#")[2].strip()),
        status=whole_number(document.get("originalStatusCode"), 599) or 0,
    )
