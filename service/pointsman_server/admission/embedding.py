"""A decoded call for vectors -> nothing, or one ServiceError that names every field at fault. Pure."""

from __future__ import annotations

import re
from typing import assert_never

from pointsman_server.admission.content import check_media
from pointsman_server.admission.faults import Enough, Faults
from pointsman_server.admission.validate import (
    MAX_TEXT_ID,
    Limits,
    check_cache,
    check_labels,
    check_provider_options,
    check_routing,
)
from pointsman_server.domain import EmbedCall, EmbedInput, Media, Text, TokenIds

MAX_INPUTS = 2048
MAX_INPUT_TOKENS = 1_000_000
MAX_DIMENSIONS = 16_384
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z", re.ASCII)


def check_embed(call: EmbedCall, limits: Limits) -> None:
    """Raises ServiceError INVALID_REQUEST or UNSUPPORTED_PARAMETER with all faults, 16 at most."""
    faults = Faults()
    try:
        _check_inputs(call, faults)
        faults.number("dimensions", call.dimensions, 1, MAX_DIMENSIONS)
        for path, word in (("task", call.task), ("truncate", call.truncate)):
            if word and not _WORD.match(word):
                faults.add(path, "must have at most 64 of letters, digits and _ . : -")
        check_routing(call.routing, limits, faults)
        faults.length("end_user_id", call.end_user_id, MAX_TEXT_ID)
        if call.labels:
            check_labels("labels", call.labels, faults)
        if call.provider_options:
            check_provider_options(call.provider_options, faults)
        if call.cache is not None:
            check_cache(call.cache, faults)
    except Enough:
        pass
    faults.raise_any()


def _check_inputs(call: EmbedCall, faults: Faults) -> None:
    if not call.inputs:
        faults.add("inputs", "must not be empty")
    faults.count("inputs", len(call.inputs), MAX_INPUTS)
    for position, one in enumerate(call.inputs):
        _check_input(f"inputs[{position}]", one, faults)


def _check_input(path: str, one: EmbedInput, faults: Faults) -> None:
    match one:
        case Text(text):
            if not text:
                faults.add(f"{path}.text", "must not be empty")
        case TokenIds(ids):
            if not ids:
                faults.add(f"{path}.token_ids.ids", "must not be empty")
            faults.count(f"{path}.token_ids.ids", len(ids), MAX_INPUT_TOKENS)
        case Media():
            check_media(f"{path}.image", one, faults)
        case _:
            assert_never(one)
