"""The versions of the API, each with a profile of its own. The header `anthropic-version` pins one, and the body must
be shaped to it: a field that it does not know is refused ("Extra inputs are not permitted"), even at its default value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pointsman_server.domain import MediaKind, ReasoningEffort, ReasoningMode
from pointsman_server.upstreams.translation.profile import Profile

_FIELDS: Mapping[str, str] = {
    "generation.max_output_tokens": "max_tokens",
    "generation.stop_sequences": "stop_sequences",
    "generation.reasoning.mode": "thinking.type",
    "generation.reasoning.budget_tokens": "thinking.budget_tokens",
    "generation.reasoning.effort": "output_config.effort",
    # Sent where the call configures thinking; otherwise thinking that is not wanted is not passed on.
    "generation.reasoning.include": "thinking.display",
    "tools": "tools",
    "tools.strict": "strict",
    "tool_choice.mode": "tool_choice",
    "tool_choice.allowed_tools": "",
    "tool_choice.parallel_calls": "tool_choice.disable_parallel_tool_use",
    "output_format.json_schema": "output_config.format",
    "end_user_id": "metadata.user_id",
}
_SAMPLING: Mapping[str, str] = {
    "generation.temperature": "temperature",
    "generation.top_p": "top_p",
    "generation.top_k": "top_k",
}

CURRENT = Profile(
    provider="anthropic",
    dialect="anthropic",
    default_url="https://api.anthropic.com",
    counts_tokens=True,
    api_version="2026-10-21",
    fields=_FIELDS,
    efforts={
        effort: effort.value.lower() for effort in ReasoningEffort if effort is not ReasoningEffort.MINIMAL
    },
    # Without a budget there is no `enabled`: the models of today decide themselves how much they think.
    modes={
        ReasoningMode.DISABLED: "disabled",
        ReasoningMode.ENABLED: "adaptive",
        ReasoningMode.ADAPTIVE: "adaptive",
    },
    budget_modes=frozenset({ReasoningMode.ENABLED}),
    files_inline=True,
    files_by_url=True,
    media_types={
        MediaKind.IMAGE: ("image/png", "image/jpeg", "image/gif", "image/webp"),
        MediaKind.FILE: ("application/pdf", "text/"),
    },
    speaker_names=False,
    image_detail=False,
    signatures=True,
    tool_result_media=True,
    cache_breakpoints=True,
    answer_id_headers=("request-id",),
    caller_headers=frozenset({"x-request-id", "anthropic-beta"}),
)

SAMPLING = replace(
    CURRENT,
    api_version="2023-06-01",
    fields={**_FIELDS, **_SAMPLING},
    # The models that are asked under this version know no thinking without a budget.
    modes={**CURRENT.modes, ReasoningMode.ENABLED: "enabled"},
    key_header="x-api-key",
)

VERSIONS: Mapping[str, Profile] = {profile.api_version: profile for profile in (CURRENT, SAMPLING)}
