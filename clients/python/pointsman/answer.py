"""The contract's answers, read comfortably; each keeps the message that it was made of as `raw`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pointsman import v1
from pointsman.plain import enum_word


class FinishReason(StrEnum):
    """Why an answer ended; a reason newer than this library is OTHER."""

    STOP = "stop"
    MAX_TOKENS = "max_tokens"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"
    OTHER = "other"


_FINISH_REASONS: Mapping[str, FinishReason] = {reason.value: reason for reason in FinishReason}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the model asks for; answer it with `tool_result(call.id, ...)`."""

    id: str
    name: str
    arguments_json: str

    @property
    def arguments(self) -> Any:  # noqa: ANN401 -- whatever JSON holds
        """The arguments, decoded. The model wrote them: a ValueError says that they are no JSON."""
        return json.loads(self.arguments_json or "{}")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost by the server's prices."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a call took. None was not reported, which is not 0."""

    raw: v1.Usage

    def _count(self, name: str) -> int | None:
        return getattr(self.raw, name) if self.raw.HasField(name) else None

    @property
    def input_tokens(self) -> int | None:
        """Tokens of the prompt, cached ones included."""
        return self._count("input_tokens")

    @property
    def output_tokens(self) -> int | None:
        """Tokens of the answer, reasoning included."""
        return self._count("output_tokens")

    @property
    def total_tokens(self) -> int | None:
        """All tokens."""
        return self._count("total_tokens")

    @property
    def cached_input_tokens(self) -> int | None:
        """Those of the prompt that the provider had in its cache."""
        return self._count("cached_input_tokens")

    @property
    def cache_write_tokens(self) -> int | None:
        """Those of the prompt that the provider put into its cache."""
        return self._count("cache_write_tokens")

    @property
    def reasoning_tokens(self) -> int | None:
        """Those of the answer that were reasoning."""
        return self._count("reasoning_tokens")

    @property
    def estimated(self) -> bool:
        """Whether the router estimated at least one number."""
        return self.raw.source == v1.USAGE_SOURCE_ESTIMATED

    @property
    def cost(self) -> Cost | None:
        """What the tokens cost, where the server knows prices."""
        if not self.raw.HasField("cost"):
            return None
        return Cost(Decimal(self.raw.cost.nanos).scaleb(-9), self.raw.cost.currency)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the answers to a call."""

    raw: v1.Candidate

    @property
    def text(self) -> str:
        """The text, joined."""
        return "".join(part.text for part in self.raw.message.parts)

    @property
    def reasoning(self) -> str:
        """The reasoning, joined."""
        return "".join(part.reasoning.text for part in self.raw.message.parts)

    @property
    def refusal(self) -> str:
        """The model's words of refusal, joined."""
        return "".join(part.refusal for part in self.raw.message.parts)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the model wants called, in order."""
        calls = (part.tool_call for part in self.raw.message.parts if part.HasField("tool_call"))
        return tuple(ToolCall(call.id, call.name, call.arguments_json) for call in calls)

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why it ended; None when it did not, or nobody told."""
        word = enum_word(v1.FinishReason.DESCRIPTOR, self.raw.finish_reason)
        if not word:
            return None
        return _FINISH_REASONS.get(word, FinishReason.OTHER)

    @property
    def message(self) -> v1.Message:
        """What the model said, whole; append it to a conversation to go on."""
        return self.raw.message


@dataclass(frozen=True, slots=True)
class Generation:
    """A whole answer. What is asked of it directly is the first candidate's."""

    raw: v1.GenerateResponse
    request_id: str
    """The call's id, for whoever runs the server."""

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every answer, by index."""
        return tuple(Candidate(candidate) for candidate in self.raw.candidates)

    @property
    def _first(self) -> Candidate:
        return Candidate(self.raw.candidates[0]) if self.raw.candidates else Candidate(v1.Candidate())

    @property
    def text(self) -> str:
        """The text, joined."""
        return self._first.text

    @property
    def reasoning(self) -> str:
        """The reasoning, joined."""
        return self._first.reasoning

    @property
    def refusal(self) -> str:
        """The model's words of refusal, joined."""
        return self._first.refusal

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the model wants called, in order."""
        return self._first.tool_calls

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why it ended; None when it did not, or nobody told."""
        return self._first.finish_reason

    @property
    def message(self) -> v1.Message:
        """What the model said, whole; append it to a conversation to go on."""
        return self._first.message

    def json(self) -> Any:  # noqa: ANN401 -- whatever JSON holds
        """The text, decoded; for answers that were asked for as JSON."""
        return json.loads(self.text)

    @property
    def usage(self) -> Usage:
        """Tokens that the call took."""
        return Usage(self.raw.usage)

    @property
    def model(self) -> str:
        """The model that answered, as callers know it."""
        return self.raw.model

    @property
    def response_id(self) -> str:
        """The provider's identifier of the answer."""
        return self.raw.response_id

    @property
    def backend(self) -> str:
        """The backend that answered."""
        return self.raw.routing.backend

    @property
    def routing(self) -> v1.RoutingInfo:
        """How the call was routed: attempts, policy, where the time went."""
        return self.raw.routing

    @property
    def first_token_latency(self) -> timedelta | None:
        """From the call's arrival at the server to the first content."""
        timings = self.raw.routing.timings
        return timings.first_token.ToTimedelta() if timings.HasField("first_token") else None

    @property
    def warnings(self) -> tuple[v1.Warning, ...]:
        """What was not done as asked, in an answer that is otherwise good."""
        return tuple(self.raw.warnings)


@dataclass(frozen=True, slots=True)
class Model:
    """A model as callers know it."""

    raw: v1.Model

    @property
    def name(self) -> str:
        """The name that requests give."""
        return self.raw.name

    @property
    def display_name(self) -> str:
        """A name for a person."""
        return self.raw.display_name or self.raw.name

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further names that requests may give."""
        return tuple(self.raw.aliases)

    @property
    def owner(self) -> str:
        """Who answers for it; empty where nobody told."""
        return self.raw.owner

    @property
    def state(self) -> str:
        """`available`, `degraded`, `unavailable`, or empty where nobody told."""
        return enum_word(v1.ModelState.DESCRIPTOR, self.raw.state)

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do, such as `tools` and `json_schema`; only of the full view."""
        return frozenset(enum_word(v1.ModelCapability.DESCRIPTOR, number) for number in self.raw.capabilities)

    @property
    def input_token_limit(self) -> int | None:
        """Most tokens that a prompt may have; None where nobody knows."""
        return self.raw.input_token_limit or None

    @property
    def output_token_limit(self) -> int | None:
        """Most tokens that an answer may have; None where nobody knows."""
        return self.raw.output_token_limit or None
