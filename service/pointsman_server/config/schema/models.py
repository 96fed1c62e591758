"""Names that callers ask for."""

from __future__ import annotations

import enum
from typing import Annotated

from pydantic import Field, model_validator

from pointsman_server.config.schema.prices import Price
from pointsman_server.config.schema.values import Name, PositiveSeconds, Section, TemplateVariable


class ChatTemplate(Section):
    """How a conversation becomes one text, for backends that take no messages: a Jinja template as Hugging Face's
    models have, in a sandbox. Exactly one of text and file.
    """

    text: str | None = Field(default=None, min_length=1, max_length=256 * 1024)
    """The template itself."""
    file: str | None = Field(default=None, min_length=1, max_length=4096)
    """Path of a file that holds it, at most 256 KiB of UTF-8; read again on reload."""
    bos_token: str = Field(default="", max_length=256)
    """What the template calls bos_token."""
    eos_token: str = Field(default="", max_length=256)
    """What the template calls eos_token."""
    variables: dict[TemplateVariable, str | bool | int | float] = Field(default_factory=dict, max_length=32)
    """Further words that the template knows, as enable_thinking."""

    @model_validator(mode="after")
    def _check_one(self) -> ChatTemplate:
        if (self.text is None) == (self.file is None):
            raise ValueError("name exactly one of text and file")
        return self


class TokenizerFile(Section):
    """The model's own tokenizer, to count tokens with where none of its backends can (see docs/token-counts.md)."""

    file: str = Field(min_length=1, max_length=4096)
    """Path of a tokenizer.json, as Hugging Face's models have it, at most 64 MiB; read again on reload. All targets
    must run the model that it belongs to."""
    special_tokens: bool | None = None
    """Whether the servers put the tokenizer's special tokens around a conversation as well, beside those that its chat
    template writes: text servers do, chat routes do not. Around a prompt they always are. Without it, conversations are
    counted without them; and where the tokenizer has any, the count is an estimate."""


class Target(Section):
    """One backend that serves a model."""

    backend: Name
    """Its name under backends."""
    model: str = Field(default="", max_length=256)
    """The name of the model there; the model's own name without it."""
    weight: int = Field(default=1, ge=0, le=1_000_000)
    """Share under the policy weighted, divided among the endpoints of a discovered backend; 0 takes it out."""
    group: int = Field(default=0, ge=0, le=1000)
    """Priority group: a higher number is used only when no lower one can serve."""
    input_token_limit: int = Field(default=0, ge=0, le=100_000_000)
    """Its context size, where it differs from the model's; a call that is too long elsewhere goes only to a larger."""
    price: Price | None = None
    """What it costs there; the model's own price, or the table's, without it."""
    chat_template: ChatTemplate | None = None
    """In place of the model's."""


class Policy(enum.StrEnum):
    """How candidates of one group are ordered."""

    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    LEAST_OUTSTANDING = "least_outstanding"


class Defaults(Section):
    """Generation settings for calls that leave them unset."""

    max_output_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    """Unset leaves it to the provider."""
    temperature: float | None = Field(default=None, ge=0, le=10)
    """Unset leaves it to the provider."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Unset leaves it to the provider."""
    stop_sequences: tuple[str, ...] = Field(default=(), max_length=64, strict=False)
    """Used when the call names none."""


class Bounds(Section):
    """What a call may ask for; beyond it is INVALID_REQUEST."""

    max_output_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    """The largest max_output_tokens."""
    temperature_min: float = Field(default=0, ge=0, le=10)
    """The lowest temperature."""
    temperature_max: float = Field(default=2, ge=0, le=10)
    """The highest temperature."""
    max_stop_sequences: int = Field(default=16, ge=0, le=64)
    """The most stop sequences."""


class Summary(Section):
    """Summarising what of a conversation is dropped."""

    model: Name
    """The model that writes it; asked on the service's own behalf, so a caller need not be allowed to use it."""
    max_output_tokens: int = Field(default=512, ge=16, le=100_000)
    """The longest summary."""
    timeout_s: PositiveSeconds = 20
    """The longest wait for it, and never more than half of the call's deadline; after that the messages are dropped
    without one."""
    instructions: str = Field(
        default=(
            "Summarise the conversation below for somebody who has to go on with it: facts, names, numbers, decisions, "
            "open questions and results of tools. Write plain text, no introduction."
        ),
        min_length=1,
        max_length=16_384,
    )
    """What the model is told to do."""


class ContextWindow(Section):
    """How much of a conversation is sent. Words of the system always are; tool calls and their results stay together;
    the oldest turns go first.
    """

    keep_turns: int | None = Field(default=None, ge=1, le=100_000)
    """The last so many turns; a turn begins with what a user says."""
    max_input_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    """So many tokens, tools included; counted as four characters each, or with the model's tokenizer."""
    summary: Summary | None = None
    """Replaces what is dropped; without it that is gone."""

    @model_validator(mode="after")
    def _check_bounds(self) -> ContextWindow:
        if self.keep_turns is None and self.max_input_tokens is None:
            raise ValueError("write keep_turns, max_input_tokens, or both")
        return self


class Operation(enum.StrEnum):
    """What a model may be asked for."""

    GENERATE = "generate"
    EMBED = "embed"


class Model(Section):
    """A name that callers ask for."""

    targets: tuple[Target, ...] = Field(min_length=1, max_length=256, strict=False)
    """Where it is served, in order."""
    operations: tuple[Annotated[Operation, Field(strict=False)], ...] = Field(
        default=(Operation.GENERATE,), min_length=1, max_length=2, strict=False
    )
    """What it may be asked for: `generate`, `embed`, or both. Counting tokens is always allowed."""
    aliases: tuple[Name, ...] = Field(default=(), max_length=64, strict=False)
    """Other names for it."""
    policy: Policy = Field(default=Policy.LEAST_OUTSTANDING, strict=False)
    """How targets of one group are ordered."""
    display_name: str = Field(default="", max_length=256)
    """For people."""
    owner: str = Field(default="", max_length=256)
    """Who made the model, for people."""
    input_token_limit: int = Field(default=0, ge=0, le=100_000_000)
    """Its context size; 0 is unknown."""
    output_token_limit: int = Field(default=0, ge=0, le=100_000_000)
    """Its longest answer; 0 is unknown."""
    price: Price | None = None
    """What it costs, whatever the target; without it the price table is asked for the target's provider and model."""
    defaults: Defaults = Defaults()
    """Generation settings for calls that leave them unset."""
    bounds: Bounds = Bounds()
    """What a call may ask for."""
    fallbacks: tuple[Name, ...] = Field(default=(), max_length=16, strict=False)
    """Models to go on with when no target can serve."""
    context: ContextWindow | None = None
    """How much of a long conversation is sent; all of it without this."""
    chat_template: ChatTemplate | None = None
    """For targets on backends that take text and no messages; the built-in transcript without it. Conversations are
    counted in it, too, with a tokenizer."""
    tokenizer: TokenizerFile | None = None
    """Counts tokens here where no backend does; without it such a count is an estimate from the length of the texts."""
