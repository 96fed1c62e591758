"""Vectors and token counts, and what both clients share to ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from pointsman import v1
from pointsman.answer import Usage
from pointsman.params import Cache, Routing
from pointsman.plain import fill
from pointsman.request import add_provider_options

EmbedInput = str | v1.Part | v1.EmbedInput | Sequence[int]
"""A text, a picture (`image(...)`), a text as tokens, or the contract's own message."""


class EmbedParams(TypedDict, total=False):
    """Everything about a call but what is embedded and by whom. The contract's comments say what each does."""

    dimensions: int
    task: str
    truncate: str
    routing: Routing | v1.RoutingOptions
    cache: Cache | v1.CacheControl
    end_user_id: str
    labels: Mapping[str, str]
    provider_options: Mapping[str, v1.ProviderOptions | Mapping[str, Any]]


_KNOWN = frozenset(EmbedParams.__annotations__)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of all inputs."""

    raw: v1.EmbedResponse
    request_id: str
    """The call's id, for whoever runs the server."""

    @property
    def vectors(self) -> list[list[float]]:
        """One for each input, in the order of the inputs."""
        return [list(one.values) for one in self.raw.embeddings]

    @property
    def model(self) -> str:
        """The model that answered, as callers know it."""
        return self.raw.model

    @property
    def backend(self) -> str:
        """Who answered; of several the first."""
        return self.raw.routing.backend

    @property
    def usage(self) -> Usage | None:
        """Tokens that the call took; None where nobody told."""
        return Usage(self.raw.usage) if self.raw.HasField("usage") else None

    @property
    def warnings(self) -> tuple[v1.Warning, ...]:
        """What was not done as asked."""
        return tuple(self.raw.warnings)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How many tokens a question takes."""

    raw: v1.CountTokensResponse

    @property
    def input_tokens(self) -> int:
        """Tokens of the prompt, chat template and tools included."""
        return self.raw.input_tokens

    @property
    def exact(self) -> bool:
        """Whether the model's own tokens were counted; otherwise it is an estimate."""
        return self.raw.exactness == v1.COUNT_TOKENS_RESPONSE_EXACTNESS_EXACT

    @property
    def backend(self) -> str:
        """Who counted; empty where the router did."""
        return self.raw.backend


def embed_request(
    inputs: EmbedInput | Iterable[EmbedInput], *, model: str, request: v1.EmbedRequest | None, params: Any,  # noqa: ANN401 - EmbedParams
) -> v1.EmbedRequest:  # fmt: skip
    """The request that a caller means: a ready one, or one made of inputs, model and options."""
    unknown = [name for name in params if name not in _KNOWN]
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; the options are {', '.join(sorted(_KNOWN))}")
    if request is not None:
        if inputs != () or model or params:
            raise TypeError("request= stands alone: give neither inputs, model nor options with it")
        return request
    several = [inputs] if isinstance(inputs, str | v1.Part | v1.EmbedInput) else inputs
    made = v1.EmbedRequest(model=model, inputs=[_input(one, i) for i, one in enumerate(several)])
    given = {name: value for name, value in params.items() if value is not None}
    add_provider_options(made, given.pop("provider_options", {}))
    fill(made, given, at="request")
    return made


def _input(given: EmbedInput | int, position: int) -> v1.EmbedInput:
    if isinstance(given, v1.EmbedInput):
        return given
    if isinstance(given, str):
        return v1.EmbedInput(text=given)
    if isinstance(given, v1.Part):
        if not given.HasField("image"):
            raise TypeError(f"inputs[{position}]: of the parts, only an image can be embedded")
        return v1.EmbedInput(image=given.image)
    return v1.EmbedInput(token_ids=_tokens(given, position))


def _tokens(given: object, position: int) -> v1.TokenIds:
    # Callers without a type checker come here too.
    if isinstance(given, Sequence) and all(isinstance(token, int) for token in given):
        return v1.TokenIds(ids=given)
    raise TypeError(f"inputs[{position}]: expected a text, an image or tokens, not {type(given).__name__}")
