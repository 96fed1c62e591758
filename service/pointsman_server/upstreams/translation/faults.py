"""What every dialect needs to turn a provider's error into ours: bounds, redaction, waits, and what a status means.

Nothing here knows a provider's own codes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers

MAX_MESSAGE = 256
MAX_WORD = 128
_HIDDEN = "***"
_SCANNED = 4096
"""Characters of a message that are looked at."""

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(://)[^/\s@]{1,256}@"), rf"\1{_HIDDEN}@"),
    (re.compile(r"(https?://[^\s?#]{1,512})[?#]\S+"), rf"\1?{_HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s,;'\"]{4,}"), rf"\1 {_HIDDEN}"),
    (
        re.compile(
            r"(?i)\b((?:[a-z]{1,16}[-_]){0,3}(?:api[-_]?key|authorization|token|secret|password|passwd))"
            r"(['\"]?\s*[=:]\s*)(?:['\"][^'\"]*['\"]|(?!\s)[^\s'\",;}*]{8,})"
        ),
        rf"\1\2{_HIDDEN}",
    ),
    (re.compile(r"\b(?:sk|pk|rk|hf|gsk|xai|ghp|gho|ghs|xox[abps]|key)[-_][A-Za-z0-9_-]{8,}"), _HIDDEN),
    (re.compile(r"\bAIza[0-9A-Za-z_-]{20,}|\b(?:AKIA|ASIA)[0-9A-Z]{12,}"), _HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}"), _HIDDEN),
    (re.compile(r"[A-Za-z0-9+/_=-]{40,}"), _HIDDEN),
)
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Said:
    """A provider's error in its own words."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""
    status: int = 0
    """A status that the body tells, 0 without one."""
    retry_after_s: float | None = None


def clean_text(text: str) -> str:
    """Text that can be encoded: pairs of surrogates joined, lone ones replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def bounded_message(text: str) -> str:
    """A provider's message for the caller: one line, without what looks like a credential, 256 characters at most."""
    line = " ".join(clean_text(text[:_SCANNED]).split())
    line = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line
    )
    for pattern, replacement in _SECRETS:
        line = pattern.sub(replacement, line)
    return line if len(line) <= MAX_MESSAGE else f"{line[: MAX_MESSAGE - 3]}..."


def bounded_word(value: object) -> str:
    """A provider's code, type or id as a short string; numbers as their digits, anything else as nothing."""
    # Nearly all that come.
    if type(value) is str and len(value) <= MAX_WORD and value.isascii():
        return value if value.isprintable() else ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else ""
    text = clean_text(value[:MAX_WORD])
    return text if text.isprintable() else ""


def whole_number(value: object, most: int = 2**63 - 1) -> int | None:
    """A count from 0; None for anything else. A float that is whole counts."""
    if value is None:
        return None
    if type(value) is int:
        return value if 0 <= value <= most else None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value) if 0 <= value <= most else None
    return None


def seconds(value: object) -> float | None:
    """A wait: a number that is finite and not negative, or the text of one."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= 32 else math.nan
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 1e9 else None


def retry_after_s(headers: Headers) -> float | None:
    """The wait that the headers ask for: `retry-after-ms` is the finer word; a date is taken from the answer's own."""
    if (milliseconds := seconds(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    if (wait_s := seconds(text.strip())) is not None:
        return wait_s
    until, now = _moment(text), _moment(headers.get("date", ""))
    return None if until is None or now is None else max(0.0, until - now)


def rate_reset_s(headers: Headers) -> float | None:
    """When the limits that are used up begin anew, from `x-ratelimit-reset-*`; without a count of what is left, all."""
    waits = []
    for kind in ("requests", "tokens"):
        remaining = seconds(headers.get(f"x-ratelimit-remaining-{kind}"))
        wait_s = duration_s(headers.get(f"x-ratelimit-reset-{kind}", ""))
        if wait_s is not None and not remaining:
            waits.append(wait_s)
    return max(waits, default=None)


def reset_moment_s(headers: Headers, name: str) -> float | None:
    """The wait until a moment that a header tells in Unix seconds, by the answer's own clock."""
    text, now = headers.get(name, "").strip(), _moment(headers.get("date", ""))
    if now is None or not (0 < len(text) <= 12 and text.isascii() and text.isdecimal()):
        return None
    return max(0.0, min(int(text) - now, 1e9))


def duration_s(text: str) -> float | None:
    """A duration such as 6m0s, 1.5s or 20ms; a bare number is seconds."""
    text = text.strip()
    if not text or len(text) > 32:
        return None
    if (plain := seconds(text)) is not None:
        return plain
    found = _DURATION.match(text)
    if found is None:
        return None
    hours, minutes, secs, milliseconds = (float(group or 0) for group in found.groups())
    return hours * 3600 + minutes * 60 + secs + milliseconds / 1000


def should_retry(headers: Headers) -> bool | None:
    """The provider's own word on whether to ask again, which stands above any status."""
    word = headers.get("x-should-retry", "").strip().lower()
    return {"true": True, "false": False}.get(word)


_BY_STATUS: Mapping[int, Reason] = {
    401: Reason.UPSTREAM_CREDENTIALS_INVALID,
    402: Reason.UPSTREAM_QUOTA_EXHAUSTED,
    403: Reason.UPSTREAM_PERMISSION_DENIED,
    404: Reason.UPSTREAM_MODEL_NOT_FOUND,
    408: Reason.UPSTREAM_TIMEOUT,
    409: Reason.UPSTREAM_CONFLICT,
    413: Reason.REQUEST_TOO_LARGE,
    425: Reason.UPSTREAM_UNAVAILABLE,
    429: Reason.UPSTREAM_RATE_LIMITED,
    498: Reason.UPSTREAM_CREDENTIALS_INVALID,
    499: Reason.UPSTREAM_ERROR,
    500: Reason.UPSTREAM_ERROR,
    501: Reason.UPSTREAM_UNIMPLEMENTED,
    502: Reason.UPSTREAM_UNAVAILABLE,
    503: Reason.UPSTREAM_UNAVAILABLE,
    504: Reason.UPSTREAM_TIMEOUT,
    # Cloudflare's own: the origin is down, or did not answer in time.
    520: Reason.UPSTREAM_UNAVAILABLE,
    521: Reason.UPSTREAM_UNAVAILABLE,
    522: Reason.UPSTREAM_TIMEOUT,
    523: Reason.UPSTREAM_UNAVAILABLE,
    524: Reason.UPSTREAM_TIMEOUT,
    529: Reason.UPSTREAM_OVERLOADED,
}


def answer_id(headers: Headers, names: Iterable[str]) -> str:
    """The provider's own id of the request, from the first of these headers that tells one."""
    return next((word for name in names if (word := bounded_word(headers.get(name, "")))), "")


def reason_by_code(code: str, codes: Mapping[str, Reason]) -> Reason | None:
    """What a code means; where codes are refined behind dots, that of the nearest one known."""
    word = code.lower()
    while word:
        if (reason := codes.get(word)) is not None:
            return reason
        word = word.rpartition(".")[0]
    return None


def reason_by_status(status: int) -> Reason:
    """What a status means where the body says nothing better."""
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if 400 <= status < 500:
        return Reason.UPSTREAM_REJECTED
    return Reason.UPSTREAM_ERROR if 500 <= status < 600 else Reason.UPSTREAM_BAD_RESPONSE


DETAILS: Mapping[Reason, str] = {
    Reason.UPSTREAM_RATE_LIMITED: "the upstream's rate limit is reached",
    Reason.UPSTREAM_QUOTA_EXHAUSTED: "the upstream's quota is used up",
    Reason.UPSTREAM_OVERLOADED: "the upstream is overloaded",
    Reason.UPSTREAM_UNAVAILABLE: "the upstream is not available",
    Reason.UPSTREAM_TIMEOUT: "the upstream gave up waiting",
    Reason.UPSTREAM_ERROR: "the upstream failed",
    Reason.UPSTREAM_BAD_RESPONSE: "the upstream's answer is none that can be understood",
    Reason.UPSTREAM_TRUNCATED: "the upstream's answer ended before it was complete",
    Reason.UPSTREAM_CREDENTIALS_INVALID: "the upstream does not accept our credentials",
    Reason.UPSTREAM_PERMISSION_DENIED: "the upstream does not permit this",
    Reason.UPSTREAM_MODEL_NOT_FOUND: "the upstream has no such model",
    Reason.UPSTREAM_REJECTED: "the upstream rejected the request",
    Reason.UPSTREAM_CONFLICT: "the upstream reports a conflict",
    Reason.UPSTREAM_UNIMPLEMENTED: "the upstream cannot do this",
    Reason.REQUEST_TOO_LARGE: "the request is too large for the upstream",
    Reason.CONTEXT_LENGTH_EXCEEDED: "the request is longer than the model's context",
    Reason.CONTENT_BLOCKED: "the upstream's content filter blocked the request",
}
_REPAIRABLE = frozenset(
    {
        Reason.UPSTREAM_REJECTED, Reason.REQUEST_TOO_LARGE, Reason.CONTEXT_LENGTH_EXCEEDED, Reason.CONTENT_BLOCKED,
        Reason.UPSTREAM_UNIMPLEMENTED, Reason.UPSTREAM_CONFLICT,
    }
)  # fmt: skip
"""Here the provider's words help the caller to repair the request, so they are part of the detail."""


def provider_error(
    reason: Reason, said: Said, upstream: UpstreamFault, *, retry_after: float | None = None
) -> ServiceError:
    """The error, complete; `upstream` brings what is known beside the words, which are bounded here."""
    message = bounded_message(said.message)
    detail = DETAILS[reason]
    if message and reason in _REPAIRABLE:
        detail = f"{detail}: {message}"
        if said.param and said.param not in message:
            detail = f"{detail} ({bounded_message(said.param)})"
    return ServiceError(
        reason,
        detail,
        retry_after_s=retry_after,
        upstream=UpstreamFault(
            http_status=upstream.http_status,
            stream_status=upstream.stream_status,
            # Some servers put whole sentences there.
            code=bounded_word(bounded_message(said.code)),
            type=bounded_word(bounded_message(said.type)),
            message=message,
            request_id=upstream.request_id,
            response_id=upstream.response_id,
            in_stream=upstream.in_stream,
            retryable=upstream.retryable,
        ),
    )


def failed_ending(
    raw: str, upstream: UpstreamFault, *, reason: Reason = Reason.UPSTREAM_ERROR, message: str = ""
) -> ServiceError:
    """The failure that a provider told as the ending of an answer, in its word for it."""
    error = provider_error(reason, Said(message=message), upstream)
    error.detail = f"the upstream ended the answer with {bounded_word(bounded_message(raw))!r}"
    if message and reason in _REPAIRABLE:
        error.detail = f"{error.detail}: {bounded_message(message)}"
    return error


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if 0 < len(text) <= 64 else None
    except (ValueError, TypeError, OverflowError):
        return None
