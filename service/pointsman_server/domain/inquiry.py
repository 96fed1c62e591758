"""What can be asked of a model, beside an answer: vectors of inputs, and how many tokens a question would take."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar

from pointsman_server.domain.operation import Operation
from pointsman_server.domain.request import (
    CacheControl,
    Call,
    Media,
    ProviderOptions,
    RoutingOptions,
    Text,
    TokenIds,
)
from pointsman_server.domain.usage import Usage, Warning
from pointsman_server.values import value

EmbedInput = Text | TokenIds | Media


@value(frozen=True, slots=True)
class EmbedCall:
    """The contract's EmbedRequest."""

    operation: ClassVar[Operation] = Operation.EMBED

    model: str
    inputs: tuple[EmbedInput, ...]
    dimensions: int | None = None
    task: str = ""
    """In the provider's word."""
    truncate: str = ""
    """In the provider's word."""
    routing: RoutingOptions = field(default_factory=RoutingOptions)
    cache: CacheControl | None = None
    end_user_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    provider_options: Mapping[str, ProviderOptions] = field(default_factory=dict)
    notes: tuple[Warning, ...] = ()
    """What was done to it on its way in; the caller is told."""


@value(frozen=True, slots=True)
class CountCall:
    """A question whose tokens are to be counted; it is not asked."""

    operation: ClassVar[Operation] = Operation.COUNT_TOKENS

    asked: Call

    @property
    def model(self) -> str:
        """The question's."""
        return self.asked.model

    @property
    def routing(self) -> RoutingOptions:
        """The question's."""
        return self.asked.routing

    @property
    def cache(self) -> CacheControl | None:
        """The question's."""
        return self.asked.cache

    @property
    def notes(self) -> tuple[Warning, ...]:
        """The question's."""
        return self.asked.notes


AnyCall = Call | EmbedCall | CountCall


@value(frozen=True, slots=True)
class Embeddings:
    """The vectors of a call's inputs, in their order; as 32-bit floats, which is what the contract sends."""

    vectors: tuple[array[float], ...]
    usage: Usage | None = None


@value(frozen=True, slots=True)
class TokenCount:
    """How many tokens a question would take."""

    input_tokens: int
    exact: bool
    """Whether the model's own tokenizer counted; else it is an estimate."""
