"""The provider that speaks the dialect."""

from __future__ import annotations

from dataclasses import replace

from pointsman_server.config import schema
from pointsman_server.domain import ReasoningMode
from pointsman_server.upstreams.translation import alibaba
from pointsman_server.upstreams.translation.profile import EmbeddingProfile, Profile

DASHSCOPE = Profile(
    provider="dashscope",
    dialect="dashscope",
    default_url="https://dashscope.aliyuncs.com/api/v1",
    fields={
        "generation.max_output_tokens": "max_tokens",
        "generation.temperature": "temperature",
        "generation.top_p": "top_p",
        "generation.top_k": "top_k",
        "generation.stop_sequences": "stop",
        "generation.seed": "seed",
        "generation.n": "n",
        "generation.presence_penalty": "presence_penalty",
        "generation.repetition_penalty": "repetition_penalty",
        "generation.top_logprobs": "top_logprobs",
        "generation.reasoning.mode": "enable_thinking",
        "generation.reasoning.budget_tokens": "thinking_budget",
        # Taken by the reader: reasoning that is not wanted is not passed on.
        "generation.reasoning.include": "",
        "tools": "tools",
        "tool_choice.mode": "tool_choice",
        "tool_choice.allowed_tools": "",
        "tool_choice.parallel_calls": "parallel_tool_calls",
        "output_format.json_schema": "response_format",
        "output_format.json_object": "response_format",
    },
    modes={ReasoningMode.DISABLED: False, ReasoningMode.ENABLED: True},
    audio_by_url=True,
    audio_inline=True,
    image_detail=False,
    speaker_names=False,
    required_tool_choice="",
    tool_result_names=True,
    reasoning_history="reasoning_content",
    error_codes=alibaba.ERROR_CODES,
    caller_headers=frozenset({"x-request-id", "x-dashscope-datainspection", "x-dashscope-workspace"}),
    embeddings=EmbeddingProfile(fields={"dimensions": "dimension", "task": "text_type"}, max_inputs=10),
)
"""`fields` are those of `parameters`."""
_MULTIMODAL = EmbeddingProfile(
    fields={"dimensions": "dimension"}, max_inputs=20, images_inline=True, images_by_url=True
)


def configured(profile: Profile, backend: schema.Backend) -> Profile:
    """Models of the one interface are unknown at the other, so that the backend says what can be embedded."""
    if backend.dashscope.interface != "multimodal":
        return profile
    return replace(profile, embeddings=_MULTIMODAL)
