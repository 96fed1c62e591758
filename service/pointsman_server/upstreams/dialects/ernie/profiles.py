"""The provider that speaks the dialect."""

from __future__ import annotations

from pointsman_server.upstreams.translation.profile import Profile

ERNIE = Profile(
    provider="ernie",
    dialect="ernie",
    default_url="https://aip.baidubce.com/rpc/2.0/ai_custom/v1/wenxinworkshop",
    fields={
        "generation.max_output_tokens": "max_output_tokens",
        "generation.temperature": "temperature",
        "generation.top_p": "top_p",
        "generation.stop_sequences": "stop",
        "generation.repetition_penalty": "penalty_score",
        # Taken by the reader: reasoning that is not wanted is not passed on.
        "generation.reasoning.include": "",
        "tools": "functions",
        "tool_choice.mode": "tool_choice",
        "tool_choice.allowed_tools": "",
        "output_format.json_object": "response_format",
        "end_user_id": "user_id",
    },
    max_stop_sequences=4,
    images_by_url=False,
    images_inline=False,
    speaker_names=False,
    provider_parts=False,
    required_tool_choice="",
    strict_turns=True,
    answer_id_headers=("x-bce-request-id", "x-request-id"),
)
