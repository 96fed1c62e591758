"""/tokenize of vLLM, which applies the model's chat template as the chat route would."""

from __future__ import annotations

from pointsman_server.upstreams.dialects.openai.adapter import OpenAIAdapter
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.counter import Counter, only
from pointsman_server.upstreams.translation.profile import Profile

_TAKEN = frozenset({"model", "messages", "prompt", "tools", "chat_template_kwargs"})


def counter(profile: Profile, settings: Settings) -> Counter:
    """Counts without asking. The route stands beside /v1, not under it."""
    root = settings.base_url.removesuffix("/v1")
    return Counter(
        OpenAIAdapter(profile, settings),
        url=lambda _: f"{root}/tokenize",
        field="count",
        rewrite=only(_TAKEN),
    )
