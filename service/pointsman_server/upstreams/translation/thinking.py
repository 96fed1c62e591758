"""How Claude models are told to think, in the words that Anthropic and the clouds that serve them share."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman_server.domain import ReasoningConfig
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import budget_of, mode_of

SMALLEST_BUDGET = 1024
"""A smaller one is refused."""


def thinking_of(
    config: ReasoningConfig, fields: Mapping[str, str], profile: Profile, limit: int
) -> dict[str, object]:
    """The `thinking` object; empty where nothing is to be said. `limit` is that of the output, in tokens.

    A budget is always told as `enabled`, and `enabled` cannot be without one: it is then half of what may be put out.
    """
    mode, budget = mode_of(config, fields, profile), budget_of(config, fields, profile)
    thinking: dict[str, object]
    if budget is not None:
        thinking = {"type": "enabled", "budget_tokens": budget}
    elif mode == "enabled":
        thinking = {"type": mode, "budget_tokens": max(SMALLEST_BUDGET, limit // 2)}
    elif mode is not None:
        thinking = {"type": mode}
    else:
        return {}
    if config.include is not None and "generation.reasoning.include" in fields and mode != "disabled":
        thinking["display"] = "summarized" if config.include else "omitted"
    return thinking
