"""Enum tables between contract and domain, built by name once; an unknown number is a fault of the caller."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

from pointsman import v1 as pb
from pointsman_server import domain
from pointsman_server.errors import Reason
from pointsman_server.routing import view
from pointsman_server.server.codec.faults import Misfit

E = TypeVar("E", bound=enum.Enum)
N = TypeVar("N", bound=int)


def _decoding(wrapper: type[N], prefix: str, members: type[E]) -> dict[int, E]:
    return {number: member for member, number in _encoding(wrapper, prefix, members).items()}


def _encoding(wrapper: type[N], prefix: str, members: type[E]) -> dict[E, N]:
    # The stubs type a generated enum as a class of its numbers; at run time it is a wrapper with their names.
    numbers: Mapping[str, N] = dict(wrapper.items())  # type: ignore[attr-defined]
    return {member: numbers[f"{prefix}_{member.name}"] for member in members}


def _bare(wrapper: type[N], prefix: str) -> dict[str, N]:
    numbers: Mapping[str, N] = dict(wrapper.items())  # type: ignore[attr-defined]
    return {name.removeprefix(prefix + "_"): number for name, number in numbers.items() if number}


def decode_enum(table: Mapping[int, E], number: int, path: str) -> E | None:
    """The member of a number; None for unspecified. Raises Misfit for one that the contract does not have."""
    if not number:
        return None
    member = table.get(number)
    if member is None:
        raise Misfit(path, f"unknown value {number}")
    return member


ROLES = _decoding(pb.Role, "ROLE", domain.Role)
REASONING_KINDS = _decoding(pb.ReasoningKind, "REASONING_KIND", domain.ReasoningKind)
MEDIA_DETAILS = _decoding(pb.MediaDetail, "MEDIA_DETAIL", domain.MediaDetail)
TOOL_CHOICE_MODES = _decoding(pb.ToolChoiceMode, "TOOL_CHOICE_MODE", domain.ToolChoiceMode)
REASONING_MODES = _decoding(pb.ReasoningConfigMode, "REASONING_CONFIG_MODE", domain.ReasoningMode)
REASONING_EFFORTS = _decoding(pb.ReasoningConfigEffort, "REASONING_CONFIG_EFFORT", domain.ReasoningEffort)
REASONING_SUMMARIES = _decoding(
    pb.ReasoningConfigSummary, "REASONING_CONFIG_SUMMARY", domain.ReasoningSummary
)
VERBOSITIES = _decoding(pb.GenerationConfigVerbosity, "GENERATION_CONFIG_VERBOSITY", domain.Verbosity)
OBJECTIVES = _decoding(pb.RoutingOptionsObjective, "ROUTING_OPTIONS_OBJECTIVE", domain.Objective)
ON_INTERRUPTS = _decoding(pb.RoutingOptionsOnInterrupt, "ROUTING_OPTIONS_ON_INTERRUPT", domain.OnInterrupt)
CACHE_MODES = _decoding(pb.CacheControlMode, "CACHE_CONTROL_MODE", domain.CacheMode)

PB_REASONING_KINDS = _encoding(pb.ReasoningKind, "REASONING_KIND", domain.ReasoningKind)
PB_MEDIA_DETAILS = _encoding(pb.MediaDetail, "MEDIA_DETAIL", domain.MediaDetail)
PB_FINISH_REASONS = _encoding(pb.FinishReason, "FINISH_REASON", domain.FinishReason)
PB_USAGE_SOURCES = _encoding(pb.UsageSource, "USAGE_SOURCE", domain.UsageSource)
PB_REASONS = _encoding(pb.ErrorReason, "ERROR_REASON", Reason)
PB_BACKEND_STATES = _encoding(pb.BackendState, "BACKEND_STATE", view.BackendState)
PB_MODEL_STATES = _encoding(pb.ModelState, "MODEL_STATE", view.ModelState)


PB_CAPABILITIES = _bare(pb.ModelCapability, "MODEL_CAPABILITY")
"""By bare name."""
PB_MODALITIES = _bare(pb.Modality, "MODALITY")
"""By bare name."""
