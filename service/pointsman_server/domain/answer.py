"""A whole answer, as the fold of its events gives it."""

from __future__ import annotations

from pointsman_server.domain.events import FinishReason, SafetyRating, TokenLogprob
from pointsman_server.domain.request import Part
from pointsman_server.domain.usage import Usage
from pointsman_server.values import value


@value(frozen=True, slots=True)
class Candidate:
    """One of the answers to a call."""

    index: int
    parts: tuple[Part, ...]
    finish_reason: FinishReason | None
    finish_reason_raw: str = ""
    stop_sequence: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    safety: tuple[SafetyRating, ...] = ()


@value(frozen=True, slots=True)
class Answer:
    """What a unary caller gets, apart from how it was routed."""

    response_id: str
    model: str
    candidates: tuple[Candidate, ...]
    usage: Usage | None
    created_s: int | None = None
    service_tier: str = ""
    upstream_request_id: str = ""
