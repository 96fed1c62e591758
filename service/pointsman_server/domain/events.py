"""What an upstream yields while it answers: increments, never cumulative."""

from __future__ import annotations

import enum

from pointsman_server.domain.request import Citation, Part, ReasoningKind
from pointsman_server.domain.usage import Usage
from pointsman_server.values import value


class FinishReason(enum.Enum):
    """Why a candidate ended."""

    STOP = "STOP"
    MAX_TOKENS = "MAX_TOKENS"
    TOOL_CALLS = "TOOL_CALLS"
    CONTENT_FILTER = "CONTENT_FILTER"
    ERROR = "ERROR"
    OTHER = "OTHER"


class DeltaKind(enum.Enum):
    """What a delta extends."""

    TEXT = "TEXT"
    REASONING = "REASONING"
    TOOL_CALL = "TOOL_CALL"
    REFUSAL = "REFUSAL"
    SIGNATURE = "SIGNATURE"
    PART = "PART"


@value(frozen=True, slots=True)
class TokenLogprob:
    """One token with its natural-log probability and the alternatives to it."""

    token: str
    logprob: float
    token_bytes: bytes = b""
    top: tuple[TokenLogprob, ...] = ()


@value(frozen=True, slots=True)
class SafetyRating:
    """A provider's judgement of content, in its own words."""

    category: str
    severity: str = ""
    blocked: bool = False
    explanation: str = ""


@value(frozen=True, slots=True)
class Opened:
    """The upstream named its answer; it has not produced content yet."""

    response_id: str = ""
    model: str = ""
    """The model's name as the upstream reports it."""
    created_s: int | None = None
    """Seconds since the epoch, as the upstream reports it."""
    service_tier: str = ""
    upstream_request_id: str = ""


@value(frozen=True, slots=True)
class Delta:
    """An increment of one part of one candidate. Parts are numbered from 0 in the order of their first delta."""

    candidate: int
    part: int
    kind: DeltaKind
    text: str = ""
    """Text, reasoning, refusal, or a tool call's arguments (JSON), by kind."""
    tool_id: str = ""
    """With the first piece of a tool call."""
    tool_name: str = ""
    """With the first piece of a tool call."""
    data: bytes = b""
    """A signature's bytes."""
    whole: Part | None = None
    """A part that comes in one piece."""
    reasoning_kind: ReasoningKind | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    citations: tuple[Citation, ...] = ()
    origin: str = ""
    """Dialect and model that a signature belongs to."""

    @property
    def empty(self) -> bool:
        """Whether it carries nothing that a caller could see; an empty delta does not commit a call."""
        return not (
            self.text
            or self.tool_id
            or self.tool_name
            or self.data
            or self.whole
            or self.citations
            or self.logprobs
        )


@value(frozen=True, slots=True)
class Finished:
    """A candidate ended."""

    candidate: int
    reason: FinishReason
    raw: str = ""
    """The provider's own word."""
    stop_sequence: str = ""
    safety: tuple[SafetyRating, ...] = ()


@value(frozen=True, slots=True)
class UsageReport:
    """Tokens so far; a running total, so the last one counts."""

    usage: Usage


Event = Opened | Delta | Finished | UsageReport
