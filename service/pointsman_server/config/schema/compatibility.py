"""Earlier contracts of callers."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from pointsman_server.config.schema.values import Section


class FieldRule(Section):
    """One step of a mapping: a field of the one message into a field of the other. Paths are names joined by dots; `[]`
    behind a list's name means each of its elements, `[0]` its first.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, populate_by_name=True
    )

    source: str = Field(default="", alias="from", max_length=512)
    """The field that is read; empty with `value`."""
    to: str = Field(max_length=512)
    """The field that is written; a list is appended to."""
    value: str | int | float | bool | None = None
    """Written always, in place of a field that is read."""
    default: str | int | float | bool | None = None
    """Written where the field that is read is not set."""
    names: dict[str, str] = Field(default_factory=dict, max_length=256)
    """Words, or names of an enum's values, and what becomes of them; one that is not here is refused."""
    join: str | None = Field(default=None, max_length=64)
    """Puts the texts that are read together, with this between them."""
    present: bool = False
    """Writes whether the field that is read is set, in place of what it holds."""
    each: tuple[FieldRule, ...] = Field(default=(), max_length=256, strict=False)
    """For lists of messages: how an element becomes an element."""

    @model_validator(mode="after")
    def _check_source(self) -> FieldRule:
        if bool(self.source) == (self.value is not None):
            raise ValueError("write exactly one of from and value")
        return self


class CompatibleMethod(Section):
    """One method of an earlier contract."""

    to: Literal["Generate", "StreamGenerate"]
    """Ours; one that streams its answer becomes StreamGenerate, any other Generate."""
    request: tuple[FieldRule, ...] = Field(max_length=256, strict=False)
    """Its request into a GenerateRequest."""
    response: tuple[FieldRule, ...] = Field(max_length=256, strict=False)
    """A GenerateResponse, or each StreamGenerateResponse, into its answer; a message of a stream for which no rule
    finds anything is not sent."""
    drop: tuple[str, ...] = Field(default=(), max_length=256, strict=False)
    """Fields of its request that mean nothing here. Every field must be mapped or dropped."""


class CompatibleService(Section):
    """A caller's earlier gRPC contract, served on the same port; access, limits and logs are those of our own."""

    descriptor_set: str = Field(min_length=1, max_length=4096)
    """File with its FileDescriptorSet, imports included, as `buf build` and `protoc --include_imports
    --descriptor_set_out` write it."""
    methods: dict[str, CompatibleMethod] = Field(min_length=1, max_length=64)
    """The methods that are served, by name; others of the service are UNIMPLEMENTED."""
