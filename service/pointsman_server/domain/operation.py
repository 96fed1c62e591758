"""What can be asked of a model."""

from __future__ import annotations

import enum


class Operation(enum.StrEnum):
    """What is asked of a model; the value is the configuration's word."""

    GENERATE = "generate"
    EMBED = "embed"
    COUNT_TOKENS = "count_tokens"
