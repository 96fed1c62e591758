"""count_tokens of the Messages API: the same question, without what only an answer needs."""

from __future__ import annotations

from pointsman_server.upstreams.dialects.anthropic.adapter import AnthropicAdapter
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.counter import Counter, only
from pointsman_server.upstreams.translation.profile import Profile

_TAKEN = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "mcp_servers"}
)


def counter(profile: Profile, settings: Settings) -> Counter:
    """Counts without asking."""
    return Counter(
        AnthropicAdapter(profile, settings),
        url=lambda url: f"{url}/count_tokens",
        field="input_tokens",
        rewrite=only(_TAKEN),
    )
