"""The provider's profile. What only some makers' models take has no field of its own on the wire, so that it goes into
`additionalModelRequestFields` under the names that Anthropic's models know: those have such fields, most others none.
"""

from __future__ import annotations

from pointsman_server.domain import MediaKind, ReasoningEffort, ReasoningMode
from pointsman_server.upstreams.dialects.bedrock.media import TYPES
from pointsman_server.upstreams.translation.profile import Profile

BEDROCK = Profile(
    provider="bedrock",
    dialect="bedrock",
    # Each region has a URL of its own.
    default_url="",
    fields={
        "generation.max_output_tokens": "inferenceConfig.maxTokens",
        "generation.temperature": "inferenceConfig.temperature",
        "generation.top_p": "inferenceConfig.topP",
        "generation.stop_sequences": "inferenceConfig.stopSequences",
        "generation.top_k": "additionalModelRequestFields.top_k",
        "generation.reasoning.mode": "additionalModelRequestFields.thinking",
        "generation.reasoning.budget_tokens": "additionalModelRequestFields.thinking",
        "generation.reasoning.include": "additionalModelRequestFields.thinking",
        "generation.reasoning.effort": "outputConfig.effort",
        "tools": "toolConfig.tools",
        "tools.strict": "toolConfig.tools",
        "tool_choice.mode": "toolConfig.toolChoice",
        "tool_choice.allowed_tools": "",
        "output_format.json_schema": "outputConfig.textFormat",
        "end_user_id": "requestMetadata.user_id",
        "provider_metadata": "requestMetadata",
    },
    efforts={
        effort: effort.value.lower() for effort in ReasoningEffort if effort is not ReasoningEffort.MINIMAL
    },
    modes={
        ReasoningMode.DISABLED: "disabled",
        ReasoningMode.ENABLED: "enabled",
        ReasoningMode.ADAPTIVE: "adaptive",
    },
    budget_modes=frozenset({ReasoningMode.ENABLED}),
    # Addresses of the web are not fetched, objects of S3 are read with the rights of the key.
    images_by_url=True,
    audio_by_url=True,
    audio_inline=True,
    files_by_url=True,
    files_inline=True,
    media_schemes=frozenset({"s3"}),
    media_types={kind: tuple(TYPES[kind]) for kind in MediaKind},
    spoken_media=True,
    speaker_names=False,
    image_detail=False,
    signatures=True,
    tool_result_media=True,
    cache_breakpoints=True,
    answer_id_headers=("x-amzn-requestid",),
)
