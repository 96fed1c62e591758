"""countTokens: the question as generateContent would be asked it."""

from __future__ import annotations

from pointsman_server.context import Attempt
from pointsman_server.domain import CountCall
from pointsman_server.upstreams.dialects.gemini.adapter import GeminiAdapter
from pointsman_server.upstreams.dialects.gemini.place import full_name
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.counter import Body, Counter
from pointsman_server.upstreams.translation.profile import Profile


def counter(profile: Profile, settings: Settings) -> Counter:
    """Counts without asking; what the model thought of earlier, and tools, are in the count."""
    return Counter(
        GeminiAdapter(profile, settings),
        url=lambda url: (
            f"{url.partition(':generateContent')[0].partition(':streamGenerateContent')[0]}:countTokens"
        ),
        field="totalTokens",
        rewrite=_wrapped,
    )


def _wrapped(attempt: Attempt[CountCall], body: Body) -> object:
    return {"generateContentRequest": {"model": full_name(attempt.target.model), **body}}
