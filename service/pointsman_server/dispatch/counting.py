"""Tokens that nobody told of: what a provider left out of its report, and what came after its last one. Pure."""

from __future__ import annotations

from dataclasses import replace

from pointsman_server.domain import (
    AnyCall,
    Call,
    CountCall,
    EmbedCall,
    TokenCount,
    TokenIds,
    Usage,
    UsageSource,
)
from pointsman_server.routing.load import (
    CHARACTERS_PER_TOKEN,
    estimated_input_tokens,
    estimated_prompt_tokens,
)


def settled(usage: Usage | None, call: AnyCall, characters: int, *, complete: bool) -> Usage | None:
    """The usage of an attempt that has ended, with estimates (source ESTIMATED) where the provider told nothing.

    `characters` is what it has produced. A report of an attempt that broke off may lag behind that. An attempt that
    produced nothing, told nothing and failed has used nothing that is known. A count of tokens uses none, vectors have
    only input.
    """
    if isinstance(call, CountCall):
        return None
    if usage is None and not (characters or complete):
        return None
    told = usage or Usage()
    if isinstance(call, EmbedCall):
        return _embedded(told, call)
    inputs, outputs = told.input_tokens, told.output_tokens
    produced = -(-characters // CHARACTERS_PER_TOKEN)
    if inputs is not None and outputs is not None and (complete or outputs >= produced):
        return usage
    inputs = estimated_input_tokens(call) if inputs is None else inputs
    outputs = produced if outputs is None or not complete else outputs
    outputs = max(outputs, told.output_tokens or 0)
    return replace(
        told,
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=inputs + outputs,
        source=UsageSource.ESTIMATED,
    )


def _embedded(told: Usage, call: EmbedCall) -> Usage:
    if told.input_tokens is not None:
        return told
    if told.total_tokens is not None:
        return replace(told, input_tokens=told.total_tokens)
    inputs = estimated_input_tokens(call)
    return replace(told, input_tokens=inputs, total_tokens=inputs, source=UsageSource.ESTIMATED)


def estimated_count(call: Call) -> TokenCount:
    """How many tokens a question would take, where nobody can count them; tokens themselves need no estimate."""
    if isinstance(call.input, TokenIds):
        return TokenCount(len(call.input.ids), exact=True)
    return TokenCount(estimated_prompt_tokens(call), exact=False)
